"""STOMP 1.2 frames as fields: {"type": "connected", "headers": {...}, "body": "..."}. Pure."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

_ESCAPES = {"\\": "\\\\", "\r": "\\r", "\n": "\\n", ":": "\\c"}
_PLAIN = {escaped: plain for plain, escaped in _ESCAPES.items()}
_UNESCAPED = ("connect", "connected")  # section "Value Encoding"
_COMMAND = re.compile(r"[a-z]+")
_FRAME = re.compile(r"[^\0]+")
_MAX_HEADERS = 200


def frame(fields: Mapping[str, Any]) -> str:
    """The frame that carries the fields. Raises ValueError."""
    command, headers, body = fields["type"], fields.get("headers", {}), fields.get("body", "")
    if not _COMMAND.fullmatch(command):
        raise ValueError(f"{command!r} is no command. Write it in small letters, for example send")
    if not isinstance(headers, dict) or not isinstance(body, str) or "\0" in body:
        raise ValueError("headers must be a mapping, and body a text without NUL")
    lines = [command.upper()]
    for name, value in headers.items():
        lines.append(f"{_escaped(name, command)}:{_escaped(str(value), command)}")
    return "\n".join([*lines, "", body]) + "\0"


def frames(text: str) -> Iterator[tuple[str, dict[str, Any] | None]]:
    """The frames of one message, each with its own text; heart-beats (line ends between frames) are none."""
    for found in _FRAME.finditer(text):
        if shown := found.group().lstrip("\r\n"):
            yield shown, _fields(shown)


def _fields(part: str) -> dict[str, Any] | None:
    head, separator, body = part.replace("\r\n", "\n").partition("\n\n")
    command, *lines = head.split("\n")
    kind = command.lower()
    if not separator or not _COMMAND.fullmatch(kind):
        return None
    headers: dict[str, str] = {}
    for line in lines[:_MAX_HEADERS]:
        name, _, value = line.partition(":")
        headers.setdefault(_plain(name, kind), _plain(value, kind))  # the first of a repeated header counts
    return {"type": kind, "headers": headers, "body": body}


def _escaped(text: str, command: str) -> str:
    if command in _UNESCAPED:
        if "\n" in text or "\r" in text:
            raise ValueError("a header of connect holds a line end")
        return text
    return "".join(_ESCAPES.get(character, character) for character in text)


def _plain(text: str, command: str) -> str:
    if command in _UNESCAPED or "\\" not in text:
        return text
    return re.sub(r"\\[\\rnc]", lambda found: _PLAIN[found.group()], text)
