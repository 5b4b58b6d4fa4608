"""What probes saw of an environment while it served certain revisions: the evidence that a promotion is decided on."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Q

from connections.models import Revision
from dashboard import shares
from dashboard.sentences import FEWEST_FOR_SHARE, NO_FIGURE, count, latency, share
from probes.engine.outcome import FailureKind
from probes.models import Result, Target

LONGEST = timedelta(days=1)
MOST = 10_000
"""So many of the newest are enough for a 95th percentile, and bounded."""
OURS = [kind.value for kind in FailureKind if kind.ours]


@dataclass(frozen=True)
class Seen:
    """Outcomes that count, and how soon those that could be ready were."""

    probes: int = 0
    failed: int = 0
    p50_us: float | None = None
    p95_us: float | None = None

    @property
    def succeeded(self) -> str:
        """ "99.5 %", of few "7 of 8"."""
        return share(self.probes - self.failed, self.probes) if self.probes else NO_FIGURE

    @property
    def bounds(self) -> str:
        """95 % bounds of the failures; of few, none."""
        return shares.interval(self.failed, self.probes) if self.probes >= FEWEST_FOR_SHARE else NO_FIGURE

    @property
    def total(self) -> str:
        return count(self.probes)

    @property
    def p50(self) -> str:
        return _ready(self.p50_us)

    @property
    def p95(self) -> str:
        return _ready(self.p95_us)


@dataclass(frozen=True)
class Evidence:
    """A version of one environment: since it is served, and for as long before."""

    revision: int
    since: datetime
    before: Seen
    after: Seen

    @property
    def sentence(self) -> str:
        """What it proves, without promising more."""
        if not self.after.probes:
            return "No probe has seen it yet: nothing is known."
        if self.after.probes < FEWEST_FOR_SHARE:
            return f"{self.after.succeeded} probes succeeded: too few to tell."
        against = f" against {self.before.p95} before" if self.before.probes >= FEWEST_FOR_SHARE else ""
        return (
            f"{self.after.succeeded} of {self.after.total} probes succeeded since revision {self.revision}"
            f" (failures, 95 %: {self.after.bounds}); ready p95 {self.after.p95}{against}."
        )


def of_version(environment_key: str, number: int, now: datetime) -> Evidence | None:
    """The evidence about a version since it was first served, a day at most; None where it never was."""
    first = Revision.objects.filter(environment_id=environment_key, version__number=number).order_by("number").first()
    if first is None:
        return None
    since = max(first.at, now - LONGEST)
    targets = list(Target.objects.filter(environment_id=environment_key).values_list("pk", flat=True))
    after = _seen(targets, since, now, Q(flags_revision__gte=first.number))
    before = _seen(targets, since - (now - since), since, Q(flags_revision__lt=first.number))
    return Evidence(first.number, since, before, after)


def lately(environment_key: str, now: datetime, span: timedelta = timedelta(hours=1)) -> Seen:
    """What probes see of an environment now."""
    targets = list(Target.objects.filter(environment_id=environment_key).values_list("pk", flat=True))
    return _seen(targets, now - span, now, Q())


def _seen(targets: Sequence[int], start: datetime, end: datetime, which: Q) -> Seen:
    """Of the newest `MOST` outcomes: a day of many targets is millions, and a preview must not wait for them."""
    rows = Result.objects.filter(which, target_id__in=targets, slot__gte=start, slot__lt=end).exclude(kind__in=OURS)
    found = list(rows.order_by("-slot").values_list("ok", "race_window_us", "flagged")[:MOST])
    # Never ready counts as later than all; a target that only listens is neither ready nor late.
    counted = [(ok, us) for ok, us, flagged in found if not flagged and (us is not None or not ok)]
    times = sorted(math.inf if us is None else us for _, us in counted)
    failed = sum(not ok for ok, _, _ in found)
    return Seen(len(found), failed, _percentile(times, 0.5), _percentile(times, 0.95))


def _percentile(times: Sequence[float], q: float) -> float | None:
    return times[math.ceil(q * len(times)) - 1] if times else None


def _ready(us: float | None) -> str:
    if us is None:
        return NO_FIGURE
    return "never" if math.isinf(us) else latency(us)
