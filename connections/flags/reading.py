"""What the store says: flag sets, their history, and who holds which revision. Reads only."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from connections.flags import stored
from connections.flags.errors import UnknownEnvironment, UnknownVersion
from connections.flags.layers import Layer
from connections.flags.versions import FieldDiff, FlagDiff, FlagSet, diff
from connections.models import Environment, Revision, Version, WatchedServer

__all__ = [
    "FieldDiff",
    "FlagDiff",
    "FlagSet",
    "Holder",
    "current_version",
    "definitions_at",
    "diff",
    "environment",
    "flag_set",
    "holders",
    "known_good",
    "last_versions",
    "revisions",
    "slowest",
]


@dataclass(frozen=True)
class Holder:
    """One watched server and the revision it holds. `took`: from the revision's commit until it was held; None where
    that says nothing, because the revision is unknown here or the server started later."""

    instance: str
    library_version: str
    held_revision: int
    held_since: datetime
    reported_at: datetime
    took: timedelta | None
    behind: bool
    """It holds another revision than the one that is served."""
    silent: bool
    """It has not reported for longer than three reports take."""
    counting_since: datetime | None
    connections: Mapping[str, Mapping[str, int]]
    """{strategy: {cause: n}} since then."""


SILENT_AFTER = timedelta(seconds=30)
"""Servers report every 10 s: three reports missed."""


def environment(key: str) -> Environment:
    """One environment. Raises UnknownEnvironment naming those there are."""
    try:
        return Environment.objects.get(key=key)
    except Environment.DoesNotExist:
        raise UnknownEnvironment(key, Environment.objects.values_list("key", flat=True)) from None


def current_version(environment_key: str) -> Version:
    """The newest version of an environment, which is the one served. Raises UnknownEnvironment."""
    stage = environment(environment_key)
    return stage.versions.order_by("-number")[0]


def flag_set(environment_key: str, version_number: int | None = None) -> FlagSet:
    """The definitions of one version; None: the served one. Raises UnknownEnvironment or UnknownVersion.

    The served version is the one that the revision names: definitions and revision always belong together, whatever
    is committed between two queries.
    """
    stage = environment(environment_key)
    revision = Revision.objects.select_related("version").get(environment=stage, number=stage.revision)
    served = revision.version.number
    layers: tuple[Layer, ...] = ()
    if version_number is None:
        version_number, layers = served, tuple(map(Layer.from_json, revision.layers))
    elif not 1 <= version_number <= served:
        raise UnknownVersion(version_number, served)
    found = stored.load(stage.key, version_number)
    return FlagSet(stage.key, version_number, stage.revision, dict(found.definitions), layers, found)


def definitions_at(environment_key: str, version_number: int) -> dict[str, dict[str, Any]]:
    """{flag key: definition} of an existing version: each flag's newest change up to it."""
    return dict(stored.load(environment_key, version_number).definitions)


def known_good(environment_key: str) -> Version | None:
    """The version most recently marked known-good, if any."""
    marked = Version.objects.filter(environment_id=environment_key, known_good_at__isnull=False)
    return marked.order_by("-known_good_at", "-number").first()


def last_versions(environment_key: str, count: int) -> list[Version]:
    """The newest versions, newest first."""
    return list(Version.objects.filter(environment_id=environment_key).order_by("-number")[:count])


def revisions(environment_key: str, count: int) -> list[Revision]:
    """The newest revisions with their versions, newest first."""
    rows = Revision.objects.filter(environment_id=environment_key).select_related("version").order_by("-number")
    return list(rows[:count])


def holders(environment_key: str, *, now: datetime) -> list[Holder]:
    """Every watched server of an environment, those behind first, then by name. Raises UnknownEnvironment."""
    served = environment(environment_key).revision
    servers = list(WatchedServer.objects.filter(environment_id=environment_key))
    held = {server.held_revision for server in servers}
    committed = dict(
        Revision.objects.filter(environment_id=environment_key, number__in=held).values_list("number", "at")
    )
    found = [_holder(server, served, committed.get(server.held_revision), now) for server in servers]
    return sorted(found, key=lambda holder: (not holder.behind, holder.instance))


def slowest(found: Sequence[Holder]) -> timedelta | None:
    """The longest time that any server which is not behind took; None where nobody confirmed."""
    return max((holder.took for holder in found if holder.took is not None and not holder.behind), default=None)


def _holder(server: WatchedServer, served: int, committed_at: datetime | None, now: datetime) -> Holder:
    began_later = (
        committed_at is not None and server.counting_since is not None and server.counting_since > committed_at
    )
    took = None if committed_at is None or began_later else max(server.held_since - committed_at, timedelta(0))
    return Holder(
        instance=server.instance,
        library_version=server.library_version,
        held_revision=server.held_revision,
        held_since=server.held_since,
        reported_at=server.reported_at,
        took=took,
        behind=server.held_revision != served,
        silent=now - server.reported_at > SILENT_AFTER,
        counting_since=server.counting_since,
        connections=server.connections,
    )
