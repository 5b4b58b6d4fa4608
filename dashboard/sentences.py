"""Words of the console, pure: figures, times, symptoms. The design guide is the source of each phrase.

Latencies are microseconds: `math.inf` reads "never" (beyond the deadline), `None` and NaN read as no figure at all.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

from probes.engine.outcome import FailureKind

NBSP = "\u00a0"
NO_FIGURE = "–"
UNMISTAKABLE = timedelta(hours=12)
"""A clock time needs no day for so long, also after midnight."""
FEWEST_FOR_SHARE = 10
"""Under this many probes a share would look more certain than the data: counts are told instead."""

LONGEST_VERSION = 14
"""Characters of a version on a chart and in a sentence."""

STATE_WORDS = {
    "up": "Up",
    "degraded": "Degraded",
    "down": "Down",
    "stale": "Stale",
    "paused": "Paused",
    "unknown": "Not probed yet",
    "missed": "Missed",
}

SYMPTOMS: Mapping[str, str] = {
    FailureKind.DNS_FAILED: "cannot be found (DNS)",
    FailureKind.CONNECT_REFUSED: "refuses connections",
    FailureKind.CONNECT_TIMEOUT: "does not answer",
    FailureKind.PROXY_FAILED: "cannot be reached through the proxy",
    FailureKind.CONNECTION_RESET: "drops connections before the upgrade",
    FailureKind.TLS_TIMEOUT: "does not finish TLS",
    FailureKind.TLS_FAILED: "fails TLS",
    FailureKind.CERTIFICATE_EXPIRED: "shows an expired certificate",
    FailureKind.CERTIFICATE_NAME_MISMATCH: "shows a certificate for another name",
    FailureKind.UNAUTHORIZED: "refuses our credentials",
    FailureKind.UPGRADE_REJECTED: "answers HTTP {status} instead of upgrading",
    FailureKind.UPGRADE_TIMEOUT: "does not finish the upgrade",
    FailureKind.HANDSHAKE_INVALID: "answers the upgrade wrongly",
    FailureKind.SUBPROTOCOL_MISMATCH: "chooses another subprotocol",
    FailureKind.ACCEPT_RACE: "loses the first message",
    FailureKind.FALSE_READY: "says ready before it is",
    FailureKind.NOT_READY: "is accepted but not ready",
    FailureKind.CLOSED_BEFORE_READY: "closes before ready ({code})",
    FailureKind.EVENT_LOST: "loses {event}",
    FailureKind.EVENT_NEVER_EMITTED: "never sends {event}",
    FailureKind.EVENT_DUPLICATED: "sends {event} twice",
    FailureKind.EVENT_REORDERED: "sends events out of order",
    FailureKind.EVENT_LATE: "sends {event} late",
    FailureKind.CLOSED_EARLY: "closes early ({code})",
    FailureKind.PROTOCOL_ERROR: "breaks the WebSocket protocol",
    FailureKind.OVERSIZED: "sends more than the limit",
}


# Figures ------------------------------------------------------------------------------------------------------------


def latency(us: float | None) -> str:
    """ "92 ms", "1.2 s", "never" beyond the deadline, a dash where there is no figure."""
    if us is None or math.isnan(us):
        return NO_FIGURE
    if math.isinf(us):
        return "never"
    milliseconds = us / 1000
    if milliseconds < 9.95:
        return f"{milliseconds:.1f}{NBSP}ms"
    if milliseconds < 999.5:
        return f"{milliseconds:.0f}{NBSP}ms"
    return f"{milliseconds / 1000:.1f}{NBSP}s" if milliseconds < 99_950 else f"{milliseconds / 1000:.0f}{NBSP}s"


def count(number: int) -> str:
    """Counts with commas: "2,140"."""
    return f"{number:,}"


def percent(part: int, whole: int, decimals: int = 0) -> str:
    """A share that never rounds up to 100 % nor down to 0 %: "99.9 %" is not "100 %"."""
    if whole == 0:
        return NO_FIGURE
    if part == whole:
        return f"100{NBSP}%"
    step = 10.0**-decimals
    share = min(max(100 * part / whole, 0 if part == 0 else step), 100 - step)
    return f"{share:.{0 if part == 0 else decimals}f}{NBSP}%"


def share(part: int, whole: int) -> str:
    """ "38 %" of enough probes, "4 of 7" of few."""
    return f"{part} of {whole}" if whole < FEWEST_FOR_SHARE else percent(part, whole)


def bounds_text(low: float, high: float) -> str:
    """A 95 % interval as percentages: "33 to 43 %". `low` and `high` lie between 0 and 1."""
    return f"{100 * low:.0f} to {100 * high:.0f}{NBSP}%"


def span(duration: timedelta) -> str:
    """A length of time, rounded down to one unit: "1 s", "15 min", "2 h", "3 d"."""
    seconds = max(0, int(duration.total_seconds()))
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size}{NBSP}{unit}"
    return f"{seconds}{NBSP}s"


def clock(at: datetime, zone: ZoneInfo, now: datetime | None = None, *, seconds: bool = False) -> str:
    """24 h clock time; with `now`, a moment on another day says which, unless it was within the last half day."""
    local = at.astimezone(zone)
    text = local.strftime("%H:%M:%S" if seconds else "%H:%M")
    if now is None or now.astimezone(zone).date() == local.date() or timedelta(0) <= now - at < UNMISTAKABLE:
        return text
    if timedelta(0) <= now - at < timedelta(days=6):
        return f"{local:%a} {text}"
    return f"{local.day} {local:%b} {text}"


def short_version(version: str) -> str:
    """A version for a label: a commit's hash by its first seven digits, other long ones cut short."""
    if re.fullmatch(r"(?=[0-9]*[a-f])[0-9a-f]{12,64}", version):
        return version[:7]
    return version if len(version) <= LONGEST_VERSION else f"{version[: LONGEST_VERSION - 1]}…"


def plural(number: int, one: str, many: str = "") -> str:
    """ "1 target", "3 targets"."""
    return f"{count(number)}{NBSP}{one if number == 1 else many or one + 's'}"


# Words --------------------------------------------------------------------------------------------------------------

Weight = Literal["", "strong", "symptom", "flag"]


@dataclass(frozen=True, slots=True)
class Part:
    """A run of text of one weight; "symptom" is coloured by the story's tone, "flag" never breaks across lines."""

    text: str
    weight: Weight = ""
    href: str = ""
    """The page about it, where there is one."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the newest failing probe showed, for the symptoms that name it."""

    http_status: int | None = None
    close_code: int | None = None
    event: str = ""


def symptom(kind: str, evidence: Evidence) -> str:
    """What the target does, for the person on call; a kind without a phrase is named as it is."""
    code = str(evidence.close_code) if evidence.close_code else "no close frame"
    event = evidence.event or "an event"
    phrase = SYMPTOMS.get(kind, f"fails ({kind})" if kind else "fails")
    return phrase.format(status=evidence.http_status or "error", code=code, event=event)


def owner_of(kind: str) -> str:
    """Whose fault a kind is, in words; "unknown" for a kind this version does not know."""
    try:
        return str(FailureKind(kind).owner)
    except ValueError:
        return "unknown"


def listed(names: Sequence[str]) -> str:
    """ "Virginia", "Virginia and Dublin", "Virginia, Dublin and Tokyo"."""
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))


def ribbon_label(letters: str) -> str:
    """What a ribbon shows, for those who do not see it."""
    names = (("u", "up"), ("g", "degraded"), ("d", "failed"), ("m", "missed"))
    return f"Last {len(letters)} slots: " + ", ".join(f"{letters.count(letter)} {name}" for letter, name in names)


def title(down: int, degraded: int) -> str:
    """The page title's prefix: "1 down · Readywire"."""
    if down:
        return f"{down} down · "
    return f"{degraded} degraded · " if degraded else ""
