"""What a generated target would have been called at each slot: the product's own rule, fed with what it answered."""

from collections.abc import Iterable
from datetime import datetime

from probes.engine.outcome import Outcome
from probes.generating.storing import instant
from probes.health import judge
from probes.models import Flip, Target
from probes.recent import Recent
from probes.results_stream import Entry
from probes.statuses import recent_row


class Judged:
    """One target's state as time goes on. Between its troubles it is up, and nobody needs to look."""

    def __init__(self, target: Target, began: datetime) -> None:
        self._target = target
        self._recent = Recent()
        self._last: datetime | None = None
        self.state, self.since, self.why = "up", began, ""

    @property
    def up(self) -> bool:
        return self.state == "up"

    def forget(self) -> None:
        """What was recent is so no more."""
        self._recent = Recent()

    def see(self, slots: Iterable[tuple[datetime, Outcome]], location: str) -> list[Flip]:
        """Take slots in, in order; returns the changes of state."""
        flips = []
        objective_us = self._target.ready_objective_ms * 1000
        for slot, found in slots:
            self._recent.add(recent_row(Entry(self._target.pk, location, slot, found), objective_us))
            self._recent.ribbon()
            self._last = slot
            verdict = judge(self._recent.rows, before=self.state, objective_us=objective_us)
            self.why = verdict.why
            if verdict.state != self.state:
                flips.append(
                    Flip(target=self._target, before=self.state, after=verdict.state, at=slot, why=verdict.why)
                )
                self.state, self.since = verdict.state, slot
        return flips

    def row(self) -> tuple[object, ...]:
        """The values of `STATUS` for the status as it is now."""
        last = instant(self._last) if self._last else None
        return (
            self._target.pk, self.state, instant(self.since), self.why[:300], self._recent.ribbon(),
            self._recent.text(), last, last, 1,
        )  # fmt: skip


STATUS = (
    "target_id", "state", "since", "why", "ribbon", "recent", "last_slot", "last_result_at", "sequence",
)  # fmt: skip
