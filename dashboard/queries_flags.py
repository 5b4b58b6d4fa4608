"""What the flags pages and their live topic show: who holds the served revision, the flags in words, the history."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.utils import timezone

from connections.flags import reading
from connections.flags.reading import Holder
from connections.models import Environment, Revision
from dashboard.layer_words import served_words
from dashboard.queries.layers import Laid
from dashboard.real_connections import cell
from dashboard.sentences import plural

FORGOTTEN_AFTER = timedelta(hours=1)
"""A server that has not reported for so long is gone: it is neither counted nor listed."""
HISTORY_PAGE = 20


@dataclass(frozen=True)
class FlagRow:
    """One flag as the page shows it. `value` has no line where the variant's name already says it."""

    key: str
    variant: str
    value: tuple[str, ...]
    description: str
    safe: str
    variants: tuple[str, ...]
    rules: bool
    """Some connections are served another variant, by targeting rules."""
    layers: tuple[Laid, ...] = ()
    """What lies over it, the strongest first."""
    served: str = ""
    """What is served under those, in words."""


def flags_state(environment_key: str, *, now: datetime | None = None) -> dict[str, Any]:
    """JSON: the served revision and which watched servers hold it. The page is made from it, and the live topic
    `flags:ENVIRONMENT` carries it. Raises UnknownEnvironment."""
    now = now or timezone.now()
    stage = reading.environment(environment_key)
    served = Revision.objects.filter(environment=stage, number=stage.revision).select_related("version").first()
    found = [one for one in reading.holders(environment_key, now=now) if now - one.reported_at < FORGOTTEN_AFTER]
    counted = [one for one in found if not one.silent]
    held = [one for one in counted if not one.behind]
    return {
        "environment": stage.key,
        "revision": stage.revision,
        "version": served.version.number if served else 0,
        "at": served.at.isoformat() if served else "",
        "author": served.author if served else "",
        "approved_by": served.approved_by if served else "",
        "reason": served.reason if served else "",
        "held": len(held),
        "total": len(counted),
        "sentence": propagation_sentence(stage.revision, counted, found),
        "servers": [_server(one, stage.revision) for one in found],
        "server_url": settings.PUBLIC_URL,
    }


def propagation_sentence(revision: int, counted: list[Holder], found: list[Holder]) -> str:
    """Who holds the revision, in one or two sentences."""
    behind = [one.instance for one in counted if one.behind]
    silent = [one.instance for one in found if one.silent]
    if not found:
        return "No watched server has reported yet."
    parts = []
    if counted:
        holding = "server holds" if len(counted) == 1 else "servers hold"
        slowest = reading.slowest(counted)
        tail = f", slowest {took(slowest)}" if slowest is not None else ""
        parts.append(f"{len(counted) - len(behind)} of {len(counted)} {holding} revision {revision}{tail}.")
    if behind:
        parts.append(f"Behind: {_names(behind)}.")
    if silent:
        parts.append(f"No report lately: {_names(silent)}.")
    return " ".join(parts)


def took(span: timedelta) -> str:
    """A span as people say it, rounded down: "180 ms", "4 s", "12 min", "3 h", "2 d"."""
    seconds = span.total_seconds()
    if seconds < 1:
        return f"{int(seconds * 1000)} ms"
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{int(seconds // size)} {unit}"
    return f"{int(seconds)} s"


def flag_rows(
    definitions: Mapping[str, Mapping[str, Any]], laid: Mapping[str, tuple[Laid, ...]] | None = None
) -> list[FlagRow]:
    """The flags in the order of the readiness-strategy first, then by name."""
    rows = [_flag_row(key, body, (laid or {}).get(key, ())) for key, body in definitions.items()]
    return sorted(rows, key=lambda row: (row.key != "readiness-strategy", row.key))


def history(environment_key: str, *, before: int | None = None) -> tuple[list[Revision], int | None]:
    """A page of revisions, newest first, and the number to ask the next page with; None: there is none."""
    rows = Revision.objects.filter(environment_id=environment_key).select_related("version").order_by("-number")
    if before is not None:
        rows = rows.filter(number__lt=before)
    page = list(rows[: HISTORY_PAGE + 1])
    return page[:HISTORY_PAGE], page[HISTORY_PAGE - 1].number if len(page) > HISTORY_PAGE else None


def environments() -> list[Environment]:
    """Every environment, in order of the rollout."""
    return list(Environment.objects.all())


def stage_after(stage: Environment) -> Environment | None:
    """Where this environment's flags are promoted to."""
    return Environment.objects.filter(position__gt=stage.position).order_by("position").first()


def chosen_environment(key: str) -> Environment:
    """The environment of the address; without one, staging where it exists, else the first. Raises
    UnknownEnvironment."""
    if key:
        return reading.environment(key)
    stages = environments()
    if not stages:
        return reading.environment("staging")
    return next((stage for stage in stages if stage.key == "staging"), stages[0])


def _flag_row(key: str, body: Mapping[str, Any], laid: tuple[Laid, ...]) -> FlagRow:
    variant = str(body.get("defaultVariant"))
    variants = body.get("variants", {})
    metadata = body.get("metadata", {})
    return FlagRow(
        key=key,
        variant=variant,
        value=value_lines(variant, variants.get(variant)),
        description=str(metadata.get("description", "")),
        safe=str(metadata.get("safeVariant", "")),
        variants=tuple(variants),
        rules=bool(body.get("targeting")),
        layers=laid,
        served=served_words(body, [one.layer for one in laid]),
    )


def value_lines(variant: str, value: Any) -> tuple[str, ...]:
    """A variant's value for people: an object has a line per member; none where the variant's name says the same, and
    for what is empty."""
    if isinstance(value, bool) or value == variant:
        return ()
    if not isinstance(value, Mapping):
        return (str(value),)
    return tuple(
        f"{key}: {', '.join(_leaves(inner))}" if isinstance(inner, Mapping) else f"{key} {inner}"
        for key, inner in value.items()
        if inner != {}
    )


def _leaves(value: Mapping[str, Any], path: str = "") -> Iterator[str]:
    for key, inner in value.items():
        if isinstance(inner, Mapping):
            yield from _leaves(inner, f"{path}{key}.")
        else:
            yield f"{path}{key} {inner}"


def _server(one: Holder, revision: int) -> dict[str, Any]:
    if one.silent:
        state, note = "silent", f"no report since {timezone.localtime(one.reported_at):%H:%M:%S}"
    elif one.behind:
        state, note = "behind", f"still holds revision {one.held_revision}"
    else:
        late = f", after {took(one.took)}" if one.took is not None else ""
        state, note = "held", f"holds revision {revision}{late}"
    return {"instance": one.instance, "library": one.library_version, "state": state, "note": note, "met": _met(one)}


def _met(one: Holder) -> str:
    """What its real connections met: "1,204 connections ended since 05:12:08: 31 % left before ready (29 to 33 %)"."""
    causes = Counter[str]()
    for counts in one.connections.values():
        causes.update(counts)
    since = f" since {timezone.localtime(one.counting_since):%H:%M:%S}" if one.counting_since else ""
    whole = causes.total()
    if not whole:
        return f"no connection has ended{since}"
    turned_away = causes["not_ready"] + causes["overflow"]
    parts = [_share(causes["client_gone"], whole, "left before ready")]
    parts += [_share(turned_away, whole, "turned away, not ready")] if turned_away else []
    return f"{plural(whole, 'connection')} ended{since}: {', '.join(parts)}"


def _share(part: int, whole: int, words: str) -> str:
    read = cell(part, whole)
    return f"{read.share} {words}" + (f" ({read.bounds})" if read.bounds else "")


def _names(names: list[str], most: int = 5) -> str:
    shown = ", ".join(names[:most])
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown
