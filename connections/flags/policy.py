"""Policy of an environment: whether a reason is asked for, whether two people are, and how far a guard may go."""

from typing import Any

from django.db import transaction

from connections.flags import reading
from connections.flags.authority import approval_for
from connections.flags.changing import REASON_WORDS
from connections.flags.errors import FlagError, NothingToChange, ReasonMissing
from connections.models import AuditRecord, Environment, GuardMode

FIELDS = ("reason_required", "four_eyes", "guard_mode")


def policy_of(stage: Environment) -> dict[str, Any]:
    """The policy as JSON."""
    return {name: getattr(stage, name) for name in FIELDS}


def set_policy(
    environment_key: str, *, reason_required: bool, four_eyes: bool, guard_mode: str, author: str, reason: str
) -> Environment:
    """Change the policy, with an audit row. It never waits for who serves what: no revision is made.

    To stop asking for two people is itself an act for two. Raises UnknownEnvironment, ReasonMissing, NothingToChange,
    NeedsSecondPerson.
    """
    if guard_mode not in GuardMode.values:
        raise FlagError("guard_mode", f"{guard_mode!r} is no guard mode.", f"Use {', '.join(GuardMode.values)}.")
    if len(reason.split()) < REASON_WORDS:
        raise ReasonMissing
    with transaction.atomic():
        stage = _locked(environment_key)
        before = policy_of(stage)
        after = {"reason_required": reason_required, "four_eyes": four_eyes, "guard_mode": guard_mode}
        if after == before:
            raise NothingToChange
        told: dict[str, Any] = {}
        if stage.four_eyes and not four_eyes:
            served = reading.current_version(stage.key).number
            subject = "one person is enough"
            approval = approval_for(
                stage.key, "policy", author, reason.strip(), subject, version=served, verb="policy", arguments=after
            )
            told = approval.told()
        Environment.objects.filter(key=stage.key).update(**after)
        AuditRecord.objects.create(
            actor=author,
            action="policy.changed",
            environment_id=stage.key,
            subject=stage.name,
            reason=reason.strip(),
            before=before,
            after=after | told,
        )
    return reading.environment(environment_key)


def apply_policy(environment_key: str, *, author: str, reason: str, **policy: Any) -> Environment:
    """What an approved proposal of a policy performs."""
    return set_policy(environment_key, author=author, reason=reason, **policy)


def _locked(environment_key: str) -> Environment:
    """The row, nobody else's until the transaction ends. Raises UnknownEnvironment."""
    reading.environment(environment_key)
    return Environment.objects.select_for_update().get(key=environment_key)
