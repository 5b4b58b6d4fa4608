"""What the page of the flags' use shows: which could be removed, which are evaluated, and who is served what."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings

from connections.flags import reading, using
from connections.flags.staleness import StaleFlag
from connections.flags.targeting_words import rules_in_words
from connections.flags.using import UsedFlag
from connections.models import FlagUse
from dashboard.sentences import plural

SHOWN = 100
"""Lines of a list; the rest is told as a number."""
NOW = timedelta(minutes=5)
"""Whoever evaluated a flag within this time still does."""


@dataclass(frozen=True)
class Reader:
    """One server or client that was served one variant."""

    name: str
    kind: str
    count: int
    last_at: datetime
    still: bool


@dataclass(frozen=True)
class VariantUse:
    """Everybody who was served a variant."""

    variant: str
    served: bool
    """It is what everybody is served whom no rule decides."""
    readers: tuple[Reader, ...]
    more: int


def use_page(environment_key: str, flag_key: str, *, now: datetime) -> dict[str, Any]:
    """The page's context, without its environments. Raises UnknownEnvironment."""
    flags = reading.flag_set(environment_key)
    after = timedelta(days=settings.FLAG_STALE_DAYS)
    # Owners and dates stand in what is stored; what lies over it stands in what is served.
    stale = using.stale(environment_key, flags.served, now=now, after=after)
    used = [one for one in using.used_flags(environment_key) if one.key in flags.definitions]
    definition = flags.served.get(flag_key)
    return {
        "flag": flag_key,
        "known": definition is not None,
        "rules": rules_in_words(definition) if definition is not None else [],
        "variants": _variants(environment_key, flag_key, definition or {}, now) if flag_key else [],
        "stale": stale[:SHOWN],
        "stale_more": max(0, len(stale) - SHOWN),
        "used": used[:SHOWN],
        "used_more": max(0, len(used) - SHOWN),
        "sentence": sentence(stale, used, len(flags.definitions)),
        "bulk_at": using.last_bulk_answer(environment_key),
        "days": settings.FLAG_STALE_DAYS,
    }


def sentence(stale: list[StaleFlag], used: list[UsedFlag], whole: int) -> str:
    """The page's first line."""
    parts = [f"{len(used)} of {plural(whole, 'flag')} {'has' if len(used) == 1 else 'have'} been evaluated."]
    if stale:
        overdue = sum(one.overdue for one in stale)
        tail = f", {overdue} of them past the date" if overdue else ""
        parts.append(f"{len(stale)} could be removed{tail}.")
    else:
        parts.append("None is due to be removed.")
    return " ".join(parts)


def _variants(environment_key: str, flag_key: str, definition: Any, now: datetime) -> list[VariantUse]:
    grouped: dict[str, list[FlagUse]] = {}
    for row in using.uses_of(environment_key, flag_key):
        grouped.setdefault(row.variant, []).append(row)
    default = definition.get("defaultVariant")
    return [
        VariantUse(
            variant=variant,
            served=variant == default,
            readers=tuple(_reader(row, now) for row in rows[:SHOWN]),
            more=max(0, len(rows) - SHOWN),
        )
        for variant, rows in sorted(grouped.items())
    ]


def _reader(row: FlagUse, now: datetime) -> Reader:
    kind = "watched server" if row.source == FlagUse.Source.SERVER else "OFREP key"
    return Reader(row.reader, kind, row.count, row.last_at, now - row.last_at <= NOW)
