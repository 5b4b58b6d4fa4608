"""Every setting, read from the environment once: name, default, meaning. docs/settings.md is tested against this table.

Django is not imported here: the supervisor and the tests read the same table before settings load.
"""

import contextlib
import os
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from probes.engine.guardrails import allowances

ROLES = ("viewer", "responder", "administrator")
BASE_DIR = Path(__file__).resolve().parent.parent


class SettingError(ValueError):
    """A setting that cannot be used. The message names the setting and the cure."""


@dataclass(frozen=True)
class Setting:
    """One setting: `default` is text, as it would stand in the environment; `parse` raises ValueError on bad text."""

    name: str
    default: str
    meaning: str
    parse: Callable[[str], Any] = str


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def _origins(text: str) -> tuple[str, ...]:
    for word in _words(text):
        parts = urlsplit(word)
        if word != "*" and (parts.scheme not in ("http", "https") or word != f"{parts.scheme}://{parts.netloc}"):
            raise ValueError(f"{word!r} is no origin, such as https://shop.example")
    return tuple(_words(text))


def _port(text: str) -> int:
    port = int(text)
    if not 0 < port < 65536:
        raise ValueError("a port lies between 1 and 65535")
    return port


def _ports(text: str) -> tuple[int, int]:
    staging, production = (_port(word) for word in _words(text))
    return staging, production


def _positive(text: str) -> float:
    number = float(text)
    if not 0 < number < float("inf"):
        raise ValueError("must be above zero")
    return number


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError("must be at least 1")
    return number


def _switch(text: str) -> bool:
    if text not in ("0", "1"):
        raise ValueError("is 0 or 1")
    return text == "1"


def _share(text: str) -> float:
    number = float(text)
    if not 0 <= number <= 1:
        raise ValueError("a share lies between 0 and 1")
    return number


def _issuer(text: str) -> str:
    parts = urlsplit(text)
    if text and (parts.scheme not in ("http", "https") or not parts.hostname):
        raise ValueError("is no address, such as https://login.example")
    # The token is believed because it came from there: nobody may stand in between.
    if parts.scheme == "http" and parts.hostname not in ("127.0.0.1", "localhost", "::1"):
        raise ValueError("must be https")
    return text.rstrip("/")


def _roles(text: str) -> dict[str, str]:
    roles = {}
    for word in _words(text):
        group, equals, role = word.rpartition("=")
        if not equals or not group.strip() or role.strip() not in ROLES:
            raise ValueError(f"{word!r} is no GROUP=ROLE; roles are {', '.join(ROLES)}")
        roles[group.strip()] = role.strip()
    return roles


SETTINGS: tuple[Setting, ...] = (
    Setting("DATA_DIR", "var", "Folder of the generated secret key, embedded database and embedded Redis's address."),
    Setting("SECRET_KEY", "", "Signs sessions and encrypts credentials. Empty: generated once into DATA_DIR."),
    Setting("DATABASE_URL", "", "PostgreSQL or SQLite URL. Empty: SQLite in DATA_DIR."),
    Setting("REDIS_URL", "", "Redis URL. Empty: the private Redis that `make serve` starts, its URL kept in DATA_DIR."),
    Setting("ALLOWED_HOSTS", "127.0.0.1,localhost,[::1]", "Host names the web server answers to, by comma.", _words),
    Setting("PORT", "8000", "Port of the web server.", _port),
    Setting("REFERENCE_PORTS", "8101,8102", "Ports of the reference services: staging, production.", _ports),
    Setting(
        "READYWIRE_CONTROL_TOKEN",
        "",
        "Token with which faults are switched on in the reference services. Empty: made by `make serve` into DATA_DIR.",
    ),
    Setting(
        "PUBLIC_URL", "", "Address people use, for sign-in links. Empty: http://127.0.0.1:PORT. https secures cookies."
    ),
    Setting("TIME_ZONE", "UTC", "Time zone in which pages show clock times."),
    Setting(
        "PROBE_WORKERS", "1", "Probe workers that `make serve` starts; more only on a machine with idle cores.", _count
    ),
    Setting("PROBE_MAX_IN_FLIGHT", "2000", "Probes one worker runs at once; slots above it are missed.", _count),
    Setting(
        "RESIDENTS_PER_WORKER", "500", "Long-lived connections one worker keeps; the rest waits for others.", _count
    ),
    Setting("PROBE_MAX_HEADER_BYTES", "16384", "Longest head of an HTTP answer a probe reads.", _count),
    Setting("PROBE_MAX_MESSAGE_BYTES", "1048576", "Largest message a probe reads, after decompression.", _count),
    Setting("PROBE_MAX_TOTAL_BYTES", "16777216", "Most bytes a probe reads in all.", _count),
    Setting("PROBE_MAX_FRAMES", "10000", "Most frames, and most messages, a probe reads.", _count),
    Setting("PROBE_SETTLE_MILLISECONDS", "250", "How long a probe waits for stragglers after the last event.", _count),
    Setting(
        "PROBE_LINGER_MILLISECONDS",
        "1000",
        "How long a finished probe leaves it to the target to end TCP first.",
        _count,
    ),
    Setting(
        "PROBE_ALLOW",
        "",
        "Private networks and addresses that probes may dial, by comma, each with or without :port.",
        allowances,
    ),
    Setting("PROBE_ALLOW_PRIVATE", "0", "1: scheduled probes may dial every private and loopback address.", _switch),
    Setting("TICK_HORIZON_SECONDS", "2", "How far ahead the tick dispatches slots.", _positive),
    Setting(
        "MISSED_GRACE_SECONDS",
        "3",
        "How long after its deadline a slot without an outcome is written as missed.",
        _positive,
    ),
    Setting(
        "MISSED_CATCH_UP_MINUTES",
        "60",
        "After an outage of the recorder, how far back slots are written as missed; what is older stays blank.",
        _count,
    ),
    Setting(
        "OUTCOME_BUFFER", "50000", "Outcomes a worker keeps while Redis does not answer; the oldest go first.", _count
    ),
    Setting("RESULTS_STREAM_LENGTH", "200000", "Outcomes kept in Redis while no recorder runs.", _count),
    Setting("FLUSH_MILLISECONDS", "250", "Longest wait of an outcome before the recorder writes it.", _count),
    Setting("FLUSH_OUTCOMES", "500", "Most outcomes in one transaction.", _count),
    Setting(
        "RECORDER_MOST_TARGETS",
        "5000",
        "Targets the recorder remembers between flushes; others are read again.",
        _count,
    ),
    Setting("RAW_DAYS", "7", "Days that single results are kept.", _count),
    Setting(
        "MINUTE_DAYS", "35", "Days that rollups of one and of five minutes, and hours by strategy, are kept.", _count
    ),
    Setting("HOUR_DAYS", "400", "Days that hour rollups, and days by strategy, are kept.", _count),
    Setting("RACE_CHECK_MOST", "1000", "Most probes of one race check.", _count),
    Setting("RACE_CHECK_AT_ONCE", "50", "Most probes of one race check at once.", _count),
    Setting("RACE_CHECK_PER_SECOND", "200", "Most probes that one race check starts in a second.", _positive),
    Setting("RACE_CHECK_PAUSE_SECONDS", "30", "How long a target rests between two race checks.", _positive),
    Setting("TRANSCRIPT_SUCCESS_SHARE", "0.01", "Share of successful probes whose transcript is kept.", _share),
    Setting("TRANSCRIPT_BYTES", "16384", "Longest transcript kept of one probe.", _count),
    Setting("CERTIFICATE_WARNING_DAYS", "14", "A certificate that expires sooner is told as a warning.", _count),
    Setting("LIVE_UPDATES_PER_SECOND", "5", "Most live updates a page receives in a second.", _positive),
    Setting(
        "REVISION_POLL_MILLISECONDS", "500", "How often each web process reads the revisions from the database.", _count
    ),
    Setting(
        "OFREP_ORIGINS",
        "",
        "Pages that may ask OFREP: origins by comma, as https://shop.example; `*`: any.",
        _origins,
    ),
    Setting(
        "SERVER_KEY_REQUESTS_PER_SECOND", "500", "Requests a second of one server key, in each web process.", _positive
    ),
    Setting(
        "FLAG_STALE_DAYS", "30", "Days without an evaluation, or a change, after which a flag is told as stale.", _count
    ),
    Setting("SIGNIN_LINK_MINUTES", "10", "How long a sign-in link can be used, once.", _positive),
    Setting("SESSION_HOURS", "12", "How long a sign-in lasts.", _positive),
    Setting(
        "OIDC_ISSUER", "", "Address of the OpenID provider, for sign-in by OpenID Connect. Empty: links only.", _issuer
    ),
    Setting("OIDC_CLIENT_ID", "", "Our client id at the OpenID provider."),
    Setting("OIDC_CLIENT_SECRET", "", "Our client secret at the OpenID provider."),
    Setting("OIDC_LABEL", "your organisation", "What the sign-in button calls the OpenID provider."),
    Setting("OIDC_NAME_CLAIM", "name", "Claim with the name that signs what somebody does."),
    Setting("OIDC_ROLES_CLAIM", "groups", "Claim with a person's groups; dots lead into objects."),
    Setting(
        "OIDC_ROLES",
        "",
        "Which group has which role, by comma: oncall=responder,*=viewer. Who has none is not let in.",
        _roles,
    ),
)


def read(environ: Mapping[str, str] = os.environ) -> dict[str, Any]:
    """The settings' values by name. Raises SettingError naming the setting and the cure."""
    values: dict[str, Any] = {}
    for setting in SETTINGS:
        text = environ.get(setting.name, "") or setting.default
        try:
            values[setting.name] = setting.parse(text)
        except ValueError as error:
            raise SettingError(f"{setting.name}={text!r}: {error}. {setting.meaning}") from error
    # Whoever runs `manage.py probe` has a shell here, and dials what the machine dials: only a spoken 0 forbids it.
    values["PROBE_BY_HAND_PRIVATE"] = environ.get("PROBE_ALLOW_PRIVATE", "") != "0"
    if values["OIDC_ISSUER"] and not (values["OIDC_CLIENT_ID"] and values["OIDC_ROLES"]):
        raise SettingError("OIDC_ISSUER is set: OIDC_CLIENT_ID and OIDC_ROLES must be, too, or nobody could sign in.")
    data_dir = Path(values["DATA_DIR"])
    values["DATA_DIR"] = data_dir if data_dir.is_absolute() else BASE_DIR / data_dir
    values["SECRET_KEY"] = values["SECRET_KEY"] or secret_key(values["DATA_DIR"])
    values["DATABASE_URL"] = values["DATABASE_URL"] or f"sqlite:///{values['DATA_DIR'] / 'readywire.sqlite3'}"
    values["REDIS_URL"] = values["REDIS_URL"] or embedded_redis_url(values["DATA_DIR"])
    values["READYWIRE_CONTROL_TOKEN"] = values["READYWIRE_CONTROL_TOKEN"] or kept_control_token(values["DATA_DIR"])
    values["PUBLIC_URL"] = (values["PUBLIC_URL"] or f"http://127.0.0.1:{values['PORT']}").rstrip("/")
    return values


def secret_key(data_dir: Path) -> str:
    """The generated key in DATA_DIR, made once; two processes starting at once agree on one."""
    path = data_dir / "secret_key"
    if not path.exists():
        write_private(path, secrets.token_urlsafe(50), replace=False)
    return path.read_text()


def made_control_token(data_dir: Path) -> str:
    """The token in DATA_DIR, made once. Raises SettingError where it cannot be written."""
    if not kept_control_token(data_dir):
        write_private(data_dir / "control_token", "rwc_" + secrets.token_urlsafe(32), replace=False)
    return kept_control_token(data_dir)


def kept_control_token(data_dir: Path) -> str:
    """The token that `serve` left; "" where it never ran: then there are no reference services to practise on."""
    path = data_dir / "control_token"
    return path.read_text().strip() if path.exists() else ""


def embedded_redis_url(data_dir: Path) -> str:
    """The URL that `serve` left for the private Redis; a closed port where it never ran, so that clients say so."""
    path = data_dir / "redis_url"
    return path.read_text().strip() if path.exists() else "redis://127.0.0.1:1/0"


def write_private(path: Path, text: str, *, replace: bool) -> None:
    """Write a file that only its owner reads, whole or not at all. Raises SettingError where it cannot be written."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f".{path.name}.{os.getpid()}")
        draft.touch(mode=0o600)
        draft.write_text(text)
        if replace:
            draft.replace(path)
        else:
            with contextlib.suppress(FileExistsError):
                os.link(draft, path)
            draft.unlink()
    except OSError as error:
        raise SettingError(
            f"DATA_DIR: cannot write {path}. Make the folder writable, or set DATA_DIR to another."
        ) from error
