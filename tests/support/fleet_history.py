"""Locations that fare differently, with the heartbeats of their workers, for pages that show our own side."""

import json
import threading
import time
from datetime import datetime, timedelta
from typing import Any

import redis
from django.conf import settings
from django.utils import timezone

from probes.models import Location, Watermark
from probes.results_stream import RECORDER, WORKERS
from tests.support.history import Behaviour, History, age_first_revisions
from tests.support.server_history import Regime, ReportingServer, server_key

PLACES = {"virginia": "Virginia", "frankfurt": "Frankfurt"}
SILENT_FOR = timedelta(minutes=4)


def fleet(targets: int, minutes: int, now: datetime) -> History:
    """Targets probed from two locations, of which Frankfurt has had no worker for four minutes; servers of two
    environments, one behind."""
    history, began = History(), now - timedelta(minutes=minutes)
    age_first_revisions(now - timedelta(days=3))
    for key, name in PLACES.items():
        Location.objects.get_or_create(key=key, defaults={"name": name})
    for n in range(targets):
        key = [*PLACES][n % 2]
        behaviour = Behaviour(ready_ms=40 + 9 * n, silent_since=now - SILENT_FOR if key == "frankfurt" else None)
        target = history.add(f"chat-{n}", f"Chat {n}", "production", behaviour, began=began)
        history.move(target, key)
    for environment, name, revision in (
        ("staging", "staging-chat-1", 1),
        ("production", "chat-7", 1),
        ("production", "chat-8", 0),
    ):
        regime = Regime(began, revision, "dependency_gate", left=0.01, away=0.0, false_ready=0.0)
        history.servers.append(ReportingServer(server_key(environment), name, [regime]))
    history.fill(began, now)
    threading.Thread(target=_beat, args=(now,), daemon=True).start()
    return history


def _beat(began: datetime) -> None:
    client = redis.Redis.from_url(settings.REDIS_URL)
    while True:
        now = timezone.now()
        told = {"virginia@a1:411": now, "virginia@a2:388": now, "frankfurt@b1:97": began - SILENT_FOR}
        for number, (name, at) in enumerate(told.items()):
            client.hset(WORKERS, name, json.dumps(_state(name, at, number)))
        client.set(RECORDER, json.dumps({"at": now.isoformat(), "consumer": "one"}))
        for name, at in (("tick", now + timedelta(seconds=2)), ("sweep", now)):
            Watermark.objects.update_or_create(name=name, defaults={"at": at})
        time.sleep(1)


def _state(name: str, at: datetime, number: int) -> dict[str, Any]:
    return {
        "location": name.split("@")[0], "at": at.isoformat(), "clock_offset_us": 140_000 * (number == 1) + 180,
        "in_flight": 3 + number, "over_capacity": 0, "late": 0, "lag_us": 380 + 40 * number, "exceeded": 0,
        "exceeded_since": at.isoformat(), "waiting": number, "dropped": 0,
    }  # fmt: skip
