"""The console's words: figures never look more certain than the data, stories tell time and never cause."""

import math
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard import sentences
from dashboard.sentences import Change, Evidence, Fault, LastFailure
from probes.engine.outcome import FailureKind

ZONE = ZoneInfo("UTC")
SINCE = datetime(2026, 11, 20, 2, 51, 7, tzinfo=UTC)
NOW = datetime(2026, 11, 20, 3, 6, 12, tzinfo=UTC)


def plain(text: str) -> str:
    return text.replace(sentences.NBSP, " ")


def fault(**fields: object) -> Fault:
    values: dict[str, object] = {
        "name": "Staging chat",
        "slug": "staging-chat",
        "environment": "staging",
        "state": "down",
        "since": SINCE,
        "probes": 366,
        "failed": 139,
        "kinds": {"not_ready": 100, "accept_race": 39},
        "bounds": (0.332, 0.431),
        "objective_us": 600_000,
    }
    return Fault(**{**values, **fields})  # type: ignore[arg-type]


def changed(minutes_before: float, number: int = 42, flag: str = "readiness-strategy") -> Change:
    at = SINCE - timedelta(minutes=minutes_before)
    return Change(number, at, flag, "dependency_gate", "immediate", "Jon Ek")


def told(**fields: object) -> str:
    return plain(sentences.story(fault(**fields), ZONE, NOW).text)


@pytest.mark.parametrize(
    ("us", "text"),
    [
        (None, "–"),
        (math.nan, "–"),
        (math.inf, "never"),
        (0, "0.0 ms"),
        (840, "0.8 ms"),
        (9_949, "9.9 ms"),
        (9_960, "10 ms"),
        (118_300, "118 ms"),
        (999_400, "999 ms"),
        (999_600, "1.0 s"),
        (1_240_000, "1.2 s"),
        (120_000_000, "120 s"),
    ],
)
def test_a_latency_reads_as_a_person_says_it(us: float | None, text: str) -> None:
    assert plain(sentences.latency(us)) == text


@pytest.mark.parametrize(
    ("part", "whole", "decimals", "text"),
    [
        (0, 0, 0, "–"),
        (0, 10, 1, "0 %"),
        (10, 10, 1, "100 %"),
        (9_999, 10_000, 0, "99 %"),
        (9_999, 10_000, 1, "99.9 %"),
        (1, 100_000, 1, "0.1 %"),
        (139, 366, 0, "38 %"),
    ],
)
def test_a_share_never_rounds_to_all_or_nothing(part: int, whole: int, decimals: int, text: str) -> None:
    assert plain(sentences.percent(part, whole, decimals)) == text


@given(whole=st.integers(1, 10**6), data=st.data())
def test_only_all_is_100_percent_and_only_none_is_0(whole: int, data: st.DataObject) -> None:
    part = data.draw(st.integers(0, whole))
    text = plain(sentences.percent(part, whole, 1))
    assert (text == "100 %") == (part == whole)
    assert (text == "0 %") == (part == 0)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-3, "0 s"), (0.9, "0 s"), (59.9, "59 s"), (5_459, "1 h"), (3_599, "59 min"), (200_000, "2 d")],
)
def test_a_span_rounds_down_to_one_unit(seconds: float, text: str) -> None:
    assert plain(sentences.span(timedelta(seconds=seconds))) == text


@pytest.mark.parametrize(
    ("at", "text"),
    [
        (SINCE, "02:51"),
        (SINCE - timedelta(hours=3), "23:51"),
        (SINCE - timedelta(days=1), "Thu 02:51"),
        (SINCE - timedelta(days=20), "31 Oct 02:51"),
        (NOW + timedelta(days=2), "22 Nov 03:06"),
    ],
)
def test_a_moment_of_another_day_says_which(at: datetime, text: str) -> None:
    assert sentences.clock(at, ZONE, NOW) == text


def test_clock_times_are_those_of_the_pages_zone() -> None:
    assert sentences.clock(SINCE, ZoneInfo("Asia/Tokyo"), seconds=True) == "11:51:07"


def test_the_story_names_target_symptom_share_since_and_change() -> None:
    assert told(changes=[changed(1.2)]) == (
        "Staging chat is accepted but not ready for 38 % of probes since 02:51, one minute after revision 42 changed "
        "readiness-strategy from dependency_gate to immediate."
    )


def test_its_facts_give_counts_bounds_fault_and_kinds() -> None:
    facts = sentences.story(fault(), ZONE, NOW).facts
    assert [plain("".join(part.text for part in fact)) for fact in facts] == [
        "139 of 366 probes failed (33 to 43 %)",
        "Fault: the server, before ready",
        "Mostly not_ready, also accept_race",
    ]


@pytest.mark.parametrize(
    ("changes", "ending"),
    [
        ([], ". Nothing changed in the 15 minutes before."),
        (
            [changed(0.3)],
            ", less than a minute after revision 42 changed readiness-strategy from dependency_gate to immediate.",
        ),
        ([changed(7)], ", 7 minutes after revision 42 changed readiness-strategy from dependency_gate to immediate."),
        ([changed(2), changed(2, flag="client-ack")], ", 2 minutes after revision 42 changed 2 flags."),
        ([changed(2, 43), changed(9, 42)], ", 2 minutes after 2 revisions (r42, r43)."),
        ([changed(-4, 43)], ". It began before revision 43 (02:55)."),
    ],
)
def test_what_changed_is_told_as_time(changes: list[Change], ending: str) -> None:
    assert told(changes=changes).endswith(f"since 02:51{ending}")


def test_few_probes_are_counted_not_shared() -> None:
    assert "for 4 of 7 probes since" in told(probes=7, failed=4, kinds={"not_ready": 4})


@pytest.mark.parametrize("kind", [kind for kind in FailureKind if not kind.ours])
def test_every_kind_of_the_targets_failure_has_a_symptom(kind: FailureKind) -> None:
    words = sentences.symptom(kind, Evidence(http_status=503, close_code=1011, event="tool_completed"))
    assert "{" not in words
    assert "fails (" not in words
    evidence = Evidence(503, 1011, "tool_completed")
    assert told(kinds={kind.value: 139}, evidence=evidence).startswith(f"Staging chat {words} for 38 % of probes")


def test_a_symptom_tells_its_evidence_or_does_without() -> None:
    assert sentences.symptom("upgrade_rejected", Evidence(503)) == "answers HTTP 503 instead of upgrading"
    assert sentences.symptom("closed_before_ready", Evidence()) == "closes before ready (no close frame)"
    assert sentences.symptom("event_lost", Evidence()) == "loses an event"
    assert sentences.symptom("from_a_newer_version", Evidence()) == "fails (from_a_newer_version)"


def test_slow_is_told_against_the_objective() -> None:
    text = told(state="degraded", failed=0, kinds={}, ready_p95_us=960_000)
    assert text == (
        "Staging chat is slow: ready p95 960 ms against 600 ms since 02:51. Nothing changed in the 15 minutes before."
    )


def test_a_story_offers_to_undo_the_only_revision_just_before() -> None:
    assert sentences.story(fault(changes=[changed(2)]), ZONE, NOW).undo == 42
    assert sentences.story(fault(changes=[changed(2, 43), changed(9, 42)]), ZONE, NOW).undo is None
    assert sentences.story(fault(changes=[changed(-4)]), ZONE, NOW).undo is None
    assert sentences.story(fault(state="stale", changes=[changed(2)]), ZONE, NOW).undo is None


def test_stale_blames_the_probes() -> None:
    text = told(state="stale", last_result_at=SINCE)
    assert text == "Staging chat has had no result since 02:51. The probes are late, not the target."


@pytest.mark.parametrize(
    ("targets", "last", "text"),
    [
        (1, None, "The only target is up."),
        (12, None, "All 12 targets are up."),
        (
            12,
            LastFailure("Chat", NOW - timedelta(hours=2, minutes=50), timedelta(minutes=4)),
            "All 12 targets are up. Last failure: Chat, 2 h ago, 4 min.",
        ),
    ],
)
def test_all_up_remembers_the_last_failure(targets: int, last: LastFailure | None, text: str) -> None:
    assert plain(sentences.all_up(targets, last, NOW).text) == text


def test_nothing_failing_is_not_all_up() -> None:
    assert plain(sentences.waiting(1, 2).text) == (
        "Nothing is failing. 1 target has not been probed yet. 2 targets are paused."
    )


@pytest.mark.parametrize(("down", "degraded", "text"), [(0, 0, ""), (1, 3, "1 down · "), (0, 2, "2 degraded · ")])
def test_the_title_begins_with_what_is_worst(down: int, degraded: int, text: str) -> None:
    assert sentences.title(down, degraded) == text


def test_a_ribbon_is_read_aloud_as_counts() -> None:
    assert sentences.ribbon_label("u" * 41 + "d" * 19) == "Last 60 slots: 41 up, 0 degraded, 19 failed, 0 missed"
