"""Bulk evaluations and events of any OFREP server, read as flags that a gate can hold."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connections.gate.errors import DefinitionsInvalid
from connections.gate.ofrep_answer import MOST_STREAMS, Refetch, read_answer, read_event
from connections.gate.selection import select
from connections.gate.strategies import FixedDelay

URL = "https://flags.example/base"
STRATEGY = {"key": "readiness-strategy", "value": "immediate", "variant": "fast", "reason": "SPLIT"}


def read(*flags: Any, **other: Any) -> Any:
    return read_answer({"flags": list(flags), **other}, etag='"1"', url=URL)


def test_what_was_evaluated_there_is_what_every_connection_here_gets() -> None:
    answer = read(STRATEGY, {"key": "client-ack", "value": False, "variant": "off"}, {"key": "colour", "value": "red"})
    selection = select(answer.snapshot, {"targetingKey": "anybody"})
    assert selection.strategy.name == "immediate"
    assert not selection.switches.client_ack
    assert ("readiness-strategy", "fast") in selection.evaluations
    assert selection.problems == ()
    assert set(answer.snapshot.flags) == {"readiness-strategy", "client-ack"}


@pytest.mark.parametrize(
    "flag",
    [
        {"key": "readiness-strategy", "errorCode": "PARSE_ERROR", "errorDetails": "bad rule"},
        {"key": "readiness-strategy", "reason": "DEFAULT"},
        {"key": "readiness-strategy", "value": None},
        {"key": "readiness-strategy", "value": 7, "variant": "x"},
        {"key": "readiness-strategy", "value": "unheard_of"},
    ],
)
def test_a_flag_without_a_usable_value_falls_back_to_its_coded_default(flag: dict[str, Any]) -> None:
    assert select(read(flag).snapshot, {}).strategy.name == "dependency_gate"


def test_a_flag_that_failed_there_is_named() -> None:
    failed = {"key": "readiness-strategy", "errorCode": "PARSE_ERROR", "errorDetails": "bad rule"}
    assert read(failed).problems == ("readiness-strategy: PARSE_ERROR bad rule",)


def test_parameters_may_come_as_an_object_or_as_its_json() -> None:
    """Some servers have no flags that are objects."""
    for value in ({"fixed_delay": {"milliseconds": 250}}, '{"fixed_delay": {"milliseconds": 250}}'):
        flags = ({**STRATEGY, "value": "fixed_delay"}, {"key": "readiness-parameters", "value": value})
        selection = select(read(*flags).snapshot, {})
        assert (selection.strategy, selection.problems) == (FixedDelay(milliseconds=250), ())


def test_a_revision_is_taken_from_the_metadata_where_there_is_a_number() -> None:
    assert read(metadata={"revision": 42, "environment": "staging"}).snapshot.revision == 42
    assert read(metadata={"revision": "v42"}).snapshot.revision is None
    assert read(metadata={"revision": True}).snapshot.revision is None
    assert read().snapshot.revision is None


@pytest.mark.parametrize(
    ("entry", "address"),
    [
        ({"type": "sse", "url": "https://sse.example/s?c=1"}, "https://sse.example/s?c=1"),
        ({"type": "sse", "endpoint": {"requestUri": "/events?t=1"}}, "https://flags.example/events?t=1"),
        ({"type": "sse", "endpoint": {"origin": "https://o.example", "requestUri": "/e"}}, "https://o.example/e"),
        ({"type": "websocket", "url": "wss://sse.example/"}, None),
        ({"type": "sse", "url": "file:///etc/passwd"}, None),
        ({"type": "sse", "url": "https://[broken"}, None),
        ({"type": "sse", "url": 7}, None),
        ({"type": "sse"}, None),
        ("sse", None),
    ],
)
def test_event_streams_are_followed_where_they_are_http_addresses(entry: Any, address: str | None) -> None:
    assert read(eventStreams=[entry]).streams == ((address,) if address else ())


def test_a_bounded_number_of_streams_is_followed_each_once() -> None:
    many = [{"type": "sse", "url": f"https://sse.example/{number // 2}"} for number in range(40)]
    assert len(set(read(eventStreams=many).streams)) == MOST_STREAMS


@pytest.mark.parametrize("body", [None, [], "", 7, {}, {"flags": {}}, {"flags": None}])
def test_what_is_no_bulk_evaluation_is_refused(body: Any) -> None:
    with pytest.raises(DefinitionsInvalid, match="flags"):
        read_answer(body, etag="", url=URL)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=10,
)
fields = st.sampled_from(["key", "value", "variant", "errorCode", "type", "url", "endpoint", "requestUri", "origin"])
flags = st.lists(st.dictionaries(fields, st.just("readiness-parameters") | json_values) | json_values, max_size=4)


@given(flags, json_values | flags, json_values)
def test_whatever_a_server_answers_there_is_a_selection(flags: Any, streams: Any, metadata: Any) -> None:
    answer = read_answer({"flags": flags, "eventStreams": streams, "metadata": metadata}, etag="", url=URL)
    assert select(answer.snapshot, {}).strategy.name


def test_only_an_event_that_asks_for_it_leads_to_a_request() -> None:
    asked = read_event('{"type":"refetchEvaluation","etag":"\\"9\\"","lastModified":1771622898}')
    assert asked is not None
    assert asked.parameters == {"flagConfigEtag": '"9"', "flagConfigLastModified": "1771622898"}
    assert read_event('{"type":"refetchEvaluation"}') == Refetch()
    assert read_event('{"type":"refetchEvaluation","etag":5,"lastModified":true}') == Refetch()
    for other in ('{"type":"somethingNew"}', "[]", "", "{", "[" * 100_000):
        assert read_event(other) is None
