"""The team's own plans, and rehearsals of any plan."""

from typing import Any

import pytest
from django.db import transaction

from connections.flags import control, team_plans
from connections.flags.drilling import drill, last_drills
from connections.flags.errors import NothingToChange, UnknownPlan, UnknownVariant
from connections.flags.team_plans import BadPlan, Draft, edit_plan, make_plan, remove_plan
from connections.flags.verifying import verify
from connections.models import AuditRecord, Drill, Revision, TeamPlan, Version
from connections.signals import revision_served
from tests.connections.flags.conftest import Flags

QUIET = Draft("quiet-night", "Quiet night", "Nothing that adapts.", {"adaptive-timing": "off", "client-ack": "off"})
WHY = "chat answers vanish"


@pytest.fixture
def quiet(staging: Flags) -> Flags:
    make_plan(QUIET, author="ada")
    return staging


def test_a_plan_of_the_team_runs_like_the_others_and_once(quiet: Flags) -> None:
    assert list(team_plans.all_plans()) == ["phase-1", "phase-2", "emergency", "quiet-night"]
    assert [one.flag for one in control.preview_plan("staging", "quiet-night").diffs] == [
        "adaptive-timing",
        "client-ack",
    ]
    version = control.run_plan("staging", "quiet-night", author="mara", reason=WHY)
    assert (version.number, version.kind) == (2, "plan")
    assert AuditRecord.objects.get(action="flags.plan").subject == "version 2: quiet-night"
    with pytest.raises(NothingToChange):
        control.run_plan("staging", "quiet-night", author="mara", reason=WHY)


@pytest.mark.parametrize(("author", "kind"), [("ada", "own_plan"), ("token ci", "own_plan"), ("mara", "plan")])
def test_who_chose_the_values_is_alone_with_them(quiet: Flags, author: str, kind: str) -> None:
    assert control.run_plan("staging", "quiet-night", author=author, reason=WHY).kind == kind


def test_correcting_its_words_does_not_make_somebody_its_author(quiet: Flags) -> None:
    edit_plan(Draft("quiet-night", "Quiet nights", QUIET.effect, QUIET.values), author="mara", expected_edition=1)
    assert team_plans.kind_of_run("quiet-night", "ada") == "own_plan"
    assert team_plans.kind_of_run("phase-1", "ada") == "plan"


@pytest.mark.parametrize(
    ("field", "draft"),
    [
        ("key", Draft("Quiet", "n", "e", {"client-ack": "off"})),
        ("key", Draft("phase-1", "n", "e", {"client-ack": "off"})),
        ("key", Draft("quiet-night", "n", "e", {"client-ack": "off"})),
        ("key", Draft("new", "n", "e", {"client-ack": "off"})),
        ("name", Draft("x", "  ", "e", {"client-ack": "off"})),
        ("effect", Draft("x", "n", "e" * 301, {"client-ack": "off"})),
        ("values", Draft("x", "n", "e", {})),
        ("values", Draft("x", "n", "e", {"no-flag": "off"})),
        ("values", Draft("x", "n", "e", {"client-ack": "perhaps"})),
    ],
)
def test_a_plan_that_cannot_be_kept_names_the_field(quiet: Flags, field: str, draft: Draft) -> None:
    with pytest.raises(BadPlan) as error:
        make_plan(draft, author="ada")
    assert error.value.field == field
    assert len(team_plans.all_plans()) == 4


def test_plans_are_edited_and_removed_with_a_trace(quiet: Flags) -> None:
    wanted = Draft("quiet-night", "Quiet night", QUIET.effect, {"client-ack": "off"})
    edit_plan(wanted, author="mara", expected_edition=1)
    with pytest.raises(BadPlan, match="mara edited this plan meanwhile"):
        edit_plan(QUIET, author="ada", expected_edition=1)
    with pytest.raises(BadPlan, match="already so"):
        edit_plan(wanted, author="ada", expected_edition=2)
    remove_plan("quiet-night", author="mara")
    with pytest.raises(UnknownPlan):
        remove_plan("quiet-night", author="mara")
    with pytest.raises(UnknownPlan):
        control.run_plan("staging", "quiet-night", author="mara", reason=WHY)
    rows: list[Any] = list(AuditRecord.objects.filter(action__startswith="plan.").order_by("number"))
    assert [row.action for row in rows] == ["plan.made", "plan.edited", "plan.removed"]
    assert rows[1].before["values"] == QUIET.values
    assert rows[2].before == {"name": "Quiet night", "effect": QUIET.effect, "values": {"client-ack": "off"}}


def test_a_plan_may_fit_some_environments_only(quiet: Flags) -> None:
    control.define("staging", {"client-ack": None}, author="ada", reason="no longer needed", expected_version=1)
    plan = team_plans.plan_for("quiet-night")
    assert list(team_plans.misfits(plan)) == ["staging"]
    assert drill("staging", "quiet-night", author="mara").problem.startswith("There is no flag 'client-ack' here.")


def test_a_drill_does_everything_but_the_write(quiet: Flags) -> None:
    told: list[int] = []
    revision_served.connect(lambda revision, **_: told.append(revision), weak=False, dispatch_uid="drill")
    try:
        done = drill("staging", "phase-1", author="mara")
    finally:
        revision_served.disconnect(dispatch_uid="drill")
    assert (done.changes, done.problem, done.by) == (1, "", "mara")
    assert 0 < done.seconds < 5
    assert told == []
    assert (quiet.version, quiet.revision, quiet.served("dependency-validation")) == (1, 1, "on")
    assert (
        Version.objects.filter(environment="staging").count() == Revision.objects.filter(environment="staging").count()
    )
    record = AuditRecord.objects.get(action="flags.drill")
    assert (record.subject, record.reason, record.actor) == ("phase-1", "", "mara")
    assert verify().faults == ()
    assert last_drills("staging") == {"phase-1": done}
    assert last_drills("production") == {}


def test_a_drill_says_what_keeps_a_plan_from_running(staging: Flags) -> None:
    Version.objects.update(known_good_at=None)
    assert "Nobody has marked" in drill("staging", "emergency", author="mara").problem
    with pytest.raises(UnknownPlan):
        drill("staging", "phase-9", author="mara")
    assert Drill.objects.count() == 1


def test_a_drill_of_what_is_so_already_changes_nothing(staging: Flags) -> None:
    control.run_plan("staging", "phase-1", author="mara", reason=WHY)
    done = drill("staging", "phase-1", author="mara")
    assert (done.changes, done.problem) == (0, "")


def test_a_drill_inside_another_transaction_takes_back_only_itself(staging: Flags) -> None:
    with transaction.atomic():
        control.run_plan("staging", "phase-2", author="mara", reason=WHY)
        drill("staging", "phase-1", author="mara")
    assert (staging.revision, staging.served("adaptive-timing"), staging.served("dependency-validation")) == (
        2,
        "off",
        "on",
    )


def test_a_plan_and_a_drill_under_a_ramp(staging: Flags) -> None:
    """The plan ends the ramp; the drill leaves it running."""
    steps = [{"percentage": 10, "hold_seconds": 600, "needs_pass": False}]
    control.start_ramp("staging", "dependency-validation", "off", steps, author="ada", reason="trying it out")
    assert control.preview_plan("staging", "phase-1").ends == ("dependency-validation",)
    drill("staging", "phase-1", author="mara")
    assert control.preview_plan("staging", "phase-1").ends == ("dependency-validation",)
    control.run_plan("staging", "phase-1", author="mara", reason=WHY)
    assert control.preview_plan("staging", "phase-1").empty


def test_values_of_a_plan_that_are_gone_change_nothing(quiet: Flags) -> None:
    TeamPlan.objects.update(values={"client-ack": "perhaps"})
    with pytest.raises(UnknownVariant):
        control.run_plan("staging", "quiet-night", author="mara", reason=WHY)
    assert quiet.version == 1
