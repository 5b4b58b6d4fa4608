"""What the command palette finds: acts that fit this page, failing targets, every target, acts by environment, pages.

It leads to pages and panels, and never acts itself. The number of queries does not grow with targets.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from django.db.models import F
from django.urls import reverse

from connections.flags.reading import flag_set
from connections.flags.team_plans import all_plans
from connections.models import Environment, Revision
from dashboard.charts.series import RANGES
from dashboard.help import table
from dashboard.permissions import ADMINISTRATOR, RESPONDER, Caller, allows
from dashboard.queries.changes import GOVERNING_FLAGS
from dashboard.queries.overview import STATES
from dashboard.queries.stories import FAILING
from dashboard.sentences import STATE_WORDS
from probes.models import Target

_TARGET_PAGE = re.compile(r"^/targets/([-\w]+)/")


@dataclass(frozen=True, slots=True)
class Entry:
    """One line: what it says, where it leads. `first`: it is offered before anything is typed."""

    label: str
    href: str
    note: str = ""
    state: str = ""
    first: bool = False


@dataclass(frozen=True, slots=True)
class Group:
    """Lines of one sort under a title."""

    title: str
    entries: list[Entry] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Known:
    """What the groups are made from, read once."""

    targets: Sequence[dict[str, Any]]
    environments: Sequence[Environment]
    newest: dict[str, Revision]
    """The revision each environment serves, by its key."""


def palette(user: Caller, path: str, menu: Iterable[tuple[str, str]]) -> list[dict[str, Any]]:
    """JSON-ready groups for a person on the page `path`; `menu`: (label, address) of the pages they may open."""
    known = _Known(_targets(), list(Environment.objects.all()), _newest())
    matched = _TARGET_PAGE.match(path)
    here = next((one for one in known.targets if matched and one["slug"] == matched[1]), None)
    groups = [
        Group("Here", [*_here(known, here, user), *_ranges(here)]),
        Group("Targets", [_target_line(one) for one in known.targets]),
        *(
            [
                Group(f"In {stage.name.lower()}", list(_acts(known, stage)))
                for stage in known.environments
                if allows(user, RESPONDER)
            ]
        ),
        Group("Pages", [Entry(label, href) for label, href in menu] + list(_more_pages(user))),
        Group("Help", [Entry(one.name, one.link, one.sentence) for key, one in table().items() if _has_runbook(key)]),
    ]
    return [asdict(group) for group in groups if group.entries]


def _targets() -> list[dict[str, Any]]:
    """Worst first, as the overview orders them."""
    columns = ("slug", "name", "environment_id", "environment__name", "paused_by", "status__state")
    rows = [dict(row) for row in Target.objects.values(*columns)]
    return sorted(rows, key=lambda row: (STATES.index(row["status__state"] or "unknown"), row["name"].casefold()))


def _newest() -> dict[str, Revision]:
    served = Revision.objects.filter(number=F("environment__revision"))
    return {one.environment_id: one for one in served}


def _target_line(row: dict[str, Any]) -> Entry:
    state = row["status__state"] or "unknown"
    note = f"{STATE_WORDS[state]} · {row['environment__name'].lower()}"
    return Entry(row["name"], reverse("target", args=[row["slug"]]), note, state, first=state in FAILING)


def _here(known: _Known, target: dict[str, Any] | None, user: Caller) -> Iterator[Entry]:
    """What a responder does from this page: on a target's, about it; elsewhere, about the environments that fail."""
    if not allows(user, RESPONDER):
        return
    failing = {row["environment_id"] for row in known.targets if row["status__state"] in FAILING}
    wanted = {target["environment_id"]} if target else failing
    for stage in known.environments:
        if stage.key in wanted:
            yield from (_first(entry) for entry in _undo(known, stage, target))
    if target is None:
        return
    slug = target["slug"]
    yield Entry("Roll back…", f"{reverse('target', args=[slug])}?act=back", "every way back", first=True)
    yield Entry("Race check…", reverse("race_checks", args=[slug]), target["name"], first=True)
    paused = bool(target["paused_by"])
    yield Entry("Resume…" if paused else "Pause…", reverse("target_pause", args=[slug]), target["name"], first=True)
    if allows(user, ADMINISTRATOR):
        yield Entry("Edit…", reverse("target_edit", args=[slug]), target["name"])


def _first(entry: Entry) -> Entry:
    return Entry(entry.label, entry.href, entry.note, entry.state, first=True)


def _ranges(target: dict[str, Any] | None) -> list[Entry]:
    if target is None:
        return []
    page = reverse("target", args=[target["slug"]])
    return [Entry(f"Last {each.label}", f"{page}?range={each.key}", "time range", first=True) for each in RANGES]


def _undo(known: _Known, stage: Environment, target: dict[str, Any] | None = None) -> Iterator[Entry]:
    """The newest revision's undo: beside the charts of the target's page, else on a page of its own."""
    newest = known.newest.get(stage.key)
    if newest is not None and newest.cause != "initial":
        changed = ", ".join(entry["flag"] for entry in newest.summary[:3]) or newest.reason
        address = reverse("undo", args=[stage.key, newest.number])
        if target:
            address = f"{reverse('target', args=[target['slug']])}?act=undo:{newest.number}"
        yield Entry(f"Undo revision {newest.number}…", address, f"{stage.name.lower()} · {changed}")


def _acts(known: _Known, stage: Environment) -> Iterator[Entry]:
    place = stage.name.lower()
    yield from _undo(known, stage)
    for plan in all_plans().values():
        yield Entry(f"Run {plan.name}…", reverse("run_plan", args=[stage.key, plan.key]), f"{place} · rollback plan")
    if stage.key in known.newest:
        for flag in sorted(GOVERNING_FLAGS & flag_set(stage.key).definitions.keys()):
            yield Entry(f"Kill {flag}…", reverse("kill", args=[stage.key, flag]), place)
    yield Entry("Change flags…", reverse("change", args=[stage.key]), place)
    yield Entry("Mark a deploy…", f"{reverse('deploy_mark')}?env={stage.key}", place)


def _has_runbook(key: str) -> bool:
    return key.partition(":")[0] in ("kind", "strategy", "state")


def _more_pages(user: Caller) -> Iterator[Entry]:
    yield Entry("Deploys", reverse("deploys"), "what was rolled out, and when")
    yield Entry("Sessions", reverse("sessions"), "where you are signed in")
    yield Entry("Use of flags", reverse("flags_use"), "who still evaluates which")
    yield Entry("Proposals", reverse("proposals"), "what waits for a second person")
    if allows(user, ADMINISTRATOR):
        yield Entry("Add target…", reverse("target_add"))
