"""The page says which workers cannot keep up."""

import json
from datetime import timedelta
from typing import Any

import pytest
import redis
from django.utils import timezone
from pytest_django import Settings

from dashboard.live.capacity import exceeded_workers
from probes.results_stream import WORKERS

NOW = timezone.now()


def told(client: "redis.Redis", name: str, **fields: Any) -> None:
    state = {"at": NOW.isoformat(), "exceeded": 0, "exceeded_since": NOW.isoformat(), **fields}
    client.hset(WORKERS, name, json.dumps(state))


@pytest.fixture
def asked(settings: Settings, redis_url: str, redis_client: "redis.Redis") -> "redis.Redis":
    settings.REDIS_URL = redis_url
    return redis_client


def test_a_worker_that_left_slots_out_is_named_with_how_many_and_the_cure(asked: "redis.Redis") -> None:
    told(asked, "local@one", exceeded=12)
    told(asked, "local@two")
    (row,) = exceeded_workers(NOW)
    assert (row["name"], row["state"], row["since"]) == ("worker local@one", "over capacity", NOW.isoformat())
    assert row["why"] == "12 slots were not probed and count as missed; start another worker"


def test_a_worker_that_is_gone_is_not_named(asked: "redis.Redis") -> None:
    told(asked, "local@one", exceeded=12, at=(NOW - timedelta(minutes=1)).isoformat())
    assert exceeded_workers(NOW) == []


def test_heartbeats_that_cannot_be_read_name_nobody(asked: "redis.Redis", settings: Settings) -> None:
    """No JSON; of an older version; no Redis."""
    asked.hset(WORKERS, "local@one", "?")
    assert exceeded_workers(NOW) == []
    asked.hset(WORKERS, "local@one", json.dumps({"at": NOW.isoformat()}))
    assert exceeded_workers(NOW) == []
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    assert exceeded_workers(NOW) == []
