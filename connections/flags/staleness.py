"""Which flags could be removed, whose they are, and why. Pure.

Three reasons: nobody evaluates it, everybody has got the same for long, or its owner said that it would be gone by now.
Flags that the gate reads stay for ever, and so do those whose metadata says `"permanent": true` (a kill switch is meant
to be the same for everybody): these are told only when their own date has passed.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from connections.flags.own_flags import TYPES

NOBODY = ""


@dataclass(frozen=True)
class Known:
    """When a flag was defined first, changed last, and evaluated last; None: never."""

    defined_at: datetime
    changed_at: datetime
    evaluated_at: datetime | None


@dataclass(frozen=True)
class StaleFlag:
    """A flag that could be removed. `owner` is "" where nobody is named; `why` says each reason in words."""

    key: str
    owner: str
    why: tuple[str, ...]
    overdue: bool
    """Its removal date has passed."""
    evaluated_at: datetime | None


def stale_flags(
    definitions: Mapping[str, Mapping[str, Any]],
    known: Mapping[str, Known],
    *,
    now: datetime,
    after: timedelta,
    counting_since: datetime | None,
) -> list[StaleFlag]:
    """Those past their date first, then by name. `counting_since`: when evaluations were counted first."""
    found = []
    for key, body in definitions.items():
        when = known.get(key)
        metadata = _metadata(body)
        date_words = _past_its_date(metadata, now.date())
        why = [date_words] if date_words else []
        if when is not None and key not in TYPES and metadata.get("permanent") is not True:
            why += _unused(when, now, after, counting_since) + _settled(body, when, now, after)
        if why:
            owner = str(metadata.get("owner", NOBODY))
            evaluated = when.evaluated_at if when else None
            found.append(StaleFlag(key, owner, tuple(why), bool(date_words), evaluated))
    return sorted(found, key=lambda one: (not one.overdue, one.key))


def everybodys_variant(definition: Mapping[str, Any]) -> str | None:
    """The one variant that everybody gets; None where it depends, or where nobody gets one."""
    if definition.get("state") != "ENABLED":
        return None
    targeting = definition.get("targeting")
    if not targeting:
        default = definition.get("defaultVariant")
        return default if isinstance(default, str) else None
    match targeting:
        case {"fractional": [[_, *_], *_] as shares} if len(targeting) == 1:
            return _only_share(shares, definition)
    return None


def _only_share(shares: list[Any], definition: Mapping[str, Any]) -> str | None:
    """The variant that has all the weight, where those without a targeting key get it too."""
    weighty = {
        share[0]
        for share in shares
        if isinstance(share, list) and share and isinstance(share[0], str) and (len(share) < 2 or share[1] != 0)
    }
    alone = weighty.pop() if len(weighty) == 1 else None
    return alone if alone is not None and alone == definition.get("defaultVariant") else None


def _unused(when: Known, now: datetime, after: timedelta, counting_since: datetime | None) -> list[str]:
    if counting_since is None:
        return []
    if when.evaluated_at is None:
        since = max(when.defined_at, counting_since)
        return [f"never evaluated in {_days(now - since)}"] if now - since > after else []
    idle = now - when.evaluated_at
    return [f"not evaluated for {_days(idle)}"] if idle > after else []


def _settled(body: Mapping[str, Any], when: Known, now: datetime, after: timedelta) -> list[str]:
    variant = everybodys_variant(body)
    if variant is None or now - when.changed_at <= after:
        return []
    return [f"fully rolled out: everybody gets {variant}, unchanged for {_days(now - when.changed_at)}"]


def _past_its_date(metadata: Mapping[str, Any], today: date) -> str:
    try:
        by = date.fromisoformat(str(metadata.get("removeBy", "")))
    except ValueError:
        return ""
    return f"was to be removed by {by:%Y-%m-%d}" if by < today else ""


def _metadata(body: Mapping[str, Any]) -> Mapping[str, Any]:
    metadata = body.get("metadata")
    return metadata if isinstance(metadata, Mapping) else {}


def _days(span: timedelta) -> str:
    return "1 day" if span.days == 1 else f"{span.days} days"
