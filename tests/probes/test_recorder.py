"""The recorder against a real Redis: nothing is lost, nothing counts twice, nothing blocks."""

import json
import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import redis
from django.db import connection
from django.utils import timezone
from pytest_django import Settings

from probes.models import Location, Result, Target, TargetStatus
from probes.race_check_records import ask
from probes.race_checks import Ending, Request
from probes.race_checks import Entry as RaceEntry
from probes.race_report import Tally
from probes.recorder import Recorder, connect
from probes.results_stream import BAD, GROUP, RECORDER, STREAM, WORKERS, encode
from tests.support.gate import gated
from tests.support.outcomes import entry, failure, recount, stored_rollups, stored_target, success
from tests.support.waiting import wait_until

pytestmark = pytest.mark.django_db(transaction=True)


class Running:
    """Recorders in threads of their own."""

    def __init__(self) -> None:
        self.threads: list[tuple[threading.Event, threading.Thread]] = []

    def start(self, url: str) -> None:
        stop = threading.Event()
        thread = threading.Thread(target=self._run, args=(url, stop))
        thread.start()
        self.threads.append((stop, thread))

    def stop(self) -> None:
        for stop, thread in self.threads:
            stop.set()
            thread.join(20)
        self.threads.clear()

    def _run(self, url: str, stop: threading.Event) -> None:
        try:
            Recorder(connect(url), stop).run()
        finally:
            connection.close()


@pytest.fixture
def recorders(redis_client: "redis.Redis") -> Iterator[Running]:
    Location.objects.get_or_create(key="local", defaults={"name": "This machine"})
    running = Running()
    yield running
    running.stop()


def target_of_old() -> Target:
    """Its own slots are not expected any more: only what the test publishes counts."""
    return stored_target(active_since=timezone.now() + timedelta(days=1))


def publish(client: "redis.Redis", *texts: str) -> None:
    for text in texts:
        client.xadd(STREAM, {"o": text})


def outcomes(target: Target, count: int, start: int = 0) -> list[str]:
    base = timezone.now() - timedelta(hours=1)
    base = base.replace(microsecond=0)
    return [
        encode(entry(target, base + timedelta(seconds=start + n), failure() if n % 7 == 0 else success()))
        for n in range(count)
    ]


def pending(client: "redis.Redis") -> int:
    summary: Any = client.xpending(STREAM, GROUP)
    return int(summary["pending"])


def test_outcomes_are_stored_acknowledged_and_leave_the_stream(
    redis_client: "redis.Redis", redis_url: str, recorders: Running
) -> None:
    """Also those published before the first recorder ever ran."""
    publish(redis_client, *outcomes(target_of_old(), 30))
    recorders.start(redis_url)
    wait_until(lambda: Result.objects.count() == 30, what="thirty rows")
    wait_until(lambda: redis_client.xlen(STREAM) == 0, what="an empty stream")
    assert pending(redis_client) == 0
    assert stored_rollups() == recount()


def test_what_a_dead_recorder_left_pending_is_claimed_at_once(
    redis_client: "redis.Redis", redis_url: str, recorders: Running
) -> None:
    publish(redis_client, *outcomes(target_of_old(), 1200))
    redis_client.xgroup_create(STREAM, GROUP, id="0")
    redis_client.xreadgroup(GROUP, "the dead one", {STREAM: ">"}, count=1100)
    assert pending(redis_client) == 1100
    recorders.start(redis_url)
    wait_until(lambda: Result.objects.count() == 1200, seconds=20, what="all rows")
    wait_until(lambda: pending(redis_client) == 0, what="nothing pending")
    assert stored_rollups() == recount()


def test_pending_entries_that_were_trimmed_do_not_block_the_rest(
    redis_client: "redis.Redis", redis_url: str, recorders: Running
) -> None:
    """The stream is bounded: after a long outage the oldest are gone, though the group still remembers them."""
    publish(redis_client, *outcomes(target_of_old(), 20))
    redis_client.xgroup_create(STREAM, GROUP, id="0")
    redis_client.xreadgroup(GROUP, "the dead one", {STREAM: ">"}, count=20)
    redis_client.xtrim(STREAM, maxlen=5, approximate=False)
    recorders.start(redis_url)
    wait_until(lambda: Result.objects.count() == 5, what="those that are left")
    wait_until(lambda: pending(redis_client) == 0, what="nothing pending")


def test_unreadable_entries_are_set_aside_with_a_reason_and_block_nobody(
    redis_client: "redis.Redis", redis_url: str, recorders: Running
) -> None:
    target = target_of_old()
    good = outcomes(target, 3)
    gone = json.dumps({**json.loads(good[0]), "target_id": 999_999})
    publish(redis_client, good[0], "no JSON", good[1], "{}", gone, good[2])
    redis_client.xadd(STREAM, {"unknown": "field"})
    redis_client.xadd(STREAM, {b"o": b"\xff\xfe not UTF-8"})
    recorders.start(redis_url)
    wait_until(lambda: redis_client.xlen(BAD) == 5, what="five entries set aside")
    wait_until(lambda: pending(redis_client) == 0 and redis_client.xlen(STREAM) == 0, what="an empty stream")
    assert Result.objects.count() == 3
    aside: Any = redis_client.xrange(BAD)
    assert all(fields["why"] for _, fields in aside)


def test_redis_away_for_a_while_loses_nothing(redis_client: "redis.Redis", redis_url: str, recorders: Running) -> None:
    target = target_of_old()
    with gated(redis_url) as (url, gate):
        recorders.start(url)
        publish(redis_client, *outcomes(target, 10))
        wait_until(lambda: Result.objects.count() == 10, what="the first rows")
        gate.close()
        publish(redis_client, *outcomes(target, 10, start=100))
        gate.open()
        wait_until(lambda: Result.objects.count() == 20, seconds=20, what="the rest")
        recorders.stop()
    assert stored_rollups() == recount()


def test_a_database_that_refuses_everything_for_a_while_loses_nothing(
    redis_client: "redis.Redis", redis_url: str, recorders: Running, caplog: pytest.LogCaptureFixture
) -> None:
    """Its table is gone for a moment: whatever the database says but bad data, the recorder waits."""
    target = target_of_old()
    _rename("probes_result", "elsewhere")
    try:
        recorders.start(redis_url)
        publish(redis_client, *outcomes(target, 10))
        wait_until(lambda: "results wait" in caplog.text, what="the recorder to wait")
        assert redis_client.xlen(BAD) == 0
    finally:
        _rename("elsewhere", "probes_result")
    wait_until(lambda: Result.objects.count() == 10, seconds=20, what="the rows")
    wait_until(lambda: redis_client.xlen(STREAM) == 0, what="an empty stream")
    assert stored_rollups() == recount()


def _rename(name: str, other: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER TABLE {name} RENAME TO {other}")


def test_a_redis_that_forgot_everything_is_joined_again(
    redis_client: "redis.Redis", redis_url: str, recorders: Running
) -> None:
    """A restarted Redis without persistence has neither stream nor group."""
    target = target_of_old()
    recorders.start(redis_url)
    publish(redis_client, *outcomes(target, 5))
    wait_until(lambda: Result.objects.count() == 5, what="the first rows")
    redis_client.flushall()
    publish(redis_client, *outcomes(target, 5, start=100))
    wait_until(lambda: Result.objects.count() == 10, seconds=20, what="the rest")


def test_the_recorder_tells_that_it_lives_and_forgets_workers_that_do_not(
    redis_client: "redis.Redis", redis_url: str, recorders: Running
) -> None:
    old, young = timezone.now() - timedelta(hours=1), timezone.now()
    redis_client.hset(WORKERS, mapping={name: json.dumps({"at": at.isoformat()}) for name, at in
                                        (("old", old), ("young", young))})  # fmt: skip
    recorders.start(redis_url)
    wait_until(lambda: redis_client.get(RECORDER), what="a heartbeat")
    wait_until(lambda: redis_client.hkeys(WORKERS) == ["young"], what="the old worker to go")


def test_slots_that_nobody_answers_become_missed_and_the_target_stale(
    redis_url: str, redis_client: "redis.Redis", recorders: Running, settings: Settings
) -> None:
    """No worker runs at all."""
    settings.MISSED_GRACE_SECONDS = 0.2
    target = stored_target(interval_ms=250, deadline_ms=100, active_since=timezone.now())
    recorders.start(redis_url)
    wait_until(lambda: TargetStatus.objects.filter(pk=target.pk, state="stale").exists(), seconds=15, what="stale")
    recorders.stop()
    assert set(Result.objects.values_list("kind", flat=True)) == {"missed"}
    assert stored_rollups() == recount()


def test_words_about_a_race_check_stand_beside_results_and_bad_ones_are_set_aside(
    recorders: Running, redis_client: "redis.Redis", redis_url: str
) -> None:
    """A number that no database holds, a text that is none, a NUL that PostgreSQL cannot store: nothing is blocked."""
    target = target_of_old()
    check = ask(target, Request(), "Rosa", lambda _: None)
    good = RaceEntry(check.pk, "worker", 200, 3, Ending.DONE, "NUL \x00 in it", Tally().report(1.0))
    bad = [RaceEntry(check.pk, "worker", 10**30).to_text(), '{"race_check":"what"}', '{"race_check":']
    publish(redis_client, *outcomes(target, 2), *bad, good.to_text(), *outcomes(target, 2, 2))
    recorders.start(redis_url)
    wait_until(lambda: redis_client.xlen(STREAM) == 0, seconds=20, what="all to be dealt with")
    check.refresh_from_db()
    assert (check.state, check.failed) == ("finished", 3)
    assert Result.objects.count() == 4
    assert redis_client.xlen(BAD) == 3
