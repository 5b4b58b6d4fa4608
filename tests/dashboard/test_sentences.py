"""The console's words: figures never look more certain than the data, and each failure has one phrase."""

import math
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard import sentences
from dashboard.sentences import Evidence
from probes.engine.outcome import FailureKind

ZONE = ZoneInfo("UTC")
SINCE = datetime(2026, 11, 20, 2, 51, 7, tzinfo=UTC)
NOW = datetime(2026, 11, 20, 3, 6, 12, tzinfo=UTC)


def plain(text: str) -> str:
    return text.replace(sentences.NBSP, " ")


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


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("dns_failed", "cannot be found (DNS)"),
        ("connect_refused", "refuses connections"),
        ("connect_timeout", "does not answer"),
        ("proxy_failed", "cannot be reached through the proxy"),
        ("connection_reset", "drops connections before the upgrade"),
        ("tls_timeout", "does not finish TLS"),
        ("tls_failed", "fails TLS"),
        ("certificate_expired", "shows an expired certificate"),
        ("certificate_name_mismatch", "shows a certificate for another name"),
        ("unauthorized", "refuses our credentials"),
        ("upgrade_rejected", "answers HTTP 503 instead of upgrading"),
        ("upgrade_timeout", "does not finish the upgrade"),
        ("handshake_invalid", "answers the upgrade wrongly"),
        ("subprotocol_mismatch", "chooses another subprotocol"),
        ("accept_race", "loses the first message"),
        ("false_ready", "says ready before it is"),
        ("not_ready", "is accepted but not ready"),
        ("closed_before_ready", "closes before ready (1011)"),
        ("event_lost", "loses tool_completed"),
        ("event_never_emitted", "never sends tool_completed"),
        ("event_duplicated", "sends tool_completed twice"),
        ("event_reordered", "sends events out of order"),
        ("event_late", "sends tool_completed late"),
        ("closed_early", "closes early (1011)"),
        ("protocol_error", "breaks the WebSocket protocol"),
        ("oversized", "sends more than the limit"),
    ],
)
def test_each_kind_of_failure_has_its_symptom(kind: str, words: str) -> None:
    assert sentences.symptom(kind, Evidence(503, 1011, "tool_completed")) == words


def test_no_kind_of_the_targets_failure_is_without_a_symptom() -> None:
    assert set(sentences.SYMPTOMS) == {kind for kind in FailureKind if not kind.ours}


def test_a_symptom_tells_its_evidence_or_does_without() -> None:
    assert sentences.symptom("upgrade_rejected", Evidence(503)) == "answers HTTP 503 instead of upgrading"
    assert sentences.symptom("closed_before_ready", Evidence()) == "closes before ready (no close frame)"
    assert sentences.symptom("event_lost", Evidence()) == "loses an event"
    assert sentences.symptom("from_a_newer_version", Evidence()) == "fails (from_a_newer_version)"


@pytest.mark.parametrize(
    ("names", "text"),
    [
        ([], ""),
        (["Virginia"], "Virginia"),
        (["Virginia", "Dublin"], "Virginia and Dublin"),
        (["Virginia", "Dublin", "Tokyo"], "Virginia, Dublin and Tokyo"),
    ],
)
def test_names_are_listed_as_a_person_says_them(names: list[str], text: str) -> None:
    assert sentences.listed(names) == text


@pytest.mark.parametrize(
    ("version", "text"),
    [
        ("5.12.0", "5.12.0"),
        ("9f2c41d0aa57b3e8c6d1f4027be95a1c0d3e6f88", "9f2c41d"),
        ("20261120123107", "20261120123107"),
        ("2026.11.20-rc1+build", "2026.11.20-rc…"),
    ],
)
def test_a_long_version_is_cut_short_and_a_hash_is_known_by_its_beginning(version: str, text: str) -> None:
    assert sentences.short_version(version) == text


@pytest.mark.parametrize(("down", "degraded", "text"), [(0, 0, ""), (1, 3, "1 down · "), (0, 2, "2 degraded · ")])
def test_the_title_begins_with_what_is_worst(down: int, degraded: int, text: str) -> None:
    assert sentences.title(down, degraded) == text


def test_a_ribbon_is_read_aloud_as_counts() -> None:
    assert sentences.ribbon_label("u" * 41 + "d" * 19) == "Last 60 slots: 41 up, 0 degraded, 19 failed, 0 missed"
