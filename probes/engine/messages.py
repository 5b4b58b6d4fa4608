"""What one message of a server is: JSON or not, whose run it belongs to, an error or not. Trusts nothing it reads."""

import json
from typing import Any

from jmespath.exceptions import JMESPathError

from probes.engine.outcome import EventDefect
from probes.engine.steps import matcher

_MAX_NUMBER = 1 << 63
_COMPARABLE = (str, int)
_SPACE = " \t\n\r"  # RFC 8259 section 2
_decode = json.JSONDecoder().raw_decode
_MAX_CONTAINERS = 50_000  # an empty object of two bytes costs thirty times as much in memory


class Message:
    """A message: its text, and its fields where it is a JSON object."""

    __slots__ = ("exact", "fields", "is_error", "seq", "shown", "text", "type")

    def __init__(self, text: str, fields: dict[str, Any] | None, *, exact: bool) -> None:
        """`exact`: whether the read that carried it ended with it, so that the read's time is its own."""
        self.text = text
        self.fields = fields
        self.exact = exact
        kind = None if fields is None else fields.get("type")
        self.type: str = kind if isinstance(kind, str) else ""
        """Its JSON `type`, or ""."""
        self.is_error = self.type.endswith("error") and (self.type == "error" or self.type.endswith("_error"))
        """Whether the server says that something failed: `{"type": "error"}` or a type that ends so."""
        self.seq = None if fields is None else whole(fields.get("seq"))
        self.shown: EventDefect | None = None
        """The defect that its sequence number shows."""

    def number(self, name: str) -> int | None:
        """A whole number from 0 to 2^63 - 1, else None."""
        return None if self.fields is None else whole(self.fields.get(name))

    def word(self, name: str) -> str:
        """A text field, or ""."""
        value = None if self.fields is None else self.fields.get(name)
        return value if isinstance(value, str) else ""

    def key(self, name: str) -> str | int | None:
        """A value that can be compared with another; None for anything else."""
        value = None if self.fields is None else self.fields.get(name)
        return value if isinstance(value, _COMPARABLE) else None

    def matches(self, expression: str) -> bool:
        """Whether a JMESPath expression holds for it."""
        if self.fields is None:
            return False
        try:
            return bool(matcher(expression).search(self.fields))
        except (JMESPathError, RecursionError):
            return False  # the expression does not fit this message


def read(text: str, *, exact: bool) -> Message:
    """The message in a frame's text. What is no JSON object is a text like any other, and so is one whose parsing
    would cost a multiple of its size."""
    start = 0 if text[:1] == "{" else len(text) - len(text.lstrip(_SPACE))
    if text[start : start + 1] != "{" or _crowded(text):
        return Message(text, None, exact=exact)
    try:
        fields, end = _decode(text, start)
    except (ValueError, RecursionError):
        return Message(text, None, exact=exact)
    return Message(text, None if end < len(text) and text[end:].strip(_SPACE) else fields, exact=exact)


def message_of(text: str, fields: dict[str, Any] | None, *, exact: bool) -> Message:
    """A message whose fields are known."""
    return Message(text, fields, exact=exact)


def _crowded(text: str) -> bool:
    return len(text) > 2 * _MAX_CONTAINERS and text.count("{") + text.count("[") > _MAX_CONTAINERS


def whole(value: object) -> int | None:
    """A whole number from 0 to 2^63 - 1, as a number or as decimal digits; else None."""
    if type(value) is int:
        return value if 0 <= value < _MAX_NUMBER else None
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 20:
        return whole(int(value))
    return None
