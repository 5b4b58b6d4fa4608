"""The waterfall of one probe: which steps it had and how long each took, as bars on one scale. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderableType
from rich.measure import Measurement
from rich.segment import Segment
from rich.style import Style
from rich.table import Table
from rich.text import Text

from dashboard.terminal.words import duration
from probes.engine.outcome import FailureKind, Outcome
from probes.engine.summary import NEVER

_PHASES = (
    ("dns", "started", "dns_done"),
    ("tcp", "dns_done", "tcp_done"),
    ("tls", "tcp_done", "tls_done"),
    ("upgrade", "request_sent", "upgraded"),
    ("claimed", "upgraded", "claimed"),
    ("race window", "upgraded", "ready"),
)
_PHASE_OF_STEP = {"race window": ("ready", "claimed")}
_WAITED_OUT = frozenset(
    {
        FailureKind.CONNECT_TIMEOUT,
        FailureKind.TLS_TIMEOUT,
        FailureKind.UPGRADE_TIMEOUT,
        FailureKind.NOT_READY,
        FailureKind.EVENT_LATE,
    }
)
"""Failures that lasted until the deadline."""
_BARS = {False: {"bar": "█", "never": "░", "tick": "▌"}, True: {"bar": "#", "never": ".", "tick": "|"}}
_STYLES = {
    "dns": "bright_black",
    "tcp": "bright_black",
    "tls": "magenta",
    "upgrade": "cyan",
    "claimed": "blue",
    "race window": "bold blue",
    "close": "bright_black",
}


@dataclass(frozen=True, slots=True)
class Step:
    """One row: from and to in microseconds after `started`; `end` None: it never ended."""

    name: str
    start: int
    end: int | None
    text: str
    mark: str = "bar"
    """"bar", "tick" (an instant) or "never"."""


@dataclass(frozen=True, slots=True)
class Bar:
    """A bar from `begin` to `end`, shares of the room it is given; ASCII where the output knows no more."""

    begin: float
    end: float
    mark: str
    style: str

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Segment]:
        width = options.max_width
        first = min(int(self.begin * width), width - 1)
        cells = max(1, min(width, round(self.end * width)) - first)
        char = _BARS[options.ascii_only or not _unicode(options)][self.mark]
        yield Segment(" " * first)
        yield Segment(char * (1 if self.mark == "tick" else cells), Style.parse(self.style))

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        return Measurement(8, options.max_width)


@dataclass(frozen=True, slots=True)
class Scale:
    """The line over the bars: 0 at their left edge, `end` at their right one."""

    end: str

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Segment]:
        yield Segment(f"0{self.end.rjust(options.max_width - 1)}", Style.parse("dim"))

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        return Measurement(8, options.max_width)


def _unicode(options: ConsoleOptions) -> bool:
    return options.encoding.startswith("utf")


def steps(outcome: Outcome, deadline_us: int) -> list[Step]:
    """The rows of the waterfall in order; a step that was not reached has none."""
    marks = {"started": 0, **outcome.marks}
    end = scale_us(outcome, deadline_us)
    found = []
    for name, start, stop in _PHASES:
        if start not in marks:
            continue
        if stop in marks:
            mark = "tick" if name == "claimed" else "bar"
            start_us = marks[stop] if mark == "tick" else marks[start]
            found.append(Step(name, start_us, marks[stop], duration(marks[stop] - marks[start]), mark))
        elif not outcome.ok and outcome.phase in _PHASE_OF_STEP.get(name, (name,)):
            text = NEVER if name == "race window" or outcome.kind in _WAITED_OUT else "failed"
            found.append(Step(name, marks[start], None, text, "never"))
    return [*found, *_events(outcome, end), *_close(outcome)]


def _events(outcome: Outcome, end: int) -> list[Step]:
    trigger = outcome.marks.get("trigger_sent")
    if trigger is None:
        return []
    rows = []
    for name in outcome.events.expected:
        us = outcome.events.marks.get(name)
        defect = outcome.events.defects.get(name)
        shown_name = f"{name} ({defect})" if defect else name
        if us is None:
            rows.append(Step(shown_name, trigger, end, NEVER, "never"))
        else:
            rows.append(Step(shown_name, trigger + us, trigger + us, f"+{duration(us)}", "tick"))
    return rows


def _close(outcome: Outcome) -> list[Step]:
    if not outcome.closed_by or "closed" not in outcome.marks:
        return []
    closed = outcome.marks["closed"]
    start = outcome.marks.get("close_sent", closed) if outcome.closed_by == "us" else closed
    if start < closed:
        return [Step("close", start, closed, duration(closed - start))]
    return [Step("close", start, closed, f"at {duration(closed)}", "tick")]


def scale_us(outcome: Outcome, deadline_us: int) -> int:
    """Where the scale ends, microseconds after `started`: the last mark, or the deadline where one was waited for."""
    trigger = outcome.marks.get("trigger_sent", 0)
    events = (trigger + us for us in outcome.events.marks.values())
    waited = deadline_us if outcome.kind in _WAITED_OUT else 0
    return max((*outcome.marks.values(), *events, waited, 1))


def waterfall(outcome: Outcome, deadline_us: int) -> RenderableType:
    """Aligned bars with their times, as wide as the console."""
    end = scale_us(outcome, deadline_us)
    table = Table(box=None, padding=(0, 1), expand=True, show_header=False, pad_edge=False)
    table.add_column(no_wrap=True)
    table.add_column(ratio=1)
    table.add_column(justify="right", no_wrap=True)
    table.add_row("", Scale(duration(end)), "")
    for step in steps(outcome, deadline_us):
        style = _style(step)
        stop = end if step.end is None else step.end
        bar = Bar(step.start / end, stop / end, step.mark, style)
        table.add_row(Text(step.name), bar, Text(step.text, style="red" if step.mark == "never" else ""))
    return table


def _style(step: Step) -> str:
    if step.mark == "never":
        return "red"
    return _STYLES.get(step.name, "yellow" if "(" in step.name else "green")
