"""Whether a fault is one of a strategy, or of a location, by counts: told only where 95 % bounds do not meet. Pure."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from probes.histogram import bounds

FEWEST = 10
"""Probes on each side. Under this, counts are told and nothing is concluded from them."""
TIMES = 4
"""How much more often one side fails: else both fail, however well their bounds are told apart."""


@dataclass(frozen=True, slots=True)
class Group:
    """Probes of one target that were served alike, from one place. `strategy`: empty where the server did not say."""

    strategy: str
    revision: int | None
    location: str
    probes: int
    failed: int


@dataclass(frozen=True, slots=True)
class Attribution:
    """The strategy whose connections fail, against all others."""

    strategy: str
    revisions: tuple[int, ...]
    failed: int
    probes: int
    rest_failed: int
    rest_probes: int


@dataclass(frozen=True, slots=True)
class Places:
    """Where it fails. `only`: nowhere else; `every`: at each location; neither: mostly there."""

    names: tuple[str, ...]
    only: bool = False
    every: bool = False


@dataclass(slots=True)
class _Count:
    failed: int = 0
    probes: int = 0

    def add(self, group: Group) -> None:
        self.failed += group.failed
        self.probes += group.probes


def attribution(groups: Sequence[Group]) -> Attribution | None:
    """The strategy that fails apart from the others; None where nothing proves it.

    Connections whose strategy is not known count among the others, so that they speak against it.
    """
    counts = _counted(groups, lambda group: group.strategy)
    named = [strategy for strategy in counts if strategy]
    worst = max(named, key=lambda one: counts[one].failed / max(1, counts[one].probes), default="")
    if not worst:
        return None
    rest = _rest(counts, {worst})
    if not _apart(counts[worst], rest):
        return None
    of_it = {each.revision for each in groups if each.strategy == worst and each.failed and each.revision is not None}
    mine = counts[worst]
    return Attribution(worst, tuple(sorted(of_it)), mine.failed, mine.probes, rest.failed, rest.probes)


def places(groups: Sequence[Group]) -> Places | None:
    """Where a target fails that is probed from several locations; None for one location, or where it is not clear."""
    counts = _counted(groups, lambda group: group.location)
    if len(counts) < 2:
        return None
    failing = {name for name, count in counts.items() if count.failed}
    worst = max(counts, key=lambda name: counts[name].failed / max(1, counts[name].probes))
    if failing == set(counts):
        apart = _apart(counts[worst], _rest(counts, {worst}))
        return Places((worst,)) if apart else Places(tuple(sorted(failing)), every=True)
    there = _Count(sum(counts[name].failed for name in failing), sum(counts[name].probes for name in failing))
    return Places(tuple(sorted(failing)), only=True) if _apart(there, _rest(counts, failing)) else None


def _counted(groups: Iterable[Group], key: Callable[[Group], str]) -> dict[str, _Count]:
    counts: dict[str, _Count] = defaultdict(_Count)
    for group in groups:
        counts[key(group)].add(group)
    return dict(counts)


def _rest(counts: dict[str, _Count], names: set[str]) -> _Count:
    others = [count for name, count in counts.items() if name not in names]
    return _Count(sum(count.failed for count in others), sum(count.probes for count in others))


def _apart(worse: _Count, better: _Count) -> bool:
    """Enough probes on both sides, one of which fails far more often, and intervals that do not meet."""
    if min(worse.probes, better.probes) < FEWEST:
        return False
    if worse.failed * better.probes < TIMES * better.failed * worse.probes:
        return False
    return bounds(worse.failed, worse.probes)[0] > bounds(better.failed, better.probes)[1]
