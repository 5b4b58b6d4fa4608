"""Residents in workers, with a real Redis and a real server: each runs once, moves, and ends when it is not wanted."""

import asyncio
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import redis

from probes.credentials import seal
from probes.engine.lives import Ending
from probes.leases import Leases
from probes.lives_stream import LifeEntry, decode_life
from probes.models import Target
from probes.pausing import pause, resume
from probes.resident_loop import Room
from probes.results_stream import STREAM
from probes.wishes import key_of, offer, read_wishes
from tests.support.chat_server import ChatServer
from tests.support.outcomes import stored_target
from tests.support.resident_loops import Loops
from tests.support.separate import ROOT
from tests.support.waiting import wait_until

pytestmark = pytest.mark.django_db(transaction=True)


class Watched(ChatServer):
    """Counts who is connected."""

    opened = 0
    closed = 0

    async def _talk(self, connection: Any) -> None:
        self.opened += 1
        try:
            await super()._talk(connection)
        finally:
            self.closed += 1

    @property
    def connected(self) -> int:
        return self.opened - self.closed


@contextmanager
def served() -> Iterator[Watched]:
    """A server in a thread of its own."""
    server, started, ended = Watched(), threading.Event(), threading.Event()

    async def run() -> None:
        async with server.run():
            started.set()
            await asyncio.to_thread(ended.wait)

    thread = threading.Thread(target=asyncio.run, args=(run(),), daemon=True)
    thread.start()
    assert started.wait(10)
    try:
        yield server
    finally:
        ended.set()
        thread.join(20)


@pytest.fixture
def server() -> Iterator[Watched]:
    with served() as server:
        yield server


@pytest.fixture
def loops(redis_url: str, redis_client: "redis.Redis") -> Iterator[Loops]:
    loops = Loops(redis_url)
    yield loops
    loops.stop()


def wanted(server: Watched, count: int, **fields: Any) -> Target:
    target = stored_target(url=server.url, residents=count, **fields)
    # The form's shortest pause is a second.
    Target.objects.filter(pk=target.pk).update(resident_every_s=1, resident_hold_s=3600)
    return target


def lives(client: "redis.Redis") -> list[LifeEntry]:
    entries: Any = client.xrange(STREAM)
    return [decode_life(fields["o"]) for _, fields in entries]


def ended(client: "redis.Redis") -> list[LifeEntry]:
    return [entry for entry in lives(client) if entry.life.ending is not Ending.LIVING]


def test_two_workers_keep_each_resident_once(server: Watched, loops: Loops, redis_client: "redis.Redis") -> None:
    wanted(server, 6)
    offer(redis_client)
    one, other = loops.start(), loops.start()
    wait_until(lambda: server.connected == 6, seconds=20, what="six connections")
    wait_until(lambda: len(one.kept) + len(other.kept) == 6, seconds=20, what="six kept")
    assert not one.kept & other.kept
    assert server.opened == 6


def test_a_worker_takes_no_more_than_it_has_room_for(
    server: Watched, loops: Loops, redis_client: "redis.Redis"
) -> None:
    wanted(server, 5)
    offer(redis_client)
    first = loops.start(Room(residents=2, buffer=100, stream_length=1000))
    wait_until(lambda: server.connected == 2, seconds=20, what="two connections")
    second = loops.start(Room(residents=50, buffer=100, stream_length=1000))
    wait_until(lambda: server.connected == 5, seconds=20, what="five connections")
    assert (len(first.kept), len(second.kept)) == (2, 3)


def test_the_residents_of_a_killed_worker_go_to_another(
    server: Watched, loops: Loops, redis_client: "redis.Redis", redis_url: str
) -> None:
    wanted(server, 3)
    offer(redis_client)
    command = [sys.executable, "-m", "tests.support.resident_worker", redis_url]
    with subprocess.Popen(command, cwd=ROOT) as doomed:
        try:
            wait_until(lambda: server.connected == 3, seconds=60, what="three connections")
            other = loops.start()
            assert other.kept == frozenset()
        finally:
            doomed.kill()
        offer(redis_client)
        wait_until(lambda: len(other.kept) == 3, seconds=20, what="three moved")
    wait_until(lambda: server.connected == 3, seconds=20, what="three connections again")


def test_a_worker_that_stops_leaves_with_1000_says_so_and_gives_its_leases_up(
    server: Watched, loops: Loops, redis_client: "redis.Redis"
) -> None:
    target = wanted(server, 2)
    offer(redis_client)
    loop = loops.start()
    wait_until(lambda: server.connected == 2, seconds=20, what="two connections")
    loop.stop(10)
    wait_until(lambda: server.close_codes == [1000, 1000], seconds=20, what="both closed with 1000")
    assert {(entry.life.target_id, entry.life.ending) for entry in ended(redis_client)} == {(target.pk, Ending.STOPPED)}
    assert redis_client.keys("readywire:resident:*") == []


def test_a_paused_target_has_no_residents_until_it_is_resumed(
    server: Watched, loops: Loops, redis_client: "redis.Redis"
) -> None:
    target = wanted(server, 2)
    offer(redis_client)
    loops.start()
    wait_until(lambda: server.connected == 2, seconds=20, what="two connections")
    pause(target, "Rosa", None, "because of a test")
    offer(redis_client)
    wait_until(lambda: server.connected == 0, seconds=20, what="none")
    resume(target, "Rosa")
    offer(redis_client)
    wait_until(lambda: server.connected == 2, seconds=20, what="two connections again")


def test_fewer_residents_end_the_surplus_and_leave_the_others_alone(
    server: Watched, loops: Loops, redis_client: "redis.Redis"
) -> None:
    target = wanted(server, 4)
    offer(redis_client)
    loop = loops.start()
    wait_until(lambda: server.connected == 4, seconds=20, what="four connections")
    Target.objects.filter(pk=target.pk).update(residents=1)
    offer(redis_client)
    wait_until(lambda: server.connected == 1, seconds=20, what="one connection")
    assert loop.kept == {(target.pk, 0)}
    assert server.opened == 4


def test_an_edited_target_has_its_residents_anew(server: Watched, loops: Loops, redis_client: "redis.Redis") -> None:
    target = wanted(server, 1)
    offer(redis_client)
    loops.start()
    wait_until(lambda: server.connected == 1, seconds=20, what="one connection")
    Target.objects.filter(pk=target.pk).update(credentials=seal({"headers": {"X-Tenant": "7"}}))
    offer(redis_client)
    wait_until(lambda: server.opened == 2 and server.connected == 1, seconds=20, what="another connection")
    assert server.requests[-1]["X-Tenant"] == "7"


def test_a_wish_that_nobody_writes_any_more_ends_its_residents(
    server: Watched, loops: Loops, redis_client: "redis.Redis"
) -> None:
    wanted(server, 1)
    offer(redis_client)
    loops.start()
    wait_until(lambda: server.connected == 1, seconds=20, what="one connection")
    redis_client.delete(key_of("local"))
    wait_until(lambda: server.connected == 0, seconds=20, what="none")


def test_what_lives_is_published_once_in_a_while(server: Watched, loops: Loops, redis_client: "redis.Redis") -> None:
    target = wanted(server, 1)
    offer(redis_client)
    loops.start()
    wait_until(lambda: len(lives(redis_client)) >= 4, seconds=20, what="reports")
    entries = lives(redis_client)
    assert {(entry.location, entry.life.target_id, entry.life.ending) for entry in entries} == {
        ("local", target.pk, Ending.LIVING)
    }
    assert len({entry.identity for entry in entries}) == 1
    assert entries[-1].life.supersedes(entries[0].life)


def test_credentials_that_this_worker_cannot_read_keep_nobody_else_from_theirs(
    server: Watched, loops: Loops, redis_client: "redis.Redis"
) -> None:
    sealed_elsewhere = wanted(server, 1, slug="sealed-elsewhere")
    Target.objects.filter(pk=sealed_elsewhere.pk).update(credentials="gAAAA-not-ours")
    mine = wanted(server, 1)
    offer(redis_client)
    loop = loops.start()
    wait_until(lambda: loop.kept == {(mine.pk, 0)}, seconds=20, what="the other is kept")
    assert redis_client.keys(f"readywire:resident:local:{sealed_elsewhere.pk}:*") == []


def test_credentials_travel_sealed(redis_client: "redis.Redis") -> None:
    stored_target(residents=1, credentials=seal({"token": "opensesame"}))
    assert offer(redis_client) == 1
    text: Any = redis_client.get(key_of("local"))
    assert "opensesame" not in text
    [wish] = read_wishes(text).values()
    assert wish.spec().token == "opensesame"


def test_a_lease_belongs_to_one_and_ends_with_whoever_does_not_renew_it(redis_client: "redis.Redis") -> None:
    mine, other = Leases(redis_client, "local", "a", 30.0), Leases(redis_client, "local", "b", 30.0)
    assert mine.take([(1, 0), (1, 1)]) == [(1, 0), (1, 1)]
    assert other.take([(1, 1), (1, 2)]) == [(1, 2)]
    assert other.renew([(1, 1), (1, 2)]) == [(1, 1)]
    other.release([(1, 1)])
    assert mine.renew([(1, 0), (1, 1)]) == []
    redis_client.delete("readywire:resident:local:1:0")
    assert mine.renew([(1, 0)]) == []
    assert other.take([(1, 0)]) == []
