"""What watched servers tell of themselves: which revision they hold, and what their real connections met."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from django.db import transaction
from django.db.models import F

from connections.flags import totals
from connections.flags.keys import Holder
from connections.flags.reading import SILENT_AFTER
from connections.flags.totals import Counts
from connections.models import ConnectionCount, ServerRun, WatchedServer
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

    `held_revision` is what new connections get there now. `run` names the process and `run_seconds` is how long it has
    been counting: "" and None in reports of a library that does not say. `ending`: it is the process's last report.
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
    )


def record(holder: Holder, report: Report, *, now: datetime) -> None:
    """Keep what an instance tells, and count what is new in it. `held_since` moves only when another revision is held:
    by all its processes that still report."""
    with transaction.atomic():
        # The row is locked: of two reports of one instance, each sees what the other left.
        server, _ = WatchedServer.objects.select_for_update().get_or_create(
            environment_id=holder.environment,
            instance=report.instance,
            defaults={"held_revision": report.held_revision, "held_since": now, "reported_at": now},
        )
        before = server.runs.filter(run=report.run).first()
        _count(server.environment_id, before, report, now)
        _keep_run(server, before, report, now)
        _sum_up(server, holder, report, now)
        transaction.on_commit(partial(_announce, holder.environment, report.instance), robust=True)


def _count(environment: str, before: ServerRun | None, report: Report, now: datetime) -> None:
    """Count what is new where the time that it covers began."""
    named = report.run != ""
    new = {
        "ended": totals.news(before.connections if before else {}, report.connections, named=named),
        "ready": totals.news(before.readiness if before else {}, report.readiness, named=named),
    }
    at = before.reported_at if before else _began(report, now)
    where = {
        "environment_id": environment,
        "minute": at.replace(second=0, microsecond=0),
        "revision": before.held_revision if before else report.held_revision,
    }
    figures = [
        (strategy, f"{kind}.{label}", count)
        for kind, groups in new.items()
        for strategy, counts in groups.items()
        for label, count in counts.items()
    ]
    # In one order for everybody: two servers that count the same rows must not wait for each other in a circle.
    for strategy, figure, count in sorted(figures):
        rows = ConnectionCount.objects.filter(**where, strategy=strategy, figure=figure)
        if not rows.update(count=F("count") + count):
            _, made = rows.get_or_create(**where, strategy=strategy, figure=figure, defaults={"count": count})
            if not made:
                rows.update(count=F("count") + count)


def _began(report: Report, now: datetime) -> datetime:
    return now - timedelta(seconds=report.run_seconds or 0.0)


def _keep_run(server: WatchedServer, before: ServerRun | None, report: Report, now: datetime) -> None:
    if before is None:
        server.runs.filter(reported_at__lt=now - RUNS_KEPT).delete()
    run = before or ServerRun(server=server, run=report.run, began_at=_began(report, now))
    named = report.run != ""
    run.reported_at, run.ended = now, report.ending
    run.held_revision = report.held_revision
    run.evaluations = totals.kept(run.evaluations, report.evaluations, named=named)
    run.connections = totals.kept(run.connections, report.connections, named=named)
    run.readiness = totals.kept(run.readiness, report.readiness, named=named)
    run.save()


def _sum_up(server: WatchedServer, holder: Holder, report: Report, now: datetime) -> None:
    """The server's row tells of all its living processes; of the one that ended last, where none is left."""
    living = list(server.runs.filter(ended=False, reported_at__gt=now - SILENT_AFTER))
    runs = living or list(server.runs.filter(run=report.run))
    held = min(run.held_revision for run in runs)
    if held != server.held_revision:
        server.held_revision, server.held_since = held, now
    server.key_name, server.library_version, server.reported_at = holder.name, report.library_version, now
    server.counting_since = min(run.began_at for run in runs)
    server.evaluations = totals.added(run.evaluations for run in runs)
    server.connections = totals.added(run.connections for run in runs)
    server.readiness = totals.added(run.readiness for run in runs)
    server.save()


def _announce(environment: str, instance: str) -> None:
    server_reported.send_robust(sender=WatchedServer, environment=environment, instance=instance)


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
