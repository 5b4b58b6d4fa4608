"""Rollouts for programs: a flag's ramp, and promotion from the environment before."""

from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse

from connections.flags import control, reading
from connections.flags.errors import UnknownFlag
from connections.models import Ramp, Revision, Version
from dashboard.api.acting import Asked, BadRequest, act, by_method, told_diffs

VERBS = {
    "pause": control.pause_ramp,
    "resume": control.resume_ramp,
    "back": control.set_ramp_back,
    "finish": control.finish_ramp,
    "abort": control.abort_ramp,
    "reopen": control.reopen_ramp,
}


def _ramp(request: HttpRequest, environment: str, key: str) -> HttpResponse:
    flags = reading.flag_set(environment)
    if key not in flags.definitions:
        raise UnknownFlag(key, flags.definitions)
    found = Ramp.objects.filter(environment_id=environment, flag_key=key).order_by("-started_at").first()
    return JsonResponse({"ramp": _told(found) if found else None})


def _start(request: HttpRequest, environment: str, key: str) -> HttpResponse:
    def perform(asked: Asked) -> Revision:
        variant, steps = asked.fields.get("variant", ""), asked.fields.get("steps", [])
        return control.start_ramp(environment, key, variant, steps, author=asked.author, reason=asked.reason)

    return act(request, perform, fields={"variant": (str, "a variant's name"), "steps": (list, "a list of steps")})


def _move(request: HttpRequest, environment: str, key: str, verb: str) -> HttpResponse:
    if verb not in VERBS:
        raise BadRequest("verb", f"There is no such act. Use {', '.join(VERBS)}.", 404)

    def perform(asked: Asked) -> Version | Revision | dict[str, Any]:
        made: Any = VERBS[verb](environment, key, author=asked.author, reason=asked.reason)
        return {"changed": True, "ramp": _told(made)} if isinstance(made, Ramp) else made

    return act(request, perform)


def _preview(request: HttpRequest, environment: str) -> HttpResponse:
    source = reading.flag_set(control.stage_before(environment).key)
    preview = control.preview_promotion(environment, source_version=source.version)
    told = {"source": source.environment, "source_version": source.version, "version": preview.version}
    return JsonResponse({**told, "changes": told_diffs(preview.diffs)})


def _promote(request: HttpRequest, environment: str) -> HttpResponse:
    def perform(asked: Asked) -> Version:
        flags = asked.fields.get("flags")
        if flags is not None and not all(isinstance(one, str) for one in flags):
            raise BadRequest("flags", "flags is a list of keys.")
        if asked.expected_version is None:
            raise BadRequest("If-Match", "Say which version you saw: If-Match, or expected_version.", 428)
        return control.promote(
            environment,
            author=asked.author,
            reason=asked.reason,
            expected_version=asked.expected_version,
            flags=flags,
            source_version=asked.fields.get("source_version"),
        )

    return act(request, perform, fields={"flags": (list, "a list"), "source_version": (int, "a whole number")})


def _told(ramp: Ramp) -> dict[str, Any]:
    return {
        "flag": ramp.flag_key,
        "control": ramp.control,
        "variant": ramp.variant,
        "state": ramp.state,
        "step": ramp.step + 1,
        "percentage": ramp.percentage,
        "steps": ramp.steps,
        "paused_why": ramp.paused_why,
        "author": ramp.author,
        "reason": ramp.reason,
        "started_at": ramp.started_at.isoformat(),
        "ended_at": ramp.ended_at.isoformat() if ramp.ended_at else None,
    }


ramp = by_method(GET=_ramp, POST=_start)
move = by_method(POST=_move)
promotion = by_method(GET=_preview, POST=_promote)
