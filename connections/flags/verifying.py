"""Does the record of what was done still fit together? Reads everything, writes nothing.

Chains (audit rows; versions and revisions of each environment), and what their hashes do not cover: the definitions
that a version names, what an environment serves, and who marked what known-good. People go on working meanwhile: of two
rows that are compared, the one that is written first is read first, and what is newer than the end is left out.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Max, Q
from django.utils import timezone

from connections.flags import chain
from connections.flags.chain import link
from connections.flags.changing import standing
from connections.flags.layers import Layer
from connections.flags.versions import definition_hash, set_hash_of
from connections.models import AuditRecord, Environment, Revision, Version, VersionChange
from connections.models.audit import head

CHUNK = 2000
SAME_ACT = timedelta(minutes=1)
"""A mark and its audit row were written by one act; rows from before the chain differ by moments."""
BROUGHT_BY = "readywire"
LOOKS = 3
"""Two tables are read one after the other: a change between them is told by looking again."""


@dataclass(frozen=True)
class Fault:
    """The first row of a chain that does not fit: "audit row 17", and what is wrong with it."""

    row: str
    what: str

    def __str__(self) -> str:
        return f"{self.row}: {self.what}"


@dataclass(frozen=True)
class Checked:
    """What a check found. Without `faults` all `rows` are unbroken."""

    at: datetime
    audit_rows: int
    other_rows: int
    head: str
    """NUMBER:HASH of the newest audit row. Kept elsewhere, it shows whether a whole chain was forged."""
    faults: tuple[Fault, ...]

    @property
    def rows(self) -> int:
        return self.audit_rows + self.other_rows


def verify(anchor: str = "") -> Checked:
    """Check every row. `anchor`: a `head` that was noted before, which must still be in the chain."""
    beyond = AuditRecord.objects.aggregate(last=Max("number"))["last"] or 0
    number, newest = head()
    faults = list(_audit(number, newest, beyond, anchor))
    others = 0
    for key in Environment.objects.values_list("key", flat=True):
        others += _environment(key, faults)
    return Checked(timezone.now(), number, others, f"{number}:{newest}", tuple(faults))


def _audit(last: int, newest: str, beyond: int, anchor: str) -> Iterator[Fault]:
    """The first fault of the audit rows up to `last`, whose hash is `newest`."""
    rows = AuditRecord.objects.filter(Q(number=None) | Q(number__lte=last)).order_by("number", "pk")
    anchored, place, before = False, 0, ""
    for place, row in enumerate(rows.values(*chain.AUDIT, "hash").iterator(chunk_size=CHUNK), start=1):
        held = row.pop("hash")
        if wrong := _misfit(place, before, row, held):
            missing = wrong.startswith("it is missing")
            named = "" if missing else f" ({row['action']} by {row['actor']}, {row['at']:%Y-%m-%d %H:%M:%S} UTC)"
            yield Fault(f"audit row {place}{named}", wrong)
            return
        before, anchored = held, anchored or anchor == f"{place}:{held}"
    if place < last:
        yield Fault(f"audit row {place + 1}", f"it is missing: {last} rows were written, and row {place} is the last")
    elif before != newest or beyond > last:
        yield Fault(f"audit row {max(place, beyond)}", "it is not the row that was written last")
    elif anchor and not anchored:
        yield Fault(f"audit row {anchor.partition(':')[0]}", "its hash is not the one that was noted")


def _misfit(place: int, before: str, row: Mapping[str, Any], held: str) -> str:
    """What is wrong with the row that stands in `place`; "" where it fits."""
    if row["number"] is None or not held:
        return "it was not written by this product"
    if row["number"] > place:
        return f"it is missing: row {row['number']} follows row {place - 1}"
    return "" if link(before, row) == held else "it is not what was written, or does not follow the row before it"


def _environment(key: str, faults: list[Fault]) -> int:
    """Check one environment's rows; returns how many there are."""
    told = AuditRecord.objects.filter(environment_id=key, after__revision__isnull=False).order_by("-number")
    last_told = told.values_list("after__revision", flat=True).first() or 0
    written = Revision.objects.filter(environment_id=key).aggregate(last=Max("number"))["last"] or 0
    serves = Environment.objects.values_list("revision", flat=True).get(key=key)
    revisions = Revision.objects.filter(environment_id=key, number__lte=serves)
    version = revisions.order_by("-number").values_list("version__number", flat=True).first() or 0
    versions = Version.objects.filter(environment_id=key, number__lte=version)
    if max(last_told, written) > serves or not revisions.filter(number=serves).exists():
        faults.append(
            Fault(f"environment {key}", f"it serves revision {serves}, the last one was {max(last_told, written)}")
        )
    count = _numbered(key, "version", versions.values(*Version.LINKED, "hash"), faults)
    count += _numbered(key, "revision", revisions.values(*Revision.LINKED, "hash"), faults)
    faults.extend(_layers(key))
    faults.extend(_definitions(key, version))
    faults.extend(_known_good(key))
    return count


def _layers(key: str) -> Iterator[Fault]:
    """What stands by its rows must be what the served revision says: else a kill was ended, or laid, by nobody."""
    for _ in range(LOOKS):
        served = Revision.objects.filter(environment_id=key).order_by("-number").first()
        if served is None or standing(key) == tuple(map(Layer.from_json, served.layers)):
            return
    yield Fault(f"environment {key}", "what lies over its flags is not what its newest revision says")


def _numbered(key: str, what: str, rows: Any, faults: list[Fault]) -> int:
    """Check one environment's versions or revisions; returns how many there are."""
    place, before, sound = 0, "", True
    for place, row in enumerate(rows.order_by("number", "pk").iterator(chunk_size=CHUNK), start=1):
        held = row.pop("hash")
        if sound and (wrong := _misfit(place, before, row, held)):
            faults.append(Fault(f"{what} {place} of {key}", wrong))
            sound = False
        before = held
    return place


def _definitions(key: str, last: int) -> Iterator[Fault]:
    """The first version whose set hash does not come out of its changes, or whose definition is not what it was."""
    hashes: dict[str, str] = {}
    checked: set[str] = set()
    for number, set_hash, changes in _changes(key, last):
        for flag, definition, body in changes:
            if definition is None:
                hashes.pop(flag, None)
                continue
            if definition not in checked and definition_hash(body) != definition:
                yield Fault(f"version {number} of {key}", f"the definition of {flag} is not what was written")
                return
            checked.add(definition)
            hashes[flag] = definition
        if set_hash_of(hashes) != set_hash:
            yield Fault(f"version {number} of {key}", "its flags are not the ones that were written")
            return


def _changes(key: str, last: int) -> Iterator[tuple[int, str, Iterable[tuple[str, str | None, Any]]]]:
    """Per version: its number, its set hash, and its changes as (flag, definition's hash, definition)."""
    versions = Version.objects.filter(environment_id=key, number__lte=last).order_by("number")
    for pk, number, set_hash in versions.values_list("pk", "number", "set_hash").iterator(chunk_size=CHUNK):
        changes = VersionChange.objects.filter(version_id=pk)
        yield number, set_hash, changes.values_list("flag_key", "definition_id", "definition__body").iterator()


def _known_good(key: str) -> Iterator[Fault]:
    """The mark that an emergency rollback goes by must have been set by the one who says so, and none after it."""
    marks = AuditRecord.objects.filter(environment_id=key, action="flags.known_good").order_by("-number")
    newest = marks.first()
    marked = Version.objects.filter(environment_id=key, known_good_at__isnull=False)
    good = marked.order_by("-known_good_at", "-number").first()
    if good is None or good.known_good_at is None:
        if newest is not None:
            yield Fault(f"environment {key}", "its known-good mark is gone")
        return
    if newest is not None and newest.at - good.known_good_at > SAME_ACT:
        yield Fault(f"version {good.number} of {key}", "it is not the one that was marked known-good last")
        return
    brought = good.known_good_by == good.author == BROUGHT_BY and good.known_good_at == good.created_at
    span = (good.known_good_at - SAME_ACT, good.known_good_at + SAME_ACT)
    rows = marks.filter(actor=good.known_good_by, after__version=good.number, at__range=span)
    if not brought and not rows.exists():
        yield Fault(f"version {good.number} of {key}", f"{good.known_good_by or 'nobody'} did not mark it known-good")
