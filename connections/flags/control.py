"""The verbs that change flags: change, define, revert, run_plan, mark_known_good. Each is one transaction.

A change takes the environment's next revision by a conditional UPDATE first; whoever gets it reads the truth afterwards
and appends version, revision and audit row. So numbers have no gaps, two people cannot both change what they saw, and
nothing is written by a change that is refused. The announcement leaves after the commit and cannot fail the change:
no broker is needed to roll back.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from django.db import transaction
from django.utils import timezone

from connections.flags import reading
from connections.flags.definitions import check
from connections.flags.errors import NoKnownGood, NothingToChange, ReasonMissing, StaleVersion, UnknownVersion
from connections.flags.plans import changes_back, changes_for, plan_for
from connections.flags.versions import FlagDiff, FlagSet, definition_hash, diff, flag_diff, set_hash
from connections.models import AuditRecord, Definition, Environment, Revision, Version, VersionChange
from connections.signals import revision_served

Changes = Mapping[str, dict[str, Any] | None]
"""Definitions to append by flag key; None removes the flag."""
REASON_WORDS = 3
OFFERED_VERSIONS = 5


@dataclass(frozen=True)
class Preview:
    """What a change would do, if made now. `version`: the one it would follow; no `diffs`: nothing would change."""

    environment: str
    version: int
    diffs: tuple[FlagDiff, ...]
    restores: int | None = None


@dataclass(frozen=True)
class _Request:
    """One change on its way: who wants it, why, and what the audit trail calls it."""

    kind: Version.Kind
    author: str
    reason: str
    subject: str


def change(
    environment_key: str, values: Mapping[str, str], *, author: str, reason: str, expected_version: int
) -> Version:
    """Serve other variants: flag key -> variant name, all at once, if `expected_version` is still the newest.

    Raises StaleVersion, UnknownEnvironment, UnknownFlag, UnknownVariant, ReasonMissing or NothingToChange; then
    nothing was written.
    """
    request = _Request(Version.Kind.CHANGE, author, reason, ", ".join(sorted(values)))
    with transaction.atomic():
        flags = _take(environment_key, request.reason)
        changes = changes_for(flags.definitions, values)
        _refuse_stale(flags, changes, expected_version)
        return _append(flags, changes, request)


def define(
    environment_key: str,
    definitions: Changes,
    *,
    author: str,
    reason: str,
    expected_version: int,
) -> Version:
    """Add, replace or (None) remove whole definitions, all at once. Raises as `change` does, and BadDefinition."""
    for key, definition in definitions.items():
        if definition is not None:
            check(key, definition)
    request = _Request(Version.Kind.CHANGE, author, reason, ", ".join(sorted(definitions)))
    with transaction.atomic():
        flags = _take(environment_key, request.reason)
        kept = {key: body for key, body in flags.definitions.items() if key not in definitions}
        added = {key: body for key, body in definitions.items() if body is not None}
        changes = changes_back(flags.definitions, {**kept, **added})
        _refuse_stale(flags, changes, expected_version)
        return _append(flags, changes, request)


def revert(environment_key: str, to_version: int, *, author: str, reason: str, expected_version: int | None) -> Version:
    """Serve again what `to_version` served, as a new version. Without `expected_version`, whatever is served now.

    Raises as `change` does, and UnknownVersion.
    """
    request = _Request(Version.Kind.REVERT, author, reason, f"to version {to_version}")
    with transaction.atomic():
        flags = _take(environment_key, request.reason)
        changes = changes_back(flags.definitions, _past(flags, to_version))
        _refuse_stale(flags, changes, flags.version if expected_version is None else expected_version)
        return _append(flags, changes, request)


def run_plan(environment_key: str, plan_key: str, *, author: str, reason: str) -> Version:
    """Apply a rollback plan to whatever is served now. Idempotent: run twice, it changes nothing the second time.

    Raises UnknownEnvironment, UnknownPlan, NoKnownGood, ReasonMissing, NothingToChange, and UnknownFlag or
    UnknownVariant where the environment lacks what the plan sets.
    """
    request = _Request(Version.Kind.PLAN, author, reason, plan_for(plan_key).key)
    with transaction.atomic():
        flags = _take(environment_key, request.reason)
        changes, _ = _planned(flags, plan_key)
        return _append(flags, changes, request)


def mark_known_good(environment_key: str, version_number: int, *, author: str) -> Version:
    """Make a version the one that an emergency rollback restores. Raises UnknownEnvironment or UnknownVersion."""
    with transaction.atomic():
        newest = reading.current_version(environment_key)
        marked_before = reading.known_good(environment_key)
        version = Version.objects.filter(environment_id=environment_key, number=version_number).first()
        if version is None:
            raise UnknownVersion(version_number, newest.number)
        version.known_good_at, version.known_good_by = timezone.now(), author
        version.save(update_fields=["known_good_at", "known_good_by"])
        AuditRecord.objects.create(
            actor=author,
            action="flags.known_good",
            environment_id=environment_key,
            subject=f"version {version_number}",
            before={"version": marked_before.number if marked_before else None},
            after={"version": version_number},
        )
        return version


def preview_change(environment_key: str, values: Mapping[str, str]) -> Preview:
    """What `change` would do now. Writes nothing. Raises UnknownEnvironment, UnknownFlag or UnknownVariant."""
    flags = reading.flag_set(environment_key)
    return _preview(flags, changes_for(flags.definitions, values))


def preview_revert(environment_key: str, to_version: int) -> Preview:
    """What `revert` would do now. Writes nothing. Raises UnknownEnvironment or UnknownVersion."""
    flags = reading.flag_set(environment_key)
    changes = changes_back(flags.definitions, _past(flags, to_version))
    return _preview(flags, changes, to_version)


def preview_plan(environment_key: str, plan_key: str) -> Preview:
    """What `run_plan` would do now. Writes nothing. Raises UnknownEnvironment, UnknownPlan or NoKnownGood."""
    plan_for(plan_key)
    flags = reading.flag_set(environment_key)
    changes, restores = _planned(flags, plan_key)
    return _preview(flags, changes, restores)


def check_reason(stage: Environment, reason: str) -> None:
    """Raises ReasonMissing where the environment asks for a reason and this is none."""
    if stage.reason_required and len(reason.split()) < REASON_WORDS:
        raise ReasonMissing


def _take(environment_key: str, reason: str) -> FlagSet:
    """Take the environment's next revision and return the flag set that it will replace, now nobody else's to change.

    The row stays locked until the transaction ends. A lost race is tried again: each loss means that somebody else's
    change went through, so this ends.
    """
    while True:
        stage = reading.environment(environment_key)
        check_reason(stage, reason)
        unchanged = Environment.objects.filter(key=stage.key, revision=stage.revision)
        if unchanged.update(revision=stage.revision + 1) == 1:
            number = reading.current_version(stage.key).number
            return FlagSet(stage.key, number, stage.revision + 1, reading.definitions_at(stage.key, number))


def _refuse_stale(flags: FlagSet, changes: Changes, expected: int) -> None:
    if expected == flags.version:
        return
    theirs = diff(_past(flags, expected), flags)
    raise StaleVersion(expected, flags.version, theirs, _diffs(flags, changes))


def _past(flags: FlagSet, number: int) -> dict[str, dict[str, Any]]:
    """The definitions of an earlier version. Raises UnknownVersion."""
    if not 1 <= number <= flags.version:
        raise UnknownVersion(number, flags.version)
    return reading.definitions_at(flags.environment, number)


def _planned(flags: FlagSet, plan_key: str) -> tuple[Changes, int | None]:
    """The changes of a plan, and the version that it restores, if it restores one."""
    plan = plan_for(plan_key)
    if plan.values is not None:
        return changes_for(flags.definitions, plan.values), None
    good = reading.known_good(flags.environment)
    if good is None:
        offered = reading.last_versions(flags.environment, OFFERED_VERSIONS)
        raise NoKnownGood(flags.environment, [version.number for version in offered])
    return changes_back(flags.definitions, _past(flags, good.number)), good.number


def _append(flags: FlagSet, changes: Changes, request: _Request) -> Version:
    """Write version, revision and audit row, and announce the revision after the commit."""
    if not changes:
        raise NothingToChange
    now = timezone.now()
    after = {key: body for key, body in {**flags.definitions, **changes}.items() if body is not None}
    diffs = _diffs(flags, changes)
    version = Version.objects.create(
        environment_id=flags.environment,
        number=flags.version + 1,
        parent=Version.objects.get(environment_id=flags.environment, number=flags.version),
        kind=request.kind,
        set_hash=set_hash(after),
        author=request.author,
        reason=request.reason.strip(),
        created_at=now,
    )
    _store(version, changes)
    Revision.objects.create(
        environment_id=flags.environment,
        number=flags.revision,
        version=version,
        cause=request.kind,
        summary=[{"flag": one.flag, "before": one.before, "after": one.after} for one in diffs if one.served_changes],
        author=request.author,
        reason=request.reason.strip(),
        at=now,
    )
    _audit(flags, version, diffs, request)
    transaction.on_commit(partial(_announce, flags.environment, flags.revision), robust=True)
    return version


def _store(version: Version, changes: Changes) -> None:
    """Store each definition once, whoever else stores the same one meanwhile."""
    stored = {
        key: Definition(hash=definition_hash(body), body=body) for key, body in changes.items() if body is not None
    }
    Definition.objects.bulk_create(stored.values(), ignore_conflicts=True)
    VersionChange.objects.bulk_create(
        VersionChange(version=version, flag_key=key, definition=stored.get(key)) for key in sorted(changes)
    )


def _audit(flags: FlagSet, version: Version, diffs: list[FlagDiff], request: _Request) -> None:
    AuditRecord.objects.create(
        at=version.created_at,
        actor=request.author,
        action=f"flags.{request.kind}",
        environment_id=flags.environment,
        subject=f"version {version.number}: {request.subject}"[:200],
        reason=request.reason.strip(),
        before={"version": flags.version, "revision": flags.revision - 1, "flags": _side(diffs, "before")},
        after={"version": version.number, "revision": flags.revision, "flags": _side(diffs, "after")},
    )


def _side(diffs: list[FlagDiff], side: str) -> dict[str, dict[str, Any]]:
    """{flag: {field: value}} of the changed fields, before or after."""
    return {one.flag: {change.field: getattr(change, side) for change in one.fields} for one in diffs}


def _diffs(flags: FlagSet, changes: Changes) -> list[FlagDiff]:
    return [flag_diff(key, flags.definitions.get(key), changes[key]) for key in sorted(changes)]


def _preview(flags: FlagSet, changes: Changes, restores: int | None = None) -> Preview:
    return Preview(flags.environment, flags.version, tuple(_diffs(flags, changes)), restores)


def _announce(environment_key: str, revision: int) -> None:
    """Every receiver is tried; one that fails is logged by Django and stops nobody."""
    revision_served.send_robust(sender=Environment, environment=environment_key, revision=revision)
