"""The rollback page: what each plan would change now, running one, the same from a shell."""

import pytest
from django.test import Client

from connections.flags import control, reading
from connections.models import Version
from tests.dashboard.test_flags_page import change, form_of, served
from tests.support.pages import text
from tests.support.people import signed_in

pytestmark = pytest.mark.django_db
WHY = "Rolling back the release"


@pytest.fixture
def rosa() -> Client:
    return signed_in("responder")


def test_each_plan_says_what_it_would_change_now(rosa: Client) -> None:
    change("readiness-strategy", "immediate")
    page = text(rosa.get("/rollback/?env=staging"))
    for name in ("Phase 1: dependency validation off", "Phase 2: adaptive timing off", "Emergency: back to known good"):
        assert name in page
    assert page.count("1 flag changes.") == 3
    assert "python manage.py rollback phase-1 --environment staging --reason" in page


def test_a_plan_that_would_change_nothing_says_so(rosa: Client) -> None:
    assert "Nothing would change: already so." in text(rosa.get("/rollback/?env=staging"))


def test_a_plan_is_previewed_run_and_listed(rosa: Client) -> None:
    page = rosa.get("/rollback/staging/phase-1/")
    assert "Run phase 1 in staging" in text(page)
    answer = rosa.post("/rollback/staging/phase-1/", {**form_of(page), "reason": WHY})
    assert answer["Location"] == "/flags/staging/revisions/2/"
    assert served("staging", "dependency-validation") == "off"
    past = text(rosa.get("/rollback/?env=staging"))
    assert f"dependency-validation: on → off {WHY}" in past


def test_a_plan_sent_twice_runs_once(rosa: Client) -> None:
    sent = {**form_of(rosa.get("/rollback/staging/phase-1/")), "reason": WHY}
    rosa.post("/rollback/staging/phase-1/", sent)
    assert rosa.post("/rollback/staging/phase-1/", sent)["Location"].endswith("?again=1")
    assert Version.objects.filter(environment="staging").count() == 2


def test_a_plan_run_by_somebody_else_meanwhile_changes_nothing(rosa: Client) -> None:
    sent = {**form_of(rosa.get("/rollback/staging/phase-1/")), "reason": WHY}
    control.run_plan("staging", "phase-1", author="Mara", reason="answers vanish here")
    answer = rosa.post("/rollback/staging/phase-1/", sent)
    assert answer.status_code == 409
    assert "Nothing would change: already so." in text(answer)


def test_production_asks_for_a_tick_only(rosa: Client) -> None:
    address = "/rollback/production/phase-2/"
    sent = {**form_of(rosa.get(address)), "reason": WHY}
    refused = rosa.post(address, sent)
    assert refused.status_code == 422
    assert "Tick the box: this changes production." in text(refused)
    assert rosa.post(address, {**sent, "ticked": "yes"}).status_code == 302


def test_emergency_restores_the_known_good_version(rosa: Client) -> None:
    change("readiness-strategy", "immediate")
    page = rosa.get("/rollback/staging/emergency/")
    assert "Serves again what version 1 served, marked known-good." in text(page)
    rosa.post("/rollback/staging/emergency/", {**form_of(page), "reason": WHY})
    assert served("staging", "readiness-strategy") == "dependency_gate"


def test_emergency_without_a_known_good_version_explains_and_offers_the_last_ones(rosa: Client) -> None:
    change("readiness-strategy", "immediate")
    Version.objects.update(known_good_at=None)
    page = rosa.get("/rollback/?env=staging")
    assert "Nobody has marked a known-good version." in text(page)
    assert "/flags/staging/restore/1/" in page.content.decode()
    rosa.post("/flags/staging/known-good/1/", {"back": "rollback"})
    good = reading.known_good("staging")
    assert good is not None
    assert good.number == 1
    assert "Serves again what version 1 served" in text(rosa.get("/rollback/staging/emergency/"))


def test_an_unknown_plan_is_not_found(rosa: Client) -> None:
    assert rosa.get("/rollback/staging/phase-9/").status_code == 404


def test_a_viewer_sees_the_plans_and_who_may_run_them() -> None:
    signed_in("responder")
    page = signed_in("viewer").get("/rollback/?env=staging")
    assert "You can see rollbacks but not change them. Responders: Rosa." in text(page)
    assert "/rollback/staging/phase-1/" not in page.content.decode()
