"""Proposals: an act towards something new waits until a second named person approves or rejects it.

Approving is one transaction that performs the act exactly as it was looked at: an act that makes a version is stored
as the definitions it appends, and is refused where one of its flags was changed meanwhile. Programs and shells may
propose; they are nobody, so what they propose needs two people.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.utils import timezone

from connections.flags import reading
from connections.flags.authority import Approval, approved
from connections.flags.changing import REASON_WORDS, Request, append, take
from connections.flags.definitions import check
from connections.flags.errors import (
    FlagError,
    NeedsSecondPerson,
    NothingToChange,
    ProposalClosed,
    ReasonMissing,
    SamePerson,
    StaleProposal,
    UnknownProposal,
)
from connections.flags.making_way import refuse_under_layers
from connections.flags.merging import merge_sets
from connections.flags.overlays import lift
from connections.flags.policy import apply_policy
from connections.flags.ramping import finish_ramp, reopen_ramp, start_ramp
from connections.flags.versions import FlagDiff, diff, same
from connections.models import AuditRecord, Environment, Proposal

LASTS = timedelta(hours=24)
"""After a day nobody remembers what was looked at; it can be proposed again."""
Verb = Callable[..., Any]
"""Called as verb(environment_key, author=..., reason=..., **arguments)."""
VERBS: dict[str, Verb] = {
    "policy": apply_policy,
    "lift": lift,
    "ramp_start": start_ramp,
    "ramp_finish": finish_ramp,
    "ramp_reopen": reopen_ramp,
}
"""Acts that are more than definitions, by kind: performed by their verb, with the arguments of the request."""


@dataclass(frozen=True)
class Look:
    """A proposal beside what is served now."""

    diffs: tuple[FlagDiff, ...] = ()
    """What approving it would change."""
    theirs: tuple[FlagDiff, ...] = ()
    """What others changed in its flags since; then it cannot be approved."""
    done: bool = False
    """What it wants is served already."""


def propose(needed: NeedsSecondPerson, *, by_person: bool) -> Proposal:
    """Store the act that was refused for want of a second person.

    Raises ReasonMissing, whatever the policy says: whoever approves must know why; and NeedsSecondPerson again where
    the act cannot be stored.
    """
    if len(needed.reason.split()) < REASON_WORDS:
        raise ReasonMissing
    by_verb = needed.kind in VERBS
    if (needed.arguments if by_verb else needed.changes) is None:
        raise needed  # Nothing says how to perform it later.
    at = timezone.now()
    with transaction.atomic():
        proposal = Proposal.objects.create(
            environment_id=needed.environment,
            act=needed.kind,
            subject=needed.subject[:200],
            changes=None if by_verb else dict(needed.changes or {}),
            arguments=dict(needed.arguments or {}) if by_verb else None,
            base_version=needed.version,
            proposed_by=needed.author,
            by_person=by_person,
            reason=needed.reason,
            proposed_at=at,
            expires_at=at + LASTS,
        )
        _audit(proposal, needed.author, "proposal.made", needed.reason)
    return proposal


def approve(number: int, *, by: str, note: str = "") -> Proposal:
    """Perform a proposal, in the names of both. What a program proposed waits for a second approval after this one.

    Raises UnknownProposal, ProposalClosed, SamePerson, StaleProposal, and what the act itself raises; then nothing was
    written.
    """
    with transaction.atomic():
        proposal = _open(number)
        _refuse_same(proposal, by, "approve it")
        if not proposal.people:
            return _second(proposal, by, note)
        _decide(proposal, Proposal.State.APPROVED, by, note)
        proposal.revision = _perform(proposal, by)
        # After the act: everybody locks the environment before the audit trail.
        _audit(proposal, by, "proposal.approved", note)
        proposal.save(update_fields=["revision"])
        return proposal


def reject(number: int, *, by: str, reason: str) -> Proposal:
    """Close a proposal without performing it. Raises UnknownProposal, ProposalClosed or ReasonMissing."""
    if len(reason.split()) < REASON_WORDS:
        raise ReasonMissing
    with transaction.atomic():
        proposal = _open(number)
        own = proposal.by_person and by == proposal.proposed_by
        _decide(proposal, Proposal.State.WITHDRAWN if own else Proposal.State.REJECTED, by, reason)
        _audit(proposal, by, "proposal.withdrawn" if own else "proposal.rejected", reason)
        return proposal


def renew(number: int, *, by: str) -> Proposal:
    """Propose it again on what is served now, in the name of who asks; the old one is withdrawn.

    What others changed meanwhile is kept, field by field. Raises UnknownProposal, ProposalClosed where it was decided,
    NothingToChange, and FlagError where both changed one field: then the flag itself has to be edited.
    """
    with transaction.atomic():
        old = found(number)
        if old.state != Proposal.State.OPEN:
            raise ProposalClosed(number, f"was {old.state} by {old.decided_by}")
        served = reading.flag_set(old.environment_id)
        again = Proposal.objects.create(
            environment_id=old.environment_id,
            act=old.act,
            subject=old.subject,
            changes=None if old.changes is None else _rebased(old, served.definitions),
            arguments=old.arguments,
            base_version=served.version,
            proposed_by=by,
            reason=old.reason,
            expires_at=timezone.now() + LASTS,
        )
        _decide(old, Proposal.State.WITHDRAWN, by, f"Proposed again as {again.pk}.")
        _audit(again, by, "proposal.made", again.reason)
        return again


def found(number: int) -> Proposal:
    """One proposal with its environment. Raises UnknownProposal."""
    proposal = Proposal.objects.select_related("environment").filter(pk=number).first()
    if proposal is None:
        raise UnknownProposal(number)
    return proposal


def waiting(now: datetime) -> list[Proposal]:
    """Those that can still be decided, oldest first."""
    rows = Proposal.objects.filter(state=Proposal.State.OPEN, expires_at__gt=now)
    return list(rows.select_related("environment").order_by("proposed_at", "pk"))


def look(proposal: Proposal) -> Look:
    """What approving would change now, and what was changed meanwhile. Writes nothing."""
    if proposal.changes is None:
        return Look()
    flags = reading.flag_set(proposal.environment_id)
    theirs = _moved(proposal, flags.definitions)
    shown = _base(proposal) if theirs or proposal.state != Proposal.State.OPEN else flags.definitions
    yours = [one for one in diff(_only(shown, proposal), _wanted(proposal)) if one.fields]
    done = not diff(_only(flags.definitions, proposal), _wanted(proposal))
    return Look(tuple(yours), tuple(theirs), done)


def _rebased(old: Proposal, now: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    """What the proposal wants, with what others changed since."""
    merged = merge_sets(_base(old), now, old.changes or {})
    if conflict := next((f"{key} {one.name}" for key, each in merged.items() for one in each.conflicts), ""):
        raise FlagError("changes", f"Both changed {conflict.strip()}.", "Edit the flag on what is served now.")
    changes = {key: each.definition for key, each in merged.items() if not same(each.definition, now.get(key))}
    if not changes:
        raise NothingToChange
    for key, body in changes.items():
        if body is not None:
            check(key, body)
    return changes


def _open(number: int) -> Proposal:
    proposal = found(number)
    if proposal.state != Proposal.State.OPEN:
        raise ProposalClosed(number, f"was {proposal.state} by {proposal.decided_by}")
    if not proposal.waits(timezone.now()):
        raise ProposalClosed(number, "has expired")
    return proposal


def _refuse_same(proposal: Proposal, by: str, act: str) -> None:
    if by.casefold() in {name.casefold() for name in (*proposal.people, proposal.proposed_by)}:
        raise SamePerson(by, act)


def _second(proposal: Proposal, by: str, note: str) -> Proposal:
    unseconded = Proposal.objects.filter(pk=proposal.pk, state=Proposal.State.OPEN, seconded_by="")
    if unseconded.update(seconded_by=by) != 1:
        raise ProposalClosed(proposal.pk, "was decided by somebody else just now")
    _audit(proposal, by, "proposal.seconded", note)
    proposal.seconded_by = by
    return proposal


def _decide(proposal: Proposal, state: "Proposal.State", by: str, reason: str) -> None:
    """Two people decide at once: the row count says whose decision it is."""
    proposal.state, proposal.decided_by, proposal.decided_reason = state, by, reason.strip()
    proposal.decided_at = timezone.now()
    still_open = Proposal.objects.filter(pk=proposal.pk, state=Proposal.State.OPEN, seconded_by=proposal.seconded_by)
    decided = still_open.update(
        state=state, decided_by=by, decided_reason=proposal.decided_reason, decided_at=proposal.decided_at
    )
    if decided != 1:
        raise ProposalClosed(proposal.pk, "was decided by somebody else just now")


def _perform(proposal: Proposal, by: str) -> int | None:
    """The environment's revision after the act, where the act moved it."""
    key = proposal.environment_id
    before = Environment.objects.get(key=key).revision
    approvers = " and ".join(name for name in (proposal.seconded_by, by) if name)
    with approved(key, Approval(by=approvers[:150], proposal=proposal.pk)):
        if proposal.changes is not None:
            _append(proposal)
        else:
            arguments = proposal.arguments or {}
            VERBS[proposal.act](key, author=proposal.proposed_by, reason=proposal.reason, **arguments)
    after = Environment.objects.get(key=key).revision
    return after if after != before else None


def _append(proposal: Proposal) -> None:
    flags = take(proposal.environment_id, proposal.reason)
    if theirs := _moved(proposal, flags.definitions):
        raise StaleProposal(proposal.pk, theirs, diff(_only(_base(proposal), proposal), _wanted(proposal)))
    wanted: dict[str, dict[str, Any] | None] = dict(proposal.changes or {})
    changes = {key: body for key, body in wanted.items() if not same(flags.definitions.get(key), body)}
    refuse_under_layers(flags, changes)
    append(flags, changes, Request(proposal.act, proposal.proposed_by, proposal.reason, proposal.subject))


def _moved(proposal: Proposal, now: Mapping[str, dict[str, Any]]) -> list[FlagDiff]:
    """What was changed since in the flags that the proposal changes; other flags may change under it."""
    return diff(_only(_base(proposal), proposal), _only(now, proposal))


def _base(proposal: Proposal) -> dict[str, dict[str, Any]]:
    return reading.definitions_at(proposal.environment_id, proposal.base_version)


def _only(definitions: Mapping[str, dict[str, Any]], proposal: Proposal) -> dict[str, dict[str, Any]]:
    return {key: definitions[key] for key in proposal.changes or {} if key in definitions}


def _wanted(proposal: Proposal) -> dict[str, dict[str, Any]]:
    return {key: body for key, body in (proposal.changes or {}).items() if body is not None}


def _audit(proposal: Proposal, actor: str, action: str, reason: str) -> None:
    AuditRecord.objects.create(
        actor=actor,
        action=action,
        environment_id=proposal.environment_id,
        subject=f"proposal {proposal.pk}: {proposal.subject}"[:200],
        reason=reason.strip(),
        after={"proposal": proposal.pk, "act": proposal.act, "proposed_by": proposal.proposed_by},
    )
