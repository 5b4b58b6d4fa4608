"""Rollups by what served a probe: they are what the rows add up to, whatever came late, twice or from us."""

from datetime import timedelta

import pytest
from django.test import TestCase
from pytest_django import Settings

from probes.engine.outcome import FailureKind
from probes.memory import Memory
from probes.models import ServedRollup
from probes.recording import record
from probes.retention import tidy
from tests.support.outcomes import NOON, entry, failure, lossy, stored_target, success
from tests.support.served import recounted, stored

pytestmark = pytest.mark.django_db
SECOND = timedelta(seconds=1)


def test_rows_are_what_the_results_add_up_to() -> None:
    chat, feed = stored_target("chat", locations=("local", "far")), stored_target("feed")
    found = [
        success(),
        success(strategy="immediate", flags_revision=5),
        failure(FailureKind.ACCEPT_RACE, strategy="immediate"),
        failure(also=(FailureKind.FALSE_READY,), strategy="immediate"),
        lossy(),
        success(flagged=True, strategy="fixed_delay"),
        failure(FailureKind.CONNECT_REFUSED, strategy="", flags_revision=None),
        failure(FailureKind.MISSED),
        failure(FailureKind.PROBE_ERROR),
    ]
    memory = Memory()
    for hour in (0, 13):
        slots = [NOON + timedelta(hours=hour) + n * 100 * SECOND for n in range(len(found))]
        entries = [entry(chat, slot, each) for slot, each in zip(slots, found, strict=True)]
        entries += [entry(chat, slot, success(), "far") for slot in slots[:3]]
        entries += [entry(feed, slot, each) for slot, each in zip(slots, reversed(found), strict=True)]
        record(entries, now=slots[-1], memory=memory)
        record(entries[::2], now=slots[-1], memory=memory)
    assert stored() == recounted()
    assert {row.strategy for row in ServedRollup.objects.all()} == {"dependency_gate", "immediate", "fixed_delay", ""}


def test_an_outcome_that_came_late_counts_once() -> None:
    chat, memory = stored_target(), Memory()
    record([entry(chat, NOON, failure(FailureKind.MISSED))], now=NOON, memory=memory)
    assert not ServedRollup.objects.exists()
    for _ in range(2):
        record([entry(chat, NOON, success(strategy="ready_ack"))], now=NOON + SECOND)
    assert [(row.strategy, row.probes) for row in ServedRollup.objects.filter(width=300)] == [("ready_ack", 1)]
    assert stored() == recounted()


def test_another_recorder_counts_on_where_one_stopped() -> None:
    chat, memory = stored_target(), Memory()
    for n in range(6):
        # Every second time without a memory, as after a restart.
        record([entry(chat, NOON + n * SECOND, success())], now=NOON + n * SECOND, memory=memory if n % 2 else None)
    assert stored() == recounted()


def test_a_memory_keeps_only_what_is_still_counted() -> None:
    chat, memory = stored_target(), Memory()
    for n in range(4):
        at = NOON + n * timedelta(days=2)
        with TestCase.captureOnCommitCallbacks(execute=True):
            record([entry(chat, at, success())], now=at, memory=memory)
    [known] = memory.take({chat.pk: 4}).values()
    assert {(width, start.date()) for _, _, width, start, _ in known.served} == {
        (width, at.date()) for width in (300, 3600, 86_400)
    }


def test_each_width_is_kept_for_its_own_days(settings: Settings) -> None:
    settings.RAW_DAYS, settings.MINUTE_DAYS, settings.HOUR_DAYS = 3, 5, 8
    chat = stored_target()
    for n in range(12):
        at = NOON - n * timedelta(days=1)
        record([entry(chat, at, success())], now=at)
    tidy(NOON + timedelta(minutes=1))
    assert [ServedRollup.objects.filter(width=width).count() for width in (300, 3600, 86_400)] == [2, 5, 8]
