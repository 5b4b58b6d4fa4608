"""Two people changed one thing: their changes, field by field, together. Pure.

`base` is what both saw, `theirs` what the first has saved meanwhile, `yours` what the second asks for. A field that
only one of them changed has that change; one that both changed alike has it once; one that both changed otherwise is a
conflict, which keeps `theirs` until a person chooses. Nothing of either is lost: every change stands in `fields`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from connections.flags.versions import Definition, same

Path = tuple[str, ...]
WHOLE = frozenset({"targeting", "schema", "tags"})
"""Fields that mean something only as a whole: half of two people's rules is nobody's rule."""


class Absent(Enum):
    """What a field is where it is not: other than null, which JSON has too."""

    ABSENT = "absent"


ABSENT = Absent.ABSENT


@dataclass(frozen=True)
class MergedField:
    """One field that somebody changed. ABSENT on a side: it is not there."""

    path: Path
    base: Any
    theirs: Any
    yours: Any

    @property
    def name(self) -> str:
        """As people write it: "variants.fast.ms"; "" for the flag as a whole."""
        return ".".join(self.path)

    @property
    def by(self) -> str:
        """Who changed it: "theirs", "yours", or "both"."""
        if _same(self.theirs, self.base):
            return "yours"
        return "theirs" if _same(self.yours, self.base) else "both"

    @property
    def conflict(self) -> bool:
        """Both changed it, and not to the same."""
        return self.by == "both" and not _same(self.theirs, self.yours)

    @property
    def merged(self) -> Any:
        """What the merge has here; in a conflict, theirs."""
        return self.yours if self.by == "yours" else self.theirs


@dataclass(frozen=True)
class Merged:
    """A definition with both people's changes; None: the flag is removed."""

    definition: dict[str, Any] | None
    fields: tuple[MergedField, ...]

    @property
    def conflicts(self) -> tuple[MergedField, ...]:
        """What a person has to choose."""
        return tuple(field for field in self.fields if field.conflict)


def merge3(
    base: Definition | None,
    theirs: Definition | None,
    yours: Definition | None,
    *,
    choose: Mapping[str, str] | None = None,
) -> Merged:
    """Merge two changes of one definition; None: the flag is not there on that side.

    `choose` settles conflicts: field name -> "theirs" or "yours". What comes out has still to be checked as every
    definition has: one may have removed the variant that the other made the default.
    """
    chosen = choose or {}
    fields = tuple(_fields((), _or_absent(base), _or_absent(theirs), _or_absent(yours)))
    merged: Any = _or_absent(theirs)
    for field in fields:
        take_yours = field.by == "yours" or (field.conflict and chosen.get(field.name) == "yours")
        if take_yours:
            merged = _with(merged, field.path, field.yours)
    return Merged(None if merged is ABSENT else merged, fields)


def merge_sets(
    base: Mapping[str, Definition], theirs: Mapping[str, Definition], yours: Mapping[str, Definition | None]
) -> dict[str, Merged]:
    """Merge the flags that `yours` changes (None: removes), flag by flag. Others stay as theirs."""
    return {key: merge3(base.get(key), theirs.get(key), yours[key]) for key in sorted(yours)}


def _fields(path: Path, base: Any, theirs: Any, yours: Any) -> Iterator[MergedField]:
    if _same(base, theirs) and _same(base, yours):
        return
    sides = (base, theirs, yours)
    divisible = all(isinstance(side, Mapping) for side in sides) and not (path and path[-1] in WHOLE and len(path) == 1)
    if not divisible:
        yield MergedField(path, *sides)
        return
    for name in sorted({*base, *theirs, *yours}):
        yield from _fields((*path, name), *(side.get(name, ABSENT) for side in sides))


def _with(value: Any, path: Path, leaf: Any) -> Any:
    """A copy of `value` with another leaf; ABSENT takes it away."""
    if not path:
        return leaf
    body = dict(value)
    name, rest = path[0], path[1:]
    if not rest and leaf is ABSENT:
        body.pop(name, None)
    else:
        body[name] = _with(body.get(name), rest, leaf)
    return body


def _same(left: Any, right: Any) -> bool:
    if left is ABSENT or right is ABSENT:
        return left is right
    return same(left, right)


def _or_absent(definition: Definition | None) -> Any:
    return ABSENT if definition is None else definition
