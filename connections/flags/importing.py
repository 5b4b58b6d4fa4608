"""A whole flag set from elsewhere, as one version."""

from collections.abc import Mapping

from django.db import transaction

from connections.flags import reading
from connections.flags.changing import Changes, Preview, Request, append, diffs, refuse_stale, take
from connections.flags.definitions import check, check_successor
from connections.flags.making_way import refuse_under_layers
from connections.flags.plans import changes_back
from connections.flags.versions import Definition, FlagSet
from connections.models import Version


def preview_import(
    environment_key: str, definitions: Mapping[str, Definition], *, keep_others: bool = False
) -> Preview:
    """What `import_flags` would do now. Writes nothing. Raises UnknownEnvironment, BadDefinition, UnderLayer."""
    flags = reading.flag_set(environment_key)
    changes = _changes(flags, definitions, keep_others)
    _check_successors(flags, changes)
    refuse_under_layers(flags, changes)
    return Preview(flags.environment, flags.version, tuple(diffs(flags, changes)))


def import_flags(
    environment_key: str,
    definitions: Mapping[str, Definition],
    *,
    author: str,
    reason: str,
    expected_version: int | None = None,
    keep_others: bool = False,
) -> Version:
    """Serve exactly these definitions, as one version; flags that are not among them go, unless `keep_others`.

    Without `expected_version`, whatever is served now. Raises BadDefinition, StaleVersion, ReasonMissing,
    NothingToChange, UnderLayer or UnknownEnvironment; then nothing was written.
    """
    for key, definition in definitions.items():
        check(key, definition)
    with transaction.atomic():
        flags = take(environment_key, reason)
        changes = _changes(flags, definitions, keep_others)
        _check_successors(flags, changes)
        refuse_stale(flags, changes, flags.version if expected_version is None else expected_version)
        refuse_under_layers(flags, changes)
        return append(flags, changes, Request(Version.Kind.IMPORT, author, reason, ", ".join(sorted(changes))))


def _check_successors(flags: FlagSet, changes: Changes) -> None:
    for key, definition in changes.items():
        if definition is not None:
            check_successor(key, flags.definitions.get(key), definition)


def _changes(flags: FlagSet, definitions: Mapping[str, Definition], keep_others: bool) -> Changes:
    return changes_back(flags.definitions, {**flags.definitions, **definitions} if keep_others else definitions)
