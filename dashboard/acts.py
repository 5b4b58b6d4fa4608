"""One act on flags, from preview to result: what it asks of the person, and carrying it out once.

Asked in proportion to how hard it is to undo: a reason and a named button; in production a tick as well; towards
something new in production the environment's name, typed. Where two people are asked for, an act towards something new
becomes a proposal instead, unless this person has broken the glass.
"""

from dataclasses import dataclass, field, replace
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse

from connections.flags import proposals
from connections.flags.authority import glass_of
from connections.flags.changing import REASON_WORDS, check_reason
from connections.flags.errors import FlagError, NeedsSecondPerson, NothingToChange, ReasonMissing, StaleVersion
from connections.flags.reading import flag_set
from connections.models import Ramp, Revision
from dashboard.acting import Act, Towards
from dashboard.beside import Beside, beside
from dashboard.permissions import person
from dashboard.queries_flags import flags_state
from dashboard.submissions import new_key, once

LONGEST_REASON = 1000


@dataclass
class ActForm:
    """What the person typed, and what is wrong with it, by field."""

    reason: str = ""
    ticked: bool = False
    typed: str = ""
    key: str = field(default_factory=new_key)
    expected_version: int = 0
    errors: dict[str, str] = field(default_factory=dict)
    stale: StaleVersion | None = None

    @classmethod
    def read(cls, request: HttpRequest) -> "ActForm":
        """The form as it was sent; one without its key or version was not made by us."""
        sent = request.POST
        form = cls(
            reason=sent.get("reason", "")[:LONGEST_REASON],
            ticked=sent.get("ticked") == "yes",
            typed=sent.get("typed", "").strip(),
            key=sent.get("key", ""),
        )
        if not 16 <= len(form.key) <= 64:
            form.key = new_key()
            form.errors["form"] = "This form is incomplete. Look at the preview again, then send it."
        version = sent.get("expected_version", "")
        form.expected_version = int(version) if version.isascii() and version.isdigit() and len(version) < 16 else 0
        return form

    def check(self, act: Act) -> bool:
        """Fill `errors` with all that is missing, at once."""
        try:
            check_reason(act.environment, self.reason)
            if act.proposes and len(self.reason.split()) < REASON_WORDS:
                raise ReasonMissing
        except ReasonMissing as missing:
            self.errors["reason"] = missing.cure
        if act.asks_tick and not self.ticked:
            self.errors["ticked"] = f"Tick the box: this changes {act.environment.name.lower()}."
        if act.asks_name and self.typed != act.environment.key:
            self.errors["typed"] = f"Typed name does not match {act.environment.key}."
        return not self.errors


def act_page(request: HttpRequest, act: Act, *, preview: bool = False) -> HttpResponse:
    """GET previews the act; POST carries it out once and leads to the revision or proposal it made, or says what is
    missing. `preview`: a POST that only looks, because what it looks at is too long for an address.

    Where a target's page asked, the panel of that page is answered, and the act leads back to it."""
    place = beside(request, act.environment)
    act = _under_policy(place.dress(act) if place else act, person(request).name)
    if preview or request.method != "POST":
        given = (request.GET.get("reason") or request.POST.get("reason", ""))[:LONGEST_REASON]
        form = ActForm(expected_version=act.preview.version, reason=given)
        return _render(request, act, form, place, 200)
    form = ActForm.read(request)
    author = person(request).name
    try:
        # A form that was carried out is answered by its result, whatever has changed since.
        done = once(form.key, author, lambda: _perform(act, form, author))
    except _IncompleteError:
        return _render(request, act, form, place, 422)
    except StaleVersion as stale:
        form.stale, form.expected_version = stale, stale.current
        return _render(request, act, form, place, 409)
    except NothingToChange as nothing:
        form.errors["form"] = nothing.message
        return _render(request, act, form, place, 409)
    except FlagError as error:
        form.errors["form"] = str(error)
        return _render(request, act, form, place, 422)
    if place:
        return place.answer(request, act, done.result)
    if "proposal" in done.result:
        return HttpResponseRedirect(reverse("proposal", args=[done.result["proposal"]]))
    if done.result["revision"] is None:
        return HttpResponseRedirect(act.back)
    address = reverse("revision", args=[act.environment.key, done.result["revision"]])
    return HttpResponseRedirect(f"{address}?again=1" if done.again else address)


class _IncompleteError(Exception):
    """The form lacks something; `form.errors` says what. Raised so that the submission's key is not spent."""


def _under_policy(act: Act, author: str) -> Act:
    """The act as the environment's policy lets this person do it."""
    if act.towards is Towards.KNOWN or act.serves_same or not act.environment.four_eyes:
        return act
    glass = glass_of(act.environment.key, author)
    return replace(act, glass=glass, proposes=glass is None)


def _perform(act: Act, form: ActForm, author: str) -> dict[str, Any]:
    if not form.check(act):
        raise _IncompleteError
    try:
        made = act.perform(author, form.reason, form.expected_version)
    except NeedsSecondPerson as needed:
        return {"proposal": proposals.propose(needed, by_person=True).pk}
    if isinstance(made, Ramp):
        return {"environment": act.environment.key, "revision": None}
    revision = made if isinstance(made, Revision) else Revision.objects.filter(version=made).latest("number")
    return {"environment": act.environment.key, "version": revision.version.number, "revision": revision.number}


def _touched(act: Act) -> set[str]:
    return {one.flag for one in act.preview.diffs} | {one.flag for one in act.moves} | set(act.preview.ends)


def _render(request: HttpRequest, act: Act, form: ActForm, place: Beside | None, status: int) -> HttpResponse:
    state = flags_state(act.environment.key)
    context = {
        "act": act,
        "form": form,
        "state": state,
        "environment": act.environment,
        "next_revision": state["revision"] + 1,
        "others": len(flag_set(act.environment.key).definitions) - len(_touched(act)),
        "theirs": form.stale.theirs if form.stale else act.theirs,
        "newest": Revision.objects.filter(environment=act.environment).first(),
        "inside": place is not None and place.inside,
        **act.extra,
    }
    return render(request, "acts/panel.html" if context["inside"] else act.page, context, status=status)
