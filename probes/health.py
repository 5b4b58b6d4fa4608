"""What a target is, from its recent slots: k-of-n with hysteresis. Pure.

The rule reads `probes.recent` rows. Slots without an outcome because of us (missed, probe_error, policy_denied:
letter "m") never count for or against the target; when there is nothing else, the target is stale.
"""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

DOWN_FAILURES, DOWN_OF = 3, 5
"""Down: so many of the last so many probes failed at a location."""
CLEAN_TO_RECOVER = 3
"""Up again after down: so many successes in a row. What failed before them is forgotten."""
CLEAN_AFTER_RELAPSE = 9
"""The same where the recent slots hold an earlier recovery: a target that fails now and then must not flap."""
DEGRADED_FAILURES, DEGRADED_OF = 2, 20
"""Degraded: at least so many of the last so many failed, but not enough for down."""
SLOW_OF, SLOW_AT_LEAST = 20, 5
"""Degraded: p95 of ready over the last so many successes is above the objective; fewer than the second are no p95."""
SLOW_UNTIL = 0.9
"""Hysteresis: what is degraded stays so until p95 is below this share of the objective."""
STALE_AFTER = 3
"""Stale: so many newest slots without an outcome because of us, at every location."""
FEWEST_TO_JUDGE = 3
"""Fewer probes than this with a failure among them are too few to judge."""

_LAST = (1 << DOWN_OF) - 1

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Verdict:
    """A value of `TargetStatus.State`, and a plain sentence that says why."""

    state: str
    why: str


@dataclass(frozen=True, slots=True)
class _Place:
    """One location's part: `counted` are the probes that count since the last recovery, oldest first."""

    location: str
    counted: list[Row]
    down: bool
    clean_needed: int
    """Successes in a row that it needs, or needed last, to count as up."""
    idle: int
    """Newest slots in a row without an outcome because of us."""


@dataclass(frozen=True, slots=True)
class _Facts:
    places: list[_Place]
    counted: list[Row]
    before: str
    objective_us: int
    paused_by: str


def judge(recent: Sequence[Row], *, before: str, objective_us: int, paused_by: str = "") -> Verdict:
    """The target's state and why. `recent` rows are oldest first; `before` is the state so far (for hysteresis).

    `objective_us` is what p95 of ready must not exceed; `paused_by` is not empty while a person paused the target.
    """
    places = [_place(location, rows, before) for location, rows in _by_location(recent)]
    counted = places[0].counted if len(places) == 1 else [row for place in places for row in place.counted]
    facts = _Facts(places, counted, before, objective_us, paused_by)
    for state, rule in _RULES:
        if why := rule(facts):
            return Verdict(state, why)
    return Verdict("up", _share_ok(counted))


def _by_location(recent: Sequence[Row]) -> list[tuple[str, Sequence[Row]]]:
    locations = sorted({row["loc"] for row in recent})
    if len(locations) == 1:
        return [(locations[0], recent)]
    return [(location, [row for row in recent if row["loc"] == location]) for location in locations]


def _place(location: str, rows: Sequence[Row], before: str) -> _Place:
    down, clean, idle, needed = before == "down", 0, 0, CLEAN_TO_RECOVER
    counted: list[Row] = []
    last = 0  # one bit for each of the last DOWN_OF that count: set where it failed. This runs at every outcome.
    for row in rows:
        if row["letter"] == "m":
            idle += 1
            continue
        idle = 0
        counted.append(row)
        failed = not row["ok"]
        clean = 0 if failed else clean + 1
        last = (last << 1 | failed) & _LAST
        if down and clean >= needed:
            # Where the window begins down without a failure in it, this is no recovery from one that we see.
            relapses = _failed(counted) > 0
            down, counted, last = False, counted[-needed:], 0
            needed = CLEAN_AFTER_RELAPSE if relapses else needed
        elif not down:
            down = last.bit_count() >= DOWN_FAILURES
    return _Place(location, counted, down and bool(counted), needed, idle)


def _paused(facts: _Facts) -> str:
    return f"Paused by {facts.paused_by}." if facts.paused_by else ""


def _stale(facts: _Facts) -> str:
    if not facts.places or any(place.idle < STALE_AFTER for place in facts.places):
        return ""
    n = min(place.idle for place in facts.places)
    return f"The last {n} slots have no outcome, because of us: the target was not measured."


def _unknown(facts: _Facts) -> str:
    if not facts.counted:
        return "Not probed yet."
    failed = _failed(facts.counted)
    if failed and facts.before in ("unknown", "stale", "paused") and len(facts.counted) < FEWEST_TO_JUDGE:
        return f"{failed} of the first {len(facts.counted)} probes failed: too few to judge."
    return ""


def _down(facts: _Facts) -> str:
    judged = [place for place in facts.places if place.counted]
    if not all(place.down for place in judged):
        return ""
    return _down_sentence(max(judged, key=lambda place: _failed(place.counted[-DOWN_OF:])))


def _down_somewhere(facts: _Facts) -> str:
    down = [place for place in facts.places if place.down]
    if not down:
        return ""
    names = ", ".join(place.location for place in down)
    return f"Down at {names} only. {_down_sentence(down[0])}"


def _down_sentence(place: _Place) -> str:
    last = place.counted[-DOWN_OF:]
    if failed := _failed(last):
        return f"{failed} of the last {len(last)} probes failed{_mostly(last)}."
    return f"It was down, and needs {place.clean_needed} successes in a row to count as up."


def _failing(facts: _Facts) -> str:
    for place in facts.places:
        last = place.counted[-DEGRADED_OF:]
        if (failed := _failed(last)) >= DEGRADED_FAILURES:
            where = f" at {place.location}" if len(facts.places) > 1 else ""
            return f"{failed} of the last {len(last)} probes failed{where}{_mostly(last)}."
    return ""


def _slow(facts: _Facts) -> str:
    newest_first = (row["race_us"] for row in reversed(facts.counted) if row["ok"] and row["race_us"] is not None)
    times = list(islice(newest_first, SLOW_OF))
    if len(times) < SLOW_AT_LEAST:
        return ""
    p95 = sorted(times)[math.ceil(0.95 * len(times)) - 1]
    limit = facts.objective_us * (SLOW_UNTIL if facts.before == "degraded" else 1)
    if p95 <= limit:
        return ""
    return f"Ready p95 is {p95 / 1000:.0f} ms; the objective is {facts.objective_us / 1000:.0f} ms."


_RULES: tuple[tuple[str, Callable[[_Facts], str]], ...] = (
    ("paused", _paused),
    ("stale", _stale),
    ("unknown", _unknown),
    ("down", _down),
    ("degraded", _down_somewhere),
    ("degraded", _failing),
    ("degraded", _slow),
)
"""In order of precedence; the first rule that gives a sentence decides. Where none does, the target is up."""


def _failed(rows: Sequence[Row]) -> int:
    return len([row for row in rows if not row["ok"]])


def _mostly(rows: Sequence[Row]) -> str:
    kinds = Counter(row["kind"] for row in rows if not row["ok"]).most_common(1)
    return f", mostly {kinds[0][0]}" if kinds else ""


def _share_ok(rows: Sequence[Row]) -> str:
    last = rows[-DEGRADED_OF:]
    ok = len(last) - _failed(last)
    return f"{ok} of the last {len(last)} probes succeeded."
