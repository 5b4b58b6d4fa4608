"""One flag of one environment: what is served and why; kill, lift and ramp it, each with a preview."""

from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_safe

from connections.flags import clock
from connections.flags.errors import BadRamp
from connections.flags.targeting_words import rules_in_words
from connections.models import Environment, Overlay
from dashboard import layer_acts, queries_flags
from dashboard.acts import act_page
from dashboard.layer_acts import RAMP_VERBS, Place
from dashboard.permissions import RESPONDER, VIEWER, allows, person, refusal, require
from dashboard.queries import flag_page
from dashboard.queries.layers import laid_over_flags
from dashboard.ramp_steps import PRESETS, steps_of

ACT = ("GET", "HEAD", "POST")


@require(VIEWER)
@require_safe
def flag(request: HttpRequest, environment_key: str, flag_key: str) -> HttpResponse:
    """The page of one flag."""
    place = _place(environment_key, flag_key)
    laid = laid_over_flags(environment_key, flag_key).get(flag_key, ())
    ramp = next((one.ramp for one in laid if one.ramp is not None), None)
    context = {
        "environment": place.stage,
        "place": place,
        "row": queries_flags.flag_rows({flag_key: place.definition})[0],
        "rules": rules_in_words(place.definition) if place.definition.get("targeting") else [],
        "owner": place.definition.get("metadata", {}).get("owner", ""),
        "values": _values(place.definition),
        "state": queries_flags.flags_state(environment_key),
        "laid": flag_page.below(place.definition, laid),
        "ramp": ramp,
        "killed": place.has("kill"),
        "steps": flag_page.step_rows(ramp, clock.verdict_of(ramp), timezone.now()) if ramp else [],
        "elsewhere": flag_page.elsewhere(flag_key),
        "history": flag_page.history(environment_key, flag_key),
        "next_stage": queries_flags.stage_after(place.stage),
        "verbs": _verbs(place, ramp is not None),
        "refusal": "" if allows(person(request), RESPONDER) else refusal(RESPONDER, "flags"),
        **_guard(place),
    }
    return render(request, "flags/flag.html", context)


@require(RESPONDER, "flags")
@require_http_methods(ACT)
def kill(request: HttpRequest, environment_key: str, flag_key: str) -> HttpResponse:
    """Serve the safe variant to everybody, for a while or until it is lifted."""
    sent = (request.POST if request.method == "POST" else request.GET).get("minutes", "")
    minutes = int(sent) if sent.isascii() and sent.isdigit() and len(sent) < 6 else None
    minutes = minutes if minutes in layer_acts.KILL_MINUTES else None
    return act_page(request, layer_acts.kill_act(_place(environment_key, flag_key), minutes))


@require(RESPONDER, "flags")
@require_http_methods(ACT)
def lift(request: HttpRequest, environment_key: str, flag_key: str, kind: str) -> HttpResponse:
    """Take a kill or a breaker away."""
    if kind not in Overlay.Kind.values:
        raise Http404(f"Nothing is called {kind!r} here.")
    return act_page(request, layer_acts.lift_act(_place(environment_key, flag_key), kind))


@require(RESPONDER, "flags")
@require_http_methods(ACT)
def ramp(request: HttpRequest, environment_key: str, flag_key: str) -> HttpResponse:
    """Choose a variant and steps, see what they mean, start. GET previews: the choice is an address like any other."""
    place = _place(environment_key, flag_key)
    sent = request.POST if request.method == "POST" else request.GET
    lines = dict(PRESETS).get(sent.get("preset", ""), sent.get("steps", "")[:2000])
    variant = sent.get("variant", "")
    steps, problem = _read(place, variant, lines)
    act = layer_acts.start_act(place, variant, steps, lines, problem)
    choices = [name for name in place.definition["variants"] if name != place.definition.get("defaultVariant")]
    extra = {"choices": choices, "presets": PRESETS, "lines": lines or PRESETS[1][1], "place": place}
    return act_page(request, layer_acts.with_extra(act, extra))


@require(RESPONDER, "flags")
@require_http_methods(ACT)
def ramp_verb(request: HttpRequest, environment_key: str, flag_key: str, verb: str) -> HttpResponse:
    """Pause, resume, set back, finish, abort or reopen the flag's ramp."""
    place = _place(environment_key, flag_key)
    if verb == "reopen":
        return act_page(request, layer_acts.reopen_act(place))
    if verb not in RAMP_VERBS:
        raise Http404(f"Nothing is called {verb!r} here.")
    return act_page(request, layer_acts.ramp_act(place, verb))


def _place(environment_key: str, flag_key: str) -> Place:
    stage = get_object_or_404(Environment, key=environment_key)
    place = Place.find(stage, flag_key)
    if place is None:
        raise Http404(f"{stage.name} has no flag {flag_key!r}.")
    return place


def _read(place: Place, variant: str, lines: str) -> tuple[tuple[Any, ...], str]:
    """The steps, and what is wrong with the choice; nothing is wrong with none."""
    if not variant and not lines:
        return (), layer_acts.start_problem(place, "")
    try:
        return steps_of(lines), layer_acts.start_problem(place, variant)
    except BadRamp as bad:
        return (), bad.message


def _verbs(place: Place, ramped: bool) -> list[tuple[str, str]]:
    """What may be done to the ramp now: (name in the address, words)."""
    if not ramped:
        return []
    words = {"pause": "Pause…", "resume": "Resume…", "back": "Set back…", "finish": "Finish…", "abort": "Abort…"}
    return [(name, words[name]) for name in RAMP_VERBS if layer_acts.ramp_act(place, name).possible]


def _values(definition: dict[str, Any]) -> list[tuple[str, tuple[str, ...]]]:
    return [(name, queries_flags.value_lines(name, value)) for name, value in definition["variants"].items()]


def _guard(place: Place) -> dict[str, Any]:
    """The guard's panel, where there is one."""
    return {"guard_templates": ["flags/guard.html", "flags/no_guard.html"]}
