"""The worker's loop: starts probes at their slots, bounds them, and publishes what they found, on real sockets."""

import json
import os
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import redis

from probes.engine.client import Prober
from probes.engine.guardrails import Policy
from probes.engine.outcome import FailureKind, Outcome
from probes.engine.script import Script, TargetSpec
from probes.results_stream import STREAM, WORKERS, Entry, decode
from probes.worker_loop import LATEST_START_SECONDS, Capacity, Counts, ProbeLoop, Runner
from tests.support.chat import chat_server
from tests.support.gate import gated
from tests.support.waiting import wait_until

CAPACITY = Capacity(in_flight=500, buffer=1000, stream_length=10_000)


@asynccontextmanager
async def real_prober() -> AsyncIterator[Runner]:
    async with Prober(policy=Policy(allow_private=True)) as prober:

        async def run(spec: TargetSpec, intended: float, success_frames: bool) -> Outcome:
            return await prober.probe(spec, intended=intended, success_frames=success_frames)

        yield run


@pytest.fixture(scope="module")
def chat() -> Iterator[str]:
    with chat_server() as url:
        yield url


class Loops:
    """Starts loops, and ends them with the test."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.running: list[ProbeLoop] = []

    def start(self, capacity: Capacity = CAPACITY, prober: Any = real_prober, url: str = "") -> ProbeLoop:
        loop = ProbeLoop("local", url or self.url, capacity, prober)
        loop.start()
        self.running.append(loop)
        return loop


@pytest.fixture
def loops(redis_url: str, redis_client: "redis.Redis") -> Iterator[Loops]:
    loops = Loops(redis_url)
    yield loops
    for loop in loops.running:
        loop.stop(0)


def message(target_id: int, url: str, deadline_ms: int = 2000) -> dict[str, Any]:
    return {"target_id": target_id, "slug": f"t{target_id}", "url": url, "deadline_ms": deadline_ms,
            "script": Script().to_json(), "credentials": ""}  # fmt: skip


def batch(targets: list[dict[str, Any]], *instants: float) -> dict[str, Any]:
    slots = sorted([int(at * 1e6), target["target_id"]] for at in instants for target in targets)
    return {"location": "local", "slots": slots, "targets": {str(target["target_id"]): target for target in targets}}


def published(client: "redis.Redis") -> list[Entry]:
    entries: Any = client.xrange(STREAM)
    return [decode(fields["o"]) for _, fields in entries]


def heartbeat(client: "redis.Redis", loop: ProbeLoop) -> dict[str, Any]:
    found: Any = wait_until(lambda: client.hget(WORKERS, loop.name), what="a heartbeat")
    state: dict[str, Any] = json.loads(found)
    return state


def test_each_slot_is_probed_at_its_instant_and_its_outcome_published(
    loops: Loops, redis_client: "redis.Redis", chat: str
) -> None:
    soon = time.time() + 0.3
    loops.start().submit(batch([message(1, chat), message(2, chat)], soon, soon + 0.4))
    wait_until(lambda: len(published(redis_client)) == 4, what="four outcomes")
    found = published(redis_client)
    assert {(entry.target_id, round(entry.slot.timestamp(), 3)) for entry in found} == {
        (target, round(at, 3)) for target in (1, 2) for at in (soon, soon + 0.4)
    }
    assert [entry.outcome.kind for entry in found] == [None] * 4
    assert all(0 <= entry.outcome.start_delay_us < 500_000 for entry in found)


def test_a_batch_delivered_twice_is_probed_once(loops: Loops, redis_client: "redis.Redis", chat: str) -> None:
    """The second time before the slot, and once more while it could still be started."""
    loop, soon = loops.start(), time.time() + 0.2
    for _ in range(2):
        loop.submit(batch([message(1, chat)], soon))
    wait_until(lambda: published(redis_client), what="the outcome")
    loop.submit(batch([message(1, chat)], soon))
    loop.submit(batch([message(2, chat)], time.time() + 0.3))
    wait_until(lambda: any(entry.target_id == 2 for entry in published(redis_client)), what="the last outcome")
    assert [entry.target_id for entry in published(redis_client)] == [1, 2]


def test_a_slot_that_passed_is_left_to_be_missed(loops: Loops, redis_client: "redis.Redis", chat: str) -> None:
    loop = loops.start()
    loop.submit(batch([message(1, chat)], time.time() - LATEST_START_SECONDS - 1))
    loop.submit(batch([message(2, chat)], time.time()))
    wait_until(lambda: published(redis_client), what="the outcome of the slot that is due")
    assert [entry.target_id for entry in published(redis_client)] == [2]
    assert loop.counts.late == 1


def test_what_exceeds_the_capacity_is_counted_and_never_run_late(
    loops: Loops, redis_client: "redis.Redis", chat: str
) -> None:
    """Two in flight at once, five due at once: three are left to be missed, and the heartbeat says so."""
    loop = loops.start(Capacity(in_flight=2, buffer=1000, stream_length=1000))
    loop.submit(batch([message(n, f"{chat}/silent", 400) for n in range(5)], time.time()))
    wait_until(lambda: len(published(redis_client)) == 2, what="two outcomes")
    assert {entry.outcome.kind for entry in published(redis_client)} == {FailureKind.NOT_READY}
    wait_until(lambda: heartbeat(redis_client, loop)["over_capacity"] == 3, what="the heartbeat")
    assert heartbeat(redis_client, loop)["exceeded"] == 3


def test_a_worker_says_for_a_minute_that_it_could_not_keep_up() -> None:
    """With how many slots it left out since that began; a later shortage is counted anew."""
    counts = Counts()
    assert counts.to_json(1000.0)["exceeded"] == 0
    for at in (1000.0, 1030.0, 1080.0):
        counts.exceed(at)
    told = counts.to_json(1139.0)
    assert (told["exceeded"], told["exceeded_since"]) == (3, "1970-01-01T00:16:40+00:00")
    assert counts.to_json(1141.0)["exceeded"] == 0
    counts.exceed(1200.0)
    assert counts.to_json(1200.0)["exceeded"] == 1


def test_silent_targets_do_not_delay_the_others(loops: Loops, redis_client: "redis.Redis", chat: str) -> None:
    """Fifty of a hundred accept and say nothing, for three rounds a second apart.

    Each holds its socket until its deadline; the others start on time all the same: their delays are those of the
    silent ones in the same run, and all answer.
    """
    honest = [message(n, chat, 3000) for n in range(50)]
    quiet = [message(n, f"{chat}/silent", 3000) for n in range(50, 100)]
    soon = time.time() + 0.5
    loops.start().submit(batch(honest + quiet, soon, soon + 1, soon + 2))
    wait_until(lambda: len(published(redis_client)) == 300, seconds=60, what="three hundred outcomes")
    delays: dict[bool, list[int]] = {True: [], False: []}
    for entry in published(redis_client):
        answers = entry.target_id < 50
        # Where this machine stood still for most of a deadline, the probe says that it is ours, and blames no target.
        expected = {None} if answers else {FailureKind.NOT_READY}
        assert entry.outcome.kind in {*expected, FailureKind.PROBE_ERROR}
        delays[answers].append(entry.outcome.start_delay_us)
    median = {answers: sorted(found)[75] for answers, found in delays.items()}
    assert median[True] < 3 * median[False] + 100_000
    assert max(delays[True]) < 1_000_000


def test_outcomes_are_kept_while_redis_is_away_and_the_oldest_go_first(
    loops: Loops, redis_client: "redis.Redis", redis_url: str
) -> None:
    """Redis stops answering, forty outcomes come, thirty fit."""

    @asynccontextmanager
    async def instant() -> AsyncIterator[Runner]:
        async def run(spec: TargetSpec, intended: float, success_frames: bool) -> Outcome:
            return Outcome()

        yield run

    with gated(redis_url) as (url, gate):
        loop = loops.start(Capacity(in_flight=100, buffer=30, stream_length=1000), instant, url)
        heartbeat(redis_client, loop)
        gate.close()
        start = time.time()
        loop.submit(batch([message(n, "ws://127.0.0.1:1/") for n in range(40)], start))
        wait_until(lambda: loop.dropped == 10, what="the oldest to go")
        gate.open()
        wait_until(lambda: len(published(redis_client)) == 30, seconds=15, what="the rest to arrive")


def test_a_stopping_worker_waits_for_probes_in_flight_and_publishes_them(
    loops: Loops, redis_client: "redis.Redis", chat: str
) -> None:
    loop = loops.start()
    heartbeat(redis_client, loop)
    soon = time.time() + 0.1
    loop.submit(batch([message(1, f"{chat}/silent", 3000)], soon))
    loop.submit(batch([message(2, chat)], soon + 30))
    wait_until(lambda: heartbeat(redis_client, loop)["in_flight"] == 1, what="the probe in flight")
    loop.stop(10)
    assert {entry.target_id for entry in published(redis_client)} == {1}
    assert not redis_client.hexists(WORKERS, loop.name)


def test_a_stopping_worker_does_not_wait_longer_than_told(loops: Loops, redis_client: "redis.Redis", chat: str) -> None:
    loop = loops.start()
    heartbeat(redis_client, loop)
    loop.submit(batch([message(1, f"{chat}/silent", 60_000)], time.time() + 0.1))
    wait_until(lambda: heartbeat(redis_client, loop)["in_flight"] == 1, what="the probe in flight")
    before = time.monotonic()
    loop.stop(0.2)
    assert time.monotonic() - before < 30
    assert published(redis_client) == []


def test_a_probe_that_breaks_is_our_error_and_stops_nobody(loops: Loops, redis_client: "redis.Redis") -> None:
    @asynccontextmanager
    async def broken() -> AsyncIterator[Runner]:
        async def run(spec: TargetSpec, intended: float, success_frames: bool) -> Outcome:
            if spec.target_id == 1:
                raise RuntimeError("a bug of ours")
            return Outcome()

        yield run

    loops.start(prober=broken).submit(batch([message(n, "ws://127.0.0.1:1/") for n in (1, 2)], time.time()))
    wait_until(lambda: len(published(redis_client)) == 2, what="both outcomes")
    kinds = {entry.target_id: entry.outcome.kind for entry in published(redis_client)}
    assert kinds == {1: FailureKind.PROBE_ERROR, 2: None}
    assert "a bug of ours" in next(e.outcome.detail for e in published(redis_client) if e.target_id == 1)


def test_credentials_of_another_key_are_our_error_with_the_cure(loops: Loops, redis_client: "redis.Redis") -> None:
    sealed = {**message(1, "ws://127.0.0.1:1/"), "credentials": "gAAAAABnot-ours"}
    loops.start().submit(batch([sealed], time.time()))
    wait_until(lambda: published(redis_client), what="the outcome")
    outcome = published(redis_client)[0].outcome
    assert outcome.kind is FailureKind.PROBE_ERROR
    assert "SECRET_KEY" in outcome.detail


def test_the_heartbeat_tells_where_the_worker_is_and_how_far_its_clock(
    loops: Loops, redis_client: "redis.Redis"
) -> None:
    """Redis runs on this machine: the clocks differ by the round trip at most."""
    state = heartbeat(redis_client, loops.start())
    assert state["location"] == "local"
    assert abs(state["clock_offset_us"]) < 1_000_000
    assert {"at", "in_flight", "lag_us", "over_capacity", "late", "waiting", "dropped"} < set(state)
    names: Any = redis_client.hkeys(WORKERS)
    assert str(os.getpid()) in names[0]
