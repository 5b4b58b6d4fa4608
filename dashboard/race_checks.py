"""Starting and cancelling race checks for people and programs: the rows by `probes`, the word to the workers here."""

import logging

import redis
from django.conf import settings
from django.db import transaction
from django.utils import timezone
from kombu.exceptions import OperationalError

from dashboard.celery import app
from probes import race_check_records
from probes.models import RaceCheck, Target
from probes.race_check_loop import CANCELLED_KEPT_SECONDS, CANCELLED_KEY
from probes.race_checks import TAKEN_WITHIN, Assignment, Request

logger = logging.getLogger(__name__)
PATIENCE_SECONDS = 1.0


def start(target: Target, request: Request, by: str) -> RaceCheck:
    """Queue a check for the workers of its location, on commit. Raises RequestError, `race_check_records.Refused`."""
    return race_check_records.ask(target, request, by, _send)


def cancel(check: RaceCheck, by: str) -> bool:
    """End a check now, and tell its worker on commit. False where it had ended already."""
    with transaction.atomic():
        if not race_check_records.cancel(check, by):
            return False
        transaction.on_commit(lambda: _stop(check.pk))
    return True


def _send(assignment: Assignment) -> None:
    try:
        # By name and by this app: no thread of the web server has a current one.
        app.send_task(
            "probes.run_race_check",
            kwargs={"assignment": assignment.to_text()},
            queue=f"probes-{assignment.request.location}",
            expires=timezone.now() + TAKEN_WITHIN,
            retry=False,
        )
    except OperationalError as error:
        raise ConnectionError(str(error)) from error


def _stop(check_id: int) -> None:
    try:
        with redis.Redis.from_url(
            settings.REDIS_URL, socket_timeout=PATIENCE_SECONDS, socket_connect_timeout=PATIENCE_SECONDS
        ) as client:
            client.set(CANCELLED_KEY.format(check_id), "1", ex=CANCELLED_KEPT_SECONDS)
    except (redis.RedisError, OSError) as error:
        # It goes on to its end, which is bounded; the row says already that it was cancelled.
        logger.warning("the worker of race check %d was not told to stop: %s", check_id, error)
