"""What `manage.py probe` draws, from outcomes alone."""

from dataclasses import replace
from io import StringIO

import pytest
from rich.console import Console, RenderableType

from dashboard.terminal.burst import Asked, burst_report
from dashboard.terminal.verdict import probe_report
from dashboard.terminal.waterfall import scale_us, steps
from dashboard.terminal.words import duration, interval, percent, proportion, shown
from probes.engine.outcome import FailureKind, Frame, Outcome
from probes.engine.summary import Summary
from tests.support.outcomes import failure, lossy, success

DEADLINE_US = 5_000_000


def drawn(report: RenderableType, *, width: int = 100, encoding: str = "utf-8") -> str:
    """The report as a file of this encoding receives it."""

    class Encoded(StringIO):
        @property
        def encoding(self) -> str:  # type: ignore[override]  # a property of the base too, typed as an attribute
            return encoding

    file = Encoded()
    Console(file=file, width=width, markup=False, highlight=False).print(report)
    return file.getvalue()


def triggered(outcome: Outcome) -> Outcome:
    """The same with the mark of its first message."""
    return replace(outcome, marks={**outcome.marks, "trigger_sent": 31_000})


def burst(*outcomes: Outcome, count: int = 0, url: str = "ws://chat/") -> str:
    summary = Summary()
    for outcome in outcomes:
        summary.add(outcome)
    return drawn(burst_report(summary, Asked(url, count or len(outcomes), 10, 5.0, 2.0)))


def test_every_phase_and_event_has_a_row_with_its_time() -> None:
    """In the order they happen."""
    names = [step.name for step in steps(triggered(success()), DEADLINE_US)]
    assert names[:5] == ["dns", "tcp", "upgrade", "claimed", "race window"]
    assert names[-1] == "agent_completed"
    text = drawn(probe_report(success(), "ws://chat/", 5.0))
    assert "race window" in text
    assert "40.0 ms" in text
    assert "127.0.0.1:9" in text
    assert "dependency_gate, flag revision 4" in text
    assert "5 of 5 events arrived" in text


def test_bars_lie_where_their_steps_lay_in_time() -> None:
    """A bar begins where the one before ends."""
    lines = drawn(probe_report(success(), "ws://chat/", 5.0)).splitlines()
    race = next(line for line in lines if line.startswith("race window"))
    upgrade = next(line for line in lines if line.startswith("upgrade"))
    assert upgrade.index("█") <= race.index("█")
    assert race.count("█") > 20 * upgrade.count("█")


def test_a_probe_that_waited_until_its_deadline_is_drawn_to_it_and_one_that_did_not_is_not() -> None:
    refused = Outcome(kind=FailureKind.CONNECT_REFUSED, phase="tcp", marks={"started": 0, "dns_done": 90})
    assert scale_us(refused, DEADLINE_US) == 90
    assert [(step.name, step.text) for step in steps(refused, DEADLINE_US)][-1] == ("tcp", "failed")
    assert scale_us(failure(), DEADLINE_US) == DEADLINE_US
    assert ("race window", "never") in [(step.name, step.text) for step in steps(failure(), DEADLINE_US)]


def test_a_lost_event_is_named_on_its_row() -> None:
    text = drawn(probe_report(triggered(lossy()), "ws://chat/", 5.0))
    assert "tool_completed (lost)" in text
    assert "agent_thinking (duplicated)" in text


def test_a_failure_says_whose_fault_it_is_what_to_check_and_the_last_frames() -> None:
    outcome = failure(FailureKind.ACCEPT_RACE, detail="The server said so.", frames=tuple(
        Frame(n, "in", "text", f"frame {n}") for n in range(20)
    ))  # fmt: skip
    text = drawn(probe_report(outcome, "ws://chat/", 5.0))
    assert "accept_race  whose fault: the server, before ready" in text
    assert "The server said so." in text
    assert "Next: A handler starts before setup is done" in text
    assert "Last 8 frames" in text
    assert "frame 19" in text
    assert "frame 11" not in text


def test_what_a_server_says_cannot_steer_the_terminal() -> None:
    """Escape sequences, carriage returns and bidirectional overrides are told, not obeyed; brackets are no markup."""
    hostile = "\x1b[2J[bold]boom[/bold]\r\u202egone\x9b31m"
    outcome = failure(
        FailureKind.CLOSED_BEFORE_READY, detail=hostile, close_reason=hostile, strategy=hostile, closed_by="peer",
        frames=(Frame(1, "in", "text", hostile),),
    )  # fmt: skip
    for text in (drawn(probe_report(outcome, f"ws://chat/{hostile}", 5.0)), burst(outcome, url=hostile)):
        assert not set(text) & set("\x1b\r\u202e\x9b")
        assert "\\x1b[2J[bold]boom[/bold]" in text


@pytest.mark.parametrize("outcome", [triggered(success()), failure(), triggered(lossy())])
def test_sixty_columns_are_enough(outcome: Outcome) -> None:
    """No line is longer, every time stands on its row's line, and a burst's tables are whole."""
    text = drawn(probe_report(outcome, "ws://chat.example/ws/chat", 5.0), width=60)
    assert max(len(line) for line in text.splitlines()) <= 60
    for step in steps(outcome, DEADLINE_US):
        assert any(line.startswith(step.name) and line.rstrip().endswith(step.text) for line in text.splitlines())
    summary = Summary()
    for _ in range(1000):
        summary.add(outcome)
    table = drawn(burst_report(summary, Asked("ws://chat/", 1000, 50, 5.0, 3.0)), width=60)
    assert max(len(line) for line in table.splitlines()) <= 60
    assert "…" not in table


def test_an_output_without_unicode_gets_ascii_bars() -> None:
    text = drawn(probe_report(failure(), "ws://chat/", 5.0), encoding="ascii")
    bars = next(line for line in text.splitlines() if line.startswith("race window"))
    assert "...." in bars
    assert "░" not in text


def test_a_burst_shows_each_kind_with_its_share_bounds_and_whose_fault_it_is() -> None:
    text = burst(*[success()] * 985, *[failure(FailureKind.ACCEPT_RACE)] * 10, *[failure()] * 5)
    assert "15 of 1,000: 1.5 % (95 %: 0.91 to 2.5 %)" in text
    assert "10 of 1,000: 1.0 % (95 %: 0.54 to 1.8 %); accept_race 10, false_ready 0" in text
    [row] = [line.split("  ") for line in text.splitlines() if line.startswith("not_ready")]
    assert [cell.strip() for cell in row if cell.strip()] == [
        "not_ready", "5", "0.50 %", "0.21 to 1.2 %", "the server, before ready",
    ]  # fmt: skip
    assert "75 of 5,000 missing: 1.5 %" in text


def test_nothing_failed_proves_only_a_bound() -> None:
    """0 of 1,000 proves less than 0.30 %, and no more."""
    assert "0 of 1,000: none (95 %: below 0.30 %)" in burst(*[success()] * 1000)


def test_percentiles_read_never_where_too_many_were_never_ready() -> None:
    text = burst(*[success()] * 90, *[failure()] * 10)
    [row] = [line.split() for line in text.splitlines() if line.startswith("race window")]
    assert row == ["race", "window", "40.0", "ms", "never", "never"]
    assert "event latency" in text
    assert "user-felt ready" in text


def test_our_own_errors_are_told_apart_and_have_no_share() -> None:
    text = burst(success(), Outcome(kind=FailureKind.PROBE_ERROR, detail="Ours."))
    assert "0 of 1: none" in text
    assert "1 probes failed for a reason of ours" in text
    [row] = [line for line in text.splitlines() if line.startswith("probe_error")]
    assert "–" in row


def test_a_burst_that_was_stopped_says_how_far_it_came() -> None:
    assert "3 of 1,000 probes, then stopped" in burst(*[success()] * 3, count=1000)
    assert "nothing was found" in burst(count=1000)


@pytest.mark.parametrize(
    ("share", "text"),
    [(0, "0 %"), (0.003, "0.30 %"), (0.000_02, "0.002 %"), (0.042, "4.2 %"), (0.38, "38 %"), (0.99999, "99.99 %"),
     (1, "100 %")],
)  # fmt: skip
def test_a_share_has_the_digits_it_needs_and_never_becomes_all(share: float, text: str) -> None:
    assert percent(share) == text


def test_bounds_in_words() -> None:
    assert interval(0, 1000) == "below 0.30 %"
    assert interval(1000, 1000) == "above 99.70 %"
    assert proportion(0, 0) == "–"
    assert duration(None) == "–"
    assert duration(float("inf")) == "never"
    assert duration(1_250_000) == "1.25 s"
    assert shown("a\tb") == "a b"
