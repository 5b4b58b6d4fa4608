"""How every change of flags is written: take the environment's next revision, append what is new, announce it.

A change takes the environment's next revision by a conditional UPDATE first; whoever gets it reads the truth afterwards
and appends version, revision and audit row. So numbers have no gaps, two people cannot both change what they saw, and
nothing is written by a change that is refused. The announcement leaves after the commit and cannot fail the change:
no broker is needed to roll back. Call inside a transaction.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from django.db import transaction
from django.utils import timezone

from connections.flags import reading, stored
from connections.flags.authority import Approval, approval_for
from connections.flags.errors import NothingToChange, ReasonMissing, StaleVersion, UnknownVersion
from connections.flags.layers import Layer, LayerKind
from connections.flags.versions import FlagDiff, FlagSet, definition_hash, diff, flag_diff, set_hash_of
from connections.models import (
    AuditRecord,
    Definition,
    Environment,
    Overlay,
    Ramp,
    Revision,
    Version,
    VersionChange,
)
from connections.signals import revision_served

Changes = Mapping[str, dict[str, Any] | None]
"""Definitions to append by flag key; None removes the flag."""
REASON_WORDS = 3


@dataclass(frozen=True)
class Request:
    """One change on its way: who wants it, why, and what the audit trail calls it (`flags.` and `kind`)."""

    kind: str
    author: str
    reason: str
    subject: str
    verb: str = ""
    """One of `proposals.VERBS`, where the act is more than definitions to append; with its `arguments`, as JSON."""
    arguments: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Preview:
    """What a change would do, if made now. `version`: the one it would follow; `diffs`: of definitions."""

    environment: str
    version: int
    diffs: tuple[FlagDiff, ...]
    restores: int | None = None
    ends: tuple[str, ...] = ()
    """The flags whose ramps it would end."""
    stays: tuple[Layer, ...] = ()
    """The kills and breakers over its flags: they go on being served."""

    @property
    def empty(self) -> bool:
        """Nothing at all would change."""
        return not self.diffs and not self.ends


def check_reason(stage: Environment, reason: str) -> None:
    """Raises ReasonMissing where the environment asks for a reason and this is none."""
    if stage.reason_required and len(reason.split()) < REASON_WORDS:
        raise ReasonMissing


def take(environment_key: str, reason: str) -> FlagSet:
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
            found = stored.load(stage.key, number)
            layers = standing(stage.key)
            return FlagSet(stage.key, number, stage.revision + 1, dict(found.definitions), layers, found)


def standing(environment_key: str) -> tuple[Layer, ...]:
    """What lies over an environment's version by the rows that have not ended, in the order in which it is laid."""
    ramps = Ramp.objects.filter(environment_id=environment_key, ended_at__isnull=True)
    overlays = Overlay.objects.filter(environment_id=environment_key, ended_at__isnull=True)
    strength = list(LayerKind)
    found = [ramp.layer for ramp in ramps] + [overlay.layer for overlay in overlays]
    return tuple(sorted(found, key=lambda one: (one.flag, strength.index(one.kind))))


def append(flags: FlagSet, changes: Changes, request: Request) -> Version:
    """Write a version and the revision that serves it, under what stands over it now.

    Raises NothingToChange, and NeedsSecondPerson where the environment asks for two people.
    """
    if not changes:
        raise NothingToChange
    approval = _approval(flags, request, changes)
    after = {key: body for key, body in {**flags.definitions, **changes}.items() if body is not None}
    differences = diffs(flags, changes)
    version = Version.objects.create(
        environment_id=flags.environment,
        number=flags.version + 1,
        parent=Version.objects.get(environment_id=flags.environment, number=flags.version),
        kind=request.kind,
        set_hash=_set_hash(flags, changes),
        author=request.author,
        approved_by=approval.by,
        reason=request.reason.strip(),
        created_at=timezone.now(),
    )
    _store(version, changes)
    serve(flags, version, request, definitions=after, differences=differences, approval=approval)
    return version


def _set_hash(flags: FlagSet, changes: Changes) -> str:
    """Of the set after the changes: only what changes is hashed anew."""
    hashes = {key: digest for key, digest in flags.hashes.items() if key not in changes}
    hashes |= {key: definition_hash(body) for key, body in changes.items() if body is not None}
    return set_hash_of(hashes)


def serve(
    flags: FlagSet,
    version: Version,
    request: Request,
    *,
    definitions: Mapping[str, dict[str, Any]] | None = None,
    differences: list[FlagDiff] | None = None,
    approval: Approval | None = None,
) -> Revision:
    """Write the revision that `take` took, its audit row, and announce it after the commit.

    The layers are those that stand when this is called: lay or lift first, then serve. `differences`: of the version;
    none where only the layers changed. `approval`: of the version, where it was asked for already; else raises
    NeedsSecondPerson where the environment asks for two people.
    """
    approval = approval or _approval(flags, request)
    layers = standing(flags.environment)
    body = flags.definitions if definitions is None else definitions
    after = replace(flags, version=version.number, definitions=dict(body), layers=layers)
    revision = Revision.objects.create(
        environment_id=flags.environment,
        number=flags.revision,
        version=version,
        cause=request.kind,
        summary=_summary(flags, after, differences or []),
        layers=[layer.as_json() for layer in layers],
        author=request.author,
        approved_by=approval.by,
        break_glass=approval.glass,
        reason=request.reason.strip(),
        at=version.created_at if differences else timezone.now(),
    )
    _audit(flags, after, revision, differences or [], request, approval)
    transaction.on_commit(partial(_announce, flags.environment, flags.revision), robust=True)
    return revision


def _summary(before: FlagSet, after: FlagSet, differences: list[FlagDiff]) -> list[dict[str, Any]]:
    """What is served otherwise, a line for each flag; a change under a kill is told too, though nobody is served it.

    Where a layer came, went or moved, the line says so, even if it serves what was served: "layer" and "laid", and of a
    ramp its variant ("ramp"), the percentage it had ("was") and has; none: 0.
    """
    told = {one.flag: one for one in differences if one.served_changes}
    told |= {one.flag: one for one in diff(before.served, after.served) if one.served_changes}
    layers = _moved_layers(before, after)
    sides = {key: (one.before, one.after) for key, one in told.items()}
    for key in layers.keys() - sides.keys():
        variant = after.served.get(key, {}).get("defaultVariant")
        sides[key] = (variant, variant)
    return [
        {"flag": key, "before": sides[key][0], "after": sides[key][1], **layers.get(key, {})} for key in sorted(sides)
    ]


def _moved_layers(before: FlagSet, after: FlagSet) -> dict[str, dict[str, Any]]:
    """{flag: what its line says of layers}; of several that moved, the strongest."""
    moved: dict[str, dict[str, Any]] = {}
    for kind in LayerKind:
        old, new = ({one.flag: one for one in flags.layers if one.kind is kind} for flags in (before, after))
        for key in {*old, *new}:
            if old.get(key) != new.get(key):
                moved[key] = {"layer": kind.value, "laid": key in new}
                if kind is LayerKind.RAMP:
                    moved[key] |= _moved_ramp(old.get(key), new.get(key))
    return moved


def _moved_ramp(was: Layer | None, now: Layer | None) -> dict[str, Any]:
    shares = {"was": was.share / 10 if was else 0, "percentage": now.share / 10 if now else 0}
    return {"ramp": now.variant if now else was.variant if was else "", **shares}


def _store(version: Version, changes: Changes) -> None:
    """Store each definition once, whoever else stores the same one meanwhile."""
    stored = {
        key: Definition(hash=definition_hash(body), body=body) for key, body in changes.items() if body is not None
    }
    Definition.objects.bulk_create(stored.values(), ignore_conflicts=True)
    VersionChange.objects.bulk_create(
        VersionChange(version=version, flag_key=key, definition=stored.get(key)) for key in sorted(changes)
    )


def _approval(flags: FlagSet, request: Request, changes: Changes | None = None) -> Approval:
    reason = request.reason.strip()
    return approval_for(
        flags.environment,
        request.kind,
        request.author,
        reason,
        request.subject,
        version=flags.version,
        changes=changes,
        verb=request.verb,
        arguments=request.arguments,
    )


def _audit(
    before: FlagSet,
    after: FlagSet,
    revision: Revision,
    differences: list[FlagDiff],
    request: Request,
    approval: Approval,
) -> None:
    number = f"version {after.version}: " if differences else ""
    AuditRecord.objects.create(
        at=revision.at,
        actor=request.author,
        action=f"flags.{request.kind}",
        environment_id=before.environment,
        subject=f"{number}{request.subject}"[:200],
        reason=request.reason.strip(),
        before=_told(before, before.revision - 1, _side(differences, "before"), before.layers != after.layers),
        after=_told(after, after.revision, _side(differences, "after"), before.layers != after.layers)
        | approval.told(),
    )


def _told(flags: FlagSet, revision: int, changed: Mapping[str, Any], layered: bool) -> dict[str, Any]:
    layers = {"layers": [layer.as_json() for layer in flags.layers]} if layered else {}
    return {"version": flags.version, "revision": revision, "flags": changed, **layers}


def _side(diffs: list[FlagDiff], side: str) -> dict[str, dict[str, Any]]:
    """{flag: {field: value}} of the changed fields, before or after."""
    return {one.flag: {change.field: getattr(change, side) for change in one.fields} for one in diffs}


def diffs(flags: FlagSet, changes: Changes) -> list[FlagDiff]:
    return [flag_diff(key, flags.definitions.get(key), changes[key]) for key in sorted(changes)]


def refuse_stale(flags: FlagSet, changes: Changes, expected: int) -> None:
    """Raises StaleVersion where the newest version is not the expected one, with what changed since."""
    if expected == flags.version:
        return
    theirs = diff(past(flags, expected), flags)
    raise StaleVersion(expected, flags.version, theirs, diffs(flags, changes))


def past(flags: FlagSet, number: int) -> dict[str, dict[str, Any]]:
    """The definitions of an earlier version. Raises UnknownVersion."""
    if not 1 <= number <= flags.version:
        raise UnknownVersion(number, flags.version)
    return reading.definitions_at(flags.environment, number)


def _announce(environment_key: str, revision: int) -> None:
    """Every receiver is tried; one that fails is logged by Django and stops nobody."""
    revision_served.send_robust(sender=Environment, environment=environment_key, revision=revision)
