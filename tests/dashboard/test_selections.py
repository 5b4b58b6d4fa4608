"""Probes selected on a chart: those of a bucket, worst first, and what tells an area from the rest."""

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from dashboard.charts.spans import Fixed, Span, written
from dashboard.differences import MOST_TRAITS, Group, difference
from dashboard.queries.selections import (
    LONGEST_COMPARED,
    MOST_LISTED,
    Area,
    area_of,
    around,
    compared,
    listed,
    stretch_of,
)
from probes.engine.outcome import FailureKind, Outcome
from probes.models import Target
from probes.recording import record
from tests.support.history import failing
from tests.support.outcomes import entry, failure, lossy, stored_target, success
from tests.support.pages import text
from tests.support.people import signed_in

START = datetime(2026, 11, 20, 2, 51, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
PAGE = "/targets/staging-chat/"


def group(picked: int, rest: int, **values: str) -> Group:
    return Group(values, picked, rest)


def plain(sentence: str) -> str:
    return sentence.replace("\u00a0", " ")


def test_what_most_selected_probes_share_comes_first() -> None:
    found = difference(
        [
            group(139, 25, strategy="immediate", location="a", kind="not_ready"),
            group(0, 225, strategy="dependency_gate", location="a", kind="ready"),
            group(2, 30, strategy="dependency_gate", location="b", kind="ready"),
        ]
    )
    assert [(trait.dimension, trait.value) for trait in found.traits] == [
        ("strategy", "immediate"),
        ("kind", "not_ready"),
        ("location", "a"),
    ]
    assert plain(found.sentence) == (
        "139 of 141 (99 %) of these were served by immediate, against 25 of 280 (9 %) of the rest."
    )


def test_what_few_probes_share_is_said_not_to_be_proven() -> None:
    found = difference([group(2, 10, strategy="immediate"), group(1, 20, strategy="dependency_gate")])
    assert [(trait.value, trait.proven) for trait in found.traits] == [("immediate", False)]
    assert found.sentence.startswith("Nothing is proven to tell these 3 from the other 30")


@pytest.mark.parametrize(("picked", "rest", "start"), [(0, 9, "No probe lies"), (9, 0, "Nothing is left to compare")])
def test_nothing_against_something_is_no_comparison(picked: int, rest: int, start: str) -> None:
    found = difference([group(picked, rest, strategy="immediate")])
    assert found.traits == []
    assert found.sentence.startswith(start)


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50), st.sampled_from("abcdefghijkl")), max_size=20))
def test_a_trait_is_always_more_common_among_the_selected(rows: list[tuple[int, int, str]]) -> None:
    found = difference(group(picked, rest, strategy=value, address=value) for picked, rest, value in rows)
    assert found.picked == sum(picked for picked, _, _ in rows)
    assert len(found.traits) <= MOST_TRAITS
    for trait in found.traits:
        assert 0 < trait.difference <= 1
        assert trait.bars[0] >= trait.bars[1]
    assert [trait.proven for trait in found.traits] == sorted((trait.proven for trait in found.traits), reverse=True)


@pytest.mark.parametrize(
    ("ready", "low", "high", "words"),
    [
        ("", 0, math.inf, ""),
        ("never", math.inf, math.inf, "never"),
        ("250..500", 250, 500, "250 ms to 500 ms"),
        ("800..never", 800, math.inf, "800 ms to never"),
        ("0..800", 0, 800, "up to 800 ms"),
    ],
)
def test_an_area_is_read_from_the_address(ready: str, low: float, high: float, words: str) -> None:
    area = area_of({"picked": f"{written(START)}..{written(START + MINUTE)}", "ready": ready})
    assert (area.low, area.high, plain(area.latencies)) == (low, high, words)


@pytest.mark.parametrize("ready", ["500..250", "x", "1", "-1..5", "nan..5", "inf..never", "5..5", ".."])
def test_latencies_that_are_none_are_refused(ready: str) -> None:
    with pytest.raises(ValueError, match=r"^ready: milliseconds"):
        area_of({"picked": f"{written(START)}..{written(START + MINUTE)}", "ready": ready})


@pytest.mark.parametrize("bucket", ["", "20261120T025100Z", "a..b", "20261120T025200Z..20261120T025100Z"])
def test_a_bucket_that_is_none_is_refused(bucket: str) -> None:
    with pytest.raises(ValueError, match=r"^(bucket|from|to): "):
        stretch_of(bucket, "bucket")


def told(outcomes: Mapping[int, Outcome]) -> tuple[Target, datetime]:
    """A target with these outcomes, by seconds after a minute that began half an hour ago."""
    start = timezone.now().replace(second=0, microsecond=0) - 30 * MINUTE
    target = stored_target()
    record([entry(target, start + timedelta(seconds=at), each) for at, each in outcomes.items()], now=timezone.now())
    return target, start


@pytest.mark.django_db
def test_the_probes_of_a_bucket_come_worst_first_and_ours_last() -> None:
    outcomes = {
        0: success(),
        10: failure(FailureKind.MISSED, marks={}),
        20: failure(FailureKind.NOT_READY),
        25: lossy(),
        30: success(marks={"upgraded": 0, "ready": 900_000}),
        60: failure(),
    }
    target, start = told(outcomes)
    with CaptureQueriesContext(connection) as queries:
        found = listed(target, Fixed(start, start + MINUTE), timezone.now())
    assert len(queries) == 2
    assert [(probe.slot - start).seconds for probe in found.probes] == [20, 25, 30, 0, 10]
    assert plain(found.sentence) == "2 of 4 failed. 1 slot not measured, because of us. The worst first:"


@pytest.mark.django_db
def test_of_many_probes_the_worst_are_listed_and_all_are_counted() -> None:
    target, start = told({at: success() for at in range(MOST_LISTED)} | {600: failure()})
    found = listed(target, Fixed(start, start + 20 * MINUTE), timezone.now())
    assert [len(found.probes), found.total, found.probes[0].ok] == [MOST_LISTED, MOST_LISTED + 1, False]
    assert found.sentence.endswith(f"The {MOST_LISTED} worst:")


@pytest.mark.django_db
def test_an_area_is_compared_with_the_rest_of_the_time_that_is_shown() -> None:
    outcomes = {at: success(strategy="dependency_gate", flags_revision=1) for at in range(0, 300, 5)}
    outcomes |= {at: failure(strategy="immediate", flags_revision=2) for at in range(300, 600, 5)}
    outcomes |= {at + 2: success(flagged=True) for at in range(0, 600, 60)}
    outcomes |= {at + 1: failure(FailureKind.MISSED, marks={}) for at in range(0, 600, 60)}
    target, start = told(outcomes)
    shown = Fixed(start - MINUTE, start + 20 * MINUTE)
    area = Area(Fixed(start + 5 * MINUTE, start + 10 * MINUTE), math.inf, math.inf)
    with CaptureQueriesContext(connection) as queries:
        answer = compared(target, area, shown, timezone.now())
    assert len(queries) == 1
    assert (answer.found.picked, answer.found.rest) == (60, 60)
    first = answer.found.traits[0]
    assert (first.dimension, first.value, first.picked, first.rest) == ("strategy", "immediate", 60, 0)
    ready = compared(target, Area(area.stretch, 0.0, 800.0), shown, timezone.now())
    assert ready.found.picked == 0


@pytest.mark.parametrize(
    ("picked", "rest"),
    [
        ((0, 1), (-6, 1)),
        ((-6, 1), (-6, 1)),
        ((-30, -29), (-42, -17)),
        ((-100, -50), (-100, -76)),
        ((-300, -299), (-311, -287)),
    ],
)
def test_an_area_is_compared_with_a_day_around_it_at_most(picked: tuple[int, int], rest: tuple[int, int]) -> None:
    """In hours from now; the page shows 30 days, or six hours where the area is of today."""
    hour = timedelta(hours=1)
    length = 6 * hour if picked[0] >= -6 else 720 * hour
    shown = Span(START - length, START + hour, hour, 3600, "")
    found = around(Fixed(START + picked[0] * hour, START + picked[1] * hour), shown)
    assert found.length <= LONGEST_COMPARED
    assert abs(found.start - (START + rest[0] * hour)) <= hour
    assert abs(found.end - (START + rest[1] * hour)) <= hour


@pytest.mark.django_db
def test_a_bucket_and_an_area_are_in_the_address_of_the_page() -> None:
    now = timezone.now().replace(microsecond=0)
    failing(1, 30, now)
    bucket = f"{written(now - 5 * MINUTE)}..{written(now - 4 * MINUTE)}"
    viewer = signed_in("viewer")
    alone = viewer.get(PAGE, {"bucket": bucket}, headers={"HX-Request": "true"})
    assert text(alone).lstrip().startswith("Probes")
    assert "The worst first" in text(viewer.get(PAGE, {"bucket": bucket}))
    picked = text(viewer.get(PAGE, {"picked": bucket, "ready": "never", "range": "1h"}))
    assert re.search(r"\d+ probes?, \d\d:\d\d.* ready never, against \d+ others of", picked)
    assert "two instants" in text(viewer.get(PAGE, {"bucket": "x"}))


@pytest.mark.django_db
def test_what_is_no_longer_kept_is_said_to_be_gone() -> None:
    failing(1, 5, timezone.now())
    old = timezone.now() - timedelta(days=20)
    words = text(signed_in("viewer").get(PAGE, {"bucket": f"{written(old)}..{written(old + MINUTE)}"}))
    assert "Single probes are kept for 7 days: these are gone." in plain(words)
