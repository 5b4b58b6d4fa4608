"""Proposals and their decisions; breaking the glass, and the reviews that follow."""

from collections.abc import Callable
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from connections.flags import glass, proposals
from connections.flags.errors import FlagError, UnknownProposal
from connections.models import Environment, Proposal
from dashboard.acts import LONGEST_REASON
from dashboard.permissions import ADMINISTRATOR, RESPONDER, VIEWER, allows, person, refusal, require
from dashboard.queries import proposals as told

MINUTES = (15, 30, 60, 120, 240)


@require(VIEWER)
@require_safe
def proposals_page(request: HttpRequest) -> HttpResponse:
    """What waits for a second person, which reviews are open, and what was decided."""
    return _page(request)


@require(VIEWER)
@require_safe
def proposal(request: HttpRequest, number: int) -> HttpResponse:
    """One proposal for ever: who wants what and why, what it would change, who decided."""
    return _one(request, _found(number))


@require(RESPONDER, "proposals")
@require_POST
def approve(request: HttpRequest, number: int) -> HttpResponse:
    """Perform it in both names. In production the environment's name is typed."""
    wanted = _found(number)
    stage = wanted.environment
    if wanted.act == "policy" and not allows(person(request), ADMINISTRATOR):
        return _one(request, wanted, {"form": refusal(ADMINISTRATOR, "policies")}, status=403)
    if stage.is_production and request.POST.get("typed", "").strip() != stage.key:
        return _one(request, wanted, {"typed": f"Typed name does not match {stage.key}."}, status=422)
    note = request.POST.get("note", "")[:LONGEST_REASON]
    by = person(request).name
    refused = _refused(lambda: proposals.approve(number, by=by, note=note))
    # Their own second press finds what the first one did.
    if refused and not (wanted.state == Proposal.State.APPROVED and wanted.decided_by == by):
        return _one(request, _found(number), {"form": str(refused)}, status=409)
    done = _found(number)
    if done.revision is not None:
        return HttpResponseRedirect(reverse("revision", args=[stage.key, done.revision]))
    return HttpResponseRedirect(reverse("proposal", args=[number]))


@require(RESPONDER, "proposals")
@require_POST
def reject(request: HttpRequest, number: int) -> HttpResponse:
    """Close it with a reason; by its proposer: withdraw it."""
    reason = request.POST.get("reason", "")[:LONGEST_REASON]
    by = person(request).name
    if refused := _refused(lambda: proposals.reject(number, by=by, reason=reason)):
        field = "reason" if refused.field == "reason" else "form"
        return _one(request, _found(number), {field: str(refused.cure if field == "reason" else refused)}, status=422)
    return HttpResponseRedirect(reverse("proposal", args=[number]))


@require(RESPONDER, "proposals")
@require_POST
def renew(request: HttpRequest, number: int) -> HttpResponse:
    """Propose it again on what is served now; another person then approves."""
    by = person(request).name
    wanted = _found(number)
    if wanted.act == "policy" and not allows(person(request), ADMINISTRATOR):
        return _one(request, wanted, {"form": refusal(ADMINISTRATOR, "policies")}, status=403)
    if refused := _refused(lambda: proposals.renew(number, by=by)):
        return _one(request, _found(number), {"form": str(refused)}, status=409)
    again = Proposal.objects.filter(environment_id=wanted.environment_id, proposed_by=by).latest("pk")
    return HttpResponseRedirect(reverse("proposal", args=[again.pk]))


@require(RESPONDER, "flags")
@require_http_methods(["GET", "HEAD", "POST"])
def break_the_glass(request: HttpRequest, environment_key: str) -> HttpResponse:
    """Say why and for how long; then the person acts alone here."""
    stage = get_object_or_404(Environment, key=environment_key)
    reason = request.POST.get("reason", "")[:LONGEST_REASON]
    minutes = request.POST.get("minutes", str(glass.DEFAULT_MINUTES))
    errors: dict[str, str] = {}
    if request.method == "POST":
        by = person(request).name
        length = int(minutes) if minutes.isascii() and minutes.isdecimal() and len(minutes) < 6 else 0
        if request.POST.get("ticked") != "yes":
            errors["ticked"] = "Tick the box: others are paged, and will review it."
        elif refused := _refused(lambda: glass.break_glass(stage.key, by=by, reason=reason, minutes=length)):
            errors[refused.field if refused.field in ("reason", "minutes") else "form"] = (
                refused.cure if refused.field == "reason" else str(refused)
            )
        else:
            return HttpResponseRedirect(f"{reverse('flags')}?env={stage.key}")
    context = {
        "environment": stage,
        "reason": reason,
        "minutes": minutes,
        "choices": [(one, f"{one} minutes" if one < 60 else f"{one // 60} h") for one in MINUTES],
        "errors": errors,
        "owners": glass.owners(stage.key),
    }
    return render(request, "proposals/break_glass.html", context, status=422 if errors else 200)


@require(RESPONDER, "flags")
@require_POST
def end_glass(request: HttpRequest, number: int) -> HttpResponse:
    """End it before it expires."""
    by = person(request).name
    if refused := _refused(lambda: glass.end(number, by=by)):
        raise Http404(str(refused))
    return HttpResponseRedirect(reverse("proposals") + "#reviews")


@require(RESPONDER, "flags")
@require_POST
def close_review(request: HttpRequest, number: int) -> HttpResponse:
    """Another person says what they make of it."""
    note = request.POST.get("note", "")[:LONGEST_REASON]
    by = person(request).name
    if refused := _refused(lambda: glass.close_review(number, by=by, note=note)):
        told_of = refused.cure if refused.field == "reason" else str(refused)
        return _page(request, {"review_pk": number, "review_error": told_of, "review_note": note}, status=422)
    return HttpResponseRedirect(reverse("proposals") + "#reviews")


def _refused(act: Callable[[], Any]) -> FlagError | None:
    try:
        act()
    except FlagError as refused:
        return refused
    return None


def _found(number: int) -> Proposal:
    try:
        return proposals.found(number)
    except UnknownProposal as unknown:
        raise Http404(str(unknown)) from unknown


def _page(request: HttpRequest, more: dict[str, Any] | None = None, *, status: int = 200) -> HttpResponse:
    now = timezone.now()
    context = {
        "waiting": told.waiting(now),
        "decided": told.decided(now),
        "reviews": told.reviews(),
        "refusal": "" if allows(person(request), RESPONDER) else refusal(RESPONDER, "proposals"),
        "me": person(request).name,
        "policies": Environment.objects.all(),
        **(more or {}),
    }
    return render(request, "proposals/page.html", context, status=status)


def _one(
    request: HttpRequest, wanted: Proposal, errors: dict[str, str] | None = None, *, status: int = 200
) -> HttpResponse:
    now = timezone.now()
    me = person(request)
    role = ADMINISTRATOR if wanted.act == "policy" else RESPONDER
    context = {
        "proposal": wanted,
        "environment": wanted.environment,
        "title": told.title_of(wanted),
        "state_words": told.state_of(wanted, now),
        "waits": wanted.waits(now),
        "expired": wanted.state == Proposal.State.OPEN and not wanted.waits(now),
        "look": proposals.look(wanted),
        "arguments": told.argument_lines(wanted),
        "mine": me.name in (wanted.proposed_by, *wanted.people),
        "refusal": "" if allows(me, role) else refusal(role, "proposals"),
        "errors": errors or {},
        "note": request.POST.get("note", ""),
        "reason": request.POST.get("reason", ""),
        "typed": request.POST.get("typed", ""),
    }
    return render(request, "proposals/proposal.html", context, status=status)
