"""Who was served which variant of which flag, how often, and when last: counted as readers tell it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from django.db import transaction
from django.db.models import Count, F, Max, Min, Sum

from connections.flags.staleness import Known, StaleFlag, stale_flags
from connections.models import FlagUse, VersionChange

EVERY_FLAG = "*"
"""Stands for a bulk answer: it gives every flag, and does not tell which of them the client uses."""


class Place(NamedTuple):
    """What is counted: one variant of one flag by one reader."""

    environment: str
    source: str
    reader: str
    flag: str
    variant: str


@dataclass
class Counted:
    """How often since the last time, and when last."""

    count: int
    at: datetime


class Tally(dict[Place, Counted]):
    """Uses that are to be written. On one thread or event loop."""

    def add(self, place: Place, at: datetime, count: int = 1) -> None:
        known = self.get(place)
        if known is None:
            self[place] = Counted(count, at)
        else:
            known.count += count
            known.at = max(known.at, at)

    def taken(self) -> "Tally":
        """What has been added so far; nothing is left here."""
        found = Tally(self)
        self.clear()
        return found


def record(tally: Mapping[Place, Counted]) -> None:
    """Add to what is stored. In one order for everybody, so that two writers never wait for each other in a circle."""
    with transaction.atomic():
        for place, counted in sorted(tally.items(), key=lambda one: one[0]):
            where = {
                "environment_id": place.environment, "source": place.source, "reader": place.reader,
                "flag_key": place.flag, "variant": place.variant,
            }  # fmt: skip
            rows = FlagUse.objects.filter(**where)
            if not rows.update(count=F("count") + counted.count, last_at=counted.at):
                first = {"count": counted.count, "first_at": counted.at, "last_at": counted.at}
                _, made = rows.get_or_create(**where, defaults=first)
                if not made:
                    rows.update(count=F("count") + counted.count, last_at=counted.at)


def record_alone(tally: Mapping[Place, Counted]) -> None:
    """The same in two statements, for a caller whose transaction keeps everybody else from these readers' rows."""
    if not tally:
        return
    readers = {place.reader for place in tally}
    rows = FlagUse.objects.filter(environment__in={place.environment for place in tally}, reader__in=readers)
    stored = {Place(row.environment_id, row.source, row.reader, row.flag_key, row.variant): row for row in rows}
    written = []
    for place, counted in tally.items():
        row = stored.get(place) or FlagUse(
            environment_id=place.environment, source=place.source, reader=place.reader, flag_key=place.flag,
            variant=place.variant, first_at=counted.at,
        )  # fmt: skip
        row.count, row.last_at, row.pk = row.count + counted.count, counted.at, None
        written.append(row)
    FlagUse.objects.bulk_create(
        written,
        update_conflicts=True,
        unique_fields=["environment", "source", "reader", "flag_key", "variant"],
        update_fields=["count", "last_at"],
        batch_size=200,
    )


def uses_of(environment_key: str, flag_key: str) -> list[FlagUse]:
    """Everybody who was served a flag, by variant, the last one first."""
    rows = FlagUse.objects.filter(environment_id=environment_key, flag_key=flag_key)
    return sorted(rows, key=lambda row: (row.variant, -row.last_at.timestamp(), row.reader))


def last_bulk_answer(environment_key: str) -> datetime | None:
    """When an OFREP client last got every flag at once."""
    rows = FlagUse.objects.filter(environment_id=environment_key, flag_key=EVERY_FLAG)
    last: datetime | None = rows.aggregate(last=Max("last_at"))["last"]
    return last


@dataclass(frozen=True)
class UsedFlag:
    """A flag that somebody evaluated: variant -> how many readers were served it."""

    key: str
    readers: dict[str, int]
    count: int
    last_at: datetime


def used_flags(environment_key: str) -> list[UsedFlag]:
    """Every flag that was evaluated, the last one first."""
    rows = FlagUse.objects.filter(environment_id=environment_key).exclude(flag_key=EVERY_FLAG)
    grouped = rows.values("flag_key", "variant").annotate(readers=Count("pk"), last=Max("last_at"))
    counts = dict(rows.values_list("flag_key").annotate(total=Sum("count")))
    found: dict[str, UsedFlag] = {}
    for row in grouped.order_by("flag_key", "variant"):
        key = row["flag_key"]
        known = found.get(key)
        readers = {**(known.readers if known else {}), row["variant"]: row["readers"]}
        last = max(row["last"], known.last_at) if known else row["last"]
        found[key] = UsedFlag(key, readers, counts[key], last)
    return sorted(found.values(), key=lambda one: (-one.last_at.timestamp(), one.key))


def stale(
    environment_key: str, definitions: Mapping[str, Mapping[str, object]], *, now: datetime, after: timedelta
) -> list[StaleFlag]:
    """The flags that could be removed. `definitions`: as they are served."""
    changes = VersionChange.objects.filter(version__environment_id=environment_key)
    dated = changes.values_list("flag_key").annotate(Min("version__created_at"), Max("version__created_at"))
    uses = FlagUse.objects.filter(environment_id=environment_key)
    last = dict(uses.exclude(flag_key=EVERY_FLAG).values_list("flag_key").annotate(Max("last_at")))
    counting_since = uses.aggregate(first=Min("first_at"))["first"]
    known = {key: Known(defined, changed, last.get(key)) for key, defined, changed in dated if key in definitions}
    return stale_flags(definitions, known, now=now, after=after, counting_since=counting_since)
