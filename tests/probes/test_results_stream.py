"""Entries of the results stream: what is written is read again, and what is not an outcome is refused by name."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probes.engine.outcome import Frame
from probes.results_stream import Entry, EntryError, decode, encode
from tests.support.outcomes import NOON, failure, lossy, success


@pytest.mark.parametrize("outcome", [success(), failure(), lossy()], ids=["success", "failure", "lossy"])
def test_an_entry_is_read_as_it_was_written(outcome: Any) -> None:
    entry = Entry(7, "local", NOON, outcome)
    assert decode(encode(entry)) == entry


def test_a_transcript_that_nobody_keeps_does_not_travel() -> None:
    assert decode(encode(Entry(7, "local", NOON, success()), frames=False)).outcome.frames == ()


@pytest.mark.parametrize(
    "change",
    [
        {"target_id": "7"},
        {"target_id": True},
        {"target_id": 2**70},
        {"slot": "2026-11-20T12:00:00"},
        {"slot": "yesterday"},
        {"outcome": None},
        {"outcome": {}},
    ],
)
def test_what_is_no_entry_is_refused(change: dict[str, Any]) -> None:
    message = {**json.loads(encode(Entry(7, "local", NOON, success()))), **change}
    with pytest.raises(EntryError):
        decode(json.dumps(message))


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "bad_luck"},
        {"close_code": 70_000},
        {"flags_revision": 2**64},
        {"marks": {"ready": 1.5}},
        {"marks": {"ready": 2**60}},
        {"frames": [{"at_us": 1}]},
        {"surprise": 1},
    ],
)
def test_an_outcome_that_no_column_holds_is_refused(change: dict[str, Any]) -> None:
    message = json.loads(encode(Entry(7, "local", NOON, success())))
    message["outcome"].update(change)
    with pytest.raises(EntryError):
        decode(json.dumps(message))


@given(st.text() | st.binary().map(lambda data: data.decode(errors="replace")))
def test_any_text_is_an_entry_or_an_entry_error(text: str) -> None:
    with pytest.raises(EntryError):
        decode(text)


@pytest.mark.parametrize("text", ["a\x00b", "half a pair \ud83d", "whole 😀 pair"])
def test_texts_of_a_hostile_server_become_storable(text: str) -> None:
    """Neither NUL nor half a surrogate pair can be stored in PostgreSQL."""
    entry = decode(encode(Entry(7, "local", NOON, failure(detail=text, frames=(Frame(1, "in", "text", text),)))))
    stored = entry.outcome.detail
    assert "\x00" not in stored
    stored.encode()
    assert stored == entry.outcome.frames[0].text
    assert ("😀" in stored) == ("😀" in text)
