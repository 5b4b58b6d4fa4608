"""The tour of one person: how far they are, and what the reference service of staging shows them now."""

from dataclasses import dataclass

from connections.flags.reading import flag_set
from connections.gate.strategies import STRATEGIES
from connections.models import Revision
from dashboard import tour
from dashboard.models import Tour, User
from dashboard.permissions import RESPONDER, Caller, allows
from dashboard.tour import Facts
from probes.engine.outcome import FailureKind
from probes.models import Result, Target

ENVIRONMENT = "staging"
FLAG = "readiness-strategy"
FAULT, CURE = "immediate", "dependency_gate"
_OURS = [kind.value for kind in FailureKind if kind.ours]
_REVISIONS_READ = 100
"""How far back the newest change of the strategy is looked for."""
_PROBES_READ = 200
"""Of the newest probes, those of the new revision are counted; more would prove no more."""


@dataclass(frozen=True, slots=True)
class Note:
    """One note: where the person is, and what it tells of."""

    target: Target
    facts: Facts
    before: str
    after: str
    """What the change went from and to, variant names; both "" where nobody changed the strategy."""

    @property
    def step(self) -> str:
        return self.facts.step

    @property
    def number(self) -> int:
        return tour.STEPS.index(self.step) + 1

    @property
    def revision(self) -> int:
        return self.facts.changed_at

    @property
    def undoable(self) -> bool:
        """Whether the change that serves the fault is one that can be taken back to what cures it."""
        return self.revision > 1 and STRATEGIES[self.before].asks_checks if self.before in STRATEGIES else False


def place() -> Target | None:
    """The target of the tour; None where there are no reference services."""
    rows = Target.objects.filter(is_reference=True, environment_id=ENVIRONMENT).select_related("environment")
    return rows.order_by("pk").first()


def note(user: Caller) -> Note | None:
    """The note that `user` sees now; None for those without a tour. Writes nothing."""
    row = Tour.objects.filter(user_id=user.pk).first() if isinstance(user, User) else None
    if row is None or row.step == tour.ENDED or not allows(user, RESPONDER):
        return None
    target = place()
    return _note(row, target) if target else None


def offered(user: Caller) -> bool:
    """Whether the overview offers the tour: to who may act, has not had it, and has the reference targets alone."""
    if not allows(user, RESPONDER) or not isinstance(user, User) or Tour.objects.filter(user=user).exists():
        return False
    return not Target.objects.filter(is_reference=False).exists() and place() is not None


def served_strategy() -> str:
    """What new connections of staging get."""
    return str(flag_set(ENVIRONMENT).served.get(FLAG, {}).get("defaultVariant", ""))


def newest_revision() -> int:
    return flag_set(ENVIRONMENT).revision


def _note(row: Tour, target: Target) -> Note:
    changed, before, after = _change()
    served = served_strategy()
    holds = served in STRATEGIES and STRATEGIES[served].asks_checks
    probes, failed = _counts(target, changed) if holds and changed > row.revision else (0, 0)
    return Note(target, Facts(row.step, row.revision, changed, holds, probes, failed), before, after)


def _change() -> tuple[int, str, str]:
    for revision in Revision.objects.filter(environment_id=ENVIRONMENT).order_by("-number")[:_REVISIONS_READ]:
        if revision.cause == "initial":
            break
        for entry in revision.summary:
            if entry["flag"] == FLAG:
                return revision.number, entry["before"] or "", entry["after"] or ""
    return 1, "", ""


def _counts(target: Target, revision: int) -> tuple[int, int]:
    """Probes that say they were served by `revision` or a later one, and how many of them failed."""
    newest = Result.objects.filter(target=target).exclude(kind__in=_OURS).order_by("-slot")
    served = [ok for ok, by in newest.values_list("ok", "flags_revision")[:_PROBES_READ] if by and by >= revision]
    return len(served), served.count(False)
