"""Deploys on pages: marked by a form, told in stories, on charts, among what changed, as the last change."""

import re
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.conf import settings
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from connections import deploys as marking
from connections.deploys import Told
from connections.flags import control
from connections.models import AuditRecord, Deploy
from dashboard.charts.series import BY_KEY
from dashboard.queries.changes import LastChanges, changes_near, happened, marks_between
from dashboard.queries.overview import OverviewReader
from dashboard.queries.target import TargetReader
from dashboard.queries.windows import window
from probes.engine.outcome import Outcome
from probes.models import Target
from tests.support.history import Behaviour, History, age_first_revisions, change, healthy
from tests.support.pages import hidden_fields, text
from tests.support.people import signed_in

pytestmark = pytest.mark.django_db


def deploy(minutes_ago: float = 0, version: str = "5.12.0", environment: str = "staging", **fields: str) -> Deploy:
    now = timezone.now()
    told = Told(fields.pop("service", "chat"), version, at=now - timedelta(minutes=minutes_ago), **fields)
    return marking.mark(environment, told, author="ci", now=now).deploy


def failing(minutes: float) -> Target:
    """A target that has failed for so long, every probe of it."""
    now = timezone.now()
    history, began = History(), now - timedelta(minutes=minutes + 4)
    bad = Behaviour(bad_since=now - timedelta(minutes=minutes), fail_share=1.0)
    target = history.add("staging-chat", "Staging chat", "staging", bad, began=began)
    age_first_revisions(now - timedelta(days=3))
    history.fill(began, now)
    return target


def send(rosa: Client, **typed: str) -> Any:
    fields = hidden_fields(rosa.get("/deploys/mark/"), "deploy-form")
    sent = {"environment": "staging", "service": "chat", "version": "5.12.0"}
    return rosa.post("/deploys/mark/", {**fields, **sent, **typed})


def test_a_form_marks_a_deploy_once_and_leads_back_to_its_target() -> None:
    healthy(1, 1, timezone.now())
    slug = Target.objects.get().slug
    rosa = signed_in("responder")
    fields = hidden_fields(rosa.get(f"/deploys/mark/?env=production&target={slug}"), "deploy-form")
    assert fields["target"] == slug
    sent = {
        **fields,
        "environment": "production",
        "service": "chat",
        "version": "5.12.0",
        "link": "https://ci.example/1",
    }
    assert rosa.post("/deploys/mark/", sent)["Location"] == f"/targets/{slug}/#changes"
    assert rosa.post("/deploys/mark/", sent)["Location"] == f"/targets/{slug}/#changes"
    row = Deploy.objects.get()
    assert (row.environment_id, row.who, row.told_by, row.link) == (
        "production",
        "Rosa",
        "Rosa",
        "https://ci.example/1",
    )
    assert AuditRecord.objects.get(action="deploy.marked").actor == "Rosa"
    assert "Marked a deploy" in text(rosa.get("/audit/"))
    shown = rosa.get(f"/targets/{slug}/").content.decode()
    assert 'href="https://ci.example/1" rel="noreferrer"' in shown


def test_a_deploy_marked_twice_by_hand_says_so() -> None:
    rosa = signed_in("responder")
    send(rosa)
    again = send(rosa)
    assert again["Location"] == "/deploys/?env=staging&again=1"
    assert "marked before" in text(rosa.get(again["Location"]))
    assert Deploy.objects.count() == 1


def test_a_moment_is_read_on_the_pages_clock() -> None:
    settings_zone = settings.TIME_ZONE
    began = timezone.localtime() - timedelta(hours=2)
    send(signed_in("responder"), at=f"{began:%Y-%m-%dT%H:%M:%S}")
    assert abs(Deploy.objects.get().at - began) < timedelta(seconds=1), settings_zone


@pytest.mark.parametrize(
    ("typed", "named"),
    [
        ({"service": ""}, "service"),
        ({"version": " "}, "version"),
        ({"environment": "nowhere"}, "environment"),
        ({"link": "javascript:alert(1)"}, "link"),
        ({"at": "yesterday"}, "at"),
        ({"at": "2031-01-01T00:00"}, "at"),
        ({"who": "x" * 151}, "who"),
    ],
)
def test_what_is_wrong_stands_beside_its_field_and_what_was_typed_stays(typed: dict[str, str], named: str) -> None:
    answer = send(signed_in("responder"), **typed)
    page = answer.content.decode()
    assert answer.status_code == 422
    assert f'id="{named}-error"' in page
    assert f'href="#{named}"' in page
    assert typed.get("service") is not None or 'value="chat"' in page
    assert not Deploy.objects.exists()


def test_all_that_is_wrong_is_told_at_once() -> None:
    page = send(signed_in("responder"), service="", version="", link="x").content.decode()
    assert all(f'id="{name}-error"' in page for name in ("service", "version", "link"))


def test_a_viewer_sees_deploys_and_marks_none() -> None:
    vera, row = signed_in("viewer"), deploy()
    page = vera.get("/deploys/?env=staging").content.decode()
    assert "5.12.0" in page
    assert "/deploys/mark/" not in page
    assert "/remove/" not in page
    for path in ("/deploys/mark/", f"/deploys/{row.pk}/remove/"):
        assert vera.get(path).status_code == vera.post(path).status_code == 403
    assert "Mark a deploy" in text(signed_in("responder").get("/deploys/"))


def test_the_list_is_by_environment_and_a_page_at_a_time() -> None:
    for number in range(51):
        deploy(number, version=f"v{number}")
    deploy(environment="production", version="prod-1")
    vera = signed_in("viewer")
    staging = text(vera.get("/deploys/?env=staging"))
    assert "v49" in staging
    assert "v50" not in staging
    assert "prod-1" not in staging
    oldest = Deploy.objects.get(version="v49")
    assert "v50" in text(vera.get(f"/deploys/?env=staging&before={oldest.pk}"))
    assert "prod-1" in text(vera.get("/deploys/?env=nowhere"))
    assert vera.get("/deploys/?before=x").status_code == 200


def test_a_wrong_mark_is_removed_for_a_reason_and_the_audit_trail_keeps_it() -> None:
    rosa, row = signed_in("responder"), deploy()
    assert rosa.post(f"/deploys/{row.pk}/remove/", {"reason": "oops"}).status_code == 422
    assert Deploy.objects.exists()
    answer = rosa.post(f"/deploys/{row.pk}/remove/", {"reason": "it was the wrong environment"})
    assert answer["Location"] == "/deploys/?env=staging"
    assert not Deploy.objects.exists()
    record = AuditRecord.objects.get(action="deploy.removed")
    assert (record.actor, record.after) == ("Rosa", None)
    assert record.before == marking.as_told(row)
    assert rosa.get(f"/deploys/{row.pk}/remove/").status_code == 404


def test_the_story_and_the_side_column_tell_a_deploy_near_the_fault() -> None:
    target = failing(6)
    now = timezone.now()
    deploy(9, link="https://ci.example/77", who="Jon Ek")
    deploy(40, version="5.11.0")
    deploy(9, environment="production", version="elsewhere")
    reader = TargetReader(target)
    condition = reader.condition(now)
    assert "minutes after deploy chat 5.12.0." in condition.story.text
    told = reader.live(now)
    assert re.search(r"What changed(</button>)? near <time", told["changes"])
    assert told["changes"].index("5.12.0") < told["changes"].index("5.11.0")
    assert "elsewhere" not in told["changes"]
    shown = window(target, BY_KEY["1h"], now)
    assert [(mark.kind, mark.label) for mark in shown.marks] == [("deploy", "5.11.0"), ("deploy", "5.12.0")]
    assert shown.marks[1].href == "https://ci.example/77"
    assert shown.marks[0].href == "/deploys/?env=staging"


def test_a_revision_and_a_deploy_near_are_two_changes_and_the_revision_may_be_undone() -> None:
    target, now = failing(6), timezone.now()
    deploy(9)
    change("staging", {"readiness-strategy": "immediate"}, now - timedelta(minutes=8))
    story = TargetReader(target).condition(now).story
    assert "2 changes (deploy chat 5.12.0, r2)." in story.text
    assert story.undo == 2


class Ramped(Behaviour):
    """Every second probe is served by another strategy, and is well."""

    def outcome(self, slot: datetime) -> Outcome | None:
        well = Behaviour(strategy="dependency_gate", revision=2, rare=0.0, chance=self.chance)
        return well.outcome(slot) if slot.second // 5 % 2 else super().outcome(slot)


def test_whose_connections_fail_beats_what_changed_when() -> None:
    now = timezone.now()
    history, began = History(), now - timedelta(minutes=8)
    bad = Ramped(bad_since=now - timedelta(minutes=6), fail_share=1.0, bad_strategy="immediate", bad_revision=2)
    target = history.add("staging-chat", "Staging chat", "staging", bad, began=began)
    age_first_revisions(now - timedelta(days=3))
    history.fill(began, now)
    deploy(7)
    with CaptureQueriesContext(connection) as queries:
        story = TargetReader(target).condition(now).story
    assert re.search(
        r"\. Only connections served by immediate \(revision 2\) fail: (3\d) of \1 against 0 of 3\d\.$", story.text
    )
    assert len(queries) <= 9


def test_old_faults_keep_the_changes_near_their_beginning_however_much_has_changed_since() -> None:
    now = timezone.now()
    since = now - timedelta(days=2)
    deploy(2 * 24 * 60 + 3, version="cause")
    for number in range(12):
        deploy(number, version=f"later-{number}")
    [near] = changes_near([("staging", "chat-1", since)], now)
    assert [one.deploy for one in near] == ["chat cause"]
    listed = [one.label for one in happened("staging", "chat-1", since)]
    assert "▽ cause" in listed
    assert listed[0] == "▽ later-0"
    assert len(listed) == 6
    assert "▽ cause" not in [one.label for one in happened("staging", "chat-1")]


def test_the_last_change_is_a_revision_or_a_deploy_whichever_is_newer() -> None:
    now = timezone.now()
    healthy(4, 1, now)  # one of them in staging, none of them called backend
    reader = OverviewReader()

    def shown() -> dict[str, str]:
        return {row.environment: row.change for row in reader.read(timezone.now()).rows}

    assert shown() == {"production": "r1", "staging": "r1"}
    row = deploy(service="backend", version="9f2c41d0aa57b3e8c6d1f4027be95a1c0d3e6f88")
    assert shown() == {"production": "r1", "staging": "▽ 9f2c41d"}
    control.change("staging", {"client-ack": "off"}, author="mara", reason="trying it out", expected_version=1)
    assert shown() == {"production": "r1", "staging": "r2"}
    deploy(60 * 24 * 30, service="backend", environment="production", version="older than the first flag set" * 3)
    assert shown()["production"] == "r1"
    deploy(service="backend", version="5.13.0")
    assert shown()["staging"] == "▽ 5.13.0"
    marking.remove(Deploy.objects.get(version="5.13.0"), author="mara", reason="it was not so")
    assert shown()["staging"] == "r2"
    assert row.version[:7] == "9f2c41d"


def test_the_last_changes_are_read_again_only_where_something_changed() -> None:
    deploy()
    changes = LastChanges()
    first = changes.read([("staging", "any")])
    assert first["staging", "any"].label == "▽ 5.12.0"
    with CaptureQueriesContext(connection) as queries:
        assert changes.read([("staging", "any")]) == first
    assert len(queries) == 2


def test_a_deploy_of_a_service_that_is_a_target_concerns_that_target_alone() -> None:
    target, now = failing(6), timezone.now()
    other = Target.objects.create(slug="search", name="Search", environment_id="staging", url="ws://127.0.0.1:1/")
    deploy(7, version="mine", service=target.slug)
    deploy(8, version="theirs", service=other.slug)
    deploy(9, version="shared", service="redis")
    story = TargetReader(target).condition(now).story.text
    assert "2 changes (deploy redis shared, deploy staging-chat mine)." in story
    shown = window(target, BY_KEY["1h"], now)
    assert [mark.label for mark in shown.marks] == ["shared", "mine"]
    assert [one.label for one in happened("staging", target.slug)][:2] == ["▽ mine", "▽ shared"]
    assert [one.label for one in happened("staging", other.slug)][:2] == ["▽ theirs", "▽ shared"]
    changes = {row.slug: row.change for row in OverviewReader().read(now).rows}
    assert changes == {target.slug: "▽ mine", "search": "▽ theirs"}
    # A target of that name elsewhere is another.
    assert [mark.label for mark in marks_between("production", now - timedelta(hours=1), now, "search")] == []


def test_marks_are_asked_for_in_two_queries_however_many_there_are() -> None:
    for number in range(30):
        deploy(number, version=str(number))
    now = timezone.now()
    with CaptureQueriesContext(connection) as queries:
        marks = marks_between("staging", now - timedelta(hours=1), now)
    assert len(queries) == 2
    assert [mark.at for mark in marks] == sorted(mark.at for mark in marks)
    assert len([mark for mark in marks if mark.kind == "deploy"]) == 30
