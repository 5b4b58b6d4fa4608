"""Arbitrary bytes from a server, at any stage: never an exception, always an Outcome within the deadline."""

import asyncio
import json
import logging
import struct
import tracemalloc

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from websockets.utils import accept_key

from probes.engine.client import Prober
from probes.engine.connection import Connection
from probes.engine.guardrails import Limits, Policy
from probes.engine.outcome import FailureKind, Outcome
from probes.engine.proxying import judged
from probes.engine.script import CRITICAL_EVENTS, Script, TargetSpec
from probes.engine.session import Session
from probes.engine.tls import certificate_of, described
from probes.engine.verdicts import outcome_of
from tests.support.examples import times
from tests.support.hostile import Peer, hostile, text_frame

NONCE = "0123456789abcdef"
MS = 1_000_000
LIMITS = Limits(header_bytes=2_000, message_bytes=4_000, total_bytes=20_000, frames=60, transcript_chars=2_000)
SCRIPTS = [
    Script(),
    Script(claimed="upgrade"),
    Script(claimed="pong"),
    Script(claimed="first_message", trigger="{nonce}", events=()),
    Script(trigger="", events=()),
    Script(subprotocols=(), events_within_s=0.01),
]

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
FIELDS = (
    "type",
    "run_id",
    "epoch",
    "seq",
    "last_seq",
    "next_seq",
    "nonce",
    "strategy",
    "flags_revision",
    "connection_id",
)


@st.composite
def messages(draw: st.DrawFn) -> bytes:
    """A text frame that speaks nearly our language: known fields with values of any type."""
    kinds = st.sampled_from(("connection_ready", "connection_degraded", "error", "x_error", *CRITICAL_EVENTS))
    fields = draw(st.dictionaries(st.sampled_from(FIELDS), json_values, max_size=5))
    return text_frame(
        json.dumps({**fields, "type": draw(kinds | json_values), "run_id": draw(st.just(NONCE) | json_values)})
    )


@st.composite
def frames(draw: st.DrawFn) -> bytes:
    """A frame with any first byte, and a length that is declared right or wrong."""
    payload = draw(st.binary(max_size=300))
    declared = draw(st.just(len(payload)) | st.integers(0, 2**64 - 1))
    mask = 0x80 if draw(st.integers(0, 9)) == 0 else 0
    if declared < 126:
        length = bytes([mask | declared])
    elif declared < 65_536:
        length = bytes([mask | 126]) + struct.pack("!H", declared)
    else:
        length = bytes([mask | 127]) + struct.pack("!Q", declared)
    return bytes([draw(st.integers(0, 255))]) + length + payload


CHUNKS = st.lists(st.binary(max_size=400) | frames() | messages(), max_size=8)
ENDS = st.sampled_from(["deadline", "end of stream", "reset"])


class Fuzzed:
    """A session under fire, sans-IO."""

    def __init__(self, script: Script) -> None:
        spec = TargetSpec(1, "t", "ws://server.example/chat", 2.0, script)
        self.session = Session(spec, nonce=NONCE, limits=LIMITS)
        self.session.begin(0)
        self.session.open()
        request = self.session.outgoing(0).decode()
        key = next(line.split(": ")[1] for line in request.split("\r\n") if line.startswith("Sec-WebSocket-Key"))
        self.answer = (
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Accept: {accept_key(key)}\r\n\r\n"
        ).encode()
        self.now = 0

    def read(self, data: bytes) -> None:
        self.now += 10 * MS
        self.session.received(data, self.now, self.now, self.now - MS)
        self.tick()

    def tick(self) -> None:
        self.session.outgoing(self.now)
        self.session.tick(self.now)
        self.session.outgoing(self.now)

    def end(self, how: str) -> Outcome:
        if how == "deadline":
            self.now = self.session.deadline + 1
            self.tick()
        else:
            self.session.ended(ConnectionResetError("reset") if how == "reset" else None, self.now)
        return outcome_of(self.session, kernel=True)


def check(outcome: Outcome) -> None:
    """What holds of every outcome, whatever was sent."""
    assert outcome.kind is None or outcome.detail.endswith(".")
    assert outcome.kind is not FailureKind.PROBE_ERROR, outcome.detail
    assert len(outcome.detail) < 2_000
    assert sum(len(frame.text) for frame in outcome.frames) <= LIMITS.transcript_chars
    message = outcome.to_message()
    assert Outcome.from_message(json.loads(json.dumps(message))) == outcome


@settings(max_examples=times(400), deadline=None)
@given(st.sampled_from(SCRIPTS), st.integers(0, 3), CHUNKS, ENDS)
def test_a_session_survives_any_bytes_at_any_stage(script: Script, stage: int, chunks: list[bytes], end: str) -> None:
    """Before the 101, inside it, after it, after the claim; ended by the deadline, by FIN or by RST."""
    fuzzed = Fuzzed(script)
    if stage == 1:
        fuzzed.read(fuzzed.answer[:60])
    elif stage >= 2:
        fuzzed.read(fuzzed.answer)
    if stage == 3:
        fuzzed.read(text_frame('{"type": "connection_ready", "next_seq": 1, "epoch": "e1"}'))
    for chunk in chunks:
        fuzzed.read(chunk)
    outcome = fuzzed.end(end)
    assert fuzzed.session.done
    check(outcome)


@settings(max_examples=times(300), deadline=None)
@given(st.binary(max_size=600), st.booleans())
def test_any_answer_of_a_proxy_and_any_certificate_is_judged(data: bytes, complete: bool) -> None:
    """Both come from strangers."""
    assert isinstance(judged(data, complete=complete, header_bytes=500).fault, str)
    assert isinstance(judged(b"HTTP/1.1 " + data, complete=complete, header_bytes=500).shown, str)
    assert described(data) == ""
    assert certificate_of(data) is None


@settings(max_examples=times(40), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.sampled_from(["plain", "tls", "proxy"]), st.integers(0, 3), CHUNKS, st.sampled_from(["end", "reset", "silence"])
)
def test_a_probe_survives_any_bytes_on_real_sockets(where: str, stage: int, chunks: list[bytes], end: str) -> None:
    """Also inside a TLS handshake and in answer to CONNECT. The guard is generous; the deadline is the probe's."""

    async def attack(peer: Peer) -> None:
        if where == "plain" and stage >= 1:
            await peer.upgrade()
        if where == "plain" and stage >= 2:
            await peer.ready()
        if where == "plain" and stage == 3:
            await peer.message()
        for chunk in chunks:
            await peer.send(chunk)
        if end == "reset":
            peer.reset()
        elif end == "silence":
            await peer.silence()

    async def run() -> Outcome:
        async with asyncio.timeout(20), hostile(attack) as url:
            place = url.removeprefix("ws://").partition("/")[0]
            connection = Connection.from_json({"proxy": f"http://{place}"} if where == "proxy" else {})
            target = {"plain": url, "tls": f"wss://{place}/", "proxy": "ws://chat.example/"}[where]
            async with Prober(policy=Policy(allow_private=True), limits=LIMITS) as prober:
                return await prober.probe(TargetSpec(1, "t", target, 0.3, connection=connection))

    logging.disable(logging.CRITICAL)
    try:
        outcome = asyncio.run(run())
    finally:
        logging.disable(logging.NOTSET)
    check(outcome)


@pytest.mark.parametrize("text", ['{"a":[' + "{}," * 300_000 + "{}]}", '{"a":' + "[" * 100_000], ids=["many", "deep"])
async def test_a_message_that_would_explode_when_parsed_is_a_text_like_any_other(text: str) -> None:
    """Two bytes of JSON may cost sixty-four of memory: nobody parses a message of empty objects."""

    async def explode(peer: Peer) -> None:
        await peer.upgrade()
        await peer.send(text_frame(text))
        await peer.close_frame(1000)
        await peer.silence()

    async with hostile(explode) as url, Prober(policy=Policy(allow_private=True)) as prober:
        tracemalloc.start()
        try:
            outcome = await prober.probe(TargetSpec(1, "t", url, 30.0))
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert outcome.kind is FailureKind.CLOSED_BEFORE_READY, outcome
    assert peak < 12 * len(text)
