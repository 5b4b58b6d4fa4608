"""Lives as rows: each once, an end is final, and nothing that cannot be stored blocks the rest."""

import threading
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import redis
from django.db import connection
from django.utils import timezone

from probes.engine.lives import Ending, Life
from probes.lives import life_of, record_lives
from probes.lives_stream import LifeEntry, decode_life, encode_life
from probes.models import ResidentLife, Target, TargetStatus
from probes.recorder import Recorder, connect
from probes.results_stream import BAD, STREAM, EntryError, encode
from probes.retention import tidy
from probes.signals import recorded
from tests.support.outcomes import entry, stored_target, success

pytestmark = pytest.mark.django_db(transaction=True)
NOW = timezone.now().replace(microsecond=123_456)


def life(target: Target, number: int = 0, **fields: Any) -> Life:
    defaults: dict[str, Any] = {
        "ending": Ending.DROPPED, "opened_us": 1500, "ready_us": 40_000, "ended_us": 300_000_000,
        "closed_by": "network", "conversations_ok": 29, "events_expected": 145, "events_delivered": 145,
        "lost_in_cut": 3, "reconnect_us": 120_000,
    }  # fmt: skip
    return Life(target.pk, number, NOW - timedelta(minutes=10), **{**defaults, **fields})


def store(*lives: Life, location: str = "local") -> dict[Any, str]:
    return record_lives([LifeEntry(location, each) for each in lives], now=NOW)


def test_a_life_is_stored_as_it_was_told() -> None:
    told = life(stored_target(), close_code=1012, reason="deploy", strategy="immediate", flags_revision=4)
    assert store(told) == {}
    row = ResidentLife.objects.get()
    assert life_of(row) == told
    assert row.ended == told.ended


def test_a_second_delivery_changes_nothing() -> None:
    told = life(stored_target())
    heard: list[Any] = []

    def hear(**said: Any) -> None:
        heard.append(said["target_ids"])

    recorded.connect(hear)
    try:
        store(told)
        store(told, told)
    finally:
        recorded.disconnect(hear)
    assert ResidentLife.objects.count() == 1
    assert heard == [frozenset({told.target_id})]


def test_an_end_takes_the_place_of_a_report_and_no_report_that_of_an_end() -> None:
    target = stored_target()
    early = life(target, ending=Ending.LIVING, ended_us=1_000_000)
    late = replace(early, ended_us=31_000_000)
    end = replace(early, ending=Ending.CLOSED, close_code=1012, ended_us=40_000_000)
    for told in (early, late, early, end, late):
        store(told)
    assert life_of(ResidentLife.objects.get()) == end
    store(late, replace(late, number=1), replace(end, number=1), replace(late, number=1))
    assert {row.ending for row in ResidentLife.objects.all()} == {"closed"}


def test_two_locations_and_two_numbers_are_different_lives() -> None:
    target = stored_target(locations=("local", "oslo"))
    store(life(target), life(target, 1))
    store(life(target), location="oslo")
    assert ResidentLife.objects.count() == 3


@pytest.mark.parametrize("ending", Ending)
def test_what_we_ended_ourselves_is_never_charged(ending: Ending) -> None:
    store(life(stored_target(), ending=ending))
    charged = ResidentLife.objects.get().charged
    assert charged == (ending not in (Ending.LIVING, Ending.PLANNED, Ending.STOPPED))
    assert TargetStatus.objects.count() == 0


def test_a_deleted_targets_lives_are_nobodys_trouble() -> None:
    told = life(stored_target())
    Target.objects.all().delete()
    assert store(told) == {}
    assert ResidentLife.objects.count() == 0


def test_an_unknown_location_and_a_life_of_another_time_are_refused_by_name() -> None:
    target = stored_target()
    [elsewhere] = store(life(target), location="mars").values()
    assert "'mars'" in elsewhere
    old = replace(life(target), started=NOW - timedelta(days=30))
    [reason] = store(old).values()
    assert "RAW_DAYS" in reason
    [ahead] = store(replace(life(target), started=NOW + timedelta(days=1))).values()
    assert "lies in the future" in ahead
    assert ResidentLife.objects.count() == 0


def test_the_recorder_stores_lives_and_outcomes_from_one_stream(redis_client: "redis.Redis", redis_url: str) -> None:
    target = stored_target()
    texts = [
        encode_life(LifeEntry("local", life(target))),
        '{"life":{}}',
        encode(entry(target, NOW.replace(microsecond=0) - timedelta(seconds=30), success())),
        encode_life(LifeEntry("mars", life(target, 1))),
        encode_life(LifeEntry("local", life(target, 2, reason="cut\ud800 here\x00"))),
    ]
    for text in texts:
        redis_client.xadd(STREAM, {"o": text})
    recorder = Recorder(connect(redis_url), threading.Event())
    while recorder.record_some() or redis_client.xlen(STREAM):
        pass
    assert sorted(ResidentLife.objects.values_list("number", flat=True)) == [0, 2]
    assert target.results.count() == 1
    bad: Any = redis_client.xrange(BAD)
    assert len(bad) == 2
    connection.close()


def test_an_entry_that_is_no_life_says_what_is_wrong() -> None:
    for text in ('{"life":{}}', '{"life":{"started":"x"}}', '{"life":', '{"life":[],"location":"local"}'):
        with pytest.raises(EntryError):
            decode_life(text)
    bad = replace(life(Target(pk=1)), close_code=70_000)
    with pytest.raises(EntryError):
        decode_life(encode_life(LifeEntry("local", bad)))


def test_lives_go_with_the_raw_results() -> None:
    target = stored_target()
    store(life(target))
    tidy(NOW + timedelta(days=6))
    assert ResidentLife.objects.count() == 1
    tidy(NOW + timedelta(days=8))
    assert ResidentLife.objects.count() == 0
