"""A file's values together with the lines on which they stand, so that a mistake is told with its place. Pure."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from connections.flags.definitions import check
from connections.flags.errors import BadDefinition, FlagError
from connections.flags.versions import Definition

Path = tuple[str | int, ...]
MOST_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True)
class Place:
    """Where in a file: `path` from its top; `line` from 1, 0 where it is not known."""

    path: Path
    line: int

    def __str__(self) -> str:
        field = ".".join(str(part) for part in self.path)
        return ", ".join(part for part in (f"line {self.line}" if self.line else "", field[:200]) if part)


class BadFile(FlagError):  # noqa: N818 - named as the other errors of flags are
    """A file that cannot be imported. `place`: where in it."""

    def __init__(self, place: Place, message: str) -> None:
        where = str(place)
        super().__init__("file", f"{where}: {message}." if where else f"{message}.", "Nothing was changed.")
        self.place = place


@dataclass(frozen=True)
class Parsed:
    """A flag set read from a file. `line`: the line of a path, 0 where it is not known."""

    flags: Mapping[str, Any]
    line: Callable[[Path], int]
    root: Path = ("flags",)

    def place(self, *path: str | int) -> Place:
        """The place of a path below the flags, or of the nearest thing above it that has a line."""
        whole: Path = (*self.root, *path)
        known = next((whole[:length] for length in range(len(whole), 0, -1) if self.line(whole[:length])), whole)
        return Place(whole, self.line(known))


def size_checked(text: str) -> str:
    """Raises BadFile for a file that no flag set fills."""
    if len(text) > MOST_BYTES:
        raise BadFile(Place((), 0), f"a file has at most {MOST_BYTES} characters")
    return text


def checked(parsed: Parsed) -> dict[str, Definition]:
    """The definitions, each one that clients understand. Raises BadFile for the first that is not."""
    for key, definition in parsed.flags.items():
        if not isinstance(definition, Mapping):
            raise BadFile(parsed.place(key), "a flag is an object with state, variants and defaultVariant")
        try:
            check(key, definition)
        except BadDefinition as error:
            raise blamed(parsed, error) from None
    return dict(parsed.flags)


def blamed(parsed: Parsed, error: BadDefinition) -> BadFile:
    """The place in the file of what is wrong with one of its definitions."""
    return BadFile(parsed.place(error.flag, *_field(error, parsed.flags.get(error.flag, {}))), _told(error))


def _told(error: BadDefinition) -> str:
    return error.message.removeprefix(f"{error.flag}: ").removesuffix(".")


def _field(error: BadDefinition, definition: Mapping[str, Any]) -> Path:
    """The field that a message speaks of: its first word that names one, as in "defaultVariant is one of the ..."."""
    words = [word.strip(":,'\"") for word in _told(error).split()]
    for word in words:
        path = ("variants",) if word == "variant" else tuple(word.split("."))
        if path[0] in definition or path[0] in ("state", "variants"):
            return path
    return ()
