"""What changed near targets: revisions that touched how connections become ready, and deploys.

A deploy concerns the target that is named like its service; where none of the environment is, all of them.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from django.db.models import Count, Exists, Max, OuterRef, Q, QuerySet
from django.urls import reverse

from connections.models import Deploy, Environment, Revision
from dashboard.charts.series import Mark
from dashboard.layer_words import near_fault
from dashboard.sentences import short_version
from dashboard.story import NEAR, Change
from probes.models import Target

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
LOOK_BACK = 100
"""How many revisions are read to find the newest that touched a governing flag."""
MOST_IN_RANGE = 500
"""Of each sort, over one range: the newest."""
AFTER = timedelta(hours=1)
"""How long after a fault began a change is still told: "It began before revision 43"."""
LISTED = 6
"""On a target's page."""
NEAREST = 4
"""Of those, so many at most are the ones nearest to the beginning of its fault, however much has changed since."""
_REVISION = ("environment_id", "number", "cause", "summary", "author", "at")
_DEPLOY = ("environment_id", "service", "version", "link", "who", "at")


@dataclass(frozen=True, slots=True)
class Happened:
    """One thing that changed in an environment."""

    kind: Literal["revision", "deploy"]
    at: datetime
    label: str
    """As on charts: "r42", "▽ 5.12.0"."""
    href: str
    who: str
    revision: Revision | None = None
    deploy: Deploy | None = None

    @property
    def identity(self) -> tuple[str, int]:
        """Names it on one page."""
        row = self.revision or self.deploy
        return self.kind, row.pk if row else 0


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
            href=_page_of(revision),
        )
        for entry in revision.summary
        if entry["flag"] in GOVERNING_FLAGS
    ]


def deployed(deploy: Deploy) -> Change:
    """A deploy as a story tells it."""
    name = f"{deploy.service} {short_version(deploy.version)}"
    return Change(None, deploy.at, author=deploy.who, deploy=name, href=_page_about(deploy))


def revisions_between(environment_key: str, start: datetime, end: datetime) -> list[Revision]:
    """Revisions of an environment that touched a governing flag within [start, end], newest first. One query."""
    rows = Revision.objects.filter(environment_id=environment_key, at__gte=start, at__lte=end).order_by("-number")
    return [row for row in rows.only(*_REVISION)[:MOST_IN_RANGE] if changes_in(row)]


def marks_between(environment_key: str, start: datetime, end: datetime, slug: str = "") -> list[Mark]:
    """What changed in an environment within [start, end], as marks in order of time; for the target called `slug`, only
    the deploys that concern it. Two queries."""
    deploys = _concerning(slug, Deploy.objects.filter(environment_id=environment_key, at__gte=start, at__lte=end))
    marks = [_mark(revision) for revision in revisions_between(environment_key, start, end)]
    marks += [
        Mark(deploy.at, short_version(deploy.version), f"{deploy.service}, {deploy.who}", "deploy", _page_about(deploy))
        for deploy in deploys.only(*_DEPLOY)[:MOST_IN_RANGE]
    ]
    return sorted(marks, key=lambda mark: mark.at)


def changes_near(faults: Iterable[tuple[str, str, datetime]], now: datetime) -> list[list[Change]]:
    """What changed near the beginning of each fault, newest first. `faults`: (environment, slug of the target, since).
    Two queries."""
    spans = [_Span(key, slug, since - NEAR, min(since + AFTER, now)) for key, slug, since in faults]
    if not spans:
        return []
    wanted = Q()
    for span in spans:
        wanted |= Q(environment_id=span.environment, at__gte=span.start, at__lte=span.end)
    revisions = Revision.objects.filter(wanted).order_by("-at").only(*_REVISION)[:MOST_IN_RANGE]
    deploys = Deploy.objects.filter(wanted).annotate(named=_A_TARGET).only(*_DEPLOY)[:MOST_IN_RANGE]
    found = [(row.environment_id, "", change) for row in revisions for change in changes_in(row)]
    found += [(row.environment_id, row.service if row.named else "", deployed(row)) for row in deploys]
    found.sort(key=lambda one: one[2].at, reverse=True)
    return [[change for where, of, change in found if span.holds(where, of, change.at)] for span in spans]


@dataclass(frozen=True, slots=True)
class _Span:
    """The time near the beginning of one target's fault."""

    environment: str
    slug: str
    start: datetime
    end: datetime

    def holds(self, environment: str, slug: str, at: datetime) -> bool:
        """`slug`: whose change it is; empty: everybody's."""
        return environment == self.environment and slug in ("", self.slug) and self.start <= at <= self.end


def happened(environment_key: str, slug: str, since: datetime | None = None) -> list[Happened]:
    """The newest changes that concern a target, newest first; with `since`, those nearest to it are among them."""
    found = _newest(environment_key, slug)
    if since is None:
        return found[:LISTED]
    # A fault may be older than many changes.
    both = [*found, *_newest(environment_key, slug, since + NEAR)]
    found = sorted({one.identity: one for one in both}.values(), key=_moment, reverse=True)
    nearest = sorted(found, key=lambda one: abs(one.at - since))[:NEAREST]
    others = [one for one in found if one not in nearest][: LISTED - len(nearest)]
    return sorted([*nearest, *others], key=_moment, reverse=True)


Place = tuple[str, str]
"""An environment and, in it, a service or a target's slug."""


class LastChanges:
    """The newest change that concerns each target, read again only where something changed. Not for several threads."""

    def __init__(self) -> None:
        self._revisions: dict[str, tuple[int, Happened | None]] = {}
        self._deploys: tuple[dict[str, Any], dict[Place, Happened]] = ({}, {})

    def read(self, targets: Collection[Place]) -> dict[Place, Happened]:
        """Absent where nothing has ever changed. Two queries while nothing changes."""
        deploys, named = self._newest_deploys(), set(targets)
        for key, number in Environment.objects.order_by("position").values_list("key", "revision"):
            if key not in self._revisions or self._revisions[key][0] != number:
                self._revisions[key] = (number, next(iter(_revisions(key)), None))
        shared = {key: revision for key, (_, revision) in self._revisions.items() if revision}
        for place, one in deploys.items():
            if place not in named:
                shared[place[0]] = _later(one, shared.get(place[0]))
        found: dict[Place, Happened] = {}
        for place in targets:
            both = [one for one in (shared.get(place[0]), deploys.get(place)) if one]
            if both:
                found[place] = max(both, key=_moment)
        return found

    def _newest_deploys(self) -> dict[Place, Happened]:
        """The newest deploy of each service."""
        # A mark is made or removed, never changed.
        state = Deploy.objects.aggregate(Max("pk"), Count("pk"))
        if state != self._deploys[0]:
            found: dict[Place, Happened] = {}
            grouped = Deploy.objects.order_by().values_list("environment_id", "service").annotate(newest=Max("at"))
            newest = list(grouped)
            known = set(newest)
            for first in range(0, len(newest), MOST_IN_RANGE):
                instants = {at for *_, at in newest[first : first + MOST_IN_RANGE]}
                for deploy in Deploy.objects.filter(at__in=instants).order_by("pk"):
                    if (deploy.environment_id, deploy.service, deploy.at) in known:
                        found[deploy.environment_id, deploy.service] = _of_deploy(deploy)
            self._deploys = (state, found)
        return self._deploys[1]


def _later(one: Happened, other: Happened | None) -> Happened:
    return one if other is None or one.at >= other.at else other


_A_TARGET = Exists(Target.objects.filter(environment_id=OuterRef("environment_id"), slug=OuterRef("service")))
"""Whether a deploy's service is a target of its environment."""


def _concerning(slug: str, deploys: QuerySet[Deploy]) -> QuerySet[Deploy]:
    return deploys.filter(Q(service=slug) | ~_A_TARGET) if slug else deploys


def _newest(environment_key: str, slug: str, before: datetime | None = None) -> list[Happened]:
    both = [*_revisions(environment_key, before), *_deploys(environment_key, slug, before)]
    return sorted(both, key=_moment, reverse=True)


def _revisions(environment_key: str, before: datetime | None = None) -> Sequence[Happened]:
    """The newest revisions that touched a governing flag, the first flag set among them."""
    rows = Revision.objects.filter(environment_id=environment_key).order_by("-number").only(*_REVISION)
    if before:
        rows = rows.filter(at__lte=before)
    touched = (row for row in rows[:LOOK_BACK] if any(entry["flag"] in GOVERNING_FLAGS for entry in row.summary))
    return [Happened("revision", row.at, f"r{row.number}", _page_of(row), row.author, revision=row) for row in touched][
        :LISTED
    ]


def _deploys(environment_key: str, slug: str, before: datetime | None) -> Sequence[Happened]:
    rows = _concerning(slug, Deploy.objects.filter(environment_id=environment_key))
    if before:
        rows = rows.filter(at__lte=before)
    return [_of_deploy(row) for row in rows[:LISTED]]


def _of_deploy(row: Deploy) -> Happened:
    return Happened("deploy", row.at, f"▽ {short_version(row.version)}", _page_about(row), row.who, deploy=row)


def _moment(one: Happened) -> datetime:
    return one.at


def _page_of(revision: Revision) -> str:
    return reverse("revision", args=[revision.environment_id, revision.number])


def _page_about(deploy: Deploy) -> str:
    """Where to read more: what its teller named, else our list."""
    return deploy.link or f"{reverse('deploys')}?env={deploy.environment_id}"


def _mark(revision: Revision) -> Mark:
    text = "; ".join(map(_change_text, changes_in(revision)))
    return Mark(revision.at, f"r{revision.number}", text, "revision", _page_of(revision))


def _change_text(change: Change) -> str:
    if change.layer is not None:
        return f"{change.layer[0]}{change.flag}{change.layer[1]}"
    return f"{change.flag}: {change.before or '–'} → {change.after or '–'}"
