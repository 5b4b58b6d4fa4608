"""The guard of one flag: what it may do, re-arming it after a trip, and carrying out what it proposes."""

from collections.abc import Callable
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from connections.flags import guards
from connections.flags.errors import FlagError, ReasonMissing
from connections.models import Environment, Guard
from dashboard.acts import LONGEST_REASON
from dashboard.layer_acts import Place
from dashboard.permissions import RESPONDER, VIEWER, allows, person, refusal, require
from dashboard.queries.guards import Panel, panel

MODES = {
    Guard.Mode.OFF: "Nothing is counted.",
    Guard.Mode.OBSERVE: "It only tells what it sees.",
    Guard.Mode.PROPOSE: "It proposes to go back; a person decides.",
    Guard.Mode.ACT: "It goes back by itself, and tells.",
}
DONE = {"mode": "Saved.", "rearm": "Re-armed: it counts from now on.", "trip": "The breaker is tripped."}


@require(VIEWER)
@require_http_methods(["GET", "HEAD", "POST"])
def guard(request: HttpRequest, environment_key: str, flag_key: str) -> HttpResponse:
    """Everybody may look; responders change it. POST names its verb: mode, rearm or trip."""
    stage = get_object_or_404(Environment, key=environment_key)
    place = Place.find(stage, flag_key)
    if place is None or flag_key != guards.STAMPED:
        raise Http404(f"{flag_key!r} has no guard in {stage.name}.")
    if request.method != "POST":
        return _page(request, place, {})
    if not allows(person(request), RESPONDER):
        return _page(request, place, {"form": refusal(RESPONDER, "flags")}, status=403)
    verb = request.POST.get("verb", "")
    perform = {"mode": _set_mode, "rearm": _rearm, "trip": _trip}.get(verb)
    if perform is None:
        raise Http404(f"Nothing is called {verb!r} here.")
    errors = _carried_out(request, stage, flag_key, perform)
    if errors:
        return _page(request, place, errors, status=422)
    return HttpResponseRedirect(f"{reverse('guard', args=[stage.key, flag_key])}?done={verb}")


Perform = Callable[[HttpRequest, str, str, str, str], object]


def _carried_out(request: HttpRequest, stage: Environment, flag: str, perform: Perform) -> dict[str, str]:
    """What is missing or refused, by field; empty: done."""
    if stage.is_production and request.POST.get("ticked") != "yes":
        return {"ticked": f"Tick the box: this changes {stage.name.lower()}."}
    reason = request.POST.get("reason", "")[:LONGEST_REASON]
    try:
        perform(request, stage.key, flag, person(request).name, reason)
    except ReasonMissing as missing:
        return {"reason": missing.cure}
    except FlagError as refused:
        field = refused.field if refused.field in ("mode", "objective") else "form"
        return {field: f"{refused.message} {refused.cure}"}
    return {}


def _set_mode(request: HttpRequest, environment_key: str, flag: str, author: str, reason: str) -> object:
    try:
        objective = float(request.POST.get("objective", "").strip().removesuffix("%")) / 100
    except ValueError:
        raise FlagError("objective", "The objective is no number.", "Give a share such as 99.") from None
    mode = request.POST.get("mode", "")
    return guards.set_mode(environment_key, flag, mode, author=author, reason=reason, objective=round(objective, 6))


def _rearm(request: HttpRequest, environment_key: str, flag: str, author: str, reason: str) -> object:
    return guards.rearm(environment_key, flag, author=author, reason=reason)


def _trip(request: HttpRequest, environment_key: str, flag: str, author: str, reason: str) -> object:
    return guards.carry_out(environment_key, flag, author=author, reason=reason)


def _verbs(shown: Panel, stage: Environment) -> list[tuple[str, str]]:
    where = stage.name.lower()
    if not shown.locked:
        return [("mode", f"Save the guard in {where}")]
    rearm = ("rearm", f"Re-arm the guard in {where}")
    if not shown.proposes:
        return [rearm]
    return [("trip", f"Go back to {shown.control} in {where}"), rearm]


def _page(request: HttpRequest, place: Place, errors: dict[str, str], *, status: int = 200) -> HttpResponse:
    stage = place.stage
    shown = panel(stage.key, place.flag)
    sent: dict[str, Any] = request.POST.dict()
    context = {
        "environment": stage,
        "place": place,
        "locked": shown.locked,
        "modes": [(mode.value, mode.value, words) for mode, words in MODES.items()],
        "mode": sent.get("mode", shown.mode),
        "objective": sent.get("objective", shown.objective),
        "verbs": _verbs(shown, stage),
        "errors": errors,
        "reason": sent.get("reason", ""),
        "done": DONE.get(request.GET.get("done", ""), ""),
        "refusal": "" if allows(person(request), RESPONDER) else refusal(RESPONDER, "flags"),
    }
    return render(request, "flags/guard_page.html", context, status=status)
