"""The verdict of one probe in words: what happened, whose fault it is, who answered, what to check next. Pure."""

import re
from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from dashboard.terminal.waterfall import waterfall
from dashboard.terminal.words import duration, shown
from probes.engine.advice import next_check
from probes.engine.outcome import Frame, Outcome

LAST_FRAMES = 8
_ARROWS = {"in": "<", "out": ">"}
_SUBPROTOCOL = re.compile(r"(?im)^sec-websocket-protocol:\s*(.+?)\s*$")


def probe_report(outcome: Outcome, url: str, deadline_s: float, certificate: str = "") -> RenderableType:
    """All that is told about one probe: heading, waterfall, verdict, who answered, and on failure the last frames.

    `certificate`: whose it is and until when, in words.
    """
    heading = Text.assemble((shown(url), "bold"), (f"  deadline {deadline_s:g} s", "dim"))
    bars = waterfall(outcome, round(deadline_s * 1e6))
    parts: list[RenderableType] = [heading, "", bars, "", *verdict(outcome), "", who(outcome, certificate)]
    if not outcome.ok and outcome.frames:
        parts += ["", Text(f"Last {min(LAST_FRAMES, len(outcome.frames))} frames", style="bold")]
        parts.append(last_frames(outcome.frames))
    return Group(*parts)


def verdict(outcome: Outcome) -> Iterator[Text]:
    """One or more lines: the verdict, then on failure whose fault it is, the evidence, and what to check next."""
    if outcome.kind is None:
        yield Text.assemble(("ok", "bold green"), "  ", _success(outcome))
        return
    yield Text.assemble((outcome.kind.value, "bold red"), f"  whose fault: {outcome.kind.owner}")
    if outcome.detail:
        yield Text(shown(outcome.detail))
    if outcome.also:
        yield Text(f"Also: {', '.join(outcome.also)}")
    yield Text.assemble(("Next: ", "bold"), next_check(outcome))


def _success(outcome: Outcome) -> str:
    expected = len(outcome.events.expected)
    if outcome.race_window_us is None:
        return "Accepted, claimed ready, and closed well. It only listens: nothing proves that the application answers."
    ready = f"Ready {duration(outcome.race_window_us)} after the 101"
    return f"{ready}; {outcome.events.delivered} of {expected} events arrived, in order." if expected else f"{ready}."


def who(outcome: Outcome, certificate: str = "") -> RenderableType:
    """Who answered, and by which clock: name and value in two columns."""
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False, pad_edge=False)
    table.add_column(no_wrap=True, style="dim")
    table.add_column(overflow="fold")
    for name, value in facts(outcome):
        table.add_row(name, Text(value))
    if certificate:
        table.add_row("certificate", Text(shown(certificate)))
    return table


def facts(outcome: Outcome) -> Iterator[tuple[str, str]]:
    """(name, value) of what answered; what is not known is left out."""
    if outcome.address:
        yield "address", shown(outcome.address)
    if outcome.http_status is not None:
        yield "HTTP status", str(outcome.http_status)
        yield "subprotocol", subprotocol(outcome) or "none chosen"
    if outcome.closed_by:
        code = "no close frame" if outcome.close_code is None else str(outcome.close_code)
        reason = f" “{shown(outcome.close_reason)}”" if outcome.close_reason else ""
        yield "closed", f"{code}{reason}, by {'us' if outcome.closed_by == 'us' else 'the target'}"
    if outcome.strategy:
        revision = "" if outcome.flags_revision is None else f", flag revision {outcome.flags_revision}"
        yield "served by", f"{shown(outcome.strategy)}{revision}"
    elif outcome.http_status == 101:
        yield "served by", "a server that tells no strategy"
    if outcome.user_ready_us is not None:
        yield "user-felt", f"ready {duration(outcome.user_ready_us)} after the start"
    left_out = ", so its latencies count in no percentile" if outcome.flagged else ""
    yield "clock", f"{outcome.clock}, our loop lagged {duration(outcome.lag_us)}{left_out}"


def subprotocol(outcome: Outcome) -> str:
    """The subprotocol in the transcript's answer to the upgrade; "" where none was chosen or nothing is kept."""
    answers = (frame.text for frame in outcome.frames if frame.kind == "response" and frame.direction == "in")
    chosen = next((found[1] for text in answers if (found := _SUBPROTOCOL.search(text))), "")
    return shown(chosen)


def last_frames(frames: tuple[Frame, ...]) -> RenderableType:
    """The end of the transcript: time, direction, and as much text as two lines hold."""
    table = Table(box=None, padding=(0, 1, 0, 0), show_header=False, pad_edge=False)
    table.add_column(justify="right", no_wrap=True, style="dim")
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for frame in frames[-LAST_FRAMES:]:
        text = shown(frame.text if len(frame.text) <= 160 else f"{frame.text[:159]}…")
        table.add_row(duration(frame.at_us), _ARROWS.get(frame.direction, "-"), Text(f"{frame.kind} {text}".rstrip()))
    return Padding(table, (0, 0, 0, 1))
