"""One act on flags, from preview to result: what it asks of the person, and carrying it out once.

Asked in proportion to how hard it is to undo: a reason and a named button; in production a tick as well; towards
something new in production the environment's name, typed. Where two people are asked for, an act towards something new
becomes a proposal instead, unless this person has broken the glass.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse

from connections.flags import proposals
from connections.flags.authority import glass_of
from connections.flags.changing import REASON_WORDS, check_reason
from connections.flags.control import Preview
from connections.flags.errors import FlagError, NeedsSecondPerson, NothingToChange, ReasonMissing, StaleVersion
from connections.flags.reading import flag_set
from connections.flags.versions import FlagDiff
from connections.models import BreakGlass, Environment, Ramp, Revision, Version
from dashboard.permissions import person
from dashboard.queries_flags import flags_state
from dashboard.submissions import new_key, once

LONGEST_REASON = 1000
CHIPS = ("Answers vanish mid-conversation", "Accepted but not ready", "Trying another strategy")


class Towards(Enum):
    """Where an act leads: back to what was served before, or to something new."""

    KNOWN = "known"
    NEW = "new"


@dataclass(frozen=True)
class Move:
    """What one flag serves before and after, in words."""

    flag: str
    before: str
    after: str


@dataclass(frozen=True)
class Act:
    """One act as its page shows it. `perform(author, reason, expected_version)` raises FlagError."""

    environment: Environment
    title: str
    verb: str
    """Begins the button, which then names the place: "Undo revision 42" in staging."""
    lede: str
    preview: Preview
    towards: Towards
    perform: Callable[[str, str, int], Version | Revision | Ramp]
    address: str
    back: str
    hidden: Mapping[str, str] = field(default_factory=dict)
    chips: tuple[str, ...] = CHIPS
    theirs: tuple[FlagDiff, ...] = ()
    """What others changed since the person opened the page."""
    page: str = "acts/page.html"
    extra: Mapping[str, Any] = field(default_factory=dict)
    proposes: bool = False
    """It waits for a second person; `act_page` finds out."""
    glass: BreakGlass | None = None
    """Under which this person acts alone."""
    moves: tuple[Move, ...] = ()
    """What is served before and after, where no definition says so: kills, ramps."""
    notes: tuple[str, ...] = ()
    """What else the person should know before they act."""
    serves_same: bool = False
    """It makes no revision: nobody is served anything else."""
    fields: str = ""
    """A template with more fields for the form."""
    direction: str = "in"
    """Between the verb and the place: a flag is changed in production, and promoted to it."""

    @property
    def button(self) -> str:
        place = f"{self.direction} {self.environment.name.lower()}"
        if self.proposes:
            return f"Propose to {self.verb[:1].lower()}{self.verb[1:]} {place}"
        return f"{self.verb} {place}"

    @property
    def possible(self) -> bool:
        """It would change something."""
        return bool(self.preview.diffs or self.preview.ends or self.moves)

    @property
    def moved(self) -> list[dict[str, Any]]:
        """The moves as the template of differences reads them."""
        return [{"key": one.flag, "pairs": [("", one.before, one.after)]} for one in self.moves]

    @property
    def asks_tick(self) -> bool:
        return self.environment.is_production and self.towards is Towards.KNOWN

    @property
    def asks_name(self) -> bool:
        return self.environment.is_production and self.towards is Towards.NEW and not self.proposes


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
    missing. `preview`: a POST that only looks, because what it looks at is too long for an address."""
    act = _under_policy(act, person(request).name)
    if preview or request.method != "POST":
        given = (request.GET.get("reason") or request.POST.get("reason", ""))[:LONGEST_REASON]
        form = ActForm(expected_version=act.preview.version, reason=given)
        return _render(request, act, form, 200)
    form = ActForm.read(request)
    author = person(request).name
    try:
        # A form that was carried out is answered by its result, whatever has changed since.
        done = once(form.key, author, lambda: _perform(act, form, author))
    except _IncompleteError:
        return _render(request, act, form, 422)
    except StaleVersion as stale:
        form.stale, form.expected_version = stale, stale.current
        return _render(request, act, form, 409)
    except NothingToChange as nothing:
        form.errors["form"] = nothing.message
        return _render(request, act, form, 409)
    except FlagError as error:
        form.errors["form"] = str(error)
        return _render(request, act, form, 422)
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


def _render(request: HttpRequest, act: Act, form: ActForm, status: int) -> HttpResponse:
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
        **act.extra,
    }
    return render(request, act.page, context, status=status)
