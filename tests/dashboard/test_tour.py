"""The first-run tour: who is offered it, which note is seen, and that the cure itself leads to the last one."""

from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from pytest_django import Settings

from connections.flags import control, reading
from dashboard import reference_setup, tour
from dashboard.models import Tour
from dashboard.queries import tour as queries
from dashboard.tour import CHANGE, ENDED, ENOUGH, SEE, STEPS, UNDO, WATCH, Facts
from probes.models import Location, Result, Target, TargetStatus
from tests.support.pages import text
from tests.support.people import person, signed_in

NOW = timezone.now()


# --- which note, pure -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("facts", "step", "well"),
    [
        (Facts(SEE, 2, 2, holds=False), SEE, False),
        (Facts(SEE, 2, 1, holds=True), SEE, True),
        (Facts(CHANGE, 2, 2, holds=False), CHANGE, False),
        (Facts(UNDO, 2, 2, holds=False), UNDO, False),
        (Facts(UNDO, 2, 3, holds=False), UNDO, False),  # changed, but to what cures nothing
        (Facts(UNDO, 2, 3, holds=True), WATCH, False),
        (Facts(SEE, 2, 3, holds=True), WATCH, False),  # quicker than the notes
        (Facts(WATCH, 2, 4, holds=False), UNDO, False),  # somebody brought the fault back
        (Facts(ENDED, 2, 3, holds=True), ENDED, False),
    ],
)
def test_the_note_follows_what_is_served_and_what_was_pressed(facts: Facts, step: str, *, well: bool) -> None:
    assert facts.step == step
    assert facts.well is well


@given(st.integers(0, 100), st.integers(0, 100), st.booleans(), st.sampled_from((*STEPS, ENDED)))
@examples(max_examples=60)
def test_cured_is_said_from_thirty_clean_probes_on_and_after_the_cure_alone(
    probes: int, failed: int, holds: bool, reached: str
) -> None:
    facts = Facts(reached, 2, 3, holds, probes, min(probes, failed))
    assert facts.cured == (reached != ENDED and holds and probes >= ENOUGH and min(probes, failed) == 0)


def test_after_the_last_step_the_tour_has_ended() -> None:
    assert [tour.following(step) for step in STEPS] == [CHANGE, UNDO, WATCH, ENDED]
    assert tour.following("nonsense") == ENDED


# --- on the pages -----------------------------------------------------------------------------------------------------


@pytest.fixture
def rosa(db: None) -> Client:
    """The first start: two reference targets, staging with the fault."""
    reference_setup.prepare((8101, 8102))
    TargetStatus.objects.update(state="down")
    return signed_in("responder")


def staging() -> Target:
    return Target.objects.get(slug="staging-chat")


def probed(revision: int, count: int, *, failed: int = 0, later: int = 0) -> None:
    local = Location.objects.get(key="local")
    Result.objects.bulk_create(
        Result(
            target=staging(),
            location=local,
            slot=NOW + timedelta(seconds=later - 2 * number),
            ok=number >= failed,
            kind="" if number >= failed else "false_ready",
            flags_revision=revision,
            strategy="dependency_gate",
        )
        for number in range(count)
    )


def test_a_newcomer_is_offered_the_tour_and_may_send_it_away(rosa: Client) -> None:
    assert "Start the tour" in text(rosa.get("/"))
    assert rosa.post("/tour/", {"act": "end", "back": "overview"})["Location"] == "/"
    assert "Start the tour" not in text(rosa.get("/"))


def test_it_is_offered_to_nobody_who_may_not_act_nor_where_real_targets_are(rosa: Client) -> None:
    assert "Start the tour" not in text(signed_in("viewer").get("/"))
    assert signed_in("viewer").post("/tour/", {"act": "start"}).status_code == 403
    Target.objects.filter(slug="production-chat").update(is_reference=False)
    assert "Start the tour" not in text(rosa.get("/"))


def test_the_tour_leads_from_the_sentence_to_the_cure(rosa: Client) -> None:
    rosa.post("/tour/", {"act": "start"})
    assert "Tour 1 of 4 See" in text(rosa.get("/"))
    there = rosa.post("/tour/", {"act": "next", "step": "see"})["Location"]
    assert there == "/targets/staging-chat/#tour-note"
    page = text(rosa.get(there))
    assert "Tour 2 of 4 Find the change" in page
    assert "changed readiness-strategy from dependency_gate to immediate" in page
    rosa.post("/tour/", {"act": "next", "step": "change"})
    assert 'href="/flags/staging/undo/2/">Undo revision 2…' in rosa.get(there).content.decode()
    assert "Tour 3 of 4" in text(rosa.get("/flags/?env=staging"))
    _undo()
    assert "Revision 3 is served." in text(rosa.get(there))
    probed(3, ENOUGH - 1)
    assert f"{ENOUGH - 1} so far, none failed" in text(rosa.get(there))
    probed(3, 1, later=2)
    answer = rosa.get("/tour/note/").json()
    assert answer["step"] == "watch"
    assert f"0 of {ENOUGH} probes failed since revision 3" in answer["html"]
    rosa.post("/tour/", {"act": "end"})
    assert rosa.get("/tour/note/").json() == {"step": "", "html": ""}


def _undo() -> None:
    cure = {queries.FLAG: queries.CURE}
    seen = reading.current_version("staging").number
    control.change("staging", cure, author="Rosa", reason="The tour of Rosa", expected_version=seen)


def test_failures_after_the_change_are_told_and_ours_are_left_out(rosa: Client) -> None:
    rosa.post("/tour/", {"act": "start"})
    _undo()
    probed(3, 40, failed=2)
    Result.objects.filter(ok=False).update(kind="missed")
    assert "0 of 38 probes failed since revision 3" in text(rosa.get("/targets/staging-chat/"))
    Result.objects.filter(ok=False).update(kind="not_ready")
    assert "2 of 40 probes since revision 3 failed" in text(rosa.get("/targets/staging-chat/"))


def test_where_staging_is_well_the_tour_asks_for_its_fault_first(rosa: Client) -> None:
    _undo()
    rosa.post("/tour/", {"act": "start"})
    assert "flag.readiness-strategy=immediate&amp;preview=1" in rosa.get("/").content.decode()
    fault = {queries.FLAG: queries.FAULT}
    seen = reading.current_version("staging").number
    control.change("staging", fault, author="Rosa", reason="The tour of Rosa", expected_version=seen)
    assert "fails on purpose" in text(rosa.get("/"))


def test_the_tour_belongs_to_one_person_and_can_be_begun_again(rosa: Client) -> None:
    rosa.post("/tour/", {"act": "start"})
    assert not Tour.objects.filter(user=person("administrator")).exists()
    assert "Tour 1 of 4" not in text(signed_in("administrator").get("/"))
    rosa.post("/tour/", {"act": "end"})
    rosa.post("/tour/", {"act": "start"})
    assert Tour.objects.get(user=person("responder")).step == SEE
    assert rosa.post("/tour/", {"act": "nonsense"}).status_code == 404


def test_nothing_is_written_by_looking(rosa: Client) -> None:
    rosa.post("/tour/", {"act": "start"})
    before = Tour.objects.values().get()
    _undo()
    for address in ("/", "/targets/staging-chat/", "/tour/note/", "/flags/?env=staging"):
        rosa.get(address)
    assert Tour.objects.values().get() == before


def test_a_reference_services_page_offers_its_faults_to_who_may_start_them(rosa: Client, settings: Settings) -> None:
    settings.READYWIRE_CONTROL_TOKEN = "a token of nobody"
    settings.REFERENCE_PORTS = (8101, 8102)
    link = "/practice/staging-chat/slow_setup/?from=target"
    assert link in rosa.get("/targets/staging-chat/").content.decode()
    assert link not in signed_in("viewer").get("/targets/staging-chat/").content.decode()
    assert '<a class="btn" href="/targets/staging-chat/">Cancel</a>' in rosa.get(link).content.decode()
    Target.objects.update(is_reference=False)
    assert link not in rosa.get("/targets/staging-chat/").content.decode()
