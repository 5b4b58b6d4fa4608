"""Kills, breakers and ramps over a version: what each verb writes, refuses, and leaves as it was."""

import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import pytest
from django.db import connections as database_connections
from django.db import transaction
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connections.flags import control, reading
from connections.flags.changing import standing
from connections.flags.errors import (
    BadExpiry,
    FlagError,
    NoSafeVariant,
    NothingLaid,
    NothingToChange,
    ReasonMissing,
    UnderLayer,
    UnknownFlag,
    UnknownVariant,
)
from connections.flags.evaluation import evaluate
from connections.models import AuditRecord, Environment, Overlay, Ramp, Revision
from tests.connections.flags.conftest import Flags

STRATEGY = "readiness-strategy"
WHO: dict[str, Any] = {"author": "alice", "reason": "chat answers vanish"}
STEPS = [{"percentage": 10, "hold_seconds": 60}, {"percentage": 50, "hold_seconds": 60}, {"percentage": 100}]


def served(flag: str, environment: str = "staging", subject: str = "somebody") -> str | None:
    return evaluate(reading.flag_set(environment).served, flag, {"targetingKey": subject}).variant


def share(flag: str = STRATEGY, variant: str = "ready_ack") -> int:
    """How many of a thousand subjects are served `variant`."""
    flags = reading.flag_set("staging").served
    return sum(evaluate(flags, flag, {"targetingKey": f"s{n}"}).variant == variant for n in range(1000))


def start(steps: Any = STEPS) -> Revision:
    return control.start_ramp("staging", STRATEGY, "ready_ack", steps, **WHO)


def ramp() -> Ramp:
    return Ramp.objects.get(flag_key=STRATEGY, ended_at__isnull=True)


def later(seconds: float) -> datetime:
    return timezone.now() + timedelta(seconds=seconds)


# Kills


def test_a_kill_serves_the_safe_variant_and_leaves_the_version_alone(staging: Flags) -> None:
    staging.change(readiness_strategy="immediate")
    revision = control.kill("staging", STRATEGY, **WHO)
    assert (revision.number, revision.version.number, revision.cause) == (3, 2, "kill")
    told = {"flag": STRATEGY, "before": "immediate", "after": "dependency_gate"}
    assert revision.summary == [{**told, "layer": "kill", "laid": True}]
    assert (served(STRATEGY), staging.served(STRATEGY)) == ("dependency_gate", "immediate")
    record = AuditRecord.objects.get(action="flags.kill")
    assert (record.actor, record.reason, record.subject) == ("alice", "chat answers vanish", STRATEGY)
    assert record.after is not None
    assert record.after["layers"] == [{"flag": STRATEGY, "kind": "kill", "variant": "dependency_gate"}]


def test_lifting_serves_exactly_what_was_there(staging: Flags) -> None:
    staging.change(readiness_strategy="immediate")
    before = reading.flag_set("staging").served
    control.kill("staging", STRATEGY, **WHO)
    revision = control.lift("staging", STRATEGY, author="bob", reason="the fix is out")
    assert reading.flag_set("staging").served == before
    told = {"flag": STRATEGY, "before": "dependency_gate", "after": "immediate"}
    assert revision.summary == [{**told, "layer": "kill", "laid": False}]
    overlay = Overlay.objects.get()
    assert (overlay.ended_by, overlay.ended_reason) == ("bob", "the fix is out")


def test_a_kill_is_refused_with_a_cure_and_writes_nothing(staging: Flags) -> None:
    flags = reading.flag_set("staging").definitions
    bare = {key: value for key, value in flags["client-ack"].items() if key != "metadata"}
    control.define("staging", {"client-ack": bare}, expected_version=1, **WHO)
    with pytest.raises(NoSafeVariant):
        control.kill("staging", "client-ack", **WHO)
    with pytest.raises(UnknownFlag):
        control.kill("staging", "nothing", **WHO)
    with pytest.raises(ReasonMissing):
        control.kill("staging", STRATEGY, author="alice", reason="off")
    with pytest.raises(BadExpiry):
        control.kill("staging", STRATEGY, expires_at=later(-1), **WHO)
    with pytest.raises(NothingLaid):
        control.lift("staging", STRATEGY, **WHO)
    with pytest.raises(NothingLaid):
        control.lift("staging", STRATEGY, "ramp", **WHO)
    control.kill("staging", STRATEGY, **WHO)
    with pytest.raises(UnderLayer, match="is killed already"):
        control.kill("staging", STRATEGY, **WHO)
    assert staging.revision == 3
    assert Overlay.objects.count() == 1


def test_a_breaker_serves_the_controls_variant_and_keeps_what_the_guard_saw(staging: Flags) -> None:
    start()
    seen = {"canary": [12, 40], "control": [0, 40]}
    revision = control.trip("staging", STRATEGY, variant="dependency_gate", reason="canary fails more", evidence=seen)
    assert (revision.cause, revision.author) == ("trip", "guard")
    assert share() == 0
    assert Overlay.objects.get().evidence == seen
    assert (ramp().state, ramp().paused_why) == ("paused", f"the breaker of {STRATEGY} tripped")
    with pytest.raises(UnknownVariant):
        control.trip("staging", STRATEGY, variant="none", reason="canary fails more", evidence=None)
    control.lift("staging", STRATEGY, "breaker", **WHO)
    assert 60 < share() < 150
    assert ramp().state == "paused"


# Changes under layers


def test_a_change_under_a_kill_is_kept_and_served_when_it_is_lifted(staging: Flags) -> None:
    control.kill("staging", STRATEGY, **WHO)
    staging.change(readiness_strategy="immediate")
    assert served(STRATEGY) == "dependency_gate"
    control.lift("staging", STRATEGY, **WHO)
    assert served(STRATEGY) == "immediate"


def test_what_would_take_a_kills_variant_away_is_refused_but_a_revert_ends_the_kill(staging: Flags) -> None:
    switch = {"state": "ENABLED", "variants": {"on": True}, "defaultVariant": "on", "metadata": {"safeVariant": "on"}}
    control.define("staging", {"mine": switch}, expected_version=1, **WHO)
    control.kill("staging", "mine", **WHO)
    with pytest.raises(UnderLayer, match="Lift the kill first"):
        control.define("staging", {"mine": None}, expected_version=2, **WHO)
    control.revert("staging", 1, expected_version=None, **WHO)
    assert "mine" not in reading.flag_set("staging").served
    assert Overlay.objects.get().ended_reason == "revert (to version 1): chat answers vanish"


def test_a_direct_change_of_a_flag_under_a_ramp_is_refused_naming_the_cure(staging: Flags) -> None:
    start()
    for act in (
        lambda: staging.change(readiness_strategy="immediate"),
        lambda: control.preview_change("staging", {STRATEGY: "immediate"}),
        lambda: control.define("staging", {STRATEGY: None}, expected_version=1, **WHO),
    ):
        with pytest.raises(UnderLayer, match="Abort the ramp, or let it end") as refused:
            act()
        assert "10 % are served ready_ack" in refused.value.message
    staging.change(client_ack="off")
    assert (staging.revision, ramp().state) == (3, "running")


def test_a_rollback_is_never_refused_by_a_ramp_but_ends_it(staging: Flags) -> None:
    staging.change(readiness_strategy="immediate")
    start()
    preview = control.preview_revert("staging", 1)
    assert preview.ends == (STRATEGY,)
    control.revert("staging", 1, expected_version=2, **WHO)
    assert (share(), served(STRATEGY)) == (0, "dependency_gate")
    assert Ramp.objects.get().state == "aborted"
    assert staging.revision == 4


def test_a_revert_leaves_the_ramps_of_other_flags_alone(staging: Flags) -> None:
    staging.change(client_ack="off")
    start()
    control.revert("staging", 1, expected_version=None, **WHO)
    assert ramp().state == "running"


def test_an_emergency_ends_every_ramp_even_where_no_definition_changes(staging: Flags) -> None:
    start()
    preview = control.preview_plan("staging", "emergency")
    assert (preview.diffs, preview.ends, preview.empty) == ((), (STRATEGY,), False)
    version = control.run_plan("staging", "emergency", **WHO)
    assert (version.number, staging.revision, share()) == (1, 3, 0)
    revision = Revision.objects.get(environment="staging", number=3)
    assert revision.summary == [
        {
            "flag": STRATEGY,
            "before": "dependency_gate",
            "after": "dependency_gate",
            "layer": "ramp",
            "laid": False,
            "ramp": "ready_ack",
            "was": 10,
            "percentage": 0,
        }
    ]
    with pytest.raises(NothingToChange):
        control.run_plan("staging", "emergency", **WHO)


def test_an_emergency_leaves_a_kill_on(staging: Flags) -> None:
    staging.change(readiness_strategy="immediate")
    control.kill("staging", STRATEGY, **WHO)
    control.run_plan("staging", "emergency", **WHO)
    assert [layer.kind for layer in reading.flag_set("staging").layers] == ["kill"]


# Ramps


def test_a_ramp_serves_its_first_step_at_once_and_the_version_stays(staging: Flags) -> None:
    revision = start()
    assert (revision.number, revision.version.number, revision.cause) == (2, 1, "ramp_start")
    assert 60 < share() < 150
    assert (ramp().control, ramp().variant, ramp().percentage) == ("dependency_gate", "ready_ack", 10)
    assert revision.summary[0]["percentage"] == 10


def test_the_flags_own_rules_keep_deciding_under_a_ramp(staging: Flags) -> None:
    rule = {"if": [{"==": [{"var": "plan"}, "trial"]}, "fixed_delay", None]}
    body = {**reading.flag_set("staging").definitions[STRATEGY], "targeting": rule}
    control.define("staging", {STRATEGY: body}, expected_version=1, **WHO)
    start([{"percentage": 99.9}])
    flags = reading.flag_set("staging").served
    assert evaluate(flags, STRATEGY, {"targetingKey": "x", "plan": "trial"}).variant == "fixed_delay"
    assert evaluate(flags, STRATEGY, {"targetingKey": "x"}).variant == "ready_ack"


@pytest.mark.parametrize(
    ("variant", "before", "says"),
    [
        ("dependency_gate", None, "serves dependency_gate to everybody already"),
        ("ready_ack", "kill", "is killed"),
        ("ready_ack", "ramp", "has a ramp already"),
    ],
)
def test_a_ramp_is_not_started_where_it_would_mean_nothing(
    staging: Flags, variant: str, before: str | None, says: str
) -> None:
    if before == "kill":
        control.kill("staging", STRATEGY, **WHO)
    if before == "ramp":
        start()
    revision = staging.revision
    with pytest.raises(UnderLayer, match=says):
        control.start_ramp("staging", STRATEGY, variant, STEPS, **WHO)
    assert staging.revision == revision


def test_pausing_serves_on_makes_no_revision_and_is_audited(staging: Flags) -> None:
    start()
    paused = control.pause_ramp("staging", STRATEGY, **WHO)
    assert (paused.state, paused.percentage, paused.paused_why) == ("paused", 10, "alice: chat answers vanish")
    assert control.advance(later(1000)) == []
    resumed = control.resume_ramp("staging", STRATEGY, **WHO)
    assert (resumed.state, resumed.paused_why) == ("running", "")
    assert staging.revision == 2
    assert set(AuditRecord.objects.values_list("action", flat=True)) >= {"flags.ramp_pause", "flags.ramp_resume"}
    with pytest.raises(UnderLayer, match="cannot be resumed"):
        control.resume_ramp("staging", STRATEGY, **WHO)


def test_a_kill_pauses_the_ramp_and_lifting_restores_its_share_still_paused(staging: Flags) -> None:
    start()
    before = share()
    control.kill("staging", STRATEGY, **WHO)
    assert (share(), ramp().state, ramp().paused_why) == (0, "paused", f"{STRATEGY} was killed")
    with pytest.raises(UnderLayer, match="is killed"):
        control.resume_ramp("staging", STRATEGY, **WHO)
    control.lift("staging", STRATEGY, **WHO)
    assert (share(), ramp().state) == (before, "paused")
    control.resume_ramp("staging", STRATEGY, **WHO)
    assert ramp().state == "running"


def test_an_aborted_ramp_serves_the_version_and_can_be_reopened_where_it_was(staging: Flags) -> None:
    start()
    control.advance(later(61))
    before = share()
    assert control.abort_ramp("staging", STRATEGY, **WHO).summary[0]["was"] == 50
    assert share() == 0
    control.reopen_ramp("staging", STRATEGY, **WHO)
    assert (share(), ramp().state, ramp().percentage) == (before, "paused", 50)
    with pytest.raises(NothingLaid):
        control.reopen_ramp("staging", STRATEGY, **WHO)


def test_set_back_a_ramp_serves_its_step_before_and_stays_there(staging: Flags) -> None:
    start()
    control.advance(later(61))
    revision = control.set_ramp_back("staging", STRATEGY, **WHO)
    assert (revision.summary[0]["was"], revision.summary[0]["percentage"]) == (50, 10)
    assert (ramp().state, ramp().percentage) == ("paused", 10)
    assert control.advance(later(10_000)) == []
    with pytest.raises(UnderLayer, match="cannot be set back"):
        control.set_ramp_back("staging", STRATEGY, **WHO)


def test_a_finished_ramp_becomes_a_version(staging: Flags) -> None:
    start()
    version = control.finish_ramp("staging", STRATEGY, **WHO)
    assert (version.kind, staging.served(STRATEGY), share()) == ("change", "ready_ack", 1000)
    assert Ramp.objects.get().state == "completed"
    with pytest.raises(NothingLaid):
        control.abort_ramp("staging", STRATEGY, **WHO)


# The clock


def test_the_clock_steps_a_ramp_to_its_end_one_revision_each(staging: Flags) -> None:
    start()
    assert control.advance(later(59)) == []
    assert [one.cause for one in control.advance(later(61))] == ["ramp_step"]
    assert control.advance(later(119)) == []
    assert [one.number for one in control.advance(later(122))] == [4]
    [done] = control.advance(later(123))
    assert (done.cause, done.version.number, done.author) == ("ramp_completed", 2, "readywire")
    assert (share(), staging.served(STRATEGY), staging.revision) == (1000, "ready_ack", 5)


def test_a_step_that_needs_a_pass_holds_while_nobody_guards(staging: Flags) -> None:
    start([{"percentage": 10, "hold_seconds": 1, "needs_pass": True}, {"percentage": 100}])
    assert control.advance(later(100_000)) == []


def test_an_expired_kill_is_lifted_once_and_the_ramp_below_stays_paused(staging: Flags) -> None:
    start()
    control.kill("staging", STRATEGY, expires_at=later(60), **WHO)
    assert control.advance(later(59)) == []
    [revision] = control.advance(later(61))
    assert (revision.cause, revision.author, revision.number) == ("expiry", "readywire", 4)
    assert control.advance(later(62)) == []
    assert (Overlay.objects.get().ended_by, ramp().state) == ("readywire", "paused")


def test_what_fails_of_one_flag_stops_no_other(staging: Flags, caplog: pytest.LogCaptureFixture) -> None:
    control.kill("staging", "client-ack", expires_at=later(1), **WHO)
    start()
    Ramp.objects.update(variant="gone", step=2)
    assert [one.cause for one in control.advance(later(100))] == ["expiry"]
    assert "tried again" in caplog.text
    assert staging.revision == 4
    assert ramp().state == "running"


@pytest.mark.django_db(transaction=True)
def test_of_eight_clocks_at_once_one_moves_each_thing() -> None:
    start()
    control.kill("staging", "client-ack", expires_at=later(1), **WHO)
    made: list[Revision] = []
    at_once([lambda: made.extend(control.advance(later(100)))] * 8)
    assert sorted(one.cause for one in made) == ["expiry", "ramp_step"]
    numbers = list(Revision.objects.filter(environment="staging").order_by("number").values_list("number", flat=True))
    assert numbers == [1, 2, 3, 4, 5]
    assert Environment.objects.get(key="staging").revision == 5


@pytest.mark.django_db(transaction=True)
def test_kills_lifts_steps_and_changes_at_once_leave_no_gap_and_nothing_half_done() -> None:
    start([{"percentage": n * 10, "hold_seconds": 0} for n in range(1, 11)])

    def kill_and_lift() -> None:
        for act in (control.kill, control.lift, control.resume_ramp) * 2:
            refused(partial(act, "staging", STRATEGY, **WHO))

    def toggle() -> None:
        for value in ("off", "on"):
            newest = reading.current_version("staging").number
            refused(partial(control.change, "staging", {"client-ack": value}, expected_version=newest, **WHO))

    at_once([kill_and_lift, kill_and_lift, toggle, *[lambda: [control.advance(later(1)) for _ in range(4)]] * 3])
    rows = list(Revision.objects.filter(environment="staging").order_by("number"))
    assert [row.number for row in rows] == list(range(1, len(rows) + 1))
    assert Environment.objects.get(key="staging").revision == len(rows)
    assert list(reading.flag_set("staging").layers) == list(standing("staging"))


def refused(act: Callable[[], object]) -> None:
    with suppress(FlagError):
        act()


def at_once(acts: list[Callable[[], object]]) -> None:
    barrier, failures = threading.Barrier(len(acts)), []

    def run(act: Callable[[], object]) -> None:
        try:
            barrier.wait(10)
            act()
        except Exception as error:  # noqa: BLE001 (told by the test, whatever it is)
            failures.append(error)
        finally:
            database_connections.close_all()

    threads = [threading.Thread(target=run, args=(act,)) for act in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failures == []


# Whatever people and clocks do

VERBS: dict[str, Callable[[], object]] = {
    "kill": lambda: control.kill("staging", STRATEGY, **WHO),
    "kill for a while": lambda: control.kill("staging", STRATEGY, expires_at=later(5), **WHO),
    "lift": lambda: control.lift("staging", STRATEGY, **WHO),
    "trip": lambda: control.trip("staging", STRATEGY, variant="dependency_gate", reason="a b c", evidence=None),
    "re-arm": lambda: control.lift("staging", STRATEGY, "breaker", **WHO),
    "start": start,
    "pause": lambda: control.pause_ramp("staging", STRATEGY, **WHO),
    "resume": lambda: control.resume_ramp("staging", STRATEGY, **WHO),
    "back": lambda: control.set_ramp_back("staging", STRATEGY, **WHO),
    "abort": lambda: control.abort_ramp("staging", STRATEGY, **WHO),
    "reopen": lambda: control.reopen_ramp("staging", STRATEGY, **WHO),
    "finish": lambda: control.finish_ramp("staging", STRATEGY, **WHO),
    "clock": lambda: control.advance(later(70)),
    "change": lambda: control.change(
        "staging", {STRATEGY: "immediate"}, expected_version=reading.current_version("staging").number, **WHO
    ),
    "emergency": lambda: control.run_plan("staging", "emergency", **WHO),
}


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(happenings=st.lists(st.sampled_from(sorted(VERBS)), max_size=10))
def test_whatever_happens_numbers_have_no_gap_and_a_lifted_kill_leaves_no_trace(
    db: None, happenings: list[str]
) -> None:
    with transaction.atomic():
        for name in happenings:
            _happens(VERBS[name])
            _assert_a_kill_leaves_no_trace()
        numbers = list(Revision.objects.filter(environment="staging").order_by("number").values_list("number"))
        assert [number for (number,) in numbers] == list(range(1, len(numbers) + 1))
        transaction.set_rollback(True)


def _happens(act: Callable[[], object]) -> None:
    """Either it is carried out, or it is refused and nothing is another than before."""
    before = (reading.flag_set("staging"), AuditRecord.objects.count())
    try:
        act()
    except FlagError:
        assert (reading.flag_set("staging"), AuditRecord.objects.count()) == before
    assert list(reading.flag_set("staging").layers) == list(standing("staging"))


def _assert_a_kill_leaves_no_trace() -> None:
    if Overlay.objects.filter(ended_at__isnull=True, kind="kill").exists():
        return
    before = reading.flag_set("staging")
    with transaction.atomic():
        control.kill("staging", STRATEGY, **WHO)
        assert served(STRATEGY) == "dependency_gate"
        control.lift("staging", STRATEGY, **WHO)
        assert reading.flag_set("staging").served == before.served
        transaction.set_rollback(True)
