"""flagd's JSON (flagd.dev/schema/v0/flags.json), out and in. Pure.

In: flags by key or as a list; `$ref` to `$evaluators` is written out, and the set's metadata goes to each flag that has
no own. Out: by key, with neither.
"""

import json
import re
from collections.abc import Callable, Mapping
from functools import cache
from json.decoder import scanstring  # type: ignore[attr-defined]  # undocumented, and there since Python 2.6
from typing import Any

from connections.flags.files.places import BadFile, Parsed, Path, Place, size_checked
from connections.flags.versions import Definition, canonical_json

SCHEMA = "https://flagd.dev/schema/v0/flags.json"
_TOP = ("$schema", "flags", "$evaluators", "metadata")
_DEEPEST = 100
_MOST_NODES = 10_000
_SPACE = re.compile(r"[ \t\n\r]*")
_PLAIN = re.compile(r"[^\s,\]}]+")


class _Twice(Exception):  # noqa: N818
    pass


def write_flagd(definitions: Mapping[str, Definition]) -> str:
    """The flag set as flagd reads it; the same set gives the same bytes."""
    settled = json.loads(canonical_json({"flags": definitions}))
    return json.dumps({"$schema": SCHEMA, **settled}, indent=2, ensure_ascii=False) + "\n"


def read_flagd(text: str) -> Parsed:
    """The flag set in `text`. Raises BadFile with line and field."""
    lines = cache(lambda: _Lines(text))

    def read_line(path: Path) -> int:
        return lines().at.get(path, 0)

    line: Callable[[Path], int] = read_line

    top = _loaded(size_checked(text), lines)
    if not isinstance(top, dict):
        raise BadFile(Place((), 1), 'the file is an object with "flags"')
    for name in top:
        if name not in _TOP:
            raise BadFile(Place((name,), line((name,))), f"no field of flagd's format. It has {', '.join(_TOP)}")
    if isinstance(top.get("flags"), list):
        line = _named(top, line)
    for name in ("flags", "$evaluators", "metadata"):
        if not isinstance(top.get(name, {}), dict) or (name == "flags" and name not in top):
            raise BadFile(Place((name,), line((name,)) or 1), f"{name} is an object")
    flags = {key: _written_out(key, body, top, line) for key, body in top["flags"].items()}
    return Parsed(flags, line)


def _named(top: dict[str, Any], line: Callable[[Path], int]) -> Callable[[Path], int]:
    """flagd's other form, a list of flags with their keys: turned into the first form. Returns where its lines are."""
    places: dict[str, int] = {}
    flags: dict[str, Any] = {}
    for number, body in enumerate(top["flags"]):
        place = Place(("flags", number), line(("flags", number)))
        if not isinstance(body, dict) or not isinstance(body.get("key"), str):
            raise BadFile(place, "a flag in a list is an object with its key")
        if body["key"] in flags:
            raise BadFile(place, f"{body['key'][:100]} stands there twice")
        places[body["key"]] = number
        flags[body["key"]] = {name: value for name, value in body.items() if name != "key"}
    top["flags"] = flags

    def by_key(path: Path) -> int:
        return line(
            (path[0], places.get(str(path[1]), -1), *path[2:]) if len(path) > 1 and path[0] == "flags" else path
        )

    return by_key


def lines_in(text: str) -> Mapping[Path, int]:
    """The line of each member of a JSON text that was parsed before, by its path."""
    return _Lines(text).at if text.strip() else {}


def load_json(text: str) -> Any:
    """One JSON value; refused as a file is, with its line. Raises BadFile."""
    return _loaded(text, cache(lambda: _Lines(text)))


def _loaded(text: str, lines: Any) -> Any:
    try:
        return json.loads(text, object_pairs_hook=_once, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        raise BadFile(Place((), error.lineno), f"no JSON: {error.msg}") from None
    except _Twice:
        place = lines().twice or Place((), 0)
        raise BadFile(place, "stands there twice") from None
    except RecursionError:
        raise BadFile(Place((), 0), f"deeper than {_DEEPEST} levels") from None
    except ValueError as error:
        raise BadFile(Place((), 0), f"no JSON: {error}") from None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise _Twice
    return members


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no number")


def _written_out(key: str, body: Any, top: Mapping[str, Any], line: Any) -> Any:
    """A flag as it stands by itself: references replaced, the set's metadata taken over."""
    if not isinstance(body, dict):
        return body
    if "$ref" in json.dumps(body.get("targeting")):
        place = Place(("flags", key, "targeting"), line(("flags", key, "targeting")))
        body = {**body, "targeting": _References(top.get("$evaluators", {}), place).resolved(body["targeting"])}
    if top.get("metadata") and isinstance(body.get("metadata", {}), dict):
        body = {**body, "metadata": {**top["metadata"], **body.get("metadata", {})}}
    return body


class _References:
    """Puts evaluators where they are referred to; bounded, whatever the file says."""

    def __init__(self, evaluators: Mapping[str, Any], place: Place) -> None:
        self._evaluators = evaluators
        self._place = place
        self._left = _MOST_NODES

    def resolved(self, rule: Any, depth: int = 0) -> Any:
        """`rule` without references. Raises BadFile."""
        self._left -= 1
        if depth > _DEEPEST or self._left < 0:
            raise BadFile(self._place, "references go round in a circle, or too deep")
        if isinstance(rule, list):
            return [self.resolved(inner, depth + 1) for inner in rule]
        if not isinstance(rule, dict):
            return rule
        if set(rule) == {"$ref"}:
            if rule["$ref"] not in list(self._evaluators):
                raise BadFile(self._place, f"$ref: there is no evaluator {rule['$ref']!r}")
            return self.resolved(self._evaluators[rule["$ref"]], depth + 1)
        return {name: self.resolved(inner, depth + 1) for name, inner in rule.items()}


class _Lines:
    """The line of each value of a JSON text that was parsed before; `twice`: the first member that stands twice."""

    def __init__(self, text: str) -> None:
        self.at: dict[Path, int] = {}
        self.twice: Place | None = None
        self._text = text
        self._line, self._counted = 1, 0
        self._value(self._skip(0), ())

    def _skip(self, at: int) -> int:
        found = _SPACE.match(self._text, at)
        return found.end() if found else at

    def _note(self, path: Path, at: int) -> None:
        self._line += self._text.count("\n", self._counted, at)
        self._counted = at
        if path in self.at and self.twice is None:
            self.twice = Place(path, self._line)
        self.at[path] = self._line

    def _value(self, at: int, path: Path) -> int:
        """Note what begins at `at`; returns where it ends."""
        mark = self._text[at]
        if mark == "{" or mark == "[":
            return self._members(at, path, named=mark == "{")
        if mark == '"':
            end: int = scanstring(self._text, at + 1)[1]
            return end
        found = _PLAIN.match(self._text, at)
        return found.end() if found else at + 1

    def _members(self, at: int, path: Path, *, named: bool) -> int:
        at, count = self._skip(at + 1), 0
        while self._text[at] not in "]}":
            begins, name = at, count
            if named:
                name, at = scanstring(self._text, at + 1)
                at = self._skip(self._skip(at) + 1)  # the colon
            inner: Path = (*path, name)
            self._note(inner, begins)
            at = self._skip(self._value(at, inner))
            if self._text[at] == ",":
                at = self._skip(at + 1)
            count += 1
        return at + 1
