"""The team's own plans: made, edited and removed by administrators; and rehearsing any plan, by responders."""

from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST

from connections.flags import reading
from connections.flags.drilling import drill
from connections.flags.errors import UnknownPlan
from connections.flags.team_plans import BadPlan, Draft, edit_plan, make_plan, misfits, plan_for, remove_plan
from connections.models import Environment, TeamPlan
from dashboard.permissions import ADMINISTRATOR, RESPONDER, person, require
from dashboard.submissions import new_key, once

LONGEST = 20_000
FLAGS_SHOWN = 60


@dataclass
class PlanForm:
    """What the person typed, and what is wrong with it, by field."""

    key: str = ""
    name: str = ""
    effect: str = ""
    values: str = ""
    form_key: str = field(default_factory=new_key)
    edition: int = 0
    errors: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, row: TeamPlan) -> "PlanForm":
        lines = "\n".join(f"{flag}: {variant}" for flag, variant in row.values.items())
        return cls(row.key, row.name, row.effect, lines, edition=row.edition)

    @classmethod
    def sent(cls, request: HttpRequest) -> "PlanForm":
        key, name, effect, values = (
            request.POST.get(part, "")[:LONGEST] for part in ("key", "name", "effect", "values")
        )
        form = cls(key, name, effect, values)
        form_key, edition = request.POST.get("form_key", ""), request.POST.get("edition", "")
        form.form_key = form_key if 16 <= len(form_key) <= 64 else form.form_key
        form.edition = int(edition) if edition.isascii() and edition.isdigit() and len(edition) < 10 else 0
        return form

    def draft(self) -> Draft:
        """What is wanted. Raises BadPlan for a line that is no value."""
        values: dict[str, str] = {}
        for number, line in enumerate(self.values.splitlines(), start=1):
            flag, colon, variant = (part.strip() for part in line.partition(":"))
            if not line.strip():
                continue
            if not (flag and colon and variant) or flag in values:
                what = "names a flag that stands above" if flag in values else "is no value"
                raise BadPlan(
                    "values", f"Line {number} {what}.", "Write a flag, a colon and its variant: client-ack: off"
                )
            values[flag] = variant
        return Draft(self.key, self.name, self.effect, values)

    def blame(self, error: BadPlan) -> None:
        self.errors["form" if error.field == "edition" else error.field] = str(error)


@require(ADMINISTRATOR, "plans")
@require_http_methods(["GET", "HEAD", "POST"])
def make(request: HttpRequest) -> HttpResponse:
    """A new plan."""
    form = PlanForm.sent(request) if request.method == "POST" else PlanForm()
    author = person(request).name
    return _page(request, form, None, lambda: make_plan(form.draft(), author=author))


@require(ADMINISTRATOR, "plans")
@require_http_methods(["GET", "HEAD", "POST"])
def edit(request: HttpRequest, plan_key: str) -> HttpResponse:
    """Edit a plan; its key stays, because commands and programs name it."""
    row = get_object_or_404(TeamPlan, key=plan_key)
    form = PlanForm.sent(request) if request.method == "POST" else PlanForm.of(row)
    form.key, author = row.key, person(request).name
    return _page(request, form, row, lambda: edit_plan(form.draft(), author=author, expected_edition=form.edition))


@require(ADMINISTRATOR, "plans")
@require_POST
def remove(request: HttpRequest, plan_key: str) -> HttpResponse:
    """Remove a plan. Twice is the same as once."""
    with suppress(UnknownPlan):
        remove_plan(plan_key, author=person(request).name)
    return HttpResponseRedirect(reverse("rollback"))


@require(RESPONDER, "rollbacks")
@require_POST
def rehearse(request: HttpRequest, environment_key: str, plan_key: str) -> HttpResponse:
    """Run a plan without its write, and come back to its card."""
    stage = get_object_or_404(Environment, key=environment_key)
    try:
        plan = plan_for(plan_key)
    except UnknownPlan as unknown:
        raise Http404(str(unknown)) from unknown
    drill(stage.key, plan.key, author=person(request).name)
    return HttpResponseRedirect(f"{reverse('rollback')}?env={stage.key}#plan-{plan.key}")


def _page(request: HttpRequest, form: PlanForm, row: TeamPlan | None, act: Any) -> HttpResponse:
    if request.method == "POST":
        try:
            with transaction.atomic():
                once(form.form_key, person(request).name, lambda: {"plan": act().key})
            return HttpResponseRedirect(f"{reverse('rollback')}#plan-{form.key.strip()}")
        except BadPlan as error:
            form.blame(error)
            if error.field == "edition" and row is not None:
                form.edition = TeamPlan.objects.get(key=row.key).edition
    context = {
        "form": form,
        "row": row,
        "flags": _flags(),
        "misfits": misfits(plan_for(row.key)) if row else {},
    }
    return render(request, "rollback/plan_form.html", context, status=422 if form.errors else 200)


def _flags() -> list[tuple[str, list[str]]]:
    """Each flag of any environment with its variants, up to FLAGS_SHOWN."""
    variants: dict[str, list[str]] = {}
    for key in Environment.objects.values_list("key", flat=True):
        for flag, body in reading.flag_set(key).definitions.items():
            known = variants.setdefault(flag, [])
            known += [name for name in body["variants"] if name not in known]
    return sorted(variants.items())[:FLAGS_SHOWN]
