"""What real connections met, counted from the totals that watched servers report: over restarts, worker processes,
reports that come late, twice or never."""

import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connections as database_connections

from connections.flags import keys, reports
from connections.flags.keys import Holder
from connections.models import ConnectionCount, ServerRun, WatchedServer

NOON = datetime(2026, 11, 20, 12, 0, 0, tzinfo=UTC)


@pytest.fixture
def holder(db: None) -> Holder:
    _, key = keys.create("staging", "chat key", author="alice")
    found = keys.verify(key)
    assert found is not None
    return found


class Server:
    """A watched server whose process began at noon."""

    def __init__(self, holder: Holder, *, run: str = "first", began: float = 0, instance: str = "chat-1") -> None:
        self.holder, self.run, self.began, self.instance = holder, run, began, instance
        self.revision = 3

    def tell(self, second: float, *, ending: bool = False, ready: Any = None, **ended: int) -> None:
        """Report totals under `immediate`, `second` seconds after noon."""
        reports.record(
            self.holder,
            reports.Report(
                instance=self.instance,
                library_version="0.1.0",
                held_revision=self.revision,
                run=self.run,
                run_seconds=second - self.began if self.run else None,
                ending=ending,
                evaluations={"readiness-strategy": {"immediate": sum(ended.values())}},
                connections={"immediate": ended},
                readiness={"immediate": ready} if ready else {},
            ),
            now=NOON + timedelta(seconds=second),
        )


def counted(figure: str = "ended.client_gone", **where: Any) -> int:
    rows = ConnectionCount.objects.filter(environment_id="staging", strategy="immediate", figure=figure, **where)
    return sum(rows.values_list("count", flat=True))


def kept() -> WatchedServer:
    return WatchedServer.objects.get()


def test_totals_that_grow_are_counted_once(holder: Holder) -> None:
    server = Server(holder)
    for second, gone in ((2, 5), (4, 5), (6, 9), (6, 9), (8, 30)):
        server.tell(second, client_gone=gone)
    assert counted() == 30
    assert kept().connections == {"immediate": {"client_gone": 30}}


def test_a_report_that_was_overtaken_changes_nothing(holder: Holder) -> None:
    server = Server(holder)
    for second, gone in ((2, 5), (6, 9), (7, 5), (8, 10)):
        server.tell(second, client_gone=gone)
    assert counted() == 10


def test_a_restarted_server_begins_at_zero_and_nothing_is_lost_or_counted_twice(holder: Holder) -> None:
    """Also where it has already counted more than before when it first reports."""
    Server(holder, run="first").tell(2, client_gone=5)
    Server(holder, run="first").tell(9, client_gone=7, ending=True)
    Server(holder, run="second", began=10).tell(12, client_gone=8)
    assert counted() == 15
    assert kept().connections == {"immediate": {"client_gone": 8}}
    assert kept().counting_since == NOON + timedelta(seconds=10)


def test_a_library_that_names_no_process_is_seen_to_restart_when_a_count_falls(holder: Holder) -> None:
    server = Server(holder, run="")
    for second, gone in ((2, 5), (4, 7), (6, 2), (8, 3)):
        server.tell(second, client_gone=gone)
    assert counted() == 10


def test_worker_processes_under_one_name_are_counted_apart_and_shown_together(holder: Holder) -> None:
    """Four workers of one server report in turn: none of them is taken for a restart of another."""
    workers = [Server(holder, run=f"worker-{number}") for number in range(4)]
    for second in (2, 4, 6):
        for worker in workers:
            worker.tell(second, client_gone=second)
    assert counted() == 24
    assert kept().connections == {"immediate": {"client_gone": 24}}
    assert kept().evaluations == {"readiness-strategy": {"immediate": 24}}


def test_a_server_holds_a_revision_when_all_its_processes_do(holder: Holder) -> None:
    one, other = Server(holder, run="one"), Server(holder, run="other")
    one.tell(2)
    other.tell(3)
    one.revision = 4
    one.tell(4)
    assert (kept().held_revision, kept().held_since) == (3, NOON + timedelta(seconds=2))
    other.revision = 4
    other.tell(5)
    assert (kept().held_revision, kept().held_since) == (4, NOON + timedelta(seconds=5))


def test_a_process_that_ended_or_fell_silent_holds_nothing_back(holder: Holder) -> None:
    Server(holder, run="stopped").tell(2, ending=True)
    Server(holder, run="killed").tell(2)
    new = Server(holder, run="new", began=3)
    new.revision = 4
    new.tell(4)
    assert kept().held_revision == 3
    new.tell(40)
    assert kept().held_revision == 4


def test_processes_that_ended_long_ago_are_forgotten(holder: Holder) -> None:
    Server(holder, run="yesterday").tell(2)
    Server(holder, run="today", began=90_000).tell(90_002)
    assert list(ServerRun.objects.values_list("run", flat=True)) == ["today"]


def test_counts_stand_in_the_minute_and_the_revision_with_which_their_time_began(holder: Holder) -> None:
    """After the dashboard was away for an hour, the last quarter hour must not show that hour's connections."""
    server = Server(holder)
    server.tell(30, client_gone=2)
    server.revision = 4
    server.tell(90, client_gone=5)
    server.tell(3690, client_gone=100)
    server.tell(3692, client_gone=101)
    assert counted(minute=NOON) == 5
    assert counted(minute=NOON, revision=3) == 5
    assert counted(minute=NOON + timedelta(minutes=1), revision=4) == 95
    assert counted(minute=NOON + timedelta(minutes=61)) == 1


def test_a_server_first_seen_late_is_counted_where_it_began(holder: Holder) -> None:
    Server(holder).tell(600, client_gone=40)
    assert counted(minute=NOON) == 40


def test_readiness_is_counted_beside_the_ends(holder: Holder) -> None:
    server = Server(holder)
    server.tell(2, client_gone=1, ready={"opened": 3, "false_ready": 1})
    server.tell(4, client_gone=1, ready={"opened": 5, "false_ready": 1, "false_not_ready": 2})
    assert [counted(f"ready.{name}") for name in ("opened", "false_ready", "false_not_ready")] == [5, 1, 2]
    assert kept().readiness == {"immediate": {"opened": 5, "false_ready": 1, "false_not_ready": 2}}


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
def test_servers_that_report_at_the_same_moment_wait_for_each_other_and_lose_nothing() -> None:
    """Three instances of two processes each, all beginning at once and counting the same rows."""
    _, key = keys.create("staging", "chat key", author="alice")
    holder = keys.verify(key)
    assert holder is not None
    start = threading.Barrier(6)
    failures: list[Exception] = []

    def reporting(number: int) -> None:
        server = Server(holder, run=f"run-{number}", instance=f"chat-{number % 3}")
        start.wait()
        try:
            for second in range(1, 11):
                server.tell(second, ready={"opened": second, "false_ready": second}, client_gone=second, drained=second)
        except Exception as error:  # noqa: BLE001 - told by the test's own thread
            failures.append(error)
        finally:
            database_connections.close_all()

    threads = [threading.Thread(target=reporting, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failures == []
    assert [counted(figure) for figure in ("ended.client_gone", "ended.drained", "ready.opened")] == [60, 60, 60]
    assert {server.connections["immediate"]["drained"] for server in WatchedServer.objects.all()} == {20}
