"""How often the verdict on a change is wrong, and how soon it is right: `python -m benchmarks.verdicts [--trials N]`.

Each trial is a target probed every 5 s that has failed for 10 minutes (120 probes) when somebody makes a change; the
verdict is read after each of the 120 probes that follow, as an open page does. The rows are what the change really did.
"fault flaps": it fails for 60 s and is calm for 40 s on average, and the change did nothing.

For each row: how many trials ever read cured, better, not cured or worse, and after how many probes "cured" (the
median, and nine of ten). Beside it two rules that people use: "30 clean" (cured at thirty clean probes in a row) and
"p < 0.01" (Fisher's exact test, one-sided, looked at after every probe from the fifth on).

Exit status 1 where "cured" or "better" is read more often than probes.cure.ALPHA allows (and chance adds, three
standard errors) although nothing changed and probes fail independently.
"""

import argparse
import math
import os
import random
import statistics
import sys
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial

from probes.cure import ALPHA, Slot, Verdict, judge

PROBES = 120
OBJECTIVE = 0.999
FLAPS = (12, 8)
"""Mean probes of a failing and of a calm stretch."""


@dataclass(frozen=True)
class Row:
    """What failed before, what fails since, as shares; `flaps`: in stretches that the change did not end."""

    name: str
    before: float
    since: float
    flaps: bool = False

    @property
    def nothing_changed(self) -> bool:
        return self.before == self.since


ROWS = (
    Row("nothing changed: 60 % fail", 0.6, 0.6),
    Row("nothing changed: 38 % fail", 0.38, 0.38),
    Row("nothing changed: 10 % fail", 0.1, 0.1),
    Row("nothing changed: 3 % fail", 0.03, 0.03),
    Row("nothing changed: fault flaps", 0.9, 0.9, flaps=True),
    Row("cured: 60 % to none", 0.6, 0.0),
    Row("cured: 38 % to none", 0.38, 0.0),
    Row("cured: 10 % to none", 0.1, 0.0),
    Row("cured: 3 % to none", 0.03, 0.0),
    Row("better: 60 % to 10 %", 0.6, 0.1),
    Row("worse: 0.2 % to 40 %", 0.002, 0.4),
    Row("worse: 10 % to 60 %", 0.1, 0.6),
)


@dataclass(frozen=True)
class Found:
    """What one trial ever read, and after how many probes it first read "cured"."""

    read: frozenset[str]
    cured_after: int | None
    clean: bool
    fisher: bool


def trial(row: Row, seed: int) -> Found:
    """The same seed makes the same trial."""
    draw = random.Random(f"{row.name}/{seed}")
    outcomes = _outcomes(row, draw)
    before, since = outcomes[:PROBES], outcomes[PROBES:]
    read, cured_after = set(), None
    slots = [Slot(bad, 1) for bad in since]
    for probes in range(1, PROBES + 1):
        verdict = judge([Slot(bad, 1) for bad in before], slots[:probes], OBJECTIVE, forecast=False).verdict
        read.add(verdict.value)
        if verdict is Verdict.CURED:
            cured_after = cured_after or probes
    looks = range(5, PROBES + 1)
    fisher = any(_fisher(sum(before), sum(since[:probes]), probes) < 0.01 for probes in looks)
    return Found(frozenset(read), cured_after, "0" * 30 in "".join(map(str, since)), fisher)


def _outcomes(row: Row, draw: random.Random) -> list[int]:
    if not row.flaps:
        return [int(draw.random() < (row.before if n < PROBES else row.since)) for n in range(2 * PROBES)]
    found: list[int] = []
    failing = True
    while len(found) < 2 * PROBES:
        stretch = 1 + int(draw.expovariate(1 / FLAPS[not failing]))
        found += [int(failing and draw.random() < row.before) for _ in range(stretch)]
        failing = not failing
    return found[: 2 * PROBES]


def _fisher(bad_before: int, bad: int, probes: int) -> float:
    """One-sided: so few or fewer of the failures are among the probes since."""
    whole, all_bad = PROBES + probes, bad_before + bad
    ways = math.comb(whole, probes)
    return sum(math.comb(all_bad, k) * math.comb(whole - all_bad, probes - k) for k in range(bad + 1)) / ways


def _line(row: Row, found: Sequence[Found]) -> str:
    times = sorted(one.cured_after for one in found if one.cured_after is not None)
    soon = f"{statistics.median(times):.0f} / {times[int(0.9 * (len(times) - 1))]}" if times else "-"
    read = Counter(name for one in found for name in one.read)
    shares = [read[name.value] / len(found) for name in (Verdict.CURED, Verdict.BETTER, Verdict.UNCURED, Verdict.WORSE)]
    rules = [sum(one.clean for one in found) / len(found), sum(one.fisher for one in found) / len(found)]
    cells = " ".join(f"{share:>8.1%}" for share in (*shares, *rules))
    return f"{row.name:<30} {cells} {soon:>10}"


def _wrong(row: Row, found: Sequence[Found]) -> bool:
    if not row.nothing_changed or row.flaps:
        return False
    share = sum(bool(one.read & {"cured", "better"}) for one in found) / len(found)
    return share > ALPHA + 3 * math.sqrt(ALPHA * (1 - ALPHA) / len(found))


def main() -> int:
    """Print a line for each row."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=400)
    trials = parser.parse_args().trials
    heads = " ".join(f"{name:>8}" for name in ("cured", "better", "not c.", "worse", "30 clean", "p<0.01"))
    print(f"{'':<30} {heads} {'cured after':>10}")
    wrong = False
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        for row in ROWS:
            found = list(pool.map(partial(trial, row), range(trials), chunksize=10))
            print(_line(row, found), flush=True)
            wrong |= _wrong(row, found)
    return int(wrong)


if __name__ == "__main__":
    sys.exit(main())
