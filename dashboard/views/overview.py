"""`/`: every target, worst first, and the sentence that says what is wrong."""

from collections.abc import Mapping

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.gzip import gzip_page

from dashboard import sentences
from dashboard.permissions import VIEWER, require
from dashboard.queries.arrangement import GROUPS, SORTS, Arrangement, Choices, choices_of
from dashboard.queries.overview import reader
from dashboard.queries.practice import notes

CHIPS = ("down", "degraded", "stale", "up", "paused", "unknown")
RARE = ("paused", "unknown")
"""The last chips: there only while there are such targets."""


@gzip_page
@require(VIEWER)
def overview(request: HttpRequest) -> HttpResponse:
    """The page. `?state=&env=&location=&tag=&q=` narrow it, `&group=` and `&sort=` arrange it.

    An unknown value counts as none. Every row is in the page, those that no filter matches hidden: the browser
    narrows further without asking again.
    """
    now = timezone.now()
    shown = reader().read(now)
    choices = choices_of(shown.rows, shown.locations)
    view = Arrangement.asked(request.GET.dict(), choices)
    sections = view.sections(shown.rows, choices)
    context = {
        "overview": shown,
        "practised": notes(now),
        "view": view,
        "sections": sections,
        "nothing_matches": all(section.hidden for section in sections),
        "choices": choices,
        "pickers": _pickers(view, choices),
        "chips": [_chip(view, state, shown.counts[state]) for state in CHIPS],
        "all_states": view.address(state=""),
        "title_prefix": sentences.title(shown.counts["down"], shown.counts["degraded"]),
    }
    return render(request, "overview/page.html", context)


def _chip(view: Arrangement, state: str, number: int) -> dict[str, object]:
    current = view.state == state
    return {
        "state": state,
        "label": sentences.STATE_WORDS[state],
        "number": number,
        "href": view.address(state=state),
        "current": current,
        "hidden": state in RARE and not number and not current,
    }


def _pickers(view: Arrangement, choices: Choices) -> list[dict[str, object]]:
    """Label, name, value and options (value, text) of each list to choose from; `hidden` where there is no choice."""
    anything = {"": "All"}
    tags = {tag: tag for tag in choices.tags}
    groups = {key: name for key, name in GROUPS.items() if key != "tag" or tags}
    if len(choices.locations) < 2:
        groups.pop("location")
    return [
        _picker("Environment", "env", view.env, anything | dict(choices.environments), len(choices.environments) < 2),
        _picker("Location", "location", view.location, anything | dict(choices.locations), len(choices.locations) < 2),
        _picker("Tag", "tag", view.tag, anything | tags, not tags),
        _picker("Group", "group", view.group, groups),
        _picker("Sort", "sort", view.sort, SORTS),
    ]


def _picker(label: str, name: str, value: str, options: Mapping[str, str], hidden: bool = False) -> dict[str, object]:
    return {"label": label, "name": name, "value": value, "options": options.items(), "hidden": hidden and not value}
