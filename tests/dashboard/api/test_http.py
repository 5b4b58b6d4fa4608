"""The interfaces of watched servers and OFREP clients, over real HTTP."""

import json
import socket
from collections.abc import Callable

import httpx
import pytest

from tests.dashboard.api.conftest import Web
from tests.support.waiting import wait_until

BULK = "/ofrep/v1/evaluate/flags"
ONE = "/ofrep/v1/evaluate/flags/readiness-strategy"
REPORT = {"instance": "chat-1", "library_version": "0.1.0", "held_revision": 1}


def test_health_is_open_and_tells_the_state_of_redis(web: Web) -> None:
    assert httpx.get(f"{web.url}/healthz").json() == {"status": "alive"}
    ready = httpx.get(f"{web.url}/readyz")
    assert ready.status_code == 200
    assert ready.json()["database"] == "answers"
    assert ready.json()["redis"].startswith("does not answer")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/v1/definitions"),
        ("GET", "/api/v1/definitions/stream"),
        ("POST", "/api/v1/servers/report"),
        ("POST", BULK),
        ("POST", ONE),
        ("GET", "/ofrep/v1/events?token=1.0000"),
    ],
)
@pytest.mark.parametrize(
    "headers", [{}, {"Authorization": "Bearer rws_wrong"}, {"Authorization": "Basic abc"}, {"X-API-Key": "rws_"}]
)
def test_without_a_key_that_works_the_answer_is_401_json(
    web: Web, method: str, path: str, headers: dict[str, str]
) -> None:
    answer = httpx.request(method, web.url + path, headers=headers)
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    assert answer.json()["errorDetails"]


def test_a_credential_of_another_kind_is_403(web: Web) -> None:
    answer = httpx.get(f"{web.url}/api/v1/definitions", headers={"Authorization": "Bearer rwt_abc"})
    assert (answer.status_code, answer.json()["errorCode"]) == (403, "GENERAL")


def test_a_stream_credential_opens_streams_and_nothing_else(web: Web) -> None:
    address = web.post(BULK, {}).json()["eventStreams"][0]["endpoint"]["requestUri"]
    token = address.partition("token=")[2]
    assert httpx.get(f"{web.url}/api/v1/definitions?token={token}").status_code == 401
    assert httpx.get(f"{web.url}/api/v1/definitions", headers={"X-API-Key": token}).status_code == 403


def test_a_read_only_key_evaluates_and_does_nothing_else(web: Web) -> None:
    """Rules may name people: whoever finds the key in a browser must not read them."""
    made = web.daphne.manage("server_key", "create", "--environment", "staging", "--name", "page", "--scope", "read")
    with httpx.Client(base_url=web.url, headers={"X-API-Key": made}) as client:
        assert client.post(ONE, json={}).status_code == 200
        bulk = client.post(BULK, json={}).json()
        refused = [
            client.get("/api/v1/definitions"),
            client.get("/api/v1/definitions/stream?with=definitions"),
            client.post("/api/v1/servers/report", json=REPORT),
        ]
        assert [answer.status_code for answer in refused] == [403, 403, 403]
        token = bulk["eventStreams"][0]["endpoint"]["requestUri"].partition("?")[2]
        assert client.get(f"/api/v1/definitions/stream?with=definitions&{token}").status_code == 403
        with client.stream("GET", f"/ofrep/v1/events?{token}&with=definitions") as stream:
            assert "flags" not in next(line for line in stream.iter_lines() if line.startswith("data"))


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [("POST", "/api/v1/definitions", "GET, HEAD"), ("GET", BULK, "POST"), ("PUT", "/api/v1/servers/report", "POST")],
)
def test_other_methods_are_405_json(web: Web, method: str, path: str, allowed: str) -> None:
    answer = httpx.request(method, web.url + path, headers=web.headers("production"))
    assert (answer.status_code, answer.headers["Allow"]) == (405, allowed)
    assert allowed in answer.json()["errorDetails"]


def test_definitions_are_flagd_json_in_an_envelope(web: Web) -> None:
    answer = web.get("/api/v1/definitions")
    body = answer.json()
    assert (body["environment"], body["revision"]) == ("production", 1)
    assert body["flags"]["readiness-strategy"]["defaultVariant"] == "dependency_gate"
    assert set(body["flags"]["readiness-strategy"]) == {"state", "variants", "defaultVariant", "metadata"}
    assert answer.headers["ETag"].startswith('"1-')


@pytest.mark.parametrize("path", ["/api/v1/definitions", BULK])
def test_what_the_client_holds_is_answered_with_304_and_no_body(web: Web, path: str) -> None:
    ask = web.get if path != BULK else lambda path, **headers: web.post(path, {}, **headers)
    tag = ask(path).headers["ETag"]
    again = ask(path, **{"If-None-Match": tag})
    assert (again.status_code, again.content, again.headers["ETag"]) == (304, b"", tag)
    assert ask(path, **{"If-None-Match": '"other"'}).status_code == 200


def test_a_key_works_the_moment_it_is_made_and_stops_when_it_is_revoked(web: Web) -> None:
    key = web.daphne.server_key("production", "short-lived")
    headers = {"X-API-Key": key}
    assert httpx.get(f"{web.url}/api/v1/definitions", headers=headers).status_code == 200
    assert "revoked" in web.daphne.manage("server_key", "revoke", key[:12])
    wait_until(lambda: httpx.get(f"{web.url}/api/v1/definitions", headers=headers).status_code == 401)


def test_last_use_of_a_key_is_shown(web: Web) -> None:
    key = web.daphne.server_key("production", "seen once")

    def listed() -> str:
        return next(line for line in web.daphne.manage("server_key", "list").splitlines() if key[:12] in line)

    assert listed().endswith("never used")
    httpx.get(f"{web.url}/api/v1/definitions", headers={"X-API-Key": key})
    wait_until(lambda: "last used 20" in listed(), seconds=15)


def test_a_single_flag_is_evaluated(web: Web) -> None:
    answer = web.post(ONE, {"context": {"targetingKey": "somebody"}})
    body = answer.json()
    assert answer.status_code == 200
    assert (body["key"], body["value"], body["variant"], body["reason"]) == (
        "readiness-strategy",
        "dependency_gate",
        "dependency_gate",
        "STATIC",
    )


@pytest.mark.parametrize("key", ["absent", "a/b", "a%2Fb", "..%2F..", "%00", "%C3%A9", "a" * 500])
def test_an_unknown_flag_is_404_with_its_code(web: Web, key: str) -> None:
    answer = web.post(f"{BULK}/{key}", {})
    assert (answer.status_code, answer.json()["errorCode"]) == (404, "FLAG_NOT_FOUND")


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"{", "PARSE_ERROR"),
        (b"[" * 50_000, "PARSE_ERROR"),
        (b'{"context": {"n": NaN}}', "PARSE_ERROR"),
        (b'{"context": 1}', "INVALID_CONTEXT"),
    ],
)
@pytest.mark.parametrize("path", [BULK, ONE])
def test_a_body_that_is_no_request_is_400_with_its_code(web: Web, path: str, body: bytes, code: str) -> None:
    answer = httpx.post(web.url + path, content=body, headers=web.headers("production"))
    assert (answer.status_code, answer.json()["errorCode"]) == (400, code)
    assert answer.json().get("key") == ("readiness-strategy" if path == ONE else None)


def test_a_body_above_the_limit_is_413_also_in_chunks(web: Web) -> None:
    large = b" " * 300_000
    for content in (large, iter([large])):
        answer = httpx.post(web.url + ONE, content=content, headers=web.headers("production"))
        assert (answer.status_code, answer.json()["errorCode"]) == (413, "GENERAL")


def test_bulk_gives_every_flag_of_the_keys_environment(web: Web) -> None:
    body = web.post(BULK, {"context": {"targetingKey": "somebody"}}).json()
    assert len(body["flags"]) == 6
    assert body["metadata"] == {"environment": "production", "revision": 1, "version": 1}
    assert body["eventStreams"][0]["type"] == "sse"


def test_targeting_is_evaluated_for_each_context(own_web: Callable[..., Web]) -> None:
    web = own_web()
    rule = {"if": [{"==": [{"var": "team"}, "red"]}, "on", None]}
    definition = {
        "state": "ENABLED",
        "variants": {"on": True, "off": False},
        "defaultVariant": "off",
        "targeting": rule,
    }
    web.control(f"define('staging', {{'targeted': {definition!r}}}, expected_version=1, **who)")
    answers = {}
    for team in ("red", "blue"):
        wait_until(lambda: web.get("/api/v1/definitions", "staging").json()["revision"] == 2)
        answers[team] = web.post(BULK, {"context": {"team": team}}, "staging")
    values = {
        team: {one["key"]: one.get("value") for one in answer.json()["flags"]} for team, answer in answers.items()
    }
    assert (values["red"]["targeted"], values["blue"]["targeted"]) == (True, False)
    assert answers["red"].headers["ETag"] != answers["blue"].headers["ETag"]


def test_a_report_is_stored(web: Web) -> None:
    assert web.post("/api/v1/servers/report", {**REPORT, "instance": "stored"}).status_code == 204
    told = web.daphne.manage(
        "shell",
        "-v0",
        "-c",
        "from connections.models import WatchedServer as W; import json;"
        "print(json.dumps(list(W.objects.filter(instance='stored').values('environment_id', 'held_revision'))))",
    )
    assert json.loads(told) == [{"environment_id": "production", "held_revision": 1}]


def test_a_report_that_says_nothing_usable_names_the_field(web: Web) -> None:
    answer = web.post("/api/v1/servers/report", {**REPORT, "held_revision": "one"})
    assert (answer.status_code, answer.json()["errorCode"]) == (400, "PARSE_ERROR")
    assert "held_revision" in answer.json()["errorDetails"]


def test_a_key_above_its_rate_is_told_to_wait_whole_seconds(own_web: Callable[..., Web]) -> None:
    """A burst of two seconds' requests is allowed; the rate is per key, so the other one is not held up."""
    web = own_web(SERVER_KEY_REQUESTS_PER_SECOND="0.01")
    assert web.post(ONE, {}).status_code == 200
    refused = web.post(ONE, {})
    assert (refused.status_code, refused.json()["errorCode"]) == (429, "GENERAL")
    assert refused.headers["Retry-After"].isdigit()
    assert web.post(ONE, {}, "staging").status_code == 200


def test_headers_and_body_arrive_in_one_segment(web: Web) -> None:
    """Two would cost every evaluation the 40 ms of a delayed acknowledgement (Nagle)."""
    body = b'{"context":{"targetingKey":"somebody"}}'
    head = (
        f"POST {ONE} HTTP/1.1\r\nHost: 127.0.0.1\r\nX-API-Key: {web.key('production')}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode()
    with socket.create_connection(("127.0.0.1", web.daphne.port), timeout=5) as connection:
        for _ in range(20):
            connection.sendall(head + body)
            first = connection.recv(65536)
            assert first.startswith(b"HTTP/1.1 200")
            assert first.endswith(b"}")
