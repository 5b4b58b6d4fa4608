"""The table of hostile servers: each kind of failure from a server scripted byte by byte, with its evidence."""

import asyncio
import json
import ssl
import struct
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import pytest
from websockets.frames import Frame, Opcode

from probes.engine.advice import NEXT_CHECK, next_check
from probes.engine.outcome import EventDefect, FailureKind, Outcome
from probes.engine.script import CRITICAL_EVENTS, Script
from tests.probes.engine.conftest import Probe
from tests.support.certificates import Authority
from tests.support.hostile import Behaviour, Peer, black_hole, hostile, openssl_server

K = FailureKind
Steps = Callable[[Peer], Awaitable[str]]
"""Brings a conversation to a stage; gives the run's id, where there is one."""


async def after_tcp(_peer: Peer) -> str:
    return ""


async def after_request(peer: Peer) -> str:
    await peer.request()
    return ""


async def inside_headers(peer: Peer) -> str:
    await peer.request()
    await peer.send(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: web")
    return ""


async def after_101(peer: Peer) -> str:
    await peer.upgrade()
    return ""


async def inside_frame(peer: Peer) -> str:
    await peer.upgrade()
    await peer.send(b"\x81\x20half a fr")
    return ""


async def after_ready(peer: Peer) -> str:
    await peer.upgrade()
    await peer.ready()
    return str((await peer.message())["run_id"])


async def between_events(peer: Peer) -> str:
    run_id = await after_ready(peer)
    await send_events(peer, run_id, [1, 2])
    return run_id


async def after_the_run(peer: Peer) -> str:
    run_id = await after_ready(peer)
    await send_events(peer, run_id, [1, 2, 3, 4, 5])
    return run_id


async def send_events(peer: Peer, run_id: str, numbers: list[int], **changes: Any) -> None:
    """The critical events of these numbers, in this order."""
    for seq in numbers:
        end = {"last_seq": 5} if seq == 5 else {}
        event = {"type": CRITICAL_EVENTS[seq - 1], "run_id": run_id, "epoch": "e1", "seq": seq, **end, **changes}
        await peer.send(Frame(Opcode.TEXT, json.dumps(event).encode()).serialize(mask=False))


def then(steps: Steps, act: Callable[[Peer], Awaitable[None] | None]) -> Behaviour:
    """Go to a stage, act there, and stay until the probe leaves."""

    async def behave(peer: Peer) -> None:
        await steps(peer)
        pending = act(peer)
        if pending is not None:
            await pending
        await peer.silence()

    return behave


def judged(outcome: Outcome) -> tuple[FailureKind | None, str]:
    """Kind and phase, after what holds for every failure: a sentence, evidence and advice."""
    if outcome.kind is not None:
        assert outcome.detail.endswith("."), outcome.detail
        assert outcome.detail[0].isupper(), outcome.detail
        assert "Error(" not in outcome.detail, outcome.detail
        assert "exception" not in outcome.detail.lower(), outcome.detail
        assert outcome.kind in NEXT_CHECK
        assert next_check(outcome)
        assert outcome.phase not in ("upgrade", "claimed", "ready", "events") or outcome.frames, "no evidence"
    return outcome.kind, outcome.phase


# The network. --------------------------------------------------------------------------------------------------------


async def test_a_closed_port_refuses(probe: Probe, unused_tcp_port: int) -> None:
    """The address and the operating system's words are the evidence."""
    outcome = await probe(f"ws://127.0.0.1:{unused_tcp_port}/")
    assert judged(outcome) == (K.CONNECT_REFUSED, "tcp")
    assert outcome.detail == f"Connecting failed: 127.0.0.1:{unused_tcp_port}: Connection refused."


async def test_a_black_hole_times_out(probe: Probe) -> None:
    """The kernel drops every SYN, as a firewall does."""
    with black_hole() as port:
        outcome = await probe(f"ws://127.0.0.1:{port}/", deadline_s=0.5)
    assert judged(outcome) == (K.CONNECT_TIMEOUT, "tcp")
    assert outcome.detail == f"Nobody answered the connection attempt to 127.0.0.1:{port} within 0.5 s."


RESETS = [
    (after_tcp, K.CONNECTION_RESET, "upgrade"),
    (after_request, K.CONNECTION_RESET, "upgrade"),
    (inside_headers, K.CONNECTION_RESET, "upgrade"),
    (after_101, K.CLOSED_BEFORE_READY, "claimed"),
    (inside_frame, K.CLOSED_BEFORE_READY, "claimed"),
    (after_ready, K.CLOSED_BEFORE_READY, "ready"),
    (between_events, K.CLOSED_EARLY, "events"),
]


@pytest.mark.parametrize(("steps", "kind", "phase"), RESETS)
@pytest.mark.parametrize("reset", [True, False], ids=["reset", "end of stream"])
async def test_a_connection_cut_at_any_stage(
    probe: Probe, steps: Steps, kind: FailureKind, phase: str, reset: bool
) -> None:
    """By RST (SO_LINGER 0) or by FIN, without a close frame: 1006 once the connection is open."""

    async def cut(peer: Peer) -> None:
        await steps(peer)
        if reset:
            peer.reset()

    async with asyncio.timeout(20), hostile(cut) as url:
        outcome = await probe(url, deadline_s=60.0)
    assert judged(outcome) == (kind, phase), outcome
    assert outcome.close_code == (None if phase == "upgrade" else 1006)
    assert kind is K.CONNECTION_RESET or "no close frame" in outcome.detail


async def test_a_reset_in_answer_to_our_close_spoils_no_run(probe: Probe) -> None:
    """Everything had come; how the server left is recorded."""
    async with hostile(then(after_the_run, Peer.reset)) as url:
        outcome = await probe(url)
    assert outcome.ok, outcome
    assert (outcome.close_code, outcome.closed_by) == (1006, "us")


# TLS. ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("newest", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1], ids=["TLS 1.0", "TLS 1.1"])
async def test_a_server_of_yesterdays_tls(probe: Probe, certificates: Authority, newest: ssl.TLSVersion) -> None:
    """RFC 8996 forbids TLS 1.0 and 1.1."""
    with openssl_server(certificates.server_context(newest=newest)) as url:
        outcome = await probe(url, ca_pem=certificates.pem)
    assert judged(outcome) == (K.TLS_FAILED, "tls"), outcome
    assert "1.2" in outcome.detail


async def test_a_server_hello_of_yesterdays_tls_is_told_as_too_old(probe: Probe) -> None:
    """A server that does not refuse, but answers with TLS 1.0 all the same."""
    hello = b"\x02\x00\x00\x26\x03\x01" + b"r" * 32 + b"\x00" + b"\xc0\x14" + b"\x00"
    record = b"\x16\x03\x01" + struct.pack("!H", len(hello)) + hello

    async def answer(peer: Peer) -> None:
        await peer.reader.read(4096)
        await peer.send(record)
        await peer.silence()

    async with hostile(answer) as url:
        outcome = await probe(url.replace("ws://127.0.0.1", "wss://localhost"))
    assert judged(outcome) == (K.TLS_FAILED, "tls"), outcome
    assert "too old" in outcome.detail


async def test_plain_text_on_a_tls_port(probe: Probe) -> None:
    """wss:// in front of a server that speaks HTTP."""

    async def http(peer: Peer) -> None:
        await peer.reader.read(4096)
        await peer.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await peer.silence()

    async with hostile(http) as url:
        outcome = await probe(url.replace("ws://127.0.0.1", "wss://localhost"))
    assert judged(outcome) == (K.TLS_FAILED, "tls"), outcome
    assert "plain ws:// port" in outcome.detail


async def test_tls_on_a_plain_port(probe: Probe) -> None:
    """ws:// in front of a server that speaks TLS: its alert is recognised."""

    async def alert(peer: Peer) -> None:
        await peer.request()
        await peer.send(b"\x15\x03\x01\x00\x02\x02\x46")

    async with hostile(alert) as url:
        outcome = await probe(url)
    assert judged(outcome) == (K.HANDSHAKE_INVALID, "upgrade"), outcome
    assert "wss://" in outcome.detail


async def test_a_real_tls_port_under_ws_is_cut(probe: Probe, certificates: Authority) -> None:
    """OpenSSL hangs up without an alert when it reads HTTP."""
    with openssl_server(certificates.server_context()) as url:
        outcome = await probe(url.replace("wss://localhost", "ws://127.0.0.1"))
    assert judged(outcome) in ((K.CONNECTION_RESET, "upgrade"), (K.HANDSHAKE_INVALID, "upgrade")), outcome


async def test_a_reset_inside_the_tls_handshake(probe: Probe) -> None:
    """Before the handshake is through."""

    async def cut(peer: Peer) -> None:
        await peer.reader.read(4096)
        peer.reset()

    async with hostile(cut) as url:
        outcome = await probe(url.replace("ws://127.0.0.1", "wss://localhost"))
    assert judged(outcome) == (K.CONNECTION_RESET, "tls"), outcome


# The upgrade. --------------------------------------------------------------------------------------------------------


STATUSES = {
    "200 OK": (K.UPGRADE_REJECTED, "", "200"),
    "301 Moved Permanently": (K.UPGRADE_REJECTED, "Location: wss://elsewhere.example/", "elsewhere.example"),
    "401 Unauthorized": (K.UNAUTHORIZED, "WWW-Authenticate: Bearer", "Bearer"),
    "403 Forbidden": (K.UNAUTHORIZED, "", "403"),
    "404 Not Found": (K.UPGRADE_REJECTED, "", "404"),
    "426 Upgrade Required": (K.UPGRADE_REJECTED, "", "426"),
    "429 Too Many Requests": (K.UPGRADE_REJECTED, "Retry-After: 30", "Retry-After: 30"),
    "500 Internal Server Error": (K.UPGRADE_REJECTED, "", "500"),
    "502 Bad Gateway": (K.UPGRADE_REJECTED, "", "502"),
    "503 Service Unavailable": (K.UPGRADE_REJECTED, "Retry-After: 5", "Retry-After: 5"),
    "504 Gateway Timeout": (K.UPGRADE_REJECTED, "", "504"),
}


@pytest.mark.parametrize("status", STATUSES)
async def test_an_http_status_instead_of_101(probe: Probe, status: str) -> None:
    """The status is kept, its pointers are shown, no redirect is followed, and the advice is the status's own."""
    kind, header, words = STATUSES[status]

    async def refuse(peer: Peer) -> None:
        await peer.answer(status, body="sorry", headers=f"{header}\r\n" if header else "")

    async with hostile(refuse) as url:
        outcome = await probe(url)
    assert judged(outcome) == (kind, "upgrade"), outcome
    assert outcome.http_status == int(status[:3])
    assert status in outcome.detail
    assert words in outcome.detail


async def test_headers_one_byte_at_a_time_are_read_as_any_others(probe: Probe) -> None:
    """Slow is not wrong while the deadline holds."""

    async def dribble(peer: Peer) -> None:
        await peer.request()
        for byte in peer.accepted():
            await peer.send(bytes([byte]))
            await asyncio.sleep(0)
        await peer.ready()
        await peer.answer_close()

    async with hostile(dribble) as url:
        outcome = await probe(url, script=Script(trigger="", events=()), deadline_s=10.0)
    assert outcome.ok, outcome


async def test_headers_one_byte_at_a_time_end_with_the_deadline(probe: Probe) -> None:
    """Each byte is progress; the probe's time is up all the same."""

    async def dribble(peer: Peer) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.1 101 Switching Protocols\r\nX-Slow: ")
        while True:
            await peer.send(b"x")
            await asyncio.sleep(0.01)

    async with asyncio.timeout(20), hostile(dribble) as url:
        outcome = await probe(url, deadline_s=0.5)
    assert outcome.kind is K.UPGRADE_TIMEOUT, outcome
    assert outcome.phase == "upgrade"


@pytest.mark.parametrize(
    ("head", "kind", "words"),
    [
        (b"HTTP/1.1 101 Switching\r\nX-Big: " + b"x" * 20_000 + b"\r\n\r\n", K.HANDSHAKE_INVALID, "16384 bytes"),
        (b"HTTP/1.1 101 Switching\r\n\r\n", K.HANDSHAKE_INVALID, "Connection"),
        (b"HTTP/1.1 101 Switching\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n", K.HANDSHAKE_INVALID, "Upgrade"),
        (b"HTTP/1.1 101 Switching\r\nno colon here\r\n\r\n", K.HANDSHAKE_INVALID, "header"),
        (b"HTTP/1.1 999 Odd\r\n\r\n", K.HANDSHAKE_INVALID, "status line"),
        (b"\x00" * 64, K.HANDSHAKE_INVALID, "does not speak HTTP/1.1"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", K.HANDSHAKE_INVALID, "does not speak HTTP/1.1"),
    ],
    ids=["too long", "no headers", "another upgrade", "malformed", "no status", "zeros", "HTTP/2"],
)
async def test_an_answer_that_is_no_handshake(probe: Probe, head: bytes, kind: FailureKind, words: str) -> None:
    """What is wrong with it is told."""

    async def answer(peer: Peer) -> None:
        await peer.request()
        await peer.send(head)
        await peer.silence()

    async with asyncio.timeout(20), hostile(answer) as url:
        outcome = await probe(url, deadline_s=60.0)
    assert judged(outcome) == (kind, "upgrade"), outcome
    assert words in outcome.detail


async def test_a_wrong_accept_key(probe: Probe) -> None:
    """RFC 6455 section 4.1: somebody answers who did not read our request."""

    async def answer(peer: Peer) -> None:
        await peer.upgrade(key="c29tZWJvZHkgZWxzZSdzIQ==")
        await peer.silence()

    async with hostile(answer) as url:
        outcome = await probe(url)
    assert judged(outcome) == (K.HANDSHAKE_INVALID, "upgrade"), outcome
    assert "Sec-WebSocket-Accept" in outcome.detail


@pytest.mark.parametrize("offered", [("readywire.chat.v1",), ()], ids=["wrong", "unasked"])
async def test_a_subprotocol_that_was_not_offered(probe: Probe, offered: tuple[str, ...]) -> None:
    """Both where others were offered and where none was."""

    async def choose(peer: Peer) -> None:
        await peer.upgrade(headers="Sec-WebSocket-Protocol: mqtt\r\n")
        await peer.silence()

    async with hostile(choose) as url:
        outcome = await probe(url, script=Script(subprotocols=offered))
    assert judged(outcome) == (K.SUBPROTOCOL_MISMATCH, "upgrade"), outcome


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
    (inside_headers, K.UPGRADE_TIMEOUT, "upgrade", "did not answer the upgrade"),
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
