"""What is different about some probes, pure: what they share more often than the rest does, with counts.

Selection against baseline is Honeycomb's idea (BubbleUp). A difference counts as proven where the 95 % bounds of both
shares lie apart, which chance alone makes rarer than one time in a hundred per comparison.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from dashboard import sentences
from probes.histogram import bounds

MOST_TRAITS = 8
WORDS = {
    "strategy": "were served by {}",
    "revision": "were served by revision {}",
    "location": "were probed from {}",
    "address": "were answered by {}",
    "kind": "ended as {}",
}
"""Each dimension, and how a sentence tells its value."""


@dataclass(frozen=True, slots=True)
class Group:
    """Probes that are alike in every dimension: how many of them are selected, and how many are not."""

    values: Mapping[str, str]
    picked: int
    rest: int


@dataclass(frozen=True, slots=True)
class Trait:
    """A value that the selected probes have more often than the rest: n of so many, against n of so many."""

    dimension: str
    value: str
    picked: int
    picked_of: int
    rest: int
    rest_of: int

    @property
    def difference(self) -> float:
        """Difference of the two shares, 0 to 1."""
        return self.picked / self.picked_of - self.rest / self.rest_of

    @property
    def proven(self) -> bool:
        return bounds(self.picked, self.picked_of)[0] > bounds(self.rest, self.rest_of)[1]

    @property
    def bars(self) -> tuple[float, float]:
        """Both shares in per cent, to be drawn."""
        return round(100 * self.picked / self.picked_of, 1), round(100 * self.rest / self.rest_of, 1)

    @property
    def words(self) -> str:
        return WORDS[self.dimension].format(self.value)

    @property
    def counts(self) -> tuple[tuple[str, str], tuple[str, str]]:
        """("98 %", "139 of 141") of the selected and of the rest; of few, ("4 of 7", "")."""
        return _counts(self.picked, self.picked_of), _counts(self.rest, self.rest_of)


@dataclass(frozen=True, slots=True)
class Difference:
    """The answer: `traits` with the largest difference first, those that are proven before all others."""

    picked: int
    rest: int
    traits: list[Trait]

    @property
    def sentence(self) -> str:
        if not self.picked:
            return "No probe lies in this area."
        if not self.rest:
            return "Nothing is left to compare with: every probe lies in this area."
        proven = [trait for trait in self.traits if trait.proven]
        if not proven:
            return (
                f"Nothing is proven to tell {_these(self.picked)} from the other {sentences.count(self.rest)}: "
                "no strategy, revision, location, address or kind."
            )
        first, (mine, others) = proven[0], map(_in_a_sentence, proven[0].counts)
        return f"{mine} of these {first.words}, against {others} of the rest."


def difference(groups: Iterable[Group]) -> Difference:
    """What tells the selected probes of all groups from the rest."""
    counted: dict[str, tuple[Counter[str], Counter[str]]] = defaultdict(lambda: (Counter(), Counter()))
    picked = rest = 0
    for group in groups:
        picked += group.picked
        rest += group.rest
        for dimension, value in group.values.items():
            mine, others = counted[dimension]
            mine[value] += group.picked
            others[value] += group.rest
    if not picked or not rest:
        return Difference(picked, rest, [])
    traits = [
        Trait(dimension, value, n, picked, counted[dimension][1][value], rest)
        for dimension in WORDS
        for value, n in counted[dimension][0].items()
    ]
    # What is rarer among the selected is the same difference seen from the other side.
    found = [trait for trait in traits if trait.difference > 0]
    found.sort(key=lambda trait: (not trait.proven, -trait.difference, list(WORDS).index(trait.dimension), trait.value))
    return Difference(picked, rest, found[:MOST_TRAITS])


def _counts(part: int, whole: int) -> tuple[str, str]:
    text = f"{sentences.count(part)} of {sentences.count(whole)}"
    return (sentences.percent(part, whole), text) if whole >= sentences.FEWEST_FOR_SHARE else (text, "")


def _in_a_sentence(counts: tuple[str, str]) -> str:
    share, count = counts
    return f"{count} ({share})" if count else share


def _these(picked: int) -> str:
    return "this probe" if picked == 1 else f"these {sentences.count(picked)}"
