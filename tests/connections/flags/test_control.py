"""Every way to change flags: what it writes, what it refuses, and what it tells."""

import random
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

import pytest
from django.db import connections as database_connections
from django.db import transaction

from connections.flags import control, reading
from connections.flags.errors import (
    FlagError,
    NoKnownGood,
    NothingToChange,
    ReasonMissing,
    StaleVersion,
    UnknownEnvironment,
    UnknownFlag,
    UnknownPlan,
    UnknownVariant,
    UnknownVersion,
)
from connections.flags.versions import set_hash
from connections.models import AuditRecord, Environment, Revision, Version
from connections.signals import revision_served
from tests.connections.flags.conftest import Flags

WHY = "chat answers vanish"
STRATEGY = {"readiness-strategy": "immediate"}


def test_a_fresh_installation_serves_six_flags_in_three_environments(db: None) -> None:
    assert list(Environment.objects.values_list("key", "revision")) == [
        ("development", 1),
        ("staging", 1),
        ("production", 1),
    ]
    flags = reading.flag_set("production")
    assert (flags.version, flags.revision, len(flags.definitions)) == (1, 1, 6)
    assert flags.definitions["readiness-strategy"]["defaultVariant"] == "dependency_gate"
    good = reading.known_good("production")
    assert good is not None
    assert (good.number, good.known_good_by, good.set_hash) == (1, "readywire", flags.set_hash)


def test_a_change_appends_version_revision_and_audit_row(staging: Flags) -> None:
    version = control.change("staging", STRATEGY, author="alice", reason=f" {WHY} ", expected_version=1)
    assert (version.number, version.kind, version.author, version.reason) == (2, "change", "alice", WHY)
    assert version.parent is not None
    assert version.parent.number == 1
    assert (staging.version, staging.revision, staging.served("readiness-strategy")) == (2, 2, "immediate")
    revision = Revision.objects.get(environment="staging", number=2)
    assert (revision.version, revision.cause) == (version, "change")
    assert revision.summary == [{"flag": "readiness-strategy", "before": "dependency_gate", "after": "immediate"}]
    record = AuditRecord.objects.get(action="flags.change")
    assert (record.actor, record.reason, record.environment_id) == ("alice", WHY, "staging")
    before = {"readiness-strategy": {"defaultVariant": "dependency_gate"}}
    after = {"readiness-strategy": {"defaultVariant": "immediate"}}
    assert record.before == {"version": 1, "revision": 1, "flags": before}
    assert record.after == {"version": 2, "revision": 2, "flags": after}


def test_a_version_is_hashed_over_its_whole_set(staging: Flags) -> None:
    version = staging.change(client_ack="off")
    assert version.set_hash == set_hash(reading.flag_set("staging").definitions)
    assert version.set_hash != reading.flag_set("staging", 1).set_hash
    assert reading.flag_set("staging", 1).set_hash == reading.flag_set("production", 1).set_hash


def test_other_environments_keep_what_they_serve(staging: Flags) -> None:
    staging.change(readiness_strategy="immediate")
    assert Flags("production").served("readiness-strategy") == "dependency_gate"
    assert Flags("production").revision == 1


def test_a_stale_change_is_refused_and_shows_what_changed(staging: Flags) -> None:
    """Bob saw version 1; Alice was quicker."""
    staging.change(client_ack="off")
    with pytest.raises(StaleVersion) as refused:
        control.change("staging", STRATEGY, author="bob", reason=WHY, expected_version=1)
    assert refused.value.current == 2
    assert [(one.flag, one.before, one.after) for one in refused.value.theirs] == [("client-ack", "on", "off")]
    assert [(one.flag, one.before, one.after) for one in refused.value.yours] == [
        ("readiness-strategy", "dependency_gate", "immediate")
    ]
    assert (staging.version, staging.served("readiness-strategy")) == (2, "dependency_gate")


@pytest.mark.parametrize(
    ("environment", "values", "reason", "expected", "error"),
    [
        ("nowhere", STRATEGY, WHY, 1, UnknownEnvironment),
        ("staging", {"absent": "on"}, WHY, 1, UnknownFlag),
        ("staging", {"client-ack": "perhaps"}, WHY, 1, UnknownVariant),
        ("staging", {**STRATEGY, "client-ack": "perhaps"}, WHY, 1, UnknownVariant),
        ("staging", STRATEGY, "", 1, ReasonMissing),
        ("staging", STRATEGY, "two words", 1, ReasonMissing),
        ("staging", {"client-ack": "on"}, WHY, 1, NothingToChange),
        ("staging", {}, WHY, 1, NothingToChange),
        ("staging", STRATEGY, WHY, 7, UnknownVersion),
    ],
)
def test_a_refused_change_names_the_field_and_writes_nothing(
    staging: Flags, environment: str, values: dict[str, str], reason: str, expected: int, error: type[FlagError]
) -> None:
    before = (Version.objects.count(), Revision.objects.count(), AuditRecord.objects.count(), staging.revision)
    with pytest.raises(error) as refused:
        control.change(environment, values, author="alice", reason=reason, expected_version=expected)
    assert refused.value.field
    assert refused.value.message
    assert refused.value.cure
    assert (Version.objects.count(), Revision.objects.count(), AuditRecord.objects.count(), staging.revision) == before


def test_a_reason_is_asked_for_where_the_environment_says_so(db: None) -> None:
    assert control.change("development", STRATEGY, author="alice", reason="", expected_version=1).number == 2
    with pytest.raises(ReasonMissing, match="Say why, in at least 3 words"):
        control.run_plan("production", "phase-1", author="alice", reason="because")


def test_any_version_comes_back_as_a_new_one(staging: Flags) -> None:
    staging.change(readiness_strategy="immediate")
    staging.change(client_ack="off", degraded_mode="off")
    version = control.revert("staging", 2, author="bob", reason=WHY, expected_version=3)
    assert (version.number, version.kind) == (4, "revert")
    assert reading.flag_set("staging").definitions == reading.flag_set("staging", 2).definitions
    assert version.set_hash == Version.objects.get(environment="staging", number=2).set_hash


def test_a_revert_needs_no_expectation_but_keeps_one(staging: Flags) -> None:
    staging.change(client_ack="off")
    with pytest.raises(StaleVersion):
        control.revert("staging", 1, author="bob", reason=WHY, expected_version=1)
    assert control.revert("staging", 1, author="bob", reason=WHY, expected_version=None).number == 3
    with pytest.raises(NothingToChange):
        control.revert("staging", 1, author="bob", reason=WHY, expected_version=None)
    with pytest.raises(UnknownVersion):
        control.revert("staging", 99, author="bob", reason=WHY, expected_version=None)


def test_phase_1_turns_dependency_validation_off_and_nothing_else(staging: Flags) -> None:
    before = reading.flag_set("staging").definitions
    version = control.run_plan("staging", "phase-1", author="alice", reason=WHY)
    assert version.kind == "plan"
    changed = [(one.flag, one.before, one.after) for one in reading.diff(before, reading.flag_set("staging"))]
    assert changed == [("dependency-validation", "on", "off")]


def test_phase_2_turns_adaptive_timing_off_and_leaves_validation(staging: Flags) -> None:
    before = reading.flag_set("staging").definitions
    control.run_plan("staging", "phase-2", author="alice", reason=WHY)
    changed = [(one.flag, one.before, one.after) for one in reading.diff(before, reading.flag_set("staging"))]
    assert changed == [("adaptive-timing", "on", "off")]


def test_emergency_restores_the_version_last_marked_known_good(staging: Flags) -> None:
    staging.change(client_ack="off")
    control.mark_known_good("staging", 2, author="alice")
    staging.change(readiness_strategy="immediate", degraded_mode="off")
    version = control.run_plan("staging", "emergency", author="bob", reason=WHY)
    assert version.number == 4
    assert reading.flag_set("staging").definitions == reading.flag_set("staging", 2).definitions


def test_marking_known_good_is_audited_and_serves_nothing_new(staging: Flags) -> None:
    staging.change(client_ack="off")
    control.mark_known_good("staging", 2, author="alice")
    record = AuditRecord.objects.get(action="flags.known_good")
    assert (record.actor, record.before, record.after) == ("alice", {"version": 1}, {"version": 2})
    assert staging.revision == 2
    with pytest.raises(UnknownVersion):
        control.mark_known_good("staging", 9, author="alice")


def test_emergency_without_a_known_good_version_offers_the_last_five(staging: Flags) -> None:
    Version.objects.update(known_good_at=None)
    for strategy in ("immediate", "fixed_delay", "immediate", "fixed_delay", "immediate"):
        staging.change(readiness_strategy=strategy)
    for act in (
        lambda: control.run_plan("staging", "emergency", author="alice", reason=WHY),
        lambda: control.preview_plan("staging", "emergency"),
    ):
        with pytest.raises(NoKnownGood, match="6, 5, 4, 3, 2"):
            act()


@pytest.mark.parametrize("plan", ["phase-1", "phase-2", "emergency"])
def test_a_plan_run_twice_changes_nothing_the_second_time(staging: Flags, plan: str) -> None:
    staging.change(readiness_strategy="immediate")
    control.run_plan("staging", plan, author="alice", reason=WHY)
    with pytest.raises(NothingToChange, match="Nothing would change: already so"):
        control.run_plan("staging", plan, author="alice", reason=WHY)
    assert staging.revision == 3


def test_an_unknown_plan_is_named(staging: Flags) -> None:
    with pytest.raises(UnknownPlan, match="phase-1, phase-2, emergency"):
        control.preview_plan("staging", "phase-3")


def test_a_preview_tells_exactly_what_the_act_then_does(staging: Flags) -> None:
    staging.change(readiness_strategy="immediate", client_ack="off")
    acts: list[tuple[control.Preview, Callable[[], Version]]] = [
        (
            control.preview_change("staging", {"degraded-mode": "off"}),
            lambda: staging.change(degraded_mode="off"),
        ),
        (
            control.preview_plan("staging", "emergency"),
            lambda: control.run_plan("staging", "emergency", author="alice", reason=WHY),
        ),
    ]
    for preview, act in acts:
        before = reading.flag_set("staging", preview.version)
        assert staging.revision == reading.environment("staging").revision
        if preview.restores:
            before = reading.flag_set("staging")
            preview = control.preview_plan("staging", "emergency")
        act()
        assert list(preview.diffs) == reading.diff(before, reading.flag_set("staging"))


def test_previews_write_nothing(staging: Flags) -> None:
    staging.change(readiness_strategy="immediate")
    control.preview_change("staging", {"client-ack": "off"})
    control.preview_plan("staging", "phase-1")
    assert control.preview_revert("staging", 1).restores == 1
    assert control.preview_revert("staging", 2).diffs == ()
    assert (staging.version, staging.revision) == (2, 2)


def test_a_revision_is_announced_after_the_commit_only(
    staging: Flags, django_capture_on_commit_callbacks: Callable[..., Any]
) -> None:
    heard: list[tuple[str, int]] = []

    def hear(*, environment: str, revision: int, **_: Any) -> None:
        heard.append((environment, revision))

    revision_served.connect(hear)
    try:
        with django_capture_on_commit_callbacks(execute=True):
            staging.change(client_ack="off")
            assert heard == []
        assert heard == [("staging", 2)]
    finally:
        revision_served.disconnect(hear)


def test_a_listener_that_fails_does_not_fail_the_change(
    staging: Flags, django_capture_on_commit_callbacks: Callable[..., Any]
) -> None:
    def fail(**_: Any) -> None:
        raise RuntimeError("broker down")

    revision_served.connect(fail)
    try:
        with django_capture_on_commit_callbacks(execute=True):
            staging.change(client_ack="off")
    finally:
        revision_served.disconnect(fail)
    assert staging.revision == 2


def test_a_change_that_is_rolled_back_leaves_no_trace(staging: Flags) -> None:
    def change_then_fail() -> None:
        with transaction.atomic():
            staging.change(client_ack="off")
            raise RuntimeError("later, in the same transaction")

    with pytest.raises(RuntimeError):
        change_then_fail()
    assert (staging.version, staging.revision, AuditRecord.objects.count()) == (1, 1, 0)


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
def test_twenty_people_toggling_at_once_lose_nothing() -> None:
    """Each of 20 threads toggles a flag of its choice three times, reading again whenever it was too late."""
    refusals: list[StaleVersion] = []

    def toggle(person: int) -> None:
        chance = random.Random(person)
        for _ in range(3):
            _toggle_once(person, chance, refusals)

    _at_once([partial(toggle, person) for person in range(20)])
    _assert_gapless("staging", 1 + 60)
    assert len(refusals) > 0
    by_author = Version.objects.filter(environment="staging", kind="change").values_list("author", flat=True)
    assert sorted(by_author) == sorted(f"person {person}" for person in range(20) for _ in range(3))


def _toggle_once(person: int, chance: random.Random, refusals: list[StaleVersion]) -> None:
    while True:
        seen = reading.flag_set("staging")
        flag = chance.choice(["client-ack", "degraded-mode", "adaptive-timing"])
        other = "off" if seen.definitions[flag]["defaultVariant"] == "on" else "on"
        try:
            control.change(
                "staging", {flag: other}, author=f"person {person}", reason=WHY, expected_version=seen.version
            )
        except StaleVersion as error:
            refusals.append(error)
        else:
            return


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
def test_of_twenty_equal_plans_at_once_one_is_carried_out() -> None:
    outcomes: list[str] = []

    def act() -> None:
        try:
            control.run_plan("staging", "phase-1", author="alice", reason=WHY)
        except NothingToChange:
            outcomes.append("already so")
        else:
            outcomes.append("done")

    _at_once([act] * 20)
    assert sorted(outcomes) == ["already so"] * 19 + ["done"]
    _assert_gapless("staging", 2)


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
def test_acts_that_expect_no_version_follow_one_another() -> None:
    """Reverts to three versions at once, from 20 threads: nobody waits for a page to be read again."""
    Flags("staging").change(client_ack="off")
    Flags("staging").change(client_ack="on", degraded_mode="off")

    def act(person: int) -> None:
        for turn in range(3):
            with suppress(NothingToChange):
                control.revert("staging", 1 + (person + turn) % 3, author="alice", reason=WHY, expected_version=None)

    _at_once([partial(act, person) for person in range(20)])
    newest = reading.current_version("staging").number
    assert newest > 20
    _assert_gapless("staging", newest)


def _assert_gapless(environment: str, newest: int) -> None:
    """Versions and revisions are numbered 1 to newest, each the child of the one before, and agree with the audit."""
    versions = Version.objects.filter(environment=environment).order_by("number").select_related("parent")
    assert [version.number for version in versions] == list(range(1, newest + 1))
    assert [version.parent.number if version.parent else 0 for version in versions] == list(range(newest))
    revisions = Revision.objects.filter(environment=environment).order_by("number")
    assert [revision.number for revision in revisions] == list(range(1, newest + 1))
    assert reading.environment(environment).revision == newest
    assert AuditRecord.objects.filter(environment=environment).count() == newest - 1
    for version in versions:
        assert version.set_hash == set_hash(reading.definitions_at(environment, version.number))


def _at_once(acts: list[Callable[[], None]]) -> None:
    """Run every act in a thread and a database connection of its own, started together; the first error is raised."""
    errors: list[BaseException] = []
    start = threading.Barrier(len(acts))

    def run(act: Callable[[], None]) -> None:
        try:
            start.wait(10)
            act()
        except BaseException as error:  # noqa: BLE001 (raised again below, in the test's own thread)
            errors.append(error)
        finally:
            database_connections.close_all()

    threads = [threading.Thread(target=run, args=(act,)) for act in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    if errors:
        raise errors[0]
