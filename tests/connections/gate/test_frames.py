"""What is on the wire: numbering touches events only, and changes nothing else in them."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connections.gate.frames import Numbering, ready_ack

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


def test_events_are_numbered_from_one_and_the_last_one_says_so() -> None:
    numbering = Numbering("e1")
    first = json.loads(numbering.number('{"type":"agent_started","run_id":"r"}'))
    last = json.loads(numbering.number('{"type":"agent_completed","run_id":"r"}'))
    assert first == {"type": "agent_started", "run_id": "r", "epoch": "e1", "seq": 1}
    assert last == {"type": "agent_completed", "run_id": "r", "epoch": "e1", "seq": 2, "last_seq": 2}


@pytest.mark.parametrize(
    "text",
    ["", "hello", "[1]", '"type"', '{"kind":"x"}', '{"type":5}', '{"a":{"type":"x"}}', '{"type":"x"', '["type"]',
     '{"type":"x","seq":9}', '{"type":"x","epoch":"own"}'],
)  # fmt: skip
def test_anything_that_is_no_event_of_ours_to_number_passes_untouched(text: str) -> None:
    numbering = Numbering("e1")
    assert numbering.number(text) is text
    assert numbering.last == 0


def test_the_rest_of_an_event_keeps_its_exact_bytes() -> None:
    """Big integers, float spellings, escapes and spaces are the application's business."""
    text = ' {"big": 123456789012345678901234567890, "f": 1.50, "s": "\\u00e9é",  "type": "x"}'
    assert Numbering("e1").number(text) == f' {{"epoch": "e1", "seq": 1, {text[2:]}'


@given(st.dictionaries(st.text(), JSON, max_size=5), st.text())
def test_numbering_adds_its_members_and_changes_none(members: dict[str, object], kind: str) -> None:
    for own in ("epoch", "seq", "last_seq"):
        members.pop(own, None)
    event = {**members, "type": kind}
    numbered = json.loads(Numbering("e").number(json.dumps(event)))
    assert (numbered.pop("epoch"), numbered.pop("seq")) == ("e", 1)
    numbered.pop("last_seq", None)
    assert numbered == event


@pytest.mark.parametrize(
    ("text", "nonce"),
    [
        ('{"type":"ready_ack","nonce":"n1"}', "n1"),
        ('{"type":"ready_ack"}', ""),
        ('{"type":"ready_ack","nonce":5}', ""),
        ('{"type":"user_message","text":"say \\"ready_ack\\""}', None),
        ('"ready_ack"', None),
        ('{"type":"ready_ack"', None),
        ("[" * 5000 + '"ready_ack"', None),
    ],
)
def test_only_an_acknowledgement_is_taken_for_one(text: str, nonce: str | None) -> None:
    assert ready_ack(text) == nonce
