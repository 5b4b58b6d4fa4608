"""The panel beside a target's charts: choosing a way back, and watching what an act did."""

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import NoReverseMatch, reverse
from django.utils import timezone
from django.views.decorators.http import require_safe

from connections.models import Environment
from dashboard.beside import PANEL, panel, watching
from dashboard.layer_acts import Place
from dashboard.permissions import RESPONDER, VIEWER, allows, person, refusal, require
from dashboard.queries.changes import GOVERNING_FLAGS
from dashboard.queries.target import TargetReader
from dashboard.queries.watch import Watch, lately, newest, watch
from dashboard.views.rollback import cards_of
from probes.models import Target

CHOOSE = "back"
_PAGES = {"undo": "undo", "kill": "kill", "lift": "lift", "plan": "run_plan", "restore": "restore"}
"""What the first word of `?act=` asks for: the name of its page, whose address takes the environment and the rest."""


@dataclass(frozen=True, slots=True)
class Choice:
    """One act on one flag."""

    name: str
    """As `?act=` says it: "kill:client-ack"."""
    word: str
    label: str
    address: str


@dataclass(frozen=True, slots=True)
class FlagRow:
    """One governing flag: what is served, and what would take it back."""

    flag: str
    served: str
    safe: str
    acts: tuple[Choice, ...]


@require(VIEWER)
@require_safe
def choose(request: HttpRequest, slug: str) -> HttpResponse:
    """Every way back for one target: undo the last change, a plan, one flag killed or lifted."""
    target = _target(slug)
    stage = target.environment
    rows = [row for key in sorted(GOVERNING_FLAGS, reverse=True) if (row := _row(stage, key))]
    context = {
        "target": target,
        "environment": stage,
        "undo": newest(stage.key),
        "cards": cards_of(stage),
        "rows": rows,
        "safe": [row.flag for row in rows if not row.acts],
        "refusal": "" if allows(person(request), RESPONDER) else refusal(RESPONDER, "flags"),
    }
    if PANEL in request.headers:
        return panel(request, "acts/choose.html", context, CHOOSE)
    return render(request, "acts/choose_page.html", context)


@require(VIEWER)
@require_safe
def watched(request: HttpRequest, slug: str, number: int) -> HttpResponse:
    """The panel that watches one revision."""
    return watching(request, _target(slug), number)


def opened(target: Target, name: str) -> dict[str, Any]:
    """What the target's page shows in its panel for `?act=NAME`; without one, the newest revision while it is watched.
    A name that means nothing counts as none."""
    now = timezone.now()
    if name[:1] == "r" and name[1:].isascii() and name[1:].isdigit() and len(name) < 17:
        found: Watch | None = watch(target, int(name[1:]), now)
        if found:
            return {"act_name": name, "watch": found}
    elif address := address_of(target, name):
        return {"act_name": name, "act_from": address, "watch": lately(target, now)}
    return {"watch": lately(target, now)}


def address_of(target: Target, name: str) -> str:
    """Where the panel of an act is asked for; "" where the name is none."""
    if name == CHOOSE:
        return reverse("target_act", args=[target.slug])
    word, *rest = name.split(":")
    try:
        path = reverse(_PAGES[word], args=[target.environment_id, *rest])
    except (KeyError, NoReverseMatch):
        return ""
    return f"{path}?{urlencode({'target': target.slug})}"


def _target(slug: str) -> Target:
    target = TargetReader.find(slug)
    if target is None:
        raise Http404(f"No target is called {slug!r}.")
    return target


def _row(stage: Environment, key: str) -> FlagRow | None:
    place = Place.find(stage, key)
    if place is None:
        return None
    safe = str(place.definition.get("metadata", {}).get("safeVariant", ""))
    acts = [_lift(place, kind) for kind in ("kill", "breaker") if place.has(kind)]
    if safe and not place.has("kill") and place.words != safe:
        acts.append(Choice(f"kill:{key}", "Kill…", f"Kill {key}…", reverse("kill", args=[stage.key, key])))
    return FlagRow(key, place.words, safe, tuple(acts))


def _lift(place: Place, kind: str) -> Choice:
    address = reverse("lift", args=[place.stage.key, place.flag, kind])
    return Choice(f"lift:{place.flag}:{kind}", "Lift…", f"Lift the {kind} of {place.flag}…", address)
