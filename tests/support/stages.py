"""The stages of a conversation, from the server's side: how to get there, and what to do then."""

import json
from collections.abc import Awaitable, Callable
from typing import Any

from probes.engine.advice import NEXT_CHECK, next_check
from probes.engine.outcome import FailureKind, Outcome
from probes.engine.script import CRITICAL_EVENTS
from tests.support.hostile import Behaviour, Peer, text_frame

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
        await peer.send(text_frame(json.dumps(event)))


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
