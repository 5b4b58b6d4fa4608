"""Ramps and promotion over REST."""

from typing import Any

import pytest

from connections.flags import control, reading
from connections.models import Environment, Ramp
from tests.dashboard.api.test_acting import WHY, Api, sender, served

pytestmark = pytest.mark.django_db
RAMP = "/flags/readiness-strategy/ramp"
STEPS = [{"percentage": 10, "hold_seconds": 600}, {"percentage": 100}]


@pytest.fixture
def api() -> Api:
    return sender("act")


def start(api: Api, **more: Any) -> Any:
    return api(RAMP, {"variant": "ready_ack", "steps": STEPS, **WHY, **more})


def test_a_ramp_is_led(api: Api) -> None:
    assert api(RAMP).json() == {"ramp": None}
    assert start(api).json()["summary"][0]["percentage"] == 10
    assert api(f"{RAMP}/pause", WHY).json()["ramp"]["state"] == "paused"
    told = api(RAMP).json()["ramp"]
    assert (told["state"], told["step"], told["variant"], told["ended_at"]) == ("paused", 1, "ready_ack", None)
    assert api(f"{RAMP}/resume", WHY).json()["ramp"]["state"] == "running"
    assert api(f"{RAMP}/abort", WHY).json()["revision"] == 3
    assert api(f"{RAMP}/reopen", WHY).json()["revision"] == 4
    assert api(f"{RAMP}/finish", WHY).json()["version"] == 2
    assert served("readiness-strategy") == "ready_ack"


@pytest.mark.parametrize(
    ("path", "body", "status", "field"),
    [
        ("/flags/none/ramp", None, 404, "flag"),
        (RAMP, {"variant": "none", "steps": STEPS, **WHY}, 422, "readiness-strategy"),
        (RAMP, {"variant": "ready_ack", "steps": [{"percentage": "ten"}], **WHY}, 422, "steps"),
        (RAMP, {"variant": "ready_ack", "steps": "ten", **WHY}, 400, "steps"),
        (RAMP, {"variant": "ready_ack", "steps": STEPS}, 422, "reason"),
        (f"{RAMP}/pause", WHY, 422, "flag"),
        (f"{RAMP}/explode", WHY, 404, "verb"),
        ("/promotion", {"flags": [1], **WHY}, 400, "flags"),
        ("/promotion", WHY, 428, "If-Match"),
    ],
)
def test_what_cannot_be_done_names_its_field(api: Api, path: str, body: Any, status: int, field: str) -> None:
    answer = api(path, body)
    assert (answer.status_code, answer.json()["error"]["field"]) == (status, field)
    assert not Ramp.objects.exists()


def test_a_ramp_that_needs_a_second_person_is_proposed(api: Api) -> None:
    Environment.objects.filter(key="staging").update(four_eyes=True)
    assert start(api).status_code == 202
    assert not Ramp.objects.exists()
    assert sender("read")(RAMP, {"variant": "ready_ack", "steps": STEPS, **WHY}).status_code == 403


def test_a_promotion_is_looked_at_and_made(api: Api) -> None:
    control.change("development", {"client-ack": "off"}, author="mara", reason="trying it out", expected_version=1)
    shown = api("/promotion").json()
    assert (shown["source"], shown["source_version"], shown["version"]) == ("development", 2, 1)
    assert "client-ack" in [one["flag"] for one in shown["changes"]]
    body = {"flags": ["client-ack"], "source_version": 2, **WHY}
    assert api("/promotion", body, If_Match='"7"').status_code == 404
    assert api("/promotion", body, If_Match='"1"').json()["version"] == 2
    assert served("client-ack") == "off"
    assert (
        reading.flag_set("staging").definitions["readiness-parameters"]
        != (reading.flag_set("development").definitions["readiness-parameters"])
    )
