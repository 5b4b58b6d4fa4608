"""Killing the recorder or the worker at any instant: one row per slot or a visible miss, and rollups that add up."""

import random
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest
import redis
from django.db import connection
from django.utils import timezone

from probes.engine.outcome import Outcome
from probes.results_stream import GROUP, RECORDER, STREAM, WORKERS, Entry, encode
from tests.support.chat import chat_server
from tests.support.examples import times
from tests.support.outcomes import failure, success
from tests.support.separate import Separate
from tests.support.servers import free_port
from tests.support.waiting import wait_until

pytestmark = pytest.mark.django_db(transaction=True)
KILLS = times(4)
TARGETS = 5
CUT = {"closed_before_ready", "closed_early", "connection_reset"}
"""What a probe finds whose server dies under it: before ready, between the events, or before the 101."""


@pytest.fixture
def separate(redis_client: "redis.Redis", redis_url: str, tmp_path: Path) -> Separate:
    """A SQLite file of its own; on PostgreSQL the test's database, which other processes can reach."""
    settings = {"FLUSH_MILLISECONDS": "40", "FLUSH_OUTCOMES": "40", "MISSED_GRACE_SECONDS": "1"}
    url = f"sqlite:///{tmp_path / 'separate.sqlite3'}"
    if connection.vendor == "postgresql":
        to = connection.settings_dict
        url = f"postgres://{to['USER']}:{to['PASSWORD']}@{to['HOST']}:{to['PORT']}/{to['NAME']}"
    separate = Separate(url, redis_url, tmp_path, settings)
    separate.migrate()
    return separate


@pytest.fixture
def children() -> Iterator[list["subprocess.Popen[bytes]"]]:
    started: list[subprocess.Popen[bytes]] = []
    yield started
    for child in started:
        child.kill()
        child.wait(10)


def test_killing_the_recorder_at_random_instants_loses_and_doubles_nothing(
    separate: Separate, redis_client: "redis.Redis", children: list["subprocess.Popen[bytes]"]
) -> None:
    """Several times SIGKILL while outcomes stream in; every one is stored once, and rollups equal a recount."""
    chance = random.Random(20261120)
    later = (timezone.now() + timedelta(days=1)).isoformat()
    ids = separate.make_targets(TARGETS, active_since=later)
    base = timezone.now().replace(microsecond=0) - timedelta(hours=2)
    published = 0
    children.append(separate.recorder())
    for _ in range(KILLS):
        redis_client.delete("readywire:recorder")
        wait_until(lambda: redis_client.exists("readywire:recorder"), seconds=60, what="the recorder to work")
        for _ in range(chance.randrange(60, 400)):
            slot = base + timedelta(seconds=published // TARGETS)
            outcome: Outcome = failure() if published % 3 == 0 else success()
            one = Entry(ids[published % TARGETS], "local", slot, outcome)
            redis_client.xadd(STREAM, {"o": encode(one)})
            published += 1
        children[-1].kill()
        children[-1].wait(10)
        children.append(separate.recorder())
    wait_until(lambda: redis_client.xlen(STREAM) == 0, seconds=30, what="all to be recorded")
    report = separate.report()
    assert (report["rows"], report["equal"]) == (published, True)


@pytest.mark.postgresql
def test_two_recorders_share_the_work_and_one_takes_over_what_the_other_was_killed_with(
    separate: Separate, redis_client: "redis.Redis", children: list["subprocess.Popen[bytes]"]
) -> None:
    """On PostgreSQL more than one may run. Nothing is restarted here: the one that is left records it all, once."""
    later = (timezone.now() + timedelta(days=1)).isoformat()
    ids = separate.make_targets(TARGETS, active_since=later)
    children += [separate.recorder(), separate.recorder()]
    first, second = (child.pid for child in children)
    stream = Publishing(redis_client, ids)
    stream.until(lambda: {first, second} <= _pending(redis_client).keys(), "both read")
    # What the second found pending when it began may have been the first's.
    wait_until(lambda: redis_client.xlen(STREAM) == 0, seconds=60, what="all to be recorded")
    # It dies with entries that it took and did not acknowledge.
    stream.until(lambda: _caught(redis_client, children[0]), "the first took some")
    children[0].kill()
    children[0].wait(10)
    assert _pending(redis_client)[first] > 0
    stream.publish(500)
    wait_until(lambda: redis_client.xlen(STREAM) == 0, seconds=60, what="all to be recorded")
    report = separate.report()
    assert (report["rows"], report["missed"], report["equal"]) == (stream.published, 0, True)


class Publishing:
    """Outcomes of slots that follow each other, as a worker would publish them."""

    def __init__(self, client: "redis.Redis", ids: list[int]) -> None:
        self.published = 0
        self._client = client
        self._ids = ids
        self._base = timezone.now().replace(microsecond=0) - timedelta(hours=3)

    def publish(self, count: int) -> None:
        for _ in range(count):
            slot = self._base + timedelta(seconds=self.published // len(self._ids))
            outcome: Outcome = failure() if self.published % 3 == 0 else success()
            one = Entry(self._ids[self.published % len(self._ids)], "local", slot, outcome)
            self._client.xadd(STREAM, {"o": encode(one)})
            self.published += 1

    def until(self, condition: Callable[[], bool], what: str) -> None:
        """Publish until it holds."""

        def more() -> bool:
            self.publish(20)
            return condition()

        wait_until(more, seconds=60, what=what)


def _caught(client: "redis.Redis", recorder: "subprocess.Popen[bytes]") -> bool:
    """Stop it in the middle of a flush; where it was between two, let it go on."""
    recorder.send_signal(signal.SIGSTOP)
    wait_until(lambda: psutil.Process(recorder.pid).status() == psutil.STATUS_STOPPED, what="it stops")
    # Asked again and again: an acknowledgement may be on its way to Redis, which reads every socket between answers.
    if all(_pending(client)[recorder.pid] > 0 for _ in range(10)):
        return True
    recorder.send_signal(signal.SIGCONT)
    return False


def _pending(client: "redis.Redis") -> dict[int, int]:
    """How many entries each recorder took and did not acknowledge, by process id."""
    consumers: Any = client.xinfo_consumers(STREAM, GROUP) if client.exists(RECORDER) else []
    return {int(each["name"].rpartition(":")[2]): each["pending"] for each in consumers}


def test_a_service_that_is_killed_is_charged_with_the_right_kind_and_recovers(
    separate: Separate, redis_client: "redis.Redis", children: list["subprocess.Popen[bytes]"]
) -> None:
    """The real reference service, killed while probes wait for it to be ready; refused after that; then it is back."""
    port = str(free_port())
    service = ("-m", "connections.reference", "--environment", "staging", "--port", port)
    separate.make_targets(6, url=f"ws://127.0.0.1:{port}/ws/chat", interval_ms=500, deadline_ms=3000)
    children.append(separate.start(*service))
    with socket.socket() as sock:
        wait_until(lambda: sock.connect_ex(("127.0.0.1", int(port))) == 0, seconds=30, what="the service listens")
    children += [separate.worker(), separate.recorder(), separate.start("-m", "tests.support.ticking")]
    wait_until(lambda: set(separate.states().values()) == {"up"}, seconds=60, what="all up")
    children[0].kill()
    children[0].wait(10)
    wait_until(lambda: set(separate.states().values()) == {"down"}, seconds=60, what="all down")
    kinds = separate.kinds()
    assert kinds["connect_refused"] > 0
    assert CUT & kinds.keys()
    assert kinds.keys() <= {"", "missed", "connect_refused"} | CUT
    children.append(separate.start(*service))
    wait_until(lambda: set(separate.states().values()) == {"up"}, seconds=60, what="all up again")
    for child in children:
        child.kill()
        child.wait(10)
    assert separate.report()["equal"]


def test_a_worker_is_seen_before_its_first_batch(
    separate: Separate, redis_client: "redis.Redis", children: list["subprocess.Popen[bytes]"]
) -> None:
    """Pages know of a worker that has nothing to do yet, and its prober is ready when the first slot is due."""
    children.append(separate.worker())
    wait_until(lambda: redis_client.hlen(WORKERS) == 1, seconds=60, what="its heartbeat")


def test_a_scheduler_does_not_wait_for_beat_to_tick(
    separate: Separate, redis_client: "redis.Redis", children: list["subprocess.Popen[bytes]"]
) -> None:
    """Without any beat, the slots of the next seconds are in their location's queue once it has started."""
    separate.make_targets(3, interval_ms=250)
    options = ("--pool", "solo", "-Q", "tick", "--loglevel", "WARNING")
    children.append(separate.start("-m", "celery", "-A", "dashboard.celery", "worker", *options))
    wait_until(lambda: redis_client.llen("probes-local") > 0, seconds=60, what="a batch")


def test_killing_a_worker_leaves_misses_that_become_visible_and_a_new_one_goes_on(
    separate: Separate, redis_client: "redis.Redis", children: list["subprocess.Popen[bytes]"]
) -> None:
    """A real Celery worker probes a real server; killed, its slots are missed and the target is stale, not down."""
    with chat_server() as url:
        fields = {"url": url, "interval_ms": 500, "deadline_ms": 500}
        separate.make_targets(2, **fields)
        children += [separate.worker(), separate.recorder(), separate.start("-m", "tests.support.ticking")]
        wait_until(lambda: set(separate.states().values()) == {"up"}, seconds=60, what="both up")
        children[0].kill()
        children[0].wait(10)
        wait_until(lambda: set(separate.states().values()) == {"stale"}, seconds=60, what="both stale")
        children.append(separate.worker())
        wait_until(lambda: set(separate.states().values()) == {"up"}, seconds=60, what="both up again")
    for child in children:
        child.kill()
        child.wait(10)
    report = separate.report()
    assert report["equal"]
    assert report["rows"] > report["missed"] >= 6
