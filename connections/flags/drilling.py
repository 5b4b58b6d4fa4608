"""Rehearsals: a plan is run as in earnest, timed, and taken back before anybody could be served it."""

import time

from django.db import transaction

from connections.flags import control, reading
from connections.flags.errors import FlagError, NothingToChange
from connections.flags.team_plans import plan_for
from connections.models import AuditRecord, Drill


def drill(environment_key: str, plan_key: str, *, author: str) -> Drill:
    """Rehearse a plan: everything but the write. The revision is taken, version and audit row are written, and the
    transaction is rolled back; nothing is announced. Records who, when, how long, and what would have changed.

    Raises UnknownEnvironment or UnknownPlan; whatever else keeps the plan from running is the drill's `problem`.
    """
    stage, plan = reading.environment(environment_key), plan_for(plan_key)
    began = time.monotonic()
    changes, problem = 0, ""
    try:
        with transaction.atomic():
            changes = len(control.preview_plan(stage.key, plan.key).diffs)
            control.run_plan(stage.key, plan.key, author=author, reason=f"Rehearsal of {plan.key}")
            transaction.set_rollback(True)
    except NothingToChange:
        pass
    except FlagError as error:
        problem = str(error)
    seconds = time.monotonic() - began
    with transaction.atomic():
        done = Drill.objects.create(
            environment=stage, plan_key=plan.key, by=author, seconds=seconds, changes=changes, problem=problem
        )
        AuditRecord.objects.create(
            at=done.at,
            actor=author,
            action="flags.drill",
            environment=stage,
            subject=plan.key,
            after={"seconds": round(seconds, 3), "would change": changes, **({"problem": problem} if problem else {})},
        )
    return done


def last_drills(environment_key: str) -> dict[str, Drill]:
    """The newest rehearsal of each plan that was ever rehearsed here."""
    newest: dict[str, Drill] = {}
    mine = Drill.objects.filter(environment_id=environment_key)
    for key in mine.order_by().values_list("plan_key", flat=True).distinct():
        found = mine.filter(plan_key=key).first()
        if found is not None:
            newest[key] = found
    return newest
