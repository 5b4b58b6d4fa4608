"""`/metrics`: read by Prometheus's own parser, guarded by a token, and documented name by name."""

import json
import math
import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest
import redis
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from hypothesis import given
from hypothesis import settings as bounded
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families
from pytest_django import Settings

from dashboard.accounts import create_token
from dashboard.env import BASE_DIR
from dashboard.exposition import DELAY_BOUNDS, Family, text
from dashboard.queries.metrics import Collector
from probes.histogram import Histogram
from probes.recording import record
from probes.results_stream import WORKERS
from tests.support.outcomes import entry, failure, stored_target, success
from tests.support.people import signed_in

pytestmark = pytest.mark.django_db
Series = Mapping[tuple[str, tuple[tuple[str, str], ...]], float]


def parsed(told: str) -> Series:
    """{(name, labels): value}, as Prometheus's own parser reads it."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(told)
        for sample in family.samples
    }


def value(series: Series, name: str, **labels: str) -> float:
    return series[name, tuple(sorted(labels.items()))]


@pytest.fixture
def told(settings: Settings, redis_url: str, redis_client: "redis.Redis") -> "redis.Redis":
    settings.REDIS_URL = redis_url
    return redis_client


def scraped() -> Series:
    return parsed(text(Collector().collect(timezone.now())))


def test_targets_locations_workers_and_flags_are_told(told: "redis.Redis") -> None:
    now = timezone.now()
    target = stored_target("chat", interval_ms=1000)
    beat: dict[str, Any] = {
        "location": "local", "at": now.isoformat(), "clock_offset_us": -1500, "in_flight": 3, "over_capacity": 0,
        "lag_us": 420, "exceeded": 0, "exceeded_since": now.isoformat(), "waiting": 2, "dropped": 1,
    }  # fmt: skip
    told.hset(WORKERS, "local@one:1", json.dumps(beat))
    told.rpush("probes-local", "batch", "batch")
    slots = [now - timedelta(seconds=n) for n in range(10)]
    outcomes = [failure()] * 4 + [success(ready_us=40_000)] * 6
    record([entry(target, slot, outcome) for slot, outcome in zip(slots, outcomes, strict=True)], now=now)
    series = scraped()
    who = {"target": "chat", "environment": "staging"}
    assert value(series, "readywire_target_state", **who, state="down") == 1
    assert [value(series, "readywire_target_slots", **who, result=each) for each in ("ok", "failed")] == [6, 4]
    assert value(series, "readywire_target_ready_seconds", **who, quantile="0.5") == pytest.approx(0.04)
    assert value(series, "readywire_target_ready_seconds", **who, quantile="0.95") == math.inf
    assert value(series, "readywire_location_state", location="local", state="on_time") == 1
    assert value(series, "readywire_slots_total", location="local", result="on_time") == 10
    assert value(series, "readywire_start_delay_seconds_bucket", location="local", le="0.001") == 10
    assert value(series, "readywire_queued_batches", location="local") == 2
    assert value(series, "readywire_worker_clock_offset_seconds", worker="local@one:1", location="local") == -0.0015
    assert value(series, "readywire_flags_revision", environment="staging") >= 1


def test_without_redis_it_says_so_and_leaves_out_what_redis_alone_knows(settings: Settings) -> None:
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    stored_target()
    series = scraped()
    assert value(series, "readywire_redis_up") == 0
    assert not [name for name, _ in series if name in ("readywire_workers", "readywire_unrecorded_outcomes")]


def test_every_name_is_documented_and_every_documented_name_is_told(told: "redis.Redis") -> None:
    page = (BASE_DIR / "docs" / "metrics.md").read_text()
    documented = re.findall(r"^\| `(readywire_\w+)` \| (\w+) \|", page, re.MULTILINE)
    assert documented == [(family.name, family.kind) for family in Collector().collect(timezone.now())]


def test_only_a_token_or_a_person_who_may_see_reads_them(told: "redis.Redis") -> None:
    anonymous = Client()
    refused = anonymous.get("/metrics")
    assert (refused.status_code, refused["WWW-Authenticate"]) == (401, 'Bearer realm="readywire"')
    assert anonymous.get("/metrics", headers={"Authorization": "Bearer rwt_wrong"}).status_code == 401
    secret = create_token("prometheus", "read")
    answer = anonymous.get("/metrics", headers={"Authorization": f"Bearer {secret}"})
    assert (answer.status_code, answer["Content-Type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")
    assert parsed(answer.content.decode())
    assert signed_in("viewer").get("/metrics").status_code == 200
    assert anonymous.post("/metrics", headers={"Authorization": f"Bearer {secret}"}).status_code == 405


def test_queries_do_not_grow_with_targets_and_figures_follow_new_slots(told: "redis.Redis") -> None:
    collector, now = Collector(), timezone.now()

    def queries() -> int:
        with CaptureQueriesContext(connection) as caught:
            collector.collect(now)
        return len(caught)

    first = stored_target("first")
    record([entry(first, now, success())], now=now)
    few = queries()
    for n in range(5):
        record([entry(stored_target(f"chat-{n}"), now, success())], now=now)
    assert queries() == few
    record([entry(first, now - timedelta(seconds=1), failure())], now=now)
    series = parsed(text(collector.collect(now)))
    assert value(series, "readywire_target_slots", target="first", environment="staging", result="failed") == 1


@bounded(max_examples=40, deadline=None)
@given(
    st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"], include_characters="\n\t")),
    st.floats(allow_nan=False),
)
def test_any_label_and_number_comes_back_from_the_parser(label: str, number: float) -> None:
    family = Family("readywire_x", "gauge", 'A "meaning" with \\ and \n in it.')
    family.add(number, who=label)
    assert parsed(text([family])) == {("readywire_x", (("who", label),)): number}


@bounded(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 2_000_000), max_size=60))
def test_a_histogram_is_told_right_to_one_per_cent(delays: list[int]) -> None:
    histogram = Histogram()
    for us in delays:
        histogram.add(us)
    family = Family("readywire_d_seconds", "histogram", "x")
    family.add_histogram(histogram, DELAY_BOUNDS)
    series = parsed(text([family]))
    assert value(series, "readywire_d_seconds_count") == len(delays)
    assert value(series, "readywire_d_seconds_sum") == pytest.approx(sum(delays) / 1e6, rel=0.0101)
    for bound in DELAY_BOUNDS:
        below = value(series, "readywire_d_seconds_bucket", le=f"{bound:g}")
        assert sum(us <= bound * 1e6 * 0.98 for us in delays) <= below <= sum(us <= bound * 1e6 * 1.02 for us in delays)
