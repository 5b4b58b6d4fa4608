"""The team's own plans on the rollback page, and rehearsals from page and shell."""

import re

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from connections.flags import control
from connections.models import AuditRecord, Drill, TeamPlan, Version
from tests.dashboard.test_flags_page import form_of, served
from tests.support.pages import text
from tests.support.people import signed_in

pytestmark = pytest.mark.django_db
QUIET = {
    "key": "quiet-night",
    "name": "Quiet night",
    "effect": "Nothing that adapts.",
    "values": "client-ack: off\n\n adaptive-timing : off ",
    "form_key": "a key of this form",
}


@pytest.fixture
def ada() -> Client:
    return signed_in("administrator")


@pytest.fixture
def quiet(ada: Client) -> TeamPlan:
    assert ada.post("/rollback/plans/new/", QUIET)["Location"] == "/rollback/#plan-quiet-night"
    return TeamPlan.objects.get()


def test_an_administrator_makes_a_plan_and_a_responder_runs_it(ada: Client, quiet: TeamPlan) -> None:
    assert quiet.values == {"client-ack": "off", "adaptive-timing": "off"}
    rosa = signed_in("responder")
    page = text(rosa.get("/rollback/?env=staging"))
    assert "Quiet night" in page
    assert "2 flags change." in page
    assert "rollback quiet-night --environment staging" in page
    assert "Make a plan" not in page
    shown = rosa.get("/rollback/staging/quiet-night/")
    rosa.post("/rollback/staging/quiet-night/", {**form_of(shown), "reason": "Rolling back the release"})
    assert served("staging", "client-ack") == "off"
    assert AuditRecord.objects.filter(action="flags.plan").exists()


def test_a_form_sent_twice_makes_one_plan(ada: Client, quiet: TeamPlan) -> None:
    assert ada.post("/rollback/plans/new/", QUIET).status_code == 302
    assert ada.post("/rollback/plans/new/", {**QUIET, "form_key": "another key of a form"}).status_code == 422
    assert AuditRecord.objects.filter(action="plan.made").count() == 1


@pytest.mark.parametrize(
    ("field", "value", "told"),
    [
        ("key", "Quiet Night", "This is no key."),
        ("name", "", "The name is missing or too long."),
        ("values", "client-ack", "Line 1 is no value."),
        ("values", "client-ack: off\nclient-ack: on", "Line 2 names a flag that stands above."),
        ("values", "client-ack: perhaps", "It fits no environment. Development: client-ack has no variant"),
        ("values", "", "A plan sets at least one flag."),
    ],
)
def test_what_is_wrong_stands_beside_its_field(ada: Client, field: str, value: str, told: str) -> None:
    answer = ada.post("/rollback/plans/new/", {**QUIET, field: value})
    assert answer.status_code == 422
    assert told in text(answer)
    assert f'id="{field}-error"' in answer.content.decode()
    assert not TeamPlan.objects.exists()


def test_a_plan_is_edited_unless_somebody_came_between(ada: Client, quiet: TeamPlan) -> None:
    address = "/rollback/plans/quiet-night/"
    page = ada.get(address)
    assert "client-ack: off\nadaptive-timing: off" in page.content.decode()
    sent = {**QUIET, "values": "client-ack: off", "edition": "1", "form_key": "the key of an edit"}
    assert ada.post(address, sent).status_code == 302
    late = ada.post(address, {**sent, "values": "client-ack: on", "form_key": "the key of another"})
    assert late.status_code == 422
    assert "edited this plan meanwhile" in text(late)
    assert TeamPlan.objects.get().values == {"client-ack": "off"}


def test_a_plan_is_removed_and_named_no_more(ada: Client, quiet: TeamPlan) -> None:
    assert ada.post("/rollback/plans/quiet-night/remove/").status_code == 302
    assert ada.post("/rollback/plans/quiet-night/remove/").status_code == 302
    assert "Quiet night" not in text(ada.get("/rollback/"))
    assert ada.get("/rollback/staging/quiet-night/").status_code == 404


def test_only_administrators_keep_plans(quiet: TeamPlan) -> None:
    rosa = signed_in("responder")
    for address in ("/rollback/plans/new/", "/rollback/plans/quiet-night/"):
        assert rosa.get(address).status_code == 403
    assert rosa.post("/rollback/plans/quiet-night/remove/").status_code == 403


def test_its_own_author_types_the_name_in_production(ada: Client, quiet: TeamPlan) -> None:
    assert "Type <code>production</code>" in ada.get("/rollback/production/quiet-night/").content.decode()
    assert "Type <code>production</code>" not in ada.get("/rollback/production/phase-1/").content.decode()


def test_a_rehearsal_is_told_on_the_card(ada: Client) -> None:
    assert "Never rehearsed here." in text(ada.get("/rollback/?env=staging"))
    answer = ada.post("/rollback/staging/phase-1/drill/")
    assert answer["Location"] == "/rollback/?env=staging#plan-phase-1"
    done = Drill.objects.get()
    page = text(ada.get("/rollback/?env=staging"))
    assert re.search(rf"Rehearsed .* ago ?, (\d+ ms|\d+\.\d s), by {done.by}\.", page)
    assert Version.objects.filter(environment="staging").count() == 1
    assert signed_in("viewer").post("/rollback/staging/phase-1/drill/").status_code == 403
    assert ada.post("/rollback/staging/phase-9/drill/").status_code == 404


def test_a_rehearsal_from_a_shell(capsys: pytest.CaptureFixture[str]) -> None:
    call_command("rollback", "phase-1", "--environment=staging", "--drill")
    assert re.fullmatch(
        r"staging, phase-1: rehearsed in \d\.\d\d s, 1 flag would change\. Nothing was changed\.\n",
        capsys.readouterr().out,
    )
    Version.objects.update(known_good_at=None)
    with pytest.raises(CommandError, match=r"The rehearsal failed after .*: Nobody has marked"):
        call_command("rollback", "emergency", "--environment=staging", "--drill")


def test_a_preview_says_which_ramps_end_and_which_kills_stay(ada: Client, capsys: pytest.CaptureFixture[str]) -> None:
    steps = [{"percentage": 10, "hold_seconds": 600, "needs_pass": False}]
    control.start_ramp("staging", "readiness-strategy", "immediate", steps, author="mara", reason="trying it out")
    control.kill("staging", "client-ack", author="mara", reason="it does harm")
    assert "The ramp of readiness-strategy ends." in text(ada.get("/rollback/?env=staging"))
    for address in ("/rollback/?env=staging", "/rollback/staging/emergency/"):
        assert "The kill of client-ack stays: on is served until it is lifted." in text(ada.get(address))
    call_command("rollback", "emergency", "--environment=staging", "--reason=chat answers vanish")
    assert "The kill of client-ack stays" in capsys.readouterr().out
    assert "Nothing would change: already so." in text(ada.get("/rollback/staging/emergency/"))
