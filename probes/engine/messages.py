"""What one message of a server is: JSON or not, whose run it belongs to, an error or not. Trusts nothing it reads."""

import json
from dataclasses import dataclass
from typing import Any

from jmespath.exceptions import JMESPathError

from probes.engine.outcome import EventDefect
from probes.engine.steps import matcher

_MAX_NUMBER = 1 << 63
_MAX_CONTAINERS = 50_000  # an empty object of two bytes costs thirty times as much in memory


@dataclass(slots=True)
class Message:
    """A message: its text, and its fields where it is a JSON object."""

    text: str
    fields: dict[str, Any] | None
    exact: bool
    """Whether the read that carried it ended with it, so that the read's time is its own."""
    seq: int | None = None
    shown: EventDefect | None = None
    """The defect that its sequence number shows."""

    @property
    def type(self) -> str:
        """Its JSON `type`, or ""."""
        kind = None if self.fields is None else self.fields.get("type")
        return kind if isinstance(kind, str) else ""

    @property
    def is_error(self) -> bool:
        """Whether the server says that something failed: `{"type": "error"}` or a type that ends so."""
        return self.type == "error" or self.type.endswith("_error")

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
        return value if isinstance(value, str | int) else None

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
    fields = None
    if (text.startswith("{") or text.lstrip().startswith("{")) and not _crowded(text):
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            value = None
        fields = value if isinstance(value, dict) else None
    return message_of(text, fields, exact=exact)


def message_of(text: str, fields: dict[str, Any] | None, *, exact: bool) -> Message:
    """A message whose fields are known."""
    return Message(text, fields, exact, whole(fields.get("seq")) if fields else None)


def _crowded(text: str) -> bool:
    return len(text) > 2 * _MAX_CONTAINERS and text.count("{") + text.count("[") > _MAX_CONTAINERS


def whole(value: object) -> int | None:
    """A whole number from 0 to 2^63 - 1, as a number or as decimal digits; else None."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 20:
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _MAX_NUMBER:
        return value
    return None
