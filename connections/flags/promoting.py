"""Promotion: what one environment's version defines, brought to the next one.

Versions are promoted, never layers: a kill stays where it was laid, and of a flag under a ramp its control is brought.
Flags that the source lacks stay as they are: a promotion removes nothing.
"""

from collections.abc import Collection

from django.db import transaction

from connections.flags import reading
from connections.flags.changing import Changes, Preview, Request, append, diffs, refuse_stale, take
from connections.flags.errors import NoStageBefore, UnknownFlag
from connections.flags.making_way import refuse_under_layers
from connections.flags.versions import FlagSet, same
from connections.models import Environment, Version


def stage_before(environment_key: str) -> Environment:
    """The environment from which this one is promoted to. Raises UnknownEnvironment or NoStageBefore."""
    stage = reading.environment(environment_key)
    before = Environment.objects.filter(position__lt=stage.position).order_by("-position").first()
    if before is None:
        raise NoStageBefore(environment_key)
    return before


def promote(
    environment_key: str,
    *,
    author: str,
    reason: str,
    expected_version: int,
    flags: Collection[str] | None = None,
    source_version: int | None = None,
) -> Version:
    """Define in this environment what the one before it defines, as one version; `flags`: these alone.

    `source_version`: the source's version that was looked at; without it, its newest. Raises UnknownEnvironment,
    NoStageBefore, UnknownFlag, UnknownVersion, StaleVersion, UnderLayer, ReasonMissing or NothingToChange.
    """
    source = reading.flag_set(stage_before(environment_key).key, source_version)
    subject = f"version {source.version} of {source.environment}"
    request = Request(Version.Kind.PROMOTION, author, reason, subject)
    with transaction.atomic():
        target = take(environment_key, request.reason)
        changes = _changes(source, target, flags)
        refuse_stale(target, changes, expected_version)
        refuse_under_layers(target, changes)
        return append(target, changes, request)


def preview_promotion(
    environment_key: str, flags: Collection[str] | None = None, *, source_version: int | None = None
) -> Preview:
    """What `promote` would do now. Writes nothing. Raises as it does."""
    source = reading.flag_set(stage_before(environment_key).key, source_version)
    target = reading.flag_set(environment_key)
    changes = _changes(source, target, flags)
    refuse_under_layers(target, changes)
    return Preview(environment_key, target.version, tuple(diffs(target, changes)))


def _changes(source: FlagSet, target: FlagSet, flags: Collection[str] | None) -> Changes:
    for key in flags or ():
        if key not in source.definitions:
            raise UnknownFlag(key, source.definitions)
    chosen = source.definitions if flags is None else flags
    return {
        key: source.definitions[key]
        for key in sorted(chosen)
        if not same(source.definitions[key], target.definitions.get(key))
    }
