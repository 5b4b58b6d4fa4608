"""The certificate that a target showed last: one row, written where it is another than before."""

from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from probes.engine.outcome import Certificate, FailureKind, Outcome
from probes.memory import Memory
from probes.models import ServedCertificate, Target
from probes.recording import record
from tests.support.outcomes import NOON, entry, failure, stored_target, success

pytestmark = pytest.mark.django_db(transaction=True)
MINUTE = timedelta(minutes=1)
OLD = Certificate("chat.example", "R3", datetime(2026, 9, 1, tzinfo=UTC), datetime(2026, 11, 30, 12, tzinfo=UTC))
NEW = Certificate("chat.example", "R3", datetime(2026, 11, 1, tzinfo=UTC), datetime(2027, 1, 30, tzinfo=UTC))


def save(target: Target, slot: datetime, outcome: Outcome, memory: Memory | None = None) -> None:
    record([entry(target, slot, outcome)], now=NOON + timedelta(hours=1), memory=memory)


def stored() -> tuple[str, str, datetime, datetime]:
    row = ServedCertificate.objects.get()
    return row.subject, row.issuer, row.not_after, row.since


def test_a_success_and_a_failure_after_tls_tell_the_certificate() -> None:
    target = stored_target()
    save(target, NOON, failure(FailureKind.NOT_READY, certificate=OLD))
    assert stored() == ("chat.example", "R3", OLD.not_after, NOON)


def test_a_renewed_one_replaces_it_and_a_late_outcome_does_not_bring_it_back() -> None:
    target, memory = stored_target(), Memory()
    save(target, NOON, success(certificate=OLD), memory)
    save(target, NOON + 2 * MINUTE, success(certificate=NEW), memory)
    save(target, NOON + MINUTE, success(certificate=OLD), memory)
    assert stored() == ("chat.example", "R3", NEW.not_after, NOON + 2 * MINUTE)


def test_what_is_stored_already_costs_no_look() -> None:
    """A recorder remembers; one that has just begun looks once."""
    target, memory = stored_target(), Memory()
    save(target, NOON, success(certificate=OLD), memory)
    for number, remembered, looks in ((1, memory, 0), (2, Memory(), 1)):
        with CaptureQueriesContext(
            connection,
        ) as queries:
            save(target, NOON + number * MINUTE, success(certificate=OLD), remembered)
        asked = [query for query in queries.captured_queries if "servedcertificate" in query["sql"]]
        assert len(asked) == looks
    assert stored()[3] == NOON


def test_a_plain_target_has_none() -> None:
    save(stored_target(), NOON, success())
    assert not ServedCertificate.objects.exists()


def test_an_outcome_carries_its_certificate_through_the_queue() -> None:
    outcome = success(certificate=OLD)
    assert Outcome.from_message(outcome.to_message()) == outcome
    older = {name: value for name, value in success().to_message().items() if name != "certificate"}
    assert Outcome.from_message(older).certificate is None


@pytest.mark.parametrize("date", ["yesterday", "2026-11-20T12:00:00"])
def test_a_date_that_is_none_is_refused(date: str) -> None:
    """As every field of a queue's message is checked."""
    message = success(certificate=OLD).to_message()
    message["certificate"]["not_after"] = date
    with pytest.raises(ValueError, match=r"isoformat|time zone"):
        Outcome.from_message(message)


def test_a_target_that_goes_takes_it_along() -> None:
    target = stored_target(active_since=timezone.now())
    save(target, NOON, success(certificate=OLD))
    target.delete()
    assert not ServedCertificate.objects.exists()
