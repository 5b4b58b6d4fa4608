"""Killing the recorder or the worker at any instant: one row per slot or a visible miss, and rollups that add up."""

import random
import subprocess
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import redis
from django.db import connection
from django.utils import timezone

from probes.engine.outcome import Outcome
from probes.results_stream import STREAM, Entry, encode
from tests.support.chat import chat_server
from tests.support.outcomes import failure, success
from tests.support.separate import Separate
from tests.support.waiting import wait_until

pytestmark = pytest.mark.django_db(transaction=True)
KILLS = 10
TARGETS = 5


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
    """Ten times SIGKILL while outcomes stream in; every one is stored once, and rollups equal a recount."""
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
