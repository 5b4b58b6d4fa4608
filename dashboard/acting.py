"""One act on flags as data: what it would change, where it leads, and what it therefore asks of the person."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from connections.flags.control import Preview
from connections.flags.versions import FlagDiff
from connections.models import BreakGlass, Environment, Ramp, Revision, Version

CHIPS = ("Answers vanish mid-conversation", "Accepted but not ready", "Trying another strategy")


_GERUNDS = {
    "Restore": "Restoring",
    "Propose": "Proposing",
    "Run": "Running",
    "Set": "Setting",
    "Change": "Changing",
    "Promote": "Promoting",
}


class Towards(Enum):
    """Where an act leads: back to what was served before, or to something new."""

    KNOWN = "known"
    NEW = "new"


@dataclass(frozen=True)
class Move:
    """What one flag serves before and after, in words."""

    flag: str
    before: str
    after: str


@dataclass(frozen=True)
class Act:
    """One act as its page shows it. `perform(author, reason, expected_version)` raises FlagError."""

    environment: Environment
    title: str
    verb: str
    """Begins the button, which then names the place: "Undo revision 42" in staging."""
    lede: str
    preview: Preview
    towards: Towards
    perform: Callable[[str, str, int], Version | Revision | Ramp]
    address: str
    back: str
    hidden: Mapping[str, str] = field(default_factory=dict)
    chips: tuple[str, ...] = CHIPS
    theirs: tuple[FlagDiff, ...] = ()
    """What others changed since the person opened the page."""
    page: str = "acts/page.html"
    extra: Mapping[str, Any] = field(default_factory=dict)
    proposes: bool = False
    """It waits for a second person; `act_page` finds out."""
    glass: BreakGlass | None = None
    """Under which this person acts alone."""
    moves: tuple[Move, ...] = ()
    """What is served before and after, where no definition says so: kills, ramps."""
    notes: tuple[str, ...] = ()
    """What else the person should know before they act."""
    serves_same: bool = False
    """It makes no revision: nobody is served anything else."""
    fields: str = ""
    """A template with more fields for the form."""
    direction: str = "in"
    """Between the verb and the place: a flag is changed in production, and promoted to it."""

    @property
    def button(self) -> str:
        place = f"{self.direction} {self.environment.name.lower()}"
        if self.proposes:
            return f"Propose to {self.verb[:1].lower()}{self.verb[1:]} {place}"
        return f"{self.verb} {place}"

    @property
    def sending(self) -> str:
        """What the button says while the answer is awaited: "Undoing…"."""
        word = "Propose" if self.proposes else self.verb.partition(" ")[0]
        return f"{_GERUNDS.get(word, f'{word}ing')}…"

    @property
    def possible(self) -> bool:
        """It would change something."""
        return bool(self.preview.diffs or self.preview.ends or self.moves)

    @property
    def moved(self) -> list[dict[str, Any]]:
        """The moves as the template of differences reads them."""
        return [{"key": one.flag, "pairs": [("", one.before, one.after)]} for one in self.moves]

    @property
    def asks_tick(self) -> bool:
        return self.environment.is_production and self.towards is Towards.KNOWN

    @property
    def asks_name(self) -> bool:
        return self.environment.is_production and self.towards is Towards.NEW and not self.proposes
