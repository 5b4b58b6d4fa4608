"""Which targets the overview shows, in which order and groups: all of it stands in the address. Pure.

static/js/overview_view.js arranges rows by the same rules while the page is open.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import NamedTuple, Self
from urllib.parse import urlencode

from dashboard import sentences
from dashboard.queries.overview import Row

GROUPS = {"": "None", "environment": "Environment", "location": "Location", "tag": "Tag"}
SORTS = {"": "Needs a person", "name": "Name", "ready": "Ready p95", "change": "Last change"}
LONGEST_SEARCH = 100
"""Characters; what is longer is cut."""
_TOLD = ("down", "degraded", "stale")
"""The states that a group's heading counts."""


@dataclass(frozen=True, slots=True)
class Choices:
    """What there is to choose from: key -> name, in the order shown."""

    environments: Mapping[str, str]
    locations: Mapping[str, str]
    tags: Sequence[str]


class Placed(NamedTuple):
    """A row in its place; one that no filter matches is there, but hidden."""

    row: Row
    hidden: bool


class Section(NamedTuple):
    """Rows under a heading; without groups there is one section, with the key ""."""

    key: str
    label: str
    rows: Sequence[Placed]

    @property
    def hidden(self) -> bool:
        return all(placed.hidden for placed in self.rows)

    @property
    def summary(self) -> str:
        """What the rows that are shown are: "12 targets, 1 down"."""
        states = Counter(placed.row.state for placed in self.rows if not placed.hidden)
        told = [f"{states[state]} {sentences.STATE_WORDS[state].lower()}" for state in _TOLD if states[state]]
        return ", ".join([f"{states.total()} target{'' if states.total() == 1 else 's'}", *told])


@dataclass(frozen=True, slots=True)
class Arrangement:
    """What was asked for. "" is the default of each, and is left out of the address."""

    state: str = ""
    env: str = ""
    location: str = ""
    tag: str = ""
    q: str = ""
    group: str = ""
    sort: str = ""

    @classmethod
    def asked(cls, query: Mapping[str, str], choices: Choices) -> Self:
        """What an address asks for; a value that does not exist counts as none."""
        known = {
            "state": sentences.STATE_WORDS, "env": choices.environments, "location": choices.locations,
            "tag": choices.tags, "group": GROUPS, "sort": SORTS,
        }  # fmt: skip
        found = {name: value for name, values in known.items() if (value := query.get(name, "")) in values}
        return cls(q=query.get("q", "").strip()[:LONGEST_SEARCH], **found)

    def address(self, **changes: str) -> str:
        """The page with these changes."""
        wanted = replace(self, **changes)
        query = {each.name: value for each in fields(wanted) if (value := getattr(wanted, each.name))}
        return f"/?{urlencode(query)}" if query else "/"

    @property
    def cleared(self) -> str:
        """The address without filters; order and groups stay."""
        return self.address(state="", env="", location="", tag="", q="")

    def matches(self, row: Row) -> bool:
        """Whether the row is shown. Each word of the search has to occur in what the row says of itself."""
        if self.state not in ("", row.state) or self.env not in ("", row.environment):
            return False
        if (self.location and self.location not in row.locations) or (self.tag and self.tag not in row.tags):
            return False
        text = " ".join((row.name, row.slug, row.environment_name, *row.tags, *row.locations)).lower()
        return all(word in text for word in self.q.lower().split())

    def sections(self, rows: Sequence[Row], choices: Choices) -> list[Section]:
        """The rows, given worst first, in their order and groups. A group stands where its first row stands.

        By tag, a target is in the group of each of its tags. By location, in that of all its locations together: its
        state is theirs together.
        """
        grouped: dict[str, list[Placed]] = {}
        for row in self._sorted(rows):
            placed = Placed(row, hidden=not self.matches(row))
            for key in self._keys(row):
                grouped.setdefault(key, []).append(placed)
        return [Section(key, self._label(key, choices), placed) for key, placed in grouped.items()]

    def _sorted(self, rows: Sequence[Row]) -> Sequence[Row]:
        if self.sort == "name":
            return sorted(rows, key=lambda row: row.name.lower())
        if self.sort == "ready":
            return sorted(rows, key=lambda row: -row.p95_us)
        if self.sort == "change":
            return sorted(rows, key=lambda row: row.change_at, reverse=True)
        return rows

    def _keys(self, row: Row) -> Iterable[str]:
        if self.group == "tag":
            return row.tags or ("",)
        if self.group == "location":
            return (",".join(row.locations),)
        return (row.environment if self.group == "environment" else "",)

    def _label(self, key: str, choices: Choices) -> str:
        if not key:
            return f"No {self.group}"
        if self.group == "environment":
            return choices.environments[key]
        return joined([choices.locations[each] for each in key.split(",")]) if self.group == "location" else key


def joined(names: Sequence[str]) -> str:
    """ "Local", "Local and Tokyo", "Local, Oslo and Tokyo"."""
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def choices_of(rows: Iterable[Row], locations: Mapping[str, str]) -> Choices:
    """What these rows can be narrowed to. `locations`: key -> name."""
    rows = list(rows)
    environments = sorted({row.environment: row.environment_name.capitalize() for row in rows}.items())
    used = {key for row in rows for key in row.locations}
    return Choices(
        dict(environments),
        {key: name for key, name in locations.items() if key in used},
        sorted({tag for row in rows for tag in row.tags}),
    )
