"""Flags: what each environment serves, changing it, undoing it, restoring any version; every revision has a page."""

from functools import partial

from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from connections.flags import control, proposals, reading
from connections.flags.errors import FlagError, UnknownVersion
from connections.flags.undoing import preview_undo, values_back
from connections.flags.undoing import undo as undo_earlier
from connections.flags.versions import FlagSet, diff
from connections.models import Environment, Revision, Version
from dashboard import queries_flags
from dashboard.acting import Act, Towards
from dashboard.acts import act_page
from dashboard.layer_undo import inverse
from dashboard.layer_words import entry_line
from dashboard.permissions import RESPONDER, VIEWER, allows, person, refusal, require
from dashboard.queries.layers import laid_over_flags

PREFIX = "flag."
"""Form fields of flags are named `flag.KEY`: a flag may be called "reason" too."""


@require(VIEWER)
@require_safe
def flags(request: HttpRequest) -> HttpResponse:
    """One environment's flags, who holds the served revision, and the history by revision."""
    stage = _environment_asked(request)
    current = reading.flag_set(stage.key)
    before = request.GET.get("before", "")
    history, older = queries_flags.history(stage.key, before=int(before) if before.isdecimal() else None)
    good = reading.known_good(stage.key)
    served = Revision.objects.filter(environment=stage, number=stage.revision).first()
    context = {
        "environment": stage,
        "environments": queries_flags.environments(),
        "state": queries_flags.flags_state(stage.key),
        "rows": queries_flags.flag_rows(current.definitions, laid_over_flags(stage.key)),
        "next_stage": queries_flags.stage_after(stage),
        "history": history,
        "older": older,
        "known_good": good.number if good else None,
        "proposed": [one for one in proposals.waiting(timezone.now()) if one.environment_id == stage.key],
        "undoable": served is not None and stage.revision > 1,
        "refusal": "" if allows(person(request), RESPONDER) else refusal(RESPONDER, "flags"),
    }
    return render(request, "flags/page.html", context)


@require(RESPONDER, "flags")
@require_http_methods(["GET", "HEAD", "POST"])
def change(request: HttpRequest, environment_key: str) -> HttpResponse:
    """Choose values, see the difference, say why. GET previews, so that the choice is an address like any other."""
    stage = get_object_or_404(Environment, key=environment_key)
    current = reading.flag_set(stage.key)
    seen = _seen(request, current)
    sent = request.POST if request.method == "POST" else request.GET
    values = _chosen(sent, seen)
    try:
        preview, error = control.preview_change(stage.key, values), ""
    except FlagError as refused:
        preview, error = control.preview_change(stage.key, {}), str(refused)
    act = Act(
        environment=stage,
        title="Change flags",
        verb=f"Change {_flags_named(list(values))}",
        lede="Open connections keep what they have; new ones are served this.",
        preview=preview,
        towards=Towards.NEW,
        perform=lambda author, reason, expected: control.change(
            stage.key, values, author=author, reason=reason, expected_version=expected
        ),
        address=reverse("change", args=[stage.key]),
        back=_page_of(stage),
        hidden={PREFIX + key: variant for key, variant in values.items()},
        theirs=tuple(diff(seen, current)),
        page="flags/change.html",
        extra={
            "choices": [
                (row, values.get(row.key, row.variant)) for row in queries_flags.flag_rows(current.definitions)
            ],
            "asked": "preview" in sent or request.method == "POST",
            "choice_error": error,
            "seen_version": current.version,
        },
    )
    return act_page(request, act)


@require(RESPONDER, "flags")
@require_http_methods(["GET", "HEAD", "POST"])
def undo(request: HttpRequest, environment_key: str, number: int) -> HttpResponse:
    """Take back one revision: a layer's by the inverse verb, the newest by restoring what was served before it, an
    older one by giving back only what it changed and nobody has changed since."""
    stage = get_object_or_404(Environment, key=environment_key)
    revision = get_object_or_404(Revision.objects.select_related("version"), environment=stage, number=number)
    previous = _previous(revision)
    if previous is None:
        raise Http404("There is nothing before the first revision.")
    if (act := inverse(stage, revision, previous)) is not None:
        return act_page(request, act)
    if number == stage.revision:
        return act_page(request, _undo_newest(stage, revision, previous))
    return act_page(request, _undo_older(stage, revision))


@require(RESPONDER, "flags")
@require_http_methods(["GET", "HEAD", "POST"])
def restore(request: HttpRequest, environment_key: str, number: int) -> HttpResponse:
    """Serve again what any version of any age served, as a new version."""
    stage = get_object_or_404(Environment, key=environment_key)
    version = get_object_or_404(Version, environment=stage, number=number)
    act = Act(
        environment=stage,
        title=f"Restore version {number}",
        verb=f"Restore version {number}",
        lede=f"Serves again what version {number} served, as a new version.",
        preview=control.preview_revert(stage.key, version.number),
        towards=Towards.KNOWN,
        perform=_revert(stage, version.number),
        address=reverse("restore", args=[stage.key, number]),
        back=_page_of(stage),
    )
    return act_page(request, act)


@require(RESPONDER, "flags")
@require_POST
def known_good(request: HttpRequest, environment_key: str, number: int) -> HttpResponse:
    """Mark a version as the one an emergency rollback restores. Twice is the same as once."""
    stage = get_object_or_404(Environment, key=environment_key)
    marked = reading.known_good(stage.key)
    if marked is None or marked.number != number:
        try:
            control.mark_known_good(stage.key, number, author=person(request).name)
        except UnknownVersion as unknown:
            raise Http404(str(unknown)) from unknown
    return HttpResponseRedirect(_back_from_marking(stage, request.POST.get("back", "")))


@require(VIEWER)
@require_safe
def revision(request: HttpRequest, environment_key: str, number: int) -> HttpResponse:
    """One revision for ever: what it changed, who made it and why, who holds it while it is served."""
    stage = get_object_or_404(Environment, key=environment_key)
    found = get_object_or_404(Revision.objects.select_related("version"), environment=stage, number=number)
    previous = _previous(found)
    good = reading.known_good(stage.key)
    following = Revision.objects.filter(environment=stage, number=number + 1).first()
    context = {
        "environment": stage,
        "revision": found,
        "previous": previous,
        "following": following,
        "served": following is None,
        "diffs": _difference(previous, found),
        "layered": [entry_line(entry) for entry in found.summary if entry.get("layer")],
        "state": queries_flags.flags_state(stage.key),
        "again": "again" in request.GET,
        "known_good": good.number if good else None,
        "may_act": allows(person(request), RESPONDER),
    }
    return render(request, "flags/revision.html", context)


def _environment_asked(request: HttpRequest) -> Environment:
    try:
        return queries_flags.chosen_environment(request.GET.get("env", ""))
    except FlagError as unknown:
        raise Http404(str(unknown)) from unknown


def _page_of(stage: Environment) -> str:
    return f"{reverse('flags')}?env={stage.key}"


def _back_from_marking(stage: Environment, back: str) -> str:
    """Where the button stood: the rollback page, a revision's page by its number, else the flags page."""
    if back == "rollback":
        return f"{reverse('rollback')}?env={stage.key}"
    if back.isdecimal() and len(back) < 16:
        return reverse("revision", args=[stage.key, int(back)])
    return _page_of(stage)


def _seen(request: HttpRequest, current: FlagSet) -> FlagSet:
    """The set the person chose from: what they left alone must not undo what somebody else changed meanwhile."""
    seen = request.GET.get("seen", "")
    if request.method == "POST" or not seen.isdecimal() or not 1 <= int(seen) <= current.version:
        return current
    return reading.flag_set(current.environment, int(seen))


def _chosen(sent: QueryDict, seen: FlagSet) -> dict[str, str]:
    """Flag key -> variant, where another one was chosen than was served."""
    chosen = {name.removeprefix(PREFIX): value for name, value in sent.items() if name.startswith(PREFIX)}
    served = {key: body.get("defaultVariant") for key, body in seen.definitions.items()}
    return {key: str(value) for key, value in chosen.items() if served.get(key) != value}


def _flags_named(keys: list[str]) -> str:
    return keys[0] if len(keys) == 1 else f"{len(keys)} flags"


def _previous(revision: Revision) -> Revision | None:
    earlier = Revision.objects.filter(environment_id=revision.environment_id, number=revision.number - 1)
    return earlier.select_related("version").first()


def _difference(previous: Revision | None, revision: Revision) -> list[reading.FlagDiff]:
    after = reading.flag_set(revision.environment_id, revision.version.number)
    if previous is None:
        return diff({}, after)
    return diff(reading.flag_set(revision.environment_id, previous.version.number), after)


def _revert(stage: Environment, number: int) -> "partial[Version]":
    return partial(_revert_now, stage.key, number)


def _revert_now(environment_key: str, number: int, author: str, reason: str, expected: int) -> Version:
    return control.revert(environment_key, number, author=author, reason=reason, expected_version=expected)


def _undo_newest(stage: Environment, revision: Revision, previous: Revision) -> Act:
    return Act(
        environment=stage,
        title=f"Undo revision {revision.number}",
        verb=f"Undo revision {revision.number}",
        lede=f"Serves again what revision {previous.number} served.",
        preview=control.preview_revert(stage.key, previous.version.number),
        towards=Towards.KNOWN,
        perform=_revert(stage, previous.version.number),
        address=reverse("undo", args=[stage.key, revision.number]),
        back=_page_of(stage),
    )


def _undo_older(stage: Environment, revision: Revision) -> Act:
    values = values_back(revision, reading.flag_set(stage.key).definitions)
    stays = sorted(one["flag"] for one in revision.summary if one["flag"] not in values)
    kept = f" {', '.join(stays)} stays: it was changed again since." if stays else " Later changes of other flags stay."
    return Act(
        environment=stage,
        title=f"Undo revision {revision.number}",
        verb=f"Undo revision {revision.number}",
        lede=f"Only what revision {revision.number} changed goes back.{kept}",
        preview=preview_undo(revision),
        towards=Towards.KNOWN,
        perform=lambda author, reason, expected: undo_earlier(
            revision, author=author, reason=reason, expected_version=expected
        ),
        address=reverse("undo", args=[stage.key, revision.number]),
        back=_page_of(stage),
    )
