"""Whole versions from the rows of what each changed, kept in memory so that the next one costs its changes alone.

A version never changes, and its `set_hash` names its content: what is kept is found by that hash, so a kept set cannot
be mistaken for another one, whatever was rolled back or restored meanwhile.
"""

import threading
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from django.db.models import F, Window
from django.db.models.functions import RowNumber

from connections.flags.layers import STORED_ONLY, StoredBody
from connections.flags.versions import set_hash_of
from connections.models import Version, VersionChange

MOST_KEPT = 8
"""Versions kept in a process; those of one environment share every definition that they have in common."""

Row = tuple[str, str | None, dict[str, Any] | None]
"""A flag's key, and its definition's hash and body; None: it was removed."""


@dataclass(frozen=True)
class StoredSet:
    """All definitions of one version, whose bodies nobody may change, with their hashes."""

    definitions: dict[str, dict[str, Any]]
    hashes: dict[str, str]

    @cached_property
    def set_hash(self) -> str:
        """The hash of the whole set."""
        return set_hash_of(self.hashes)

    def changed(self, rows: Iterable[Row]) -> "StoredSet":
        """The set after these changes, in their order."""
        definitions, hashes = dict(self.definitions), dict(self.hashes)
        for key, digest, body in rows:
            if body is None or digest is None:
                definitions.pop(key, None)
                hashes.pop(key, None)
            else:
                definitions[key], hashes[key] = _read(body), digest
        return StoredSet(definitions, hashes)

    def only(self, keys: Iterable[str]) -> "StoredSet":
        """These flags alone."""
        wanted = list(keys)
        return StoredSet({key: self.definitions[key] for key in wanted}, {key: self.hashes[key] for key in wanted})


def _read(body: dict[str, Any]) -> dict[str, Any]:
    return body if body.keys().isdisjoint(STORED_ONLY) else StoredBody(body)


class _Kept:
    """The sets that were read last, by hash. Used from several threads."""

    def __init__(self) -> None:
        self._sets: OrderedDict[str, StoredSet] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, set_hash: str) -> StoredSet | None:
        with self._lock:
            if set_hash in self._sets:
                self._sets.move_to_end(set_hash)
            return self._sets.get(set_hash)

    def put(self, one: StoredSet) -> None:
        with self._lock:
            self._sets[one.set_hash] = one
            self._sets.move_to_end(one.set_hash)
            while len(self._sets) > MOST_KEPT:
                self._sets.popitem(last=False)

    def hashes(self) -> list[str]:
        with self._lock:
            return list(self._sets)


_kept = _Kept()


def load(environment_key: str, version_number: int) -> StoredSet:
    """All definitions of an existing version: each flag's newest change up to it."""
    versions = Version.objects.filter(environment_id=environment_key)
    wanted = versions.values_list("set_hash", flat=True).get(number=version_number)
    if (kept := _kept.get(wanted)) is not None:
        return kept
    # Of the versions before it, the newest whose content is kept.
    earlier = versions.filter(number__lt=version_number, set_hash__in=_kept.hashes()).order_by("-number")
    for number, set_hash in earlier.values_list("number", "set_hash")[:1]:
        if (before := _kept.get(set_hash)) is not None:
            found = before.changed(_changes(environment_key, number, version_number))
            if found.set_hash == wanted:
                _kept.put(found)
                return found
    found = _whole(environment_key, version_number)
    if found.set_hash == wanted:
        _kept.put(found)
    return found


def _changes(environment_key: str, after: int, up_to: int) -> Iterable[Row]:
    changes = VersionChange.objects.filter(
        version__environment_id=environment_key, version__number__gt=after, version__number__lte=up_to
    )
    return changes.order_by("version__number").values_list("flag_key", "definition_id", "definition__body")


def _whole(environment_key: str, version_number: int) -> StoredSet:
    latest_first = Window(RowNumber(), partition_by=F("flag_key"), order_by=F("version__number").desc())
    rows = (
        VersionChange.objects.filter(version__environment_id=environment_key, version__number__lte=version_number)
        .annotate(age=latest_first)
        .filter(age=1)
        .values_list("flag_key", "definition_id", "definition__body")
    )
    # Removed flags are dropped here: as a condition, it would apply before the newest change is found.
    found = sorted((row for row in rows if row[2] is not None), key=lambda row: row[0])
    return StoredSet({key: _read(body) for key, _, body in found}, {key: digest for key, digest, _ in found})
