"""Hostile servers until the connection is open: each kind of failure, scripted byte by byte, with its evidence."""

import asyncio
import ssl
import struct

import pytest

from probes.engine.outcome import FailureKind
from probes.engine.script import Script
from tests.probes.engine.conftest import Probe
from tests.support.certificates import Authority
from tests.support.hostile import Peer, black_hole, hostile, openssl_server
from tests.support.stages import (
    Steps,
    after_101,
    after_ready,
    after_request,
    after_tcp,
    after_the_run,
    between_events,
    inside_frame,
    inside_headers,
    judged,
    then,
)

K = FailureKind


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
