"""The guard on a flag's page and on its own: what it tells, who may change it, and what a trip looks like."""

from typing import Any

import pytest
from django.test import Client

from connections.flags import control, guard_verdicts, reading
from connections.models import Environment, Guard, GuardTrip, Overlay
from dashboard.queries.guards import panel
from tests.probes.test_guarding import CANARY, FLAG, World
from tests.support.outcomes import success
from tests.support.pages import text
from tests.support.people import signed_in

pytestmark = pytest.mark.django_db
PAGE, GUARD = f"/flags/staging/{FLAG}/", f"/flags/staging/{FLAG}/guard/"
NBSP = "\N{NO-BREAK SPACE}"


@pytest.fixture
def rosa() -> Client:
    return signed_in("responder")


def words(client: Client, address: str = GUARD) -> str:
    return text(client.get(address)).replace(NBSP, " ")


def post(client: Client, address: str = GUARD, **fields: str) -> Any:
    return client.post(address, {"reason": "trying it out first", "objective": "99", **fields})


def test_a_flag_without_a_guard_says_what_that_means(rosa: Client) -> None:
    assert "Nobody guards this flag" in words(rosa, PAGE)
    assert "Guard it…" in words(rosa, PAGE)
    assert "Guard" not in text(rosa.get("/flags/staging/client-ack/"))
    assert rosa.get("/flags/staging/client-ack/guard/").status_code == 404


def test_a_responder_sets_what_it_may_do(rosa: Client) -> None:
    answer = post(rosa, verb="mode", mode="act", objective="99.5")
    assert answer["Location"] == f"{GUARD}?done=mode"
    guard = Guard.objects.get()
    assert (guard.mode, guard.objective) == ("act", 0.995)
    assert "as far as the policy lets it; it is set to act" in words(rosa), "the environment's policy says observe"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"reason": "no"}, "at least 3 words"),
        ({"objective": "much"}, "The objective is no number."),
        ({"objective": "100"}, "is no objective of a guard"),
        ({"mode": "sleep"}, "is no mode of a guard"),
    ],
)
def test_what_is_missing_is_said_beside_it_and_nothing_changes(
    rosa: Client, fields: dict[str, str], message: str
) -> None:
    answer = post(rosa, **{"verb": "mode", "mode": "act", **fields})
    assert answer.status_code == 422
    assert message in text(answer)
    assert not Guard.objects.exists()


def test_production_asks_for_a_tick(rosa: Client) -> None:
    address = GUARD.replace("staging", "production")
    assert "Tick the box" in text(post(rosa, address, verb="mode", mode="observe"))
    assert post(rosa, address, verb="mode", mode="observe", ticked="yes").status_code == 302


def test_a_viewer_sees_it_and_changes_nothing() -> None:
    vera = signed_in("viewer")
    assert "You can see flags but not change them." in words(vera)
    assert post(vera, verb="mode", mode="act").status_code == 403
    assert Client().get(GUARD).status_code == 302


def test_it_tells_how_far_it_is(rosa: Client) -> None:
    world = World()
    assert "No probe yet since the ramp to immediate began" in words(rosa)
    world.probes(10, success(), success())
    assert "Too few to say anything" in words(rosa)
    world.probes(30, success(), success())
    shown = panel("staging", FLAG, now=world.clock)
    assert shown.badge == "holds"
    assert "clean comparisons more for a pass." in shown.sentence.replace(NBSP, " ")


def test_after_a_trip_the_evidence_stands_there_and_a_person_re_arms_it(rosa: Client) -> None:
    world = World()
    world.break_canary()
    seen = words(rosa)
    assert "probes served immediate failed, 0 of " in seen
    assert "It went back to dependency_gate, revision" in seen
    assert "false_ready" in seen
    assert "Go back to" not in seen
    assert post(rosa, verb="rearm", reason="the new build is out").status_code == 302
    assert "Re-armed by Rosa: the new build is out" in words(rosa)
    assert Overlay.objects.filter(ended_at__isnull=True).exists()
    assert "already so" in text(post(rosa, verb="rearm", reason="the new build is out"))


def test_a_proposal_is_carried_out_by_a_person(rosa: Client) -> None:
    World("propose").break_canary()
    assert "Go back to dependency_gate in staging" in words(rosa)
    assert post(rosa, verb="trip").status_code == 302
    assert GuardTrip.objects.get().carried_out_by == "Rosa"
    assert reading.flag_set("staging").served[FLAG]["defaultVariant"] == "dependency_gate"
    assert "Rosa did so, revision" in words(rosa)


def test_a_ramp_waits_for_the_guard_to_pass(rosa: Client) -> None:
    """The ramp's clock asks the guard; a ramp that needs a pass does not climb on silence."""
    World()
    assert control.advance() == []
    assert guard_verdicts.verdict("staging", FLAG) == "hold"
    assert "waits for the guard to pass" in words(rosa, PAGE)
    assert Environment.objects.get(key="staging").revision == reading.flag_set("staging").revision
    assert CANARY in words(rosa, PAGE)
