"""The policy of one environment, as administrators edit it."""

from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from connections.flags import proposals
from connections.flags.errors import FlagError, NeedsSecondPerson
from connections.flags.policy import policy_of, set_policy
from connections.models import Environment, GuardMode
from dashboard.acts import LONGEST_REASON
from dashboard.permissions import ADMINISTRATOR, VIEWER, allows, person, refusal, require

WORDS = {
    GuardMode.OBSERVE: "It only tells what it sees.",
    GuardMode.PROPOSE: "It proposes to go back; a person decides.",
    GuardMode.ACT: "It goes back by itself, and tells.",
}


@require(VIEWER)
@require_http_methods(["GET", "HEAD", "POST"])
def policy(request: HttpRequest, environment_key: str) -> HttpResponse:
    """Everybody may read it; administrators change it. To stop asking for two people is proposed to a second one."""
    stage = get_object_or_404(Environment, key=environment_key)
    me = person(request)
    if request.method != "POST":
        return _page(request, stage, policy_of(stage), {})
    if not allows(me, ADMINISTRATOR):
        return _page(request, stage, policy_of(stage), {"form": refusal(ADMINISTRATOR, "policies")}, status=403)
    wish: dict[str, Any] = {
        "reason_required": request.POST.get("reason_required") == "yes",
        "four_eyes": request.POST.get("four_eyes") == "yes",
        "guard_mode": request.POST.get("guard_mode", ""),
    }
    reason = request.POST.get("reason", "")[:LONGEST_REASON]
    try:
        set_policy(stage.key, author=me.name, reason=reason, **wish)
    except NeedsSecondPerson as needed:
        waiting = proposals.propose(needed, by_person=True)
        return HttpResponseRedirect(reverse("proposal", args=[waiting.pk]))
    except FlagError as refused:
        field = refused.field if refused.field in ("reason", "guard_mode") else "form"
        told = refused.message if field == "form" else refused.cure
        return _page(request, stage, wish, {field: told}, status=422)
    return HttpResponseRedirect(f"{reverse('policy', args=[stage.key])}?saved=1")


def _page(
    request: HttpRequest, stage: Environment, wish: dict[str, Any], errors: dict[str, str], *, status: int = 200
) -> HttpResponse:
    context = {
        "environment": stage,
        "environments": Environment.objects.all(),
        "wish": wish,
        "modes": [(mode.value, mode.label, WORDS[mode]) for mode in GuardMode],
        "errors": errors,
        "reason": request.POST.get("reason", ""),
        "saved": "saved" in request.GET,
        "refusal": "" if allows(person(request), ADMINISTRATOR) else refusal(ADMINISTRATOR, "policies"),
    }
    return render(request, "policy/page.html", context, status=status)
