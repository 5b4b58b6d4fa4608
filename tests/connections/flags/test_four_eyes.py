"""Two people for what is new: proposals, approvals, breaking the glass, and what never waits."""

import threading
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.db import connections as database_connections
from django.utils import timezone

from connections.flags import control, glass, policy, proposals, reading, undoing
from connections.flags.errors import (
    FlagError,
    GlassRefused,
    NeedsSecondPerson,
    NothingToChange,
    ProposalClosed,
    ReasonMissing,
    SamePerson,
    StaleProposal,
    UnderLayer,
)
from connections.flags.verifying import verify
from connections.models import AuditRecord, BreakGlass, Environment, Notification, Proposal, Revision, Version
from tests.connections.flags.conftest import Flags

WHY = "chat answers vanish"
STRATEGY = {"readiness-strategy": "immediate"}


@pytest.fixture
def production(db: None) -> Flags:
    Environment.objects.filter(key="production").update(four_eyes=True)
    return Flags("production")


def refused(act: Callable[[], Any]) -> NeedsSecondPerson:
    with pytest.raises(NeedsSecondPerson) as caught:
        act()
    return caught.value


def told(action: str) -> dict[str, Any]:
    """What the audit row of this action says of afterwards."""
    return dict(AuditRecord.objects.get(action=action).after or {})


def proposed(values: dict[str, str] = STRATEGY, *, author: str = "Rosa", by_person: bool = True) -> Proposal:
    newest = reading.current_version("production").number
    wish = partial(control.change, "production", values, author=author, reason=WHY, expected_version=newest)
    return proposals.propose(refused(wish), by_person=by_person)


def test_one_person_alone_changes_nothing_where_two_are_asked_for(production: Flags) -> None:
    needed = refused(lambda: control.change("production", STRATEGY, author="Rosa", reason=WHY, expected_version=1))
    assert (production.version, production.revision) == (1, 1)
    assert AuditRecord.objects.count() == 0
    assert needed.changes is not None
    assert needed.changes["readiness-strategy"]["defaultVariant"] == "immediate"  # type: ignore[index]


def test_a_definition_waits_too(production: Flags) -> None:
    body = {"state": "ENABLED", "variants": {"on": True}, "defaultVariant": "on"}
    refused(lambda: control.define("production", {"mine": body}, author="Rosa", reason=WHY, expected_version=1))


def test_other_environments_do_not_wait(production: Flags) -> None:
    control.change("staging", STRATEGY, author="Rosa", reason=WHY, expected_version=1)


def test_an_approval_performs_the_act_in_both_names(production: Flags) -> None:
    proposal = proposals.approve(proposed().pk, by="Ada", note="read the evidence")
    version = Version.objects.get(environment="production", number=2)
    assert (version.author, version.approved_by, version.reason) == ("Rosa", "Ada", WHY)
    revision = Revision.objects.get(environment="production", number=2)
    assert (revision.author, revision.approved_by, proposal.revision) == ("Rosa", "Ada", 2)
    assert told("flags.change").items() >= {"approved_by": "Ada", "proposal": proposal.pk}.items()
    assert production.served("readiness-strategy") == "immediate"
    assert list(AuditRecord.objects.order_by("pk").values_list("actor", "action")) == [
        ("Rosa", "proposal.made"),
        ("Rosa", "flags.change"),
        ("Ada", "proposal.approved"),
    ]


@pytest.mark.parametrize("name", ["Rosa", "rosa", "ROSA"])
def test_nobody_approves_their_own_proposal(production: Flags, name: str) -> None:
    with pytest.raises(SamePerson):
        proposals.approve(proposed().pk, by=name)
    assert production.version == 1


def test_what_a_program_proposed_needs_two_people(production: Flags) -> None:
    proposal = proposed(author="token ci", by_person=False)
    once = proposals.approve(proposal.pk, by="Rosa")
    assert (once.state, once.seconded_by, production.version) == (Proposal.State.OPEN, "Rosa", 1)
    with pytest.raises(SamePerson):
        proposals.approve(proposal.pk, by="Rosa")
    proposals.approve(proposal.pk, by="Ada")
    version = Version.objects.get(environment="production", number=2)
    assert (version.author, version.approved_by) == ("token ci", "Rosa and Ada")


def test_a_proposal_is_decided_once(production: Flags) -> None:
    proposal = proposed()
    proposals.approve(proposal.pk, by="Ada")
    for again in (
        partial(proposals.approve, proposal.pk, by="Mara"),
        partial(proposals.reject, proposal.pk, by="Mara", reason="not at this hour"),
    ):
        with pytest.raises(ProposalClosed, match="was approved by Ada"):
            again()
    assert production.version == 2


def test_a_proposal_expires(production: Flags) -> None:
    proposal = proposed()
    Proposal.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    with pytest.raises(ProposalClosed, match="has expired"):
        proposals.approve(proposal.pk, by="Ada")
    assert proposals.waiting(timezone.now()) == []


def test_a_rejection_says_why_and_performs_nothing(production: Flags) -> None:
    proposal = proposed()
    with pytest.raises(ReasonMissing):
        proposals.reject(proposal.pk, by="Ada", reason="no")
    assert proposals.reject(proposal.pk, by="Ada", reason="not before the demo").state == Proposal.State.REJECTED
    assert production.version == 1


def test_the_proposer_withdraws(production: Flags) -> None:
    assert proposals.reject(proposed().pk, by="Rosa", reason="found a typo").state == Proposal.State.WITHDRAWN


def test_a_proposal_whose_flag_moved_on_shows_the_difference_and_changes_nothing(production: Flags) -> None:
    proposal = proposed()
    other = proposed({"readiness-strategy": "fixed_delay"}, author="Mara")
    proposals.approve(other.pk, by="Ada")
    look = proposals.look(Proposal.objects.get(pk=proposal.pk))
    assert [(one.flag, one.before, one.after) for one in look.theirs] == [
        ("readiness-strategy", "dependency_gate", "fixed_delay")
    ]
    with pytest.raises(StaleProposal) as stale:
        proposals.approve(proposal.pk, by="Ada")
    assert stale.value.yours[0].after == "immediate"
    assert Proposal.objects.get(pk=proposal.pk).state == Proposal.State.OPEN
    assert (production.version, production.revision) == (2, 2)


def test_changes_of_other_flags_do_not_make_it_stale(production: Flags) -> None:
    proposal = proposed()
    proposals.approve(proposed({"client-ack": "off"}, author="Mara").pk, by="Ada")
    proposals.approve(proposal.pk, by="Ada")
    assert (production.served("readiness-strategy"), production.served("client-ack")) == ("immediate", "off")


def defined(author: str, body: dict[str, Any], *, version: int) -> Proposal:
    wish = {"greeting": body}
    act = partial(control.define, "production", wish, author=author, reason=WHY, expected_version=version)
    return proposals.propose(refused(act), by_person=True)


def test_a_stale_proposal_is_proposed_again_with_what_others_changed(production: Flags) -> None:
    body: dict[str, Any] = {"state": "ENABLED", "variants": {"a": "A", "b": "B"}, "defaultVariant": "a"}
    proposals.approve(defined("Mara", body, version=1).pk, by="Ada")
    mine = defined("Rosa", {**body, "metadata": {"owner": "web"}}, version=2)
    proposals.approve(defined("Mara", {**body, "defaultVariant": "b"}, version=2).pk, by="Ada")
    again = proposals.renew(mine.pk, by="Rosa")
    assert proposals.found(mine.pk).state == Proposal.State.WITHDRAWN
    proposals.approve(again.pk, by="Ada")
    assert reading.flag_set("production").definitions["greeting"] == {
        **body,
        "defaultVariant": "b",
        "metadata": {"owner": "web"},
    }


def test_where_both_changed_one_field_it_is_not_proposed_again(production: Flags) -> None:
    mine = proposed()
    proposals.approve(proposed({"readiness-strategy": "fixed_delay"}, author="Mara").pk, by="Ada")
    with pytest.raises(FlagError, match="Both changed readiness-strategy defaultVariant"):
        proposals.renew(mine.pk, by="Rosa")
    assert proposals.found(mine.pk).state == Proposal.State.OPEN
    alike = proposed({"client-ack": "off"})
    proposals.approve(proposed({"client-ack": "off"}, author="Mara").pk, by="Ada")
    with pytest.raises(NothingToChange):
        proposals.renew(alike.pk, by="Rosa")


def test_an_expired_proposal_is_proposed_again_by_whoever_wants_it(production: Flags) -> None:
    old = proposed()
    Proposal.objects.update(expires_at=timezone.now() - timedelta(hours=1))
    again = proposals.renew(old.pk, by="Ada")
    with pytest.raises(SamePerson):
        proposals.approve(again.pk, by="Ada")
    proposals.approve(again.pk, by="Rosa")
    assert production.served("readiness-strategy") == "immediate"


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
def test_of_many_who_decide_at_once_one_does() -> None:
    Environment.objects.filter(key="production").update(four_eyes=True)
    number = proposed().pk
    start = threading.Barrier(6)
    results: list[str] = []

    def decide(person: int) -> None:
        start.wait(10)
        try:
            if person % 2:
                proposals.approve(number, by=f"person {person}")
            else:
                proposals.reject(number, by=f"person {person}", reason="not at this hour")
            results.append("done")
        except ProposalClosed:
            results.append("closed")
        finally:
            database_connections.close_all()

    threads = [threading.Thread(target=decide, args=(person,)) for person in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(results) == ["closed"] * 5 + ["done"]
    approved = proposals.found(number).state == Proposal.State.APPROVED
    assert reading.current_version("production").number == (2 if approved else 1)
    assert verify().faults == ()


def test_going_back_never_waits(production: Flags) -> None:
    proposals.approve(proposed().pk, by="Ada")
    control.run_plan("production", "phase-1", author="Rosa", reason=WHY)
    undoing.undo(
        Revision.objects.get(environment="production", number=2), author="Rosa", reason=WHY, expected_version=3
    )
    assert production.served("readiness-strategy") == "dependency_gate"
    assert production.served("dependency-validation") == "off"
    control.revert("production", 1, author="Rosa", reason=WHY, expected_version=None)
    assert production.served("dependency-validation") == "on"


def test_kills_and_aborts_act_at_once_and_lifts_and_ramps_wait(production: Flags) -> None:
    signed = {"author": "Rosa", "reason": WHY}
    steps = [{"percentage": 10}, {"percentage": 50}]
    flag = "readiness-strategy"
    start = refused(lambda: control.start_ramp("production", flag, "immediate", steps, **signed))
    proposals.approve(proposals.propose(start, by_person=True).pk, by="Ada")
    assert [layer.share for layer in reading.flag_set("production").layers] == [100]
    control.kill("production", flag, author="Rosa", reason=WHY)
    lift = refused(lambda: control.lift("production", flag, **signed))
    waits = proposals.propose(lift, by_person=True)
    assert len(reading.flag_set("production").layers) == 2
    proposals.approve(waits.pk, by="Ada")
    finish = refused(lambda: control.finish_ramp("production", flag, **signed))
    proposals.approve(proposals.propose(finish, by_person=True).pk, by="Ada")
    version = Version.objects.get(environment="production", number=2)
    assert (production.served(flag), version.approved_by) == ("immediate", "Ada")
    assert reading.flag_set("production").layers == ()


def test_an_aborted_ramp_is_reopened_by_two(production: Flags) -> None:
    signed = {"author": "Rosa", "reason": WHY}
    flag = "readiness-strategy"
    start = refused(lambda: control.start_ramp("production", flag, "immediate", [{"percentage": 10}], **signed))
    proposals.approve(proposals.propose(start, by_person=True).pk, by="Ada")
    control.abort_ramp("production", flag, **signed)
    reopen = refused(lambda: control.reopen_ramp("production", flag, **signed))
    proposals.approve(proposals.propose(reopen, by_person=True).pk, by="Ada")
    assert [layer.share for layer in reading.flag_set("production").layers] == [100]


def test_the_clock_does_not_wait(production: Flags) -> None:
    flag, now = "readiness-strategy", timezone.now()
    start = refused(
        lambda: control.start_ramp(
            "production", flag, "immediate", [{"percentage": 10}, {"percentage": 100}], author="Rosa", reason=WHY
        )
    )
    proposals.approve(proposals.propose(start, by_person=True).pk, by="Ada")
    for hours in (1, 2):
        assert control.advance(now + timedelta(hours=hours))
    assert production.served(flag) == "immediate"
    later = timezone.now() + timedelta(minutes=5)
    control.kill("production", flag, author="Rosa", reason=WHY, expires_at=later)
    assert [one.cause for one in control.advance(later)] == ["expiry"]


def test_a_promotion_is_approved_as_it_was_looked_at(production: Flags) -> None:
    control.change("staging", STRATEGY, author="Rosa", reason=WHY, expected_version=1)
    wish = partial(control.promote, "production", author="Rosa", reason=WHY, expected_version=1)
    proposal = proposals.propose(refused(wish), by_person=True)
    control.change("staging", {"client-ack": "off"}, author="Mara", reason=WHY, expected_version=2)
    proposals.approve(proposal.pk, by="Ada")
    assert (production.served("readiness-strategy"), production.served("client-ack")) == ("immediate", "on")
    assert Version.objects.get(environment="production", number=2).kind == "promotion"


def test_a_proposal_under_a_ramp_is_refused_and_stays_open(production: Flags) -> None:
    proposal = proposed()
    glass.break_glass("production", by="Zoe", reason="nobody else is awake")
    steps = [{"percentage": 10}]
    control.start_ramp("production", "readiness-strategy", "fixed_delay", steps, author="Zoe", reason=WHY)
    with pytest.raises(UnderLayer):
        proposals.approve(proposal.pk, by="Ada")
    assert proposals.found(proposal.pk).state == Proposal.State.OPEN


def test_the_second_name_cannot_be_changed_unseen(production: Flags) -> None:
    proposals.approve(proposed().pk, by="Ada")
    assert verify().faults == ()
    Version.objects.filter(environment="production", number=2).update(approved_by="Mara")
    assert len(verify().faults) == 1


# Breaking the glass


def test_broken_glass_lets_its_person_act_alone_and_is_loud(
    production: Flags, caplog: pytest.LogCaptureFixture
) -> None:
    broken = glass.break_glass("production", by="Rosa", reason="nobody else is awake", minutes=30)
    control.change("production", STRATEGY, author="Rosa", reason=WHY, expected_version=1)
    revision = Revision.objects.get(environment="production", number=2)
    assert (revision.break_glass, revision.approved_by) == (broken, "")
    assert told("flags.change")["break_glass"] == broken.pk
    note = Notification.objects.get()
    assert note.audience == ["role:administrator"]
    assert note.subject.startswith("Rosa acts alone in production until ")
    assert note.delivered_at is None
    assert "glass broken in production by Rosa" in caplog.text
    refused(lambda: control.change("production", {"client-ack": "off"}, author="Mara", reason=WHY, expected_version=2))


def test_broken_glass_expires_and_can_be_ended(production: Flags) -> None:
    broken = glass.break_glass("production", by="Rosa", reason="nobody else is awake")
    glass.end(broken.pk, by="Ada")
    refused(lambda: control.change("production", STRATEGY, author="Rosa", reason=WHY, expected_version=1))


def test_a_review_is_closed_by_another_person_with_a_note(production: Flags) -> None:
    broken = glass.break_glass("production", by="Rosa", reason="nobody else is awake")
    assert glass.open_reviews() == [broken]
    with pytest.raises(GlassRefused, match="still in force"):
        glass.close_review(broken.pk, by="Ada", note="read all of it")
    glass.end(broken.pk, by="Rosa")
    with pytest.raises(SamePerson):
        glass.close_review(broken.pk, by="Rosa", note="read all of it")
    with pytest.raises(ReasonMissing):
        glass.close_review(broken.pk, by="Ada", note="fine")
    glass.close_review(broken.pk, by="Ada", note="read all of it")
    assert glass.open_reviews() == []
    with pytest.raises(GlassRefused, match="closed already"):
        glass.close_review(broken.pk, by="Ada", note="read all of it")


@pytest.mark.parametrize("minutes", [0, -5, 241])
def test_glass_is_broken_for_minutes_not_for_days(production: Flags, minutes: int) -> None:
    with pytest.raises(GlassRefused):
        glass.break_glass("production", by="Rosa", reason="nobody else is awake", minutes=minutes)
    assert BreakGlass.objects.count() == Notification.objects.count() == 0


def test_glass_that_protects_nothing_is_not_broken(db: None) -> None:
    with pytest.raises(GlassRefused, match="does not ask"):
        glass.break_glass("staging", by="Rosa", reason="nobody else is awake")


# Policy


def set_policy(**wish: Any) -> Environment:
    known = {"reason_required": True, "four_eyes": True, "guard_mode": "observe", "author": "Ada", "reason": WHY}
    return policy.set_policy("production", **{**known, **wish})


def test_a_policy_is_changed_with_an_audit_row(db: None) -> None:
    assert set_policy(guard_mode="act").four_eyes
    record = AuditRecord.objects.get()
    assert (record.actor, record.action, record.reason) == ("Ada", "policy.changed", WHY)
    assert record.before == {"reason_required": True, "four_eyes": False, "guard_mode": "observe"}
    assert record.after == {"reason_required": True, "four_eyes": True, "guard_mode": "act"}
    with pytest.raises(NothingToChange):
        set_policy(guard_mode="act")


def test_to_stop_asking_for_two_takes_two(production: Flags) -> None:
    wish = {"reason_required": True, "four_eyes": False, "guard_mode": "observe"}
    needed = refused(lambda: set_policy(**wish))
    proposal = proposals.propose(needed, by_person=True)
    assert reading.environment("production").four_eyes
    proposals.approve(proposal.pk, by="Zoe")
    assert not reading.environment("production").four_eyes
    assert told("policy.changed")["approved_by"] == "Zoe"


def test_an_unknown_guard_mode_names_those_there_are(db: None) -> None:
    with pytest.raises(FlagError, match="observe, propose, act"):
        set_policy(guard_mode="panic")
