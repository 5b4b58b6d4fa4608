"""`/strategies/`: who served what in a scope, which did better and how surely, and what nobody can tell."""

from datetime import datetime, timedelta

import plotly.graph_objects as go
import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from connections.gate.counters import added as counted_as
from connections.models import ConnectionCount
from dashboard.charts.series import Line
from dashboard.charts.strategies import lede, race_windows
from dashboard.queries import strategies as queries
from dashboard.queries.strategies import added, width_for
from probes import packed
from probes.engine.outcome import FailureKind, Outcome
from probes.histogram import bucket_of
from probes.models import Target
from probes.recording import record
from tests.dashboard.test_charts import strings, with_hex
from tests.support.outcomes import entry, failure, stored_target, success
from tests.support.pages import text
from tests.support.people import signed_in

pytestmark = pytest.mark.django_db


@pytest.fixture
def vera() -> Client:
    return signed_in("viewer")


def probed(target: Target, outcomes: list[Outcome], now: datetime, location: str = "local") -> None:
    """One outcome every four seconds until now."""
    slots = [now - timedelta(seconds=4 * (len(outcomes) - n)) for n in range(len(outcomes))]
    record([entry(target, slot, each, location) for slot, each in zip(slots, outcomes, strict=True)], now=now)


def ramped(probes: int, **bad: int) -> list[Outcome]:
    """dependency_gate and fixed_delay in turns; every `bad`th probe of the latter is never ready."""
    every = bad.get("every", 3)
    late = success(strategy="fixed_delay", ready_us=120_000)
    never = failure(FailureKind.ACCEPT_RACE, strategy="fixed_delay")
    return [each for n in range(probes) for each in (success(), never if n % every == 0 else late)]


def page(client: Client, query: str = "") -> str:
    answer = client.get(f"/strategies/{query}")
    assert answer.status_code == 200
    return text(answer).replace("\u00a0", " ")


def test_it_says_who_loses_fewer_messages_and_on_what_that_rests(vera: Client) -> None:
    probed(stored_target(), ramped(60), timezone.now())
    shown = page(vera, "?window=1h")
    assert "dependency_gate loses fewer messages than fixed_delay : 0 of 300 against 100 of 300 ." in shown
    assert "Answers incomplete: 0 of 60 against 20 of 60" in shown
    assert "On 1 place that both served, in the same five minutes" in shown
    assert "67 %" in shown  # success of fixed_delay
    assert "54 to 77 %" in shown  # and its bounds: Wilson's of 40 of 60
    assert "33 %" in shown  # ready falsely


def test_few_probes_are_not_taken_for_more(vera: Client) -> None:
    probed(stored_target(), ramped(12), timezone.now())
    assert "Cannot tell yet: dependency_gate has 12 probes where another strategy served too; 30 are needed." in page(
        vera
    )


def test_strategies_that_are_alike_are_said_to_be(vera: Client) -> None:
    probed(stored_target(), ramped(60, every=1000)[2:], timezone.now())
    shown = page(vera)
    assert (
        "Cannot tell yet whether dependency_gate or fixed_delay loses messages less: 0 of 295 against 0 of 295" in shown
    )
    assert "would have shown" in shown


def test_targets_that_only_one_served_compare_nothing(vera: Client) -> None:
    now = timezone.now()
    probed(stored_target("chat"), [success()] * 40, now)
    assert "Only dependency_gate served these targets: 40 probes, 0 of 200 messages lost." in page(vera)
    probed(stored_target("feed"), [failure(strategy="immediate")] * 40, now)
    assert "Cannot tell: no target was served by dependency_gate and immediate both." in page(vera)
    assert "Only immediate served" in page(vera, "?target=feed&env=staging")


def test_a_scope_is_of_targets_environment_tag_and_location(vera: Client) -> None:
    now = timezone.now()
    chat, feed = stored_target("chat", tags=["eu"], locations=("local", "far")), stored_target("feed", tags=["us"])
    probed(chat, [success()] * 11, now)
    probed(chat, [success()] * 17, now, "far")
    probed(feed, [success()] * 5, now)
    for query, probes in (
        ("", 33),
        ("?env=staging", 33),
        ("?tag=eu", 28),
        ("?tag=eu&location=far", 17),
        ("?target=feed", 5),
        ("?target=feed&target=chat&location=local", 16),
        ("?env=nowhere&tag=no&location=no&window=century&target=nobody", 33),
    ):
        assert f"{probes} probes, 0 of {5 * probes} messages" in page(vera, query), query


def test_without_probes_it_says_what_to_do(vera: Client) -> None:
    assert "No targets yet" in page(vera)
    target = stored_target()
    assert "No probe in this window" in page(vera)
    probed(target, [success(strategy="", flags_revision=None)] * 3, timezone.now())
    assert "No probe was told what served it 3 probes" in page(vera)


def test_probes_that_never_heard_what_served_them_are_told_apart(vera: Client) -> None:
    refused = failure(FailureKind.CONNECT_REFUSED, strategy="", flags_revision=None)
    probed(stored_target(), [*[success()] * 30, refused, refused], timezone.now())
    assert "2 probes never heard what served them, and are in no line." in page(vera)


def test_what_probes_cannot_tell_is_told_by_the_watched_servers(vera: Client) -> None:
    now = timezone.now()
    probed(stored_target(), ramped(5), now)
    assert "none of staging does" in page(vera)
    for figure, n in (("ended.drained", 200), ("ready.false_not_ready", 30), (f"ready.{counted_as(0.4)}", 120),
                      (f"ready.{counted_as(88)}", 80)):  # fmt: skip
        ConnectionCount.objects.create(
            environment_id="staging", minute=now, revision=1, strategy="fixed_delay", figure=figure, count=n
        )
    shown = page(vera)
    assert "15 %" in shown
    assert "p95 ≤ 100 ms p50 ≤ 1 ms" in shown
    assert "the watched servers of staging tell of" in shown


def test_a_percentile_of_what_was_added_is_an_upper_bound() -> None:
    assert added({}, 0.5) == "–"
    figures = {"ready.added_1": 94, "ready.added_2000": 5, "ready.added_more": 1}
    assert [added(figures, q).replace("\u00a0", " ") for q in (0.5, 0.95, 0.995)] == ["≤ 1 ms", "≤ 2 s", "> 5 s"]


def test_many_targets_are_a_table_and_cost_no_more_queries(vera: Client) -> None:
    now, counts = timezone.now(), []
    for wanted in (2, 20):
        for n in range(Target.objects.count(), wanted):
            probed(stored_target(f"t{n:02}"), ramped(3), now)
        with CaptureQueriesContext(
            connection,
        ) as seen:
            shown = page(vera)
        counts.append(len(seen))
        assert "Target by target" in shown
    assert counts[0] == counts[1] <= 14
    assert "20 targets, those first that most strategies served" in shown


def test_the_rows_that_are_read_grow_coarser_with_window_and_targets() -> None:
    hour, day = timedelta(hours=1), timedelta(days=1)
    assert [width_for(hour, 400), width_for(6 * hour, 10), width_for(6 * hour, 200)] == [300, 300, 3600]
    assert [width_for(day, 200), width_for(3 * day, 1), width_for(30 * day, 2)] == [3600, 3600, 3600]
    assert [width_for(30 * day, 200), width_for(30 * day, 10_000)] == [86_400, 86_400]
    assert queries.DEFAULT_WINDOW.length == day


def line(strategy: str, *ready_ms: float, never: int = 0) -> Line:
    return Line(strategy, sum(packed.one_in(bucket_of(int(ms * 1000))) for ms in ready_ms), never)


@pytest.mark.parametrize(
    "lines",
    [
        [],
        [line("dependency_gate", 40, 50, 60)],
        [line("immediate", never=3)],
        [line("dependency_gate", 240, 250), line("immediate", 30, never=5), line("theirs", 0.01, 70_000)],
        [line(name, 10 * n + 10) for n, name in enumerate(("a", "b", "ready_ack", "client_init", "state_poll"))],
    ],
)
def test_plotly_accepts_every_figure_and_its_colours_are_tokens(lines: list[Line]) -> None:
    chart = race_windows("strategies", "Ready within", "", lines)
    go.Figure(with_hex(chart.figure))
    assert not any(each.startswith("#") for each in strings(chart.figure))
    assert all(len(row) == len(chart.table.columns) for row in chart.table.rows)
    assert all(len(trace["x"]) <= 160 for trace in chart.figure["data"])


def test_who_is_never_ready_keeps_the_curve_below_all() -> None:
    chart = race_windows("strategies", "", "", [line("immediate", 100, 200, 300, never=1)])
    assert chart.figure["data"][0]["y"][-1] == 75
    assert chart.figure["data"][0]["line"]["dash"] == "dot"


def test_the_sentence_takes_the_time_at_which_they_differ_most() -> None:
    lines = [line("dependency_gate", *[240] * 9, 900), line("fixed_delay", *[700] * 8, never=1)]
    said = lede(lines).replace("\u00a0", " ")
    assert said == "90 % of probes served by dependency_gate were ready within 250 ms, 0 of 9 by fixed_delay."
    assert lede([]) == "No probe in this range."


def test_a_target_shows_its_strategies_over_minutes_and_over_days_alike(vera: Client) -> None:
    now, target = timezone.now(), stored_target()
    probed(target, ramped(60), now)
    for span in ("15m", "6h", "7d", "30d"):
        chart = vera.get(f"/targets/{target.slug}/figures.json?range={span}").json()["charts"]["strategies"]
        assert [trace["name"] for trace in chart["figure"]["data"]] == ["dependency_gate", "fixed_delay"]
        assert [round(trace["y"][-1]) for trace in chart["figure"]["data"]] == [100, 67], span
        assert chart["lede"].endswith("0\u00a0% by fixed_delay."), span
    probed(stored_target("plain"), [success(strategy="", flags_revision=None)] * 3, now)
    chart = vera.get("/targets/plain/figures.json?range=15m").json()["charts"]["strategies"]
    assert chart["lede"] == "No probe in this range was told what served it."
