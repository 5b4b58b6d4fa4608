"""The audit trail: who changed what, when, why, and what it was before."""

from dataclasses import dataclass
from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from connections.models import AuditRecord, Environment
from dashboard.layer_words import layer_line
from dashboard.permissions import VIEWER, require
from dashboard.queries.trail import trail

PAGE = 50
WORDS = {
    "flags.change": "Changed flags",
    "flags.revert": "Restored flags",
    "flags.plan": "Ran a plan",
    "flags.promotion": "Promoted flags",
    "flags.known_good": "Marked known-good",
    "flags.kill": "Killed a flag",
    "flags.trip": "Tripped a breaker",
    "flags.lift": "Lifted",
    "flags.expiry": "Expired",
    "flags.ramp_start": "Started a ramp",
    "flags.ramp_step": "Ramp went on",
    "flags.ramp_completed": "Ramp completed",
    "flags.ramp_pause": "Paused a ramp",
    "flags.ramp_resume": "Resumed a ramp",
    "flags.ramp_back": "Set a ramp back",
    "flags.ramp_aborted": "Aborted a ramp",
    "flags.ramp_reopen": "Reopened a ramp",
    "policy.changed": "Changed a policy",
    "proposal.made": "Proposed",
    "proposal.seconded": "Approved first of two",
    "proposal.approved": "Approved",
    "proposal.rejected": "Rejected",
    "proposal.withdrawn": "Withdrew",
    "glass.broken": "Broke the glass",
    "glass.ended": "Ended acting alone",
    "glass.reviewed": "Closed a review",
    "flags.import": "Imported flags",
    "flags.own_plan": "Ran a plan of their own",
    "flags.drill": "Rehearsed a plan",
    "plan.made": "Made a plan",
    "plan.edited": "Changed a plan",
    "plan.removed": "Removed a plan",
    "deploy.marked": "Marked a deploy",
    "deploy.removed": "Removed a deploy's mark",
    "server_key.create": "Made a server key",
    "server_key.rotate": "Rotated a server key",
    "server_key.revoke": "Revoked a server key",
    "race_check.started": "Started a race check",
    "race_check.cancelled": "Cancelled a race check",
    "practice.started": "Started a fault",
    "practice.ended": "Ended a fault",
    "person.added": "Added a person",
    "person.identity": "Tied a person to OpenID",
    "session.ended": "Ended a session",
    "person.role": "Changed a role",
    "token.created": "Created an API token",
    "token.revoked": "Revoked an API token",
}


@dataclass(frozen=True)
class Row:
    """One record, with its changes as (what, before, after); None: absent on that side."""

    record: AuditRecord
    act: str
    changes: tuple[tuple[str, Any, Any], ...]


@require(VIEWER)
@require_safe
def audit(request: HttpRequest) -> HttpResponse:
    """Records, newest first, filtered by who, environment and act; the filters stand in the address."""
    asked = {name: request.GET.get(name, "").strip() for name in ("who", "environment", "act")}
    records = _filtered(asked)
    before = request.GET.get("before", "")
    if before.isdecimal():
        records = records.filter(pk__lt=int(before))
    page = list(records.select_related("environment")[: PAGE + 1])
    context = {
        "rows": [_row(record) for record in page[:PAGE]],
        "older": page[PAGE - 1].pk if len(page) > PAGE else None,
        "newer": before.isdecimal(),
        "asked": asked,
        "filtered": any(asked.values()),
        "people": _distinct("actor"),
        "environments": Environment.objects.all(),
        "trail": trail(),
        "acts": [(act, words_for(act)) for act in _distinct("action")],
    }
    return render(request, "audit/page.html", context)


def words_for(action: str) -> str:
    """An action's name for people: "flags.known_good" is "Marked known-good"."""
    return WORDS.get(action) or action.replace(".", ": ").replace("_", " ").capitalize()


def _distinct(column: str) -> list[str]:
    return list(AuditRecord.objects.order_by(column).values_list(column, flat=True).distinct())


def _filtered(asked: dict[str, str]) -> QuerySet[AuditRecord]:
    records = AuditRecord.objects.order_by("-pk")
    columns = {"who": "actor", "environment": "environment_id", "act": "action"}
    return records.filter(**{columns[name]: value for name, value in asked.items() if value})


def _row(record: AuditRecord) -> Row:
    return Row(record, words_for(record.action), tuple(_changes(record.before, record.after)))


def _changes(before: Any, after: Any) -> list[tuple[str, Any, Any]]:
    old, new = _flat(before), _flat(after)
    names = [name for name in {**old, **new} if old.get(name) != new.get(name)]
    if "revision" in names:
        # Flags first; the revision tells where to look, and each revision has one version.
        names = [name for name in names if name not in ("version", "revision")] + ["revision"]
    return [(name, old.get(name), new.get(name)) for name in names]


def _flat(value: Any, path: str = "") -> dict[str, Any]:
    """Leaves by their path; the served variant of a flag is called by the flag's name alone."""
    if not isinstance(value, dict):
        return {path: value} if path else {}
    leaves: dict[str, Any] = {}
    for key, inner in value.items():
        name = f"{path} {key}".strip().removeprefix("flags ").removesuffix(" defaultVariant")
        if name == "layers":
            leaves["over the version"] = "; ".join(map(layer_line, inner)) or "nothing"
            continue
        leaves |= _flat(inner, name) if isinstance(inner, dict) and inner else {name: inner}
    return leaves
