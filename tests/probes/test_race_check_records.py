"""Race checks in the database: one at a time, a pause between two, and what workers tell of them."""

import threading
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone
from pytest_django import Settings

from connections.models import AuditRecord
from probes.engine.outcome import FailureKind
from probes.models import RaceCheck, Result, Rollup, Target
from probes.pausing import pause
from probes.race_check_records import Refused, ask, cancel, expire, record
from probes.race_checks import SILENT_AFTER, TAKEN_WITHIN, TOLD_WITHIN, Assignment, Ending, Entry, Request, RequestError
from probes.race_report import Tally
from probes.retention import tidy
from tests.support.outcomes import failure, stored_target, success

pytestmark = pytest.mark.django_db(transaction=True)


def started(target: Target, by: str = "Rosa", **fields: Any) -> RaceCheck:
    return ask(target, Request(**fields), by, lambda assignment: None)


def told(check: RaceCheck, done: int = 0, failed: int = 0, **fields: Any) -> None:
    record(Entry(check.pk, "local@host:1", done, failed, **fields), timezone.now())
    check.refresh_from_db()


def report_of(failing: int) -> Any:
    tally = Tally()
    for n in range(10):
        tally.add(failure(FailureKind.ACCEPT_RACE) if n < failing else success())
    return tally.report(2.0)


def audited(action: str) -> Any:
    return AuditRecord.objects.get(action=action)


def finished(target: Target, *, seconds_ago: float = 3600, failing: int = 0) -> RaceCheck:
    check = started(target)
    told(check, 10, failing, ending=Ending.DONE, report=report_of(failing))
    at = timezone.now() - timedelta(seconds=seconds_ago)
    RaceCheck.objects.filter(pk=check.pk).update(ended_at=at)
    return check


def test_asking_queues_a_check_with_its_audit_row_and_sends_it_on_commit() -> None:
    target = stored_target()
    sent: list[Assignment] = []
    check = ask(target, Request(50, 5), "Rosa", sent.append)
    assert (check.state, check.asked_by, check.count) == ("queued", "Rosa", 50)
    assert [assignment.check_id for assignment in sent] == [check.pk]
    assert sent[0].target["slug"] == "chat"
    audit = audited("race_check.started")
    assert (audit.actor, audit.subject, audit.after["count"]) == ("Rosa", "chat", 50)


def test_a_second_starter_sees_who_is_running_it() -> None:
    target = stored_target()
    check = started(target, count=200)
    told(check, 41)
    with pytest.raises(Refused, match=r"Rosa is running one: 41 of 200 probes\.") as caught:
        started(target, "Mara")
    assert caught.value.running == check
    assert started(stored_target("other"), "Mara").asked_by == "Mara"


def test_of_two_who_ask_at_the_same_instant_one_gets_it() -> None:
    """Ten times two people, each in a connection of their own."""
    for n in range(10):
        target = stored_target(f"t{n}")
        together = threading.Barrier(2)
        answers: list[str] = []
        threads = [threading.Thread(target=_race, args=(target, by, together, answers)) for by in ("Rosa", "Mara")]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        [check] = RaceCheck.objects.filter(target=target)
        assert sorted(answers) == sorted(["got it", f"{check.asked_by} is running one: 0 of 200 probes."])


def _race(target: Target, by: str, together: threading.Barrier, answers: list[str]) -> None:
    try:
        together.wait(10)
        started(target, by)
        answers.append("got it")
    except Refused as refused:
        answers.append(refused.message)
    finally:
        connection.close()


def test_a_target_rests_between_two_checks(settings: Settings) -> None:
    settings.RACE_CHECK_PAUSE_SECONDS = 30.0
    target = stored_target()
    finished(target, seconds_ago=10)
    with pytest.raises(Refused, match="rests 30 s between two") as caught:
        started(target, "Mara")
    assert 15 < caught.value.wait.total_seconds() <= 20
    assert not RaceCheck.objects.filter(asked_by="Mara").exists()
    assert not AuditRecord.objects.filter(actor="Mara").exists()
    RaceCheck.objects.update(ended_at=timezone.now() - timedelta(seconds=31))
    assert started(target, "Mara").state == "queued"


def test_a_paused_target_is_not_probed_by_checks_either() -> None:
    target = stored_target()
    assert pause(target, "Mara", None, "the host moves tonight")
    with pytest.raises(Refused, match="is paused by Mara: nothing probes it"):
        started(target)
    assert not RaceCheck.objects.exists()


def test_a_check_that_never_began_is_no_reason_to_rest() -> None:
    target = stored_target()
    check = started(target)
    assert cancel(check, "Rosa")
    assert started(target).state == "queued"


@pytest.mark.parametrize(
    ("fields", "field"), [({"count": 1001}, "count"), ({"at_once": 51}, "at_once"), ({"location": "moon"}, "location")]
)
def test_what_cannot_be_asked_for_is_refused_and_leaves_nothing(fields: dict[str, Any], field: str) -> None:
    with pytest.raises(RequestError) as caught:
        started(stored_target(), **fields)
    assert caught.value.field == field
    assert not RaceCheck.objects.exists()


def test_a_protocol_whose_client_speaks_first_has_no_early_send() -> None:
    """The cure is told, and nothing is queued."""
    target = stored_target(script={"preset": "mqtt"})
    with pytest.raises(RequestError, match="early_send"):
        started(target)
    assert started(target, early_send=False).state == "queued"


def test_progress_and_report_are_written_once_and_in_order() -> None:
    """What comes late or twice changes nothing."""
    check = started(stored_target())
    told(check)
    assert (check.state, check.worker) == ("running", "local@host:1")
    told(check, 120, 3)
    told(check, 60, 1)
    assert (check.done, check.failed) == (120, 3)
    told(check, 200, 4, ending=Ending.DONE, report=report_of(4))
    ended = check.ended_at
    told(check, 130, 3)
    told(check, 0, 0, ending=Ending.STOPPED, why="Later.")
    assert (check.state, check.done, check.why, check.ended_at) == ("finished", 200, "", ended)
    assert check.report
    assert check.report["kinds"] == {"accept_race": 4}
    assert not Result.objects.exists()
    assert not Rollup.objects.exists()


def test_a_report_alone_is_enough() -> None:
    """The words before it were lost."""
    check = started(stored_target())
    told(check, 10, 0, ending=Ending.DONE, report=report_of(0))
    assert (check.state, check.done) == ("finished", 10)
    assert check.started_at is not None


def test_cancelling_ends_it_once_and_keeps_what_was_found() -> None:
    check = started(stored_target())
    told(check, 40, 2)
    assert cancel(check, "Mara")
    assert not cancel(check, "Rosa")
    assert (check.state, check.why) == ("cancelled", "Cancelled by Mara.")
    assert audited("race_check.cancelled").after["done"] == 40
    told(check, 44, 2, ending=Ending.CANCELLED, report=report_of(2))
    assert (check.state, check.done, check.why) == ("cancelled", 44, "Cancelled by Mara.")
    assert check.report
    assert check.report["failed"] == 2


def test_the_sweeper_ends_what_nobody_took_or_tells_of() -> None:
    queued, running = started(stored_target()), started(stored_target("other"))
    told(running, 7)
    now = timezone.now()
    assert expire(now) == 0
    assert expire(now + SILENT_AFTER + timedelta(seconds=1)) == 1
    assert expire(now + TAKEN_WITHIN + TOLD_WITHIN + timedelta(seconds=1)) == 1
    for check in (queued, running):
        check.refresh_from_db()
        assert check.state == "expired"
        assert not check.active
    assert running.why.startswith("Its worker went silent after 7 probes")
    assert queued.why.startswith("No worker at local took it within 30 s.")


def test_a_queue_that_does_not_answer_ends_the_check_at_once() -> None:
    def away(assignment: Assignment) -> None:
        raise ConnectionError("refused")

    check = ask(stored_target(), Request(), "Rosa", away)
    check.refresh_from_db()
    assert (check.state, check.why) == ("expired", "It could not be queued: Redis does not answer.")


def test_what_is_told_of_an_unknown_check_is_ignored() -> None:
    """Its target was deleted meanwhile."""
    record(Entry(999, "w"), timezone.now())
    record(Entry(999, "w", ending=Ending.DONE, report=report_of(0)), timezone.now())
    assert not RaceCheck.objects.exists()


def test_old_checks_go_with_the_hour_rollups(settings: Settings) -> None:
    finished(stored_target())
    tidy(timezone.now() + timedelta(days=settings.HOUR_DAYS - 1))
    assert RaceCheck.objects.count() == 1
    tidy(timezone.now() + timedelta(days=settings.HOUR_DAYS + 1))
    assert RaceCheck.objects.count() == 0
