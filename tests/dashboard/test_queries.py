"""Read models: what pages show equals what was recorded, in a number of queries that does not grow."""

import json
import math
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from connections.models import Revision
from dashboard.charts.series import BY_KEY, Bucket
from dashboard.queries import probe as probe_queries
from dashboard.queries.last_slots import LastSlots, figures
from dashboard.queries.overview import OverviewReader, late_after, shown_state
from dashboard.queries.stories import beginning
from dashboard.queries.target import TargetReader, identity_of
from dashboard.queries.windows import window
from probes.engine.outcome import FailureKind
from probes.models import Result, Target, TargetStatus
from probes.recent import STORED, packed
from probes.recording import record
from tests.support.history import Behaviour, History, age_first_revisions, failing, healthy
from tests.support.outcomes import entry, failure, lossy, stored_target, success

pytestmark = pytest.mark.django_db


def plain(text: str) -> str:
    return text.replace("\u00a0", " ")


def recent_row(**fields: Any) -> list[Any]:
    ok: dict[str, Any] = {"race_us": 100_000, "delivered": 5, "expected": 5, "letter": "u"}
    return packed({**dict.fromkeys(STORED), **ok, **fields})


def test_worst_comes_first() -> None:
    """Down in production before down, then degraded, stale, not probed, paused; what is up comes last, by name."""
    now = timezone.now()
    history = History()
    began = now - timedelta(minutes=5)
    history.add("a-up", "A up", "staging", Behaviour(), began=began)
    history.add("b-down", "B down", "staging", Behaviour(bad_since=began, fail_share=1.0), began=began)
    history.add("c-down", "C down", "production", Behaviour(bad_since=began, fail_share=1.0), began=began)
    history.add("d-slow", "D slow", "staging", Behaviour(bad_since=began, slow_factor=90), began=began)
    silent = Behaviour(silent_since=now - timedelta(minutes=2))
    history.add("e-stale", "E stale", "production", silent, began=began)
    history.add("f-new", "F new", "staging", Behaviour(silent_since=began), began=began)
    history.fill(began, now)
    shown = OverviewReader().read(now)
    assert shown.order == ["c-down", "b-down", "d-slow", "e-stale", "f-new", "a-up"]
    assert [row.state for row in shown.rows] == ["down", "down", "degraded", "stale", "unknown", "up"]
    assert shown.counts == {"down": 2, "degraded": 1, "stale": 1, "unknown": 1, "paused": 0, "up": 1}
    assert [story.slug for story in shown.stories] == ["c-down", "b-down", "d-slow", "e-stale"]


def test_the_overview_asks_no_more_for_thirty_targets_than_for_three() -> None:
    """The same holds when all of them fail."""
    now = timezone.now()
    asked = []
    for targets in (3, 30):
        Target.objects.all().delete()
        healthy(targets, 2, now)
        TargetStatus.objects.update(state="down")
        reader = OverviewReader()
        for _ in range(2):
            with CaptureQueriesContext(connection) as queries:
                assert len(reader.read(now, fresh=False).rows) == targets
            asked.append(len(queries))
    first, again, many, many_again = asked
    assert many <= first + 1  # One more fault is told, with its evidence.
    assert many_again <= again + 1
    assert many <= 18
    assert many_again <= 11  # What was read before is not read again.


def test_a_reader_parses_only_what_moved() -> None:
    """The second reading of unchanged statuses does not load their last sixty slots again, and says the same."""
    now = timezone.now()
    history = healthy(3, 5, now)
    reader = OverviewReader()
    first = reader.read(now)
    with CaptureQueriesContext(connection) as queries:
        assert reader.read(now).rows == first.rows
    assert not any('"recent"' in query["sql"] for query in queries)
    later = now + timedelta(seconds=5)
    history.fill(now, later)
    assert reader.read(later).rows == OverviewReader().read(later).rows


def test_an_open_page_may_hear_of_a_new_name_late_but_never_of_a_pause_or_a_new_target() -> None:
    now = timezone.now()
    healthy(2, 2, now)
    reader = OverviewReader()
    before = reader.read(now, fresh=False).rows[0]
    Target.objects.filter(slug=before.slug).update(name="Renamed")
    assert before in reader.read(now, fresh=False).rows
    assert "Renamed" in [row.name for row in reader.read(now).rows]
    Target.objects.filter(slug=before.slug).update(paused_by="Rosa")
    stored_target("newcomer")
    states = {row.slug: row.state for row in reader.read(now, fresh=False).rows}
    assert (states[before.slug], states["newcomer"]) == ("paused", "unknown")


def test_another_objective_is_judged_at_once_although_no_result_came() -> None:
    now = timezone.now()
    healthy(1, 5, now)
    reader = OverviewReader()
    before = reader.read(now).rows[0]
    Target.objects.update(ready_objective_ms=90)
    after = reader.read(now).rows[0]
    assert after.spark != before.spark
    assert after == OverviewReader().read(now).rows[0]


def test_a_row_tells_never_where_the_95th_probe_was_not_ready() -> None:
    rows = [recent_row() for _ in range(56)] + [recent_row(race_us=None, delivered=0, letter="d")] * 4
    found = figures(rows, 800)
    assert (found.p50, found.p95) == (100_000, math.inf)
    assert (found.delivered, found.expected) == (280, 300)


def test_slots_that_we_missed_count_for_nothing() -> None:
    found = figures([recent_row(race_us=None, delivered=0, expected=0, letter="m")], 800)
    assert math.isnan(found.p50)
    assert found.expected == 0


@pytest.mark.parametrize("name", ["gate", "],[", '"],["', "], [", "a], [b", ""])
def test_new_slots_are_added_to_those_that_were_read_before(name: str) -> None:
    """Whatever a server calls its strategy: the same figures as of all slots read afresh, in either JSON spacing."""
    rows = [recent_row(slot=n, loc="local", strategy=name, race_us=n * 1000) for n in range(70)]
    for separators in ((",", ":"), (", ", ": ")):
        last = LastSlots(800)
        for newest in (0, 5, 60, 61, 62, 62, 64, 65, 70, 69):
            shown = rows[max(0, newest - 60) : newest]
            assert repr(last.read(json.dumps(shown, separators=separators))) == repr(figures(shown, 800))


def test_a_target_that_only_listens_is_never_never() -> None:
    assert math.isnan(figures([recent_row(race_us=None, expected=0, delivered=0)], 800).p95)


def test_a_state_that_nothing_confirms_reads_stale() -> None:
    """Also while the recorder, which would flip it, is the part that is away."""
    now = timezone.now()
    patience = late_after(5000, 5000)
    long_ago, just_now = now - patience - timedelta(seconds=1), now - timedelta(seconds=2)
    assert shown_state("up", long_ago, long_ago, patience, now) == ("stale", long_ago)
    assert shown_state("up", long_ago, just_now, patience, now) == ("up", long_ago)
    assert shown_state("paused", long_ago, long_ago, patience, now)[0] == "paused"


def test_a_fault_that_comes_back_within_minutes_is_one_fault() -> None:
    now = timezone.now()

    def ago(minutes: float) -> Any:
        return now - timedelta(minutes=minutes)

    assert beginning([(ago(1), "down"), (ago(3), "up"), (ago(9), "degraded"), (ago(60), "up")]) == ago(9)
    assert beginning([(ago(1), "down"), (ago(30), "up"), (ago(40), "down")]) == ago(1)
    assert beginning([(ago(30), "up")]) is None


def test_the_story_of_the_first_scene() -> None:
    now = timezone.now()
    failing(3, 30, now)
    shown = OverviewReader().read(now)
    text = plain(shown.stories[0].text)
    assert text.startswith("Staging chat is accepted but not ready for ")
    assert text.endswith("revision 2 changed readiness-strategy from dependency_gate to immediate.")
    row = shown.rows[0]
    assert (row.state, row.p95, row.change) == ("down", "never", "r2")
    assert row.since <= (now - timedelta(minutes=10)).isoformat()


def test_a_story_counts_what_its_rollups_hold() -> None:
    """From the full minute of "since", across a full hour too."""
    now = timezone.now().replace(minute=20, second=30, microsecond=0)
    began = now - timedelta(minutes=50)
    history = History()
    target = history.add("c", "C", "staging", Behaviour(bad_since=began, fail_share=1.0), began=began)
    history.fill(began, now)
    since = TargetReader(target).condition(now).since.replace(second=0, microsecond=0)
    rows = Result.objects.filter(slot__gte=since)
    [fact, *_] = TargetReader(target).condition(now).story.facts
    assert fact[0].text == f"{rows.filter(ok=False).count()} of {rows.count()}"


def test_only_changes_of_governing_flags_are_told() -> None:
    """A team's own flag is no explanation of a race."""
    now = timezone.now()
    failing(1, 30, now)
    Revision.objects.filter(cause="change").update(summary=[{"flag": "new-colour", "before": "a", "after": "b"}])
    assert "Nothing changed" in OverviewReader().read(now).stories[0].text


def test_all_up_remembers_the_last_failure() -> None:
    now = timezone.now()
    history, began = History(), now - timedelta(minutes=20)
    behaviour = Behaviour(bad_since=began + timedelta(minutes=5), fail_share=1.0, rare=0)
    history.add("chat", "Chat", "staging", behaviour, began=began)
    history.fill(began, began + timedelta(minutes=8))
    behaviour.bad_since = None
    history.fill(began + timedelta(minutes=8), now)
    [told] = OverviewReader().read(now).stories
    assert plain(told.text) == "The only target is up. Last failure: Chat, 11 min ago, 3 min."


def counted(bucket: Bucket) -> dict[str, Any]:
    return {
        "probes": bucket.probes,
        "failed": bucket.failed,
        "ours": bucket.ours,
        "flagged": bucket.flagged,
        "kinds": dict(bucket.kinds),
        "events": {name: {key: n for key, n in counts.items() if n} for name, counts in bucket.events.items()},
        "histograms": {name: each for name, each in bucket.histograms.items() if each.count},
    }


def test_the_same_hour_reads_the_same_from_results_minutes_and_hours() -> None:
    """Whatever a range is read from, its totals are those of the slots in it."""
    hour = timezone.now().replace(minute=0, second=0, microsecond=0) - timedelta(hours=1)
    target = stored_target(interval_ms=10_000)
    kinds = [success(), failure(), lossy(), success(flagged=True), failure(FailureKind.MISSED, marks={})]
    entries = [entry(target, hour + timedelta(seconds=10 * n), kinds[n % 5]) for n in range(6 * 14)]
    record(entries, now=hour + timedelta(minutes=15))
    totals = [
        counted(window(target, BY_KEY[key], hour + timedelta(minutes=14, seconds=59)).total)
        for key in ("15m", "1h", "24h", "7d")
    ]
    assert totals[0]["probes"] == 68
    assert totals[1:] == [totals[0]] * 3


def test_a_long_range_is_read_in_six_queries_at_most() -> None:
    now = timezone.now()
    history = healthy(1, 10, now)
    [target] = history.targets.values()
    for key in BY_KEY:
        with CaptureQueriesContext(connection) as queries:
            window(target, BY_KEY[key], now)
        assert len(queries) <= 6


def test_marks_are_the_revisions_within_the_range() -> None:
    now = timezone.now()
    history = failing(1, 30, now)
    [target] = history.targets.values()
    age_first_revisions(now - timedelta(minutes=1))
    [mark] = window(target, BY_KEY["1h"], now).marks
    assert (mark.kind, mark.label) == ("revision", "r2")
    assert mark.href == f"/flags/{target.environment_id}/revisions/2/"
    assert window(target, BY_KEY["1h"], now + timedelta(hours=2)).marks == []


def test_a_probe_shows_its_steps_in_order_on_one_scale() -> None:
    now = timezone.now()
    target = stored_target()
    record([entry(target, now, success())], now=now)
    found = probe_queries.find(target, identity_of("local", now))
    assert found is not None
    assert [step.name for step in found.steps] == ["Start delay", "DNS", "TCP", "Upgrade", "Race window"]
    assert all(0 <= step.x <= 1000 and step.x + step.width <= 1012 for step in found.steps)
    assert [step.x for step in found.steps] == sorted(step.x for step in found.steps)
    assert plain(found.ready) == "40 ms"
    assert [tick.defect for tick in found.ticks] == [""] * 5


def test_a_probe_that_was_never_ready_says_so_and_keeps_its_transcript() -> None:
    now = timezone.now()
    target = stored_target()
    record([entry(target, now, failure())], now=now)
    found = probe_queries.find(target, identity_of("local", now))
    assert found is not None
    assert (found.ready, found.steps[-1].never, found.fault) == ("never", True, "the server, before ready")
    assert [frame["text"] for frame in found.frames] == ["hello", "world"]
    assert {tick.text for tick in found.ticks} == {"never"}


@pytest.mark.parametrize(
    "identity",
    ["", "local", "local:", "local:x", ":1", "local:1", "local:99999999999999999999", "nowhere:1700000000000000"],
)
def test_an_address_that_names_no_probe_opens_none(identity: str) -> None:
    assert probe_queries.find(stored_target(), identity) is None


def test_of_a_revision_that_changed_several_flags_the_governing_ones_are_told() -> None:
    now = timezone.now()
    failing(1, 30, now)
    readiness = {"flag": "readiness-strategy", "before": "dependency_gate", "after": "immediate"}
    own = {"flag": "new-colour", "before": "a", "after": "b"}
    Revision.objects.filter(cause="change").update(summary=[own, readiness])
    assert "revision 2 changed readiness-strategy from" in OverviewReader().read(now).stories[0].text
