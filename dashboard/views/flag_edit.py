"""Defining a flag on the page: typed, checked, merged with what somebody else saved meanwhile, previewed, then saved.

The page keeps the version that the person began with. If the flag was changed since, three sides are laid together
field by field: theirs and yours both stay, and where both changed one field a person chooses. Nothing typed is lost.
"""

from dataclasses import dataclass
from functools import partial
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from connections.flags import control, reading
from connections.flags.control import Preview
from connections.flags.errors import FlagError
from connections.flags.making_way import refuse_under_layers
from connections.flags.merging import Merged, MergedField, merge3
from connections.flags.targeting_words import rules_in_words
from connections.flags.versions import Definition, FlagSet, diff
from connections.models import Environment, Version
from dashboard.acting import Act, Towards
from dashboard.acts import act_page
from dashboard.flag_form import FlagForm
from dashboard.permissions import RESPONDER, require

CHOICE = "choose."
"""Fields of conflicts are named `choose.FIELD`, with "theirs" or "yours"."""


@dataclass(frozen=True)
class Draft:
    """One form on its way: what was typed, on what it was based, and what comes of it now."""

    stage: Environment
    current: FlagSet
    form: FlagForm
    base: int
    key: str
    """Of the flag that is changed; "" for a new one."""
    merged: Merged | None = None
    open_conflicts: tuple[MergedField, ...] = ()
    choices: tuple[tuple[MergedField, str], ...] = ()

    @property
    def address(self) -> str:
        if self.key:
            return reverse("flag_edit", args=[self.stage.key, self.key])
        return reverse("flag_new", args=[self.stage.key])


@require(RESPONDER, "flags")
@require_http_methods(["GET", "HEAD", "POST"])
def new(request: HttpRequest, environment_key: str) -> HttpResponse:
    """A flag that is not there yet."""
    return _edit(request, get_object_or_404(Environment, key=environment_key), "")


@require(RESPONDER, "flags")
@require_http_methods(["GET", "HEAD", "POST"])
def edit(request: HttpRequest, environment_key: str, flag: str) -> HttpResponse:
    """The definition of a flag that is there, or was when the page was opened."""
    return _edit(request, get_object_or_404(Environment, key=environment_key), flag)


@require(RESPONDER, "flags")
@require_http_methods(["GET", "HEAD", "POST"])
def remove(request: HttpRequest, environment_key: str, flag: str) -> HttpResponse:
    """Stop defining a flag: its callers get their own defaults."""
    stage = get_object_or_404(Environment, key=environment_key)
    current = reading.flag_set(stage.key)
    if request.method != "POST" and flag not in current.definitions:
        raise Http404(f"There is no flag {flag!r} here.")
    act = Act(
        environment=stage,
        title=f"Remove {flag}",
        verb=f"Remove {flag}",
        lede="Whoever asks for it gets the default in their own code. Its history stays, and any version restores it.",
        preview=_preview(current, flag, None),
        towards=Towards.NEW,
        perform=partial(_define, stage.key, flag, None),
        address=reverse("flag_remove", args=[stage.key, flag]),
        back=f"{reverse('flags')}?env={stage.key}",
    )
    return act_page(request, act)


def _edit(request: HttpRequest, stage: Environment, key: str) -> HttpResponse:
    current = reading.flag_set(stage.key)
    if request.method != "POST":
        if key and key not in current.definitions:
            raise Http404(f"There is no flag {key!r} here.")
        form = FlagForm.of(key, current.definitions[key]) if key else FlagForm()
        return _page(request, Draft(stage, current, form, current.version, key))
    draft = _draft(request, stage, current, key)
    if draft.merged is None:
        return _page(request, draft, status=422)
    if draft.open_conflicts:
        return _page(request, draft, status=409)
    preview = request.POST.get("step") == "preview"
    return act_page(request, _act(draft, request, preview=preview), preview=preview)


def _draft(request: HttpRequest, stage: Environment, current: FlagSet, key: str) -> Draft:
    form = FlagForm.read(request.POST, key)
    sent = request.POST.get("base", "")
    base = int(sent) if sent.isascii() and sent.isdecimal() and len(sent) < 16 else current.version
    base = base if 1 <= base <= current.version else current.version
    began = reading.definitions_at(stage.key, base).get(form.flag_key)
    theirs = current.definitions.get(form.flag_key)
    if not key and base == current.version and theirs is not None:
        form.errors["flag_key"] = (
            f"There is a flag {form.flag_key} here already: change that one, or choose another key."
        )
    yours = form.definition(None if began is None else theirs)
    draft = Draft(stage, current, form, base, key)
    if yours is None:
        return draft
    return _merged(request, draft, began, theirs, yours)


def _merged(
    request: HttpRequest, draft: Draft, began: Definition | None, theirs: Definition | None, yours: Definition
) -> Draft:
    chosen = {
        name.removeprefix(CHOICE): value
        for name, value in request.POST.items()
        if name.startswith(CHOICE) and value in ("theirs", "yours")
    }
    merged = merge3(began, theirs, yours, choose=chosen)
    left = tuple(one for one in merged.conflicts if one.name not in chosen)
    choices = tuple((one, chosen.get(one.name, "")) for one in merged.fields if not _same_sides(began, theirs))
    body = merged.definition
    accepted = left or body is None or draft.form.accept(body, theirs)
    kept = merged if accepted else None
    return Draft(draft.stage, draft.current, draft.form, draft.base, draft.key, kept, left, choices)


def _same_sides(began: Definition | None, theirs: Definition | None) -> bool:
    return began == theirs


def _act(draft: Draft, request: HttpRequest, *, preview: bool) -> Act:
    assert draft.merged is not None  # noqa: S101 - asked before
    key, body = draft.form.flag_key, draft.merged.definition
    chosen = {name: str(value) for name, value in request.POST.items() if name.startswith(CHOICE)}
    verb = f"Change {key}" if draft.key else f"Define {key}"
    return Act(
        environment=draft.stage,
        title=f"Edit {key}" if draft.key else "New flag",
        verb=verb,
        lede="Open connections keep what they have; new ones are served this.",
        preview=_preview(draft.current, key, body),
        towards=Towards.NEW,
        perform=partial(_define, draft.stage.key, key, body),
        address=draft.address,
        back=f"{reverse('flags')}?env={draft.stage.key}",
        hidden={**draft.form.hidden(), **chosen, "base": str(draft.base)},
        chips=(),
        page="flags/edit.html",
        extra={**_context(draft), "focus_act": preview, "problem": _in_the_way(draft.current, key, body)},
    )


def _define(
    environment_key: str, flag: str, body: dict[str, Any] | None, author: str, reason: str, expected: int
) -> Version:
    return control.define(environment_key, {flag: body}, author=author, reason=reason, expected_version=expected)


def _preview(current: FlagSet, flag: str, body: Definition | None) -> Preview:
    before = {flag: current.definitions[flag]} if flag in current.definitions else {}
    after = {} if body is None else {flag: body}
    return Preview(current.environment, current.version, tuple(one for one in diff(before, after) if one.fields))


def _in_the_way(current: FlagSet, flag: str, body: dict[str, Any] | None) -> str:
    """Why saving would be refused now: a ramp under way, a kill that would lose its variant."""
    try:
        refuse_under_layers(current, {flag: body})
    except FlagError as refused:
        return str(refused)
    return ""


def _context(draft: Draft) -> dict[str, Any]:
    body = draft.merged.definition if draft.merged else None
    return {
        "title": f"Edit {draft.key}" if draft.key else "New flag",
        "draft": draft,
        "flag_form": draft.form,
        "words": rules_in_words(body) if body else [],
        "sides": [(one, choice, one.conflict) for one, choice in draft.choices],
        "undecided": draft.open_conflicts,
        "moved_on": draft.base != draft.current.version and bool(draft.choices),
    }


def _page(request: HttpRequest, draft: Draft, *, status: int = 200) -> HttpResponse:
    return render(request, "flags/edit.html", {**_context(draft), "environment": draft.stage}, status=status)
