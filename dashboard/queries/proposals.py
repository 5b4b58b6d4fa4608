"""What the pages tell of proposals, of broken glass and of its reviews."""

import json
from dataclasses import dataclass
from datetime import datetime

from django.utils import timezone

from connections.flags import glass, proposals
from connections.flags.policy import policy_of
from connections.models import BreakGlass, Proposal, Revision
from dashboard.sentences import plural

DECIDED_SHOWN = 20
ACTS = {
    "change": "Change",
    "promotion": "Promote",
    "policy": "Change the policy",
    "own_plan": "Run the plan",
    "ramp_start": "Ramp",
    "ramp_finish": "Finish the ramp of",
    "ramp_reopen": "Reopen the ramp of",
    "lift": "Lift what lies over",
    "import": "Import",
}


POLICY = {
    "reason_required": "A reason is asked for",
    "four_eyes": "A second person approves what is new",
    "guard_mode": "A guard may at most",
}


@dataclass(frozen=True)
class Row:
    """One proposal as a list shows it."""

    proposal: Proposal
    title: str
    state: str


@dataclass(frozen=True)
class Review:
    """One broken glass and what was done under it."""

    glass: BreakGlass
    in_force: bool
    revisions: tuple[Revision, ...]

    @property
    def sentence(self) -> str:
        count = len(self.revisions)
        if count:
            return f"{plural(count, 'revision')} made alone."
        return "Nothing was done alone yet." if self.in_force else "Nothing was done alone."


@dataclass(frozen=True)
class Alarm:
    """One line that stands on every page until the review is closed."""

    glass: BreakGlass
    in_force: bool


def title_of(proposal: Proposal) -> str:
    """What is proposed, in a few words: "Change readiness-strategy"."""
    words = ACTS.get(proposal.act, proposal.act.replace("_", " ").capitalize())
    return f"{words} {proposal.subject}" if proposal.act != "policy" else f"{words}: {proposal.subject}"


def state_of(proposal: Proposal, now: datetime) -> str:
    """Its state in words."""
    if proposal.state != Proposal.State.OPEN:
        return f"{proposal.state} by {proposal.decided_by}"
    if not proposal.waits(now):
        return "expired"
    if proposal.seconded_by:
        return f"approved by {proposal.seconded_by}, waits for one more person"
    return "waits for a second person" if proposal.by_person else "waits for two people"


def argument_lines(proposal: Proposal) -> list[tuple[str, str, str]]:
    """(field in words, now, then) of a proposal that makes no version; "" where it has no before."""
    if proposal.act != "policy":
        return [(name, "", _said(value)) for name, value in (proposal.arguments or {}).items()]
    now, then = policy_of(proposal.environment), proposal.arguments or {}
    return [(POLICY[name], _said(now[name]), _said(then[name])) for name in POLICY if now[name] != then.get(name)]


def waiting(now: datetime) -> list[Row]:
    return [_row(one, now) for one in proposals.waiting(now)]


def decided(now: datetime) -> list[Row]:
    """The last that were decided or expired."""
    rows = Proposal.objects.select_related("environment")
    closed = rows.exclude(state=Proposal.State.OPEN, expires_at__gt=now)[:DECIDED_SHOWN]
    return [_row(one, now) for one in closed]


def reviews() -> list[Review]:
    """Those that are open, with every revision made alone."""
    now = timezone.now()
    return [
        Review(one, one.in_force(now), tuple(one.revisions.select_related("version").order_by("number")))
        for one in glass.open_reviews()
    ]


def alarms() -> list[Alarm]:
    """What every page warns of."""
    now = timezone.now()
    return [Alarm(one, one.in_force(now)) for one in glass.open_reviews()]


def _row(proposal: Proposal, now: datetime) -> Row:
    return Row(proposal, title_of(proposal), state_of(proposal, now))


def _said(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
