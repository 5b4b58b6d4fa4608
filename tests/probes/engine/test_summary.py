"""Bursts as figures: what never happened counts, what we did wrong does not."""

import math

from probes.engine.advice import NEXT_CHECK
from probes.engine.outcome import Events, FailureKind, Outcome
from probes.engine.summary import Summary, line_of


def ready(us: int) -> Outcome:
    return Outcome(marks={"started": 0, "upgraded": 1000, "ready": 1000 + us})


def summed(*outcomes: Outcome) -> Summary:
    summary = Summary()
    for outcome in outcomes:
        summary.add(outcome)
    return summary


def test_a_probe_that_was_never_ready_counts_beyond_every_other() -> None:
    """So p95 may read "never"."""
    summary = summed(*(ready(us) for us in range(1000, 10_000, 1000)), Outcome(kind=FailureKind.NOT_READY))
    assert summary.percentile_us(50) == 5000
    assert math.isinf(summary.percentile_us(95))
    assert summary.to_json()["race_window_ms"] == {"p50": 5.0, "p95": "never", "p99": "never"}


def test_our_own_errors_are_counted_apart() -> None:
    """They are in no share and no percentile."""
    summary = summed(ready(1000), Outcome(kind=FailureKind.PROBE_ERROR, events=Events(expected=("a",))))
    told = summary.to_json()
    assert (told["probes"], told["ok"], told["failed"], told["ours"]) == (1, 1, 0, 1)
    assert told["kinds"] == {"probe_error": 1}
    assert told["race_window_ms"]["p99"] == 1.0
    assert told["events"]["expected"] == 0


def test_flagged_figures_stay_out_of_percentiles_but_their_probe_counts() -> None:
    """The probe itself succeeded."""
    flagged = Outcome(marks={"upgraded": 0, "ready": 9_000_000}, flagged=True)
    summary = summed(ready(1000), flagged)
    assert (summary.ok, summary.flagged) == (2, 1)
    assert summary.percentile_us(99) == 1000


def test_a_target_that_only_listens_has_no_race_window() -> None:
    """Neither a figure nor a never."""
    assert math.isnan(summed(Outcome()).percentile_us(50))


def test_no_failure_in_a_thousand_proves_less_than_three_in_a_thousand() -> None:
    """The bound is shown with the share."""
    low, high = summed(*[ready(1000)] * 1000).to_json()["failure_share_bounds_95"]
    assert low == 0
    assert 0.002 < high <= 0.004


def test_the_commonest_failure_comes_with_its_sentence_and_what_to_check() -> None:
    """What an on-call engineer reads last."""
    refused = Outcome(kind=FailureKind.CONNECT_REFUSED, detail="Refused.")
    told = summed(refused, refused, Outcome(kind=FailureKind.NOT_READY, detail="Silent.")).commonest()
    assert told == (2, "Refused.", NEXT_CHECK[FailureKind.CONNECT_REFUSED])


def test_every_kind_of_failure_says_what_to_check_next() -> None:
    """No kind is left out."""
    assert set(NEXT_CHECK) == set(FailureKind)


def test_a_line_has_the_documented_fields() -> None:
    """DESIGN section 9 fixes the names."""
    line = line_of(ready(1500))
    assert {
        "ok", "kind", "phase", "phases_ms", "claimed_ms", "race_window_ms", "events", "close_code", "closed_by",
        "http_status", "clock", "lag_ms", "strategy", "flags_revision",
    } <= set(line)  # fmt: skip
    assert set(line["phases_ms"]) == {"dns", "tcp", "tls", "upgrade"}
    assert set(line["events"]) == {
        "expected", "delivered", "lost", "late", "duplicated", "reordered", "never_emitted",
    }  # fmt: skip
    assert line["race_window_ms"] == 1.5
