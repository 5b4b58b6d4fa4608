"""Targets: adding one, changing one (administrators), pausing and resuming one (responders)."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils import timezone
from django.utils.text import slugify
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from connections.models import Environment
from dashboard.permissions import ADMINISTRATOR, RESPONDER, person, require
from dashboard.submissions import once
from dashboard.target_form import RESERVED_SLUGS, TargetForm, context, warnings
from probes import pausing
from probes.models import Target
from probes.targets import TargetError, create_target, update_target

PAUSES = {"15": "15 minutes", "60": "1 hour", "240": "4 hours", "": "until somebody resumes it"}
LONGEST_REASON = 1000
LONGEST_ADDRESS = 2000


@require(ADMINISTRATOR, "targets")
@require_http_methods(["GET", "HEAD", "POST"])
def add(request: HttpRequest) -> HttpResponse:
    """Add a target; afterwards its own page shows the first results."""
    if request.method != "POST":
        asked = request.GET.get("env", "")
        known = Environment.objects.filter(key=asked).exists()
        return _page(request, TargetForm.empty(asked if known else "staging"), None, 200)
    form = TargetForm.sent(request.POST)
    fields, credentials = form.fields(), form.credentials(None)
    by = person(request).name

    def act() -> dict[str, Any]:
        if slugify(fields["name"]) in RESERVED_SLUGS:
            raise TargetError("name", "is taken by an address of this site. Choose another.")
        target = create_target(by=by, environment=form.values["environment"], credentials=credentials, **fields)
        return {"slug": target.slug}

    return _carry_out(request, form, None, act)


@require(ADMINISTRATOR, "targets")
@require_http_methods(["GET", "HEAD", "POST"])
def edit(request: HttpRequest, slug: str) -> HttpResponse:
    """Change a target. Its slug, environment and history stay; a new schedule begins anew."""
    target = get_object_or_404(Target.objects.select_related("environment"), slug=slug)
    if request.method != "POST":
        return _page(request, TargetForm.of(target), target, 200)
    form = TargetForm.sent(request.POST)
    form.values["environment"] = target.environment_id
    fields, credentials = form.fields(), form.credentials(target)
    by = person(request).name

    def act() -> dict[str, Any]:
        update_target(target, by=by, credentials=credentials, **fields)
        return {"slug": target.slug}

    return _carry_out(request, form, target, act)


@require(ADMINISTRATOR, "targets")
@require_safe
def address(request: HttpRequest) -> HttpResponse:
    """What a form says below an address that scheduled probes would not dial: asked for when the address changes."""
    url, node = (request.GET.get(name, "")[:LONGEST_ADDRESS] for name in ("url", "address"))
    rule = warnings(url, node)["address" if request.GET.get("of") == "address" else "url"]
    return render(request, "targets/refused.html", {"refused": rule})


@require(RESPONDER, "targets")
@require_http_methods(["GET", "HEAD", "POST"])
def pause(request: HttpRequest, slug: str) -> HttpResponse:
    """Stop probing a target for a while, with a reason. Pausing what is paused changes nothing."""
    target = get_object_or_404(Target.objects.select_related("environment"), slug=slug)
    asked = request.POST.get("minutes", "60")
    reason = request.POST.get("reason", "").strip()[:LONGEST_REASON]
    errors: dict[str, str] = {}
    if request.method == "POST":
        if asked not in PAUSES:
            errors["minutes"] = "Choose how long."
        if len(reason.split()) < 3:
            errors["reason"] = "Say why, in at least 3 words."
        if not errors:
            until = timezone.now() + timedelta(minutes=int(asked)) if asked else None
            pausing.pause(target, person(request).name, until, reason)
            return HttpResponseRedirect(page_of(slug))
    shown = {"target": target, "pauses": PAUSES.items(), "asked": asked, "reason": reason, "errors": errors}
    return render(request, "targets/pause.html", shown, status=422 if errors else 200)


@require(RESPONDER, "targets")
@require_POST
def resume(request: HttpRequest, slug: str) -> HttpResponse:
    """Probe a target again. Resuming what is not paused changes nothing."""
    target = get_object_or_404(Target, slug=slug)
    pausing.resume(target, person(request).name)
    return HttpResponseRedirect(page_of(slug))


def page_of(slug: str) -> str:
    """The address of a target's own page."""
    return reverse("target", args=[slug])


def _carry_out(
    request: HttpRequest, form: TargetForm, target: Target | None, act: Callable[[], dict[str, Any]]
) -> HttpResponse:
    if not form.errors:
        try:
            done = once(form.key, person(request).name, act)
            return HttpResponseRedirect(page_of(done.result["slug"]))
        except TargetError as error:
            form.blame(error)
    return _page(request, form, target, 422)


def _page(request: HttpRequest, form: TargetForm, target: Target | None, status: int) -> HttpResponse:
    return render(request, "targets/form.html", {**context(form, target)}, status=status)
