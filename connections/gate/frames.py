"""What the gate and a client put on the wire beside the application's own messages. JSON text frames; pure.

gate -> client   connection_ready, connection_degraded, connection_recovered, gap
client -> gate   ready_ack
"""

import json
from collections.abc import Mapping
from typing import Any

TERMINAL_EVENT = "agent_completed"
"""The last event of a run: it carries `last_seq`, so that a client can tell a lost tail from a short run."""


def connection_ready(
    *,
    connection_id: str,
    epoch: str,
    next_seq: int,
    mode: str,
    strategy: str,
    flags_revision: int | None,
    phases_ms: Mapping[str, float],
    nonce: str,
) -> str:
    """Sent once, when the gate opens. `mode` is normal or degraded; `next_seq` is the sequence number that the next
    application event of this `epoch` will carry; `phases_ms` are milliseconds spent in each state since accept."""
    return _text(
        type="connection_ready",
        connection_id=connection_id,
        epoch=epoch,
        next_seq=next_seq,
        mode=mode,
        strategy=strategy,
        flags_revision=flags_revision,
        phases_ms=dict(phases_ms),
        nonce=nonce,
    )


def connection_degraded(*, connection_id: str, missing: tuple[str, ...]) -> str:
    """Sent after `connection_ready` when something optional is missing."""
    return _text(type="connection_degraded", connection_id=connection_id, missing=list(missing))


def connection_recovered(*, connection_id: str) -> str:
    """Sent when nothing is missing any more."""
    return _text(type="connection_recovered", connection_id=connection_id)


def gap(*, epoch: str, first: int, last: int) -> str:
    """Says that the events `first` to `last` of `epoch` were dropped on purpose."""
    return _text(type="gap", epoch=epoch, **{"from": first, "to": last})


def ready_ack(text: str) -> str | None:
    """The nonce of a `ready_ack` frame, or None where `text` is any other message."""
    if '"ready_ack"' not in text:
        return None
    frame = _object(text)
    if frame is None or frame.get("type") != "ready_ack":
        return None
    nonce = frame.get("nonce")
    return nonce if isinstance(nonce, str) else ""


class Numbering:
    """Numbers one connection's application events: `epoch` names the stream, `seq` counts 1, 2, 3... within it.

    Only a JSON object with a text `type` is an event. Anything else passes untouched, and so does an event that
    already carries `seq` or `epoch`: its application numbers for itself. The numbers are spliced in as text, so the
    rest of the frame keeps its exact bytes (big integers, float spellings, escapes, key order).
    """

    __slots__ = ("epoch", "last")

    def __init__(self, epoch: str) -> None:
        self.epoch = epoch
        self.last = 0

    @property
    def next_seq(self) -> int:
        return self.last + 1

    def event_type(self, text: str) -> str | None:
        """The type of the event that `number` would number, or None where it would number nothing."""
        event = _event(text)
        return None if event is None else str(event["type"])

    def number(self, text: str) -> str:
        """`text` with its numbers, or `text` itself where it is no event."""
        event = _event(text)
        if event is None:
            return text
        self.last += 1
        tail = f'"last_seq": {self.last}, ' if event["type"] == TERMINAL_EVENT and "last_seq" not in event else ""
        at = text.index("{") + 1
        return f'{text[:at]}"epoch": "{self.epoch}", "seq": {self.last}, {tail}{text[at:]}'


def size_of(message: Mapping[str, Any]) -> int:
    """Bytes of payload in an ASGI message."""
    text = message.get("text")
    if text is not None:
        return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))
    return len(message.get("bytes") or b"")


def _event(text: str) -> dict[str, Any] | None:
    """The members of an event that carries no numbers yet."""
    if '"type"' not in text:
        return None
    event = _object(text)
    if event is None or not isinstance(event.get("type"), str) or "seq" in event or "epoch" in event:
        return None
    return event


def _text(**members: Any) -> str:
    return json.dumps(members, separators=(",", ":"))


def _object(text: str) -> dict[str, Any] | None:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
