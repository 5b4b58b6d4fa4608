"""Every answer of the OFREP interface against OFREP 0.3.0, relaxed as tests/support/ofrep_schema.py says."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from django.test import override_settings
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import validate

from tests.dashboard.api.test_client_traps import FLAGS
from tests.support import ofrep_schema as schema
from tests.support.ofrep_world import BULK, STREAM, World, ofrep_world
from tests.support.waiting import wait_until


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with ofrep_world(FLAGS) as made:
        yield made


@pytest.fixture(scope="module")
def client(world: World) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=world.url, headers={"Authorization": f"Bearer {world.key()}"}) as made:
        yield made


def test_a_bulk_answer_names_every_flag_an_etag_and_its_stream(client: httpx.Client) -> None:
    answer = client.post(BULK, json={"context": {"targetingKey": "somebody"}})
    body = answer.json()
    validate(body, schema.BULK)
    assert [one["key"] for one in body["flags"]] == sorted(FLAGS)
    for one in body["flags"]:
        validate(one, schema.EVERY_CLIENT)
    assert answer.headers["Content-Type"] == "application/json"
    again = client.post(BULK, json={}, headers={"If-None-Match": answer.headers["ETag"]})
    assert (again.status_code, again.content) == (200, again.content)  # another subject: another answer
    same = client.post(
        BULK, json={"context": {"targetingKey": "somebody"}}, headers={"If-None-Match": answer.headers["ETag"]}
    )
    assert (same.status_code, same.content, same.headers["ETag"]) == (304, b"", answer.headers["ETag"])


def test_an_answer_is_made_once_for_a_key_and_a_subject(
    world: World, client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ask(team: str) -> bytes:
        return client.post(BULK, json={"context": {"targetingKey": "one of many", "team": team}}).content

    answers = {team: ask(team) for team in ("red", "blue")}
    assert answers["red"] != answers["blue"]
    monkeypatch.setattr("connections.flags.ofrep.bulk", None)
    assert {team: ask(team) for team in ("red", "blue")} == answers
    monkeypatch.undo()
    world.serve(word=FLAGS["text"])
    wait_until(lambda: client.post(BULK, json={}).json()["metadata"]["revision"] == world.revision)


def test_what_an_event_told_may_stand_in_the_query_of_the_next_request(client: httpx.Client) -> None:
    """Clients that were told by an event send `flagConfigEtag` and `flagConfigLastModified` back."""
    query = {"flagConfigEtag": '"1-abc"', "flagConfigLastModified": "1700000000"}
    assert client.post(BULK, params=query, json={}).status_code == 200


@pytest.mark.parametrize("key", sorted(FLAGS))
def test_a_single_answer_is_a_success_or_a_failure(client: httpx.Client, key: str) -> None:
    answer = client.post(f"{BULK}/{key}", json={"context": {"targetingKey": "somebody"}})
    validate(answer.json(), {200: schema.SUCCESS, 400: schema.FAILURE}[answer.status_code])
    validate(answer.json(), schema.EVERY_CLIENT)


def test_an_unknown_flag_is_404(client: httpx.Client) -> None:
    answer = client.post(f"{BULK}/absent", json={})
    assert answer.status_code == 404
    validate(answer.json(), schema.NOT_FOUND)
    validate(answer.json(), schema.EVERY_CLIENT)


@pytest.mark.parametrize(
    "body", ["{", "[]", '{"context": 1}', '{"context": {"targetingKey": 1}}', '{"n": NaN}', "\x00"]
)
def test_a_body_that_is_no_request_is_400(client: httpx.Client, body: str) -> None:
    bulk, single = (client.post(path, content=body) for path in (BULK, f"{BULK}/yes"))
    assert (bulk.status_code, single.status_code) == (400, 400)
    validate(bulk.json(), schema.BULK_FAILURE)
    validate(single.json(), schema.FAILURE)
    validate(single.json(), schema.EVERY_CLIENT)


@pytest.mark.parametrize(("credential", "status"), [("", 401), ("rws_wrong", 401), ("rwt_token", 403)])
def test_who_has_no_key_of_this_kind_is_refused(world: World, credential: str, status: int) -> None:
    headers = {"X-API-Key": credential} if credential else {}
    answer = httpx.post(world.url + BULK, json={}, headers=headers)
    assert answer.status_code == status
    validate(answer.json(), schema.REFUSAL)
    assert answer.json()["errorDetails"]
    assert ("WWW-Authenticate" in answer.headers) == (status == 401)


def test_each_key_has_a_rate_of_its_own_and_is_told_whole_seconds(world: World) -> None:
    one, other = world.key(), world.key()
    with override_settings(SERVER_KEY_REQUESTS_PER_SECOND=0.3):
        answers = [httpx.post(world.url + BULK, json={}, headers={"X-API-Key": key}) for key in (one, one, other)]
    assert [answer.status_code for answer in answers] == [200, 429, 200]
    validate(answers[1].json(), schema.REFUSAL)
    assert int(answers[1].headers["Retry-After"]) in range(1, 5)


SHOP = "https://shop.example"


@pytest.mark.parametrize(("origins", "let_in"), [((), False), (("https://other.example",), False), ((SHOP,), True)])
def test_a_page_of_another_origin_is_let_in_where_the_setting_says_so(
    client: httpx.Client, origins: tuple[str, ...], let_in: bool
) -> None:
    with override_settings(OFREP_ORIGINS=origins):
        asked = client.options(BULK, headers={"Origin": SHOP, "Access-Control-Request-Method": "POST"})
        answer = client.post(BULK, json={}, headers={"Origin": SHOP})
        elsewhere = client.get("/api/v1/definitions", headers={"Origin": SHOP})
    assert (asked.headers.get("Access-Control-Allow-Origin") == SHOP) is let_in
    assert ("Authorization" in asked.headers.get("Access-Control-Allow-Headers", "")) is let_in
    assert (answer.headers.get("Access-Control-Allow-Origin") == SHOP) is let_in
    assert ("ETag" in answer.headers.get("Access-Control-Expose-Headers", "")) is let_in
    assert "Access-Control-Allow-Origin" not in elsewhere.headers
    assert "Access-Control-Allow-Credentials" not in answer.headers


def test_a_failure_of_ours_is_500_with_details(client: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("connections.flags.ofrep.bulk", None)
    answer = client.post(BULK, json={"context": {"targetingKey": "a new subject"}})
    assert answer.status_code == 500
    validate(answer.json(), schema.REFUSAL)


def test_the_stream_tells_events_repeats_them_and_replays_only_what_was_missed(
    world: World, client: httpx.Client
) -> None:
    told = client.post(BULK, json={}).json()["eventStreams"][0]["endpoint"]["requestUri"]
    assert told.startswith(STREAM)
    with httpx.stream("GET", world.url + told, headers={"Last-Event-ID": str(world.revision)}) as stream:
        fields = [dict([line.split(": ", 1)]) for line in _lines(stream, 5) if line]
    assert [*fields[0]] == ["retry"]  # nothing is replayed to who holds it; then it is repeated
    assert fields[1] == {"id": str(world.revision)}
    assert fields[2] == {"event": "message"}
    validate(json.loads(fields[3]["data"]), schema.EVENT)


def _lines(stream: httpx.Response, count: int) -> list[str]:
    lines = stream.iter_lines()
    return [next(lines) for _ in range(count)]


JSON = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(context=st.dictionaries(st.text(max_size=12), JSON, max_size=4))
def test_any_context_is_answered_within_the_contract(client: httpx.Client, context: dict[str, Any]) -> None:
    answer = client.post(BULK, json={"context": context})
    validate(answer.json(), {200: schema.BULK, 400: schema.BULK_FAILURE}[answer.status_code])
