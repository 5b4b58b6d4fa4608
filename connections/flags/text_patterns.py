"""Regular expressions whose cost is bounded, whatever the pattern and the text: the syntax of RE2, no backtracking.

A pattern is compiled to a finite automaton whose states are followed all at once (Thompson 1968; Cox, "Regular
Expression Matching Can Be Simple And Fast"), so a match costs at most MAX_STATES steps per character. What no automaton
can do (back references, look-around) is refused. Pure, and without a dependency: it runs in watched servers.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache

from connections.flags.pattern_syntax import (
    Alternatives,
    Character,
    Edge,
    PatternError,
    Repeated,
    Sequence,
    Syntax,
    parse,
)

__all__ = ["MAX_PATTERN", "MAX_TEXT", "Pattern", "PatternError", "compiled"]

MAX_PATTERN = 200
"""Characters of a pattern."""
MAX_TEXT = 500
"""Characters of a text; a longer one matches nothing and is not looked at."""
MAX_STATES = 200
MAX_REMEMBERED = 10_000
"""States in the steps that one pattern remembers, half a megabyte at most; then it forgets them all."""
MOST_PATTERNS = 128
_MATCH = 0


@dataclass(slots=True)
class _Node:
    """A state. One with `test` consumes a character; one with `edge` needs an end of the text; others just lead on."""

    out: tuple[int, ...] = ()
    test: Callable[[str], bool] | None = None
    edge: Edge | None = None


@dataclass
class Pattern:
    """A compiled pattern."""

    _nodes: list[_Node]
    _first: int
    _remembered: dict[tuple[frozenset[int], str], frozenset[int]] = field(default_factory=dict)
    _size: int = 0

    def found_in(self, text: str) -> bool:
        """Whether the pattern matches anywhere in the text: `^` and `$` tie it to the ends."""
        state = self._closure({self._first}, at_start=True, at_end=not text)
        for at, character in enumerate(text):
            if _MATCH in state:
                return True
            state = self._step(state, character, last=at == len(text) - 1)
        return _MATCH in state

    def _step(self, state: frozenset[int], character: str, *, last: bool) -> frozenset[int]:
        if last:
            return self._closure(self._consumed(state, character), at_start=False, at_end=True)
        key = (state, character)
        following = self._remembered.get(key)
        if following is None:
            following = self._closure(self._consumed(state, character), at_start=False, at_end=False)
            self._size += len(following) + 1
            if self._size > MAX_REMEMBERED:
                self._remembered.clear()
                self._size = len(following) + 1
            self._remembered[key] = following
        return following

    def _consumed(self, state: frozenset[int], character: str) -> set[int]:
        """Where the character leads; a match may begin at every place, so the first state is always among them."""
        nodes = self._nodes
        reached = {self._first}
        for number in state:
            node = nodes[number]
            if node.test is not None and node.test(character):
                reached.update(node.out)
        return reached

    def _closure(self, numbers: set[int], *, at_start: bool, at_end: bool) -> frozenset[int]:
        """Every state that is reached without consuming a character."""
        found: set[int] = set()
        waiting = list(numbers)
        while waiting:
            number = waiting.pop()
            if number in found:
                continue
            found.add(number)
            node = self._nodes[number]
            passable = node.edge is None or (at_start if node.edge is Edge.START else at_end)
            if node.test is None and passable:
                waiting.extend(node.out)
        return frozenset(found)


@lru_cache(maxsize=MOST_PATTERNS)
def compiled(pattern: str) -> Pattern:
    """The pattern, compiled once. Raises PatternError naming what cannot be used."""
    if len(pattern) > MAX_PATTERN:
        raise PatternError(f"a pattern has at most {MAX_PATTERN} characters")
    program = _Program()
    first = program.emit(parse(pattern), _MATCH)
    return Pattern(program.nodes, first)


class _Program:
    """Emits states from the end of the pattern to its beginning: each knows what follows it."""

    def __init__(self) -> None:
        self.nodes = [_Node()]

    def emit(self, part: Syntax, following: int) -> int:
        """The state with which `part` begins, when `following` comes after it."""
        match part:
            case Character(test):
                return self._new(_Node((following,), test))
            case Edge():
                return self._new(_Node((following,), edge=part))
            case Sequence(parts):
                for one in reversed(parts):
                    following = self.emit(one, following)
                return following
            case Alternatives(parts):
                return self._new(_Node(tuple(self.emit(one, following) for one in parts)))
            case Repeated(inner, least, most):
                return self._repeated(inner, least, most, following)

    def _repeated(self, inner: Syntax, least: int, most: int | None, following: int) -> int:
        if most is None:
            loop = self._new(_Node())
            self.nodes[loop].out = (self.emit(inner, loop), following)
            entry = loop
        else:
            entry = following
            for _ in range(most - least):
                entry = self._new(_Node((self.emit(inner, entry), following)))
        for _ in range(least):
            again = self.emit(inner, entry)
            if again == entry:  # nothing is repeated: once is as good as a hundred times
                break
            entry = again
        return entry

    def _new(self, node: _Node) -> int:
        if len(self.nodes) >= MAX_STATES:
            raise PatternError(f"a pattern has at most {MAX_STATES} states: shorten it or lower its repeat counts")
        self.nodes.append(node)
        return len(self.nodes) - 1
