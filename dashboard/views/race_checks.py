"""`/targets/<slug>/race-checks/`: ask for a race check, watch it, cancel it, read what it found."""

from dataclasses import dataclass, field, replace
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from dashboard import race_checks
from dashboard.permissions import RESPONDER, VIEWER, person, require
from dashboard.queries import race_checks as queries
from dashboard.submissions import new_key, once
from probes.models import RaceCheck, Target
from probes.race_check_records import Refused, early_fault
from probes.race_checks import Request, RequestError

MODES = {"early": True, "normal": False}


@dataclass
class Form:
    """What a person asks for, and what is wrong with it, by field."""

    request: Request
    key: str = field(default_factory=new_key)
    count: str = ""
    at_once: str = ""
    ticked: bool = False
    errors: dict[str, str] = field(default_factory=dict)
    refused: Refused | None = None

    @classmethod
    def empty(cls, locations: list[str], *, early: bool) -> "Form":
        """The defaults, within what the settings allow and what the target's script can do."""
        default = Request(location=locations[0] if locations else "local", early_send=early)
        least = replace(
            default,
            count=min(default.count, settings.RACE_CHECK_MOST),
            at_once=min(default.at_once, settings.RACE_CHECK_AT_ONCE),
        )
        return cls(least, count=str(least.count), at_once=str(least.at_once))

    @classmethod
    def sent(cls, sent: Any) -> "Form":
        """The form as it was sent; what is no number is an error."""
        mode, location = sent.get("mode", "early"), sent.get("location", "")[:40]
        form = cls(
            Request(early_send=MODES.get(mode, True), location=location),
            key=sent.get("key", ""),
            count=sent.get("count", "").strip()[:12],
            at_once=sent.get("at_once", "").strip()[:12],
            ticked=sent.get("ticked") == "yes",
        )
        for name in ("count", "at_once"):
            text = getattr(form, name)
            if text.isascii() and text.isdigit():
                number: Any = int(text)
                form.request = replace(form.request, **{name: number})
            else:
                form.errors[name] = "Write a whole number."
        if not 16 <= len(form.key) <= 64:
            form.key = new_key()
            form.errors["form"] = "This form is incomplete. Look at it again, then send it."
        return form


@require(VIEWER)
@require_safe
def checks(request: HttpRequest, slug: str) -> HttpResponse:
    """The form and the former reports."""
    target = _target(slug)
    return _page(request, target, Form.empty(_locations(target), early=early_fault(target) is None), 200)


@require(RESPONDER, "targets")
@require_POST
def start(request: HttpRequest, slug: str) -> HttpResponse:
    """Queue a check, once per form; afterwards its own page shows it running."""
    target = _target(slug)
    form = Form.sent(request.POST)
    if target.environment.is_production and not form.ticked:
        form.errors["ticked"] = "Tick the box: this opens real connections to production."
    if form.errors:
        return _page(request, target, form, 422)
    by = person(request).name
    try:
        done = once(form.key, by, lambda: {"id": race_checks.start(target, form.request, by).pk})
    except RequestError as error:
        form.errors[error.field] = error.message
        return _page(request, target, form, 422)
    except Refused as refused:
        form.refused = refused
        return _page(request, target, form, 429 if refused.wait else 409)
    return HttpResponseRedirect(reverse("race_check", args=[slug, done.result["id"]]))


@require(VIEWER)
@require_safe
def check(request: HttpRequest, slug: str, number: int) -> HttpResponse:
    """One check: its progress while it runs, then its report."""
    target = _target(slug)
    found = get_object_or_404(RaceCheck.objects.select_related("target__environment"), target=target, pk=number)
    earlier = RaceCheck.objects.filter(target=target, asked_at__lte=found.asked_at).defer("samples")
    context = {
        "target": target,
        "race_check": queries.shown(found, samples=True),
        "progress": queries.progress_text(found),
        "comparison": queries.comparison(list(earlier[: queries.LISTED])) if found.report else "",
    }
    return render(request, "race_checks/report.html", context)


@require(RESPONDER, "targets")
@require_POST
def cancel(request: HttpRequest, slug: str, number: int) -> HttpResponse:
    """End a check now. Cancelling what has ended changes nothing."""
    found = get_object_or_404(RaceCheck.objects.select_related("target"), target__slug=slug, pk=number)
    race_checks.cancel(found, person(request).name)
    return HttpResponseRedirect(reverse("race_check", args=[slug, number]))


def _target(slug: str) -> Target:
    return get_object_or_404(Target.objects.select_related("environment"), slug=slug)


def _locations(target: Target) -> list[str]:
    return list(target.locations.order_by("key").values_list("key", flat=True))


def _page(request: HttpRequest, target: Target, form: Form, status: int) -> HttpResponse:
    former = queries.newest(target)
    deadline_s = target.deadline_ms / 1000
    seconds = form.request.most_seconds(deadline_s, settings.RACE_CHECK_PER_SECOND) if not form.errors else 0
    context = {
        "target": target,
        "form": form,
        "locations": _locations(target),
        "most": settings.RACE_CHECK_MOST,
        "most_at_once": settings.RACE_CHECK_AT_ONCE,
        "per_second": settings.RACE_CHECK_PER_SECOND,
        "pause": settings.RACE_CHECK_PAUSE_SECONDS,
        "deadline_s": deadline_s,
        "estimate": queries.estimate(seconds) if seconds else "",
        "active": next((each for each in former if each.active), None),
        "former": [(each, queries.summary_of(each)) for each in former],
        "comparison": queries.comparison(former),
    }
    answer = render(request, "race_checks/page.html", context, status=status)
    if status == 429 and form.refused:
        answer["Retry-After"] = str(int(form.refused.wait.total_seconds()))
    return answer
