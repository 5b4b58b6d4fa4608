"""Making generated history, going on with it, and taking it away."""

import re
import threading
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.db import connection, transaction
from django.db.models import QuerySet
from django.utils import timezone

from connections.models import AuditRecord
from probes.generating import environments
from probes.generating.history import HOST, LOCATION, Tell, Writer, make_environments, make_targets
from probes.generating.plan import Plan, plan
from probes.models import Location, ResidentLife, Result, Rollup, ServedRollup, Target, Transcript, Watermark
from probes.rollups import floor

MOST_TARGETS, MOST_DAYS = 1000, 400
INTERVALS = tuple(seconds for seconds in range(1, 61) if 60 % seconds == 0)
"""They divide a minute: so every minute of a target has as many slots as any other."""
PACE_SECONDS = 0.5
"""Between two looks at what is due, while answering in real time."""
STEP_ROWS = 5000
"""Rows per DELETE, each its own transaction: a recorder that runs beside must not wait."""
_MARK = re.compile(r"\Agenerated (\d+) (\d+) (\d+)\Z")
_BULKY = (Result, Transcript, Rollup, ServedRollup, ResidentLife)


class RefusedError(Exception):
    """What was asked would harm or mislead; the message says what to do instead."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """How much history, and of whom."""

    targets: int
    days: float
    interval_s: int = 10
    seed: int = 7
    until: datetime | None = None
    """When it ends; None: now."""

    @property
    def mark(self) -> str:
        return f"generated {self.seed} {self.targets} {self.interval_s}"


def generate(wanted: Wanted, *, by: str, beside_real: bool, tell: Tell) -> int:
    """Make targets and their past; returns how many slots were answered. Raises RefusedError."""
    if _generated().exists():
        raise RefusedError("There is generated history already. Take it away first: generate_history --remove.")
    real = Target.objects.filter(is_reference=False).count()
    if real and not beside_real:
        raise RefusedError(
            f"Here are {real} targets of people, and made-up ones would stand beside them. "
            "Use a DATA_DIR of its own, or say --beside-real-data."
        )
    made = _plan(wanted, (wanted.until or timezone.now()).astimezone(UTC))
    with transaction.atomic():
        make_environments(made, wanted.seed)
        targets = make_targets(made, wanted.interval_s)
        Watermark.objects.create(name=wanted.mark, at=made.end)
        _audit(by, "history.generated", f"{len(targets)} targets over {wanted.days:g} days")
    return Writer(made, wanted.seed, wanted.interval_s, targets).write(tell)


def follow(stop: threading.Event) -> None:
    """Answer for the generated targets in real time, until stopped. Raises RefusedError where there are none."""
    marks = [(found, row.at) for row in Watermark.objects.all() if (found := _MARK.match(row.name))]
    if not marks:
        raise RefusedError("There is no generated history to follow. Make some: generate_history --targets N --days D.")
    [(found, end)] = marks
    seed, count, interval_s = map(int, found.groups())
    targets = {target.slug: target for target in _generated()}
    began = min(target.created_at for target in targets.values())
    made = plan(seed, count, began, end)
    writer = Writer(made, seed, interval_s, targets)
    start = timezone.now()
    while not stop.wait(PACE_SECONDS):
        now = timezone.now()
        writer.record(start, now)
        environments.report(now)
        start = now


def remove(*, by: str) -> tuple[int, list[str]]:
    """Take away every generated target and what was recorded of it; returns how many targets went, and the
    environments that stay because somebody acted in them."""
    ids = list(_generated().values_list("pk", flat=True))
    for model in _BULKY:
        for pk in ids:
            _delete(model._meta.db_table, pk)
    with transaction.atomic():
        _generated().delete()
        kept = environments.remove()
        Location.objects.filter(key=LOCATION).delete()
        marks = [row.name for row in Watermark.objects.all() if _MARK.match(row.name)]
        Watermark.objects.filter(name__in=marks).delete()
        if ids or marks:
            _audit(by, "history.removed", f"{len(ids)} targets")
    return len(ids), kept


def _plan(wanted: Wanted, now: datetime) -> Plan:
    end = floor(now, 60)
    return plan(wanted.seed, wanted.targets, floor(end - timedelta(days=wanted.days), 3600), end)


def _generated() -> QuerySet[Target]:
    return Target.objects.filter(url__contains=f".{HOST}/")


def _delete(table: str, target_id: int) -> None:
    row = "ctid" if connection.vendor == "postgresql" else "rowid"
    matches = f"{row} = ANY (ARRAY({{}}))" if connection.vendor == "postgresql" else f"{row} IN ({{}})"
    chosen = f"SELECT {row} FROM {table} WHERE target_id = %s LIMIT {STEP_ROWS}"  # noqa: S608  names of our own tables
    while True:
        with connection.cursor() as cursor:
            cursor.execute(f"DELETE FROM {table} WHERE {matches.format(chosen)}", [target_id])  # noqa: S608  as above
            if cursor.rowcount < STEP_ROWS:
                return


def _audit(by: str, action: str, subject: str) -> None:
    AuditRecord.objects.create(actor=by, action=action, subject=subject)
