"""Rollback plans: what each would change now, running one, and the rollbacks so far."""

from dataclasses import dataclass

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_safe

from connections.flags import control, reading
from connections.flags.control import Preview
from connections.flags.drilling import last_drills
from connections.flags.errors import FlagError, NoKnownGood, UnknownPlan
from connections.flags.plans import PLANS, Plan
from connections.flags.team_plans import all_plans, kind_of_run, plan_for
from connections.models import Drill, Environment, Revision, Version
from dashboard import queries_flags
from dashboard.acting import Act, Towards
from dashboard.acts import act_page
from dashboard.permissions import RESPONDER, VIEWER, allows, person, refusal, require
from dashboard.sentences import plural

PAST_SHOWN = 20
WENT_BACK = (Version.Kind.PLAN, Version.Kind.OWN_PLAN, Version.Kind.REVERT)
CHIPS = ("Answers vanish mid-conversation", "Accepted but not ready", "Rolling back the release")


@dataclass(frozen=True)
class Card:
    """One plan for one environment: what it would change now, or why it cannot run."""

    plan: Plan
    preview: Preview | None = None
    problem: str = ""
    offered: tuple[Version, ...] = ()
    drill: Drill | None = None

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

    @property
    def runs(self) -> bool:
        return self.preview is not None and not self.preview.empty

    @property
    def own(self) -> bool:
        """It is the team's own."""
        return self.plan.key not in PLANS

    @property
    def took(self) -> str:
        """How long the last rehearsal took: "0.4 s", "21 ms"."""
        seconds = self.drill.seconds if self.drill else 0.0
        return f"{seconds:.1f} s" if seconds >= 0.1 else f"{max(1, round(seconds * 1000))} ms"


@require(VIEWER)
@require_safe
def rollback(request: HttpRequest) -> HttpResponse:
    """The plans of one environment, and its past rollbacks."""
    try:
        stage = queries_flags.chosen_environment(request.GET.get("env", ""))
    except FlagError as unknown:
        raise Http404(str(unknown)) from unknown
    past = Revision.objects.filter(environment=stage, cause__in=WENT_BACK)
    context = {
        "environment": stage,
        "environments": queries_flags.environments(),
        "cards": cards_of(stage),
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
    try:
        plan = plan_for(plan_key)
    except UnknownPlan as unknown:
        raise Http404(str(unknown)) from unknown
    card = _card(stage, plan)
    act = Act(
        environment=stage,
        title=plan.name,
        verb=f"Run {plan.name.partition(':')[0].lower()}",
        lede=_lede(plan, card),
        preview=card.preview or control.preview_change(stage.key, {}),
        # Values that nobody but this person has looked at are something new.
        towards=Towards.NEW if kind_of_run(plan.key, person(request).name) == Version.Kind.OWN_PLAN else Towards.KNOWN,
        perform=lambda author, reason, _: control.run_plan(stage.key, plan.key, author=author, reason=reason),
        address=reverse("run_plan", args=[stage.key, plan.key]),
        back=f"{reverse('rollback')}?env={stage.key}",
        chips=CHIPS,
        extra={"card": card, "problem": card.problem},
    )
    return act_page(request, act)


def cards_of(stage: Environment) -> list[Card]:
    """Every plan, as it stands in this environment."""
    drills = last_drills(stage.key)
    return [_card(stage, plan, drills.get(plan.key)) for plan in all_plans().values()]


def _card(stage: Environment, plan: Plan, drill: Drill | None = None) -> Card:
    try:
        return Card(plan, control.preview_plan(stage.key, plan.key), drill=drill)
    except NoKnownGood as missing:
        versions = Version.objects.filter(environment=stage, number__in=missing.versions).order_by("-number")
        return Card(plan, problem="Nobody has marked a known-good version.", offered=tuple(versions), drill=drill)
    except FlagError as error:
        return Card(plan, problem=str(error), drill=drill)


def _lede(plan: Plan, card: Card) -> str:
    if card.preview is not None and card.preview.restores is not None:
        return f"Serves again what version {card.preview.restores} served, marked known-good."
    return plan.effect
