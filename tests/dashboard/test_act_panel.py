"""The act panel beside a target's charts: what it asks, what it leads to, and what everybody then sees."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from connections.flags import reports
from connections.flags.keys import Holder
from connections.flags.reports import Report
from connections.models import Environment, Revision
from dashboard.queries.watch import WATCHED_FOR, lately, watch
from dashboard.views.act_panel import opened
from probes.models import Target
from tests.support.history import change, cured, failing, healthy
from tests.support.pages import hidden_fields, text
from tests.support.people import signed_in

pytestmark = pytest.mark.django_db
PAGE = "/targets/staging-chat/"
UNDO = "/flags/staging/undo/2/?target=staging-chat"
PANEL: Any = {"X-Readywire-Panel": "1"}
WHY = "Answers vanish mid-conversation"


@pytest.fixture
def rosa() -> Client:
    return signed_in("responder")


def sent(client: Client, address: str = UNDO, **typed: str) -> dict[str, str]:
    """The form of an act's panel, filled in."""
    page = client.get(address, headers=PANEL)
    return {**hidden_fields(page, "act-form"), "reason": WHY, **typed}


def test_the_panel_alone_is_answered_and_its_reasons_come_from_the_story(rosa: Client) -> None:
    failing(1, 4, timezone.now())
    page = rosa.get(UNDO, headers=PANEL)
    words = text(page)
    assert "<html" not in page.content.decode()
    assert "Accepted but not ready since " in words
    assert "probes failed" in words
    assert "It began after revision 2" in words
    assert "Undo revision 2 in staging" in words


def test_without_the_script_it_is_a_page_and_leads_back_to_the_target(rosa: Client) -> None:
    failing(1, 4, timezone.now())
    page = rosa.get(UNDO)
    assert "<h1>Undo revision 2" in page.content.decode()
    answer = rosa.post(UNDO, {**hidden_fields(page, "act-form"), "reason": WHY})
    assert answer["Location"] == f"{PAGE}?act=r3"


def test_the_act_is_answered_by_what_watches_it_and_sending_again_changes_nothing(rosa: Client) -> None:
    failing(1, 4, timezone.now())
    form = sent(rosa)
    for _ in range(2):
        answer = rosa.post(UNDO, form, headers=PANEL)
        assert answer.headers["X-Readywire-Panel"] == "r3"
        assert "Revision 3 is served" in text(answer)
        assert "No probe since revision 3. Next at " in text(answer)
        assert "Undo revision 3…" in text(answer)
    assert Environment.objects.get(key="staging").revision == 3


def test_what_is_missing_is_said_in_the_panel(rosa: Client) -> None:
    failing(1, 4, timezone.now())
    answer = rosa.post(UNDO, sent(rosa, reason="no"), headers=PANEL)
    assert answer.status_code == 422
    assert "Say why, in at least 3 words." in text(answer)


def test_a_target_of_another_environment_is_not_what_the_act_concerns(rosa: Client) -> None:
    failing(2, 4, timezone.now())
    page = rosa.get("/flags/staging/undo/2/?target=orders-feed")
    assert 'name="target"' not in page.content.decode()


def test_every_way_back_is_offered(rosa: Client) -> None:
    failing(1, 4, timezone.now())
    page = rosa.get(f"{PAGE}act/", headers=PANEL)
    markup = page.content.decode()
    for name in ("undo:2", "plan:phase-1", "plan:phase-2", "plan:emergency", "kill:readiness-strategy"):
        assert f'data-act="{name}"' in markup
    assert "client-ack" in text(page)
    assert 'data-act="kill:client-ack"' not in markup, "it serves its safe variant already"


def test_a_viewer_sees_the_ways_back_and_who_may_take_them() -> None:
    failing(1, 4, timezone.now())
    signed_in("responder")
    page = signed_in("viewer").get(f"{PAGE}act/", headers=PANEL)
    assert "You can see flags but not change them. Responders: Rosa." in text(page)
    assert "data-act" not in page.content.decode()


def test_an_act_in_the_address_is_asked_for_when_the_page_opens(rosa: Client) -> None:
    failing(1, 4, timezone.now())
    for name in ("undo:2", "kill:client-ack", "plan:phase-1", "restore:1", "back"):
        address = opened(Target.objects.get(), name)["act_from"]
        assert rosa.get(address, headers=PANEL).status_code == 200, name
    assert f'data-load="{UNDO}"' in rosa.get(PAGE, {"act": "undo:2"}).content.decode()


def test_an_act_that_is_none_is_ignored() -> None:
    failing(1, 1, timezone.now())
    for name in ("r999", "r", "undo:x", "undo", "nonsense", "kill:a/b", "r1", "flag:client-ack", ":", "r" + "9" * 40):
        assert "act_name" not in opened(Target.objects.get(), name), name


def test_everybody_sees_the_newest_revision_watched_and_its_verdict() -> None:
    cured(1, 14, timezone.now())
    words = text(signed_in("viewer").get(PAGE))
    assert "Revision 3 is served" in words
    assert "Cured. 0 of " in words
    assert "Undo revision 3…" in words


def test_a_change_that_made_it_worse_says_so_with_its_undo(rosa: Client) -> None:
    failing(1, 6, timezone.now())
    words = text(rosa.get(PAGE))
    assert "Worse. " in words
    assert "since revision 2; " in words


def test_an_old_revision_is_watched_only_where_the_address_names_it() -> None:
    now = timezone.now()
    failing(1, 6, now)
    Revision.objects.filter(number=2).update(at=now - WATCHED_FOR - timedelta(seconds=1))
    viewer = signed_in("viewer")
    assert "Revision 2 is served" not in text(viewer.get(PAGE))
    assert "Revision 2 is served" in text(viewer.get(PAGE, {"act": "r2"}))


def test_a_replaced_revision_is_told_by_what_it_served_alone() -> None:
    cured(1, 14, now := timezone.now())
    target = Target.objects.get()
    found = watch(target, 2, now)
    assert found is not None
    assert not found.served
    assert found.newer is not None
    assert found.newer.number == 3
    assert found.verdict.state == "worse"


def test_the_time_before_begins_with_the_fault() -> None:
    """Not with the quarter of an hour before it, in which nothing failed."""
    cured(1, 14, now := timezone.now())
    found = lately(Target.objects.get(), now)
    assert found is not None
    assert 0.4 < int(found.before.failed.removesuffix("\u00a0%")) / 100 < 0.8


def test_a_server_that_is_behind_is_named_and_nothing_is_claimed() -> None:
    now = timezone.now()
    cured(1, 14, now)
    report = Report("chat-late", "0.1.0", 2, "first", 3600.0, False, {}, {}, {})
    reports.record(Holder(1, "staging", "chat key", "hash"), report, now=now)
    found = lately(Target.objects.get(), now)
    assert found is not None
    assert found.late == ("chat-late",)
    assert found.verdict.text == "Cannot tell: 1 of 3\u00a0servers still holds an older revision: chat-late."


def test_a_slow_target_is_judged_by_how_slow_it_is() -> None:
    now = timezone.now()
    failing(2, 12, now)
    target = Target.objects.get(slug="orders-feed")
    change("production", {"client-ack": "off"}, now)
    found = lately(target, now)
    assert found is not None
    assert found.slow


def test_where_nothing_was_changed_nothing_is_watched(rosa: Client) -> None:
    healthy(1, 5, timezone.now())
    page = rosa.get("/targets/chat/")
    assert "is served" not in text(page)
    assert 'data-act="undo' not in page.content.decode()


def test_a_proposal_is_what_follows_where_two_are_asked_for(rosa: Client) -> None:
    failing(1, 4, timezone.now())
    rosa.post("/flags/staging/client-ack/kill/", {**sent(rosa, "/flags/staging/client-ack/kill/?target=staging-chat")})
    Environment.objects.filter(key="staging").update(four_eyes=True)
    lift = "/flags/staging/client-ack/lift/kill/?target=staging-chat"
    answer = rosa.post(lift, sent(rosa, lift), headers=PANEL)
    assert "A second person approves it first" in text(answer)
