"""Promotion: what the stage before defines, with what probes saw of it there, previewed and brought here."""

from collections.abc import Sequence
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods

from connections.flags import control, reading
from connections.flags.changing import Preview
from connections.flags.errors import FlagError, NoStageBefore
from connections.flags.layers import LayerKind
from connections.flags.versions import FlagSet
from connections.models import Environment
from dashboard.acting import Act, Towards
from dashboard.acts import act_page
from dashboard.permissions import RESPONDER, require
from dashboard.queries import evidence
from dashboard.sentences import plural

CHIPS = ("Healthy in the stage before", "Next stage of the rollout", "Bringing the fix")


@require(RESPONDER, "flags")
@require_http_methods(["GET", "HEAD", "POST"])
def promote(request: HttpRequest, environment_key: str) -> HttpResponse:
    """Choose among the flags that differ, see the difference and the evidence, say why, promote."""
    stage = get_object_or_404(Environment, key=environment_key)
    try:
        source_stage = control.stage_before(stage.key)
    except NoStageBefore as first:
        raise Http404(str(first)) from first
    sent = request.POST if request.method == "POST" else request.GET
    source = _source(source_stage, sent.get("source_version", ""))
    differing = _differing(stage, source)
    asked = "preview" in sent or request.method == "POST"
    chosen = [key for key in sent.getlist("flag") if key in differing] if asked else differing
    preview, problem = _preview(stage, source, chosen)
    now = timezone.now()
    act = Act(
        environment=stage,
        title=f"Promote to {stage.name.lower()}",
        verb=f"Promote {_named(chosen)} from {source_stage.name.lower()}",
        direction="to",
        lede=f"Defines here what version {source.version} of {source_stage.name.lower()} defines.",
        preview=preview,
        towards=Towards.NEW,
        perform=lambda author, reason, expected: control.promote(
            stage.key,
            author=author,
            reason=reason,
            expected_version=expected,
            flags=chosen,
            source_version=source.version,
        ),
        address=reverse("promote", args=[stage.key]),
        back=f"{reverse('flags')}?env={stage.key}",
        hidden={"source_version": str(source.version)},
        notes=_notes(source_stage, source, chosen),
        chips=CHIPS,
        page="flags/promote.html",
        extra={
            "source": source_stage,
            "source_version": source.version,
            "choices": [(key, key in chosen) for key in differing],
            "chosen": chosen,
            "choice_error": problem,
            "problem": problem or ("Nothing is chosen." if differing else f"{source_stage.name} defines the same."),
            "evidence": evidence.of_version(source_stage.key, source.version, now),
            "here": evidence.lately(stage.key, now),
            "asked": asked,
        },
    )
    return act_page(request, act)


def _source(stage: Environment, number: str) -> FlagSet:
    """The version that the person looked at; without one, the newest."""
    newest = reading.flag_set(stage.key)
    if number.isascii() and number.isdigit() and len(number) < 16 and 1 <= int(number) < newest.version:
        older = reading.flag_set(stage.key, int(number))
        return FlagSet(stage.key, older.version, newest.revision, older.definitions, newest.layers)
    return newest


def _differing(stage: Environment, source: FlagSet) -> list[str]:
    here = reading.flag_set(stage.key).definitions
    return sorted(key for key, body in source.definitions.items() if body != here.get(key))


def _preview(stage: Environment, source: FlagSet, chosen: Sequence[str]) -> tuple[Preview, str]:
    try:
        return control.preview_promotion(stage.key, chosen, source_version=source.version), ""
    except FlagError as refused:
        return Preview(stage.key, reading.flag_set(stage.key).version, ()), str(refused)


def _named(chosen: Sequence[str]) -> str:
    return chosen[0] if len(chosen) == 1 else plural(len(chosen), "flag")


def _notes(stage: Environment, source: FlagSet, chosen: Sequence[str]) -> tuple[str, ...]:
    return tuple(_note(stage.name, layer) for layer in source.layers if layer.flag in chosen)


def _note(stage: str, layer: Any) -> str:
    if layer.kind is LayerKind.RAMP:
        return f"{stage} ramps {layer.flag} to {layer.variant}: {layer.control} is brought, not the ramp."
    state = "is killed" if layer.kind is LayerKind.KILL else "has a tripped breaker"
    return f"{layer.flag} {state} in {stage.lower()}: its version is brought, not that."
