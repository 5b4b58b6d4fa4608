"""A burst as tables: percentiles, kinds of failure and whose they are, the race; every share with its bounds. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from dashboard.terminal.words import NONE, duration, interval, percent, proportion, shown
from probes.engine.outcome import FailureKind
from probes.engine.summary import PERCENTILES, Summary


@dataclass(frozen=True, slots=True)
class Asked:
    """What was asked of a burst, and how long it took (seconds)."""

    url: str
    count: int
    concurrency: int
    deadline_s: float
    seconds: float = 0.0
    certificate: str = ""
    """Whose certificate was served and until when, in words."""


def burst_report(summary: Summary, asked: Asked) -> RenderableType:
    """All that is told after a burst, one that was stopped half-way included."""
    done = summary.probes + summary.ours
    parts: list[RenderableType] = [_heading(asked, done), ""]
    if not done:
        return Group(*parts, Text("Stopped before the first probe ended: nothing was found."))
    parts += [latencies(summary), "", *figures(summary)]
    if asked.certificate:
        parts += ["", Text(f"certificate: {shown(asked.certificate)}")]
    if summary.kinds:
        parts += ["", failures(summary)]
    if commonest := summary.commonest():
        _count, sentence, check = commonest
        parts += ["", Text(shown(sentence)), Text.assemble(("Next: ", "bold"), check)]
    return Group(*parts)


def _heading(asked: Asked, done: int) -> Text:
    of = f"{done:,} of {asked.count:,} probes, then stopped" if done < asked.count else f"{done:,} probes"
    pace = f", {done / asked.seconds:,.0f} a second" if asked.seconds > 0 and done else ""
    facts = f"{of}, {asked.concurrency:,} at once, deadline {asked.deadline_s:g} s; {asked.seconds:.1f} s{pace}"
    return Text.assemble((shown(asked.url), "bold"), "\n", (facts, "dim"))


def latencies(summary: Summary) -> RenderableType:
    """Percentiles of the three latencies; "never" where the rank lies beyond the deadline."""
    table = Table(box=None, padding=(0, 3, 0, 0), pad_edge=False, header_style="dim")
    table.add_column("", no_wrap=True)
    for q in PERCENTILES:
        table.add_column(f"p{q}", justify="right", no_wrap=True)
    rows = (
        ("race window", summary.windows),
        ("user-felt ready", summary.user_ready),
        ("event latency", summary.event_latency),
    )
    for name, figure in rows:
        table.add_row(name, *(Text(duration(figure.percentile_us(q))) for q in PERCENTILES))
    return table


def figures(summary: Summary) -> Iterator[RenderableType]:
    """Counts in words, every proportion with its 95 % bounds."""
    table = Table(box=None, padding=(0, 3, 0, 0), show_header=False, pad_edge=False)
    table.add_column(no_wrap=True)
    table.add_column()
    for name, text in lines(summary):
        table.add_row(name, Text(text))
    yield table


def lines(summary: Summary) -> Iterator[tuple[str, str]]:
    """(name, sentence) of each figure."""
    probes = summary.probes
    yield "failed", f"{summary.failed:,} of {probes:,}: {proportion(summary.failed, probes)}"
    yield "race", f"{summary.race:,} of {probes:,}: {proportion(summary.race, probes)}{_race_kinds(summary)}"
    expected = summary.events["expected"]
    if expected:
        yield "events", f"{summary.undelivered:,} of {expected:,} missing: {proportion(summary.undelivered, expected)}"
    if summary.ours:
        yield "ours", f"{summary.ours:,} probes failed for a reason of ours and count in no share"
    if summary.flagged:
        yield "flagged", f"{summary.flagged:,} probes count, their latencies do not: our clock cannot tell them to 1 ms"
    told = sum(summary.strategies.values())
    if told:
        served = [f"{shown(name)} {count:,}" for name, count in summary.strategies.most_common()]
        yield "served by", ", ".join([*served, f"not told {probes - told:,}"] if told < probes else served)


def _race_kinds(summary: Summary) -> str:
    kinds = (FailureKind.ACCEPT_RACE, FailureKind.FALSE_READY)
    return "; " + ", ".join(f"{kind} {summary.kinds[kind]:,}" for kind in kinds) if summary.race else ""


def failures(summary: Summary) -> RenderableType:
    """Each kind with its count, its share and bounds, and whose fault it is."""
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    table.add_column("failure", no_wrap=True)
    table.add_column("count", justify="right", no_wrap=True)
    table.add_column("share", justify="right", no_wrap=True)
    table.add_column("95 % bounds", no_wrap=True)
    table.add_column("whose fault")
    for name, count in summary.kinds.most_common():
        kind = FailureKind(name)
        share = (NONE, NONE) if kind.ours else (percent(count / summary.probes), interval(count, summary.probes))
        table.add_row(Text(name, style="bold red"), f"{count:,}", *share, str(kind.owner))
    return table
