"""Deploys over REST: one line from CI marks one, once however often it is sent; what is wrong is named."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from connections.models import AuditRecord, Deploy
from dashboard.accounts import create_token

pytestmark = pytest.mark.django_db
DEPLOY = {"environment": "staging", "service": "chat", "version": "5.12.0"}


def sender(scope: str) -> Any:
    client, secret = Client(enforce_csrf_checks=True), create_token(f"ci {scope}", scope)

    def send(body: Any = None, *, asked: str = "", **headers: str) -> Any:
        sent = {"Authorization": f"Bearer {secret}"} | {key.replace("_", "-"): value for key, value in headers.items()}
        if body is None:
            return client.get(f"/api/v1/deploys{asked}", headers=sent)
        return client.post("/api/v1/deploys", body, content_type="application/json", headers=sent)

    return send


@pytest.fixture
def ci(db: None) -> Any:
    return sender("deploy")


def test_one_line_marks_a_deploy_and_the_audit_trail_has_it(ci: Any) -> None:
    answer = ci({**DEPLOY, "link": "https://ci.example/runs/77", "who": "Jon Ek", "at": "2026-11-20T02:31:40+00:00"})
    assert answer.status_code == 200, answer.content
    told = answer.json()
    assert told["changed"] is True
    assert told["deploy"] == {
        "id": Deploy.objects.get().pk, **DEPLOY, "link": "https://ci.example/runs/77", "who": "Jon Ek",
        "at": "2026-11-20T02:31:40+00:00", "told_by": "token ci deploy",
    }  # fmt: skip
    record = AuditRecord.objects.get(action="deploy.marked")
    assert (record.actor, record.subject) == ("token ci deploy", "chat 5.12.0")
    assert record.environment_id == "staging"


def test_without_a_moment_it_is_now_and_without_a_name_it_is_the_tokens(ci: Any) -> None:
    ci(DEPLOY)
    deploy = Deploy.objects.get()
    assert timezone.now() - deploy.at < timedelta(seconds=10)
    assert deploy.who == deploy.told_by == "token ci deploy"


@pytest.mark.parametrize(
    ("second", "marks"),
    [
        (DEPLOY, 1),  # A job that is tried again.
        ({**DEPLOY, "version": "5.12.1"}, 2),
        ({**DEPLOY, "service": "search"}, 2),
        ({**DEPLOY, "environment": "production"}, 2),
        ({**DEPLOY, "at": "2026-11-20T02:31:40Z"}, 2),
    ],
)
def test_the_same_deploy_told_again_is_the_same(ci: Any, second: dict[str, str], marks: int) -> None:
    first = ci(DEPLOY).json()
    again = ci(second).json()
    assert again["changed"] is (marks == 2)
    assert (again["deploy"]["id"] == first["deploy"]["id"]) is (marks == 1)
    assert Deploy.objects.count() == AuditRecord.objects.filter(action="deploy.marked").count() == marks


def test_the_same_version_much_later_or_after_another_is_another_deploy(ci: Any) -> None:
    ci(DEPLOY)
    Deploy.objects.update(at=timezone.now() - timedelta(minutes=11))
    assert ci(DEPLOY).json()["changed"] is True
    assert ci({**DEPLOY, "version": "5.12.1"}).json()["changed"] is True
    assert ci(DEPLOY).json()["changed"] is True
    assert Deploy.objects.count() == 4


def test_the_same_moment_in_another_offset_is_the_same_deploy(ci: Any) -> None:
    ci({**DEPLOY, "at": "2026-11-20T02:31:40Z"})
    assert ci({**DEPLOY, "at": "2026-11-20T03:31:40+01:00"}).json()["changed"] is False


def test_an_idempotency_key_gets_its_first_answer(ci: Any) -> None:
    first = ci(DEPLOY, Idempotency_Key="run-77")
    again = ci(DEPLOY, Idempotency_Key="run-77")
    assert again.json() == first.json()
    assert again["Idempotent-Replayed"] == "true"
    assert ci({**DEPLOY, "version": "6"}, Idempotency_Key="run-77").status_code == 422


@pytest.mark.parametrize(
    ("wrong", "status", "field"),
    [
        ({"environment": "nowhere"}, 404, "environment"),
        ({"environment": "a\x00b"}, 400, "environment"),
        ({"service": " "}, 400, "service"),
        ({"service": "c" * 101}, 400, "service"),
        ({"version": "5\n12"}, 400, "version"),
        ({"version": 5}, 400, "version"),
        ({"who": "x" * 151}, 400, "who"),
        ({"link": "javascript:alert(1)"}, 400, "link"),
        ({"link": "https://ada:secret@ci.example/"}, 400, "link"),
        ({"link": "https://[broken/"}, 400, "link"),
        ({"link": "https://ci.example/" + "x" * 500}, 400, "link"),
        ({"at": "yesterday"}, 400, "at"),
        ({"at": "2026-11-20T02:31:40"}, 400, "at"),
        ({"at": "2031-11-20T02:31:40Z"}, 400, "at"),
        ({"at": "0001-01-01T00:00:00+14:00"}, 400, "at"),
        ({"servise": "chat"}, 400, "servise"),
    ],
)
def test_what_is_wrong_is_named_and_nothing_is_marked(ci: Any, wrong: dict[str, Any], status: int, field: str) -> None:
    answer = ci({**DEPLOY, **wrong})
    assert (answer.status_code, answer.json()["error"]["field"]) == (status, field), answer.content
    assert not Deploy.objects.exists()


@pytest.mark.parametrize("missing", DEPLOY)
def test_what_is_missing_is_named(ci: Any, missing: str) -> None:
    answer = ci({name: value for name, value in DEPLOY.items() if name != missing})
    assert (answer.status_code, answer.json()["error"]["field"]) == (400, missing)


def test_deploys_are_listed_newest_first_a_page_at_a_time(ci: Any) -> None:
    at = datetime(2026, 11, 20, tzinfo=UTC)
    Deploy.objects.bulk_create(
        Deploy(environment_id="staging", service="chat", version=str(n), who="ci", told_by="ci", at=at + offset)
        for n, offset in enumerate([timedelta(0), timedelta(0), *(timedelta(minutes=n) for n in range(58))])
    )
    Deploy.objects.create(environment_id="production", service="chat", version="p", who="ci", told_by="ci", at=at)
    first = ci(asked="?environment=staging&service=chat").json()
    rest = ci(asked=f"?environment=staging&service=chat&before={first['next']}").json()
    assert [len(first["deploys"]), len(rest["deploys"]), rest["next"]] == [50, 10, None]
    moments = [one["at"] for one in first["deploys"] + rest["deploys"]]
    assert moments == sorted(moments, reverse=True)
    assert len({one["id"] for one in first["deploys"] + rest["deploys"]}) == 60
    assert [one["version"] for one in ci(asked="?environment=production").json()["deploys"]] == ["p"]
    assert ci(asked="?before=none").status_code == 400


def test_a_token_of_ci_changes_nothing_else() -> None:
    client, secret = Client(), create_token("ci", "deploy")
    headers = {"Authorization": f"Bearer {secret}"}
    path, why = "/api/v1/environments/staging/rollback/phase-1", {"reason": "it has no business here"}
    assert client.get(path, headers=headers).status_code == 200
    assert client.post(path, why, content_type="application/json", headers=headers).status_code == 403
    assert sender("act")(DEPLOY).status_code == 200


def test_a_token_that_only_reads_marks_nothing() -> None:
    reader = sender("read")
    assert reader(DEPLOY).status_code == 403
    assert reader().json() == {"deploys": [], "next": None}
