"""Hostile servers once the connection is open: closes, frames, events and silence, each with its evidence."""

import asyncio
import struct
from contextlib import suppress

import pytest

from probes.engine.outcome import EventDefect, FailureKind
from probes.engine.script import CRITICAL_EVENTS, Script
from tests.probes.engine.conftest import Probe
from tests.support.hostile import Peer, hostile
from tests.support.stages import (
    Steps,
    after_101,
    after_ready,
    after_tcp,
    after_the_run,
    between_events,
    inside_frame,
    inside_headers,
    judged,
    send_events,
    then,
)

K = FailureKind


# Closing. ------------------------------------------------------------------------------------------------------------


CODES = [1000, 1001, 1008, 1011, 1012, 1013, 4000, 4401, 4403, 4408, 4429]


@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize(
    ("steps", "phase"), [(after_101, "claimed"), (after_ready, "ready"), (between_events, "events")]
)
async def test_every_close_code_at_every_stage(probe: Probe, steps: Steps, phase: str, code: int) -> None:
    """Code and reason are the evidence, and who closed first is recorded."""
    async with asyncio.timeout(20), hostile(then(steps, lambda peer: peer.close_frame(code, "because"))) as url:
        outcome = await probe(url, deadline_s=60.0)
    refused = code in (1008, 4401, 4403)
    expected = K.CLOSED_EARLY if phase == "events" else K.UNAUTHORIZED if refused else K.CLOSED_BEFORE_READY
    assert judged(outcome) == (expected, phase), outcome
    assert (outcome.close_code, outcome.close_reason, outcome.closed_by) == (code, "because", "peer")
    assert str(code) in outcome.detail
    assert "'because'" in outcome.detail
    assert outcome.frames[-2 if outcome.frames[-1].direction == "out" else -1].text == f"{code} because"


async def test_a_close_frame_without_a_code(probe: Probe) -> None:
    """RFC 6455 section 7.1.5: 1005."""
    async with hostile(then(after_101, lambda peer: peer.send(b"\x88\x00"))) as url:
        outcome = await probe(url)
    assert judged(outcome) == (K.CLOSED_BEFORE_READY, "claimed")
    assert outcome.close_code == 1005


# Frames. -------------------------------------------------------------------------------------------------------------


OFFENCES: dict[str, tuple[bytes, FailureKind]] = {
    "invalid UTF-8": (b"\x81\x02\xff\xfe", K.PROTOCOL_ERROR),
    "UTF-8 cut by the end of a message": (b"\x81\x01\xc3", K.PROTOCOL_ERROR),
    "reserved bit 1": (b"\xc1\x02hi", K.PROTOCOL_ERROR),
    "reserved bit 2": (b"\xa1\x02hi", K.PROTOCOL_ERROR),
    "reserved bit 3": (b"\x91\x02hi", K.PROTOCOL_ERROR),
    "unknown opcode": (b"\x83\x02hi", K.PROTOCOL_ERROR),
    "unknown control opcode": (b"\x8b\x00", K.PROTOCOL_ERROR),
    "fragmented ping": (b"\x09\x01p", K.PROTOCOL_ERROR),
    "fragmented close": (b"\x08\x02\x03\xe8", K.PROTOCOL_ERROR),
    "control frame of 126 bytes": (b"\x89\x7e\x00\x7e" + b"p" * 126, K.PROTOCOL_ERROR),
    "masked": (b"\x81\x82\x00\x00\x00\x00hi", K.PROTOCOL_ERROR),
    "continuation of nothing": (b"\x80\x02hi", K.PROTOCOL_ERROR),
    "a message inside a message": (b"\x01\x02hi\x81\x02hi", K.PROTOCOL_ERROR),
    "close of one byte": (b"\x88\x01\x03", K.PROTOCOL_ERROR),
    "close with 1005": (b"\x88\x02\x03\xed", K.PROTOCOL_ERROR),
    "close with 999": (b"\x88\x02\x03\xe7", K.PROTOCOL_ERROR),
    "close reason not UTF-8": (b"\x88\x03\x03\xe8\xff", K.PROTOCOL_ERROR),
    "HTTP after the 101": (b"HTTP/1.1 502 Bad Gateway\r\n\r\n" + b"<html>" * 20, K.PROTOCOL_ERROR),
    "length of 2^63": (b"\x81\x7f" + b"\x80" + b"\x00" * 7, K.OVERSIZED),
    "length of 2^63 - 1": (b"\x81\x7f" + b"\x7f" + b"\xff" * 7, K.OVERSIZED),
    "a declared message over the limit": (b"\x81\x7f" + struct.pack("!Q", 1_048_577), K.OVERSIZED),
    "an actual message over the limit": (
        (b"\x01\x7f" + struct.pack("!Q", 600_000) + b"x" * 600_000)
        + (b"\x80\x7f" + struct.pack("!Q", 600_000) + b"x" * 600_000),
        K.OVERSIZED,
    ),
    "10001 pings": (b"\x89\x00" * 10_001, K.OVERSIZED),
    "10001 empty messages": (b"\x81\x00" * 10_001, K.OVERSIZED),
}


@pytest.mark.parametrize("name", OFFENCES)
@pytest.mark.parametrize("steps", [after_101, between_events], ids=["before ready", "between events"])
async def test_an_offence_against_rfc_6455(probe: Probe, name: str, steps: Steps) -> None:
    """None of them waits for the deadline; each is told in words."""
    data, kind = OFFENCES[name]

    async def offend(peer: Peer) -> None:
        with suppress(ConnectionError):
            await peer.send(data)

    async with asyncio.timeout(20), hostile(then(steps, offend)) as url:
        outcome = await probe(url, deadline_s=60.0)
    assert judged(outcome) == (kind, "claimed" if steps is after_101 else "events"), outcome
    assert outcome.closed_by == "us"


# Events. -------------------------------------------------------------------------------------------------------------


EVENTS: dict[str, tuple[list[int], FailureKind, dict[str, EventDefect]]] = {
    "lost": ([1, 2, 4, 5], K.EVENT_LOST, {"tool_executing": EventDefect.LOST}),
    "twice": ([1, 2, 2, 3, 4, 5], K.EVENT_DUPLICATED, {"agent_thinking": EventDefect.DUPLICATED}),
    "swapped": ([1, 3, 2, 4, 5], K.EVENT_REORDERED, {"agent_thinking": EventDefect.REORDERED}),
}


@pytest.mark.parametrize("name", EVENTS)
async def test_events_that_went_wrong(probe: Probe, name: str) -> None:
    """The events concerned are named, and told apart."""
    numbers, kind, defects = EVENTS[name]

    async def run(peer: Peer) -> None:
        run_id = await after_ready(peer)
        await send_events(peer, run_id, numbers)
        await peer.answer_close()

    async with hostile(run) as url:
        outcome = await probe(url)
    assert judged(outcome) == (kind, "events"), outcome
    assert outcome.events.defects == defects
    assert next(iter(defects)) in outcome.detail


async def test_events_without_numbers_that_never_came(probe: Probe) -> None:
    """No gap proves that the missing one was sent."""

    async def run(peer: Peer) -> None:
        run_id = await after_ready(peer)
        for name in CRITICAL_EVENTS[:2] + CRITICAL_EVENTS[3:]:
            await peer.say(type=name, run_id=run_id)
        await peer.answer_close()

    async with hostile(run) as url:
        outcome = await probe(url)
    assert judged(outcome) == (K.EVENT_NEVER_EMITTED, "events"), outcome
    assert outcome.events.defects == {"tool_executing": EventDefect.NEVER_EMITTED}


async def test_an_event_after_the_time_allowed(probe: Probe) -> None:
    """Late is not lost."""

    async def run(peer: Peer) -> None:
        run_id = await after_ready(peer)
        await send_events(peer, run_id, [1, 2, 3, 4])
        await asyncio.sleep(0.4)  # not synchronisation: this is the lateness
        await send_events(peer, run_id, [5])
        await peer.answer_close()

    async with hostile(run) as url:
        outcome = await probe(url, script=Script(events_within_s=0.2))
    assert judged(outcome) == (K.EVENT_LATE, "events"), outcome
    assert outcome.events.defects == {"agent_completed": EventDefect.LATE}


# Silence. ------------------------------------------------------------------------------------------------------------


SILENCES = [
    (after_tcp, K.UPGRADE_TIMEOUT, "upgrade", "did not answer the upgrade"),
    (inside_headers, K.UPGRADE_TIMEOUT, "upgrade", "did not finish its headers"),
    (after_101, K.NOT_READY, "claimed", "did not say that it was ready"),
    (inside_frame, K.NOT_READY, "claimed", "did not say that it was ready"),
    (after_ready, K.FALSE_READY, "ready", "did not answer our message"),
    (between_events, K.EVENT_NEVER_EMITTED, "events", "tool_executing, tool_completed, agent_completed"),
    (after_the_run, K.PROTOCOL_ERROR, "close", "did not answer our close 1000"),
]


@pytest.mark.parametrize(("steps", "kind", "phase", "words"), SILENCES)
async def test_silence_at_any_stage_ends_with_the_deadline(
    probe: Probe, steps: Steps, kind: FailureKind, phase: str, words: str
) -> None:
    """One deadline covers all of it, reads included."""
    async with asyncio.timeout(20), hostile(then(steps, lambda _peer: None)) as url:
        outcome = await probe(url, deadline_s=0.6)
    assert judged(outcome) == (kind, phase), outcome
    assert words in outcome.detail
