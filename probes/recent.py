"""The last sixty slots of one target at all its locations, in order, with the JSON of each kept ready. Pure."""

import json
from bisect import bisect_left
from collections.abc import Iterable, Mapping
from typing import Any

SLOTS = 60
_WORST_FIRST = "dgmu"

Row = Mapping[str, Any]
"""One slot at one location, as `TargetStatus.recent` keeps it."""


class Recent:
    """Rows ordered by slot and location. A row of a slot and location that is there already takes its place."""

    __slots__ = ("_keys", "_texts", "rows")

    def __init__(self, rows: Iterable[Row] = ()) -> None:
        self.rows: list[Row] = []
        self._keys: list[tuple[str, str]] = []
        self._texts: list[str] = []
        for row in rows:
            self.add(row)

    def add(self, row: Row) -> None:
        """Put one row where it belongs; `ribbon` forgets those before the last sixty slots."""
        key, text = (row["slot"], row["loc"]), json.dumps(row, separators=(",", ":"))
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
        letters: dict[str, str] = {}
        for (slot, _), row in zip(self._keys, self.rows, strict=True):
            letter, other = row["letter"], letters.get(slot)
            letters[slot] = letter if other is None else min(other, letter, key=_WORST_FIRST.index)
        kept = list(letters)[-SLOTS:]
        if kept:
            first = bisect_left(self._keys, (kept[0], ""))
            del self._keys[:first], self.rows[:first], self._texts[:first]
        return "".join([letters[slot] for slot in kept])

    def text(self) -> str:
        """The rows as JSON."""
        return f"[{','.join(self._texts)}]"
