"""The panel "Long-lived connections" on a target's page, and as the page fetches it again."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from dashboard.live.topics import default_topics
from probes.engine.lives import Ending
from probes.lives import record_lives
from probes.lives_stream import LifeEntry
from probes.models import Target
from tests.support.history import healthy, residents
from tests.support.lives_history import life
from tests.support.pages import text
from tests.support.people import signed_in

pytestmark = pytest.mark.django_db
PAGE = "/targets/chat/"


def test_a_stranger_sees_no_panel() -> None:
    healthy(1, 5, timezone.now())
    assert Client().get(PAGE + "residents/")["Location"].startswith("/signin/")


def test_the_page_draws_lifetimes_and_cuts_and_says_what_to_check() -> None:
    residents(1, 40, timezone.now())
    page = signed_in("viewer").get(PAGE, {"range": "1h"})
    words, markup = text(page), page.content.decode()
    assert "Long-lived connections" in words
    assert "14 at the age of 300" in words
    assert "What to check next" in words
    assert markup.count('class="lane-track"') == 4
    assert '<use href="#cut-age_limit"' in markup
    assert "style=" not in markup.split('id="residents"')[1].split("</section>")[0]


def test_a_target_without_residents_has_no_panel() -> None:
    healthy(1, 5, timezone.now())
    assert "Long-lived connections" not in text(signed_in("viewer").get(PAGE))


def test_residents_that_have_not_connected_yet_explain_the_next_step() -> None:
    healthy(1, 5, timezone.now())
    Target.objects.update(residents=3)
    assert "none has connected yet" in text(signed_in("viewer").get(PAGE))


def test_a_paused_target_wants_none() -> None:
    healthy(1, 5, timezone.now())
    Target.objects.update(residents=3, paused_by="Rosa")
    assert "Long-lived connections" not in text(signed_in("viewer").get(PAGE))


def test_the_page_fetches_the_panel_alone_in_its_range() -> None:
    residents(1, 40, timezone.now())
    client = signed_in("viewer")
    answer = client.get(PAGE + "residents/", {"range": "15m"})
    assert "<html" not in answer.content.decode()
    assert "in the last 15 min" in text(answer).replace("\u00a0", " ")
    assert client.get(PAGE + "residents/", {"range": "soon"}).status_code == 200
    assert client.get("/targets/nobody/residents/").status_code == 404


def test_what_a_server_says_as_its_reason_is_never_markup() -> None:
    now = timezone.now()
    history = healthy(1, 5, now)
    [target] = history.targets.values()
    evil = "<script>alert(1)</script>"
    told = life(
        target, 0, now - timedelta(minutes=9), 60, ending=Ending.CLOSED, close_code=4000, reason=evil, closed_by="peer"
    )
    record_lives([LifeEntry("local", told)], now=now)
    markup = signed_in("viewer").get(PAGE).content.decode()
    assert evil not in markup
    assert "&lt;script&gt;alert(1)" in markup


def test_a_life_that_ends_wakes_the_pages_that_look() -> None:
    now = timezone.now()
    history = healthy(1, 5, now)
    [target] = history.targets.values()
    before = default_topics().pulse()
    record_lives([LifeEntry("local", life(target, 0, now - timedelta(minutes=9), 60, ending=Ending.RESET))], now=now)
    assert default_topics().pulse() != before


def test_the_panel_costs_a_fixed_number_of_queries() -> None:
    residents(1, 40, timezone.now())
    client = signed_in("viewer")
    with CaptureQueriesContext(connection) as queries:
        client.get(PAGE + "residents/", {"range": "1h"})
    assert len(queries) <= 6
