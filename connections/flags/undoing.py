"""Taking back what one earlier revision changed, without touching what was changed since."""

from collections.abc import Mapping
from typing import Any

from django.db import transaction

from connections.flags.changing import Preview, Request, diffs, take
from connections.flags.errors import StaleVersion
from connections.flags.making_way import ramps_in_the_way, take_back
from connections.flags.plans import changes_for
from connections.flags.reading import definitions_at, flag_set
from connections.flags.versions import diff
from connections.models import Revision, Version


def values_back(revision: Revision, definitions: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Flag -> variant for what this revision changed and nobody has changed since."""
    served = {key: body.get("defaultVariant") for key, body in definitions.items()}
    return {
        one["flag"]: one["before"]
        for one in revision.summary
        if one["before"] is not None
        and served.get(one["flag"]) == one["after"]
        and one["before"] in definitions[one["flag"]]["variants"]
    }


def preview_undo(revision: Revision) -> Preview:
    """What `undo` would do now. Writes nothing."""
    flags = flag_set(revision.environment_id)
    changes = changes_for(flags.definitions, values_back(revision, flags.definitions))
    ends = tuple(ramps_in_the_way(flags, changes))
    return Preview(flags.environment, flags.version, tuple(diffs(flags, changes)), ends=ends)


def undo(revision: Revision, *, author: str, reason: str, expected_version: int) -> Version:
    """Give back what `revision` changed, ending the ramps of those flags. It never waits for a second person.

    Raises StaleVersion, ReasonMissing or NothingToChange.
    """
    request = Request(Version.Kind.REVERT, author, reason, f"of revision {revision.number}")
    with transaction.atomic():
        flags = take(revision.environment_id, reason)
        changes = changes_for(flags.definitions, values_back(revision, flags.definitions))
        if expected_version != flags.version:
            past = definitions_at(flags.environment, expected_version) if expected_version > 0 else {}
            theirs = diff(past, flags)
            raise StaleVersion(expected_version, flags.version, theirs, diffs(flags, changes))
        return take_back(flags, changes, request)
