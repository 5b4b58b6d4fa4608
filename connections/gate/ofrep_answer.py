"""What somebody else's OFREP server answers, as flags that a gate can hold. Pure.

Source: OpenFeature Remote Evaluation Protocol, OpenAPI 0.3.0, bulk evaluation; ADR 0008 for event streams.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urljoin

from connections.gate.addresses import origin_of
from connections.gate.errors import DefinitionsInvalid
from connections.gate.selection import CODED_DEFAULTS, PARAMETERS, Snapshot

MOST_STREAMS = 4
"""Streams followed of those announced."""
_UNNAMED = "(unnamed)"
"""Counted as the variant where the server names none."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A bulk evaluation: the flags that a gate knows, the event streams announced, and what cannot be used and why."""

    snapshot: Snapshot
    streams: tuple[str, ...]
    problems: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Refetch:
    """A stream's word that flags changed: what to say of it in the next request."""

    etag: str = ""
    last_modified: str = ""

    @property
    def parameters(self) -> dict[str, str]:
        """Query parameters of the request that follows."""
        named = {"flagConfigEtag": self.etag, "flagConfigLastModified": self.last_modified}
        return {name: value for name, value in named.items() if value}


def read_answer(body: Any, *, etag: str, url: str) -> Answer:
    """An answer from the server at `url`. Raises DefinitionsInvalid where it is no bulk evaluation.

    A flag that failed there, or has no value, is left out: the coded default holds, as OpenFeature has it.
    """
    if not isinstance(body, Mapping) or not isinstance(body.get("flags"), list):
        raise DefinitionsInvalid("flags: the answer of a bulk evaluation has a list of flags")
    flags: dict[str, Any] = {}
    problems: list[str] = []
    for flag in body["flags"]:
        key = flag.get("key") if isinstance(flag, Mapping) else None
        if not isinstance(key, str) or key not in CODED_DEFAULTS:
            continue
        if "errorCode" in flag:
            problems.append(f"{key}: {flag['errorCode']} {flag.get('errorDetails') or ''}".rstrip())
        elif flag.get("value") is not None:
            flags[key] = _definition(key, flag["value"], flag.get("variant"))
    metadata = body.get("metadata")
    metadata = metadata if isinstance(metadata, Mapping) else {}
    revision, environment = metadata.get("revision"), metadata.get("environment")
    snapshot = Snapshot(
        flags=flags,
        revision=revision if isinstance(revision, int) and not isinstance(revision, bool) and revision >= 0 else None,
        environment=environment if isinstance(environment, str) else "",
        etag=etag,
        origin="server",
    )
    return Answer(snapshot, _streams(body.get("eventStreams"), url), tuple(problems))


def _definition(key: str, value: Any, variant: Any) -> dict[str, Any]:
    """A flag that was evaluated elsewhere: one variant for everybody here."""
    name = variant if isinstance(variant, str) and variant else _UNNAMED
    if key == PARAMETERS and isinstance(value, str):
        value = _object(value)
    return {"state": "ENABLED", "variants": {name: value}, "defaultVariant": name}


def _object(text: str) -> Any:
    """JSON text as what it says: some servers have no flags that are objects."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _streams(announced: Any, url: str) -> tuple[str, ...]:
    """Addresses of the event streams; of other kinds, and what cannot be an address, none."""
    if not isinstance(announced, list):
        return ()
    found = (_address(entry, url) for entry in announced if isinstance(entry, Mapping) and entry.get("type") == "sse")
    return tuple(dict.fromkeys(address for address in found if address))[:MOST_STREAMS]


def _address(entry: Mapping[str, Any], url: str) -> str:
    address, endpoint = entry.get("url"), entry.get("endpoint")
    if isinstance(endpoint, Mapping) and isinstance(endpoint.get("requestUri"), str):
        origin = endpoint.get("origin")
        address = urljoin(origin if isinstance(origin, str) and origin else url, endpoint["requestUri"])
    return address if isinstance(address, str) and origin_of(address) else ""


def read_event(data: str) -> Refetch | None:
    """What an event asks for; None where it asks for nothing that is known."""
    try:
        told = json.loads(data)
    except (ValueError, RecursionError):
        return None
    if not isinstance(told, Mapping) or told.get("type") != "refetchEvaluation":
        return None
    etag, modified = told.get("etag"), told.get("lastModified")
    text = "" if isinstance(modified, bool) or not isinstance(modified, int | str) else str(modified)
    return Refetch(etag if isinstance(etag, str) else "", text)
