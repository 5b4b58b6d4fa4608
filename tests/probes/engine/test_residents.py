"""Long-lived connections on real sockets: each way that one can end, and what it costs."""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

import pytest

from benchmarks.chat_service import chat_service
from probes.engine.cuts import Cut, told
from probes.engine.guardrails import Policy
from probes.engine.lives import Ending, Life
from probes.engine.resident import Standing, Stay
from probes.engine.residents import Backoff, Residents
from probes.engine.script import Script, TargetSpec
from tests.support.certificates import Authority
from tests.support.chat_server import ChatServer, run_of
from tests.support.hostile import Behaviour, Peer, hostile
from tests.support.waiting import await_until

QUICK = Backoff(first_s=0.02, most_s=0.1, steady_s=0.0)


@asynccontextmanager
async def kept(
    url: str, stay: Stay, *, count: int = 1, deadline_s: float = 1.0, script: Script | None = None
) -> AsyncIterator[tuple[Residents, list[Life]]]:
    """Residents of a target, and the lives that they report."""
    lives: list[Life] = []
    spec = TargetSpec(7, "target", url, deadline_s, script or Script())
    async with Residents(lives.append, policy=Policy(allow_private=True), backoff=QUICK) as residents:
        for number in range(count):
            residents.keep(number, spec, stay, number)
        yield residents, lives


async def until(lives: list[Life], count: int) -> None:
    await await_until(lambda: len(lives) >= count, seconds=20, what=f"{count} lives")


async def greet(peer: Peer) -> None:
    await peer.upgrade()
    await peer.ready()


async def converse(peer: Peer, conversations: int) -> None:
    """Answer so many messages with five events each, numbered through."""
    for turn in range(conversations):
        run = (await peer.message())["run_id"]
        for event in run_of(run):
            event["seq"] += 5 * turn
            if "last_seq" in event:
                event["last_seq"] += 5 * turn
            await peer.say(**event)


def talking(conversations: int, end: Callable[[Peer], object] | None = None) -> Behaviour:
    """A peer that answers so many messages, then ends the connection in its way; without one it hangs up."""

    async def behave(peer: Peer) -> None:
        await greet(peer)
        await converse(peer, conversations)
        if end is not None:
            done = end(peer)
            if asyncio.iscoroutine(done):
                await done

    return behave


async def test_a_resident_converses_again_and_again_and_leaves_with_1000() -> None:
    server = ChatServer()
    async with server.run(), kept(server.url, Stay(0.5, 0.05)) as (_, lives):
        await until(lives, 1)
        await await_until(lambda: server.close_codes, what="the server saw our close")
    life = lives[0]
    assert (life.ending, life.closed_by, life.close_code) == (Ending.PLANNED, "us", 1000)
    assert life.conversations_ok >= 3
    assert life.conversations_failed == 0
    assert life.events_delivered == life.events_expected == 5 * life.conversations_ok
    assert life.lifetime_us >= 500_000
    runs = [message["run_id"] for message in server.received if message["type"] == "user_message"]
    assert len(set(runs)) == len(runs)
    assert server.close_codes[0] == 1000
    assert life.flags_revision == 7


async def test_after_a_planned_end_the_next_life_begins_and_its_start_is_no_reconnect() -> None:
    server = ChatServer()
    async with server.run(), kept(server.url, Stay(0.2, 0.05)) as (_, lives):
        await until(lives, 2)
    assert [life.reconnect_us for life in lives[:2]] == [None, None]
    assert lives[0].started < lives[1].started


async def test_a_deployment_says_1012_and_the_time_to_reconnect_is_the_next_lifes() -> None:
    deploying = talking(2, lambda peer: peer.close_frame(1012, "deploy"))
    async with hostile(deploying) as url, kept(url, Stay(60, 0.05)) as (_, lives):
        await until(lives, 2)
    life = lives[0]
    assert (life.ending, life.closed_by, life.close_code, life.reason) == (Ending.CLOSED, "peer", 1012, "deploy")
    assert (life.conversations_ok, life.conversations_failed, life.events_lost) == (2, 0, 0)
    assert told(lives)[0].cut is Cut.RESTART
    assert lives[0].reconnect_us is None
    assert (lives[1].reconnect_us or 0) > 0


@pytest.mark.parametrize(
    ("end", "ending"), [(lambda _: None, Ending.DROPPED), (Peer.reset, Ending.RESET)], ids=["FIN", "RST"]
)
async def test_a_connection_that_ends_without_a_close_frame(end: Callable[[Peer], object], ending: Ending) -> None:
    async with hostile(talking(1, end)) as url, kept(url, Stay(60, 5)) as (_, lives):
        await until(lives, 1)
    assert (lives[0].ending, lives[0].closed_by, lives[0].close_code) == (ending, "network", None)
    assert (lives[0].conversations_ok, lives[0].lost_in_cut) == (1, 0)


async def test_what_a_cut_ends_in_the_middle_is_lost_across_it() -> None:
    async def half(peer: Peer) -> None:
        await greet(peer)
        await converse(peer, 1)
        run = (await peer.message())["run_id"]
        for event in run_of(run)[:2]:
            await peer.say(**{**event, "seq": event["seq"] + 5})

    async with hostile(half) as url, kept(url, Stay(60, 0.05)) as (_, lives):
        await until(lives, 1)
    assert (lives[0].conversations_ok, lives[0].conversations_failed, lives[0].lost_in_cut) == (1, 0, 3)
    assert lives[0].events_lost == 0


async def test_an_age_limit_shows_in_three_lives_of_one_age() -> None:
    """What a balancer does: the connection ends after a fixed time, whatever is said meanwhile."""

    async def limited(peer: Peer) -> None:
        await greet(peer)
        with suppress(TimeoutError):
            async with asyncio.timeout(1.2):
                await converse(peer, 1000)

    async with hostile(limited) as url, kept(url, Stay(60, 0.1), count=2) as (_, lives):
        await until(lives, 6)
    causes = told(lives)
    assert {each.cut for each in causes if each.life.ending is Ending.DROPPED} == {Cut.AGE_LIMIT}
    limit = causes[0].limit_us
    assert limit is not None
    assert 1_100_000 < limit < 2_000_000


async def test_an_idle_limit_shows_where_nobody_outlives_a_silence() -> None:
    """The ages differ, the silence at the end does not."""
    notes = iter((1, 8, 16, 1, 1, 1))

    async def impatient(peer: Peer) -> None:
        await greet(peer)
        await converse(peer, 1)
        for _ in range(next(notes)):
            await peer.say(type="note")
            await asyncio.sleep(0.05)
        with suppress(TimeoutError):
            async with asyncio.timeout(0.8):
                await peer.silence()

    async with hostile(impatient) as url, kept(url, Stay(60, 5), deadline_s=2.0) as (_, lives):
        await until(lives, 3)
    causes = told(lives[:3])
    assert {each.cut for each in causes} == {Cut.IDLE_LIMIT}
    assert causes[0].limit_us is not None
    assert 700_000 < causes[0].limit_us < 1_500_000


async def test_a_path_that_swallows_everything_is_half_open_and_we_cut_it() -> None:
    async with hostile(talking(1, Peer.silence)) as url, kept(url, Stay(60, 0.05), deadline_s=0.4) as (_, lives):
        await until(lives, 1)
    life = lives[0]
    assert (life.ending, life.closed_by) == (Ending.SILENT, "us")
    assert "not even a pong" in life.reason
    assert life.lost_in_cut == 5
    assert told([life])[0].cut is Cut.HALF_OPEN


async def test_a_server_that_hangs_is_half_open_until_it_goes_on() -> None:
    """A stopped process: its kernel still acknowledges, and accepts, and nobody answers."""
    with chat_service(processes=1) as (url, process):
        async with kept(f"{url}/ws/chat", Stay(60, 0.05), deadline_s=0.5) as (residents, lives):
            await await_until(lambda: residents.standings()[Standing.IDLE] == 1, what="an idle resident")
            process.send_signal(signal.SIGSTOP)
            try:
                await until(lives, 1)
                tried = lambda: any(one.attempts > 1 for one in residents.present())  # noqa: E731 - between two lives none
                await await_until(tried, seconds=20, what="a failed attempt")
                assert [one.failure for one in residents.present()] == ["upgrade_timeout"]
            finally:
                process.send_signal(signal.SIGCONT)
            await await_until(lambda: residents.present()[0].ready_us, seconds=20, what="a life that is ready again")
            assert (residents.present()[0].reconnect_us or 0) > 500_000
    assert lives[0].ending is Ending.SILENT


async def test_an_application_that_is_silent_behind_a_server_that_pongs_is_not_half_open() -> None:
    """The connection lives, the conversation fails: another thing to look for."""
    server = ChatServer(answer=lambda run: run_of(run) if len(server.received) < 3 else [])
    async with server.run(), kept(server.url, Stay(60, 0.05), deadline_s=0.3) as (residents, lives):
        await await_until(
            lambda: any(each.conversations_failed >= 2 for each in residents.present()), what="two failures"
        )
        assert lives == []
        present = residents.present()[0]
    assert present.ending is Ending.LIVING
    assert present.events_lost == 5 * present.conversations_failed


async def test_a_gap_in_the_numbers_is_a_loss_also_between_two_conversations() -> None:
    async def forgetful(peer: Peer) -> None:
        await greet(peer)
        await converse(peer, 1)
        run = (await peer.message())["run_id"]
        for event in run_of(run):
            event["seq"] += 6
            if "last_seq" in event:
                event["last_seq"] += 6
            await peer.say(**event)
        await peer.silence()

    async with hostile(forgetful) as url, kept(url, Stay(60, 0.05), deadline_s=0.5) as (_, lives):
        await until(lives, 1)
    assert (lives[0].conversations_ok, lives[0].conversations_failed, lives[0].events_lost) == (1, 1, 1)


async def test_a_server_that_numbers_each_run_from_one_loses_nothing() -> None:
    server = ChatServer()  # numbers each run from 1
    async with server.run(), kept(server.url, Stay(0.4, 0.05)) as (_, lives):
        await until(lives, 1)
    assert lives[0].conversations_ok >= 3
    assert lives[0].events_lost == 0


async def test_while_a_server_is_down_one_life_counts_the_attempts() -> None:
    behave = talking(100)
    refusals = iter((True, True, True))

    async def sometimes(peer: Peer) -> None:
        if next(refusals, False):
            await peer.answer("503 Service Unavailable")
        else:
            await behave(peer)

    async with hostile(sometimes) as url, kept(url, Stay(60, 0.05)) as (residents, lives):
        await await_until(lambda: any(each.ready_us for each in residents.present()), what="a life that is ready")
        present = residents.present()[0]
        assert lives == []
    assert (present.attempts, present.failure) == (4, "upgrade_rejected")


async def test_a_resident_that_is_dropped_leaves_with_1000_and_charges_nobody() -> None:
    server = ChatServer()
    async with server.run(), kept(server.url, Stay(60, 0.05), count=3) as (residents, lives):
        await await_until(lambda: residents.standings()[Standing.IDLE] == 3, what="three idle residents")
        await residents.drop(1, "no longer wanted")
        assert [life.number for life in lives] == [1]
        assert 1 not in residents
    await await_until(lambda: server.close_codes == [1000] * 3, what="three closes with 1000")
    assert {life.ending for life in lives} == {Ending.STOPPED}
    assert not any(each.cut.charged for each in told(lives))
    assert {life.reason for life in lives} == {"no longer wanted", "the prober stopped"}


async def test_a_resident_lives_over_tls_and_ends_politely(certificates: Authority) -> None:
    server, lives = ChatServer(), list[Life]()
    residents = Residents(lives.append, policy=Policy(allow_private=True))
    async with server.run(certificates.server_context()), residents as kept:
        spec = TargetSpec(7, "target", server.url, 2.0, ca_pem=certificates.pem)
        kept.keep(0, spec, Stay(0.4, 0.05), 0)
        await until(lives, 1)
    assert (lives[0].ending, lives[0].closed_by) == (Ending.PLANNED, "us")
    assert lives[0].conversations_ok >= 3


async def test_a_server_that_breaks_the_protocol_is_cut() -> None:
    breaking = talking(1, lambda peer: peer.send(b"\xf3\x00"))
    async with hostile(breaking) as url, kept(url, Stay(60, 5)) as (_, lives):
        await until(lives, 1)
    assert (lives[0].ending, lives[0].closed_by) == (Ending.BROKEN, "us")
    assert told(lives)[0].cut is Cut.BROKEN


async def test_a_target_that_only_listens_is_held_and_pinged() -> None:
    server = ChatServer()
    script = Script(trigger="", events=())
    async with server.run(), kept(server.url, Stay(0.4, 0.05), script=script) as (_, lives):
        await until(lives, 1)
    assert lives[0].ending is Ending.PLANNED
    assert lives[0].conversations_ok >= 2
    assert {message["type"] for message in server.received} == {"ready_ack"}


def test_waits_between_failures_grow_to_a_cap() -> None:
    backoff = Backoff(first_s=0.5, most_s=30.0)
    waits = [backoff.wait_s(failures, 1.0) for failures in (0, 1, 2, 3, 7, 10_000)]
    assert waits == [0.0, 0.5, 1.0, 2.0, 30.0, 30.0]
    assert backoff.wait_s(3, 0.0) == 1.0
