"""A probe talks to a real chat service and says what it found."""

import asyncio
import socket
from itertools import pairwise
from typing import Any

import pytest

from probes.engine.client import Prober, run_probe
from probes.engine.guardrails import Policy
from probes.engine.outcome import EventDefect, FailureKind, Outcome
from probes.engine.script import CRITICAL_EVENTS, Script, TargetSpec
from tests.probes.engine.conftest import Probe
from tests.support.certificates import Authority
from tests.support.chat_server import ChatServer, Events, run_of
from tests.support.waiting import await_until

ORDER = [
    "intended", "started", "dns_done", "tcp_done", "request_sent", "upgraded", "claimed", "trigger_sent", "ready",
    "close_sent", "closed",
]  # fmt: skip


async def test_a_good_service_is_ok_with_every_mark_in_order(probe: Probe) -> None:
    """All marks of a plain conversation exist and never run backwards."""
    async with ChatServer().run() as server:
        outcome = await probe(server.url)
    assert outcome.ok, outcome
    assert set(outcome.marks) == set(ORDER)
    times = [outcome.marks[name] for name in ORDER]
    # The receive marks are the kernel's: mapping them to the monotonic scale is exact to some tens of microseconds.
    assert all(later >= earlier - 1_000 for earlier, later in pairwise(times)), outcome.marks
    assert outcome.events.delivered == 5
    assert list(outcome.events.marks) == list(CRITICAL_EVENTS)
    assert not outcome.events.defects


async def test_receive_marks_are_the_kernels_on_linux(probe: Probe) -> None:
    """The outcome names its clock."""
    async with ChatServer().run() as server:
        outcome = await probe(server.url)
    assert outcome.clock == "kernel"
    assert outcome.address == server.url.removeprefix("ws://").removesuffix("/ws/chat")


async def test_the_service_sees_close_1000_and_the_probe_the_answer(probe: Probe) -> None:
    """A probe does not fill its target's logs with 1006."""
    server = ChatServer()
    async with server.run():
        outcome = await probe(server.url)
        await await_until(lambda: server.close_codes, what="the server saw the connection close")
    assert server.close_codes == [1000]
    assert (outcome.close_code, outcome.closed_by) == (1000, "us")


async def test_a_probe_that_gives_up_still_says_1000(probe: Probe) -> None:
    """At the deadline the close frame goes out before the socket does."""
    server = ChatServer(greeting=None)
    async with server.run():
        outcome = await probe(server.url, deadline_s=0.3)
        await await_until(lambda: server.close_codes, what="the server saw the connection close")
    assert outcome.kind is FailureKind.NOT_READY
    assert server.close_codes == [1000]


async def test_the_ready_frame_is_acknowledged_and_tells_the_variant(probe: Probe) -> None:
    """Strategy and revision come from the ready frame; its nonce is sent back before the trigger."""
    server = ChatServer()
    async with server.run():
        outcome = await probe(server.url)
    assert (outcome.strategy, outcome.flags_revision) == ("dependency_gate", 7)
    assert [message["type"] for message in server.received] == ["ready_ack", "user_message"]
    assert server.received[0]["nonce"] == "n1"


async def test_the_accept_headers_tell_the_variant_where_no_frame_does(probe: Probe) -> None:
    """A server without ready frames stamps its accept."""
    server = ChatServer(greeting=None, headers={"Readiness-Strategy": "fixed_delay", "Readiness-Revision": "12"})
    async with server.run():
        outcome = await probe(server.url, script=Script(claimed="upgrade"))
    assert outcome.ok, outcome
    assert (outcome.strategy, outcome.flags_revision) == ("fixed_delay", 12)


async def test_the_token_is_offered_as_a_subprotocol_and_never_shown(probe: Probe) -> None:
    """The service receives the token and the secret header; the transcript has neither."""
    server = ChatServer()
    async with server.run():
        outcome = await probe(server.url, token="s3cret-token-value", headers={"X-Tenant-Pass": "open-sesame"})
    assert server.offered == ["readywire.chat.v1", "bearer.s3cret-token-value"]
    assert server.requests[0]["X-Tenant-Pass"] == "open-sesame"
    shown = str(outcome.to_message())
    assert "s3cret-token-value" not in shown
    assert "open-sesame" not in shown
    assert "[redacted]" in shown


async def test_a_service_under_tls_is_probed_with_its_phases(probe: Probe, certificates: Authority) -> None:
    """wss adds the TLS mark; the certificate is verified against the target's own authority."""
    server = ChatServer()
    async with server.run(certificates.server_context()):
        outcome = await probe(server.url, ca_pem=certificates.pem)
        await await_until(lambda: server.close_codes, what="the server saw the connection close")
    assert outcome.ok, outcome
    assert outcome.tls_us is not None
    assert outcome.tls_us > 0
    assert server.close_codes == [1000]


@pytest.mark.parametrize("claimed", ["upgrade", "pong", "first_message", "match"])
async def test_every_claim_rule_leads_to_the_same_proof(probe: Probe, claimed: Any) -> None:
    """However readiness is claimed, the first event proves it."""
    async with ChatServer().run() as server:
        outcome = await probe(server.url, script=Script(claimed=claimed))
    assert outcome.ok, outcome
    assert outcome.claimed_us is not None
    assert outcome.race_window_us is not None


async def test_an_echo_of_the_nonce_is_proof_where_no_events_are_expected(probe: Probe) -> None:
    """A plain echo service needs no events."""
    server = ChatServer(answer=lambda run_id: [{"type": "echo", "text": f"you said {run_id}"}])
    async with server.run():
        outcome = await probe(server.url, script=Script(events=()))
    assert outcome.ok, outcome
    assert "ready" in outcome.marks


async def test_a_target_that_only_listens_is_claimed_only(probe: Probe) -> None:
    """Without a trigger there is no proof, and none is invented."""
    async with ChatServer().run() as server:
        outcome = await probe(server.url, script=Script(events=(), trigger=""))
    assert outcome.ok, outcome
    assert "claimed" in outcome.marks
    assert "ready" not in outcome.marks


async def test_another_runs_events_prove_nothing(probe: Probe) -> None:
    """Events that carry a foreign run id are not an answer to us."""
    server = ChatServer(answer=lambda _run_id: run_of("somebody-else"))
    async with server.run():
        outcome = await probe(server.url, deadline_s=0.3)
    assert outcome.kind is FailureKind.FALSE_READY
    assert outcome.events.delivered == 0


def without(name: str, *, numbered_gap: bool) -> Any:
    """Runs that lack one event: with a gap in the numbers, or without."""

    def answer(run_id: str) -> Events:
        if not numbered_gap:
            return run_of(run_id, [each for each in CRITICAL_EVENTS if each != name])
        return [event for event in run_of(run_id) if event["type"] != name]

    return answer


def twice(run_id: str) -> Events:
    """The second event comes twice."""
    events = run_of(run_id)
    return [*events[:2], events[1], *events[2:]]


def swapped(run_id: str) -> Events:
    """The second and the third event have changed places."""
    first, second, third, *rest = run_of(run_id)
    return [first, third, second, *rest]


@pytest.mark.parametrize(
    ("answer", "kind", "event", "defect"),
    [
        (without("tool_executing", numbered_gap=True), FailureKind.EVENT_LOST, "tool_executing", EventDefect.LOST),
        (
            without("tool_executing", numbered_gap=False),
            FailureKind.EVENT_NEVER_EMITTED,
            "tool_executing",
            EventDefect.NEVER_EMITTED,
        ),
        (
            without("agent_completed", numbered_gap=True),
            FailureKind.EVENT_NEVER_EMITTED,
            "agent_completed",
            EventDefect.NEVER_EMITTED,
        ),
        (twice, FailureKind.EVENT_DUPLICATED, "agent_thinking", EventDefect.DUPLICATED),
        (swapped, FailureKind.EVENT_REORDERED, "agent_thinking", EventDefect.REORDERED),
    ],
    ids=["lost", "never-emitted", "terminal-absent", "twice", "swapped"],
)
async def test_each_defect_of_the_events_has_its_kind(
    probe: Probe, answer: Any, kind: FailureKind, event: str, defect: EventDefect
) -> None:
    """Lost, never emitted, duplicated and reordered are told apart, and the event is named."""
    async with ChatServer(answer=answer).run() as server:
        outcome = await probe(server.url, deadline_s=1.0)
    assert outcome.kind is kind, outcome
    assert outcome.phase == "events"
    assert outcome.events.defects == {event: defect}
    assert event in outcome.detail


async def test_a_swap_with_the_last_event_is_a_reordering_not_a_loss(probe: Probe) -> None:
    """After the last event the probe waits a moment for stragglers."""

    def answer(run_id: str) -> Events:
        *rest, fourth, fifth = run_of(run_id)
        return [*rest, fifth, fourth]

    async with ChatServer(answer=answer).run() as server:
        outcome = await probe(server.url)
    assert outcome.kind is FailureKind.EVENT_REORDERED, outcome


async def test_a_loss_is_known_soon_after_the_last_event(probe: Probe) -> None:
    """Nobody waits for the deadline where the run has ended."""
    async with asyncio.timeout(20), ChatServer(answer=without("tool_executing", numbered_gap=True)).run() as server:
        outcome = await probe(server.url, deadline_s=60.0)
    assert outcome.kind is FailureKind.EVENT_LOST


async def test_events_after_the_time_allowed_are_late(probe: Probe) -> None:
    """`events_within_s` bounds the run; what comes later was delivered, but late."""
    async with ChatServer().run() as server:
        outcome = await probe(server.url, script=Script(events_within_s=0.000_001))
    assert outcome.kind is FailureKind.EVENT_LATE, outcome
    assert set(outcome.events.defects.values()) == {EventDefect.LATE}
    assert outcome.events.delivered == 0


async def test_an_error_frame_disproves_the_claim(probe: Probe) -> None:
    """Said ready, then failed our first message: false ready, with the server's words as evidence."""
    server = ChatServer(answer=lambda run_id: [{"type": "error", "run_id": run_id, "message": "no services yet"}])
    async with server.run():
        outcome = await probe(server.url)
    assert outcome.kind is FailureKind.FALSE_READY
    assert outcome.phase == "ready"
    assert "no services yet" in outcome.detail


async def test_a_secret_that_the_server_echoes_is_hidden_in_the_evidence_too(probe: Probe) -> None:
    """Details are read by more people than transcripts."""
    server = ChatServer(answer=lambda _run: [{"type": "error", "message": "bad credentials s3cret-token-value"}])
    async with server.run():
        outcome = await probe(server.url, token="s3cret-token-value")
    assert "bad credentials" in outcome.detail
    assert "s3cret" not in str(outcome.to_message())


async def test_without_a_claim_an_error_frame_means_not_ready(probe: Probe) -> None:
    """The 101 alone claims nothing."""
    server = ChatServer(greeting=None, answer=lambda _run: [{"type": "error", "message": "no services yet"}])
    async with server.run():
        outcome = await probe(server.url, script=Script(claimed="upgrade"))
    assert outcome.kind is FailureKind.NOT_READY


async def test_the_races_own_words_are_an_accept_race(probe: Probe) -> None:
    """The text decides, wherever it is seen."""
    text = 'WebSocket is not connected. Need to call "accept" first.'
    server = ChatServer(answer=lambda run_id: [{"type": "error", "run_id": run_id, "message": text}])
    async with server.run():
        outcome = await probe(server.url)
    assert outcome.kind is FailureKind.ACCEPT_RACE
    assert FailureKind.FALSE_READY in outcome.also


@pytest.mark.parametrize("code", [1000, 1011, 1012, 4408])
async def test_a_close_before_ready_keeps_its_code(probe: Probe, code: int) -> None:
    """Who closed, with which code and reason."""
    async with ChatServer(close=(code, "going"), close_before_answer=True).run() as server:
        outcome = await probe(server.url)
    assert outcome.kind is FailureKind.CLOSED_BEFORE_READY, outcome
    assert (outcome.close_code, outcome.close_reason, outcome.closed_by) == (code, "going", "peer")
    assert str(code) in outcome.detail


@pytest.mark.parametrize("code", [1008, 4401])
async def test_a_close_for_want_of_rights_is_unauthorized(probe: Probe, code: int) -> None:
    """A policy close before ready says that our credentials were refused."""
    async with ChatServer(close=(code, ""), close_before_answer=True).run() as server:
        outcome = await probe(server.url)
    assert outcome.kind is FailureKind.UNAUTHORIZED
    assert outcome.close_code == code


async def test_a_close_between_events_is_closed_early_with_the_absent_events_beside_it(probe: Probe) -> None:
    """The end of the connection explains why events are absent."""
    server = ChatServer(answer=lambda run_id: run_of(run_id)[:2], close=(1011, "boom"))
    async with server.run():
        outcome = await probe(server.url)
    assert outcome.kind is FailureKind.CLOSED_EARLY, outcome
    assert outcome.also == (FailureKind.EVENT_NEVER_EMITTED,)
    assert outcome.events.delivered == 2
    assert (outcome.close_code, outcome.closed_by) == (1011, "peer")


async def test_a_closed_port_is_refused() -> None:
    """Nothing listens there."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        port = held.getsockname()[1]
        outcome = await one(f"ws://127.0.0.1:{port}/")
    assert outcome.kind is FailureKind.CONNECT_REFUSED
    assert outcome.phase == "tcp"


async def test_localhost_is_reached_whichever_family_listens(probe: Probe) -> None:
    """The addresses of a name are tried in turn."""
    async with ChatServer().run() as server:
        outcome = await probe(server.url.replace("127.0.0.1", "localhost"))
    assert outcome.ok, outcome


async def test_a_name_that_does_not_exist_is_a_dns_failure(probe: Probe) -> None:
    """RFC 6761 reserves .invalid: no resolver has it."""
    outcome = await probe("ws://no-such-host.invalid/", deadline_s=1.0)
    assert outcome.kind is FailureKind.DNS_FAILED
    assert outcome.phase == "dns"


async def test_a_private_address_is_not_dialled_unless_allowed() -> None:
    """The policy decides on the address, whatever the name was."""
    async with ChatServer().run() as server, Prober(policy=Policy()) as prober:
        spec = TargetSpec(1, "t", server.url.replace("127.0.0.1", "localhost"), 2.0)
        outcome = await prober.probe(spec)
        assert not server.requests
    assert outcome.kind is FailureKind.POLICY_DENIED
    assert "loopback" in outcome.detail


async def test_an_unusable_url_is_our_error_not_the_targets(probe: Probe) -> None:
    """A specification that cannot be probed is never charged to a target."""
    outcome = await probe("http://example.invalid/")
    assert outcome.kind is FailureKind.PROBE_ERROR
    assert "ws://" in outcome.detail


async def test_lateness_of_the_start_is_told_apart_from_the_targets_latency(prober: Prober) -> None:
    """intended -> started is ours; intended -> ready is what a user felt."""
    async with ChatServer().run() as server:
        spec = TargetSpec(1, "t", server.url, 3.0)
        outcome = await prober.probe(spec, intended=asyncio.get_running_loop().time() - 2)
    assert outcome.start_delay_us >= 2_000_000
    assert outcome.marks["intended"] == -outcome.start_delay_us
    assert outcome.user_ready_us is not None
    assert outcome.user_ready_us >= 2_000_000


async def test_an_instant_on_the_wall_clock_is_refused(prober: Prober) -> None:
    """A slot must be converted first: the two scales are years apart."""
    with pytest.raises(ValueError, match="monotonic"):
        await prober.probe(TargetSpec(1, "t", "ws://127.0.0.1:1/", 1.0), intended=1_700_000_000.0)


async def test_many_probes_run_at_once_and_all_are_well(prober: Prober) -> None:
    """A burst keeps to its concurrency and loses none."""
    most = 0
    async with ChatServer().run() as server:
        spec = TargetSpec(1, "t", server.url, 5.0)
        outcomes = []
        async for outcome in prober.burst(spec, 60, 20):
            most = max(most, prober.in_flight)
            outcomes.append(outcome)
    assert len(outcomes) == 60
    assert all(outcome.ok for outcome in outcomes)
    assert most <= 20


async def test_an_outcome_survives_its_journey_as_json(probe: Probe) -> None:
    """to_message and from_message are exact inverses."""
    async with ChatServer(answer=swapped).run() as server:
        outcome = await probe(server.url)
    assert Outcome.from_message(outcome.to_message()) == outcome


async def one(url: str) -> Outcome:
    spec = TargetSpec(1, "t", url, 2.0)
    return await run_probe(spec, policy=Policy(allow_private=True))
