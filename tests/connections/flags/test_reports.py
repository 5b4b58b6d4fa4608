"""What watched servers tell of themselves."""

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from connections.flags import keys, reports
from connections.flags.keys import Holder
from connections.models import ServerRun, WatchedServer
from connections.signals import server_reported

TOLD: dict[str, Any] = {
    "instance": "chat-1",
    "library_version": "0.1.0",
    "held_revision": 3,
    "evaluations": {"readiness-strategy": {"immediate": 2}},
    "connections": {"immediate": {"ready": 1, "client_gone": 1}},
}


@pytest.fixture
def holder(db: None) -> Holder:
    _, key = keys.create("staging", "chat key", author="alice")
    found = keys.verify(key)
    assert found is not None
    return found


def read(**other: Any) -> reports.Report:
    return reports.read(json.dumps({**TOLD, **other}).encode())


def test_the_newest_report_of_an_instance_is_kept(holder: Holder) -> None:
    start = timezone.now()
    reports.record(holder, read(), now=start)
    reports.record(holder, read(library_version="0.2.0", connections={}), now=start + timedelta(seconds=10))
    server = WatchedServer.objects.get()
    assert (server.environment_id, server.instance, server.key_name) == ("staging", "chat-1", "chat key")
    assert (server.library_version, server.connections) == ("0.2.0", {})
    assert server.evaluations == TOLD["evaluations"]
    assert server.reported_at == start + timedelta(seconds=10)


def test_held_since_moves_only_with_the_revision(holder: Holder) -> None:
    start = timezone.now()
    moments = [(3, 0, 0), (3, 10, 0), (4, 20, 20), (4, 30, 20), (3, 40, 40)]
    for revision, seconds, since in moments:
        reports.record(holder, read(held_revision=revision), now=start + timedelta(seconds=seconds))
        server = WatchedServer.objects.get()
        assert (server.held_revision, server.held_since) == (revision, start + timedelta(seconds=since))


def test_a_report_is_announced_after_the_commit(
    holder: Holder, django_capture_on_commit_callbacks: Callable[..., Any]
) -> None:
    heard: list[tuple[str, str, bool]] = []

    def hear(*, environment: str, instance: str, news: bool, **_: Any) -> None:
        heard.append((environment, instance, news))

    server_reported.connect(hear)
    try:
        with django_capture_on_commit_callbacks(execute=True):
            reports.record(holder, read(), now=timezone.now())
            assert heard == []
        with django_capture_on_commit_callbacks(execute=True):
            reports.record(holder, read(connections={}), now=timezone.now())
    finally:
        server_reported.disconnect(hear)
    assert heard == [("staging", "chat-1", True), ("staging", "chat-1", False)]


def test_a_report_that_was_long_on_its_way_says_since_when_it_is_held(holder: Holder) -> None:
    now = timezone.now()
    reports.record(holder, read(held_seconds=2.5), now=now)
    assert WatchedServer.objects.get().held_since == now - timedelta(seconds=2.5)


def test_a_server_holds_a_revision_since_its_last_process_does(holder: Holder) -> None:
    start = timezone.now()
    tellings = [("one", 3, 0), ("two", 3, 0), ("one", 4, 10), ("one", 4, 15), ("two", 4, 18)]
    for run, revision, second in tellings:
        told = read(run=run, held_revision=revision)
        reports.record(holder, told, now=start + timedelta(seconds=second))
    server = WatchedServer.objects.get()
    assert (server.held_revision, server.held_since) == (4, start + timedelta(seconds=18))


def test_a_process_that_vanishes_does_not_make_the_others_late(holder: Holder) -> None:
    start = timezone.now()
    for run, revision, second in [("gone", 3, 0), ("here", 3, 0), ("here", 4, 5), ("here", 4, 15), ("here", 4, 60)]:
        reports.record(holder, read(run=run, held_revision=revision), now=start + timedelta(seconds=second))
    server = WatchedServer.objects.get()
    assert (server.held_revision, server.held_since) == (4, start + timedelta(seconds=5))


def test_a_whole_fleet_is_recorded_with_a_few_statements(
    holder: Holder, django_assert_max_num_queries: Callable[..., Any]
) -> None:
    now = timezone.now()
    for revision, seconds in [(3, 0), (4, 1)]:
        fleet = [
            reports.Told(
                holder,
                read(instance=f"chat-{number}", held_revision=revision, run="first"),
                now + timedelta(seconds=seconds),
            )
            for number in range(50)
        ]
        with django_assert_max_num_queries(40):
            reports.record_all(fleet)
    found = WatchedServer.objects.values_list("held_revision", "held_since").distinct()
    assert list(found) == [(4, now + timedelta(seconds=1))]
    assert ServerRun.objects.count() == 50


@pytest.mark.parametrize(
    ("other", "field"),
    [
        ({"instance": ""}, "instance"),
        ({"instance": "a" * 201}, "instance"),
        ({"instance": "a\u0000b"}, "instance"),
        ({"instance": "\udcff"}, "instance"),
        ({"instance": None}, "instance"),
        ({"library_version": 1}, "library_version"),
        ({"held_revision": "3"}, "held_revision"),
        ({"held_revision": True}, "held_revision"),
        ({"held_revision": -1}, "held_revision"),
        ({"held_revision": 2**63}, "held_revision"),
        ({"evaluations": []}, "evaluations"),
        ({"evaluations": {"flag": 1}}, "evaluations"),
        ({"connections": {"immediate": {"ready": 1.5}}}, "connections"),
        ({"connections": {"\u0000": {}}}, "connections"),
        ({"connections": {"immediate": {"drained": 10**12 + 1}}}, "connections"),
        ({"connections": {"immediate": {str(number): 1 for number in range(201)}}}, "connections"),
        ({"evaluations": {str(number): {} for number in range(201)}}, "evaluations"),
        ({"readiness": {"immediate": {"opened": -1}}}, "readiness"),
        ({"readiness": {"a" * 101: {"opened": 1}}}, "readiness"),
        ({"run": ""}, "run"),
        ({"run": "a" * 41}, "run"),
        ({"run_seconds": -0.1}, "run_seconds"),
        ({"run_seconds": "12"}, "run_seconds"),
        ({"run_seconds": float("inf")}, "run_seconds"),
        ({"ending": 1}, "ending"),
        ({"held_seconds": -1}, "held_seconds"),
    ],
)
def test_a_report_that_says_nothing_usable_names_the_field(other: dict[str, Any], field: str) -> None:
    with pytest.raises(reports.ReportError, match=field):
        read(**other)


@given(st.binary(max_size=100) | st.just(b"[" * 100_000) | st.just(b"[]"))
def test_any_body_is_read_or_refused(body: bytes) -> None:
    with pytest.raises(reports.ReportError):
        reports.read(body)
