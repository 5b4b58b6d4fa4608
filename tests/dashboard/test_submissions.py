"""A form is carried out once, however often and from however many places it is sent."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from connections.models import Version
from dashboard.models import Submission
from dashboard.submissions import KEEP, new_key, once
from tests.dashboard.test_flags_page import change


def counting() -> tuple[Callable[[], dict[str, Any]], list[int]]:
    done: list[int] = []

    def act() -> dict[str, Any]:
        done.append(1)
        return {"number": len(done)}

    return act, done


@pytest.mark.django_db
def test_the_second_time_gives_the_first_result() -> None:
    act, done = counting()
    first, second = once("k", "Rosa", act), once("k", "Rosa", act)
    assert (first.again, second.again) == (False, True)
    assert first.result == second.result == {"number": 1}
    assert len(done) == 1


@pytest.mark.django_db
def test_an_act_that_failed_may_be_tried_again() -> None:
    def fail() -> dict[str, Any]:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        once("k", "Rosa", fail)
    act, done = counting()
    assert not once("k", "Rosa", act).again
    assert len(done) == 1


@pytest.mark.django_db
def test_what_an_act_wrote_before_failing_is_undone() -> None:
    def fail_late() -> dict[str, Any]:
        change("client-ack", "off")
        raise ValueError("late")

    with pytest.raises(ValueError, match="late"):
        once("k", "Rosa", fail_late)
    assert Version.objects.filter(environment="staging").count() == 1


@pytest.mark.django_db
def test_old_keys_are_forgotten() -> None:
    Submission.objects.create(key="old", author="Rosa", at=timezone.now() - KEEP - timedelta(seconds=1))
    once("new", "Rosa", dict)
    assert list(Submission.objects.values_list("key", flat=True)) == ["new"]


def test_keys_differ() -> None:
    assert len({new_key() for _ in range(1000)}) == 1000


@pytest.mark.django_db(transaction=True)
def test_eight_at_once_act_once() -> None:
    """Each thread has a connection of its own, as each request has."""
    act, done = counting()

    def send(_: int) -> bool:
        try:
            return once("k", "Rosa", act).again
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as threads:
        again = list(threads.map(send, range(8)))
    assert len(done) == 1
    assert sorted(again) == [False] + [True] * 7
