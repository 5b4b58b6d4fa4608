"""Race checks through the real processes: Celery worker, Redis, recorder; and a worker that is killed midway."""

import json
import subprocess
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from tests.probes.test_killed import children, separate
from tests.support.chat import chat_server
from tests.support.separate import Separate
from tests.support.waiting import wait_until

__all__ = ["children", "separate"]  # fixtures
pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.end_to_end]
_ASK = """
import sys, json, django
django.setup()
from dashboard import race_checks
from probes.models import RaceCheck, Target
from probes.race_checks import Request
target = Target.objects.get(slug="t0")
race_checks.start(target, Request(**json.loads(sys.argv[1])), "Rosa")
"""
Children = list["subprocess.Popen[bytes]"]


def until(separate: Separate, condition: Callable[[dict[str, Any]], bool], what: str) -> dict[str, Any]:
    last: dict[str, Any] = {}

    def holds() -> bool:
        last.clear()
        last.update(separate.race_check())
        return condition(last)

    wait_until(holds, seconds=60, what=what)
    return last


def prepare(separate: Separate, url: str) -> None:
    later = (timezone.now() + timedelta(days=1)).isoformat()
    separate.environ["DJANGO_SETTINGS_MODULE"] = "dashboard.settings"
    separate.make_targets(1, active_since=later, url=url, deadline_ms=5000)


def test_a_check_runs_through_every_process_and_its_report_is_stored(separate: Separate, children: Children) -> None:
    with chat_server() as url:
        prepare(separate, url)
        children += [separate.recorder(), separate.worker()]
        separate.run("-c", _ASK, json.dumps({"count": 60, "at_once": 10}))
        found = until(separate, lambda check: check["state"] not in ("queued", "running"), "the report")
    assert (found["state"], found["done"]) == ("finished", 60)
    assert separate.kinds().keys() <= {"missed"}
    assert found["report"]["probes"] == 60


def test_a_worker_killed_midway_leaves_an_expired_check_with_a_sentence(separate: Separate, children: Children) -> None:
    with chat_server() as url:
        separate.environ["RACE_CHECK_PER_SECOND"] = "10"
        prepare(separate, url)
        children += [separate.recorder(), separate.worker()]
        separate.run("-c", _ASK, json.dumps({"count": 500, "at_once": 5}))
        until(separate, lambda check: check["done"] > 0, "progress")
        children[-1].kill()
        found = until(separate, lambda check: check["state"] != "running", "the sweeper")
    assert found["state"] == "expired"
    assert found["why"].startswith("Its worker went silent after ")
    assert 0 < found["done"] < 500
