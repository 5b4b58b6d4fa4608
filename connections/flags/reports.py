"""What watched servers tell of themselves: which revision they hold, and what their real connections met."""

import json
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from django.db import transaction
from django.db.models import F, Model, Q

from connections.flags import totals, using
from connections.flags.keys import Holder
from connections.flags.reading import SILENT_AFTER
from connections.flags.totals import Counts
from connections.flags.using import Tally
from connections.models import ConnectionCount, FlagUse, ServerRun, WatchedServer
from connections.signals import server_reported

MAX_BODY_BYTES = 256 * 1024
MAX_REVISION = 2**63 - 1
MAX_COUNT = 10**12
MAX_NAMES = 200
"""Most groups of a field, and most labels of a group."""
MAX_NAME = 100
MAX_RUN_SECONDS = 10 * 365 * 86_400
RUNS_KEPT = timedelta(days=1)
"""A process that has not reported for so long is forgotten; would it report again, its counts are taken as new."""


class ReportError(ValueError):
    """A report that says nothing usable. The message names the field and what it has to be."""


@dataclass(frozen=True)
class Report:
    """One report. Counts are since the process began.

    `held_revision` is what new connections get there now, for `held_seconds` already. `run` names the process, and
    `run_seconds` is how long it has been counting. None and "" are of a library that does not say. `ending`: it is the
    process's last report.
    `evaluations` is {flag: {variant: n}}, `connections` {strategy: {cause: n}}, `readiness` {strategy: {figure: n}}.
    """

    instance: str
    library_version: str
    held_revision: int
    run: str
    run_seconds: float | None
    ending: bool
    evaluations: Counts
    connections: Counts
    readiness: Counts
    held_seconds: float | None = None

    def held_since(self, now: datetime) -> datetime:
        """When the revision came to be held, by our clock: the report may have been long on its way."""
        return now - timedelta(seconds=self.held_seconds or 0.0)


def read(body: bytes) -> Report:
    """A report from a request body. Raises ReportError."""
    try:
        told = json.loads(body)
    except (ValueError, RecursionError):
        raise ReportError("the body is a JSON object") from None
    if not isinstance(told, dict):
        raise ReportError("the body is a JSON object")
    return Report(
        instance=_text(told, "instance", 200),
        library_version=_text(told, "library_version", 40),
        held_revision=_number(told.get("held_revision"), "held_revision", MAX_REVISION),
        run=_text(told, "run", 40) if "run" in told else "",
        run_seconds=_seconds(told, "run_seconds"),
        ending=_truth(told, "ending"),
        evaluations=_counts(told, "evaluations"),
        connections=_counts(told, "connections"),
        readiness=_counts(told, "readiness"),
        held_seconds=_seconds(told, "held_seconds"),
    )


@dataclass(frozen=True)
class Told:
    """A report that came: from whom, and when."""

    holder: Holder
    report: Report
    at: datetime


def record(holder: Holder, report: Report, *, now: datetime) -> None:
    """Keep what an instance tells, and count what is new in it."""
    record_all([Told(holder, report, now)])


def record_all(told: Sequence[Told]) -> None:
    """Keep many reports in one transaction, in the order in which they came: a few statements for all of them, because
    a whole fleet confirms a change at the same moment.

    A server's `held_since` moves only when another revision is held by all its processes that still report: to when the
    last of them came to hold it.
    """
    with transaction.atomic():
        servers = _servers(told)
        runs = _runs(servers, told)
        counts: dict[_Place, int] = defaultdict(int)
        uses = Tally()
        news = [_take(one, servers[_name(one)], runs[servers[_name(one)].pk], counts, uses) for one in told]
        _upsert(ServerRun, _touched(servers, runs, told), ["server", "run"], _RUN_FIELDS)
        _upsert(WatchedServer, [servers[name] for name in dict.fromkeys(map(_name, told))], _SERVER, _SERVER_FIELDS)
        _count(counts)
        using.record_alone(uses)
        for one, is_news in zip(told, news, strict=True):
            announce = partial(_announce, one.holder.environment, one.report.instance, is_news)
            transaction.on_commit(announce, robust=True)


_SERVER = ("environment", "instance")
_SERVER_FIELDS = (
    "key_name", "library_version", "held_revision", "held_since", "reported_at", "counting_since", "evaluations",
    "connections", "readiness",
)  # fmt: skip
_RUN_FIELDS = (
    "began_at", "reported_at", "ended", "held_revision", "held_since", "evaluations", "connections", "readiness",
)  # fmt: skip
_Place = tuple[str, datetime, int, str, str]
"""Environment, minute, revision, strategy and figure of a count."""


def _name(one: Told) -> tuple[str, str]:
    return one.holder.environment, one.report.instance


def _servers(told: Sequence[Told]) -> dict[tuple[str, str], WatchedServer]:
    """Their rows, made where they are new, locked: of two reports of one instance, each sees what the other left."""
    first = {_name(one): one for one in reversed(told)}
    named = Q(environment_id__in={key for key, _ in first}, instance__in={instance for _, instance in first})
    rows = WatchedServer.objects.filter(named).order_by("pk")
    known = {(row.environment_id, row.instance): row for row in rows.select_for_update()}
    if missing := [_new_server(one) for name, one in first.items() if name not in known]:
        WatchedServer.objects.bulk_create(missing, ignore_conflicts=True)
        known = {(row.environment_id, row.instance): row for row in rows.select_for_update()}
    return known


def _new_server(one: Told) -> WatchedServer:
    return WatchedServer(
        environment_id=one.holder.environment,
        instance=one.report.instance,
        held_revision=one.report.held_revision,
        held_since=one.report.held_since(one.at),
        reported_at=one.at,
    )


def _runs(servers: Mapping[tuple[str, str], WatchedServer], told: Sequence[Told]) -> dict[int, dict[str, ServerRun]]:
    """By server and name: the processes that still report, and those that report now. What is long gone is deleted."""
    asked = {servers[_name(one)].pk: one for one in told}
    oldest = min(one.at for one in told)
    living = Q(ended=False, reported_at__gt=oldest - SILENT_AFTER)
    rows = ServerRun.objects.filter(living | Q(run__in={one.report.run for one in told}), server__in=asked)
    found: dict[int, dict[str, ServerRun]] = {pk: {} for pk in asked}
    for row in rows:
        found[row.server_id][row.run] = row
    if begun := {pk for pk, one in asked.items() if one.report.run not in found[pk]}:
        ServerRun.objects.filter(server__in=begun, reported_at__lt=oldest - RUNS_KEPT).delete()
        for pk in begun:
            found[pk] = {name: run for name, run in found[pk].items() if run.reported_at >= oldest - RUNS_KEPT}
    return found


def _touched(
    servers: Mapping[tuple[str, str], WatchedServer], runs: Mapping[int, Mapping[str, ServerRun]], told: Sequence[Told]
) -> list[ServerRun]:
    named = dict.fromkeys((servers[_name(one)].pk, one.report.run) for one in told)
    return [runs[pk][run] for pk, run in named]


def _take(one: Told, server: WatchedServer, runs: dict[str, ServerRun], counts: dict[_Place, int], uses: Tally) -> bool:
    """Take a report into the rows at hand. Returns whether who holds which revision is another thing now."""
    report, now = one.report, one.at
    before = runs.get(report.run)
    _add_new(server.environment_id, before, report, now, counts)
    evaluations = totals.news(before.evaluations if before else {}, report.evaluations, named=report.run != "")
    for flag, variants in evaluations.items():
        for variant, count in variants.items():
            place = using.Place(server.environment_id, FlagUse.Source.SERVER.value, report.instance, flag, variant)
            uses.add(place, now, count)
    held = server.held_revision, server.held_since
    news = before is None or before.ended != report.ending
    run = runs[report.run] = before or ServerRun(server=server, run=report.run, began_at=_began(report, now))
    _keep(run, report, now)
    living = [each for each in runs.values() if not each.ended and each.reported_at > now - SILENT_AFTER]
    _sum_up(server, one, living or [run])
    return news or held != (server.held_revision, server.held_since)


def _add_new(
    environment: str, before: ServerRun | None, report: Report, now: datetime, counts: dict[_Place, int]
) -> None:
    """Add what is new where the time that it covers began."""
    named = report.run != ""
    new = {
        "ended": totals.news(before.connections if before else {}, report.connections, named=named),
        "ready": totals.news(before.readiness if before else {}, report.readiness, named=named),
    }
    at = before.reported_at if before else _began(report, now)
    minute, revision = at.replace(second=0, microsecond=0), before.held_revision if before else report.held_revision
    for kind, groups in new.items():
        for strategy, group in groups.items():
            for label, count in group.items():
                counts[environment, minute, revision, strategy, f"{kind}.{label}"] += count


def _began(report: Report, now: datetime) -> datetime:
    return now - timedelta(seconds=report.run_seconds or 0.0)


def _keep(run: ServerRun, report: Report, now: datetime) -> None:
    named = report.run != ""
    run.reported_at, run.ended = now, report.ending
    if run.held_since is None or run.held_revision != report.held_revision:
        run.held_revision, run.held_since = report.held_revision, report.held_since(now)
    run.evaluations = totals.kept(run.evaluations, report.evaluations, named=named)
    run.connections = totals.kept(run.connections, report.connections, named=named)
    run.readiness = totals.kept(run.readiness, report.readiness, named=named)


def _sum_up(server: WatchedServer, one: Told, runs: Sequence[ServerRun]) -> None:
    """The server's row tells of all its living processes; of the one that ended last, where none is left."""
    held = min(run.held_revision for run in runs)
    if held != server.held_revision:
        server.held_revision = held
        server.held_since = max((run.held_since for run in runs if run.held_since), default=one.at)
    server.key_name, server.library_version = one.holder.name, one.report.library_version
    server.reported_at = one.at
    server.counting_since = min(run.began_at for run in runs)
    server.evaluations = totals.added(run.evaluations for run in runs)
    server.connections = totals.added(run.connections for run in runs)
    server.readiness = totals.added(run.readiness for run in runs)


def _upsert(model: type[Model], rows: Iterable[Model], unique: Sequence[str], fields: Sequence[str]) -> None:
    """Write rows in one statement, found again by what is unique of them."""
    written = []
    for row in rows:
        row.pk = None
        written.append(row)
    model._default_manager.bulk_create(
        written, update_conflicts=True, unique_fields=unique, update_fields=fields, batch_size=200
    )


def _count(counts: Mapping[_Place, int]) -> None:
    # In one order for everybody: two processes that count the same rows must not wait for each other in a circle.
    for place, count in sorted(counts.items()):
        environment, minute, revision, strategy, figure = place
        where = {
            "environment_id": environment, "minute": minute, "revision": revision, "strategy": strategy,
            "figure": figure,
        }  # fmt: skip
        rows = ConnectionCount.objects.filter(**where)
        if not rows.update(count=F("count") + count):
            _, made = rows.get_or_create(**where, defaults={"count": count})
            if not made:
                rows.update(count=F("count") + count)


def _announce(environment: str, instance: str, news: bool) -> None:
    server_reported.send_robust(sender=WatchedServer, environment=environment, instance=instance, news=news)


def _text(told: Mapping[str, Any], name: str, longest: int) -> str:
    text = told.get(name)
    if not isinstance(text, str) or not 1 <= len(text) <= longest or not text.isprintable():
        raise ReportError(f"{name} is printable text of 1 to {longest} characters")
    return text


def _truth(told: Mapping[str, Any], name: str) -> bool:
    value = told.get(name, False)
    if not isinstance(value, bool):
        raise ReportError(f"{name} is true or false")
    return value


def _seconds(told: Mapping[str, Any], name: str) -> float | None:
    value = told.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
        raise ReportError(f"{name}: a number from 0 up")
    return min(float(value), MAX_RUN_SECONDS)


def _counts(told: Mapping[str, Any], name: str) -> dict[str, dict[str, int]]:
    groups = told.get(name, {})
    if not isinstance(groups, dict) or not all(isinstance(counts, dict) for counts in groups.values()):
        raise ReportError(f"{name} is an object of objects of counts")
    if max([len(groups), *map(len, groups.values())]) > MAX_NAMES:
        raise ReportError(f"{name} has at most {MAX_NAMES} names on each level")
    return {
        _word(group, name): {_word(label, name): _number(count, name, MAX_COUNT) for label, count in counts.items()}
        for group, counts in groups.items()
    }


def _word(text: str, name: str) -> str:
    if len(text) > MAX_NAME or not text.isprintable():
        raise ReportError(f"names in {name} are printable text of at most {MAX_NAME} characters")
    return text


def _number(value: Any, name: str, most: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= most:
        raise ReportError(f"{name}: a whole number from 0 to {most}")
    return value
