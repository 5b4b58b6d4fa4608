"""The fleet page: what workers, queues and the database tell of our own probes, at once and while it is open."""

import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import redis
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pytest_django import Settings

from dashboard.live.topics import Topics
from dashboard.queries.fleet import exceeded_workers, read
from dashboard.queries.fleet_page import needs
from probes.fleet.condition import State
from probes.fleet.heartbeats import read_worker
from probes.models import Location, Target, Watermark
from probes.recording import record
from probes.results_stream import RECORDER, WORKERS, Entry
from tests.support.outcomes import entry, stored_target, success
from tests.support.pages import text
from tests.support.people import signed_in
from tests.support.server_history import Regime, ReportingServer, server_key

pytestmark = pytest.mark.django_db
NOW = timezone.now()
SECOND = timedelta(seconds=1)


@pytest.fixture
def told(settings: Settings, redis_url: str, redis_client: "redis.Redis") -> "redis.Redis":
    settings.REDIS_URL = redis_url
    return redis_client


def heartbeat(client: "redis.Redis", name: str, at: datetime = NOW, **fields: Any) -> None:
    """As `worker_loop.ProbeLoop` tells it."""
    state = {
        "location": name.split("@")[0], "at": at.isoformat(), "clock_offset_us": 180, "in_flight": 3,
        "over_capacity": 0, "late": 0, "lag_us": 400, "exceeded": 0, "exceeded_since": at.isoformat(),
        "waiting": 0, "dropped": 0,
    }  # fmt: skip
    client.hset(WORKERS, name, json.dumps({**state, **fields}))


def running(at: datetime = NOW) -> None:
    """The tick and the recorder have come as far as they would at `at`."""
    for name, mark in (("tick", at + 2 * SECOND), ("sweep", at)):
        Watermark.objects.update_or_create(name=name, defaults={"at": mark})


def answered(target: Target, location: str, at: datetime, count: int = 20) -> None:
    slots = [at - n * SECOND for n in range(count)]
    record([Entry(target.pk, location, slot, success(start_delay_us=900)) for slot in slots], now=at)


def conditions(at: datetime = NOW) -> dict[str, tuple[State, str]]:
    return {one.place.key: (one.state, one.cause) for one in read(at).conditions}


def test_two_locations_of_which_one_has_lost_its_worker(told: "redis.Redis") -> None:
    now = timezone.now()
    target = stored_target(locations=("virginia", "ohio"))
    Location.objects.filter(key="local").delete()
    running(now)
    heartbeat(told, "virginia@one:1", now)
    heartbeat(told, "ohio@two:1", now - timedelta(minutes=3))
    answered(target, "virginia", now)
    answered(target, "ohio", now - timedelta(minutes=3))
    assert conditions(now) == {
        "ohio": (State.SILENT, "its worker was last heard at {at}"),
        "virginia": (State.ON_TIME, ""),
    }
    page = text(signed_in("viewer").get("/fleet/"))
    assert "The probes in ohio have been late since" in page
    assert "Targets probed only from there show as stale." in page
    assert "0.2 ms ahead" in page


def test_the_cause_is_told_before_its_effects(told: "redis.Redis", settings: Settings) -> None:
    """Redis, the recorder, the tick and the worker all gone: each hides those after it."""
    target = stored_target()
    answered(target, "local", NOW - timedelta(minutes=2))
    running(NOW - timedelta(minutes=2))
    assert conditions()["local"][1] == "results wait for the recorder since {at}"
    Watermark.objects.filter(name="sweep").update(at=NOW)
    assert conditions()["local"][1] == "no slot is handed out since {at}"
    running()
    assert conditions()["local"][1] == "no worker runs there"
    heartbeat(told, "local@one:1")
    told.rpush("probes-local", *["batch"] * 7)
    assert conditions()["local"][1] == "7 batches of slots wait in its queue, and its worker takes none"
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    assert conditions()["local"][1] == "Redis does not answer"
    assert "nobody knows how the workers are" in text(signed_in("viewer").get("/fleet/"))


def test_every_page_hears_the_one_banner_and_the_fleet_page_its_rows(told: "redis.Redis", tmp_path: Path) -> None:
    target = stored_target()
    answered(target, "local", NOW - timedelta(minutes=2))
    running()
    dead = {"name": "worker", "state": "restarting", "since": NOW.isoformat(), "why": "signal SIGKILL"}
    (tmp_path / "processes.json").write_text(json.dumps({"at": NOW.isoformat(), "processes": [dead]}))
    heartbeat(told, "local@one:1", NOW - timedelta(minutes=2))
    topics = Topics(tmp_path)
    said = topics.compute("health", NOW)
    assert said is not None
    assert said["ours"].startswith("The probes on this machine have been late since ")
    assert said["ours"].endswith(" (signal SIGKILL). Targets show as stale.")
    rows = topics.compute("fleet", NOW)
    assert rows is not None
    assert (rows["rows"]["places"]["local"]["word"], rows["rows"]["workers"]["local@one:1"]["word"]) == (
        "Silent",
        "Gone",
    )
    heartbeat(told, "local@two:1", NOW + 2 * SECOND)
    answered(target, "local", NOW + 2 * SECOND)
    running(NOW + 2 * SECOND)
    well = topics.compute("health", NOW + 2 * SECOND)
    assert well is not None
    assert well["ours"] == ""


def test_the_page_shows_slots_and_start_delay_of_a_window(told: "redis.Redis") -> None:
    target = stored_target()
    record(
        [entry(target, NOW - n * SECOND, success(start_delay_us=400_000 if n < 2 else 900)) for n in range(40)], now=NOW
    )
    client = signed_in("viewer")
    page = text(client.get("/fleet/"))
    assert "95.0 %" in page
    for range_ in ("1h", "6h", "24h", "7d", "30d"):
        answer = client.get("/fleet/figures.json", {"range": range_, "table": 1}).json()
        assert (answer["figures"]["local"]["slots"], answer["figures"]["local"]["late"]) == ("40", "2")
        assert 396 <= int(answer["figures"]["local"]["p99"].split()[0]) <= 404
        assert answer["table"]["rows"]


def test_watched_servers_of_all_environments_are_listed_those_behind_first(told: "redis.Redis") -> None:
    now = timezone.now()  # a server is silent after half a minute, and the machine may be slow
    for name, environment, revision in (
        ("b-chat", "staging", 1),
        ("a-chat", "production", 1),
        ("c-chat", "production", 0),
    ):
        regime = Regime(now - timedelta(hours=1), revision, "dependency_gate", 0, 0, 0)
        ReportingServer(server_key(environment), name, [regime]).tell(now)
    page = text(signed_in("viewer").get("/fleet/"))
    at = [page.index(name) for name in ("c-chat", "b-chat", "a-chat")]
    assert at[0] == min(at)
    assert "Behind r1" in page


def test_an_empty_installation_says_what_to_do(told: "redis.Redis") -> None:
    page = text(signed_in("viewer").get("/fleet/"))
    assert "No target is probed from anywhere yet." in page
    assert "manage.py run worker --location KEY" in page
    assert "No watched server has reported within the last hour." in page


def test_neither_queries_nor_time_grow_with_targets(told: "redis.Redis") -> None:
    client = signed_in("viewer")

    def queries() -> int:
        with CaptureQueriesContext(
            connection,
        ) as caught:
            client.get("/fleet/")
        return len(caught)

    answered(stored_target("first"), "local", NOW)
    few = queries()
    for n in range(8):
        answered(stored_target(f"chat-{n}"), "local", NOW, 1)
    assert queries() == few


def test_a_worker_that_left_slots_out_is_named_with_how_many_and_the_cure(told: "redis.Redis") -> None:
    heartbeat(told, "local@one", exceeded=12)
    heartbeat(told, "local@two")
    heartbeat(told, "local@old", NOW - timedelta(minutes=1), exceeded=12)
    heard = read(NOW).heard
    assert heard is not None
    (row,) = exceeded_workers(heard.workers, NOW)
    assert (row["name"], row["state"], row["since"]) == ("worker local@one", "over capacity", NOW.isoformat())
    assert row["why"] == "12 slots were not probed and count as missed; start another worker"


@pytest.mark.parametrize(
    "said",
    ["?", "[]", "{}", json.dumps({"at": NOW.isoformat(), "location": "local"})],
    ids=["no JSON", "a list", "nothing", "no figures"],
)
def test_a_heartbeat_that_cannot_be_read_names_nobody(said: str) -> None:
    """No JSON; of an older version."""
    assert read_worker("local@one", said) is None


def test_a_recorder_that_catches_up_is_told_apart_from_one_that_stopped(told: "redis.Redis") -> None:
    running()
    Watermark.objects.filter(name="sweep").update(at=NOW - timedelta(minutes=3))
    assert needs(read(NOW))[2][2].startswith("stopped at ")
    told.set(RECORDER, json.dumps({"at": NOW.isoformat(), "consumer": "one"}))
    assert needs(read(NOW))[2][2] == "3\u00a0min behind, catching up"
