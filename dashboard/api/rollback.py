"""Rollback plans for programs: list, preview, run, rehearse."""

from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse

from connections.flags import control, reading
from connections.flags.drilling import drill as rehearsed
from connections.flags.drilling import last_drills
from connections.flags.errors import FlagError
from connections.flags.plans import PLANS, Plan
from connections.flags.team_plans import all_plans, plan_for
from connections.models import Drill, Version
from dashboard.api.acting import Asked, act, by_method, reads, told_diffs


def _plans(request: HttpRequest, environment: str) -> HttpResponse:
    key = reading.environment(environment).key
    drills = last_drills(key)
    return JsonResponse({"plans": [_told(key, plan, drills.get(plan.key)) for plan in all_plans().values()]})


def _plan(request: HttpRequest, environment: str, plan: str) -> HttpResponse:
    key, found = reading.environment(environment).key, plan_for(plan)
    return JsonResponse(_told(key, found, last_drills(key).get(found.key)))


def _run(request: HttpRequest, environment: str, plan: str) -> HttpResponse:
    def perform(asked: Asked) -> Version:
        return control.run_plan(environment, plan, author=asked.author, reason=asked.reason)

    return act(request, perform)


def _drill(request: HttpRequest, environment: str, plan: str) -> HttpResponse:
    def perform(asked: Asked) -> dict[str, Any]:
        return {"changed": False, "drill": _told_drill(rehearsed(environment, plan, author=asked.author))}

    return act(request, perform)


def _told(environment: str, plan: Plan, drill: Drill | None) -> dict[str, Any]:
    told = {
        "plan": plan.key,
        "name": plan.name,
        "effect": plan.effect,
        "own": plan.key not in PLANS,
        "values": None if plan.values is None else dict(plan.values),
        "last_drill": _told_drill(drill) if drill else None,
    }
    try:
        preview = control.preview_plan(environment, plan.key)
    except FlagError as error:
        return {**told, "problem": str(error), "preview": None}
    shown = {
        "version": preview.version,
        "restores": preview.restores,
        "changes": told_diffs(preview.diffs),
        "ends_ramps": list(preview.ends),
        "stays": [layer.as_json() for layer in preview.stays],
    }
    return {**told, "problem": "", "preview": shown}


def _told_drill(drill: Drill) -> dict[str, Any]:
    return {
        "at": drill.at.isoformat(),
        "by": drill.by,
        "seconds": round(drill.seconds, 3),
        "would_change": drill.changes,
        "problem": drill.problem,
    }


plans = reads(_plans)
plan = by_method(GET=_plan, POST=_run)
drill = by_method(POST=_drill)
