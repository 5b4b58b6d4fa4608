"""MQTT 3.1.1 control packets as fields: {"type": "publish", "topic": "...", "payload": "..."}. Pure. Sections of the
OASIS standard stand beside each."""

import struct
from collections.abc import Callable, Iterator, Mapping
from typing import Any

_PUBLISH, _PUBACK, _SUBSCRIBE, _SUBACK, _PINGREQ, _PINGRESP = 3, 4, 8, 9, 12, 13
_REFUSED = 0x80
_MAX_BYTES = 1_048_576
_MAX_TEXT = 65_535
_CLEAN, _PASSWORD, _USER = 0x02, 0x40, 0x80


def packet(fields: Mapping[str, Any]) -> bytes:
    """The packet that carries the fields. Raises ValueError."""
    kind = fields["type"]
    if kind not in _WRITERS:
        raise ValueError(f"{kind!r} is no packet of a client. Use one of {', '.join(_WRITERS)}")
    try:
        return _WRITERS[kind](fields)
    except (KeyError, TypeError, AttributeError, struct.error) as error:
        raise ValueError(f"{kind}: {error} is absent or of the wrong sort") from error


def packets(data: bytearray) -> Iterator[dict[str, Any]]:
    """Take every whole packet off the front of `data`. Raises ValueError where the bytes are no MQTT."""
    while (head := _head(data)) is not None:
        start, size = head
        if len(data) < start + size:
            return
        first, body = data[0], bytes(data[start : start + size])
        del data[: start + size]
        yield _read(first >> 4, first & 0x0F, body)


def _head(data: bytearray) -> tuple[int, int] | None:
    """Where the body begins, and its length (section 2.2.3); None where that is not yet known."""
    size = 0
    for at in range(4):
        if len(data) < at + 2:
            return None
        size |= (data[at + 1] & 0x7F) << (7 * at)
        if data[at + 1] < 0x80:
            if size > _MAX_BYTES:
                raise ValueError(f"a packet of {size} bytes is longer than {_MAX_BYTES}")
            return at + 2, size
    raise ValueError("a packet's length has more than four bytes")


def _read(kind: int, flags: int, body: bytes) -> dict[str, Any]:
    try:
        reader = _READERS.get(kind)
        return {"type": f"packet_{kind}"} if reader is None else reader(flags, body)
    except (IndexError, struct.error, UnicodeDecodeError) as error:
        raise ValueError(f"a packet of type {kind} is malformed") from error


def _connack(_flags: int, body: bytes) -> dict[str, Any]:  # 3.2
    code = body[1]
    kind = "connack_error" if code else "connack"
    return {"type": kind, "session_present": bool(body[0] & 1), "return_code": code}


def _publish(flags: int, body: bytes) -> dict[str, Any]:  # 3.3
    (size,) = struct.unpack_from("!H", body)
    topic, rest, qos = body[2 : 2 + size].decode(), body[2 + size :], (flags >> 1) & 3
    fields: dict[str, Any] = {"type": "publish", "topic": topic, "qos": qos, "retain": bool(flags & 1)}
    if qos:
        (fields["packet_id"],), rest = struct.unpack_from("!H", rest), rest[2:]
    return {**fields, "payload": rest.decode(errors="replace")}


def _suback(_flags: int, body: bytes) -> dict[str, Any]:  # 3.9
    (number,) = struct.unpack_from("!H", body)
    codes = list(body[2:])
    return {"type": "suback_error" if _REFUSED in codes else "suback", "packet_id": number, "return_codes": codes}


def _puback(_flags: int, body: bytes) -> dict[str, Any]:  # 3.4
    return {"type": "puback", "packet_id": struct.unpack_from("!H", body)[0]}


def _pingresp(_flags: int, _body: bytes) -> dict[str, Any]:  # 3.13
    return {"type": "pingresp"}


_READERS: Mapping[int, Callable[[int, bytes], dict[str, Any]]] = {
    2: _connack,
    _PUBLISH: _publish,
    _PUBACK: _puback,
    _SUBACK: _suback,
    _PINGRESP: _pingresp,
}


def _connect(fields: Mapping[str, Any]) -> bytes:  # 3.1
    flags, payload = _CLEAN if fields.get("clean", True) else 0, _text(fields, "client_id")
    if fields.get("username"):
        flags, payload = flags | _USER, payload + _text(fields, "username")
    if fields.get("password"):
        flags, payload = flags | _PASSWORD, payload + _text(fields, "password")
    return _whole(0x10, b"\x00\x04MQTT" + struct.pack("!BBH", 4, flags, fields.get("keep_alive", 60)) + payload)


def _subscribe(fields: Mapping[str, Any]) -> bytes:  # 3.8
    body = struct.pack("!H", fields.get("packet_id", 1)) + _text(fields, "topic") + bytes([fields.get("qos", 0)])
    return _whole(_SUBSCRIBE << 4 | 2, body)


def _publication(fields: Mapping[str, Any]) -> bytes:
    qos = fields.get("qos", 0)
    if qos not in (0, 1):
        raise ValueError("qos must be 0 or 1")
    number = struct.pack("!H", fields.get("packet_id", 1)) if qos else b""
    return _whole(_PUBLISH << 4 | qos << 1, _text(fields, "topic") + number + fields["payload"].encode())


_WRITERS: Mapping[str, Callable[[Mapping[str, Any]], bytes]] = {
    "connect": _connect,
    "subscribe": _subscribe,
    "publish": _publication,
    "puback": lambda fields: _whole(_PUBACK << 4, struct.pack("!H", fields["packet_id"])),
    "pingreq": lambda _fields: _whole(_PINGREQ << 4, b""),
    "disconnect": lambda _fields: _whole(0xE0, b""),
}


def _text(fields: Mapping[str, Any], name: str) -> bytes:  # 1.5.3
    data: bytes = fields[name].encode()
    if len(data) > _MAX_TEXT:
        raise ValueError(f"{fields['type']}: {name} has {len(data)} bytes, and MQTT carries {_MAX_TEXT}")
    return struct.pack("!H", len(data)) + data


def _whole(first: int, body: bytes) -> bytes:
    size, length = len(body), bytearray()
    while True:
        size, low = size >> 7, size & 0x7F
        length.append(low | 0x80 if size else low)
        if not size:
            return bytes([first]) + bytes(length) + body
