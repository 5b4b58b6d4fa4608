"""The page of one flag: what lies over what, kill, lift, ramp, promote, and undoing each by its inverse."""

from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
from django.core.management import call_command
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from connections.flags import control, proposals, reading
from connections.flags.evaluation import evaluate
from connections.models import Environment, Overlay, Ramp, Revision
from dashboard.queries.changes import changes_in, revisions_between
from dashboard.story import Change
from probes.engine.outcome import FailureKind
from probes.recording import record
from tests.dashboard.test_flags_page import WHY, change, form_of
from tests.support.outcomes import entry, failure, stored_target, success
from tests.support.pages import text
from tests.support.people import signed_in

pytestmark = pytest.mark.django_db
FLAG = "readiness-strategy"
PAGE = f"/flags/staging/{FLAG}/"
WHO: dict[str, Any] = {"author": "Mara", "reason": "faster first token"}
STEPS = [{"percentage": 10, "hold_seconds": 600}, {"percentage": 50, "hold_seconds": 600}, {"percentage": 100}]
NBSP = "\N{NO-BREAK SPACE}"


@pytest.fixture
def rosa() -> Client:
    return signed_in("responder")


def words(client: Client, address: str = PAGE) -> str:
    return text(client.get(address)).replace(NBSP, " ")


def act(client: Client, address: str, **typed: str) -> Any:
    """Look at the act's preview, then carry it out."""
    page = client.get(address)
    assert page.status_code == 200
    return client.post(address, {**form_of(page), "reason": WHY, **typed})


def start_ramp(environment: str = "staging") -> Revision:
    return control.start_ramp(environment, FLAG, "ready_ack", STEPS, **WHO)


def served(environment: str = "staging", flag: str = FLAG) -> str | None:
    return evaluate(reading.flag_set(environment).served, flag, {"targetingKey": "s1"}).variant


# The pages


def test_the_page_tells_what_is_served_and_offers_the_acts(rosa: Client) -> None:
    page = words(rosa)
    assert "Staging serves dependency_gate under revision 1" in page
    for part in ("Kill…", "Ramp…", "Promote to production…", "In each environment", "Production", "safe", "Version 1"):
        assert part in page


def test_a_viewer_sees_the_page_and_no_act() -> None:
    page = words(signed_in("viewer"))
    assert "Staging serves dependency_gate" in page
    assert "Kill…" not in page
    assert signed_in("viewer", name="Vic").get(f"{PAGE}kill/").status_code == 403


@pytest.mark.parametrize("address", ["/flags/staging/none/", "/flags/nowhere/client-ack/", f"{PAGE}lift/ramp/"])
def test_what_is_not_there_is_not_found(rosa: Client, address: str) -> None:
    assert rosa.get(address).status_code == 404


def test_the_pages_show_what_lies_over_what(rosa: Client) -> None:
    start_ramp()
    control.kill("staging", FLAG, expires_at=timezone.now() + timedelta(hours=1), **WHO)
    page = words(rosa)
    assert "Staging serves dependency_gate for everybody" in page
    assert (
        page.index("Killed")
        < page.index("Below it: ready_ack for 10 %, dependency_gate for the rest")
        < page.index("Ramp 10 %, paused")
    )
    assert f"Paused after no time: {FLAG} was killed" in page
    row = words(rosa, "/flags/?env=staging")
    assert "dependency_gate for everybody Killed Ramp 10 %, paused over dependency_gate" in row
    assert f"{FLAG} killed: dependency_gate as before" in row


def test_the_page_asks_the_database_a_bounded_number_of_times(
    rosa: Client, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    start_ramp()
    for _ in range(5):
        control.kill("staging", FLAG, **WHO)
        control.lift("staging", FLAG, **WHO)
    rosa.get(PAGE)
    with django_assert_max_num_queries(40):
        rosa.get(PAGE)


def test_rules_stand_in_words_below_what_lies_over_them(rosa: Client) -> None:
    rule = {"if": [{"==": [{"var": "plan"}, "trial"]}, "immediate", None]}
    body = {**reading.flag_set("staging").definitions[FLAG], "targeting": rule}
    control.define("staging", {FLAG: body}, expected_version=1, **WHO)
    start_ramp()
    page = words(rosa)
    assert "ready_ack for 10 %, dependency_gate for the rest beside its rules" in page
    assert page.index("Ramp 10 %") < page.index("Version 2") < page.index("trial")


# Kill and lift


def test_a_kill_is_previewed_laid_and_leads_to_its_revision(rosa: Client) -> None:
    change(FLAG, "immediate")
    preview = words(rosa, f"{PAGE}kill/")
    assert "immediate dependency_gate for everybody Becomes revision 3" in preview
    assert f"Kill {FLAG} in staging" in preview
    answer = act(rosa, f"{PAGE}kill/", minutes="60")
    assert answer["Location"] == "/flags/staging/revisions/3/"
    [overlay] = Overlay.objects.all()
    assert overlay.expires_at is not None
    assert timedelta(minutes=59) < overlay.expires_at - timezone.now() < timedelta(minutes=61)
    assert (overlay.author, overlay.reason, served()) == ("Rosa", WHY, "dependency_gate")
    page = words(rosa, answer["Location"])
    assert f"{FLAG} killed: immediate → dependency_gate" in page
    assert "Version 2 stays as it is: this lies over it." in page
    assert "Nothing differs" not in page


def test_what_is_killed_is_not_killed_again_and_says_so(rosa: Client) -> None:
    control.kill("staging", FLAG, **WHO)
    assert f"{FLAG} is killed already." in words(rosa, f"{PAGE}kill/")
    assert "Nothing would" not in words(rosa, f"{PAGE}kill/")


def test_lifting_in_production_asks_for_its_name_and_a_kill_for_a_tick(rosa: Client) -> None:
    address = f"/flags/production/{FLAG}"
    assert act(rosa, f"{address}/kill/").status_code == 422
    assert act(rosa, f"{address}/kill/", ticked="yes").status_code == 302
    assert act(rosa, f"{address}/lift/kill/", ticked="yes").status_code == 422
    assert act(rosa, f"{address}/lift/kill/", typed="production").status_code == 302


def test_undoing_a_kill_lifts_it_and_undoing_the_lift_kills_again(rosa: Client) -> None:
    change(FLAG, "immediate")
    control.kill("staging", FLAG, **WHO)
    assert "The kill is lifted: what lies below is served again." in words(rosa, "/flags/staging/undo/3/")
    assert act(rosa, "/flags/staging/undo/3/")["Location"] == "/flags/staging/revisions/4/"
    assert served() == "immediate"
    assert "Nothing is left to take back" in words(rosa, "/flags/staging/undo/3/")
    assert act(rosa, "/flags/staging/undo/4/")["Location"] == "/flags/staging/revisions/5/"
    assert served() == "dependency_gate"


# Ramps


def test_a_ramp_is_chosen_previewed_and_started(rosa: Client) -> None:
    choice = {"variant": "ready_ack", "steps": "10 % for 10 min\n50 % for 10 min if the guard passes\n100 %"}
    preview = text(rosa.get(f"{PAGE}ramp/", choice)).replace(NBSP, " ")
    assert "dependency_gate ready_ack for 10 %, dependency_gate for the rest" in preview
    assert "Then 50 % for 10 min if the guard passes, then 100 %." in preview
    page = rosa.get(f"{PAGE}ramp/", choice)
    answer = rosa.post(f"{PAGE}ramp/", {**form_of(page), **choice, "reason": WHY})
    assert answer["Location"] == "/flags/staging/revisions/2/"
    ramp = Ramp.objects.get()
    assert [step["percentage"] for step in ramp.steps] == [10, 50, 100]
    assert f"{FLAG}: ramp to ready_ack started, 10 %" in words(rosa, answer["Location"])
    shown = words(rosa)
    assert "Ramp from dependency_gate to ready_ack" in shown
    assert "10 % for 10 min" in shown
    assert "left" in shown


@pytest.mark.parametrize(
    ("choice", "says"),
    [
        ({"variant": "ready_ack", "steps": "ten"}, "Line 1 is not a step"),
        ({"variant": "", "steps": "10 %"}, "Nothing chosen yet"),
        ({"variant": "dependency_gate", "steps": "10 %"}, "Choose a variant that is not served to everybody already."),
        ({"variant": "nothing", "steps": "10 %"}, "Choose a variant that is not served to everybody already."),
    ],
)
def test_a_ramp_that_cannot_be_started_is_told_before_it_is_sent(
    rosa: Client, choice: dict[str, str], says: str
) -> None:
    page = rosa.get(f"{PAGE}ramp/", choice)
    assert says in text(page)
    assert 'id="act-form"' not in page.content.decode()
    sent = {**choice, "reason": WHY, "key": "k" * 20, "expected_version": "1"}
    assert rosa.post(f"{PAGE}ramp/", sent).status_code == 422
    assert not Ramp.objects.exists()


def test_each_verb_of_a_ramp_is_offered_when_it_can_be_done(rosa: Client) -> None:
    start_ramp()
    assert "Pause…" in words(rosa)
    assert "Set back…" not in words(rosa)
    assert act(rosa, f"{PAGE}ramp/pause/")["Location"] == PAGE
    assert (Ramp.objects.get().state, Revision.objects.filter(environment="staging").count()) == ("paused", 2)
    assert "running at 10 % paused at 10 % No revision" not in words(rosa)
    assert "Resume…" in words(rosa)
    assert act(rosa, f"{PAGE}ramp/resume/")["Location"] == PAGE
    control.advance(timezone.now() + timedelta(seconds=601))
    assert act(rosa, f"{PAGE}ramp/back/")["Location"] == "/flags/staging/revisions/4/"
    assert f"{FLAG}: ramp to ready_ack back from 50 % to 10 %" in words(rosa, "/flags/staging/revisions/4/")
    assert act(rosa, f"{PAGE}ramp/abort/")["Location"] == "/flags/staging/revisions/5/"
    assert "ended at 10 %, dependency_gate for everybody" in words(rosa, "/flags/staging/revisions/5/")
    assert act(rosa, f"{PAGE}ramp/reopen/")["Location"] == "/flags/staging/revisions/6/"
    assert act(rosa, f"{PAGE}ramp/finish/")["Location"] == "/flags/staging/revisions/7/"
    assert served() == "ready_ack"
    assert "completed, everybody" in words(rosa, "/flags/staging/revisions/7/")
    assert rosa.get(f"{PAGE}ramp/explode/").status_code == 404


def test_undoing_a_step_sets_the_ramp_back_and_undoing_the_start_aborts_it(rosa: Client) -> None:
    start_ramp()
    control.advance(timezone.now() + timedelta(seconds=601))
    assert "The ramp is set back to the step before" in words(rosa, "/flags/staging/undo/3/")
    act(rosa, "/flags/staging/undo/3/")
    assert (Ramp.objects.get().percentage, Ramp.objects.get().state) == (10, "paused")
    act(rosa, "/flags/staging/undo/2/")
    assert Ramp.objects.get().state == "aborted"
    act(rosa, "/flags/staging/undo/5/")
    assert Ramp.objects.filter(ended_at__isnull=True).get().percentage == 10


def test_a_change_of_a_flag_under_a_ramp_names_the_cure_and_a_rollback_ends_it(rosa: Client) -> None:
    start_ramp()
    page = text(rosa.get("/flags/staging/change/", {f"flag.{FLAG}": "immediate", "preview": "1"}))
    assert "has a ramp under way" in page
    assert "Abort the ramp, or let it end" in page
    emergency = words(rosa, "/rollback/staging/emergency/")
    assert f"The ramp of {FLAG} ends." in emergency
    assert "No version changes. 1 ramp would end." in words(rosa, "/rollback/?env=staging")
    assert act(rosa, "/rollback/staging/emergency/")["Location"] == "/flags/staging/revisions/3/"
    assert served() == "dependency_gate"


def test_undoing_an_older_change_of_a_flag_ends_the_ramp_over_it(rosa: Client) -> None:
    change(FLAG, "immediate")
    start_ramp()
    assert f"The ramp of {FLAG} ends. {FLAG} immediate dependency_gate" in words(rosa, "/flags/staging/undo/2/")
    act(rosa, "/flags/staging/undo/2/")
    assert (served(), Ramp.objects.get().state) == ("dependency_gate", "aborted")


def test_where_two_people_are_asked_for_a_lift_and_a_ramp_wait_and_a_kill_does_not(rosa: Client) -> None:
    Environment.objects.filter(key="staging").update(four_eyes=True)
    control.kill("staging", FLAG, **WHO)
    for address, sent in (
        (f"{PAGE}lift/kill/", {}),
        ("/flags/staging/client-ack/ramp/", {"variant": "off", "steps": "10 % for 5 min\n100 %"}),
    ):
        answer = act(rosa, f"{address}?{urlencode(sent)}", **sent)
        assert answer["Location"].startswith("/flags/proposals/")
        number = int(answer["Location"].rstrip("/").rpartition("/")[2])
        proposals.approve(number, by="Ada")
    assert Revision.objects.get(environment="staging", number=3).approved_by == "Ada"
    assert (served(), [one.flag for one in reading.flag_set("staging").layers]) == ("dependency_gate", ["client-ack"])
    finish = act(rosa, "/flags/staging/client-ack/ramp/finish/")
    proposals.approve(int(finish["Location"].rstrip("/").rpartition("/")[2]), by="Ada")
    assert (Ramp.objects.get().state, served(flag="client-ack")) == ("completed", "off")


# Promotion


def test_a_promotion_shows_the_difference_and_what_probes_saw(rosa: Client) -> None:
    change(FLAG, "ready_ack")
    control.kill("staging", FLAG, **WHO)
    target, now = stored_target(), timezone.now()
    made = Revision.objects.get(environment="staging", number=2)
    Revision.objects.filter(pk=made.pk).update(at=now - timedelta(minutes=10))
    slots = [now - timedelta(seconds=10 * n + 5) for n in range(110)]
    outcomes = [
        success(flags_revision=2, ready_us=90_000) if now - slot < timedelta(minutes=10) else success(flags_revision=1)
        for slot in slots
    ]
    outcomes[3] = failure(flags_revision=2)
    outcomes[4] = failure(FailureKind.MISSED, flags_revision=None)
    record([entry(target, slot, outcome) for slot, outcome in zip(slots, outcomes, strict=True)], now=now)
    page = words(rosa, "/flags/production/promote/")
    assert "98 % of 59 probes succeeded since revision 2" in page
    assert "ready p95 90 ms against 40 ms before" in page
    assert "dependency_gate ready_ack" in page
    assert f"{FLAG} is killed in staging: its version is brought, not that." in page
    form = rosa.get("/flags/production/promote/")
    sent = {**form_of(form), "flag": FLAG, "reason": WHY, "typed": "production"}
    assert rosa.post("/flags/production/promote/", sent)["Location"] == "/flags/production/revisions/2/"
    assert served("production") == "ready_ack"


def test_only_what_is_ticked_is_promoted_and_nothing_is_known_without_probes(rosa: Client) -> None:
    change("client-ack", "off")
    change("degraded-mode", "off")
    page = rosa.get("/flags/production/promote/", {"preview": "1", "flag": "client-ack"})
    assert "No probe has seen it yet: nothing is known." in text(page)
    assert "Promote client-ack from staging to production" in text(page)
    sent = {**form_of(page), "flag": "client-ack", "reason": WHY, "typed": "production"}
    rosa.post("/flags/production/promote/", sent)
    assert (served("production", "client-ack"), served("production", "degraded-mode")) == ("off", "on")
    none = text(rosa.get("/flags/production/promote/", {"preview": "1"}))
    assert "Nothing is chosen." in none
    assert rosa.get("/flags/development/promote/").status_code == 404


def test_a_promotion_over_a_ramp_is_refused_before_it_is_sent(rosa: Client) -> None:
    change(FLAG, "immediate")
    start_ramp("production")
    assert "has a ramp under way" in words(rosa, "/flags/production/promote/")


# Elsewhere


def test_the_page_of_a_target_tells_what_a_ramp_and_a_kill_serve(rosa: Client) -> None:
    stored_target()
    start_ramp()
    control.kill("staging", "client-ack", **WHO)
    page = words(rosa, "/targets/chat/")
    assert f"{FLAG} ready_ack for 10 %, dependency_gate for the rest (not its safe variant)" in page
    assert "client-ack on for everybody" in page
    assert f"{FLAG}: ramp to ready_ack started, 10 %" in page


def test_a_story_tells_the_kill_and_the_step_of_a_ramp() -> None:
    start_ramp()
    control.advance(timezone.now() + timedelta(seconds=601))
    control.kill("staging", FLAG, **WHO)
    told = [f"{before}{one.flag}{after}" for one in changes() for before, after in [one.layer or ("", "")]]
    assert [one.replace(NBSP, " ") for one in told] == [
        f"{FLAG} was killed",
        f"the ramp of {FLAG} reached 50 %",
        f"the ramp of {FLAG} reached 10 %",
    ]


def changes() -> list[Change]:
    now = timezone.now()
    rows = revisions_between("staging", now - timedelta(minutes=5), now + timedelta(minutes=5))
    return [change for row in rows for change in changes_in(row)]


def test_the_audit_trail_tells_layers_in_words() -> None:
    start_ramp()
    control.kill("staging", "client-ack", **WHO)
    page = words(signed_in("viewer"), "/audit/")
    assert f"over the version: {FLAG} ramp 10 % (ready_ack) →" in page
    assert "Killed a flag client-ack" in page


def test_an_emergency_from_a_shell_ends_a_ramp_where_no_version_changes(capsys: pytest.CaptureFixture[str]) -> None:
    start_ramp()
    call_command("rollback", "emergency", environment="staging", reason=WHY)
    assert f"The ramp of {FLAG} ends." in capsys.readouterr().out
    assert (served(), Ramp.objects.get().state) == ("dependency_gate", "aborted")
