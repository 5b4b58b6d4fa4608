"""How a life travels: an entry of its own kind on the results stream, beside outcomes."""

import json
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from probes.engine.lives import Life
from probes.results_stream import EntryError, storable

_MARK = '{"life":'
_ADDRESS_CHARS = 80

Identity = tuple[int, str, int, datetime]
"""(target id, location, number, started): names a life; recorded once however often it is delivered."""


@dataclass(frozen=True, slots=True)
class LifeEntry:
    """One life on its way to the recorder."""

    location: str
    life: Life

    @property
    def identity(self) -> Identity:
        return self.life.target_id, self.location, self.life.number, self.life.started


def is_life(text: str) -> bool:
    """Whether a stream entry tells of a life, not of an outcome."""
    return text.startswith(_MARK)


def encode_life(entry: LifeEntry) -> str:
    """The entry as JSON; `decode_life` reverses it exactly."""
    return json.dumps({"life": entry.life.to_message(), "location": entry.location}, separators=(",", ":"))


def decode_life(text: str) -> LifeEntry:
    """The entry in a stream's text, made safe for every database. Raises EntryError."""
    try:
        message: Any = json.loads(storable(text))
        life = Life.from_message(message["life"])
        if life.number > 32_767 or (life.close_code or 0) > 32_767:
            raise ValueError("number or close_code: too large")
        return LifeEntry(str(message["location"]), replace(life, address=str(life.address)[:_ADDRESS_CHARS]))
    except (KeyError, TypeError, AttributeError, ValueError, OverflowError) as error:
        raise EntryError(f"{type(error).__name__}: {error}") from error
