"""Charts: numbers become figures that Plotly accepts, with a sentence and a table that say the same."""

import math
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Literal
from zoneinfo import ZoneInfo

import plotly.graph_objects as go
import plotly.offline
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.charts import Chart, charts
from dashboard.charts.figures import LatencyScale, grouped, stepped
from dashboard.charts.race import shifted
from dashboard.charts.series import (
    RANGES,
    Bucket,
    Dot,
    Mark,
    Window,
    coarser,
    event_counts,
    floor,
    histogram_of,
    merged,
    raw_bucket,
)
from dashboard.env import BASE_DIR
from probes.engine.script import CRITICAL_EVENTS

ZONE = ZoneInfo("UTC")
START = datetime(2026, 11, 20, 2, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def bucket(minute: int, *, ready_ms: tuple[float, ...] = (240, 250, 390), never: int = 0, **fields: Any) -> Bucket:
    """A minute with these probes ready and `never` that were not."""
    made = Bucket(START + minute * MINUTE, probes=len(ready_ms) + never, failed=never)
    made.kinds = Counter({"not_ready": never} if never else {})
    made.histograms["race_window"] = histogram_of([int(ms * 1000) for ms in ready_ms], beyond=never)
    for phase, us in (("dns", 200), ("tcp", 400), ("upgrade", 2_000), ("start_delay", 1_500)):
        made.histograms[phase] = histogram_of([us] * made.probes)
    for event in CRITICAL_EVENTS:
        made.events[event] = Counter(expected=made.probes, delivered=len(ready_ms))
    for name, value in fields.items():
        setattr(made, name, value)
    return made


def window(*buckets: Bucket, minutes: int = 60, **fields: Any) -> Window:
    values: dict[str, Any] = {
        "start": START,
        "end": START + minutes * MINUTE,
        "bucket": MINUTE,
        "buckets": list(buckets),
        "events": CRITICAL_EVENTS,
        "objective_us": 800_000,
        "width": 60,
    }
    return Window(**{**values, **fields})


def chart(key: str, shown: Window) -> Chart:
    return next(each for each in charts(shown, ZONE) if each.key == key)


def failing() -> Window:
    """Fifty good minutes, then ten in which most probes are never ready; revision 42 came in between."""
    good = [bucket(minute) for minute in range(50)]
    bad = [bucket(minute, ready_ms=(1_100,), never=2) for minute in range(50, 60)]
    mark = Mark(START + 49 * MINUTE, "r42", "readiness-strategy: dependency_gate → immediate")
    return window(*good, *bad, marks=[mark], failing_since=START + 50 * MINUTE)


def with_hex(value: Any) -> Any:
    """The figure as the browser would have it: colours instead of token names."""
    if isinstance(value, str) and value.startswith("--"):
        return "Arial" if value == "--sans" else "#123456"
    if isinstance(value, dict):
        return {key: with_hex(each) for key, each in value.items()}
    return [with_hex(each) for each in value] if isinstance(value, list | tuple) else value


def strings(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for each in value.values():
            yield from strings(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from strings(each)
    elif isinstance(value, str):
        yield value


SHOWN = {
    "failing": failing(),
    "empty": window(),
    "one bucket": window(bucket(59)),
    "only missed": window(Bucket(START, ours=3, kinds=Counter(missed=3))),
    "raw": window(
        bucket(1),
        minutes=15,
        width=None,
        dots=[Dot(START, 250_000.0, ""), Dot(START, math.inf, "not_ready")],
    ),
    "30 days": window(bucket(0), minutes=30 * 24 * 60, bucket=timedelta(hours=1), width=3600),
}


@pytest.mark.parametrize("name", SHOWN)
def test_plotly_accepts_every_figure(name: str) -> None:
    for each in charts(SHOWN[name], ZONE):
        go.Figure(with_hex(each.figure))


@pytest.mark.parametrize("name", SHOWN)
def test_every_colour_is_a_token_that_exists(name: str) -> None:
    known = (BASE_DIR / "static" / "tokens.css").read_text()
    for each in charts(SHOWN[name], ZONE):
        for text in strings([each.figure, [token.split()[0] for _, token in each.legend]]):
            assert not text.startswith("#")
            if text.startswith("--"):
                assert f"{text.partition('@')[0]}:" in known, text


@pytest.mark.parametrize("name", SHOWN)
def test_every_chart_has_a_sentence_and_a_table_of_its_width(name: str) -> None:
    for each in charts(SHOWN[name], ZONE):
        assert each.lede.endswith(".")
        assert all(len(row) == len(each.table.columns) for row in each.table.rows)


def test_a_range_without_probes_says_so() -> None:
    assert {each.lede for each in charts(window(), ZONE)} == {"No probe in this range."}


def test_an_empty_range_tells_when_the_last_result_was() -> None:
    found = charts(window(newest=START - timedelta(hours=3)), ZONE)
    assert {each.lede for each in found} == {"No probe in this range. Last result: 23:00:00."}


def test_the_heatmap_tells_the_page_where_its_rows_and_columns_lie() -> None:
    heat = chart("heat", failing())
    edges = heat.figure["layout"]["meta"]["edges_ms"]
    assert edges == sorted(edges)
    assert edges[-1] == 5_000
    assert len(edges) - 1 == len(heat.figure["data"][0]["y"])
    assert heat.step == 60
    day = window(*(bucket(minute) for minute in range(1440)), minutes=1440)
    assert {key: chart(key, day).step for key in ("heat", "events", "failures")} == {
        "heat": 480,
        "events": 1440,
        "failures": 720,
    }


def test_no_chart_grows_past_its_bounds() -> None:
    """Points a trace, columns and bars have hard caps, whatever the range."""
    day = window(*(bucket(minute) for minute in range(1440)), minutes=1440)
    for each in charts(day, ZONE):
        for trace in each.figure["data"]:
            assert len(trace["x"]) <= {"heatmap": 180, "bar": 120}.get(trace["type"], 1441)


def test_what_was_never_ready_runs_along_its_own_lane() -> None:
    race = chart("race", failing())
    p95 = next(trace for trace in race.figure["data"] if trace["name"] == "p95")
    axis = race.figure["layout"]["yaxis"]
    assert axis["ticktext"][-1] == "never"
    assert p95["y"][-1] == axis["tickvals"][-1]
    assert p95["y"][-1] > 5_000
    assert axis["range"][1] > math.log10(p95["y"][-1])


def test_the_race_window_tells_when_it_changed() -> None:
    lede = chart("race", failing()).lede.replace("\u00a0", " ")
    assert lede.startswith("p95 went from 3")
    assert lede.endswith("to never at 02:50: more than 1 in 20 probes are not ready within 5 s.")


def test_a_cure_is_told_too() -> None:
    bad = [bucket(minute, ready_ms=(1_100,), never=2) for minute in range(30)]
    good = [bucket(minute) for minute in range(30, 60)]
    assert "p95 went from never to" in chart("race", window(*bad, *good)).lede


@pytest.mark.parametrize(
    ("values", "index"),
    [
        ([100.0] * 10, None),
        ([100.0] * 3, None),
        ([100.0] * 10 + [300.0] * 4, 10),
        ([100.0] * 10 + [math.inf] * 4, 10),
        ([math.inf] * 10 + [100.0] * 4, 10),
        ([100.0] * 5 + [math.inf] + [100.0] * 5, None),
        ([math.inf] * 12, None),
    ],
)
def test_a_shift_is_a_level_that_lasts(values: list[float], index: int | None) -> None:
    found = shifted(values)
    assert (found[0] if found else None) == index


def test_a_bucket_is_a_step_and_a_gap_stays_a_gap() -> None:
    line = stepped(window(bucket(0), bucket(5)), [(bucket(0), 1.0, "a"), (bucket(5), 2.0, "b")], ZONE)
    assert line["x"] == [f"2026-11-20T02:0{minute}:00" for minute in (0, 1, 1, 5, 6)]
    assert line["y"] == [1.0, 1.0, None, 2.0, 2.0]


def test_the_last_bucket_is_drawn_as_far_as_it_has_come() -> None:
    shown = window(bucket(0), end=START + timedelta(seconds=20))
    assert stepped(shown, [(bucket(0), 1.0, "")], ZONE)["x"][-1] == "2026-11-20T02:00:20"


def test_marks_too_near_to_tell_apart_become_one_with_their_count() -> None:
    times = [START, START + MINUTE, START + 30 * MINUTE]
    shown = window(marks=[Mark(at, f"r{n}") for n, at in enumerate(times)])
    assert [[mark.label for mark in group] for group in grouped(shown)] == [["r0", "r1"], ["r2"]]
    texts = [each["text"] for each in chart("delay", shown).figure["layout"]["annotations"]]
    assert texts == ["▼ 2", "▼ r2"]


def test_a_deploy_is_a_dotted_line_and_a_revision_a_solid_one() -> None:
    marks = [Mark(START + 10 * MINUTE, "5.12.0", "chat", "deploy"), Mark(START + 40 * MINUTE, "r42")]
    layout = chart("delay", window(marks=marks)).figure["layout"]
    assert [each["text"] for each in layout["annotations"]] == ["▽ 5.12.0", "▼ r42"]
    assert [(each["line"].get("dash"), each["line"]["width"]) for each in layout["shapes"]] == [("dot", 1), (None, 1.5)]


@pytest.mark.parametrize(("second", "text"), [("deploy", "▽ 2"), ("revision", "▼ 2")])
def test_merged_marks_are_solid_as_soon_as_one_is_a_revision(second: Literal["revision", "deploy"], text: str) -> None:
    marks = [Mark(START, "5.12.0", kind="deploy"), Mark(START + MINUTE, "r42", kind=second)]
    layout = chart("delay", window(marks=marks)).figure["layout"]
    assert layout["annotations"][0]["text"] == text
    assert (layout["shapes"][0]["line"]["width"] == 1) == (second == "deploy")


def test_however_much_changed_at_most_twenty_marks_are_drawn() -> None:
    shown = window(marks=[Mark(START + n * timedelta(seconds=6), f"r{n}") for n in range(600)])
    assert 10 < len(grouped(shown)) <= 20
    assert sum(map(len, grouped(shown))) == 600


def test_a_mark_at_an_end_of_the_plot_is_written_inwards_and_its_words_are_no_markup() -> None:
    marks = [Mark(START, "<b>1</b>", "a & b", "deploy"), Mark(START + 60 * MINUTE, "r2")]
    first, last = chart("delay", window(marks=marks)).figure["layout"]["annotations"]
    assert (first["xanchor"], last["xanchor"]) == ("left", "right")
    assert (first["text"], first["hovertext"]) == ("▽ &lt;b&gt;1&lt;/b&gt;", "&lt;b&gt;1&lt;/b&gt; a &amp; b")


def test_the_time_of_the_fault_is_tinted_behind_the_data() -> None:
    tint = chart("race", failing()).figure["layout"]["shapes"][0]
    assert (tint["x0"], tint["x1"], tint["layer"]) == ("2026-11-20T02:50:00", "2026-11-20T03:00:00", "below")


def test_an_events_cell_shows_the_worst_that_happened() -> None:
    minute = bucket(0)
    minute.events["agent_thinking"] = Counter(expected=3, delivered=3, late=1)
    minute.events["tool_completed"] = Counter(expected=3, delivered=2, late=1, lost=1)
    heat = chart("events", window(minute)).figure["data"][0]
    first = {
        name: (levels[0], glyphs[0]) for name, levels, glyphs in zip(heat["y"], heat["z"], heat["text"], strict=True)
    }
    assert first["agent_<br>started"] == (1, "")
    assert first["agent_<br>thinking"] == (2, "L")
    assert first["tool_<br>completed"] == (3, "✕")
    assert heat["z"][0][1] is None


def test_events_tell_the_first_that_goes_missing() -> None:
    """Every share with its 95 % bounds, and what none of many proves."""
    missing = chart("events", failing()).lede.replace("\u00a0", " ")
    assert missing == ("agent_started is the first to go missing: 20 of 180 probes did not get it (95 %: 7.3 to 17 %).")
    assert chart("events", window(bucket(0))).lede == "Every event arrived, once and in order."
    many = chart("events", window(*(bucket(minute) for minute in range(50)))).lede.replace("\u00a0", " ")
    assert many == "Every event arrived, once and in order, so fewer than 2.0 % of probes miss one."


def test_failures_say_whose_fault_and_keep_ours_apart() -> None:
    ours = Bucket(START, ours=2, kinds=Counter(missed=2))
    lede = chart("failures", window(ours, bucket(1, never=1))).lede.replace("\u00a0", " ")
    assert lede == (
        "1 of 4 failed (95 %: 4.6 to 70 %), all not_ready: the server, before ready. "
        "2 slots not measured, because of us."
    )
    fine = chart("failures", window(*(bucket(minute) for minute in range(50)))).lede.replace("\u00a0", " ")
    assert fine == "Nothing failed: 150 probes succeeded, so fewer than 2.0 % fail."


def test_two_kinds_of_one_owner_differ_by_pattern() -> None:
    minute = bucket(0, never=3, kinds=Counter(not_ready=2, accept_race=1))
    bars = chart("failures", window(minute)).figure["data"]
    assert len({(each["marker"]["color"], each["marker"]["pattern"]["shape"]) for each in bars}) == 2
    assert len({each["marker"]["color"] for each in bars}) == 1


def test_only_measured_phases_are_stacked() -> None:
    assert [trace["name"] for trace in chart("phases", window(bucket(0))).figure["data"]] == [
        "DNS",
        "TCP",
        "upgrade",
        "race window",
    ]


def test_flagged_probes_are_said_to_be_left_out() -> None:
    hint = chart("race", window(bucket(0, flagged=1))).hint.replace("\u00a0", " ")
    assert hint == "upgraded → ready, by minute · 33.3 % left out: our own loop lagged"


@given(
    values=st.lists(st.one_of(st.just(math.inf), st.floats(1, 6e7)), max_size=20),
    deadline_ms=st.integers(100, 60_000),
)
def test_every_latency_lies_on_its_scale(values: list[float], deadline_ms: int) -> None:
    scale = LatencyScale.of(values, deadline_ms * 1000)
    low, high = scale.axis()["range"]
    assert low < high
    for us in values:
        y = scale.y(min(us, deadline_ms * 1000) if not math.isinf(us) else us)
        assert y is not None
        assert low - 1e-9 <= math.log10(y) <= high + 1e-9
    assert len(scale.ticks()) <= 7


@given(st.lists(st.integers(0, 5_000), max_size=60), st.integers(2, 40))
def test_coarser_buckets_hold_the_same_probes(minutes: list[int], factor: int) -> None:
    buckets = [bucket(minute) for minute in minutes]
    whole = merged(buckets, factor * MINUTE)
    assert sum(each.probes for each in whole) == sum(each.probes for each in buckets)
    assert sum(each.histograms["race_window"].count for each in whole) == 3 * len(buckets)
    assert [each.start for each in whole] == sorted({floor(each.start, factor * MINUTE) for each in buckets})


def test_a_window_is_never_drawn_in_more_columns_than_asked() -> None:
    shown = window(*(bucket(minute) for minute in range(360)), minutes=360)
    for most in (60, 100, 180, 360):
        buckets, size = coarser(shown, most)
        assert len(buckets) <= most + 1
        assert size % MINUTE == timedelta(0)


def test_a_raw_range_has_half_minutes_or_single_slots() -> None:
    quarter = RANGES[0]
    assert raw_bucket(quarter, timedelta(seconds=1)) == timedelta(seconds=30)
    assert raw_bucket(quarter, timedelta(minutes=2)) == timedelta(minutes=2)


def test_one_probes_events_count_as_rollups_count_them() -> None:
    counts = event_counts(["a", "b"], {"a": 10}, {"b": "lost"})
    assert counts == {"a": Counter(expected=1, delivered=1), "b": Counter(expected=1, delivered=0, lost=1)}


def test_the_bundle_is_of_the_version_that_the_plotly_wheel_carries() -> None:
    """Figures are validated against one version and drawn by another otherwise."""
    bundle = BASE_DIR / "build" / "vendor" / "vendor" / "plotly-cartesian.min.js"
    assert f"v{plotly.offline.get_plotlyjs_version()}" in bundle.read_text()[:200]
