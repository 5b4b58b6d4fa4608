"""Changing flags and rolling back over REST: scopes, the version that was seen, doing it once, refusals."""

from typing import Any

import pytest
from django.test import Client

from connections.flags import control, reading
from connections.flags.team_plans import Draft, make_plan
from connections.models import AuditRecord, Environment, Proposal, Revision, Version
from dashboard.accounts import create_token

pytestmark = pytest.mark.django_db
ROOT = "/api/v1/environments/staging"
WHY = {"reason": "chat answers vanish"}
Api = Any
"""Sends as a program: api(path, body=None, **headers); without a body it reads."""


def sender(scope: str) -> Api:
    client, secret = Client(enforce_csrf_checks=True), create_token(scope, scope)

    def send(path: str, body: Any = None, **headers: str) -> Any:
        sent = {
            "Authorization": f"Bearer {secret}",
            **{name.replace("_", "-"): value for name, value in headers.items()},
        }
        if body is None:
            return client.get(ROOT + path, headers=sent)
        return client.post(ROOT + path, body, content_type="application/json", headers=sent)

    return send


@pytest.fixture
def api(db: None) -> Api:
    return sender("act")


def served(flag: str) -> str:
    return str(reading.flag_set("staging").definitions[flag]["defaultVariant"])


def test_what_an_environment_serves_and_served(api: Api) -> None:
    control.change("staging", {"client-ack": "off"}, author="mara", reason="trying it out", expected_version=1)
    control.kill("staging", "client-ack", author="mara", reason="it does harm")
    stage = api("").json()
    assert (stage["version"], stage["revision"], stage["known_good"], stage["served"]["client-ack"]) == (2, 3, 1, "on")
    assert stage["layers"] == [{"flag": "client-ack", "kind": "kill", "variant": "on"}]
    newest = api("/flags")
    assert newest["ETag"] == '"2"'
    assert newest.json()["flags"]["client-ack"]["defaultVariant"] == "off"
    assert api("/versions/1").json()["flags"]["client-ack"]["defaultVariant"] == "on"
    assert [one["version"] for one in api("/versions").json()["versions"]] == [2, 1]
    assert [one["cause"] for one in api("/revisions?before=3").json()["revisions"]] == ["change", "initial"]
    assert api("/versions/9").status_code == 404
    assert api("/versions?before=x").status_code == 400


def test_values_are_changed_against_the_version_that_was_seen(api: Api) -> None:
    body = {"values": {"client-ack": "off"}, **WHY}
    assert api("/flags", body).status_code == 428
    changed = api("/flags", body, If_Match='"1"')
    assert changed.json() == {
        "changed": True, "environment": "staging", "version": 2, "revision": 2,
        "summary": [{"flag": "client-ack", "before": "on", "after": "off"}],
    }  # fmt: skip
    assert AuditRecord.objects.get(action="flags.change").actor == "token act"
    stale = api("/flags", {"values": {"degraded-mode": "off"}, **WHY}, If_Match='"1"')
    assert stale.status_code == 412
    assert stale.json()["error"]["theirs"][0]["flag"] == "client-ack"
    assert api("/flags", {"values": {"degraded-mode": "off"}, **WHY, "expected_version": 1}).status_code == 409
    assert api("/flags", {**body, "expected_version": 2}).json()["changed"] is False
    assert api("/flags", body, If_Match="*").status_code == 428


@pytest.mark.parametrize(
    ("path", "body", "status", "field"),
    [
        ("/flags", {"values": {"client-ack": "perhaps"}, "expected_version": 1, **WHY}, 422, "client-ack"),
        ("/flags", {"values": {"no-flag": "on"}, "expected_version": 1, **WHY}, 404, "flag"),
        ("/flags", {"values": {"client-ack": "off"}, "expected_version": 1}, 422, "reason"),
        ("/flags", {"values": {"client-ack": 1}, "expected_version": 1, **WHY}, 400, "values"),
        ("/flags", {"values": {"client-ack": "off"}, "expected_version": True, **WHY}, 400, "expected_version"),
        ("/rollback/phase-1", {"reason": "a\x00b c d"}, 400, "reason"),
        ("/rollback/phase-1", {"reason": "a \ud800 c d"}, 400, "reason"),
        ("/rollback/phase-1", {"reson": "x"}, 400, "reson"),
        ("/rollback/phase-1", [], 400, "body"),
        ("/rollback/phase-1", "{", 400, "body"),
        ("/rollback/phase-1", "[" * 50_000, 400, "body"),
        ("/rollback/phase-1", " " * 70_000, 413, None),
        ("/rollback/phase-9", WHY, 404, "plan"),
        ("/versions/7/revert", WHY, 404, "version"),
        ("/versions/99999999999999999999/revert", WHY, 404, "version"),
        ("/versions/99999999999999999999/known-good", {}, 404, "version"),
        ("/flags/no-flag/kill", WHY, 404, "flag"),
        ("/flags/client-ack/kill", {"for_seconds": 0, **WHY}, 400, "for_seconds"),
        ("/flags/client-ack/lift", WHY, 422, None),
    ],
)
def test_what_is_wrong_is_named_and_nothing_changes(api: Api, path: str, body: Any, status: int, field: Any) -> None:
    answer = api(path, body)
    assert answer.status_code == status, answer.content
    assert field is None or answer.json()["error"]["field"] == field
    assert Revision.objects.filter(environment="staging").count() == 1


def test_an_unknown_environment_is_not_found(api: Api) -> None:
    assert api("/../nowhere/rollback/phase-1", WHY).status_code == 404
    assert Client().get("/api/v1/environments/nowhere").status_code == 401


def test_a_plan_is_listed_previewed_and_run(api: Api) -> None:
    make_plan(Draft("quiet-night", "Quiet night", "Nothing adapts.", {"adaptive-timing": "off"}), author="ada")
    plans = {one["plan"]: one for one in api("/rollback").json()["plans"]}
    assert list(plans) == ["phase-1", "phase-2", "emergency", "quiet-night"]
    assert (plans["quiet-night"]["own"], plans["emergency"]["preview"]["restores"]) == (True, 1)
    preview = api("/rollback/phase-1").json()["preview"]
    assert preview["changes"][0]["fields"] == {"defaultVariant": {"before": "on", "after": "off"}}
    assert api("/rollback/phase-1", WHY).json()["revision"] == 2
    assert api("/rollback/phase-1", WHY).json() == {"changed": False, "message": "Nothing would change: already so."}
    assert served("dependency-validation") == "off"
    assert api("/rollback/quiet-night", WHY).json()["changed"] is True


def test_a_plan_that_cannot_run_says_why(api: Api) -> None:
    Version.objects.update(known_good_at=None)
    shown = api("/rollback/emergency").json()
    assert (shown["preview"], "Nobody has marked" in shown["problem"]) == (None, True)
    assert api("/rollback/emergency", WHY).status_code == 409


def test_a_drill_over_rest_writes_nothing_but_itself(api: Api) -> None:
    done = api("/rollback/phase-1/drill", {}).json()["drill"]
    assert (done["by"], done["would_change"], done["problem"]) == ("token act", 1, "")
    assert api("/rollback/phase-1").json()["last_drill"] == done
    assert served("dependency-validation") == "on"


def test_the_same_key_acts_once(api: Api) -> None:
    first = api("/rollback/phase-1", WHY, Idempotency_Key="deploy-214")
    control.revert("staging", 1, author="mara", reason="that was wrong", expected_version=2)
    again = api("/rollback/phase-1", WHY, Idempotency_Key="deploy-214")
    assert again.json() == first.json()
    assert again["Idempotent-Replayed"] == "true"
    assert served("dependency-validation") == "on"
    assert api("/rollback/phase-1", {"reason": "for another reason"}, Idempotency_Key="deploy-214").status_code == 422
    assert api("/rollback/phase-2", WHY, Idempotency_Key="deploy-214").json()["changed"] is True
    assert api("/rollback/phase-1", WHY, Idempotency_Key="two words").status_code == 400
    assert api("/rollback/phase-1", {}, Idempotency_Key="refused").status_code == 422
    assert api("/rollback/phase-1", WHY, Idempotency_Key="refused").json()["changed"] is True


def test_going_back_and_marking(api: Api) -> None:
    api("/rollback/phase-1", WHY)
    assert api("/versions/2/known-good", {}).json()["changed"] is True
    assert api("/versions/2/known-good", {}).json()["changed"] is False
    assert api("/versions/1/revert", WHY, If_Match='"1"').status_code == 412
    assert api("/versions/1/revert", WHY).json()["version"] == 3
    assert api("/rollback/emergency", WHY).json()["summary"][0]["after"] == "off"


def test_a_flag_is_killed_and_lifted(api: Api) -> None:
    api("/flags", {"values": {"client-ack": "off"}, "expected_version": 1, **WHY})
    assert api("/flags/client-ack/kill", {"for_seconds": 600, **WHY}).json()["revision"] == 3
    assert api("").json()["served"]["client-ack"] == "on"
    assert api("/flags/client-ack/kill", WHY).status_code == 422
    assert api("/flags/client-ack/lift", WHY).json()["revision"] == 4
    assert api("").json()["served"]["client-ack"] == "off"


def test_scopes() -> None:
    read = sender("read")
    for path in ("", "/flags", "/versions", "/revisions", "/rollback", "/rollback/phase-1"):
        assert read(path).status_code == 200
    for path in (
        "/flags",
        "/rollback/phase-1",
        "/rollback/phase-1/drill",
        "/versions/1/revert",
        "/flags/client-ack/kill",
    ):
        assert read(path, WHY).status_code == 403
        assert Client().post(ROOT + path).status_code == 401
    assert Revision.objects.filter(environment="staging").count() == 1


def test_what_waits_for_a_second_person_is_proposed_once(api: Api) -> None:
    Environment.objects.filter(key="staging").update(four_eyes=True)
    make_plan(Draft("quiet-night", "Quiet night", "Nothing adapts.", {"adaptive-timing": "off"}), author="ada")
    body = {"values": {"client-ack": "off"}, "expected_version": 1, **WHY}
    waits = api("/flags", body, Idempotency_Key="deploy-215")
    assert (waits.status_code, waits.json()["changed"]) == (202, False)
    again = api("/flags", body, Idempotency_Key="deploy-215")
    assert again.json() == waits.json()
    assert api("/rollback/quiet-night", WHY).status_code == 202
    assert Proposal.objects.count() == 2
    assert Revision.objects.filter(environment="staging").count() == 1
    assert api("/rollback/phase-1", WHY).json()["changed"] is True
