"""What the overview shows, in which order and groups, as its address says."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dashboard.queries.arrangement import GROUPS, SORTS, Arrangement, choices_of, joined
from dashboard.queries.overview import NEVER_US, STATES, Row

NAMES = {"local": "Local", "oslo": "Oslo", "tokyo": "Tokyo"}


def row(slug: str, **values: Any) -> Row:
    """A row of which only what matters here is told."""
    defaults: dict[str, Any] = dict.fromkeys(Row.__slots__, "")
    known = {"slug": slug, "name": slug.capitalize(), "state": "up", "environment": "staging", "p95_us": 0}
    return Row(**{**defaults, **known, "environment_name": "staging", "tags": (), "locations": ("local",), **values})


ROWS = [
    row("chat", state="down", environment="production", environment_name="production", tags=("team-a", "core"),
        p95_us=NEVER_US, change_at="2026-11-20T02:50:00+00:00"),
    row("alerts", state="degraded", locations=("oslo", "tokyo"), p95_us=900_000,
        change_at="2026-11-21T02:50:00+00:00"),
    row("lobby", tags=("core",), locations=("local", "oslo"), p95_us=-1),
    row("board", p95_us=80_000, locations=("local", "oslo")),
]  # fmt: skip
CHOICES = choices_of(ROWS, NAMES)


def shown(**asked: str) -> dict[str, list[str]]:
    """The slugs that are shown, by heading."""
    sections = Arrangement.asked(asked, CHOICES).sections(ROWS, CHOICES)
    found = {each.label: [placed.row.slug for placed in each.rows if not placed.hidden] for each in sections}
    return {label: slugs for label, slugs in found.items() if slugs}


def slugs(**asked: str) -> list[str]:
    return [slug for found in shown(**asked).values() for slug in found]


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({}, ["chat", "alerts", "lobby", "board"]),
        ({"state": "down"}, ["chat"]),
        ({"env": "staging"}, ["alerts", "lobby", "board"]),
        ({"location": "oslo"}, ["alerts", "lobby", "board"]),
        ({"tag": "core"}, ["chat", "lobby"]),
        ({"tag": "core", "env": "staging"}, ["lobby"]),
        ({"q": "ALERT"}, ["alerts"]),
        ({"q": "  core   staging "}, ["lobby"]),
        ({"q": "tokyo"}, ["alerts"]),
        ({"q": "nothing like it"}, []),
        ({"sort": "name"}, ["alerts", "board", "chat", "lobby"]),
        ({"sort": "ready"}, ["chat", "alerts", "board", "lobby"]),
        ({"sort": "change"}, ["alerts", "chat", "lobby", "board"]),
    ],
)
def test_each_part_of_the_address_narrows_or_orders(asked: dict[str, str], expected: list[str]) -> None:
    assert slugs(**asked) == expected


@pytest.mark.parametrize("name", ["state", "env", "location", "tag", "group", "sort"])
def test_a_value_that_does_not_exist_counts_as_none(name: str) -> None:
    assert Arrangement.asked({name: "<script>"}, CHOICES) == Arrangement()


def test_groups_stand_where_their_first_row_stands() -> None:
    assert list(shown(group="environment")) == ["Production", "Staging"]
    assert list(shown(group="environment", sort="name")) == ["Staging", "Production"]


def test_by_tag_a_target_is_under_each_of_its_tags_and_by_location_under_all_of_its_locations_together() -> None:
    """Its state is that of its locations together: under one of them alone it would say too much."""
    assert shown(group="tag") == {"team-a": ["chat"], "core": ["chat", "lobby"], "No tag": ["alerts", "board"]}
    assert shown(group="location") == {
        "Local": ["chat"], "Oslo and Tokyo": ["alerts"], "Local and Oslo": ["lobby", "board"],
    }  # fmt: skip
    assert joined(["Local", "Oslo", "Tokyo"]) == "Local, Oslo and Tokyo"


def test_a_heading_counts_what_is_shown_and_what_needs_a_person() -> None:
    view = Arrangement.asked({"group": "environment"}, CHOICES)
    assert [each.summary for each in view.sections(ROWS, CHOICES)] == ["1 target, 1 down", "3 targets, 1 degraded"]
    [hidden, _] = Arrangement.asked({"group": "environment", "env": "staging"}, CHOICES).sections(ROWS, CHOICES)
    assert hidden.hidden


def test_clearing_filters_keeps_order_and_groups() -> None:
    view = Arrangement.asked({"state": "down", "q": "x", "tag": "core", "group": "tag", "sort": "name"}, CHOICES)
    assert view.cleared == "/?group=tag&sort=name"
    assert Arrangement().address() == "/"


def test_a_search_is_cut_not_refused() -> None:
    assert len(Arrangement.asked({"q": "a" * 5_000}, CHOICES).q) == 100


@given(
    asked=st.fixed_dictionaries(
        {
            "state": st.sampled_from(["", *STATES]), "env": st.sampled_from(["", *CHOICES.environments]),
            "location": st.sampled_from(["", *CHOICES.locations]), "tag": st.sampled_from(["", *CHOICES.tags]),
            "q": st.text(max_size=12), "group": st.sampled_from(list(GROUPS)), "sort": st.sampled_from(list(SORTS)),
        }
    )
)  # fmt: skip
@settings(max_examples=60)
def test_an_address_says_all_of_a_view_and_no_group_loses_a_row(asked: dict[str, str]) -> None:
    from django.http import QueryDict

    view = Arrangement.asked(asked, CHOICES)
    assert Arrangement.asked(QueryDict(view.address().partition("?")[2]).dict(), CHOICES) == view
    found = {placed.row.slug: placed.hidden for each in view.sections(ROWS, CHOICES) for placed in each.rows}
    assert found == {each.slug: not view.matches(each) for each in ROWS}
