"""How often the guard and three counting rules roll back, and how soon: `python -m benchmarks.guard [--trials 4000]`.

Each trial is 25 minutes of one probe each 1.5 s, half of them served by the canary as the draw has it: 20 canary and 20
control outcomes a minute. The objective is 99 %. Every rule sees the same trials.

flagger N   the canary's share of successes in each minute is below the objective; N such minutes, ever: rollback
argo N      the same measurement; more than N failed ones: rollback
3 in a row  three canary probes in a row failed

These are the published rules in our words: Flagger's threshold counts failed checks and success never resets it (its
default is 1); Argo's failureLimit defaults to 0. The guard waits 4 s for the outcomes of a slot, as with a deadline of
3 s, and 8 s for what happens around it; the rules here are told at once. A guard that trips while the control fails
too proposes and rolls nothing back: such trials are counted apart.

Exit status 1 where the guard misses what is asked of it.
"""

import argparse
import math
import os
import random
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial

from connections.flags.guard import CONTROL_ALPHA, GuardTest, Seen

OBJECTIVE = 0.99
MINUTES, EVERY_S = 25, 1.5
HOLD_S = 4
BETWEEN_BLIPS_S = 120.0
BLIPS_AT_MOST = 0.02
"""Some twelve blips in 25 minutes: what chance may still make of them."""


@dataclass(frozen=True)
class Cell:
    """One row: how often each cohort fails, and the blips that hit both."""

    name: str
    canary: float
    control: float = 0.01
    blip: float = 0.0
    """The share that fails during a blip; 0: no blips."""
    lasts_s: tuple[float, float] = (5.0, 20.0)


HEALTHY = Cell("both at the objective: 1 %", 0.01)
BLIPS = (
    Cell("blips of 5 to 20 s: all fail", 0.01, blip=1.0),
    Cell("blips of 5 to 20 s: half fail", 0.01, blip=0.5),
    Cell("blips of 1 to 2 min: all fail", 0.01, blip=1.0, lasts_s=(60.0, 120.0)),
)
ALIKE = (Cell("both fail: 5 %", 0.05, 0.05), Cell("both fail: 10 %", 0.1, 0.1), Cell("both fail: 30 %", 0.3, 0.3))
TENTH, THIRD = Cell("canary fails: 10 %", 0.1), Cell("canary fails: 30 %", 0.3)
CELLS = (HEALTHY, *BLIPS, *ALIKE, Cell("canary fails: 5 %", 0.05), TENTH, THIRD, Cell("canary fails: 100 %", 1.0))


@dataclass(frozen=True)
class Shot:
    """One probe of a trial."""

    at_s: float
    canary: bool
    failed: bool


@dataclass(frozen=True)
class Found:
    """When a rule rolled back, in minutes; infinite: never. `proposed`: it said so, and would not have acted."""

    minute: float
    proposed: bool = False


def shots(cell: Cell, seed: int) -> list[Shot]:
    """One trial; the same seed makes the same trial."""
    draw = random.Random(seed)
    blips = _blips(cell, draw)
    begins, ends = next(blips)
    found = []
    for number in range(int(MINUTES * 60 / EVERY_S)):
        at, canary = number * EVERY_S, draw.random() < 0.5
        while at >= ends:
            begins, ends = next(blips)
        share = cell.canary if canary else cell.control
        failed = draw.random() < (max(share, cell.blip) if at >= begins else share)
        found.append(Shot(at, canary, failed))
    return found


def _blips(cell: Cell, draw: random.Random) -> Iterator[tuple[float, float]]:
    at = 0.0
    while cell.blip:
        at += draw.expovariate(1 / BETWEEN_BLIPS_S)
        lasts = draw.uniform(*cell.lasts_s)
        yield at, at + lasts
        at += lasts
    yield math.inf, math.inf


def guard(trial: Sequence[Shot]) -> Found:
    """The product's own test."""
    test = GuardTest(OBJECTIVE)
    for shot in trial:
        test.take(Seen("here", int(shot.at_s), shot.canary, shot.failed))
        test.settle(int(shot.at_s) - HOLD_S)
        if test.tripped_by is not None:
            return Found(shot.at_s / 60, test.control_fails)
    return Found(math.inf)


def counting(trial: Sequence[Shot], *, bad_minutes: int) -> Found:
    """Flagger and Argo: so many minutes in which the canary was below the objective."""
    bad = 0
    for minute in range(MINUTES):
        those = [shot for shot in trial if shot.canary and minute * 60 <= shot.at_s < (minute + 1) * 60]
        bad += sum(shot.failed for shot in those) > (1 - OBJECTIVE) * len(those)
        if bad >= bad_minutes:
            return Found(minute + 1)
    return Found(math.inf)


def three_in_a_row(trial: Sequence[Shot]) -> Found:
    row = 0
    for shot in trial:
        if shot.canary:
            row = row + 1 if shot.failed else 0
            if row == 3:
                return Found(shot.at_s / 60)
    return Found(math.inf)


RULES: dict[str, Callable[[Sequence[Shot]], Found]] = {
    "guard": guard,
    "flagger 1": partial(counting, bad_minutes=1),
    "flagger 10": partial(counting, bad_minutes=10),
    "argo 0": partial(counting, bad_minutes=1),
    "argo 3": partial(counting, bad_minutes=4),
    "3 in a row": three_in_a_row,
}


@dataclass(frozen=True)
class Result:
    """One rule in one cell, over all trials."""

    trials: int
    rolled_back: int
    proposed: int
    minutes: tuple[float, ...]
    """Sorted; infinite where it never did."""

    @property
    def share(self) -> float:
        return self.rolled_back / self.trials

    def within(self, minutes: float) -> float:
        return sum(one <= minutes for one in self.minutes) / self.trials

    def percentile(self, share: float) -> float:
        return self.minutes[min(self.trials - 1, int(share * self.trials))]


def run(cell: Cell, trials: int, pool: ProcessPoolExecutor) -> dict[str, Result]:
    """Every rule over the same trials."""
    found = list(pool.map(partial(_one, cell), range(trials), chunksize=50))
    return {name: _result([one[name] for one in found]) for name in RULES}


def _one(cell: Cell, seed: int) -> dict[str, Found]:
    trial = shots(cell, seed)
    return {name: rule(trial) for name, rule in RULES.items()}


def _result(found: Sequence[Found]) -> Result:
    proposed = sum(one.proposed for one in found)
    minutes = sorted(math.inf if one.proposed else one.minute for one in found)
    return Result(len(found), sum(math.isfinite(one) for one in minutes), proposed, tuple(minutes))


def misses(table: dict[Cell, dict[str, Result]]) -> list[str]:
    """What is asked of the guard, and was not found."""
    got = {cell: results["guard"] for cell, results in table.items()}
    asked = [
        (got[HEALTHY].share <= 0.01, "false rollbacks of a healthy canary: 1 % at most"),
        (got[THIRD].percentile(0.5) <= 2, "30 % failing: caught in 2 minutes"),
        (got[TENTH].percentile(0.5) <= 4, "10 % failing: caught in 4 minutes"),
        *((got[cell].share <= BLIPS_AT_MOST, f"{cell.name}: trips next to nothing") for cell in BLIPS),
        *((got[cell].share <= CONTROL_ALPHA, f"{cell.name}: within its bound") for cell in ALIKE),
    ]
    return [words for held, words in asked if not held]


def _line(result: Result) -> str:
    if not result.rolled_back:
        return "    0 %        "
    half = result.percentile(0.5)
    return f"{100 * result.share:5.1f} %" + (f" @{half:5.1f}  " if math.isfinite(half) else "         ")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=4000)
    trials = parser.parse_args().trials
    print(f"{trials} trials of {MINUTES} min a cell. Rolled back @ median minute, where at least half were.\n")
    print(f"{'':31}" + "".join(f"{name:<17}" for name in RULES))
    table: dict[Cell, dict[str, Result]] = {}
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        for cell in CELLS:
            table[cell] = run(cell, trials, pool)
            print(f"{cell.name:<31}" + "".join(f"{_line(one):<17}" for one in table[cell].values()), flush=True)
    print(
        "\nThe guard more closely: p50, p90 in minutes; within 2 and 4 minutes; proposals while the control failed too"
    )
    for cell, results in table.items():
        got = results["guard"]
        times = f"{got.percentile(0.5):6.2f} {got.percentile(0.9):6.2f}"
        shares = f"{100 * got.within(2):6.1f} % {100 * got.within(4):6.1f} %"
        print(f"{cell.name:<31} {times}   {shares}   {got.proposed}  ({got.rolled_back} of {got.trials})")
    missed = misses(table)
    print("\n" + ("\n".join(f"MISSED: {words}" for words in missed) or "All that is asked of the guard was found."))
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
