"""The Redis stream between those who measure and the one who records: its names, and what an entry says."""

import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any

from django.conf import settings

from probes.engine.outcome import Outcome

STREAM = "readywire:results"
BAD = "readywire:results:bad"
GROUP = "recorder"
WORKERS = "readywire:workers"
RECORDER = "readywire:recorder"
BAD_LENGTH = 1000
"""Unreadable entries kept for a person to look at; the oldest go first."""

_compact = json.JSONEncoder(separators=(",", ":")).encode  # made once: json.dumps would make one for each entry
_SMALL, _BIG = 32_767, 2**63 - 1

Identity = tuple[int, str, datetime]
"""(target id, location, slot): names a result; recorded once however often it is delivered."""


class EntryError(ValueError):
    """An entry that cannot be a result. The message names the field."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One outcome on its way to the recorder."""

    target_id: int
    location: str
    slot: datetime
    outcome: Outcome

    @property
    def identity(self) -> Identity:
        return self.target_id, self.location, self.slot


def encode(entry: Entry, *, frames: bool = True) -> str:
    """The entry as JSON; `decode` reverses it exactly. `frames=False` leaves a transcript out that nobody keeps."""
    outcome = entry.outcome if frames else replace(entry.outcome, frames=())
    message = {
        "target_id": entry.target_id,
        "location": entry.location,
        "slot": entry.slot.astimezone(UTC).isoformat(timespec="microseconds"),
        "outcome": outcome.to_message(),
    }
    return _compact(message)


def wants_transcript(identity: Identity, outcome: Outcome) -> bool:
    """Every failure, and TRANSCRIPT_SUCCESS_SHARE of the successes: chosen by identity, so every process agrees."""
    return not outcome.ok or wants_success(identity)


def wants_success(identity: Identity) -> bool:
    """Whether the transcript of this slot is kept even if its probe succeeds: known before the probe begins."""
    return _share(identity) < settings.TRANSCRIPT_SUCCESS_SHARE


def _share(identity: Identity) -> float:
    target_id, location, slot = identity
    digest = blake2b(f"{target_id}/{location}/{slot.timestamp():.6f}".encode(), digest_size=8).digest()
    return int.from_bytes(digest) / 2**64


def decode(text: str) -> Entry:
    """The entry in a stream's text, made safe for every database. Raises EntryError."""
    text = storable(text)
    try:
        message = json.loads(text)
        entry = Entry(
            target_id=_integer(message["target_id"]),
            location=str(message["location"]),
            slot=_instant(message["slot"]),
            outcome=Outcome.from_message(message["outcome"]),
        )
        _check(entry.outcome)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise EntryError(f"{type(error).__name__}: {error}") from error
    return entry


def storable(text: str) -> str:
    """The JSON text without what PostgreSQL cannot store: NUL and half surrogate pairs, which a hostile server can
    send. Raises EntryError."""
    if "\\u0000" in text or "\\ud" in text or "\\uD" in text:
        return _cleaned(text)
    return text


def _cleaned(text: str) -> str:
    def clean(value: Any) -> Any:
        if isinstance(value, str):
            return value.encode("utf-8", "replace").decode().replace("\x00", "�")
        if isinstance(value, list):
            return [clean(item) for item in value]
        if isinstance(value, dict):
            return {clean(key): clean(item) for key, item in value.items()}
        return value

    try:
        return json.dumps(clean(json.loads(text)), ensure_ascii=False)
    except ValueError as error:
        raise EntryError(f"not JSON: {error}") from error


def _instant(text: str) -> datetime:
    slot = datetime.fromisoformat(text)
    if slot.tzinfo is None:
        raise ValueError("slot: an instant without its time zone")
    return slot.astimezone(UTC)


def _integer(value: Any, limit: int = _BIG) -> int:
    if type(value) is not int or not -limit <= value <= limit:
        raise ValueError(f"{value!r} is no integer that fits")
    return value


def _check(outcome: Outcome) -> None:
    for value in (outcome.start_delay_us, outcome.lag_us, *outcome.marks.values(), *outcome.events.marks.values()):
        _integer(value, 2**53)
    for small in (outcome.close_code, outcome.http_status):
        if small is not None:
            _integer(small, _SMALL)
    if outcome.flags_revision is not None:
        _integer(outcome.flags_revision)
