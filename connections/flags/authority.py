"""Whether one person is enough for a change: the four-eyes rule, asked by everything that writes a revision.

Acts that go back (undo, restore, plans, kills, a guard's trip, an ended ramp) never wait. What they lead to was served
here before, or is the safe variant that every flag names; whoever does them is ending harm, often alone and at night,
and a second pair of eyes costs more than a needless step back. Everything else is closed by default: a verb that is
added later waits for a second person unless it is listed here.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from django.utils import timezone

from connections.flags.errors import NeedsSecondPerson
from connections.models import BreakGlass, Environment

GOES_BACK = frozenset(
    {
        "initial",
        "revert",
        "plan",
        "kill",
        "trip",
        "expiry",
        "ramp_step",
        "ramp_completed",
        "ramp_back",
        "ramp_aborted",
    }
)
"""Kinds of acts that never wait; also those of the clock, which carry on what was approved as a whole."""


@dataclass(frozen=True)
class Approval:
    """Who stands behind a change beside its author."""

    by: str = ""
    proposal: int | None = None
    glass: BreakGlass | None = None

    def told(self) -> dict[str, Any]:
        """As an audit row tells it; empty where one person was enough."""
        if self.glass is not None:
            return {"break_glass": self.glass.pk}
        return {"approved_by": self.by, "proposal": self.proposal} if self.by else {}


ALONE = Approval()
_approved: ContextVar[tuple[str, Approval] | None] = ContextVar("approved", default=None)


@contextmanager
def approved(environment_key: str, approval: Approval) -> Iterator[None]:
    """What is changed inside, in this environment, has a second person's approval. For `proposals.approve` alone."""
    token = _approved.set((environment_key, approval))
    try:
        yield
    finally:
        _approved.reset(token)


def glass_of(environment_key: str, person: str) -> BreakGlass | None:
    """The glass that this person broke here and that is still in force."""
    mine = BreakGlass.objects.filter(environment_id=environment_key, by=person, expires_at__gt=timezone.now())
    return mine.first()


def approval_for(
    environment_key: str,
    kind: str,
    author: str,
    reason: str,
    subject: str,
    *,
    version: int,
    changes: Mapping[str, dict[str, Any] | None] | None = None,
    verb: str = "",
    arguments: Mapping[str, Any] | None = None,
) -> Approval:
    """Who stands behind this act beside its author. Raises NeedsSecondPerson where one more is asked for.

    Call inside the transaction that changes: the policy is then the one that holds at the commit.
    """
    given = _approved.get()
    if given is not None and given[0] == environment_key:
        return given[1]
    if kind in GOES_BACK or not Environment.objects.filter(key=environment_key, four_eyes=True).exists():
        return ALONE
    glass = glass_of(environment_key, author)
    if glass is None:
        raise NeedsSecondPerson(environment_key, verb or kind, author, reason, subject, version, changes, arguments)
    return Approval(glass=glass)
