"""Every trap that the official OpenFeature clients set for a server: each was found by running them.

Their versions: package.json of tests/support/node, and the lock file. One process for the JavaScript clients.
"""

from collections.abc import Callable, Iterator
from functools import partial
from itertools import pairwise
from typing import Any

import pytest
from django.test import override_settings
from openfeature import api
from openfeature.client import OpenFeatureClient
from openfeature.contrib.provider.ofrep import OFREPProvider
from openfeature.evaluation_context import EvaluationContext
from openfeature.exception import ErrorCode
from openfeature.flag_evaluation import Reason

from tests.support.node_clients import Clients
from tests.support.ofrep_world import BULK, STREAM, World, ofrep_world
from tests.support.waiting import wait_until


def flag(variants: dict[str, Any], serve: str | None, **more: Any) -> dict[str, Any]:
    return {"state": "ENABLED", "variants": variants, "defaultVariant": serve, **more}


def text(value: str) -> dict[str, Any]:
    return flag({value: value}, value)


FLAGS = {
    "text": text("first"),
    "word": text("said"),
    "yes": flag({"on": True, "off": False}, "on"),
    "count": flag({"few": 3}, "few"),
    "ratio": flag({"whole": 1, "half": 0.5}, "whole"),
    "thing": flag({"one": {"a": [1, {"b": None}]}}, "one"),
    "switched.off": flag({"on": True}, "on", state="DISABLED"),
    "undecided": flag({"on": True}, None),
    "broken": flag({"on": True}, "on", targeting={"nonsense": []}),
    "lost": flag({"on": True}, "on", targeting={"if": [True, "nowhere"]}),
    "split": flag({"on": True, "off": False}, "off", targeting={"fractional": [["on", 100], ["off", 0]]}),
    "red": flag({"on": True, "off": False}, "off", targeting={"if": [{"==": [{"var": "team"}, "red"]}, "on"]}),
    "noted": flag({"on": True}, "on", metadata={"owner": "alice", "n": 1, "nested": {"no": "client takes it"}}),
}
SOMEBODY = EvaluationContext("somebody")


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with ofrep_world(FLAGS) as made:
        yield made


@pytest.fixture(scope="module")
def javascript() -> Iterator[Clients]:
    clients = Clients()
    yield clients
    clients.close()


@pytest.fixture(scope="module")
def python(world: World) -> Iterator[OpenFeatureClient]:
    key = world.key()
    api.set_provider(OFREPProvider(world.url, headers_factory=lambda: {"Authorization": f"Bearer {key}"}), "traps")
    yield api.get_client("traps")
    api.clear_providers()


@pytest.fixture(scope="module")
def read(world: World, javascript: Clients) -> Callable[..., dict[str, Any]]:
    """An evaluation by the JavaScript server client."""
    javascript.ask("server", name="server", baseUrl=world.url, key=world.key())

    def details(kind: str, key: str, **context: Any) -> dict[str, Any]:
        answer: dict[str, Any] = javascript.ask("read", name="server", type=kind, flag=key, context=context)
        return answer

    return details


class Following:
    """A web client that follows its event stream."""

    def __init__(self, world: World, javascript: Clients, name: str) -> None:
        self._javascript, self.name = javascript, name
        self.key = world.key()
        told = javascript.ask("web", name=name, baseUrl=world.url, key=self.key)
        assert told["failed"] == ""
        wait_until(lambda: bool(world.requests(STREAM, self.key)), what="the stream is open")

    def value(self) -> str:
        value: str = self._javascript.ask("read", name=self.name, type="string", flag="text")["value"]
        return value

    def comes_to(self, value: str) -> None:
        wait_until(lambda: self.value() == value, what=f"the web client holds {value}, not {self.value()}")


@pytest.fixture
def web(world: World, javascript: Clients, request: pytest.FixtureRequest) -> Following:
    return Following(world, javascript, request.node.name)


# --- Python -----------------------------------------------------------------------------------------------------------


def test_python_takes_every_type(python: OpenFeatureClient) -> None:
    assert python.get_boolean_details("yes", False, SOMEBODY).variant == "on"
    assert python.get_integer_value("count", -1, SOMEBODY) == 3
    assert python.get_object_value("thing", {}, SOMEBODY) == {"a": [1, {"b": None}]}


def test_python_needs_a_float_with_its_point(python: OpenFeatureClient) -> None:
    """It asks isinstance(value, float): a 1 for a 1.0 would be the caller's default, with an error."""
    details = python.get_float_details("ratio", -1.0, SOMEBODY)
    assert (details.value, details.error_code) == (1.0, None)


@pytest.mark.parametrize(
    ("key", "attributes", "value", "reason"),
    [
        ("yes", {}, True, Reason.STATIC),
        ("split", {}, True, Reason.SPLIT),
        ("red", {"team": "red"}, True, Reason.TARGETING_MATCH),
        ("red", {"team": "blue"}, False, Reason.DEFAULT),
        ("switched.off", {}, None, Reason.DISABLED),
        ("undecided", {}, None, Reason.DEFAULT),
    ],
)
def test_python_needs_reason_and_variant_by_names_it_knows(
    python: OpenFeatureClient, key: str, attributes: dict[str, str], value: bool | None, reason: Reason
) -> None:
    """An absent `variant` raises KeyError, and so does a reason of our own: the default. None: no value is served."""
    for default in (True, False):
        details = python.get_boolean_details(key, default, EvaluationContext("somebody", dict(attributes)))
        assert (details.value, details.reason, details.error_code) == (
            default if value is None else value,
            reason,
            None,
        )


@pytest.mark.parametrize(
    ("key", "code"),
    [("broken", ErrorCode.PARSE_ERROR), ("lost", ErrorCode.GENERAL), ("absent", ErrorCode.FLAG_NOT_FOUND)],
)
def test_python_needs_the_details_of_a_failure(python: OpenFeatureClient, key: str, code: ErrorCode) -> None:
    """Without `errorDetails` it raises KeyError instead of the error that it was told."""
    details = python.get_boolean_details(key, True, SOMEBODY)
    assert (details.value, details.error_code) == (True, code)
    assert details.error_message
    assert "KeyError" not in details.error_message


@pytest.mark.parametrize("context", [None, EvaluationContext(), EvaluationContext(attributes={"team": "red"})])
def test_python_sends_no_targeting_key_where_it_has_none(
    python: OpenFeatureClient, context: EvaluationContext | None
) -> None:
    assert python.get_boolean_details("red", False, context).error_code is None


@pytest.mark.parametrize("key", ["a/b", "..", "a?b", "a#b", "%2e%2e", "é"])
def test_python_does_not_escape_keys_so_none_that_needs_it_exists(python: OpenFeatureClient, key: str) -> None:
    details = python.get_string_details(key, "fallback", SOMEBODY)
    assert details.value == "fallback"
    assert details.error_code is not None


def test_python_is_told_to_wait_in_whole_seconds(world: World) -> None:
    """A date, as in the specification's own example, raises ValueError in it."""
    key = world.key()
    api.set_provider(OFREPProvider(world.url, headers_factory=lambda: {"X-API-Key": key}), "limited")
    client = api.get_client("limited")
    with limited():
        assert client.get_boolean_details("yes", False, SOMEBODY).value is True
        refused = client.get_boolean_details("yes", False, SOMEBODY)
        paused = client.get_boolean_details("yes", False, SOMEBODY)
    assert "Rate limited, retry after: 1" in (refused.error_message or "")
    assert "paused" in (paused.error_message or "")


def test_python_with_a_wrong_key_or_another_kind_of_credential_gets_its_default(world: World) -> None:
    for secret, said in [("rws_wrong", "unauthorized"), ("rwt_token", "forbidden")]:
        api.set_provider(OFREPProvider(world.url, headers_factory=partial(dict, {"X-API-Key": secret})), "refused")
        details = api.get_client("refused").get_boolean_details("yes", False, SOMEBODY)
        assert (details.value, details.error_message) == (False, said)


# --- JavaScript, on a server ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "key", "value"),
    [("string", "word", "said"), ("boolean", "yes", True), ("number", "ratio", 1), ("number", "count", 3)],
)
def test_the_server_client_takes_every_type(
    read: Callable[..., dict[str, Any]], kind: str, key: str, value: Any
) -> None:
    details = read(kind, key, targetingKey="somebody")
    assert (details["value"], details["reason"], details.get("errorCode")) == (value, "STATIC", None)


def test_the_server_client_takes_flat_metadata_and_any_object(read: Callable[..., dict[str, Any]]) -> None:
    assert read("boolean", "noted")["flagMetadata"] == {"owner": "alice", "n": 1}
    assert read("object", "thing")["value"] == {"a": [1, {"b": None}]}


@pytest.mark.parametrize("key", ["switched.off", "undecided"])
def test_the_server_client_of_old_takes_an_answer_without_a_value_for_an_error(
    read: Callable[..., dict[str, Any]], key: str
) -> None:
    """Its core wants a `value`. The caller's default holds either way, which is what counts."""
    details = read("boolean", key)
    assert (details["value"], details["errorCode"]) == (False, "GENERAL")


@pytest.mark.parametrize(
    ("key", "code"),
    [("broken", "PARSE_ERROR"), ("lost", "GENERAL"), ("absent", "FLAG_NOT_FOUND"), ("a/b", "FLAG_NOT_FOUND"),
     ("a b", "FLAG_NOT_FOUND"), ("é", "FLAG_NOT_FOUND")],
)  # fmt: skip
def test_the_server_client_is_told_what_failed(read: Callable[..., dict[str, Any]], key: str, code: str) -> None:
    details = read("boolean", key)
    assert (details["value"], details["errorCode"]) == (False, code)
    assert details["errorMessage"]


def test_the_server_client_pauses_for_a_second_not_for_half_an_hour(world: World, javascript: Clients) -> None:
    """It reads a date's year as seconds: 2026 of them."""
    key = world.key()
    javascript.ask("server", name="limited", baseUrl=world.url, key=key)
    ask = {"name": "limited", "type": "boolean", "flag": "yes"}
    with limited():
        assert javascript.ask("read", **ask)["value"] is True
        assert javascript.ask("read", **ask)["errorCode"] == "GENERAL"
    wait_until(lambda: javascript.ask("read", **ask)["value"] is True, seconds=5)


# --- JavaScript, in a browser -----------------------------------------------------------------------------------------


def test_the_web_client_evaluates_once_then_only_listens(world: World, web: Following) -> None:
    assert web.value() == world.flags["text"]["defaultVariant"]
    world.serve(text=text("by an event"))
    web.comes_to("by an event")
    assert all(one.if_none_match for one in world.requests(BULK, web.key)[1:])


def test_the_web_client_is_told_again_what_it_missed_while_its_stream_was_down(world: World, web: Following) -> None:
    """It fetches nothing after a reconnect, whatever the specification says: only the replayed event makes it."""
    world.serve(text=text("before the drop"))
    web.comes_to("before the drop")
    opened = len(world.requests(STREAM, web.key))
    world.drop_streams()
    world.serve(text=text("during the drop"))
    web.comes_to("during the drop")
    again = world.requests(STREAM, web.key)[opened:]
    assert again[0].last_event_id == str(world.revision - 1)


def test_the_web_client_whose_fetch_failed_is_told_again(world: World, web: Following) -> None:
    """It stays stale until the next event, so the current one is repeated; a 304 makes that cheap."""
    world.failing[web.key] = 1
    world.serve(text=text("after a failure"))
    wait_until(lambda: 500 in [one.status for one in world.requests(BULK, web.key)])
    web.comes_to("after a failure")
    wait_until(lambda: 304 in [one.status for one in world.requests(BULK, web.key)])


def test_many_changes_at_once_cost_the_web_client_few_requests(world: World, web: Following) -> None:
    before = len(world.requests(BULK, web.key))
    for number in range(20):
        world.serve(text=text(f"burst {number}"))
    web.comes_to("burst 19")
    assert len(world.requests(BULK, web.key)) - before <= 5


def test_a_key_that_is_replaced_leaves_the_web_client_at_no_dead_address(world: World, web: Following) -> None:
    """A stream answered 401 is asked for again once a second for ever, as long as the answer that names it is a 304.
    The address is part of the ETag here, so the new key's answer is a 200 with the new address."""
    old, web.key = web.key, world.key()
    token = world.requests(STREAM, old)[0].credential
    web._javascript.ask("key", name=web.name, key=web.key)
    world.revoke(old)
    wait_until(lambda: bool(world.requests(STREAM, web.key)), what="the stream of the new key")
    world.serve(text=text("by the new key"))
    web.comes_to("by the new key")
    refused = [one for one in world.asked if one.credential == token and one.status == 401]
    assert len(refused) == 1


def test_a_revoked_key_makes_the_web_client_ask_less_and_less(world: World, web: Following) -> None:
    """Both stream and evaluation are refused: only then do its pauses grow. They pass ten times as fast here."""
    world.revoke(web.key)

    def pauses() -> list[float]:
        refused = [one.at for one in world.asked if one.credential == web.key and one.status == 401]
        return [after - before for before, after in pairwise(refused)]

    wait_until(lambda: any(pause > 0.35 for pause in pauses()), what="a pause of 4 s after those of 1 s and 2 s")
    assert len(pauses()) <= 4


def limited() -> Any:
    """A key may ask once, and again within the second."""
    return override_settings(SERVER_KEY_REQUESTS_PER_SECOND=0.9)
