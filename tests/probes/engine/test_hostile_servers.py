"""Whatever a server does, a probe ends within its deadline with the right kind."""

import asyncio
import json

import pytest

from probes.engine.client import Prober
from probes.engine.guardrails import Limits, Policy
from probes.engine.outcome import FailureKind, Outcome
from probes.engine.script import CRITICAL_EVENTS, Script, TargetSpec
from tests.probes.engine.conftest import Probe
from tests.support.certificates import Authority
from tests.support.hostile import Behaviour, Peer, hostile, text_frame


async def silent(peer: Peer) -> None:
    await peer.silence()


async def silent_after_request(peer: Peer) -> None:
    await peer.request()
    await peer.silence()


async def silent_after_101(peer: Peer) -> None:
    await peer.upgrade()
    await peer.silence()


async def silent_after_claim(peer: Peer) -> None:
    await peer.upgrade()
    await peer.ready()
    await peer.silence()


async def events(peer: Peer, count: int) -> None:
    await peer.upgrade()
    await peer.ready()
    run_id = (await peer.message())["run_id"]
    for seq, name in enumerate(CRITICAL_EVENTS[:count], 1):
        end = {"last_seq": 5} if seq == 5 else {}
        await peer.say(type=name, run_id=run_id, epoch="e1", seq=seq, **end)


async def silent_between_events(peer: Peer) -> None:
    await events(peer, 2)
    await peer.silence()


async def never_closes(peer: Peer) -> None:
    await events(peer, 5)
    await peer.silence()


SILENT_STAGES = {
    "after TCP": (silent, FailureKind.UPGRADE_TIMEOUT, "upgrade"),
    "after the request": (silent_after_request, FailureKind.UPGRADE_TIMEOUT, "upgrade"),
    "after the 101": (silent_after_101, FailureKind.NOT_READY, "claimed"),
    "after the claim": (silent_after_claim, FailureKind.FALSE_READY, "ready"),
    "between events": (silent_between_events, FailureKind.EVENT_NEVER_EMITTED, "events"),
    "after our close": (never_closes, FailureKind.PROTOCOL_ERROR, "close"),
}


async def test_a_two_second_deadline_holds_whatever_falls_silent(certificates: Authority) -> None:
    """Every silent stage, at once: all end, each with its own kind and phase. Other monitors were blocked for 20 s."""

    async def run(behaviour: Behaviour) -> Outcome:
        async with hostile(behaviour) as url:
            return await prober.probe(TargetSpec(1, "t", url, 2.0))

    async def run_tls(behaviour: Behaviour, *, handshake: bool) -> Outcome:
        async with hostile(behaviour, certificates.server_context() if handshake else None) as url:
            url = url.replace("ws://127.0.0.1", "wss://localhost")
            return await prober.probe(TargetSpec(1, "t", url, 2.0, ca_pem=certificates.pem))

    async with asyncio.timeout(30), Prober(policy=Policy(allow_private=True)) as prober:
        plain = [run(behaviour) for behaviour, _kind, _phase in SILENT_STAGES.values()]
        *found, before_tls, after_tls = await asyncio.gather(
            *plain, run_tls(silent, handshake=False), run_tls(silent, handshake=True)
        )
    assert [(each.kind, each.phase) for each in found] == [(kind, phase) for _, kind, phase in SILENT_STAGES.values()]
    assert (before_tls.kind, before_tls.phase) == (FailureKind.TLS_TIMEOUT, "tls")
    assert (after_tls.kind, after_tls.phase) == (FailureKind.UPGRADE_TIMEOUT, "upgrade")


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        ("200 OK", FailureKind.UPGRADE_REJECTED),
        ("301 Moved Permanently", FailureKind.UPGRADE_REJECTED),
        ("401 Unauthorized", FailureKind.UNAUTHORIZED),
        ("403 Forbidden", FailureKind.UNAUTHORIZED),
        ("404 Not Found", FailureKind.UPGRADE_REJECTED),
        ("503 Service Unavailable", FailureKind.UPGRADE_REJECTED),
    ],
)
async def test_an_http_answer_instead_of_101_keeps_its_status(probe: Probe, status: str, kind: FailureKind) -> None:
    """The status and the beginning of the body are the evidence."""

    async def behaviour(peer: Peer) -> None:
        await peer.answer(status, body="ask the gate keeper")
        await peer.silence()

    async with hostile(behaviour) as url:
        outcome = await probe(url)
    assert outcome.kind is kind, outcome
    assert outcome.http_status == int(status[:3])
    assert status[:3] in outcome.detail
    assert "ask the gate keeper" in outcome.frames[-1].text


async def test_an_error_page_that_never_ends_does_not_hide_its_status(probe: Probe) -> None:
    """The head is enough: nobody waits for the rest of the body."""

    async def behaviour(peer: Peer) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 1000000\r\n\r\n<html>")
        await peer.silence()

    async with hostile(behaviour) as url:
        outcome = await probe(url, deadline_s=20.0)
    assert (outcome.kind, outcome.http_status) == (FailureKind.UPGRADE_REJECTED, 502)


async def wrong_key(peer: Peer) -> None:
    await peer.upgrade(key="c29tZWJvZHkgZWxzZSdzIQ==")
    await peer.silence()


async def not_http(peer: Peer) -> None:
    await peer.send(b"220 mail.example.com ESMTP\r\n")
    await peer.silence()


async def malformed_status(peer: Peer) -> None:
    await peer.request()
    await peer.send(b"HTTP/1.1 abc\r\n\r\n")
    await peer.silence()


async def endless_headers(peer: Peer) -> None:
    await peer.request()
    await peer.send(b"HTTP/1.1 101 Switching Protocols\r\n")
    while True:
        await peer.send(b"X-More: and more\r\n" * 100)


async def foreign_subprotocol(peer: Peer) -> None:
    await peer.upgrade(headers="Sec-WebSocket-Protocol: mqtt\r\n")
    await peer.silence()


async def closes_at_once(_peer: Peer) -> None:
    return


async def resets_before_101(peer: Peer) -> None:
    await peer.request()
    peer.reset()


async def resets_after_101(peer: Peer) -> None:
    await peer.upgrade()
    peer.reset()


async def resets_between_events(peer: Peer) -> None:
    await events(peer, 2)
    peer.reset()


async def huge_length(peer: Peer) -> None:
    await peer.upgrade()
    await peer.send(b"\x81\x7f" + (2**63 - 1).to_bytes(8, "big"))
    await peer.silence()


async def endless_fragments(peer: Peer) -> None:
    await peer.upgrade()
    await peer.send(b"\x01\x04frag")
    while True:
        await peer.send((b"\x00\x7e\x40\x00" + b"x" * 0x4000) * 16)


async def ping_flood(peer: Peer) -> None:
    await peer.upgrade()
    while True:
        await peer.send(b"\x89\x00" * 1_000)


async def masked_frame(peer: Peer) -> None:
    await peer.upgrade()
    await peer.send(b"\x81\x82\x00\x00\x00\x00hi")
    await peer.silence()


async def reserved_bits(peer: Peer) -> None:
    await peer.upgrade()
    await peer.send(b"\xc1\x02hi")
    await peer.silence()


async def not_utf8(peer: Peer) -> None:
    await peer.upgrade()
    await peer.send(b"\x81\x02\xff\xfe")
    await peer.silence()


async def deep_json(peer: Peer) -> None:
    await peer.upgrade()
    await peer.send(text_frame('{"type":' + "[" * 60_000))
    await peer.close_frame(1011)
    await peer.silence()


@pytest.mark.parametrize(
    ("behaviour", "kind", "phase"),
    [
        (wrong_key, FailureKind.HANDSHAKE_INVALID, "upgrade"),
        (not_http, FailureKind.HANDSHAKE_INVALID, "upgrade"),
        (malformed_status, FailureKind.HANDSHAKE_INVALID, "upgrade"),
        (endless_headers, FailureKind.HANDSHAKE_INVALID, "upgrade"),
        (foreign_subprotocol, FailureKind.SUBPROTOCOL_MISMATCH, "upgrade"),
        (closes_at_once, FailureKind.CONNECTION_RESET, "upgrade"),
        (resets_before_101, FailureKind.CONNECTION_RESET, "upgrade"),
        (resets_after_101, FailureKind.CLOSED_BEFORE_READY, "claimed"),
        (resets_between_events, FailureKind.CLOSED_EARLY, "events"),
        (huge_length, FailureKind.OVERSIZED, "claimed"),
        (endless_fragments, FailureKind.OVERSIZED, "claimed"),
        (ping_flood, FailureKind.OVERSIZED, "claimed"),
        (masked_frame, FailureKind.PROTOCOL_ERROR, "claimed"),
        (reserved_bits, FailureKind.PROTOCOL_ERROR, "claimed"),
        (not_utf8, FailureKind.PROTOCOL_ERROR, "claimed"),
        (deep_json, FailureKind.CLOSED_BEFORE_READY, "claimed"),
    ],
)
async def test_each_offence_has_its_kind(probe: Probe, behaviour: Behaviour, kind: FailureKind, phase: str) -> None:
    """Scripted byte by byte; none of them waits for the deadline, and none raises."""
    async with asyncio.timeout(20), hostile(behaviour) as url:
        outcome = await probe(url, deadline_s=60.0)
    assert (outcome.kind, outcome.phase) == (kind, phase), outcome
    assert outcome.detail.endswith(".")


async def test_a_connection_lost_without_a_close_frame_is_1006(probe: Probe) -> None:
    """The code that RFC 6455 section 7.1.5 gives to an abnormal end."""
    async with hostile(resets_between_events) as url:
        outcome = await probe(url)
    assert (outcome.close_code, outcome.closed_by) == (1006, "peer")


async def test_a_message_at_full_speed_is_cut_at_the_limit() -> None:
    """What all messages may weigh together is bounded."""

    async def behaviour(peer: Peer) -> None:
        await peer.upgrade()
        while True:
            await peer.send(text_frame("x" * 60_000))

    limits = Limits(total_bytes=1_000_000)
    async with hostile(behaviour) as url, Prober(policy=Policy(allow_private=True), limits=limits) as prober:
        outcome = await prober.probe(TargetSpec(1, "t", url, 30.0))
    assert outcome.kind is FailureKind.OVERSIZED
    assert "1000000 bytes" in outcome.detail
    assert sum(len(frame.text) for frame in outcome.frames) <= limits.transcript_chars


async def test_the_races_words_in_a_close_reason_count(probe: Probe) -> None:
    """A server that died of the race may say so only when it closes."""

    async def behaviour(peer: Peer) -> None:
        await peer.upgrade()
        await peer.ready()
        await peer.message()
        await peer.close_frame(1011, 'RuntimeError: Need to call "accept" first.')
        await peer.silence()

    async with hostile(behaviour) as url:
        outcome = await probe(url)
    assert outcome.kind is FailureKind.ACCEPT_RACE
    assert FailureKind.CLOSED_BEFORE_READY in outcome.also


async def test_a_message_split_over_fragments_is_one_message(probe: Probe) -> None:
    """RFC 6455 section 5.4, with a ping in between."""

    async def behaviour(peer: Peer) -> None:
        await peer.upgrade()
        text = json.dumps({"type": "connection_ready"}).encode()
        await peer.send(bytes([0x01, 10]) + text[:10] + b"\x89\x01p" + bytes([0x80, len(text) - 10]) + text[10:])
        await peer.silence()

    async with hostile(behaviour) as url:
        outcome = await probe(url, script=Script(trigger="", events=()), deadline_s=0.5)
    assert "claimed" in outcome.marks


@pytest.mark.parametrize(
    ("name", "expired", "trusted", "kind"),
    [
        ("localhost", True, True, FailureKind.CERTIFICATE_EXPIRED),
        ("elsewhere.example", False, True, FailureKind.CERTIFICATE_NAME_MISMATCH),
        ("localhost", False, False, FailureKind.TLS_FAILED),
    ],
    ids=["expired", "wrong name", "unknown authority"],
)
async def test_a_wrong_certificate_has_its_kind(
    probe: Probe, certificates: Authority, name: str, expired: bool, trusted: bool, kind: FailureKind
) -> None:
    """What exactly is wrong with the certificate is told."""
    async with hostile(silent, certificates.server_context(name, expired=expired)) as url:
        outcome = await probe(url, ca_pem=certificates.pem if trusted else "")
    assert outcome.kind is kind, outcome
    assert outcome.phase == "tls"


async def test_a_plain_port_under_wss_fails_tls(probe: Probe) -> None:
    """The server speaks, but not TLS."""
    async with hostile(not_http) as url:
        outcome = await probe(url.replace("ws://127.0.0.1", "wss://localhost"))
    assert (outcome.kind, outcome.phase) == (FailureKind.TLS_FAILED, "tls")


async def test_a_connection_that_ends_during_tls_is_reset(probe: Probe) -> None:
    """Closed before the handshake was finished."""
    async with hostile(closes_at_once) as url:
        outcome = await probe(url.replace("ws://127.0.0.1", "wss://localhost"))
    assert (outcome.kind, outcome.phase) == (FailureKind.CONNECTION_RESET, "tls")


async def test_a_silent_target_does_not_delay_the_others(prober: Prober) -> None:
    """A socket that says nothing costs a socket, not a worker."""
    async with hostile(silent) as url:
        waiting = [asyncio.create_task(prober.probe(TargetSpec(1, "t", url, 30.0))) for _ in range(50)]
        async with asyncio.timeout(10), hostile(never_answers_but_closes) as busy:
            outcomes = [await prober.probe(TargetSpec(1, "t", busy, 5.0)) for _ in range(20)]
        assert not any(task.done() for task in waiting)
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
    assert {outcome.kind for outcome in outcomes} == {FailureKind.CLOSED_BEFORE_READY}
    assert prober.in_flight == 0


async def never_answers_but_closes(peer: Peer) -> None:
    await peer.upgrade()
    await peer.close_frame(1013, "later")
    await peer.silence()
