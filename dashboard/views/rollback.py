"""Rollback plans: what each would change now, running one, and the rollbacks so far."""

from dataclasses import dataclass

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_safe

from connections.flags import control, reading
from connections.flags.control import Preview
from connections.flags.errors import FlagError, NoKnownGood
from connections.flags.plans import PLANS, Plan
from connections.models import Environment, Revision, Version
from dashboard import queries_flags
from dashboard.acts import Act, Towards, act_page
from dashboard.permissions import RESPONDER, VIEWER, allows, person, refusal, require
from dashboard.sentences import plural

PAST_SHOWN = 20
CHIPS = ("Answers vanish mid-conversation", "Accepted but not ready", "Rolling back the release")


@dataclass(frozen=True)
class Card:
    """One plan for one environment: what it would change now, or why it cannot run."""

    plan: Plan
    preview: Preview | None = None
    problem: str = ""
    offered: tuple[Version, ...] = ()

    @property
    def sentence(self) -> str:
        if self.preview is None:
            return self.problem
        count, ramps = len(self.preview.diffs), len(self.preview.ends)
        if self.preview.empty:
            return "Nothing would change: already so."
        ended = f" {plural(ramps, 'ramp')} would end." if ramps else ""
        if count == 0:
            return f"No version changes.{ended}"
        return ("1 flag changes." if count == 1 else f"{count} flags change.") + ended


@require(VIEWER)
@require_safe
def rollback(request: HttpRequest) -> HttpResponse:
    """The plans of one environment, and its past rollbacks."""
    try:
        stage = queries_flags.chosen_environment(request.GET.get("env", ""))
    except FlagError as unknown:
        raise Http404(str(unknown)) from unknown
    past = Revision.objects.filter(environment=stage, cause__in=[Version.Kind.PLAN, Version.Kind.REVERT])
    context = {
        "environment": stage,
        "environments": queries_flags.environments(),
        "cards": [_card(stage, plan) for plan in PLANS.values()],
        "known_good": reading.known_good(stage.key),
        "past": list(past.select_related("version").order_by("-number")[:PAST_SHOWN]),
        "refusal": "" if allows(person(request), RESPONDER) else refusal(RESPONDER, "rollbacks"),
    }
    return render(request, "rollback/page.html", context)


@require(RESPONDER, "rollbacks")
@require_http_methods(["GET", "HEAD", "POST"])
def run_plan(request: HttpRequest, environment_key: str, plan_key: str) -> HttpResponse:
    """Preview one plan, say why, run it."""
    stage = get_object_or_404(Environment, key=environment_key)
    plan = PLANS.get(plan_key)
    if plan is None:
        raise Http404(f"There is no plan {plan_key!r}.")
    card = _card(stage, plan)
    act = Act(
        environment=stage,
        title=plan.name,
        verb=f"Run {plan.name.partition(':')[0].lower()}",
        lede=_lede(plan, card),
        preview=card.preview or control.preview_change(stage.key, {}),
        towards=Towards.KNOWN,
        perform=lambda author, reason, _: control.run_plan(stage.key, plan.key, author=author, reason=reason),
        address=reverse("run_plan", args=[stage.key, plan.key]),
        back=f"{reverse('rollback')}?env={stage.key}",
        chips=CHIPS,
        extra={"card": card, "problem": card.problem},
    )
    return act_page(request, act)


def _card(stage: Environment, plan: Plan) -> Card:
    try:
        return Card(plan, control.preview_plan(stage.key, plan.key))
    except NoKnownGood as missing:
        versions = Version.objects.filter(environment=stage, number__in=missing.versions).order_by("-number")
        return Card(plan, problem="Nobody has marked a known-good version.", offered=tuple(versions))
    except FlagError as error:
        return Card(plan, problem=str(error))


def _lede(plan: Plan, card: Card) -> str:
    if card.preview is not None and card.preview.restores is not None:
        return f"Serves again what version {card.preview.restores} served, marked known-good."
    return plan.effect
