"""Readywire's YAML, written. The same flag set gives the same bytes, on every machine and with every library. Pure.

Flags, variants and members are sorted; the fields of a flag stand in a fixed order; text that a reader of YAML 1.1
might take for something else is quoted ("on", "1.0").
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from connections.flags.versions import Definition, canonical_json

FORMAT = "readywire-flags-1"
_ORDER = ("state", "variants", "defaultVariant", "targeting", "metadata")
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_./()+;-]*(?: [A-Za-z0-9_./()+;-]+)*")
_TAKEN = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null"})
_ESCAPED = re.compile(
    "[\x7f-\x9f\xad\u0600-\u0605\u200b-\u200f\u2028-\u202f\u2060-\u206f\ufeff\ufff9-\uffff\ud800-\udfff]"
)
_LONGEST_KEY = 1000
"""YAML wants a longer key marked."""


def write_yaml(definitions: Mapping[str, Definition]) -> str:
    """The flag set as YAML."""
    lines = [f"format: {FORMAT}"]
    settled: dict[str, Any] = json.loads(canonical_json(definitions))
    lines += _member("flags", {key: _ordered(body) for key, body in sorted(settled.items())}, "")
    return "\n".join(lines) + "\n"


def _ordered(body: dict[str, Any]) -> dict[str, Any]:
    return {**{name: body[name] for name in _ORDER if name in body}, **body}


def _member(key: str, value: Any, indent: str) -> Iterator[str]:
    name = _text(key)
    if len(name) > _LONGEST_KEY:
        yield f"{indent}? {name}"
        name = ""
    yield from _after(f"{indent}{name}:", value, indent)


def _after(begun: str, value: Any, indent: str) -> Iterator[str]:
    """The lines of a value whose key, or dash, is `begun`."""
    if isinstance(value, dict) and value:
        yield begun
        for key, inner in value.items():
            yield from _member(key, inner, f"{indent}  ")
    elif isinstance(value, list) and value and not all(_short(inner) for inner in value):
        yield begun
        for inner in value:
            yield from _after(f"{indent}  -", inner, f"{indent}  ")
    else:
        yield f"{begun} {_scalar(value)}"


def _short(value: Any) -> bool:
    return not isinstance(value, dict | list) or not value


def _scalar(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(_scalar(inner) for inner in value)}]"
    if isinstance(value, str):
        return _text(value)
    written = json.dumps(value)
    # YAML 1.1 takes a number for one only with its point.
    return written.replace("e", ".0e") if isinstance(value, float) and "." not in written else written


def _text(value: str) -> str:
    if _PLAIN.fullmatch(value) and value.lower() not in _TAKEN:
        return value
    quoted = json.dumps(value, ensure_ascii=False)
    return _ESCAPED.sub(lambda found: f"\\u{ord(found.group()):04x}", quoted)
