"""The one banner of every page, and the fleet's sentence."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from dashboard import fleet_words
from dashboard.sentences import NBSP
from probes.fleet.condition import REDIS_AWAY, Condition, Place, State

NOW = datetime(2026, 11, 20, 3, 6, 30, tzinfo=UTC)
UTC_ZONE, TOKYO = ZoneInfo("UTC"), ZoneInfo("Asia/Tokyo")
ONLY_THERE = "Targets probed only from there show as stale."
NOT_CHARGED = "Missed slots count against no target."
SINCE = datetime(2026, 11, 20, 3, 2, 11, tzinfo=UTC)


def place(name: str) -> Place:
    return Place(name.lower(), name, timedelta(seconds=5))


def silent(name: str, cause: str = "no worker runs there", at: datetime | None = None) -> Condition:
    return Condition(place(name), State.SILENT, SINCE, cause, at)


def late(name: str) -> Condition:
    return Condition(place(name), State.LATE, SINCE, "9 of 120 slots began late")


def well(name: str) -> Condition:
    return Condition(place(name), State.ON_TIME)


IDLE = Condition(replace(place("Nowhere"), interval=None), State.IDLE)


@pytest.mark.parametrize(
    ("conditions", "where", "cause", "effect"),
    [
        ([silent("Virginia"), IDLE], "in Virginia", "no worker runs there", "Targets show as stale."),
        ([silent("This machine")], "on this machine", "no worker runs there", "Targets show as stale."),
        ([silent("Virginia"), well("Ohio")], "in Virginia", "no worker runs there", ONLY_THERE),
        (
            [silent("Ohio", "nothing comes since {at}", SINCE), silent("Oregon", "nothing comes since {at}", SINCE)],
            "in Ohio and Oregon",
            "nothing comes since 03:02:11",
            "Targets show as stale.",
        ),
        (
            [silent("Ohio", REDIS_AWAY), silent("Oregon", REDIS_AWAY), silent("Virginia", REDIS_AWAY)],
            "in Ohio, Oregon and Virginia",
            "Redis does not answer",
            "Targets show as stale. Rollback still works.",
        ),
        ([late("Virginia"), well("Ohio")], "in Virginia", "9 of 120 slots began late", NOT_CHARGED),
        (
            [silent("Virginia"), late("Ohio"), well("Oregon")],
            "in Virginia",
            "no worker runs there",
            f"{ONLY_THERE} Also ill: Ohio.",
        ),
    ],
)
def test_the_banner_names_where_since_when_why_and_what_it_means(
    conditions: list[Condition], where: str, cause: str, effect: str
) -> None:
    told = fleet_words.banner(conditions, UTC_ZONE, NOW)
    assert told == f"The probes {where} have been late since 03:02: {cause}. {effect}"


@pytest.mark.parametrize("conditions", [[], [IDLE], [well("Virginia"), well("Ohio")]])
def test_there_is_no_banner_while_all_is_well(conditions: list[Condition]) -> None:
    assert fleet_words.banner(conditions, UTC_ZONE, NOW) == ""


def test_the_banner_tells_the_pages_own_time() -> None:
    told = fleet_words.banner([silent("Virginia", "its worker was last heard at {at}", SINCE)], TOKYO, NOW)
    assert "since 12:02: its worker was last heard at 12:02:11." in told


@pytest.mark.parametrize(
    ("conditions", "tone", "words"),
    [
        ([IDLE], "quiet", "No target is probed from anywhere yet."),
        ([well("Virginia"), IDLE], "up", "The only location is on time."),
        ([well("Virginia"), well("Ohio"), well("Oregon")], "up", "All 3 locations are on time."),
        ([late("Virginia")], "degraded", fleet_words.banner([late("Virginia")], UTC_ZONE, NOW)),
        ([silent("Virginia")], "stale", fleet_words.banner([silent("Virginia")], UTC_ZONE, NOW)),
    ],
)
def test_the_fleets_sentence(conditions: list[Condition], tone: str, words: str) -> None:
    story = fleet_words.story(conditions, UTC_ZONE, NOW)
    assert (story.tone, story.text) == (tone, words)


@pytest.mark.parametrize(
    ("us", "words"),
    [
        (None, "–"),
        (0, f"0{NBSP}ms"),
        (-49, f"0{NBSP}ms"),
        (240, f"0.2{NBSP}ms ahead"),
        (-3_200_000, f"3.2{NBSP}s behind"),
    ],
)
def test_a_clocks_offset(us: int | None, words: str) -> None:
    assert fleet_words.offset(us) == words
