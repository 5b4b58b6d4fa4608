"""Readywire's YAML, read: plain JSON values with their lines. Pure.

Only `true` and `false` are booleans: `on` and `off` are the names that variants have. Anchors, aliases, tags and a key
that stands twice are refused. Comments are read over and not kept.
"""

import re
from typing import Any

import yaml
from yaml.error import MarkedYAMLError, YAMLError

from connections.flags.files.places import BadFile, Parsed, Path, Place, size_checked
from connections.flags.files.yaml_out import FORMAT

_DEEPEST = 100
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_parse: Any = yaml.parse
_INTEGER = re.compile(r"[-+]?(?:0|[1-9][0-9]*)")
_FLOAT = re.compile(r"[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+|[0-9]+(?=[eE]))(?:[eE][-+]?[0-9]+)?")
_WORDS = {"true": True, "false": False, "null": None, "~": None, "": None}
_LONGEST_NUMBER = 400


def read_yaml(text: str) -> Parsed:
    """The flag set in `text`. Raises BadFile with line and field."""
    builder = _Builder()
    try:
        for event in _parse(size_checked(text), Loader=_LOADER):
            builder.take(event)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise BadFile(Place((), mark.line + 1 if mark else 0), f"no YAML: {error.problem or error.context}") from None
    except YAMLError as error:
        raise BadFile(Place((), 0), f"no YAML: {' '.join(str(error).split())}") from None
    return _flag_set(builder)


def _flag_set(builder: "_Builder") -> Parsed:
    def line(path: Path) -> int:
        return builder.lines.get(path, 0)

    top = builder.value
    if not isinstance(top, dict):
        raise BadFile(Place((), 1), f'the file begins with "format: {FORMAT}" and "flags:"')
    for name in top:
        if name not in ("format", "flags"):
            raise BadFile(Place((name,), line((name,))), "no field of the file. It has format and flags")
    if top.get("format") != FORMAT:
        raise BadFile(Place(("format",), line(("format",)) or 1), f"format is {FORMAT}")
    flags = top.get("flags")
    if not isinstance(flags, dict):
        raise BadFile(Place(("flags",), line(("flags",)) or 1), "flags is an object: a definition for each flag")
    return Parsed(flags, line)


class _Builder:
    """Values from the parser's events, without recursion: nothing in a file can exhaust the stack."""

    def __init__(self) -> None:
        self.value: Any = None
        self.lines: dict[Path, int] = {}
        self._documents = 0
        self._open: list[dict[str, Any] | list[Any]] = []
        self._path: list[str | int] = []
        self._key: str | None = None

    def take(self, event: yaml.Event) -> None:
        line = event.start_mark.line + 1 if event.start_mark else 0
        if isinstance(event, yaml.DocumentStartEvent):
            self._documents += 1
            if self._documents > 1:
                raise BadFile(Place((), line), "one file has one document")
        elif isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
            self._open.pop()
            self._leave()
        elif isinstance(event, yaml.NodeEvent):
            self._node(event, line)

    def _node(self, event: yaml.NodeEvent, line: int) -> None:
        if self._open and isinstance(self._open[-1], dict) and self._key is None:
            self._name(event, line)
            return
        self._enter(line)
        here = Place(tuple(self._path), line)
        tag = getattr(event, "tag", None)
        if isinstance(event, yaml.AliasEvent) or event.anchor or (tag and tag != "!"):
            raise BadFile(here, "anchors, aliases and tags are not read")
        if isinstance(event, yaml.ScalarEvent):
            self._put(_scalar(event, here))
            self._leave()
            return
        if len(self._open) >= _DEEPEST:
            raise BadFile(here, f"deeper than {_DEEPEST} levels")
        inner: dict[str, Any] | list[Any] = {} if isinstance(event, yaml.MappingStartEvent) else []
        self._put(inner)
        self._open.append(inner)
        self._key = None

    def _name(self, event: yaml.NodeEvent, line: int) -> None:
        """The event is a member's name; names are text, whatever they look like."""
        members = self._open[-1]
        if not isinstance(event, yaml.ScalarEvent) or event.anchor or event.tag:
            raise BadFile(Place(tuple(self._path), line), "a member's name is text, without anchor and tag")
        if event.value in members:
            raise BadFile(Place((*self._path, event.value), line), "stands there twice")
        self._key = event.value
        self.lines[(*self._path, event.value)] = line

    def _enter(self, line: int) -> None:
        if not self._open:
            return
        container = self._open[-1]
        if isinstance(container, list):
            self._path.append(len(container))
            self.lines[tuple(self._path)] = line
        else:
            assert self._key is not None  # noqa: S101 - a name comes before its value
            self._path.append(self._key)

    def _put(self, value: Any) -> None:
        if not self._open:
            self.value = value
            return
        container = self._open[-1]
        if isinstance(container, list):
            container.append(value)
        else:
            container[str(self._path[-1])] = value

    def _leave(self) -> None:
        if self._path:
            self._path.pop()
        self._key = None


def _scalar(event: yaml.ScalarEvent, place: Place) -> Any:
    text: str = event.value
    if not event.implicit[0]:
        return text
    if text.lower() in _WORDS and text in (text.lower(), text.upper(), text.capitalize()):
        return _WORDS[text.lower()]
    if len(text) > _LONGEST_NUMBER:
        return text
    if _INTEGER.fullmatch(text):
        return int(text)
    if _FLOAT.fullmatch(text):
        number = float(text)
        if number in (float("inf"), float("-inf")):
            raise BadFile(place, "a number that large is not kept")
        return number
    return text
