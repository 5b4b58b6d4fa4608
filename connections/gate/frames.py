"""What the gate and a client put on the wire beside the application's own messages. JSON text frames; pure.

gate -> client   connection_ready, connection_degraded, connection_recovered, gap
client -> gate   ready_ack
"""

import json
from collections.abc import Callable, Mapping
from json.encoder import encode_basestring_ascii as _quoted
from typing import Any

from connections.gate.lifecycle import State

_SPACE = " \t\n\r"
_scan: Callable[[str, int], tuple[Any, int]] = json.JSONDecoder().scan_once  # type: ignore[attr-defined]
"""What json.loads calls inside, at a third of its price. Raises StopIteration where no value begins."""


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
    phases_ms: Mapping[State, float],
    nonce: str,
) -> str:
    """Sent once, when the gate opens. `mode` is normal or degraded; `next_seq` is the sequence number that the next
    application event of this `epoch` will carry; `phases_ms` are milliseconds spent in each state since accept."""
    # By hand: every connection waits for this one, and a JSON encoder takes four times as long.
    revision = "null" if flags_revision is None else flags_revision
    phases = ",".join([f'"{state}":{took!r}' for state, took in phases_ms.items()])
    return (
        f'{{"type":"connection_ready","connection_id":{_quoted(connection_id)},"epoch":{_quoted(epoch)},'
        f'"next_seq":{next_seq},"mode":"{mode}","strategy":{_quoted(strategy)},"flags_revision":{revision},'
        f'"phases_ms":{{{phases}}},"nonce":{_quoted(nonce)}}}'
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

    __slots__ = ("_head", "epoch", "last")

    def __init__(self, epoch: str) -> None:
        self.epoch = epoch
        self.last = 0
        self._head = f'{{"epoch": "{epoch}", "seq": '

    @property
    def next_seq(self) -> int:
        return self.last + 1

    def event_type(self, text: str) -> str | None:
        """The type of the event that `number` would number, or None where it would number nothing."""
        event = _object(text) or {}
        kind = event.get("type")
        return kind if type(kind) is str and "seq" not in event and "epoch" not in event else None

    def number(self, text: str) -> str:
        """`text` with its numbers, or `text` itself where it is no event."""
        # Every event passes here: one function, one parse, no call that can be spared.
        try:
            event, end = _scan(text, 0)
            kind = event["type"]
        except StopIteration:
            return self._number_after_space(text)
        except (ValueError, LookupError, TypeError, RecursionError):
            return text
        if kind.__class__ is not str or "seq" in event or "epoch" in event:
            return text
        if end != len(text) and text[end:].strip(_SPACE):
            return text
        self.last = last = self.last + 1
        if kind == TERMINAL_EVENT and "last_seq" not in event:
            return f'{self._head}{last}, "last_seq": {last}, {text[1:]}'
        return f"{self._head}{last}, {text[1:]}"

    def _number_after_space(self, text: str) -> str:
        event = text.lstrip(_SPACE)
        if event is text or event[:1] != "{" or (numbered := self.number(event)) is event:
            return text
        return text[: len(text) - len(event)] + numbered


def size_of(message: Mapping[str, Any]) -> int:
    """Bytes of payload in an ASGI message."""
    text = message.get("text")
    if text is not None:
        return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))
    return len(message.get("bytes") or b"")


_encode = json.JSONEncoder(separators=(",", ":")).encode  # json.dumps would make one for each call


def _text(**members: Any) -> str:
    return _encode(members)


def _object(text: str) -> dict[str, Any] | None:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
