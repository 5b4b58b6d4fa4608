"""Which revisions changed how connections become ready: the marks on charts and the end of each story."""

from collections.abc import Iterable
from datetime import datetime

from django.urls import reverse

from connections.models import Revision
from dashboard.charts.series import Mark
from dashboard.layer_words import near_fault
from dashboard.sentences import Change

GOVERNING_FLAGS = frozenset(
    {
        "readiness-strategy",
        "readiness-parameters",
        "dependency-validation",
        "adaptive-timing",
        "client-ack",
        "degraded-mode",
    }
)
"""The flags that decide when a connection is ready; DESIGN section 6."""
LOOK_BACK = 200
"""How many revisions are read to find the newest of each environment."""


def changes_in(revision: Revision) -> list[Change]:
    """The governing flags that one revision changed; empty for the first revision, which changed nothing."""
    if revision.cause == "initial":
        return []
    return [
        Change(
            revision.number,
            revision.at,
            entry["flag"],
            entry["before"],
            entry["after"],
            revision.author,
            near_fault(entry),
        )
        for entry in revision.summary
        if entry["flag"] in GOVERNING_FLAGS
    ]


def last_revisions() -> dict[str, list[Revision]]:
    """The newest revisions that touched a governing flag, by environment key, newest first. One query."""
    found: dict[str, list[Revision]] = {}
    for revision in Revision.objects.order_by("-at", "-number")[:LOOK_BACK]:
        if any(entry["flag"] in GOVERNING_FLAGS for entry in revision.summary):
            found.setdefault(revision.environment_id, []).append(revision)
    return found


def changes_between(revisions: Iterable[Revision], start: datetime, end: datetime) -> list[Change]:
    """Changes of the given revisions within [start, end], newest first."""
    return [change for revision in revisions if start <= revision.at <= end for change in changes_in(revision)]


def revisions_between(environment_key: str, start: datetime, end: datetime) -> list[Revision]:
    """Revisions of an environment that touched a governing flag within [start, end], newest first. One query."""
    rows = Revision.objects.filter(environment_id=environment_key, at__gte=start, at__lte=end).order_by("-number")
    return [row for row in rows[:LOOK_BACK] if changes_in(row)]


def marks_between(environment_key: str, start: datetime, end: datetime) -> list[Mark]:
    """What changed in an environment within [start, end], as marks in order of time. One query."""
    return [_mark(revision) for revision in reversed(revisions_between(environment_key, start, end))]


def _mark(revision: Revision) -> Mark:
    href = reverse("revision", args=[revision.environment_id, revision.number])
    return Mark(
        revision.at, f"r{revision.number}", "; ".join(map(_change_text, changes_in(revision))), "revision", href
    )


def _change_text(change: Change) -> str:
    if change.layer is not None:
        return f"{change.layer[0]}{change.flag}{change.layer[1]}"
    return f"{change.flag}: {change.before or '–'} → {change.after or '–'}"
