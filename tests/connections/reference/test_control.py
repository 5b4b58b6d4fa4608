"""The control call over real HTTP."""

import json
from typing import Any

import httpx
import pytest

from connections.reference.__main__ import main
from connections.reference.app import create_app
from connections.reference.control import LOOPBACK, MAX_BODY
from tests.connections.reference.practising import TOKEN, practised
from tests.connections.reference.test_reference import process

PATH = "/control/faults"


def test_what_was_started_is_told_with_its_remaining_seconds_until_it_is_ended() -> None:
    with practised() as service:
        started = service.start("slow_setup", lasts_s=60, seconds=4)
        assert started.status_code == 201
        told = service.http.get(PATH).json()
        remaining = told["faults"][0].pop("remaining_s")
        assert told == {
            "instance": "production-chat-1",
            "environment": "production",
            "faults": [
                {
                    "name": "slow_setup",
                    "parameters": {"seconds": 4.0, "percent": 100.0},
                    "lasts_s": 60.0,
                    "by": "ada",
                }
            ],
        }
        assert 0 < remaining <= 60
        assert service.http.get("/healthz").json()["faults"] == ["slow_setup"]
        assert service.end("slow_setup").json() == {"ended": ["slow_setup"]}
        assert service.http.get(PATH).json()["faults"] == []


def test_all_are_ended_at_once() -> None:
    with practised() as service:
        service.start("silence")
        service.start("slow_setup")
        assert service.end().json() == {"ended": ["silence", "slow_setup"]}
        assert service.end().json() == {"ended": []}


@pytest.mark.parametrize("authorization", [None, "", "Bearer", "Bearer wrong", f"Basic {TOKEN}", TOKEN, "Bearer \xe9"])
@pytest.mark.parametrize(("method", "path"), [("GET", PATH), ("POST", PATH), ("DELETE", PATH), ("DELETE", PATH + "/x")])
def test_without_the_token_nothing_is_told_or_done(authorization: str | None, method: str, path: str) -> None:
    with practised() as service:
        headers = [] if authorization is None else [(b"Authorization", authorization.encode("latin-1"))]
        with httpx.Client(base_url=service.http.base_url) as stranger:
            answer = stranger.request(method, path, headers=headers)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert answer.json()["error"]["field"] == "Authorization"
    assert TOKEN not in answer.text


def test_a_service_without_a_token_takes_no_faults() -> None:
    with practised(token="") as service:
        answer = service.start("silence")
    assert answer.status_code == 404
    assert "READYWIRE_CONTROL_TOKEN" in answer.json()["error"]["cure"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b"", "body"),
        (b"{", "body"),
        (b"\xff\xfe", "body"),
        (b"[" * 3000, "body"),
        (b"[]", "body"),
        (b'"silence"', "body"),
        (b'{"name": "silence"' + b" " * MAX_BODY + b"}", "body"),
        (b"{}", "name"),
        (b'{"name": 5}', "name"),
        (b'{"name": "silence", "forever": true}', "forever"),
        (b'{"name": "silence", "lasts_s": 1e999}', "lasts_s"),
        (b'{"name": "silence", "lasts_s": null}', "lasts_s"),
        (b'{"name": "silence", "parameters": []}', "parameters"),
        (b'{"name": "silence", "parameters": {"percent": "all"}}', "parameters.percent"),
        (b'{"name": "silence", "by": "a\\nb"}', "by"),
        (json.dumps({"name": "silence", "by": "a" * 81}).encode(), "by"),
    ],
)
def test_a_malformed_start_names_the_field_and_the_cure(body: bytes, field: str) -> None:
    with practised() as service:
        answer = service.http.post(PATH, content=body)
        expected = 404 if field == "name" else 400
        assert answer.status_code == expected, answer.text
        error = answer.json()["error"]
        assert error["field"] == field
        assert error["message"]
        assert error["cure"]
        assert service.http.get(PATH).json()["faults"] == []


def test_starting_what_is_on_answers_409_and_changes_nothing() -> None:
    with practised() as service:
        service.start("slow_setup", seconds=1)
        again = service.start("slow_setup", seconds=2)
        assert (again.status_code, again.json()["error"]["field"]) == (409, "name")
        assert service.http.get(PATH).json()["faults"][0]["parameters"]["seconds"] == 1.0


@pytest.mark.parametrize("name", ["nonsense", "slow_setup"])
def test_ending_what_is_not_on_answers_404(name: str) -> None:
    with practised() as service:
        assert service.end(name).status_code == 404


@pytest.mark.parametrize(
    ("host", "address", "status"),
    [
        (LOOPBACK, "127.0.0.1", 200),
        (LOOPBACK, "127.8.0.1", 200),
        (LOOPBACK, "::1", 200),
        (LOOPBACK, "10.0.0.5", 403),
        (LOOPBACK, None, 403),
        ("10.0.0.5", "10.0.0.5", 200),
        ("10.0.0.5", "127.0.0.1", 403),
        ("0.0.0.0", "10.0.0.5", 200),  # noqa: S104 - the address under test, nothing listens on it
        ("::", "10.0.0.5", 200),
    ],
)
async def test_calls_are_taken_on_loopback_unless_a_host_was_given(host: str, address: str | None, status: int) -> None:
    """By the service's own end of the connection: the caller's may be a proxy's word."""
    gate = create_app("production", instance="x", control_token=TOKEN, control_host=host)
    server = None if address is None else (address, 80)
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [(b"authorization", f"Bearer {TOKEN}".encode())]
    scope = {"type": "http", "method": "GET", "path": PATH, "query_string": b"", "headers": headers, "server": server}
    await gate(scope, receive, send)
    assert sent[0]["status"] == status


def test_a_control_host_that_is_no_address_is_one_clear_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--port", "0", "--control-host", "everywhere"])
    assert "'everywhere' is no IP address; give one, or loopback" in capsys.readouterr().err


def test_the_process_takes_its_token_from_the_environment_and_greets_with_no_secret() -> None:
    with process("--environment", "staging", READYWIRE_CONTROL_TOKEN=TOKEN) as (child, url):
        http = url.replace("ws://", "http://").removesuffix("/ws/chat")
        headers = {"Authorization": f"Bearer {TOKEN}"}
        answer = httpx.post(f"{http}{PATH}", json={"name": "refuse_upgrades"}, headers=headers)
        assert answer.status_code == 201
        refused = httpx.get(
            f"{http}/ws/chat",
            headers={
                "Connection": "Upgrade",
                "Upgrade": "websocket",
                "Sec-WebSocket-Version": "13",
                "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
            },
        )
        assert refused.status_code == 503
        child.terminate()
        child.wait(10)
        assert child.stderr is not None
        assert TOKEN not in child.stderr.read()
