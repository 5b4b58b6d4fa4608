"""The verbs that change flags, each one transaction: change, define, revert, run_plan, mark_known_good here; kills and
breakers, ramps, promotion and the clock in modules of their own, all to be called from this one."""

from collections.abc import Collection, Mapping

from django.db import transaction
from django.utils import timezone

from connections.flags import reading
from connections.flags.changing import Changes, Preview, Request, append, diffs, past, refuse_stale, take
from connections.flags.clock import advance
from connections.flags.definitions import check, check_successor
from connections.flags.errors import NoKnownGood, UnknownVersion
from connections.flags.making_way import overlays_that_stay, ramps_in_the_way, refuse_under_layers, take_back
from connections.flags.overlays import kill, lift, trip
from connections.flags.plans import changes_back, changes_for
from connections.flags.promoting import preview_promotion, promote, stage_before
from connections.flags.ramping import (
    abort_ramp,
    finish_ramp,
    pause_ramp,
    reopen_ramp,
    resume_ramp,
    set_ramp_back,
    start_ramp,
)
from connections.flags.team_plans import kind_of_run, plan_for
from connections.flags.versions import FlagSet
from connections.models import AuditRecord, Version

__all__ = [
    "Preview",
    "abort_ramp",
    "advance",
    "change",
    "define",
    "finish_ramp",
    "kill",
    "lift",
    "mark_known_good",
    "pause_ramp",
    "preview_change",
    "preview_plan",
    "preview_promotion",
    "preview_revert",
    "promote",
    "reopen_ramp",
    "resume_ramp",
    "revert",
    "run_plan",
    "set_ramp_back",
    "stage_before",
    "start_ramp",
    "trip",
]

OFFERED_VERSIONS = 5


def change(
    environment_key: str, values: Mapping[str, str], *, author: str, reason: str, expected_version: int
) -> Version:
    """Serve other variants: flag key -> variant name, all at once, if `expected_version` is still the newest.

    Raises StaleVersion, UnknownEnvironment, UnknownFlag, UnknownVariant, ReasonMissing or NothingToChange; then
    nothing was written.
    """
    request = Request(Version.Kind.CHANGE, author, reason, ", ".join(sorted(values)))
    with transaction.atomic():
        flags = take(environment_key, request.reason)
        changes = changes_for(flags.definitions, values)
        refuse_stale(flags, changes, expected_version)
        refuse_under_layers(flags, changes)
        return append(flags, changes, request)


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
    request = Request(Version.Kind.CHANGE, author, reason, ", ".join(sorted(definitions)))
    with transaction.atomic():
        flags = take(environment_key, request.reason)
        for key, definition in definitions.items():
            if definition is not None:
                check_successor(key, flags.definitions.get(key), definition)
        kept = {key: body for key, body in flags.definitions.items() if key not in definitions}
        added = {key: body for key, body in definitions.items() if body is not None}
        changes = changes_back(flags.definitions, {**kept, **added})
        refuse_stale(flags, changes, expected_version)
        refuse_under_layers(flags, changes)
        return append(flags, changes, request)


def revert(environment_key: str, to_version: int, *, author: str, reason: str, expected_version: int | None) -> Version:
    """Serve again what `to_version` served, as a new version. Without `expected_version`, whatever is served now.

    The ramps of the flags it changes end with it; kills and breakers stay. Raises as `change` does, and UnknownVersion.
    """
    request = Request(Version.Kind.REVERT, author, reason, f"to version {to_version}")
    with transaction.atomic():
        flags = take(environment_key, request.reason)
        changes = changes_back(flags.definitions, past(flags, to_version))
        refuse_stale(flags, changes, flags.version if expected_version is None else expected_version)
        return take_back(flags, changes, request)


def run_plan(environment_key: str, plan_key: str, *, author: str, reason: str) -> Version:
    """Apply a rollback plan to whatever is served now. Idempotent: run twice, it changes nothing the second time.

    The ramps of its flags end with it (all of them, where it restores a version); kills and breakers stay. Raises
    UnknownEnvironment, UnknownPlan, NoKnownGood, ReasonMissing, NothingToChange, and UnknownFlag or UnknownVariant
    where the environment lacks what the plan sets.
    """
    request = Request(kind_of_run(plan_key, author), author, reason, plan_for(plan_key).key)
    with transaction.atomic():
        flags = take(environment_key, request.reason)
        changes, _ = _planned(flags, plan_key)
        return take_back(flags, changes, request, _concerned(flags, plan_key))


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
    """What `change` would do now. Writes nothing.

    Raises UnknownEnvironment, UnknownFlag, UnknownVariant or UnderLayer.
    """
    flags = reading.flag_set(environment_key)
    changes = changes_for(flags.definitions, values)
    refuse_under_layers(flags, changes)
    return Preview(flags.environment, flags.version, tuple(diffs(flags, changes)))


def preview_revert(environment_key: str, to_version: int) -> Preview:
    """What `revert` would do now. Writes nothing. Raises UnknownEnvironment or UnknownVersion."""
    flags = reading.flag_set(environment_key)
    changes = changes_back(flags.definitions, past(flags, to_version))
    return _preview(flags, changes, to_version)


def preview_plan(environment_key: str, plan_key: str) -> Preview:
    """What `run_plan` would do now. Writes nothing. Raises UnknownEnvironment, UnknownPlan or NoKnownGood."""
    plan_for(plan_key)
    flags = reading.flag_set(environment_key)
    changes, restores = _planned(flags, plan_key)
    return _preview(flags, changes, restores, _concerned(flags, plan_key))


def _planned(flags: FlagSet, plan_key: str) -> tuple[Changes, int | None]:
    """The changes of a plan, and the version that it restores, if it restores one."""
    plan = plan_for(plan_key)
    if plan.values is not None:
        return changes_for(flags.definitions, plan.values), None
    good = reading.known_good(flags.environment)
    if good is None:
        offered = reading.last_versions(flags.environment, OFFERED_VERSIONS)
        raise NoKnownGood(flags.environment, [version.number for version in offered])
    return changes_back(flags.definitions, past(flags, good.number)), good.number


def _concerned(flags: FlagSet, plan_key: str) -> Collection[str]:
    """The flags that a plan sets, changed or not: a ramp over one would serve something else."""
    values = plan_for(plan_key).values
    return flags.definitions if values is None else values


def _preview(flags: FlagSet, changes: Changes, restores: int | None, concerned: Collection[str] = ()) -> Preview:
    ends = tuple(ramps_in_the_way(flags, changes, concerned))
    stays = tuple(overlays_that_stay(flags, changes, concerned))
    return Preview(flags.environment, flags.version, tuple(diffs(flags, changes)), restores, ends, stays)
