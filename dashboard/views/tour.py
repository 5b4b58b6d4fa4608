"""`/tour/`: the first-run tour is begun, gone on with and ended by a press; `/tour/note/` is the note of one place."""

from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.template.loader import render_to_string
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from dashboard import tour as steps
from dashboard.models import Tour
from dashboard.permissions import RESPONDER, person, require
from dashboard.queries import tour as queries


@require(RESPONDER)
@require_POST
def tour(request: HttpRequest) -> HttpResponse:
    """`act`: start (from the beginning, also a second time), next (with the `step` that is over), end."""
    act = request.POST.get("act", "")
    place = queries.place()
    if act not in ("start", "next", "end") or place is None:
        raise Http404("There is no such step, or no reference service to take it on.")
    step = _after(act, request.POST.get("step", ""))
    fresh = {"revision": queries.newest_revision()} if act == "start" else {}
    defaults = {"step": step, **fresh}
    Tour.objects.update_or_create(user=person(request), defaults=defaults, create_defaults={"revision": 0, **defaults})
    if step in (steps.CHANGE, steps.UNDO, steps.WATCH):
        return HttpResponseRedirect(f"{reverse('target', args=[place.slug])}#tour-note")
    # To end it is no reason to be led elsewhere.
    back = request.POST.get("back", "")
    known = {"overview": reverse("overview"), "target": reverse("target", args=[place.slug])}
    return HttpResponseRedirect(known.get(back, reverse("overview")) if act == "end" else reverse("overview"))


def _after(act: str, step: str) -> str:
    if act == "next":
        return steps.following(step)
    return steps.SEE if act == "start" else steps.ENDED


@require(RESPONDER)
@require_safe
def note(request: HttpRequest) -> HttpResponse:
    """The note as it is now, for an open page: where it belongs, and its HTML."""
    found = queries.note(person(request))
    html = render_to_string("tour/note.html", {"note": found}, request) if found else ""
    return JsonResponse({"step": found.step if found else "", "html": html})
