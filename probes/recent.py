"""The last sixty slots of one target at all its locations, in order, with the JSON of each kept ready. Pure."""

import json
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from probes.schedule import EPOCH

SLOTS = 60
_WORST_FIRST = "dgmu"
_encode = json.JSONEncoder(separators=(",", ":")).encode

Row = Mapping[str, Any]
"""One slot at one location: the fields of `STORED`, and "ok"."""

STORED = ("slot", "loc", "letter", "kind", "race_us", "delivered", "expected", "strategy", "revision")
"""What `TargetStatus.recent` keeps of a row, as a list: it is written at every outcome, and names would double it."""
LETTER, RACE_US, DELIVERED, EXPECTED = (STORED.index(name) for name in ("letter", "race_us", "delivered", "expected"))
_OK = "ug"


def microseconds(instant: datetime) -> int:
    """An instant as a row's "slot": microseconds since the epoch."""
    return (instant - EPOCH) // timedelta(microseconds=1)


def packed(row: Row) -> list[Any]:
    """The row as it is stored."""
    return [row[name] for name in STORED]


def unpacked(stored: Iterable[Any]) -> list[dict[str, Any]]:
    """Stored rows by name."""
    rows = [dict(zip(STORED, each, strict=True)) for each in lists(stored)]
    for row in rows:
        row["ok"] = row["letter"] in _OK
    return rows


def lists(stored: Iterable[Any]) -> Sequence[Sequence[Any]]:
    """Stored rows as lists, also those that an earlier version stored as objects."""
    return [each if isinstance(each, list) else _of_object(each) for each in stored]


def _of_object(row: Row) -> list[Any]:
    return packed({**row, "slot": microseconds(datetime.fromisoformat(row["slot"]))})


class Recent:
    """Rows ordered by slot and location. A row of a slot and location that is there already takes its place."""

    __slots__ = ("_keys", "_locations", "_texts", "rows")

    def __init__(self, rows: Iterable[Row] = ()) -> None:
        self.rows: list[Row] = []
        self._locations: set[str] = set()
        self._keys: list[tuple[int, str]] = []
        self._texts: list[str] = []
        for row in rows:
            self.add(row)

    def add(self, row: Row) -> None:
        """Put one row where it belongs; `ribbon` forgets those before the last sixty slots."""
        key, text = (row["slot"], row["loc"]), _encode(packed(row))
        self._locations.add(row["loc"])
        place = len(self._keys)
        if place and key <= self._keys[-1]:
            place = bisect_left(self._keys, key)
            if self._keys[place] == key:
                self.rows[place], self._texts[place] = row, text
                return
        self._keys.insert(place, key)
        self.rows.insert(place, row)
        self._texts.insert(place, text)

    def ribbon(self) -> str:
        """One letter per slot, oldest first, the worst of its locations; forgets what is older than sixty slots."""
        if len(self._locations) == 1:
            self._forget(len(self.rows) - SLOTS)
            return "".join([row["letter"] for row in self.rows])
        letters: dict[int, str] = {}
        for (slot, _), row in zip(self._keys, self.rows, strict=True):
            letter, other = row["letter"], letters.get(slot)
            letters[slot] = letter if other is None else min(other, letter, key=_WORST_FIRST.index)
        kept = list(letters)[-SLOTS:]
        if kept:
            self._forget(bisect_left(self._keys, (kept[0], "")))
        return "".join([letters[slot] for slot in kept])

    def _forget(self, rows: int) -> None:
        if rows > 0:
            del self._keys[:rows], self.rows[:rows], self._texts[:rows]

    def text(self) -> str:
        """The rows as JSON, each `packed`."""
        return f"[{','.join(self._texts)}]"
