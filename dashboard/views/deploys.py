"""Deploys: what was marked, a form to mark one by hand, and taking back a wrong mark."""

from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_safe

from connections import deploys as marking
from connections.flags.errors import ReasonMissing
from connections.models import Deploy, Environment
from dashboard.acts import LONGEST_REASON
from dashboard.deploy_form import DeployForm
from dashboard.permissions import RESPONDER, VIEWER, person, require
from dashboard.queries.deploys import older_than
from dashboard.submissions import once
from probes.models import Target

PAGE = 50
MOST_SERVICES = 50
"""Names that the form offers: of the newest deploys, and as many targets."""


@require(VIEWER)
@require_safe
def deploys(request: HttpRequest) -> HttpResponse:
    """Marks, newest first; `?env=` those of one environment. What no environment is called counts as all."""
    stages = list(Environment.objects.all())
    chosen = next((stage for stage in stages if stage.key == request.GET.get("env")), None)
    rows = Deploy.objects.select_related("environment")
    rows = rows.filter(environment=chosen) if chosen else rows
    if before := request.GET.get("before", ""):
        older = older_than(before, rows)
        rows = rows.none() if older is None else older
    page = list(rows[: PAGE + 1])
    context = {
        "environments": stages,
        "chosen": chosen,
        "rows": page[:PAGE],
        "older": page[PAGE - 1].pk if len(page) > PAGE else None,
        "again": "again" in request.GET,
        "server_url": settings.PUBLIC_URL,
        "example": chosen.key if chosen else "staging",
    }
    return render(request, "deploys/page.html", context)


@require(RESPONDER, "deploys")
@require_http_methods(["GET", "HEAD", "POST"])
def mark(request: HttpRequest) -> HttpResponse:
    """The form, and marking what was typed, once. Back to the target that led here, else to the list."""
    if request.method != "POST":
        environment, target = request.GET.get("env", "staging"), request.GET.get("target", "")
        # From a target's page: most likely it is that service.
        service = target if Target.objects.filter(slug=target).exists() else ""
        return _form(request, DeployForm(environment=environment, target=target, service=service), 200)
    form, by = DeployForm.read(request.POST), person(request).name
    stage = Environment.objects.filter(key=form.environment).first()
    now = timezone.now()
    told = form.told(stage, now)
    if told is None or stage is None:
        return _form(request, form, 422)

    def act() -> dict[str, Any]:
        marked = marking.mark(stage.key, told, author=by, now=now)
        return {"deploy": marked.deploy.pk, "new": marked.new}

    done = once(form.key, by, act)
    if not done.result["new"]:
        return HttpResponseRedirect(f"{reverse('deploys')}?env={stage.key}&again=1")
    if Target.objects.filter(slug=form.target).exists():
        return HttpResponseRedirect(f"{reverse('target', args=[form.target])}#changes")
    return HttpResponseRedirect(f"{reverse('deploys')}?env={stage.key}")


@require(RESPONDER, "deploys")
@require_http_methods(["GET", "HEAD", "POST"])
def remove(request: HttpRequest, number: int) -> HttpResponse:
    """Take back a mark that was wrong, for a reason; the audit trail keeps it."""
    deploy = get_object_or_404(Deploy.objects.select_related("environment"), pk=number)
    reason, error = request.POST.get("reason", "").strip()[:LONGEST_REASON], ""
    if request.method == "POST":
        try:
            marking.remove(deploy, author=person(request).name, reason=reason)
            return HttpResponseRedirect(f"{reverse('deploys')}?env={deploy.environment_id}")
        except ReasonMissing as missing:
            error = missing.cure
    context = {"deploy": deploy, "reason": reason, "error": error, "environment": deploy.environment}
    return render(request, "deploys/remove.html", context, status=422 if error else 200)


def _form(request: HttpRequest, form: DeployForm, status: int) -> HttpResponse:
    newest = Deploy.objects.values_list("service", flat=True)[:MOST_SERVICES]
    slugs = Target.objects.filter(environment_id=form.environment).order_by("slug").values_list("slug", flat=True)
    services = sorted({*newest, *slugs[:MOST_SERVICES]})
    back = reverse("target", args=[form.target]) if Target.objects.filter(slug=form.target).exists() else ""
    context = {
        "form": form,
        "environments": Environment.objects.all(),
        "services": services,
        "back": back or reverse("deploys"),
        "name": person(request).name,
    }
    return render(request, "deploys/mark.html", context, status=status)
