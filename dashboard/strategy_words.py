"""What the comparison of strategies says, pure: the verdict's sentences, and the rows of its table."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from dashboard import sentences, shares
from dashboard.comparing import LEAST_PROBES, Comparison, Side, score_bounds
from dashboard.sentences import FEWEST_FOR_SHARE, NBSP, NO_FIGURE, Part, count, plural
from dashboard.story import Story
from probes.histogram import bounds

MOST_FINDINGS = 3
"""Sentences of a verdict; the rest is told as a number."""
_Z95 = 1.959963984540054
TOGETHER = 0.8
"""From this part on, both are said to have served at the same time."""


@dataclass(frozen=True, slots=True)
class Totals:
    """All probes of one strategy in the scope; `packed` is its race window (probes/packed.py)."""

    probes: int = 0
    failed: int = 0
    false_ready: int = 0
    flagged: int = 0
    asked: int = 0
    incomplete: int = 0
    expected: int = 0
    delivered: int = 0
    never: int = 0
    packed: int = 0

    @property
    def lost(self) -> int:
        """Messages that were expected and did not come in time."""
        return self.expected - self.delivered


@dataclass(frozen=True, slots=True)
class Real:
    """What the watched servers tell of all their connections under one strategy."""

    ended: int
    false_not_ready: int | None
    """None where no application tells it."""
    added_p50: str
    added_p95: str


@dataclass(frozen=True, slots=True)
class Whisker:
    """A share and its 95 % bounds as a cell: words, and places (0 to 100) of dot and whisker."""

    share: str
    counts: str
    interval: str = ""
    at: float | None = None
    low: float = 0.0
    high: float = 0.0


@dataclass(frozen=True, slots=True)
class Row:
    """One strategy's line of the table."""

    strategy: str
    success: Whisker
    delivery: Whisker
    false_ready: Whisker
    false_not_ready: Whisker
    added_p50: str
    added_p95: str
    ready_p50: str
    ready_p95: str
    probes: str


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure that is compared: its words, and what its counts are counted of."""

    does: str
    """ "{better} {does} {worse}: 3 of 40 against 9 of 41." """
    alone: str
    """What one does that the other may do less."""
    messages: bool = False


FIGURES = (
    Figure("loses fewer messages than", "loses messages", messages=True),
    Figure("fails less often than", "fails"),
    Figure("says ready falsely less often than", "says ready falsely"),
)
"""In the order in which a difference is told."""
Found = Sequence[Mapping[tuple[str, str], Comparison]]
"""Of `comparing.all_pairs`: by figure, then by pair."""
Messages = Callable[[str, str], tuple[int, int]]
"""(lost, expected) messages of one strategy on the places that another served too."""


def verdict(found: Found, totals: Mapping[str, Totals], messages: Messages, unit: str) -> Story:
    """The page's first sentences. `unit`: the stretches that the counts come in, "hours"."""
    served = {name: each for name, each in totals.items() if name and each.probes}
    if len(served) < 2:
        return _alone(served)
    told = _findings(found)
    if not told:
        return _undecided(found, served, messages, unit)
    lines = [_sentence(figure, one, messages) for figure, one in told]
    more = f" And {len(told) - MOST_FINDINGS} more differences." if len(told) > MOST_FINDINGS else ""
    parts = [part for line in lines[:MOST_FINDINGS] for part in (*line, Part(" "))][:-1]
    return Story("quiet", (*parts, Part(more)), _facts(*told[0], unit))


def _findings(found: Found) -> list[tuple[Figure, Comparison]]:
    """Each pair by the first figure that tells it apart; first the one with most to say, then by certainty."""
    told: dict[tuple[str, str], tuple[Figure, Comparison]] = {}
    for figure, compared in zip(FIGURES, found, strict=True):
        for pair, one in compared.items():
            if one.better is not None:
                told.setdefault(pair, (figure, one))
    wins: dict[str, int] = {}
    for _, one in told.values():
        wins[_better(one).name] = wins.get(_better(one).name, 0) + 1
    return sorted(
        told.values(),
        key=lambda each: (-wins[_better(each[1]).name], _better(each[1]).name, -abs(each[1].low + each[1].high)),
    )


def _better(one: Comparison) -> Side:
    return one.better or one.a


def _sentence(figure: Figure, one: Comparison, messages: Messages) -> tuple[Part, ...]:
    better, worse = (one.a, one.b) if one.better is one.a else (one.b, one.a)
    return (
        Part(better.name, "flag"),
        Part(f" {figure.does} "),
        Part(worse.name, "flag"),
        Part(": "),
        Part(_counted(figure, better, worse, messages), "strong"),
        Part(" against "),
        Part(_counted(figure, worse, better, messages), "strong"),
        Part("." if figure.messages else " probes."),
    )


def _counted(figure: Figure, side: Side, other: Side, messages: Messages) -> str:
    """Messages are counted as messages; what is tested is probes with a message missing."""
    if figure.messages:
        lost, expected = messages(side.name, other.name)
        return f"{count(lost)} of {count(expected)}"
    return f"{count(side.bad)} of {count(side.probes)}"


def _facts(figure: Figure, one: Comparison, unit: str) -> tuple[tuple[Part, ...], ...]:
    better, worse = (one.a, one.b) if one.better is one.a else (one.b, one.a)
    low, high = sorted((abs(one.low), abs(one.high)))
    answers = ""
    if figure.messages:
        answers = f"Answers incomplete: {count(better.bad)} of {count(better.probes)}"
        answers += f" against {count(worse.bad)} of {count(worse.probes)}"
    allowed = f"Difference {_percent(low)} to {_percent(high)}, bursts and the number of pairs allowed for"
    return tuple((Part(text),) for text in (answers, allowed, _when(one, unit)) if text)


def _when(one: Comparison, unit: str) -> str:
    place = f"On {plural(one.places, 'place')} that both served"
    if one.together >= TOGETHER:
        return f"{place}, in the same {unit}"
    if one.together == 0:
        return f"{place}, one after the other: whatever else changed in between counts too"
    return f"{place}, {_percent(one.together)} of it in the same {unit}"


def _alone(served: Mapping[str, Totals]) -> Story:
    if not served:
        return Story("quiet", (Part("No probe in this window has told what served it."),))
    [(name, totals)] = served.items()
    lost = f"{count(totals.lost)} of {count(totals.expected)} messages lost" if totals.expected else "nothing was asked"
    return Story(
        "quiet",
        (
            Part("Only "),
            Part(name, "flag"),
            Part(f" served these targets: {plural(totals.probes, 'probe')}, {lost}. Nothing to compare."),
        ),
        ((Part("Ramp another strategy, or choose a longer window"),),),
    )


def _undecided(found: Found, served: Mapping[str, Totals], messages: Messages, unit: str) -> Story:
    candidates = [(figure, one) for figure, each in zip(FIGURES, found, strict=True) for one in each.values()]
    if not candidates:
        names = " and ".join(sorted(served)) if len(served) == 2 else "any two of these strategies"
        return Story("quiet", (Part("Cannot tell: no target was served by "), Part(names, "flag"), Part(" both.")))
    enough = [each for each in candidates if each[1].enough]
    if not enough:
        one = max((one for _, one in candidates), key=lambda one: min(one.a.probes, one.b.probes))
        rarer = min(one.a, one.b, key=lambda side: side.probes)
        text = f" has {plural(rarer.probes, 'probe')} where another strategy served too; {LEAST_PROBES} are needed."
        return Story("quiet", (Part("Cannot tell yet: "), Part(rarer.name, "flag"), Part(text)))
    figure, one = max(enough, key=lambda each: (max(each[1].a.bad, each[1].b.bad) > 0, _weight(each[1])))
    first, second = (_counted(figure, one.a, one.b, messages), _counted(figure, one.b, one.a, messages))
    parts = (
        Part("Cannot tell yet whether "),
        Part(one.a.name, "flag"),
        Part(" or "),
        Part(one.b.name, "flag"),
        Part(f" {figure.alone} less: "),
        Part(first, "strong"),
        Part(" against "),
        Part(second, "strong"),
        Part("." if figure.messages else " probes."),
    )
    return Story("quiet", parts, ((Part(_needed(one)),), (Part(_when(one, unit)),)))


def _weight(one: Comparison) -> float:
    return abs(one.a.share - one.b.share) * math.sqrt(min(one.a.worth, one.b.worth))


def _needed(one: Comparison) -> str:
    widest = _percent(max(abs(one.low), abs(one.high)))
    if one.more is None:
        return f"A difference of more than {widest} would have shown"
    return f"About {plural(one.more, 'more probe')} of each would tell, if it goes on like this"


def _percent(share: float) -> str:
    return shares.percent(share)


# The table ----------------------------------------------------------------------------------------------------------


def row(name: str, totals: Totals, real: Real | None, percentiles: tuple[float, float]) -> Row:
    """One strategy's line. `percentiles`: p50 and p95 of its race window in microseconds."""
    told = real is not None and real.false_not_ready is not None
    return Row(
        strategy=name,
        success=whisker(totals.probes - totals.failed, totals.probes, "probes"),
        delivery=delivery(totals),
        false_ready=whisker(totals.false_ready, totals.probes, "probes"),
        false_not_ready=(
            whisker(real.false_not_ready or 0, real.ended, "connections") if real and told else Whisker(NO_FIGURE, "")
        ),
        added_p50=real.added_p50 if real else NO_FIGURE,
        added_p95=real.added_p95 if real else NO_FIGURE,
        ready_p50=sentences.latency(percentiles[0]),
        ready_p95=sentences.latency(percentiles[1]),
        probes=count(totals.probes),
    )


def whisker(part: int, whole: int, of: str) -> Whisker:
    """A share of probes or connections; of few, the counts alone."""
    part = min(part, whole)
    if not whole:
        return Whisker(NO_FIGURE, "")
    counts = f"{count(part)} of {count(whole)} {of}"
    if whole < FEWEST_FOR_SHARE:
        return Whisker(f"{part} of {whole}", counts)
    low, high = bounds(part, whole)
    return _drawn(part / whole, low, high, counts, shares.interval(part, whole))


def delivery(totals: Totals) -> Whisker:
    """The share of messages that came. The messages of one answer share its fate, so the bounds are those of as many
    probes."""
    if not totals.expected:
        return Whisker(NO_FIGURE, "")
    share = totals.delivered / totals.expected
    counts = f"{count(totals.delivered)} of {count(totals.expected)} messages"
    if totals.asked < FEWEST_FOR_SHARE:
        return Whisker(f"{totals.delivered} of {totals.expected}", counts)
    if totals.lost in (0, totals.expected):
        whole = totals.asked
        return _drawn(
            share, *bounds(whole if share else 0, whole), counts, shares.interval(whole if share else 0, whole)
        )
    low, high = score_bounds(share, totals.asked, _Z95)
    interval = f"{_percent(low).removesuffix(f'{NBSP}%')} to {_percent(high)}"
    return _drawn(share, low, high, counts, interval)


def _drawn(share: float, low: float, high: float, counts: str, interval: str) -> Whisker:
    places = (round(100 * value, 2) for value in (share, low, high))
    return Whisker(_percent(share), counts, interval, *places)
