"""What a target's last sixty slots amount to, worked out again only for those that are new."""

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from dashboard import shapes
from probes.recent import DELIVERED, EXPECTED, LETTER, RACE_US, lists


@dataclass(frozen=True, slots=True)
class Figures:
    """What a status row's last sixty slots amount to. Latencies in microseconds; inf is "never"."""

    p50: float
    p95: float
    delivered: int
    expected: int
    spark: str
    """`shapes.spark_letters`, of which the browser draws the line as `shapes.spark_path` does."""
    spark_objective: float
    probes: int = 0


class _Slot(NamedTuple):
    """One slot's part."""

    counts: bool
    """Not where the slot is ours."""
    race_us: float | None
    delivered: int
    expected: int
    spark: str


class LastSlots:
    """One target's last sixty slots, read again and again from `TargetStatus.recent` as the database's text."""

    def __init__(self, objective_ms: int) -> None:
        self.objective_ms = objective_ms
        self._known: dict[str, _Slot] = {}

    def read(self, text: str) -> Figures:
        """The figures of the slots in the text. Of a slot that stood in the text before, nothing is parsed again."""
        try:
            self._known = {piece: self._known.get(piece) or self._parse(piece) for piece in _pieces(text)}
        except (ValueError, IndexError, KeyError, TypeError):
            # A name that holds our separator, or rows of an earlier version: read as a whole.
            self._known = {}
            return figures(lists(json.loads(text)), self.objective_ms)
        return _add_up(list(self._known.values()), self.objective_ms)

    def _parse(self, piece: str) -> _Slot:
        return _slot(json.loads(f"[{piece}]"), self.objective_ms)


def _pieces(text: str) -> Iterable[str]:
    # PostgreSQL writes JSON with spaces. A cut within a string leaves a quote open, so its piece cannot be parsed.
    inside = text[2:-2]
    return inside.split("], [" if "], [" in inside else "],[") if inside else ()


def figures(recent: Sequence[Sequence[Any]], objective_ms: int) -> Figures:
    """Percentiles, delivery and sparkline of the last sixty slots (as `probes.recent.lists`); ours are left out."""
    return _add_up([_slot(row, objective_ms) for row in recent], objective_ms)


def _slot(row: Sequence[Any], objective_ms: int) -> _Slot:
    race = _race(row)
    spark = shapes.spark_letter(race, objective_ms * 1000 * 2)
    return _Slot(row[LETTER] != "m", race, row[DELIVERED], row[EXPECTED], spark)


def _add_up(slots: Sequence[_Slot], objective_ms: int) -> Figures:
    probes = [slot for slot in slots if slot.counts]
    races = sorted([slot.race_us for slot in probes if slot.race_us is not None])
    return Figures(
        p50=_percentile(races, 0.5),
        p95=_percentile(races, 0.95),
        delivered=sum([slot.delivered for slot in probes]),
        expected=sum([slot.expected for slot in probes]),
        spark=shapes.spark_letters([slot.spark for slot in slots]),
        spark_objective=shapes.spark_y(objective_ms * 1000, objective_ms * 1000 * 2),
        probes=len(probes),
    )


def _race(row: Sequence[Any]) -> float | None:
    """Microseconds; "never" for a failure that was not ready, None for what is ours and a success that only listens."""
    letter: str = row[LETTER]
    if letter == "m":
        return None
    us: float | None = row[RACE_US]
    return math.inf if us is None and letter == "d" else us


def _percentile(ordered: Sequence[float], q: float) -> float:
    """Nearest rank; NaN of nothing."""
    return ordered[max(0, math.ceil(q * len(ordered)) - 1)] if ordered else math.nan
