"""What watched servers tell of themselves: which revision they hold, and what their real connections met."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from django.db import transaction

from connections.flags.keys import Holder
from connections.models import WatchedServer
from connections.signals import server_reported

MAX_BODY_BYTES = 256 * 1024
MAX_REVISION = 2**63 - 1
Counts = Mapping[str, Mapping[str, int]]


class ReportError(ValueError):
    """A report that says nothing usable. The message names the field and what it has to be."""


@dataclass(frozen=True)
class Report:
    """One report. Counts are since the server started.

    `evaluations` is {flag: {variant: n}}, `connections` {strategy: {cause: n}}.
    `held_revision` is what new connections get there now.
    """

    instance: str
    library_version: str
    held_revision: int
    evaluations: Counts
    connections: Counts


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
        held_revision=_number(told.get("held_revision"), "held_revision"),
        evaluations=_counts(told, "evaluations"),
        connections=_counts(told, "connections"),
    )


def record(holder: Holder, report: Report, *, now: datetime) -> None:
    """Keep the newest report of each instance. `held_since` moves only when another revision is held."""
    told = {
        "key_name": holder.name,
        "library_version": report.library_version,
        "reported_at": now,
        "evaluations": report.evaluations,
        "connections": report.connections,
    }
    moved = {**told, "held_revision": report.held_revision, "held_since": now}
    with transaction.atomic():
        rows = WatchedServer.objects.filter(environment_id=holder.environment, instance=report.instance)
        known = rows.filter(held_revision=report.held_revision).update(**told) or rows.update(**moved)
        if not known:
            rows.get_or_create(environment_id=holder.environment, instance=report.instance, defaults=moved)
        transaction.on_commit(partial(_announce, holder.environment, report.instance), robust=True)


def _announce(environment: str, instance: str) -> None:
    server_reported.send_robust(sender=WatchedServer, environment=environment, instance=instance)


def _text(told: Mapping[str, Any], name: str, longest: int) -> str:
    text = told.get(name)
    if not isinstance(text, str) or not 1 <= len(text) <= longest or not text.isprintable():
        raise ReportError(f"{name} is printable text of 1 to {longest} characters")
    return text


def _counts(told: Mapping[str, Any], name: str) -> dict[str, dict[str, int]]:
    groups = told.get(name, {})
    if not isinstance(groups, dict) or not all(isinstance(counts, dict) for counts in groups.values()):
        raise ReportError(f"{name} is an object of objects of counts")
    return {
        _word(group, name): {_word(label, name): _number(count, name) for label, count in counts.items()}
        for group, counts in groups.items()
    }


def _word(text: str, name: str) -> str:
    if len(text) > 200 or not text.isprintable():
        raise ReportError(f"names in {name} are printable text of at most 200 characters")
    return text


def _number(value: Any, name: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MAX_REVISION:
        raise ReportError(f"{name}: a whole number from 0 up")
    return value
