"""Long-lived connections drawn as lanes: places, sentences, and what is left out."""

from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from dashboard.lanes import MOST_CUTS, MOST_LANES, LaneKey, Panel, Scene, length, panel
from probes.engine.cuts import Cut
from probes.engine.lives import Ending, Life
from probes.models import Target
from tests.support.lives_history import life, story

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
HOUR = Scene(NOW - timedelta(hours=1), NOW, "1 h", ZoneInfo("UTC"))
CHAT = Target(pk=1)


def ago(minutes: float) -> datetime:
    return NOW - timedelta(minutes=minutes)


def drawn(lives: Iterable[Life], *, wanted: int = 4, location: str = "local") -> Panel:
    found: dict[LaneKey, list[Life]] = defaultdict(list)
    for each in lives:
        found[location, each.number].append(each)
    return panel(found, wanted, HOUR)


def test_the_story_is_told_in_one_sentence() -> None:
    shown = drawn(story(CHAT, ago(40), NOW))
    assert shown.lede.replace("\u00a0", " ") == (
        "4 residents, 3 connected; 17 cuts in the last 1 h: 14 at the age of 300 s without a close frame, which looks "
        "like a balancer's time-out; 1 silent half-open: nothing came back, though nobody hung up; 1 reset; 1 by a "
        "restart or deployment (1012). Reconnected in 127 ms at the median; 7 events lost across cuts. 1 cannot "
        "connect now."
    )


def test_a_lane_has_a_bar_for_each_life_and_a_mark_for_each_end() -> None:
    shown = drawn(story(CHAT, ago(40), NOW))
    assert [lane.name for lane in shown.lanes] == ["#1", "#2", "#3", "#4"]
    third = shown.lanes[2]
    assert [mark.cut for mark in third.marks] == [Cut.RESTART, Cut.HALF_OPEN]
    assert third.summary == "#3: connected now, cut 2 times"
    assert third.bars[0].x == "33.333%"
    assert [bar.kind for bar in shown.lanes[3].bars] == ["life", "trying"]
    assert "9\u00a0attempts, connect_refused" in shown.lanes[3].bars[1].title
    assert shown.lanes[3].summary == "#4: not connected now, cut once"


def test_cuts_are_listed_newest_first_with_what_they_cost() -> None:
    shown = drawn(story(CHAT, ago(40), NOW))
    assert len(shown.cuts) == MOST_CUTS
    assert shown.more_cuts == 17 - MOST_CUTS
    assert [row.at for row in shown.cuts] == sorted((row.at for row in shown.cuts), reverse=True)
    restart = next(row for row in shown.cuts if row.cut is Cut.RESTART)
    assert (restart.how, restart.reconnected, restart.lost) == ("1012 deploy", "1.3\u00a0s", 2)
    reset = next(row for row in shown.cuts if row.cut is Cut.RESET)
    assert reset.reconnected == "not yet"


def test_each_cause_says_what_to_check_next_the_most_frequent_first() -> None:
    shown = drawn(story(CHAT, ago(40), NOW))
    assert [each.cut for each in shown.advice] == [Cut.AGE_LIMIT, Cut.HALF_OPEN, Cut.RESET, Cut.RESTART]
    assert all(each.text for each in shown.advice)


def test_what_we_ended_ourselves_is_drawn_and_not_counted() -> None:
    stopped = life(CHAT, 0, ago(30), 300, ending=Ending.STOPPED, closed_by="us", reason="the prober stopped")
    planned = life(CHAT, 0, ago(20), 300, ending=Ending.PLANNED, closed_by="us", close_code=1000)
    shown = drawn([stopped, planned], wanted=1)
    assert shown.lede == "1\u00a0resident; none was cut in the last 1 h."
    assert [mark.cut for mark in shown.lanes[0].marks] == [Cut.STOPPED, Cut.PLANNED]
    assert shown.cuts == []
    assert shown.lanes[0].summary == "#1: not connected now, cut never"


def test_cuts_of_before_the_range_help_to_tell_a_cause_and_are_not_counted() -> None:
    lives = [life(CHAT, 0, ago(minutes), 437, ending=Ending.DROPPED) for minutes in (200, 180, 30)]
    shown = drawn(lives)
    assert "1 cut in the last 1 h: 1 at the age of 437\u00a0s" in shown.lede


def test_conversations_that_failed_between_cuts_are_told_too() -> None:
    shown = drawn([life(CHAT, 0, ago(10), 600, ending=Ending.LIVING, conversations_failed=2, events_lost=6)], wanted=1)
    assert shown.lede.endswith("2\u00a0conversations failed between cuts (6\u00a0events lost).")


def test_a_connection_of_which_nothing_was_heard_is_not_drawn_as_living() -> None:
    lost = life(CHAT, 0, ago(30), 600, ending=Ending.LIVING)
    shown = drawn([lost])
    assert shown.lanes[0].summary.startswith("#1: not connected now")
    assert shown.lanes[0].bars[0].width == "16.667%"
    heard = life(CHAT, 0, ago(30), 30 * 60 - 40, ending=Ending.LIVING)
    assert drawn([heard]).lanes[0].bars[0].width == "50.000%"


def test_two_locations_are_named() -> None:
    one = life(CHAT, 0, ago(10), 600, ending=Ending.LIVING)
    shown = panel({("local", 0): [one], ("oslo", 0): [one]}, 2, HOUR)
    assert [lane.name for lane in shown.lanes] == ["local #1", "oslo #1"]


def test_of_many_lanes_those_with_cuts_are_drawn() -> None:
    well = [life(CHAT, number, ago(10), 600, ending=Ending.LIVING) for number in range(500)]
    cut = [life(CHAT, 321, ago(40), 300, ending=Ending.DROPPED)]
    shown = drawn([*well, *cut], wanted=500)
    assert len(shown.lanes) == MOST_LANES
    assert shown.hidden == 500 - MOST_LANES
    assert "#322" in [lane.name for lane in shown.lanes]


def test_residents_that_are_wanted_and_not_there_say_what_to_check() -> None:
    shown = drawn([], wanted=3)
    assert shown.shown
    assert shown.lede.startswith("3\u00a0residents wanted, none has connected yet.")
    assert "check that a worker" in shown.lede


def test_a_target_without_residents_has_nothing_to_show() -> None:
    assert not drawn([], wanted=0).shown


def test_lives_stay_visible_after_the_residents_are_taken_away() -> None:
    shown = drawn([life(CHAT, 0, ago(30), 300, ending=Ending.DROPPED)], wanted=0)
    assert shown.shown
    assert shown.lede.startswith("No resident is kept now; 1 cut in the last 1 h")


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.42, "0.4 s"), (47.4, "47 s"), (303, "5 min 3 s"), (300, "5 min"), (7500, "2 h 5 min"), (90_000, "1 d 1 h")],
)
def test_a_lifetime_is_told_in_two_units_at_most(seconds: float, words: str) -> None:
    assert length(timedelta(seconds=seconds)).replace("\u00a0", " ") == words


def test_a_time_that_is_over_is_told_as_it_was() -> None:
    """A zoom into the past: what ended later stood then, and nothing is said of now."""
    scene = Scene(ago(40), ago(30), "11:20 to 11:30", ZoneInfo("UTC"), follows=False)
    dropped = life(CHAT, 0, ago(60), 50 * 60, ending=Ending.DROPPED)
    lives = [dropped, life(CHAT, 1, ago(20), 20 * 60)]
    shown = panel({("local", n): [each] for n, each in enumerate(lives)}, 2, scene)
    assert [lane.summary for lane in shown.lanes] == ["#1: connected at the end, cut never"]
    assert shown.lede.endswith("none was cut from 11:20 to 11:30.")
    assert [text for _, _, text in shown.ticks] == ["11:20", "11:25", "11:30"]
