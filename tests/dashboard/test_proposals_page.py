"""Proposals, broken glass, reviews and policies, as people meet them."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client, RequestFactory
from django.utils import timezone

from connections.flags import control, glass, reading
from connections.flags.errors import NeedsSecondPerson
from connections.models import BreakGlass, Environment, Proposal, Revision
from dashboard.api.second_person import proposed
from dashboard.management.usage import OneLineCommand
from dashboard.models import User
from tests.support.pages import hidden_fields, text
from tests.support.people import person, signed_in

pytestmark = pytest.mark.django_db
WHY = "Answers vanish mid-conversation"
CHANGE = "/flags/production/change/"
WISH = {"flag.client-ack": "off", "preview": "1"}


@pytest.fixture
def rosa() -> Client:
    Environment.objects.filter(key="production").update(four_eyes=True)
    return signed_in("responder")


@pytest.fixture
def ada() -> Client:
    return signed_in("administrator")


def propose(rosa: Client, reason: str = WHY) -> Proposal:
    page = rosa.get(CHANGE, WISH)
    answer = rosa.post(CHANGE, {**hidden_fields(page, "act-form"), "reason": reason})
    proposal = Proposal.objects.latest("pk")
    assert (answer.status_code, answer["Location"]) == (302, f"/flags/proposals/{proposal.pk}/")
    return proposal


def served(flag: str = "client-ack") -> str:
    return str(reading.flag_set("production").definitions[flag]["defaultVariant"])


def test_the_button_proposes_where_two_are_asked_for(rosa: Client) -> None:
    page = text(rosa.get(CHANGE, WISH))
    assert "Propose to change client-ack in production" in page
    assert "A second person approves this before anybody is served it." in page
    assert "Type production" not in page
    assert "Propose to" not in text(rosa.get("/flags/staging/change/", WISH))


def test_a_change_becomes_a_proposal_and_serves_nothing(rosa: Client) -> None:
    propose(rosa)
    assert served() == "on"
    page = text(rosa.get("/flags/?env=production"))
    assert "of Rosa waits for a second person: Answers vanish mid-conversation" in page


def test_a_proposal_needs_its_reason_whatever_the_policy_says(rosa: Client) -> None:
    Environment.objects.update(reason_required=False)
    page = rosa.get(CHANGE, WISH)
    answer = rosa.post(CHANGE, {**hidden_fields(page, "act-form"), "reason": ""})
    assert answer.status_code == 422
    assert Proposal.objects.count() == 0


def test_a_form_sent_twice_proposes_once(rosa: Client) -> None:
    fields = {**hidden_fields(rosa.get(CHANGE, WISH), "act-form"), "reason": WHY}
    first, second = rosa.post(CHANGE, fields), rosa.post(CHANGE, fields)
    assert first["Location"] == second["Location"]
    assert Proposal.objects.count() == 1


def test_the_second_person_approves_and_both_names_stand_on_the_pages(rosa: Client, ada: Client) -> None:
    proposal = propose(rosa)
    page = f"/flags/proposals/{proposal.pk}/"
    assert "Approve in production" in text(ada.get(page))
    wrong = ada.post(page + "approve/", {"typed": "staging"})
    assert wrong.status_code == 422
    assert "Typed name does not match production." in text(wrong)
    answer = ada.post(page + "approve/", {"typed": "production", "note": "seen in staging"})
    assert answer["Location"] == "/flags/production/revisions/2/"
    assert served() == "off"
    assert "Rosa, approved by Ada: Answers vanish" in text(ada.get(answer["Location"]))
    assert "Rosa with Ada" in text(ada.get("/flags/?env=production"))
    assert "approved by Ada" in text(ada.get(page))
    assert "Approved" in text(ada.get("/audit/"))


def test_the_proposer_sees_that_another_person_approves(rosa: Client) -> None:
    proposal = propose(rosa)
    page = f"/flags/proposals/{proposal.pk}/"
    shown = text(rosa.get(page))
    assert "Another person approves this: Rosa proposed it." in shown
    assert "Approve in production" not in shown
    refused = rosa.post(page + "approve/", {"typed": "production"})
    assert refused.status_code == 409
    assert "Rosa cannot approve it alone." in text(refused)
    assert served() == "on"


def test_a_viewer_reads_a_proposal_and_decides_nothing(rosa: Client) -> None:
    proposal = propose(rosa)
    vera = signed_in("viewer")
    page = f"/flags/proposals/{proposal.pk}/"
    assert "You can see proposals but not change them." in text(vera.get(page))
    assert vera.post(page + "approve/", {"typed": "production"}).status_code == 403
    assert vera.post(page + "reject/", {"reason": WHY}).status_code == 403


def test_a_rejection_tells_its_reason(rosa: Client, ada: Client) -> None:
    page = f"/flags/proposals/{propose(rosa).pk}/"
    short = ada.post(page + "reject/", {"reason": "no"})
    assert short.status_code == 422
    assert "Say why, in at least 3 words." in text(short)
    ada.post(page + "reject/", {"reason": "not before the demo"})
    assert "Rejected by Ada" in text(rosa.get(page))
    assert "not before the demo" in text(rosa.get(page))
    assert "Nothing waits for a second person." in text(rosa.get("/flags/proposals/"))


def test_a_stale_proposal_shows_what_changed_and_cannot_be_approved(rosa: Client, ada: Client) -> None:
    page = f"/flags/proposals/{propose(rosa).pk}/"
    glass.break_glass("production", by="Ada", reason="nobody else is awake")
    fields = hidden_fields(ada.get(CHANGE, {"flag.client-ack": "off", "preview": "1"}), "act-form")
    ada.post(CHANGE, {**fields, "reason": WHY, "typed": "production"})
    shown = text(ada.get(page))
    assert "Changed meanwhile, so this can no longer be approved:" in shown
    assert "Approve in production" not in shown
    assert "What it wanted is served already." in shown
    assert ada.post(page + "approve/", {"typed": "production"}).status_code == 409
    again = rosa.post(page + "renew/")
    assert again.status_code == 409
    assert "Nothing would change: already so." in text(again)


def test_an_expired_proposal_is_proposed_again(rosa: Client, ada: Client) -> None:
    page = f"/flags/proposals/{propose(rosa).pk}/"
    Proposal.objects.update(expires_at=timezone.now() - timedelta(hours=1))
    assert "expired" in text(ada.get(page))
    again = ada.post(page + "renew/")["Location"]
    assert "Another person approves this: Ada proposed it." in text(ada.get(again))
    rosa.post(again + "approve/", {"typed": "production"})
    assert served() == "off"


def test_undo_and_plans_do_not_wait(rosa: Client, ada: Client) -> None:
    proposal = propose(rosa)
    ada.post(f"/flags/proposals/{proposal.pk}/approve/", {"typed": "production"})
    address = "/flags/production/undo/2/"
    page = rosa.get(address)
    assert "Undo revision 2 in production" in text(page)
    rosa.post(address, {**hidden_fields(page, "act-form"), "reason": WHY, "ticked": "yes"})
    assert served() == "on"


STRATEGY = "/flags/production/readiness-strategy/"
RAMP = {"variant": "ready_ack", "steps": "10 % for 10 min\n100 %"}


def approve_latest(ada: Client) -> None:
    ada.post(f"/flags/proposals/{Proposal.objects.latest('pk').pk}/approve/", {"typed": "production"})


def layers() -> list[str]:
    return [layer.kind for layer in reading.flag_set("production").layers]


def test_a_kill_is_laid_at_once_and_lifting_it_or_undoing_it_waits(rosa: Client, ada: Client) -> None:
    for address in (f"{STRATEGY}lift/kill/", "/flags/production/undo/2/"):
        if not layers():
            page = rosa.get(f"{STRATEGY}kill/")
            rosa.post(f"{STRATEGY}kill/", {**hidden_fields(page, "act-form"), "reason": WHY, "ticked": "yes"})
        assert layers() == ["kill"]
        page = rosa.get(address)
        assert "Propose to" in text(page)
        rosa.post(address, {**hidden_fields(page, "act-form"), "reason": WHY})
        assert layers() == ["kill"]
    approve_latest(ada)
    assert layers() == []


def test_a_ramp_is_started_by_two(rosa: Client, ada: Client) -> None:
    page = rosa.get(f"{STRATEGY}ramp/", RAMP)
    assert "Propose to start the ramp of readiness-strategy in production" in text(page)
    answer = rosa.post(f"{STRATEGY}ramp/", {**hidden_fields(page, "act-form"), **RAMP, "reason": WHY})
    assert "ready_ack" in text(ada.get(answer["Location"]))
    assert layers() == []
    approve_latest(ada)
    assert layers() == ["ramp"]
    abort = f"{STRATEGY}ramp/abort/"
    page = rosa.get(abort)
    rosa.post(abort, {**hidden_fields(page, "act-form"), "reason": WHY, "ticked": "yes"})
    assert layers() == []


# Breaking the glass


def test_breaking_the_glass_lets_its_person_act_and_stands_on_every_page(rosa: Client, ada: Client) -> None:
    address = "/flags/break-glass/production/"
    assert "You then act alone in production" in text(rosa.get(address))
    unticked = rosa.post(address, {"reason": "nobody else is awake", "minutes": "30"})
    assert unticked.status_code == 422
    answer = rosa.post(address, {"reason": "nobody else is awake", "minutes": "30", "ticked": "yes"})
    assert answer.status_code == 302
    for path in ("/", "/audit/", "/rollback/", "/flags/proposals/"):
        assert "Rosa acts alone in production until" in text(ada.get(path)), path
    page = rosa.get(CHANGE, WISH)
    assert "You act alone until" in text(page)
    fields = hidden_fields(page, "act-form")
    rosa.post(CHANGE, {**fields, "reason": WHY, "typed": "production"})
    assert served() == "off"
    assert "alone under broken glass" in text(rosa.get("/flags/production/revisions/2/"))
    assert "Propose to change" in text(ada.get(CHANGE, {"flag.degraded-mode": "off", "preview": "1"}))


def test_a_review_stands_until_another_person_closes_it(rosa: Client, ada: Client) -> None:
    broken = glass.break_glass("production", by="Rosa", reason="nobody else is awake")
    ada.post(f"/flags/reviews/{broken.pk}/end/")
    assert "Rosa acted alone in production, and nobody has reviewed it:" in text(ada.get("/"))
    assert "Another person closes this review." in text(rosa.get("/flags/proposals/"))
    close = f"/flags/reviews/{broken.pk}/close/"
    own = rosa.post(close, {"note": "it was all fine"})
    assert own.status_code == 422
    short = ada.post(close, {"note": "fine"})
    assert "Say why, in at least 3 words." in text(short)
    assert BreakGlass.objects.get().reviewed_at is None
    ada.post(close, {"note": "read what was done"})
    assert "nobody has reviewed it" not in text(ada.get("/"))


@pytest.mark.parametrize("minutes", ["0", "99999", "-1", "soon", "²"])
def test_a_length_that_is_none_is_refused(rosa: Client, minutes: str) -> None:
    wish = {"reason": "nobody else is awake", "minutes": minutes, "ticked": "yes"}
    assert rosa.post("/flags/break-glass/production/", wish).status_code == 422
    assert BreakGlass.objects.count() == 0


# Programs and shells


class Changing(OneLineCommand):
    def handle(self, *args: Any, **options: Any) -> None:
        control.change("production", {"client-ack": "off"}, author="root", reason=WHY, expected_version=1)


def test_a_command_proposes_instead_and_says_so(rosa: Client) -> None:
    with pytest.raises(CommandError) as told:
        call_command(Changing())
    number = Proposal.objects.get(by_person=False).pk
    assert told.value.returncode == 1
    assert f"Nothing is served yet: two people approve this in production. Proposal {number}: http" in str(told.value)
    assert served() == "on"


def test_an_import_proposes_the_whole_file(rosa: Client, tmp_path: Path) -> None:
    file = tmp_path / "flags.yaml"
    call_command("flags", "export", str(file), environment="staging")
    file.write_text(file.read_text().replace("defaultVariant: dependency_gate", "defaultVariant: immediate"))
    with pytest.raises(CommandError, match="two people approve this"):
        call_command("flags", "import", str(file), "--environment", "production", "--reason", WHY)
    assert Proposal.objects.get().act == "import"
    assert served("readiness-strategy") == "dependency_gate"


def test_a_program_is_answered_with_its_proposal(rosa: Client) -> None:
    request = RequestFactory().post("/api/v1/anything")
    request.user = User(name="token ci", role="responder")
    with pytest.raises(NeedsSecondPerson) as needed:
        control.change("production", {"client-ack": "off"}, author="token ci", reason=WHY, expected_version=1)
    answer = proposed(request, needed.value)
    proposal = Proposal.objects.get()
    assert (answer.status_code, answer["Location"]) == (202, f"/flags/proposals/{proposal.pk}/")
    assert (proposal.proposed_by, proposal.by_person) == ("token ci", False)
    for name in ("Rosa", "Ada"):
        client = signed_in("responder", name=name)
        client.post(f"/flags/proposals/{proposal.pk}/approve/", {"typed": "production"})
    assert served() == "off"


# Policy


def test_an_administrator_changes_a_policy(ada: Client) -> None:
    wish = {"reason_required": "yes", "four_eyes": "yes", "guard_mode": "propose", "reason": "we go live today"}
    assert ada.post("/flags/policy/staging/", wish).status_code == 302
    stage = Environment.objects.get(key="staging")
    assert (stage.four_eyes, stage.guard_mode) == (True, "propose")
    assert "Changed a policy" in text(ada.get("/audit/"))


def test_a_responder_reads_a_policy_and_changes_nothing(rosa: Client) -> None:
    person("administrator")
    assert "You can see policies but not change them. Administrators: Ada." in text(
        rosa.get("/flags/policy/production/")
    )
    assert rosa.post("/flags/policy/production/", {"reason": WHY}).status_code == 403
    assert Environment.objects.get(key="production").four_eyes


def test_to_stop_asking_for_two_waits_for_a_second_administrator(rosa: Client, ada: Client) -> None:
    wish = {"reason_required": "yes", "guard_mode": "observe", "reason": "we are only two"}
    answer = ada.post("/flags/policy/production/", wish)
    page = answer["Location"]
    assert "A second person approves what is new: yes → no" in text(ada.get(page))
    assert rosa.post(page + "approve/", {"typed": "production"}).status_code == 403
    zoe = signed_in("administrator", name="Zoe")
    zoe.post(page + "approve/", {"typed": "production"})
    assert not Environment.objects.get(key="production").four_eyes
    assert User.objects.count() == 3
    assert Revision.objects.filter(environment="production").count() == 1
