"""The syntax of `text_patterns`: what RE2 and Python's `re` read alike. Pure.

Literals, `.`, `[...]`, `\\d \\w \\s` and their opposites (ASCII), `^ $`, `( )`, `(?: )`, `|`, `* + ? {m,n}`, and `(?i)`
at the beginning. Whether a repetition is greedy or lazy makes no difference to a yes or no, so `*?` is `*`.
"""

import string
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

Test = Callable[[str], bool]
MAX_REPEAT = 100
MAX_GROUPS = 20
_WORD = frozenset(string.ascii_letters + string.digits + "_")
_DIGIT = frozenset(string.digits)
_SPACE = frozenset(" \t\n\r\f\v")
_SETS = {"d": _DIGIT, "w": _WORD, "s": _SPACE}
_LITERALS = {"n": "\n", "t": "\t", "r": "\r", "f": "\f", "v": "\v"}


class PatternError(ValueError):
    """A pattern that cannot be used. The message says why."""


class Edge(Enum):
    """A place instead of a character."""

    START = "^"
    END = "$"


@dataclass(frozen=True)
class Character:
    """One character that passes a test."""

    test: Test


@dataclass(frozen=True)
class Sequence:
    """One part after the other; none: the empty text."""

    parts: "tuple[Syntax, ...]"


@dataclass(frozen=True)
class Alternatives:
    """One of several parts."""

    parts: "tuple[Syntax, ...]"


@dataclass(frozen=True)
class Repeated:
    """A part `least` to `most` times; `most` None: without end."""

    inner: "Syntax"
    least: int
    most: int | None


Syntax = Character | Edge | Sequence | Alternatives | Repeated


def parse(pattern: str) -> Syntax:
    """The pattern as a tree. Raises PatternError."""
    insensitive = pattern.startswith("(?i)")
    reader = _Reader(pattern[4:] if insensitive else pattern, insensitive)
    tree = reader.alternatives()
    if reader.at < len(reader.text):
        raise PatternError("a ) without its (")
    return tree


@dataclass(frozen=True)
class _Opposite:
    members: frozenset[str]

    def __contains__(self, character: str) -> bool:
        return character not in self.members


@dataclass(frozen=True)
class _Range:
    first: str
    last: str

    def __contains__(self, character: str) -> bool:
        return self.first <= character <= self.last


Members = frozenset[str] | _Opposite | _Range


class _Reader:
    """Recursive descent over one pattern."""

    def __init__(self, text: str, insensitive: bool) -> None:
        self.text = text
        self.at = 0
        self._insensitive = insensitive
        self._open = 0

    def alternatives(self) -> Syntax:
        parts = [self._sequence()]
        while self._take("|"):
            parts.append(self._sequence())
        return parts[0] if len(parts) == 1 else Alternatives(tuple(parts))

    def _sequence(self) -> Syntax:
        parts: list[Syntax] = []
        while self.at < len(self.text) and self.text[self.at] not in "|)":
            parts.append(self._repeats(self._one()))
        return Sequence(tuple(parts))

    def _one(self) -> Syntax:
        character = self._next()
        match character:
            case "(":
                return self._group()
            case "[":
                return self._class()
            case ".":
                return self._character(lambda one: one != "\n")
            case "^":
                return Edge.START
            case "$":
                return Edge.END
            case "\\":
                return self._character(self._escaped().__contains__)
            case "*" | "+" | "?" | "{":
                raise PatternError(f"nothing stands before {character} that it could repeat")
        return self._character(character.__eq__)

    def _character(self, test: Test) -> Character:
        if self._insensitive:
            return Character(lambda one: test(one) or test(one.lower()) or test(one.upper()))
        return Character(test)

    def _group(self) -> Syntax:
        if self._take("?") and not self._take(":"):
            raise PatternError("(? begins something that cannot be used here: only (?: and, at the beginning, (?i)")
        self._open += 1
        if self._open > MAX_GROUPS:
            raise PatternError(f"groups are nested deeper than {MAX_GROUPS}")
        inner = self.alternatives()
        if not self._take(")"):
            raise PatternError("a ( without its )")
        self._open -= 1
        return inner

    def _repeats(self, inner: Syntax) -> Syntax:
        counts = self._counts()
        if counts is None:
            return inner
        self._take("?")
        if isinstance(inner, Edge):
            raise PatternError(f"{inner.value} cannot be repeated")
        if self.at < len(self.text) and self.text[self.at] in "*+?{":
            raise PatternError("a repetition of a repetition needs a group")
        return Repeated(inner, *counts)

    def _counts(self) -> tuple[int, int | None] | None:
        for sign, counts in {"*": (0, None), "+": (1, None), "?": (0, 1)}.items():
            if self._take(sign):
                return counts
        return self._braces() if self._take("{") else None

    def _braces(self) -> tuple[int, int | None]:
        end = self.text.find("}", self.at)
        least, comma, most = self.text[self.at : end].partition(",")
        if end < 0 or not _is_count(least) or (most and not _is_count(most)):
            raise PatternError("write a count as {3}, {3,} or {3,5}; a { of the text as \\{")
        self.at = end + 1
        highest = int(most) if most else (None if comma else int(least))
        if int(least) > MAX_REPEAT or (highest is not None and not int(least) <= highest <= MAX_REPEAT):
            raise PatternError(f"a count is at most {MAX_REPEAT}, and the second at least the first")
        return int(least), highest

    def _escaped(self) -> frozenset[str] | _Opposite:
        character = self._next()
        if character.lower() in _SETS:
            members = _SETS[character.lower()]
            return members if character.islower() else _Opposite(members)
        if character in _LITERALS:
            return frozenset(_LITERALS[character])
        if character.isascii() and character.isalnum():
            raise PatternError(f"\\{character} cannot be used here")
        return frozenset(character)

    def _class(self) -> Character:
        """What stands between [ and ]."""
        opposite = self._take("^")
        sets: list[Members] = []
        while not sets or not self._take("]"):
            sets.append(self._member())
        within = self._character(lambda one: any(one in each for each in sets))
        return Character(lambda one: not within.test(one)) if opposite else within

    def _member(self) -> Members:
        first = self._class_character()
        following = self.text[self.at : self.at + 2]
        if not isinstance(first, str) or len(following) < 2 or following[0] != "-" or following[1] == "]":
            return frozenset(first) if isinstance(first, str) else first
        self.at += 1
        last = self._class_character()
        if not isinstance(last, str) or last < first:
            raise PatternError("a range in [ ] goes from a character to a later one")
        return _Range(first, last)

    def _class_character(self) -> str | frozenset[str] | _Opposite:
        character = self._next()
        if character == "[":
            raise PatternError("a [ inside [ ] is written \\[")
        if character != "\\":
            return character
        members = self._escaped()
        return next(iter(members)) if isinstance(members, frozenset) and len(members) == 1 else members

    def _next(self) -> str:
        if self.at >= len(self.text):
            raise PatternError("it ends in the middle")
        self.at += 1
        return self.text[self.at - 1]

    def _take(self, character: str) -> bool:
        found = self.text.startswith(character, self.at)
        self.at += found
        return found


def _is_count(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 4
