"""Generated history: what is stored adds up, the same seed makes the same, and it goes without a trace."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db.models import Sum

from connections.flags.verifying import verify
from connections.models import AuditRecord, Deploy, Environment, Revision
from dashboard.management.usage import UsageError
from probes import condensing
from probes.generating import work
from probes.generating.plan import BAD, PLACES, plan
from probes.models import Flip, Location, Result, Rollup, ServedRollup, Target, TargetStatus, Transcript, Watermark
from tests.support.outcomes import entry, recount, stored_rollups, stored_target, success
from tests.support.served import recounted, stored
from tests.support.server_history import server_key

pytestmark = pytest.mark.django_db
UNTIL = datetime(2026, 11, 20, 12, 30, tzinfo=UTC)


def made(targets: int = 3, days: float = 0.3, **fields: Any) -> int:
    wanted = work.Wanted(targets, days, **{"interval_s": 60, "until": UNTIL, **fields})
    return work.generate(wanted, by="somebody", beside_real=False, tell=lambda line: None)


def everything() -> dict[str, list[tuple[Any, ...]]]:
    """Every generated row but for numbers that the database gives; transcripts of successes are chosen by them."""
    slugs = dict(Target.objects.values_list("pk", "slug"))
    left_out = {"recorded_at", "at"}
    found = {}
    for model in (Result, Rollup, Flip):
        columns = [field.attname for field in model._meta.concrete_fields if field.attname not in {"id", *left_out}]
        rows = model.objects.values_list(*[column for column in columns if column != "pk"])
        place = columns.index("target_id")
        found[model.__name__] = sorted(repr((*row[:place], slugs[row[place]], *row[place + 1 :])) for row in rows)
    return found  # type: ignore[return-value]


def test_rollups_are_what_the_rows_add_up_to() -> None:
    slots = made(days=0.15)
    assert slots == Result.objects.count() > 3 * 60 * 3
    assert stored_rollups() == recount()
    assert stored() == recounted()
    before = {row.pk: (row.probes, row.kinds, row.histograms) for row in Rollup.objects.filter(width=300)}
    assert sum(row[0] for row in before.values()) > 3 * 60 * 3 - 30
    condensing.refill(UNTIL - timedelta(hours=5), UNTIL, [*Target.objects.values_list("pk", flat=True)])
    assert {row.pk: (row.probes, row.kinds, row.histograms) for row in Rollup.objects.filter(width=300)} == before


def test_it_ends_with_a_fault_a_minute_after_a_change_that_is_still_served() -> None:
    made(targets=4, days=0.1, interval_s=20)
    failing = TargetStatus.objects.get(state__in=("down", "degraded"))
    newest = Revision.objects.filter(environment=failing.target.environment).latest("number")
    assert newest.summary == [{"flag": "readiness-strategy", "before": "dependency_gate", "after": BAD[0]}]
    assert timedelta(0) < failing.since - newest.at < timedelta(minutes=8)
    rows = Result.objects.filter(target=failing.target, slot__gt=newest.at + timedelta(minutes=1))
    assert {(row.strategy, row.flags_revision) for row in rows} == {(BAD[0], newest.number)}


def test_the_same_seed_makes_the_same_history_and_another_seed_another() -> None:
    made(targets=2)
    first = everything()
    work.remove(by="somebody")
    made(targets=2)
    assert everything() == first
    work.remove(by="somebody")
    made(targets=2, seed=8)
    assert everything() != first


def test_what_is_older_than_the_product_keeps_is_not_made(settings: Any) -> None:
    settings.RAW_DAYS, settings.MINUTE_DAYS = 1, 2
    made(targets=1, days=3)
    oldest = {width: Rollup.objects.filter(width=width).earliest("start").start for width in (60, 3600)}
    assert UNTIL - Result.objects.earliest("slot").slot <= timedelta(days=1)
    assert timedelta(days=1) < UNTIL - oldest[60] <= timedelta(days=2)
    assert UNTIL - oldest[3600] > timedelta(days=2, hours=23)


def test_it_goes_without_a_trace_and_the_audit_trail_says_so() -> None:
    before = set(Environment.objects.values_list("key", flat=True))
    made(targets=1, days=0.1)
    assert not verify().faults
    assert work.remove(by="somebody") == (1, [])
    assert not Location.objects.filter(key="generated").exists()
    for model in (Target, Result, Rollup, ServedRollup, Transcript, Flip, TargetStatus, Deploy):
        assert not model.objects.exists(), model
    assert not Watermark.objects.filter(name__startswith="generated").exists()
    assert set(Environment.objects.values_list("key", flat=True)) == before
    assert not verify().faults
    told = AuditRecord.objects.filter(actor="somebody").order_by("number").values_list("action", flat=True)
    assert [*told] == ["history.generated", "history.removed"]


def test_an_environment_that_somebody_acted_in_stays() -> None:
    made(targets=1, days=0.1)
    server_key(PLACES[0].key)
    assert work.remove(by="somebody") == (1, [PLACES[0].key])
    assert Environment.objects.filter(key=PLACES[0].key).exists()


def test_it_does_not_stand_beside_targets_of_people_unless_told(capsys: pytest.CaptureFixture[str]) -> None:
    from probes.recording import record  # what makes a result of a person's target

    mine = stored_target("mine")
    slot = datetime.now(UTC).replace(microsecond=0)
    record([entry(mine, slot, success())], now=slot)
    arguments = ["generate_history", "--targets", "1", "--days", "0.1", "--interval", "60"]
    with pytest.raises(CommandError, match="--beside-real-data"):
        call_command(*arguments)
    call_command(*arguments, "--beside-real-data")
    with pytest.raises(CommandError, match="generated history already"):
        call_command(*arguments, "--beside-real-data")
    call_command("generate_history", "--remove")
    assert "1 generated targets are gone" in capsys.readouterr().out
    assert [*Target.objects.all()] == [mine]
    assert Result.objects.count() == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "Say how much"),
        (["--targets", "0", "--days", "1"], "--targets: from 1"),
        (["--targets", "1", "--days", "0"], "--days: more than 0"),
        (["--targets", "1", "--days", "1", "--interval", "7"], "divide a minute"),
        (["--targets", "1", "--days", "1", "--until", "yesterday"], "a time with its zone"),
    ],
)
def test_a_mistake_costs_one_line(arguments: list[str], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        call_command("generate_history", *arguments)


def test_no_worker_probes_a_generated_target() -> None:
    from probes.expectation import expected_targets

    made(targets=1, days=0.1)
    assert expected_targets() == []


def test_a_plan_has_changes_that_are_taken_back_and_faults_that_begin_after_them() -> None:
    start = UNTIL - timedelta(days=30)
    found = plan(7, 100, start, UNTIL)
    production = found.changes["generated-production"]
    assert len(production) > 10
    assert production[0].at == start
    assert {change.strategy for change in production[0::2]} == {"dependency_gate"}
    assert not {change.strategy for change in production[1::2]} - set(BAD)
    races = [each for episodes in found.episodes.values() for each in episodes if each.sort == "race"]
    changes = {change.at for some in found.changes.values() for change in some}
    assert races
    assert all(each.start - timedelta(seconds=50) in changes for each in races)


def test_deploys_and_what_strategies_served_are_made_too() -> None:
    made(targets=6, days=2.5, interval_s=60)
    deploys = Deploy.objects.filter(environment__in=[place.key for place in PLACES])
    assert deploys
    assert {each.service for each in deploys} <= set(Target.objects.values_list("slug", flat=True))
    probed = Rollup.objects.filter(width=3600).aggregate(n=Sum("probes"))["n"]
    by_width = dict(ServedRollup.objects.values_list("width").annotate(Sum("probes")))
    assert by_width[3600] == by_width[86_400] == probed
    assert 0 < by_width[300] < probed
    races = ServedRollup.objects.filter(width=3600, strategy="immediate").aggregate(f=Sum("failed"), n=Sum("probes"))
    calm = ServedRollup.objects.filter(width=3600, strategy="dependency_gate").aggregate(
        f=Sum("failed"), n=Sum("probes")
    )
    assert races["f"] / races["n"] > 5 * calm["f"] / calm["n"]
