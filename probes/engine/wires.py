"""How a protocol puts its messages into WebSocket frames: read as fields that scripts can match, written from JSON.

One wire per probe: some keep the rest of a packet. Reading trusts nothing: what is malformed is a message without
fields, or a WireError where the stream itself can no longer be read.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from probes.engine import mqtt, stomp
from probes.engine.messages import Message, message_of, read

Fields = Mapping[str, Any]


class WireError(ValueError):
    """Bytes that break the protocol of the wire, or a message of ours that it cannot carry."""


class Wire:
    """JSON or plain text, one message per frame."""

    def read(self, text: str, data: bytes | bytearray, *, exact: bool) -> Iterable[Message]:
        """The messages in a frame, one by one: a frame may hold a million. `text` is `data` decoded, "" where it is
        no text. Raises WireError while they are taken."""
        return (read(text, exact=exact),)

    def write(self, text: str) -> str | bytes:
        """The frame that carries a script's message: bytes go out in a binary frame. Raises WireError."""
        return text

    def reply(self, message: Message) -> str | None:
        """What the protocol makes us answer, as a script would write it."""
        return None


class GraphQL(Wire):
    """graphql-transport-ws: JSON; either side may ping."""

    def reply(self, message: Message) -> str | None:
        return '{"type": "pong"}' if message.type == "ping" else None


class Phoenix(Wire):
    """Phoenix channels, serializer 2.0.0: arrays of join_ref, ref, topic, event, payload."""

    _MEMBERS = ("join_ref", "ref", "topic", "event", "payload")

    def read(self, text: str, data: bytes | bytearray, *, exact: bool) -> Iterable[Message]:
        value = _json(text)
        if not isinstance(value, list) or len(value) != len(self._MEMBERS):
            return (message_of(text, None, exact=exact),)
        fields = dict(zip(self._MEMBERS, value, strict=True))
        payload = fields["payload"]
        failed = fields["event"] == "phx_reply" and isinstance(payload, dict) and payload.get("status") == "error"
        return (message_of(text, {**fields, "type": "phx_reply_error" if failed else fields["event"]}, exact=exact),)

    def write(self, text: str) -> str:
        fields = _fields(text, "event")
        return json.dumps([fields.get(name) for name in self._MEMBERS])


class SignalR(Wire):
    """SignalR's JSON hub protocol: records that end with 0x1e; the first one of the server ends its handshake."""

    _SEPARATOR = "\x1e"
    _RECORD = re.compile(r"[^\x1e]+")
    _KINDS = {
        "invocation": 1, "stream_item": 2, "completion": 3, "stream_invocation": 4, "cancel_invocation": 5,
        "ping": 6, "close": 7, "ack": 8, "sequence": 9,
    }  # fmt: skip
    _NAMES = {number: name for name, number in _KINDS.items()}

    def read(self, text: str, data: bytes | bytearray, *, exact: bool) -> Iterable[Message]:
        return (self._record(found.group(), exact) for found in self._RECORD.finditer(text))

    def _record(self, record: str, exact: bool) -> Message:
        value = _json(record)
        if not isinstance(value, dict):
            return message_of(record, None, exact=exact)
        number = value.get("type")
        name = "handshake" if number is None else self._NAMES.get(number, "") if isinstance(number, int) else ""
        if value.get("error"):
            name = f"{name}_error"
        return message_of(record, {**value, "type": name}, exact=exact)

    def write(self, text: str) -> str:
        fields = _fields(text)
        kind = fields.get("type")
        if kind is not None and kind not in self._KINDS:
            raise WireError(f"{kind!r} is no message of SignalR. Use one of {', '.join(self._KINDS)}")
        numbered = fields if kind is None else {**fields, "type": self._KINDS[kind]}
        return json.dumps(numbered) + self._SEPARATOR


class SocketIO(Wire):
    """Socket.IO 5 over Engine.IO 4: `0{...}` opens, `2` pings, `40` connects, `42[...]` is an event, `43` its ack."""

    _ENGINE = ("open", "close", "ping", "pong", "message", "upgrade", "noop")
    _PACKETS = ("connect", "disconnect", "event", "ack", "connect_error", "binary_event", "binary_ack")
    _MESSAGE = re.compile(r"4([0-6])(?:\d+-)?(?:(/[^,]*),)?(\d*)(.*)", re.DOTALL)

    def read(self, text: str, data: bytes | bytearray, *, exact: bool) -> Iterable[Message]:
        if found := self._MESSAGE.fullmatch(text):
            kind, namespace, number, body = found.groups()
            fields = {"type": self._PACKETS[int(kind)], "nsp": namespace or "/", "data": _json(body)}
            if number and len(number) < 20:
                fields["id"] = int(number)
            return (message_of(text, fields, exact=exact),)
        if text[:1] and text[0] in "012356":
            return (message_of(text, {"type": self._ENGINE[int(text[0])], "data": _json(text[1:])}, exact=exact),)
        return (message_of(text, None, exact=exact),)

    def write(self, text: str) -> str:
        fields = _fields(text, "type")
        kind = fields["type"]
        if kind in ("ping", "pong"):
            return str(self._ENGINE.index(kind))
        if kind not in ("connect", "disconnect", "event", "ack"):
            raise WireError(f"{kind!r} is no packet of Socket.IO. Use connect, disconnect, event, ack, ping or pong")
        namespace = fields.get("nsp", "/")
        head = f"4{self._PACKETS.index(kind)}{'' if namespace == '/' else f'{namespace},'}{fields.get('id', '')}"
        return head + (json.dumps(fields["data"]) if fields.get("data") is not None else "")

    def reply(self, message: Message) -> str | None:
        return '{"type": "pong"}' if message.type == "ping" else None


class Stomp(Wire):
    """STOMP 1.2: whole frames in each message; `type` is the command in small letters."""

    def read(self, text: str, data: bytes | bytearray, *, exact: bool) -> Iterable[Message]:
        return (message_of(shown, fields, exact=exact) for shown, fields in stomp.frames(text))

    def write(self, text: str) -> str:
        try:
            return stomp.frame(_fields(text, "type"))
        except ValueError as error:
            raise WireError(str(error)) from error


class Mqtt(Wire):
    """MQTT 3.1.1 in binary frames, which need not end where packets end (section 6)."""

    def __init__(self) -> None:
        self._rest = bytearray()

    def read(self, text: str, data: bytes | bytearray, *, exact: bool) -> Iterable[Message]:
        self._rest += data
        try:
            for fields in mqtt.packets(self._rest):
                yield message_of(json.dumps(fields), fields, exact=exact)
        except ValueError as error:
            raise WireError(str(error)) from error

    def write(self, text: str) -> bytes:
        try:
            return mqtt.packet(_fields(text, "type"))
        except ValueError as error:
            raise WireError(str(error)) from error

    def reply(self, message: Message) -> str | None:
        if message.type == "publish" and message.number("qos") == 1:
            return json.dumps({"type": "puback", "packet_id": message.number("packet_id")})
        return None


WIRES: Mapping[str, Callable[[], Wire]] = {
    "json": Wire,
    "graphql": GraphQL,
    "phoenix": Phoenix,
    "signalr": SignalR,
    "socket.io": SocketIO,
    "stomp": Stomp,
    "mqtt": Mqtt,
}


def faults(wire: str, texts: Sequence[str]) -> Iterator[tuple[int, str]]:
    """Which of a script's messages the wire cannot carry, and why."""
    for at, text in enumerate(texts):
        try:
            WIRES[wire]().write(text)
        except WireError as error:
            yield at, str(error)


def _json(text: str) -> Any:
    try:
        return json.loads(text) if text else None
    except (ValueError, RecursionError):
        return None


def _fields(text: str, *needed: str) -> dict[str, Any]:
    value = _json(text)
    if not isinstance(value, dict):
        raise WireError("is no mapping. Write for example {type: connect}")
    for name in needed:
        if not isinstance(value.get(name), str):
            raise WireError(f"has no {name}. Write for example {{{name}: connect}}")
    return value
