"""Watched servers that have reported for a while, for pages that show real connections."""

import random
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from connections.flags import keys, reports
from connections.flags.keys import Holder

EVERY = timedelta(seconds=10)


@dataclass
class Regime:
    """What connections meet from `at` on: `left` and `away` are shares, `false_ready` one of those opened."""

    at: datetime
    revision: int
    strategy: str
    left: float
    away: float
    false_ready: float


@dataclass
class ReportingServer:
    """One process of one instance, with about `per_report` connections ending between two reports."""

    holder: Holder
    instance: str
    regimes: list[Regime]
    per_report: int = 4
    told_at: datetime | None = None
    ended: dict[str, Counter[str]] = field(default_factory=dict)
    ready: dict[str, Counter[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.chance = random.Random(self.instance)

    def tell(self, now: datetime) -> None:
        """Report what ended since the last report, if that is `EVERY` ago."""
        due = 1 if self.told_at is None else (now - self.told_at) // EVERY
        if not due:
            return
        began = self.regimes[0].at
        regime = [each for each in self.regimes if each.at <= now or each.at == began][-1]
        for _ in range(due):
            for _ in range(self.chance.randint(self.per_report // 2, self.per_report * 2)):
                self._end(regime)
        self.told_at = now
        report = reports.Report(
            instance=self.instance,
            library_version="0.1.0",
            held_revision=regime.revision,
            run=self.instance,
            run_seconds=max(0.0, (now - began).total_seconds()),
            ending=False,
            evaluations={},
            connections=self.ended,
            readiness=self.ready,
        )
        reports.record(self.holder, report, now=now)

    def _end(self, regime: Regime) -> None:
        ended = self.ended.setdefault(regime.strategy, Counter())
        ready = self.ready.setdefault(regime.strategy, Counter())
        drawn = self.chance.random()
        if drawn < regime.left:
            ended["client_gone"] += 1
        elif drawn < regime.left + regime.away:
            ended["not_ready"] += 1
        else:
            ended["client_closed"] += 1
            ready["opened"] += 1
            ready["false_ready"] += int(self.chance.random() < regime.false_ready)


def server_key(environment: str) -> Holder:
    """A key for a watched server of the environment."""
    _, key = keys.create(environment, "chat", author="Ada")
    holder = keys.verify(key)
    assert holder is not None
    return holder
