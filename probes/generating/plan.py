"""What happened to whom and when: the same seed, span and number of targets give the same plan. Pure."""

import random
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise

SAFE, BAD = "dependency_gate", ("immediate", "fixed_delay", "progressive_delay")
"""The strategy that is served nearly always, and those that somebody tries now and then."""
PROFILES = 12
"""How soon services answer: so many levels between `FASTEST_MS` and `SLOWEST_MS`."""
FASTEST_MS, SLOWEST_MS = 35.0, 420.0
DAYS_BETWEEN_CHANGES = 2.0
"""A try of another strategy in each environment; somebody takes it back within the hour."""
DAYS_BETWEEN_DEPLOYS = 1.5
"""In each environment; every third makes its service slow until the next one, minutes later."""
DAYS_BETWEEN_FAULTS = 10.0
"""Faults of one target alone, on average."""
TRIED = (timedelta(minutes=8), timedelta(minutes=40))
"""How long a bad change is served before somebody takes it back."""
LAST_CHANGE = timedelta(minutes=16)
"""Before the end: a change that is still served, so that the history ends with something to cure."""
PEOPLE = ("Mara Kovač", "Jon Ek", "Ifeoma Obi", "Sam Lindqvist")
_NAMES = (
    "Chat", "Voice signalling", "Notifications", "Live prices", "Presence", "Order book", "Match feed", "Collaboration",
    "Telemetry", "Whiteboard", "Support desk", "Game lobby", "Fleet positions", "Alerts", "Auction",
)  # fmt: skip
_REASONS = ("faster first token", "try less waiting", "shorten the handshake", "compare with last week")


@dataclass(frozen=True, slots=True)
class Place:
    """An environment of generated targets alone."""

    key: str
    name: str
    production: bool


PLACES = (
    Place("generated-staging", "Staging (generated)", production=False),
    Place("generated-production", "Production (generated)", production=True),
)
"""Their flags have a history of their own, so no flag that anybody serves is touched."""


@dataclass(frozen=True, slots=True)
class Service:
    """One generated target."""

    slug: str
    name: str
    place: str
    profile: int
    """Of `PROFILES`: how soon it answers."""
    delicate: bool
    """Connections fail while a bad strategy is served; the others are ready before anybody asks."""

    @property
    def ready_ms(self) -> float:
        """The median of its race window while all is well."""
        step: float = (SLOWEST_MS / FASTEST_MS) ** (self.profile / (PROFILES - 1))
        return FASTEST_MS * step


@dataclass(frozen=True, slots=True)
class Change:
    """A strategy that somebody let an environment serve."""

    at: datetime
    place: str
    strategy: str
    author: str
    reason: str


@dataclass(frozen=True, slots=True)
class Deploy:
    """A version of a service that somebody rolled out."""

    at: datetime
    place: str
    service: str
    version: str
    who: str


@dataclass(frozen=True, slots=True)
class Episode:
    """A time in which a target was not well. `sort` is one of `answers.SORTS`; `share` of the probes fail."""

    start: datetime
    end: datetime
    sort: str
    share: float


@dataclass(frozen=True)
class Plan:
    """Everything that happens between two instants, in order of time."""

    start: datetime
    end: datetime
    services: Sequence[Service]
    changes: dict[str, list[Change]] = field(default_factory=dict)
    """By environment; the first stands at `start`."""
    deploys: Sequence[Deploy] = ()
    episodes: dict[str, list[Episode]] = field(default_factory=dict)
    """By slug."""

    def served(self, place: str, at: datetime) -> tuple[str, int]:
        """The strategy and the revision that an environment served then."""
        changes = self.changes[place]
        number = max(1, bisect_right(changes, at, key=lambda change: change.at))
        return changes[number - 1].strategy, number

    def episode(self, slug: str, at: datetime) -> Episode | None:
        """What the target suffered from then; of several the first."""
        return next((each for each in self.episodes[slug] if each.start <= at < each.end), None)

    def eventful(self, service: Service, start: datetime, end: datetime) -> bool:
        """Whether anything begins, lasts or changes for a service within [start, end)."""
        if any(start <= change.at < end for change in self.changes[service.place]):
            return True
        return any(each.start < end and each.end > start for each in self.episodes[service.slug])


def chance_of(*parts: object) -> random.Random:
    """A source of chance that the same parts always begin alike."""
    return random.Random("/".join(map(str, parts)))  # noqa: S311  nothing here is a secret


def plan(seed: int, targets: int, start: datetime, end: datetime) -> Plan:
    """A plan of `targets` services over [start, end)."""
    services = [_service(index) for index in range(targets)]
    changes = {place.key: _changes(chance_of(seed, place.key), place, start, end) for place in PLACES}
    deploys = sorted(
        (
            deploy
            for place in PLACES
            for deploy in _deploys(chance_of(seed, "deploys", place.key), place, services, start, end)
        ),
        key=lambda deploy: deploy.at,
    )
    made = Plan(start, end, services, changes, deploys)
    for service in services:
        found = [*_alone(chance_of(seed, service.slug), start, end), *_after_deploys(service, deploys)]
        found += _under_bad(service, changes[service.place], end)
        made.episodes[service.slug] = sorted(found, key=lambda episode: episode.start)
    return made


def _service(index: int) -> Service:
    round_, place = index // len(_NAMES), PLACES[0 if index % 4 == 3 else 1]
    name = _NAMES[index % len(_NAMES)] + (f" {round_ + 1}" if round_ else "")
    slug = f"generated-{name.lower().replace(' ', '-')}"
    return Service(slug, name, place.key, profile=index * 5 % PROFILES, delicate=index % 3 == 0)


def _changes(chance: random.Random, place: Place, start: datetime, end: datetime) -> list[Change]:
    """The first flags, then pairs: somebody tries another strategy, somebody takes it back. In staging the last try is
    still served."""
    found = [Change(start, place.key, SAFE, "readywire", "The flags that Readywire brings.")]
    last = end - LAST_CHANGE
    for at in _instants(chance, start, last - 2 * TRIED[1], DAYS_BETWEEN_CHANGES):
        back = at + _between(chance, *TRIED)
        if at <= found[-1].at:
            continue
        found.append(Change(at, place.key, chance.choice(BAD), chance.choice(PEOPLE), chance.choice(_REASONS)))
        found.append(Change(back, place.key, SAFE, chance.choice(PEOPLE), "answers vanish, going back"))
    if not place.production and last > start:
        found.append(Change(last, place.key, BAD[0], PEOPLE[1], _REASONS[0]))
    return found


def _deploys(
    chance: random.Random, place: Place, services: Sequence[Service], start: datetime, end: datetime
) -> Iterator[Deploy]:
    here = [service for service in services if service.place == place.key]
    if not here:
        return
    for number, at in enumerate(_instants(chance, start, end - TRIED[1], DAYS_BETWEEN_DEPLOYS)):
        service = chance.choice(here)
        yield Deploy(at, place.key, service.slug, f"5.{number}.0", chance.choice(PEOPLE))
        if number % 3 == 2:
            fixed = at + _between(chance, timedelta(minutes=12), TRIED[1])
            yield Deploy(fixed, place.key, service.slug, f"5.{number}.1", chance.choice(PEOPLE))


def _after_deploys(service: Service, deploys: Sequence[Deploy]) -> Iterator[Episode]:
    """A version that was mended within the hour had made its service slow."""
    mine = [deploy for deploy in deploys if deploy.service == service.slug]
    for bad, mended in pairwise(mine):
        if mended.version.endswith(".1"):
            yield Episode(bad.at + timedelta(seconds=40), mended.at + timedelta(seconds=20), "slow", 0.02)


def _under_bad(service: Service, changes: Sequence[Change], end: datetime) -> Iterator[Episode]:
    """Open connections keep what they have; new ones fail from a minute after a bad change on."""
    if not service.delicate:
        return
    for change, following in zip(changes, [*changes[1:], None], strict=True):
        until = following.at if following else end + timedelta(days=365)
        begins = change.at + timedelta(seconds=50)
        if change.strategy != SAFE and begins < until:
            yield Episode(begins, until, "race", 0.25 + 0.05 * (service.profile % 8))


def _alone(chance: random.Random, start: datetime, end: datetime) -> Iterator[Episode]:
    for at in _instants(chance, start, end - TRIED[1], DAYS_BETWEEN_FAULTS):
        sort, shortest, longest, share = chance.choice(_ALONE)
        yield Episode(at, at + _between(chance, timedelta(minutes=shortest), timedelta(minutes=longest)), sort, share)


_ALONE = (
    ("network", 2, 9, 1.0),
    ("refused", 3, 25, 0.9),
    ("lost", 10, 40, 0.12),
    ("slow", 10, 40, 0.03),
    ("missed", 1, 4, 1.0),
)
"""(sort, minutes at least, minutes at most, share of the probes that fail)."""


def _instants(chance: random.Random, start: datetime, end: datetime, days: float) -> Iterator[datetime]:
    """Instants in (start, end) as if each were as likely at any time, on average one in `days`."""
    at = start + timedelta(days=chance.expovariate(1 / days))
    while at < end:
        yield at.replace(microsecond=0)
        at += timedelta(days=chance.expovariate(1 / days))


def _between(chance: random.Random, shortest: timedelta, longest: timedelta) -> timedelta:
    return timedelta(seconds=chance.randint(int(shortest.total_seconds()), int(longest.total_seconds())))
