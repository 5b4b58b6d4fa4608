"""Who is served what, and which flags could go: what is counted, and the page."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from connections.flags import control, keys, reports, using
from connections.flags.using import Place, Tally
from connections.models import FlagUse, Version
from dashboard.counting_uses import UseCounter
from dashboard.permissions import VIEWER
from tests.support.people import signed_in

pytestmark = pytest.mark.django_db
NOW = timezone.now()
WHO: dict[str, Any] = {"author": "alice", "reason": "chat answers vanish"}


def tell(instance: str, evaluations: dict[str, dict[str, int]], *, run: str = "a", ago_s: float = 0) -> None:
    holder = keys.Holder(1, "staging", "chat", "")
    body = (
        f'{{"instance": "{instance}", "library_version": "0.1.0", "held_revision": 1, "run": "{run}", '
        f'"evaluations": {str(evaluations).replace(chr(39), chr(34))}}}'
    )
    with transaction.atomic():
        reports.record(holder, reports.read(body.encode()), now=timezone.now() - timedelta(seconds=ago_s))


def counts(flag: str = "readiness-strategy") -> dict[tuple[str, str], int]:
    return {(row.reader, row.variant): row.count for row in FlagUse.objects.filter(flag_key=flag)}


def page(**query: str) -> str:
    answer = signed_in(VIEWER).get("/flags/use/", query)
    assert answer.status_code == 200
    return " ".join(answer.content.decode().split())


def test_reports_are_counted_by_server_and_variant_across_restarts() -> None:
    tell("chat-1", {"readiness-strategy": {"immediate": 5}})
    tell("chat-1", {"readiness-strategy": {"immediate": 7, "dependency_gate": 1}})
    tell("chat-2", {"readiness-strategy": {"immediate": 2}})
    tell("chat-1", {"readiness-strategy": {"dependency_gate": 3}}, run="b")
    assert counts() == {
        ("chat-1", "immediate"): 7,
        ("chat-1", "dependency_gate"): 4,
        ("chat-2", "immediate"): 2,
    }


def test_a_repeated_report_counts_nothing_twice() -> None:
    for _ in range(3):
        tell("chat-1", {"readiness-strategy": {"immediate": 5}})
    assert counts() == {("chat-1", "immediate"): 5}


def test_both_ways_of_writing_add_to_what_is_stored() -> None:
    place = Place("staging", "ofrep", "web", "client-ack", "on")
    for record in (using.record, using.record_alone, using.record, using.record_alone):
        tally = Tally()
        tally.add(place, NOW, 2)
        tally.add(place, NOW + timedelta(seconds=1))
        record(tally)
    row = FlagUse.objects.get()
    assert (row.count, row.first_at, row.last_at) == (12, NOW + timedelta(seconds=1), NOW + timedelta(seconds=1))


async def test_what_the_database_does_not_take_is_counted_the_next_time() -> None:
    counter, written = UseCounter(), []
    counter.evaluated(keys.Holder(1, "staging", "web", ""), "client-ack", "on")
    counter.answered_all(keys.Holder(1, "staging", "web", ""))

    async def write(tally: Tally) -> None:
        written.append({place.flag: counted.count for place, counted in tally.items()})
        if len(written) == 1:
            raise OSError("the database is away")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await counter.write_for_ever(write, every=0.001)
    assert written == [{"client-ack": 1, "*": 1}] * 2


def test_the_page_says_who_still_runs_immediate() -> None:
    tell("chat-1", {"readiness-strategy": {"immediate": 5}}, ago_s=3_600)
    tell("chat-2", {"readiness-strategy": {"immediate": 3}})
    told = page(env="staging", flag="readiness-strategy")
    assert "1 of 6 flags has been evaluated. None is due to be removed." in told
    first, second = told.split("chat-1"), told.split("chat-2")
    assert ">still<" not in first[1].split("</tr>")[0]
    assert ">still<" in second[1].split("</tr>")[0]
    assert "Everybody gets dependency_gate." in told


def test_the_page_lists_what_could_go_with_its_owner() -> None:
    old = timezone.now() - timedelta(days=60)
    flags: dict[str, Any] = {
        "late": {"metadata": {"owner": "chat team", "removeBy": "2020-01-31"}},
        "settled": {},
        "switch": {"metadata": {"permanent": True}},
    }
    body = {"state": "ENABLED", "variants": {"on": True, "off": False}, "defaultVariant": "on"}
    control.define("staging", {key: {**body, **more} for key, more in flags.items()}, expected_version=1, **WHO)
    Version.objects.filter(environment="staging", number=2).update(created_at=old)
    told = page(env="staging")
    assert "2 could be removed, 1 of them past the date." in told
    assert "was to be removed by 2020-01-31" in told
    assert "chat team" in told
    assert "everybody gets on, unchanged for 60 days" in told
    assert "nobody named" in told
    assert told.index(">late<") < told.index(">settled<")
    assert ">switch<" not in told


def test_the_page_takes_any_flag_and_the_flags_page_leads_there() -> None:
    assert "has no flag called absent" in page(env="staging", flag="absent")
    assert "has no flag called &lt;script&gt;" in page(env="staging", flag="<script>")
    assert "Nobody has evaluated client-ack yet." in page(env="staging", flag="client-ack")
    assert signed_in(VIEWER).get("/flags/use/", {"env": "nowhere"}).status_code == 404
    assert "/flags/use/?env=staging" in signed_in(VIEWER).get("/flags/?env=staging").content.decode()
    assert Client().get("/flags/use/").status_code in (302, 403)


def test_the_number_of_queries_does_not_grow_with_flags(
    django_assert_max_num_queries: DjangoAssertNumQueries,
) -> None:
    body = {"state": "ENABLED", "variants": {"on": True}, "defaultVariant": "on"}
    control.define("staging", {f"f{number}": body for number in range(200)}, expected_version=1, **WHO)
    tell("chat-1", {f"f{number}": {"on": 1} for number in range(150)})
    client = signed_in(VIEWER)
    with django_assert_max_num_queries(25):
        client.get("/flags/use/?env=staging")
