"""Race checks in a worker's loop, on real sockets and a real Redis: bounded, beside slots, always after them."""

import json
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
import redis

from probes.engine.outcome import FailureKind, Outcome
from probes.engine.script import Script, TargetSpec
from probes.race_check_loop import CANCELLED_KEY
from probes.race_checks import Assignment, Ending, Entry, Request, is_entry
from probes.results_stream import STREAM, decode
from probes.worker_loop import Capacity, Runner
from tests.probes.test_worker_loop import Loops, batch, message
from tests.support.chat import chat_server
from tests.support.chat_server import ChatServer, run_of, serving
from tests.support.waiting import await_until, wait_until


@pytest.fixture(scope="module")
def chat() -> Iterator[str]:
    with chat_server() as url:
        yield url


@pytest.fixture
def loops(redis_url: str, redis_client: "redis.Redis") -> Iterator[Loops]:
    loops = Loops(redis_url)
    yield loops
    for loop in loops.running:
        loop.stop(0)


class Standing:
    """A prober whose probes last until they are let go; it knows how many run, and how many ever did."""

    def __init__(self) -> None:
        self.free = threading.Event()
        self.running: list[str] = []
        self.most = 0

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Runner]:
        async def run(spec: TargetSpec, intended: float, success_frames: bool) -> Outcome:
            self.running.append(spec.slug)
            self.most = max(self.most, len(self.running))
            try:
                await await_until(self.free.is_set, 60)
            finally:
                self.running.remove(spec.slug)
            return Outcome()

        yield run


def assignment(url: str, *, check_id: int = 7, per_second: float = 1000, **fields: Any) -> Assignment:
    request = Request(**{"count": 40, "at_once": 8, "early_send": False, **fields})
    return Assignment(check_id, request, per_second, {**message(1, url), "slug": "checked"})


def told(client: "redis.Redis") -> list[Entry]:
    entries: Any = client.xrange(STREAM)
    return [Entry.from_text(fields["o"]) for _, fields in entries if is_entry(fields["o"])]


def ended(client: "redis.Redis", seconds: float = 30) -> Entry:
    found = wait_until(lambda: [each for each in told(client) if each.ending], seconds=seconds, what="the report")
    assert len(found) == 1
    return found[0]


def slots(client: "redis.Redis") -> list[int]:
    entries: Any = client.xrange(STREAM)
    return [decode(fields["o"]).target_id for _, fields in entries if not is_entry(fields["o"])]


def test_a_check_probes_as_often_as_asked_and_tells_what_it_found(
    loops: Loops, redis_client: "redis.Redis", chat: str
) -> None:
    """Nothing of it is a result of a slot."""
    loop = loops.start()
    loop.check(assignment(chat))
    last = ended(redis_client)
    assert (last.ending, last.done, last.failed) == (Ending.DONE, 40, 0)
    assert last.report
    assert (last.report.probes, last.report.expected, last.report.undelivered) == (40, 200, 0)
    assert last.report.percentile_us("race_window", 50) > 0
    assert last.worker == loop.name
    assert told(redis_client)[0].done == 0
    assert slots(redis_client) == []


def test_a_check_delivered_twice_runs_once(loops: Loops, redis_client: "redis.Redis") -> None:
    standing = Standing()
    loop = loops.start(prober=standing.open)
    for _ in range(2):
        loop.check(assignment("ws://127.0.0.1:1/", count=3, at_once=3))
    wait_until(lambda: len(standing.running) == 3, what="three probes")
    standing.free.set()
    assert ended(redis_client).done == 3
    assert standing.most == 3


def test_the_race_is_found_with_its_transcripts_and_without_secrets(loops: Loops, redis_client: "redis.Redis") -> None:
    """A service that loses what comes first, of every second client."""
    firsts: list[str] = []

    def deaf_at_first(run_id: str) -> list[dict[str, Any]]:
        if run_id.endswith("-control"):
            return run_of(run_id)
        firsts.append(run_id)
        return [] if len(firsts) % 2 else run_of(run_id)

    with serving(ChatServer(answer=deaf_at_first)) as server:
        script = Script.from_json({"query": {"token": "tell-nobody"}}).to_json()
        spec = {**message(1, server.url, 1000), "script": script}
        loops.start().check(Assignment(7, Request(20, 5, early_send=True), 1000, spec))
        report = ended(redis_client).report
    assert report
    assert (report.race, report.kinds) == (10, {"accept_race": 10})
    assert report.samples[0]["kind"] == "accept_race"
    assert report.samples[0]["frames"]
    assert "tell-nobody" not in json.dumps(report.to_json())
    assert report.served == [("dependency_gate", 7, 20)]


def test_probes_together_never_exceed_the_workers_capacity(loops: Loops, redis_client: "redis.Redis") -> None:
    standing = Standing()
    loop = loops.start(Capacity(in_flight=5, buffer=1000, stream_length=1000), standing.open)
    for check_id in (1, 2):
        loop.check(assignment("ws://127.0.0.1:1/", check_id=check_id, count=20, at_once=20))
    wait_until(lambda: len(standing.running) == 5, what="a full worker")
    standing.free.set()
    wait_until(lambda: len([each for each in told(redis_client) if each.ending]) == 2, what="both reports")
    assert standing.most == 5


def test_a_slot_starts_first_in_a_worker_that_checks_filled(loops: Loops, redis_client: "redis.Redis") -> None:
    """Three slots come while five checking probes fill it: three of them go, and are run again later."""
    standing = Standing()
    loop = loops.start(Capacity(in_flight=5, buffer=1000, stream_length=1000), standing.open)
    loop.check(assignment("ws://127.0.0.1:1/", count=6, at_once=6))
    wait_until(lambda: standing.running == ["checked"] * 5, what="a full worker")
    loop.submit(batch([message(n, "ws://127.0.0.1:1/") for n in (11, 12, 13)], time.time()))
    wait_until(lambda: sorted(standing.running) == ["checked", "checked", "t11", "t12", "t13"], what="the slots")
    assert loop.counts.over_capacity == 0
    standing.free.set()
    assert ended(redis_client).done == 6
    wait_until(lambda: sorted(slots(redis_client)) == [11, 12, 13], what="the slots' outcomes")


def test_a_check_that_never_finds_room_ends_and_says_why(
    loops: Loops, redis_client: "redis.Redis", monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that its slots fill: the check waits for twice the longest time it should take."""
    monkeypatch.setattr("probes.race_check_loop.GRACE_SECONDS", 0.2)
    standing = Standing()
    loop = loops.start(Capacity(in_flight=2, buffer=1000, stream_length=1000), standing.open)
    loop.submit(batch([message(n, "ws://127.0.0.1:1/") for n in (11, 12)], time.time()))
    wait_until(lambda: len(standing.running) == 2, what="a full worker")
    asked = assignment("ws://127.0.0.1:1/", count=3, at_once=3)
    loop.check(replace(asked, target={**asked.target, "deadline_ms": 100}))
    last = ended(redis_client)
    assert (last.ending, last.done) == (Ending.CROWDED, 0)
    assert "had no room for it" in last.why


def test_slots_start_on_time_beside_a_check(loops: Loops, redis_client: "redis.Redis", chat: str) -> None:
    """Thirty slots while a check of silent probes stands, and while another one hurries: none is late or left out."""
    loop = loops.start()
    loop.check(assignment(f"{chat}/silent", check_id=1, count=50, at_once=50))
    loop.check(assignment(chat, check_id=2, count=400, at_once=20, per_second=200))
    soon = time.time() + 0.3
    loop.submit(batch([message(n, chat, 5000) for n in range(10)], soon, soon + 0.4, soon + 0.8))
    wait_until(lambda: len(slots(redis_client)) == 30, seconds=30, what="thirty outcomes")
    assert (loop.counts.late, loop.counts.over_capacity) == (0, 0)


def test_a_check_keeps_its_pace(loops: Loops, redis_client: "redis.Redis", chat: str) -> None:
    """Thirty probes at twenty a second take at least a second, however fast they answer."""
    loops.start().check(assignment(chat, count=30, at_once=30, per_second=20))
    report = ended(redis_client).report
    assert report
    assert report.seconds > 1.0


def test_a_cancelled_check_ends_soon_and_tells_what_it_found(
    loops: Loops, redis_client: "redis.Redis", chat: str
) -> None:
    """Its probes in flight are let go; those that ended count."""
    loops.start().check(assignment(chat, count=1000, at_once=5, per_second=20))
    wait_until(lambda: told(redis_client) and told(redis_client)[-1].done > 2, what="some progress")
    redis_client.set(CANCELLED_KEY.format(7), "1")
    last = ended(redis_client)
    assert last.ending is Ending.CANCELLED
    assert last.report
    assert 2 < last.report.probes == last.done < 1000


def test_a_stopping_worker_says_that_it_stopped(loops: Loops, redis_client: "redis.Redis", chat: str) -> None:
    loop = loops.start()
    loop.check(assignment(f"{chat}/silent", count=10))
    wait_until(lambda: told(redis_client), what="the check to begin")
    loop.stop(5)
    last = ended(redis_client)
    assert (last.ending, last.why) == (Ending.STOPPED, "Its worker was stopped before it was done.")


def test_a_target_that_this_worker_cannot_read_is_told_and_not_probed(
    loops: Loops, redis_client: "redis.Redis", chat: str
) -> None:
    """Credentials of another SECRET_KEY."""
    asked = assignment(chat)
    loops.start().check(Assignment(7, asked.request, 1000, {**asked.target, "credentials": "sealed-elsewhere"}))
    last = ended(redis_client)
    assert last.ending is Ending.REFUSED
    assert "another SECRET_KEY" in last.why


def test_our_own_breakage_is_charged_to_nobody(loops: Loops, redis_client: "redis.Redis") -> None:
    @asynccontextmanager
    async def broken() -> AsyncIterator[Runner]:
        async def run(spec: TargetSpec, intended: float, success_frames: bool) -> Outcome:
            raise OSError("too many open files")

        yield run

    loops.start(prober=broken).check(assignment("ws://127.0.0.1:1/", count=3))
    report = ended(redis_client).report
    assert report
    assert (report.ours, report.probes, report.kinds) == (3, 0, {FailureKind.PROBE_ERROR.value: 3})
