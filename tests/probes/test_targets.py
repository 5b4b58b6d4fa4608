"""Targets that people add, change, pause and resume."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from connections.models import AuditRecord, Environment
from probes.credentials import unseal
from probes.models import Flip, Location, Target, TargetStatus
from probes.pausing import pause, resume, resume_expired
from probes.targets import TargetError, create_target, update_target
from tests.support.outcomes import stored_target

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _places() -> None:
    Location.objects.get_or_create(key="local", defaults={"name": "This machine"})
    Environment.objects.get_or_create(key="staging", defaults={"name": "Staging", "position": 2})


def create(**fields: Any) -> Target:
    defaults = {"by": "Alice", "environment": "staging", "name": "Chat EU", "url": "wss://chat.example.org/ws"}
    return create_target(**{**defaults, **fields})


def test_a_target_is_stored_with_its_status_and_an_audit_row() -> None:
    target = create(credentials={"token": "s3cret"}, reason="new region", tags=["eu"], interval_ms=10_000)
    assert (target.slug, target.interval_ms, target.tags) == ("chat-eu", 10_000, ["eu"])
    assert [location.key for location in target.locations.all()] == ["local"]
    assert unseal(target.credentials) == {"token": "s3cret"}
    assert TargetStatus.objects.get().state == "unknown"
    audit = AuditRecord.objects.get()
    assert (audit.actor, audit.action, audit.subject, audit.reason) == (
        "Alice",
        "target.created",
        "chat-eu",
        "new region",
    )
    assert audit.after is not None
    assert audit.after["url"] == "wss://chat.example.org/ws"
    assert "s3cret" not in str(audit.after)
    assert target.active_since > timezone.now()


@pytest.mark.parametrize(
    ("field", "fields"),
    [
        ("url", {"url": "https://example.org"}),
        ("url", {"url": ""}),
        ("url", {"url": "ws:///path"}),
        ("url", {"url": "wss://example.org/#top"}),
        ("url", {"url": "wss://example.org:99999/"}),
        ("url", {"url": "wss://user:pass@example.org/"}),
        ("url", {"url": "wss://exa mple.org/"}),
        ("url", {"url": "wss://example.org/" + "x" * 2000}),
        ("slug", {"slug": "Chat EU"}),
        ("residents", {"residents": 501}),
        ("residents", {"residents": "3"}),
        ("residents", {"residents": True}),
        ("resident_hold_s", {"resident_hold_s": 59}),
        ("resident_hold_s", {"resident_hold_s": 86_401}),
        ("resident_every_s", {"resident_every_s": 0}),
        ("slug", {"slug": ""}),
        ("slug", {"slug": "../etc"}),
        ("name", {"name": " ", "slug": "chat"}),
        ("name", {"name": "x" * 81, "slug": "chat"}),
        ("interval_ms", {"interval_ms": 249}),
        ("interval_ms", {"interval_ms": "5000"}),
        ("interval_ms", {"interval_ms": True}),
        ("deadline_ms", {"deadline_ms": 60_001}),
        ("ready_objective_ms", {"ready_objective_ms": 0}),
        ("success_objective", {"success_objective": 1}),
        ("success_objective", {"success_objective": float("nan")}),
        ("script", {"script": {"events": "agent_started"}}),
        ("script", {"script": {"no_such_field": 1}}),
        ("script", {"script": ["no mapping"]}),
        ("credentials", {"credentials": {"password": "x"}}),
        ("credentials", {"credentials": {"token": 5}}),
        ("credentials", {"credentials": {"headers": {"bad name": "x"}}}),
        ("environment", {"environment": "moon"}),
        ("locations", {"locations": []}),
        ("locations", {"locations": ["moon"]}),
        ("tags", {"tags": "eu"}),
        ("colour", {"colour": "red"}),
    ],
)
def test_what_cannot_be_probed_is_refused_by_the_name_of_its_field(field: str, fields: dict[str, Any]) -> None:
    with pytest.raises(TargetError) as caught:
        create(**fields)
    assert caught.value.field == field
    assert caught.value.message
    assert not Target.objects.exists()
    assert not AuditRecord.objects.exists()


def test_a_slug_is_taken_once() -> None:
    create()
    with pytest.raises(TargetError, match="taken by another target"):
        create()
    assert Target.objects.count() == 1


def test_a_change_says_what_it_was_and_what_it_is() -> None:
    target = create()
    changed = update_target(target, by="Bob", reason="too slow", deadline_ms=9000, name="Chat Europe")
    assert Target.objects.get().deadline_ms == changed.deadline_ms == 9000
    audit = AuditRecord.objects.get(action="target.changed")
    assert audit.before is not None
    assert audit.after is not None
    assert (audit.before["deadline_ms"], audit.after["deadline_ms"], audit.actor) == (5000, 9000, "Bob")


def test_a_refused_change_changes_nothing() -> None:
    target = create()
    with pytest.raises(TargetError):
        update_target(target, by="Bob", name="Other", url="ftp://x")
    assert Target.objects.get().name == "Chat EU"
    assert not AuditRecord.objects.filter(action="target.changed").exists()


def test_a_new_schedule_begins_anew_and_other_changes_do_not() -> None:
    target = stored_target()
    before = target.active_since
    assert update_target(target, by="Bob", ready_objective_ms=900).active_since == before
    assert update_target(target, by="Bob", interval_ms=2000).active_since > timezone.now()


def test_credentials_are_kept_replaced_or_removed() -> None:
    target = create(credentials={"token": "one"})
    assert unseal(update_target(target, by="Bob", name="Other").credentials) == {"token": "one"}
    assert unseal(update_target(target, by="Bob", credentials={"token": "two"}).credentials) == {"token": "two"}
    assert update_target(target, by="Bob", credentials={}).credentials == ""


def test_a_pause_and_a_resumption_are_flips_with_their_audit_rows() -> None:
    target = create()
    until = timezone.now() + timedelta(hours=1)
    assert pause(target, "Alice", until, "deploy")
    assert (Target.objects.get().paused_by, Target.objects.get().paused_until) == ("Alice", until)
    assert TargetStatus.objects.get().state == "paused"
    assert resume(target, "Bob")
    assert not Target.objects.get().paused
    assert Target.objects.get().active_since > timezone.now()
    assert TargetStatus.objects.get().state == "unknown"
    flips = [(flip.before, flip.after, flip.why) for flip in Flip.objects.order_by("pk")]
    assert flips == [
        ("unknown", "paused", "Paused by Alice: deploy"),
        ("paused", "unknown", "Resumed by Bob; not probed since."),
    ]
    audits = [(audit.actor, audit.action, audit.reason) for audit in AuditRecord.objects.order_by("pk")[1:]]
    assert audits == [("Alice", "target.paused", "deploy"), ("Bob", "target.resumed", "")]


def test_a_second_pause_and_a_second_resumption_change_nothing() -> None:
    target = create()
    assert pause(target, "Alice", None, "deploy")
    assert not pause(target, "Bob", None, "me too")
    assert Target.objects.get().paused_by == "Alice"
    assert resume(target, "Bob")
    assert not resume(target, "Bob")
    assert Flip.objects.count() == 2


def test_a_pause_with_an_end_ends_by_itself() -> None:
    now = timezone.now()
    for name, until in (("over", now), ("going on", now + timedelta(minutes=1)), ("endless", None)):
        pause(create(name=name), "Alice", until, "")
    assert resume_expired(now) == 1
    assert [target.slug for target in Target.objects.filter(paused_by="")] == ["over"]
    assert AuditRecord.objects.get(action="target.resumed").actor == "readywire"
