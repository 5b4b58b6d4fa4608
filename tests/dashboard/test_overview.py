"""The overview as a page."""

import pytest
from django.test import Client
from django.utils import timezone

from tests.support.history import failing, healthy
from tests.support.pages import text
from tests.support.people import signed_in

pytestmark = pytest.mark.django_db


def test_a_stranger_is_sent_to_sign_in() -> None:
    answer = Client().get("/?state=down")
    assert (answer.status_code, answer["Location"]) == (302, "/signin/?next=%2F%3Fstate%3Ddown")


def test_it_tells_the_story_before_the_rows() -> None:
    failing(4, 30, timezone.now())
    page = signed_in("viewer").get("/")
    words = text(page)
    assert words.index("accepted but not ready") < words.index("Last 60 slots")
    assert "<title>1 down · Readywire</title>" in page.content.decode()
    assert "never" in words


def test_it_loads_no_plotly_and_nothing_from_elsewhere() -> None:
    healthy(2, 2, timezone.now())
    markup = signed_in("viewer").get("/").content.decode()
    assert "plotly" not in markup
    assert "https://" not in markup


def test_without_targets_it_says_what_to_do() -> None:
    assert "make serve" in text(signed_in("viewer").get("/"))


def test_a_filter_hides_rows_and_keeps_counts() -> None:
    failing(4, 30, timezone.now())
    markup = signed_in("viewer").get("/?state=down&env=staging").content.decode()
    shown = [row for row in markup.split('<li class="target"')[1:] if " hidden" not in row.split(">")[0]]
    assert len(shown) == 1
    assert "staging-chat" in shown[0]
    assert "All <b>4</b>" in markup


def test_an_unknown_filter_counts_as_none() -> None:
    healthy(2, 2, timezone.now())
    markup = signed_in("viewer").get('/?state=<script>&env="').content.decode()
    assert "<script>&" not in markup
    assert markup.count('<li class="target"') == 2
    assert " hidden" not in markup.split('<li class="target"')[1].split(">")[0]


def test_five_hundred_targets_stay_a_light_page() -> None:
    """60 kB compressed is the budget."""
    import gzip

    healthy(500, 1, timezone.now())
    assert len(gzip.compress(signed_in("viewer").get("/").content)) < 60_000


@pytest.mark.parametrize("targets", [0, 2])
def test_only_who_may_administer_is_offered_to_add_a_target(targets: int) -> None:
    """With targets and without: the next step is offered to who may take it."""
    healthy(targets, 2, timezone.now())
    assert 'href="/targets/add/"' in signed_in("administrator").get("/").content.decode()
    assert 'href="/targets/add/"' not in signed_in("responder").get("/").content.decode()
