"""A server that streams for as long as it is let: the probe holds no more than its limits."""

import asyncio
import gc
import struct
import tracemalloc
from collections.abc import Awaitable, Callable
from contextlib import suppress

import pytest

from probes.engine.client import Prober
from probes.engine.connection import Connection
from probes.engine.guardrails import Limits, Policy
from probes.engine.outcome import FailureKind, Outcome
from probes.engine.script import TargetSpec
from tests.support.certificates import Authority
from tests.support.hostile import Behaviour, Peer, hostile, text_frame

ALLOWED = 20 * 1024 * 1024
"""Bytes by which a worker may grow, for all of them together (the issue's own figure)."""
K = FailureKind


def forever(chunk: bytes, start: bytes = b"", begin: Callable[[Peer], Awaitable[object]] = Peer.upgrade) -> Behaviour:
    """Send `start`, then `chunk` again and again, as fast as it goes."""

    async def flood(peer: Peer) -> None:
        await begin(peer)
        await peer.send(start)
        with suppress(ConnectionError):
            while True:
                await peer.send(chunk)

    return flood


FLOODS: dict[str, tuple[Behaviour, FailureKind]] = {
    "headers": (forever(b"X-More: and more\r\n" * 500, b"HTTP/1.1 101 S\r\n", Peer.request), K.HANDSHAKE_INVALID),
    "one header": (forever(b"x" * 9_000, b"HTTP/1.1 101 S\r\nX: ", Peer.request), K.HANDSHAKE_INVALID),
    "an error page": (forever(b"x" * 9_000, b"HTTP/1.1 500 Oh\r\n\r\n", Peer.request), K.UPGRADE_REJECTED),
    "no HTTP": (forever(b"x" * 9_000, b"", Peer.request), K.HANDSHAKE_INVALID),
    "messages": (forever(text_frame("x" * 60_000)), K.OVERSIZED),
    "short messages": (forever(text_frame("x" * 20) * 400), K.OVERSIZED),
    "objects": (forever(text_frame('{"a":[' + "{}," * 40_000 + "{}]}")), K.OVERSIZED),
    "fragments": (forever(b"\x00\x7e\x40\x00" + b"x" * 0x4000, b"\x01\x01x"), K.OVERSIZED),
    "empty fragments": (forever(b"\x00\x00" * 4_000, b"\x01\x00"), K.OVERSIZED),
    "the longest frame, and more": (
        forever(b"x" * 9_000, b"\x82\x7f" + struct.pack("!Q", 1_048_576)),
        K.PROTOCOL_ERROR,  # what follows the frame is no frame
    ),
    "pings": (forever((b"\x89\x7d" + b"p" * 125) * 70), K.OVERSIZED),
    "pongs": (forever(b"\x8a\x00" * 4_000), K.OVERSIZED),
}


async def attacked(prober: Prober, behaviour: Behaviour, certificates: Authority | None = None) -> Outcome:
    async with hostile(behaviour, certificates.server_context() if certificates else None) as url:
        return await prober.probe(TargetSpec(1, "t", url, 60.0, ca_pem=certificates.pem if certificates else ""))


async def through_a_flooding_proxy(prober: Prober) -> Outcome:
    async with hostile(forever(b"X-More: and more\r\n" * 500, b"HTTP/1.1 200 OK\r\n", Peer.request)) as url:
        place = url.removeprefix("ws://").partition("/")[0]
        connection = Connection.from_json({"proxy": f"http://{place}"})
        return await prober.probe(TargetSpec(1, "t", "ws://chat.example/", 60.0, connection=connection))


SECURE = ("headers", "messages", "fragments", "pings")


@pytest.mark.parametrize("secure", [False, True], ids=["ws", "wss"])
async def test_no_flood_holds_more_than_the_limits(certificates: Authority, secure: bool) -> None:
    """All of them at once in one prober, the servers' own buffers included; each ends with its kind, none by time."""
    authority = certificates if secure else None
    floods = {name: flood for name, flood in FLOODS.items() if not secure or name in SECURE}
    async with asyncio.timeout(120), Prober(policy=Policy(allow_private=True)) as prober:
        await attacked(prober, FLOODS["pongs"][0], authority)  # what is loaded once is not held by a probe
        gc.collect()
        tracemalloc.start()
        try:
            found = await asyncio.gather(*(attacked(prober, flood, authority) for flood, _ in floods.values()))
            proxied = await through_a_flooding_proxy(prober)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    kinds = dict(zip(floods, (outcome.kind for outcome in found), strict=True))
    assert kinds == {name: kind for name, (_, kind) in floods.items()}
    assert proxied.kind is K.PROXY_FAILED
    assert peak < ALLOWED, f"{peak:,} bytes at the highest"
    kept = sum(len(frame.text) for outcome in found for frame in outcome.frames)
    assert kept <= len(found) * Limits().transcript_chars
