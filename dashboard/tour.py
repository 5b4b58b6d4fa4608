"""The first-run tour, pure: which of its four notes somebody sees, from what is served and what the probes say.

See, find the change, undo, watch. The first two are ended by a press; the cure itself leads to the last, wherever it
was made, so that a newcomer who is quicker than the notes is not held back by them.
"""

from dataclasses import dataclass

SEE, CHANGE, UNDO, WATCH = STEPS = ("see", "change", "undo", "watch")
ENDED = "ended"
"""No note any more: finished, or sent away."""
ENOUGH = 30
"""So many clean probes of the new revision before "cured" is said, as everywhere in the console."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What the tour is told from; all of it about the reference service of staging."""

    reached: str
    """The step that the person has come to by pressing."""
    begun_at: int
    """The revision that was served when the tour began."""
    changed_at: int
    """The newest revision that changed the strategy; 1 where nobody ever did."""
    holds: bool
    """Whether the strategy that is served checks before it lets messages through."""
    probes: int = 0
    """Served by that revision or a later one, ours left out."""
    failed: int = 0

    @property
    def step(self) -> str:
        """The note to show; `ENDED` for none."""
        if self.reached == ENDED:
            return ENDED
        if self.holds and self.changed_at > self.begun_at:
            return WATCH
        # "Watch" without a cure: somebody has brought the fault back meanwhile.
        return UNDO if self.reached == WATCH else self.reached

    @property
    def well(self) -> bool:
        """Nothing fails yet: the fault must be served first."""
        return self.step == SEE and self.holds

    @property
    def cured(self) -> bool:
        return self.step == WATCH and self.probes >= ENOUGH and self.failed == 0


def following(step: str) -> str:
    """The step after `step`; `ENDED` after the last, and for what is no step."""
    return STEPS[STEPS.index(step) + 1] if step in STEPS[:-1] else ENDED
