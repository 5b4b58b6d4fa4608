"""Scripts and specifications: what is accepted, and how mistakes are told."""

import json
from typing import Any

import pytest

from probes.engine.script import CRITICAL_EVENTS, Script, ScriptError, TargetSpec, endpoint


def test_an_empty_script_is_the_default() -> None:
    """A target without a script speaks the origin's chat."""
    assert Script.from_json({}) == Script()
    assert Script.from_json({}).events == CRITICAL_EVENTS


def test_a_script_survives_json() -> None:
    """to_json and from_json are exact inverses."""
    script = Script(headers={"X-A": "b"}, claimed="pong", events=("one", "two"), events_within_s=1.5)
    assert Script.from_json(json.loads(json.dumps(script.to_json()))) == script


def test_a_specification_survives_json() -> None:
    """With its secrets: whoever sends it seals it first."""
    spec = TargetSpec(3, "s", "wss://h/p", 1.5, Script(events=()), token="t", headers={"A": "b"}, ca_pem="pem")
    assert TargetSpec.from_message(json.loads(json.dumps(spec.to_message()))) == spec


def test_a_specification_does_not_print_its_secrets() -> None:
    """They would end in logs."""
    spec = TargetSpec(3, "s", "wss://h/p", 1.5, token="hidden-token", headers={"Authorization": "hidden-header"})
    assert "hidden" not in repr(spec)


@pytest.mark.parametrize(
    ("mapping", "field", "words"),
    [
        ({"event": []}, "event", "events"),
        ({"claimed": "soon"}, "claimed", "first_message"),
        ({"claimed_match": "type =="}, "claimed_match", "JMESPath"),
        ({"events": "agent_started"}, "events", "list"),
        ({"events": ["a", "a"]}, "events", "twice"),
        ({"trigger": ""}, "trigger", "events: []"),
        ({"trigger": "hello", "events": []}, "trigger", "{nonce}"),
        ({"trigger": 5}, "trigger", "text"),
        ({"headers": {"Sec-WebSocket-Key": "x"}}, "headers", "handshake"),
        ({"headers": {"X": "a\r\nB: c"}}, "headers", "one-line"),
        ({"subprotocols": ["a b"]}, "subprotocols", "a b"),
        ({"events_within_s": -1}, "events_within_s", "seconds"),
    ],
)
def test_a_mistake_names_the_field_and_the_cure(mapping: dict[str, Any], field: str, words: str) -> None:
    """Every field is checked."""
    with pytest.raises(ScriptError) as caught:
        Script.from_json(mapping)
    assert caught.value.field == field
    assert words in str(caught.value)


def test_yaml_may_write_the_trigger_as_a_mapping() -> None:
    """People write YAML; the wire has JSON."""
    script = Script.from_yaml('trigger:\n  type: user_message\n  run_id: "{nonce}"\nclaimed: upgrade\n')
    assert json.loads(script.trigger) == {"type": "user_message", "run_id": "{nonce}"}
    assert script.claimed == "upgrade"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("claimed: upgrade\n\nevents: nothing\n", 3),
        ("claimed: upgrade\nevnts: []\n", 2),
        ("claimed: upgrade\nevents: [a, b\ntrigger: x\n", 3),
        ("# a comment\nclaimed: later\n", 2),
    ],
)
def test_a_mistake_in_yaml_names_its_line(text: str, line: int) -> None:
    """Where a person has to look."""
    with pytest.raises(ScriptError) as caught:
        Script.from_yaml(text)
    assert caught.value.line == line
    assert str(caught.value).startswith(f"line {line}: ")


@pytest.mark.parametrize("text", ["- a\n- b\n", "just words", "a: !!python/object:os.system {}\n", "[" * 5000])
def test_yaml_that_is_no_script_is_refused(text: str) -> None:
    """Lists, scalars, foreign tags and towers of brackets."""
    with pytest.raises(ScriptError):
        Script.from_yaml(text)


@pytest.mark.parametrize(
    "url", ["http://h/", "ws://", "h:80", "", "ws://h:99999/", "ws://h/#there", "ws://h/a b", "ws://[::1", "ws://u@h/"]
)
def test_an_unusable_url_is_refused_with_the_cure(url: str) -> None:
    """Nothing is dialled that is no WebSocket URL."""
    with pytest.raises(ScriptError, match="ws://host") as caught:
        endpoint(url)
    assert caught.value.field == "url"
