"""A set of a megabyte, keys that select flags by tags, and contexts that mean harm, over real HTTP."""

import json
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from connections.gate import FlagSource
from tests.dashboard.api.conftest import Web
from tests.support.daphne import Daphne
from tests.support.waiting import wait_until

BULK = "/ofrep/v1/evaluate/flags"
DEFINITIONS = "/api/v1/definitions"
RULE = {
    "if": [
        {"==": [{"var": "a.b.c"}, 1]}, "on",
        {"matches": [{"var": "path"}, "(a+)+$"]}, "on",
        {"sem_ver": [{"var": "version"}, ">=", "2.0.0"]}, "on",
        {"in": [{"var": "team"}, ["red", "blue"]]}, "on",
        {"<": [{"var": "n"}, 5]}, "on",
        {"starts_with": [{"cat": [{"var": "x"}, {"var": "x"}]}, "abc"]}, "on",
        {"fractional": [["on", 50], ["off", 50]]},
    ]
}  # fmt: skip


def _flag(**more: Any) -> dict[str, Any]:
    return {"state": "ENABLED", "variants": {"on": True, "off": False}, "defaultVariant": "off", **more}


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    """A web server whose staging serves a megabyte: half of it for chat, half for the shop, and one flag with rules."""
    large: dict[str, Any] = {
        f"large-{number}": _flag(metadata={"description": "x" * 25_000}, tags=["chat" if number % 2 else "shop"])
        for number in range(40)
    }
    definitions = {**large, "ruled": _flag(targeting=RULE, tags=["chat"])}
    folder = tmp_path_factory.mktemp("many")
    (folder / "flags.json").write_text(json.dumps(definitions))
    with Daphne(folder, SERVER_KEY_REQUESTS_PER_SECOND="1000") as daphne:
        web = Web(daphne)
        body = f"__import__('json').load(open({str(folder / 'flags.json')!r}))"
        web.control(f"define('staging', {body}, expected_version=1, **who)")
        wait_until(lambda: web.revision("staging") == 2)
        yield web


def _tagged(web: Web, tag: str) -> dict[str, str]:
    made = web.daphne.manage("server_key", "create", "--environment", "staging", "--name", tag, "--tag", tag)
    return {"Authorization": f"Bearer {made}"}


def test_a_megabyte_is_served_once_and_then_known(many: Web) -> None:
    answer = many.get(DEFINITIONS, "staging")
    assert len(answer.content) > 1_000_000
    assert len(answer.json()["flags"]) == 47
    assert many.get(DEFINITIONS, "staging", **{"If-None-Match": answer.headers["ETag"]}).status_code == 304
    bulk = many.post(BULK, {}, "staging")
    assert len(bulk.json()["flags"]) == 47


def test_a_gate_holds_a_megabyte(many: Web) -> None:
    source = FlagSource(many.url, many.key("staging"), instance="large")
    source.start()
    try:
        wait_until(lambda: source.snapshot().revision == 2)
        assert len(source.snapshot().flags) == 47
    finally:
        source.stop()


def test_a_key_with_a_tag_gets_its_own_flags_and_everybodys(many: Web) -> None:
    shop = _tagged(many, "shop")
    answer = httpx.get(many.url + DEFINITIONS, headers=shop)
    flags = answer.json()["flags"]
    assert set(flags) == {f"large-{number}" for number in range(0, 40, 2)} | {
        "readiness-strategy", "readiness-parameters", "dependency-validation", "adaptive-timing", "client-ack",
        "degraded-mode",
    }  # fmt: skip
    assert not any("tags" in body for body in flags.values())
    assert answer.headers["ETag"] != many.get(DEFINITIONS, "staging").headers["ETag"]
    held = {**shop, "If-None-Match": answer.headers["ETag"]}
    assert httpx.get(many.url + DEFINITIONS, headers=held).status_code == 304
    bulk = httpx.post(many.url + BULK, json={}, headers=shop)
    assert {one["key"] for one in bulk.json()["flags"]} == set(flags)
    assert bulk.headers["ETag"] != many.post(BULK, {}, "staging").headers["ETag"]
    assert httpx.post(f"{many.url}{BULK}/ruled", json={}, headers=shop).status_code == 404
    assert httpx.post(f"{many.url}{BULK}/large-2", json={}, headers=shop).status_code == 200


def test_its_event_stream_names_its_own_etag(many: Web) -> None:
    """A gate compares the two: with another one it would fetch for ever."""
    chat = _tagged(many, "chat")
    tag = httpx.get(many.url + DEFINITIONS, headers=chat).headers["ETag"]
    with httpx.stream("GET", f"{many.url}{DEFINITIONS}/stream", headers=chat) as stream:
        event = next(line for line in stream.iter_lines() if line.startswith("data: "))
    assert json.loads(event.removeprefix("data: "))["etag"] == tag


def _nested(depth: int) -> str:
    return '{"context": {"a": ' + '{"b": ' * depth + "1" + "}" * depth + "}}"


HOSTILE: dict[str, tuple[str | bytes, int]] = {
    "deep": (_nested(100_000), 413),
    "deeper than Python": (_nested(20_000), 400),
    "deep enough": (_nested(200), 200),
    "a list without end": ("[" * 200_000, 400),
    "huge text": (json.dumps({"context": {"x": "a" * 200_000, "path": "a" * 200, "targetingKey": "b" * 40_000}}), 200),
    "text that hangs a backtracker": (json.dumps({"context": {"path": "a" * 499 + "!"}}), 200),
    "many attributes": (json.dumps({"context": {f"k{number}": number for number in range(10_000)}}), 200),
    "NaN": ('{"context": {"n": NaN}}', 400),
    "Infinity": ('{"context": {"n": Infinity}}', 400),
    "minus Infinity": ('{"context": {"n": -Infinity}}', 400),
    "a number beyond any float": ('{"context": {"n": 1e999, "targetingKey": "a"}}', 200),
    "a number of 9,000 digits": ('{"context": {"n": ' + "9" * 9_000 + "}}", 400),
    "a number of 4,000 digits": ('{"context": {"n": ' + "9" * 4_000 + "}}", 200),
    "half a surrogate pair": ('{"context": {"targetingKey": "\\ud800", "team": "\\udfff"}}', 200),
    "NUL": ('{"context": {"targetingKey": "\\u0000", "\\u0000": 1}}', 200),
    "our own property": ('{"context": {"$flagd": {"flagKey": {"deep": []}}, "a": [[[]]]}}', 200),
    "types that fit nothing": ('{"context": {"version": [], "path": {}, "team": null, "n": "x", "x": true}}', 200),
    "a list": ('{"context": []}', 400),
    "text": ('{"context": "a"}', 400),
    "a number": ('{"context": 1}', 400),
    "no object at all": ("[]", 400),
    "a key that is no text": ('{"context": {"targetingKey": {"a": 1}}}', 400),
    "two contexts": ('{"context": {"team": "red"}, "context": {"team": "blue"}}', 200),
    "not UTF-8": (b'{"context": {"a": "\xff"}}', 400),
    "UTF-16": ('{"context": {}}'.encode("utf-16"), 200),
}  # fmt: skip


@pytest.mark.parametrize("path", [BULK, f"{BULK}/ruled"])
@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_context_is_answered_soon_and_in_json(many: Web, path: str, name: str) -> None:
    body, status = HOSTILE[name]
    began = time.monotonic()
    answer = httpx.post(many.url + path, content=body, headers=many.headers("staging"))
    assert time.monotonic() - began < 5
    told = answer.json()
    assert answer.status_code == status, told
    if status == 200:
        ruled = next(one for one in told.get("flags", [told]) if one["key"] == "ruled")
        assert ruled["variant"] in ("on", "off")
    else:
        assert told["errorCode"] in ("PARSE_ERROR", "INVALID_CONTEXT", "GENERAL")
        assert told["errorDetails"]
