"""What one environment serves at one revision, ready to be sent: whole, and for keys that select flags by tags."""

from collections.abc import Collection
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Self

from connections.flags import ofrep, reading
from connections.flags.versions import FlagSet
from connections.models import Revision
from dashboard.fragments import Fragments

MOST_IN_AN_EVENT = 64 * 1024
"""Bytes of definitions that an event carries. A larger set is asked for, so that what a slow reader has not taken yet
stays small."""


@dataclass(frozen=True)
class Snapshot:
    """What one environment serves at one revision, ready to be sent. `last_modified`: Unix time, whole seconds."""

    flags: FlagSet
    last_modified: int
    answers: dict[tuple[str, bytes], ofrep.Answer] = field(default_factory=dict, compare=False)
    """OFREP's bulk answers by event stream address and request; no request where every subject gets the same."""
    fragments: Fragments = field(default_factory=Fragments, compare=False, repr=False)
    scopes: dict[Collection[str], "Snapshot"] = field(default_factory=dict, compare=False, repr=False)
    """What keys with tags get of it, by their tags."""

    @property
    def environment(self) -> str:
        return self.flags.environment

    @property
    def revision(self) -> int:
        return self.flags.revision

    @cached_property
    def etag(self) -> str:
        return self.flags.etag

    @cached_property
    def definitions(self) -> bytes:
        """The body of /api/v1/definitions: flagd's JSON in an envelope."""
        head = ofrep.dump({"environment": self.environment, "revision": self.revision})
        return head[:-1] + b',"flags":' + self.fragments.definitions(self.flags.served) + b"}"

    @cached_property
    def event(self) -> bytes:
        """The event of OFREP (ADR 0008), with the revision for watched servers: made once for all who listen."""
        return self._event({})

    @cached_property
    def event_with_definitions(self) -> bytes:
        """The event that spares a watched server its question; without the definitions where they are many."""
        if len(self.definitions) > MOST_IN_AN_EVENT:
            return self.event
        return self._event({"environment": self.environment, "flags": self.flags.served})

    def _event(self, more: dict[str, Any]) -> bytes:
        told = {
            "type": "refetchEvaluation",
            "etag": self.etag,
            "lastModified": self.last_modified,
            "revision": self.revision,
        }
        return b"id: %d\nevent: message\ndata: %s\n\n" % (self.revision, ofrep.dump({**told, **more}))

    @cached_property
    def depends_on_context(self) -> bool:
        return ofrep.depends_on_context(self.flags.served)

    def scope(self, tags: frozenset[str]) -> "Snapshot":
        """What a key with these tags gets: a snapshot of its own, with its own ETag. Without tags: all."""
        if not tags:
            return self
        if tags not in self.scopes:
            self.scopes[tags] = Snapshot(self.flags.selected(tags), self.last_modified, fragments=self.fragments)
        return self.scopes[tags]

    def bulk(self, context: dict[str, Any], *, stream: str) -> ofrep.Answer:
        """The OFREP answer for every flag."""
        flags = self.flags
        told = {"environment": flags.environment, "revision": flags.revision, "version": flags.version}
        return ofrep.bulk(
            flags.served, context, revision=flags.revision, stream=stream, metadata=told, prepared=self._prepared
        )

    @cached_property
    def _prepared(self) -> dict[str, bytes]:
        return self.fragments.answers(self.flags.served)

    def made_ready(self) -> Self:
        """Whatever answers are joined from, made now instead of with the first answer."""
        _ = self.etag, self.definitions, self._prepared
        for scope in self.scopes.values():
            scope.made_ready()
        return self


def read_snapshot(environment: str, held: Snapshot | None) -> Snapshot:
    """What an environment serves now, ready to be sent; `held`: what it served before, of which most stays."""
    flags = reading.flag_set(environment)
    served_at = Revision.objects.values_list("at", flat=True).get(environment_id=environment, number=flags.revision)
    fragments = held.fragments if held else Fragments()
    snapshot = Snapshot(flags, int(served_at.timestamp()), fragments=fragments)
    for tags in list(held.scopes) if held else ():
        snapshot.scope(frozenset(tags))
    snapshot.made_ready()
    fragments.forget(flags.served)
    return snapshot
