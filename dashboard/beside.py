"""An act that was opened from a target's page: what is shown beside its charts, and where the act leads to.

The address of an act carries `target=SLUG`. The page's script asks for the panel alone; without it the act has a page
of its own, and leads back to the target too.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone

from connections.models import Environment
from dashboard import sentences
from dashboard.acting import Act, Towards
from dashboard.queries.stories import FAILING
from dashboard.queries.target import Condition, TargetReader
from dashboard.queries.watch import watch
from probes.models import Target

PANEL = "X-Readywire-Panel"
"""The request's header where only the panel is asked for; in the answer, what the panel shows now ("r43")."""


@dataclass(frozen=True)
class Beside:
    """The target whose page the act was opened from."""

    target: Target
    inside: bool
    """Only the panel is asked for."""

    @property
    def address(self) -> str:
        return reverse("target", args=[self.target.slug])

    def dress(self, act: Act) -> Act:
        """The act as this target's page asks for it: reasons made from its story, and the way back to it."""
        hidden = {**act.hidden, "target": self.target.slug}
        chips = act.chips if act.towards is Towards.NEW else reasons(TargetReader(self.target), act.chips)
        return replace(act, back=self.address, hidden=hidden, chips=chips)

    def answer(self, request: HttpRequest, act: Act, made: Mapping[str, Any]) -> HttpResponse:
        """What follows the act: its revision is watched here, or its proposal waits."""
        if "proposal" in made:
            address = reverse("proposal", args=[made["proposal"]])
            if not self.inside:
                return HttpResponseRedirect(address)
            return panel(request, "acts/proposed.html", {"act": act, "address": address, "back": self.address})
        if made["revision"] is None:
            return HttpResponseRedirect(self.address)
        if not self.inside:
            return HttpResponseRedirect(f"{self.address}?act=r{made['revision']}")
        return watching(request, self.target, made["revision"])


def beside(request: HttpRequest, stage: Environment) -> Beside | None:
    """The target that the address or the form names; None where it names none of this environment."""
    slug = request.POST.get("target") or request.GET.get("target", "")
    target = Target.objects.select_related("environment").filter(slug=slug, environment=stage).first() if slug else None
    return Beside(target, PANEL in request.headers) if target else None


def watching(request: HttpRequest, target: Target, number: int) -> HttpResponse:
    """The panel that watches a revision of the target's environment."""
    found = watch(target, number, timezone.now())
    if found is None:
        return HttpResponse(status=404)
    return panel(request, "acts/watch.html", {"watch": found, "target": target}, f"r{number}")


def panel(request: HttpRequest, template: str, context: Mapping[str, Any], act: str = "") -> HttpResponse:
    """A part of the target's page; `act`: its name in the page's address."""
    answer = render(request, template, dict(context))
    answer[PANEL] = act
    return answer


def reasons(reader: TargetReader, others: tuple[str, ...]) -> tuple[str, ...]:
    """Reasons that the target's story gives, the first of `others` after them; all of those where nothing fails."""
    condition = reader.condition(timezone.now())
    if condition.state not in FAILING:
        return others
    return (*_story_reasons(condition), *others[:1])


def _story_reasons(condition: Condition) -> tuple[str, ...]:
    story = condition.story
    symptom = next((part.text for part in story.parts if part.weight == "symptom"), "")
    since = sentences.clock(condition.since, ZoneInfo(settings.TIME_ZONE), timezone.now())
    told = [f"{symptom[:1].upper()}{symptom[1:]} since {since}"] if symptom else []
    if story.facts:
        counted = "".join(part.text for part in story.facts[0]).partition(" (")[0]
        told += [counted] if counted[:1].isdigit() else []
    told += [f"It began after revision {story.undo}"] if story.undo else []
    return tuple(told)
