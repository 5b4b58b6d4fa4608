"""Generated history through the product's own recording, so that pages can be seen and tested with data.

By hand, on the data of DATA_DIR: `python -m tests.support.make_history failing --targets 12 --minutes 75 [--follow]`.
"""

import random
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.utils import timezone

from connections import deploys
from connections.flags import control
from connections.models import Revision, Version
from probes.engine.outcome import EventDefect, Events, FailureKind, Frame, Outcome
from probes.engine.script import CRITICAL_EVENTS, Script
from probes.models import Location, Target
from probes.recording import record
from probes.results_stream import Entry
from probes.schedule import offset_of, slots_between
from tests.support import lives_history
from tests.support.server_history import Regime, ReportingServer, server_key

NAMES = (
    "Chat", "Voice signalling", "Notifications", "Live prices", "Presence", "Order book", "Match feed", "Collaboration",
    "Telemetry", "Whiteboard", "Support desk", "Game lobby", "Fleet positions", "Alerts", "Auction",
)  # fmt: skip


@dataclass
class Behaviour:
    """How a target answers. Times before `bad_since` are healthy."""

    ready_ms: float = 60
    bad_since: datetime | None = None
    fail_share: float = 0.0
    slow_factor: float = 1.0
    silent_since: datetime | None = None
    strategy: str = "dependency_gate"
    revision: int = 1
    bad_strategy: str = "dependency_gate"
    bad_revision: int = 1
    rare: float = 0.002
    cured_since: datetime | None = None
    cured_revision: int = 1
    chance: random.Random = field(default_factory=random.Random)

    def outcome(self, slot: datetime) -> Outcome | None:
        """What a probe at `slot` finds; None where none ran."""
        if self.silent_since and slot >= self.silent_since:
            return None
        bad = self.bad_since is not None and slot >= self.bad_since
        strategy, revision = (self.bad_strategy, self.bad_revision) if bad else (self.strategy, self.revision)
        if self.cured_since and slot >= self.cured_since:
            bad, strategy, revision = False, self.strategy, self.cured_revision
        share = self.fail_share if bad else self.rare
        ready = int(self.ready_ms * 1000 * self.chance.lognormvariate(0, 0.18) * (self.slow_factor if bad else 1))
        if self.chance.random() < share:
            return _failed(self.chance, strategy, revision)
        return _ready(self.chance, ready, strategy, revision)


def _marks(chance: random.Random) -> dict[str, int]:
    dns = chance.randint(120, 400)
    tcp = dns + chance.randint(200, 900)
    sent = tcp + chance.randint(20, 60)
    return {"dns_done": dns, "tcp_done": tcp, "request_sent": sent, "upgraded": sent + chance.randint(1500, 6000)}


def _ready(chance: random.Random, ready_us: int, strategy: str, revision: int) -> Outcome:
    marks = _marks(chance)
    marks |= {"claimed": marks["upgraded"] + int(ready_us * 0.7)}
    marks |= {"trigger_sent": marks["claimed"] + 40, "ready": marks["upgraded"] + ready_us}
    arrivals = {event: int(ready_us * 0.3) + 9000 * n for n, event in enumerate(CRITICAL_EVENTS)}
    defects = {"agent_thinking": EventDefect.LATE} if chance.random() < 0.004 else {}
    return _outcome(chance, strategy, revision, marks=marks, events=Events(CRITICAL_EVENTS, arrivals, defects))


def _failed(chance: random.Random, strategy: str, revision: int) -> Outcome:
    marks = _marks(chance)
    kind = FailureKind.NOT_READY if chance.random() < 0.7 else FailureKind.ACCEPT_RACE
    if chance.random() < 0.15:
        ready = marks["upgraded"] + chance.randint(800_000, 1_400_000)
        arrivals = {event: 60_000 + 9000 * n for n, event in enumerate(CRITICAL_EVENTS) if event != "tool_completed"}
        events = Events(CRITICAL_EVENTS, arrivals, {"tool_completed": EventDefect.LOST})
        kind, marks = FailureKind.EVENT_LOST, {**marks, "claimed": marks["upgraded"] + 900, "ready": ready}
    else:
        defects = {CRITICAL_EVENTS[0]: EventDefect.LOST} if kind is FailureKind.ACCEPT_RACE else {}
        events = Events(CRITICAL_EVENTS, {}, defects)
    frames = (
        Frame(
            marks["upgraded"] + 300,
            "in",
            "text",
            '{"type":"connection_ready","connection_id":"c-81f2","mode":"normal"}',
        ),
        Frame(
            marks["upgraded"] + 700, "out", "text", '{"type":"user_message","run_id":"r-5d","text":"readywire probe"}'
        ),
        Frame(marks["upgraded"] + 2200, "in", "text", '{"type":"error","message":"Need to call accept first"}'),
    )
    details = {
        FailureKind.NOT_READY: "The connection was accepted; no answer came to our message within 5 s.",
        FailureKind.ACCEPT_RACE: "The server said: Need to call accept first.",
        FailureKind.EVENT_LOST: "tool_completed is missing: a gap in the sequence numbers.",
    }
    return _outcome(
        chance,
        strategy,
        revision,
        kind=kind,
        phase="ready",
        detail=details[kind],
        marks=marks,
        events=events,
        frames=frames,
    )


def _outcome(chance: random.Random, strategy: str, revision: int, **fields: object) -> Outcome:
    return Outcome(
        start_delay_us=int(chance.lognormvariate(7.2, 0.6)),
        close_code=1000,
        closed_by="us",
        address="127.0.0.1",
        clock="kernel",
        lag_us=chance.randint(40, 900),
        strategy=strategy,
        flags_revision=revision,
        **fields,  # type: ignore[arg-type]
    )


@dataclass
class History:
    """Targets with their behaviours, recorded slot by slot."""

    seed: int = 7
    behaviours: dict[int, Behaviour] = field(default_factory=dict)
    targets: dict[int, Target] = field(default_factory=dict)
    servers: list[ReportingServer] = field(default_factory=list)
    places: dict[int, str] = field(default_factory=dict)
    """The location of those that are not probed from "local"."""

    def add(
        self, slug: str, name: str, environment: str, behaviour: Behaviour, *, began: datetime, **fields: object
    ) -> Target:
        """A target probed every 5 s since `began`."""
        location, _ = Location.objects.get_or_create(key="local", defaults={"name": "Local"})
        values = {"interval_ms": 5000, "deadline_ms": 5000, "ready_objective_ms": 800, **fields}
        target = Target.objects.create(
            slug=slug, name=name, environment_id=environment, url=f"ws://127.0.0.1:8101/ws/{slug}",
            script=Script().to_json(), active_since=began, created_at=began, **values,
        )  # fmt: skip
        target.locations.add(location)
        behaviour.chance = random.Random(f"{self.seed}/{slug}")
        self.behaviours[target.pk], self.targets[target.pk] = behaviour, target
        return target

    def move(self, target: Target, location: str) -> None:
        """Probe a target from another location alone."""
        target.locations.set([Location.objects.get(key=location)])
        self.places[target.pk] = location

    def fill(self, start: datetime, end: datetime, step: timedelta = timedelta(minutes=1)) -> None:
        """Record every slot in (start, end], in batches as a recorder that is behind would have."""
        turns = [regime.at for server in self.servers for regime in server.regimes]
        while start < end:
            # No batch holds both what was before a change and what came after it.
            upto = min(start + step, end, *(turn for turn in turns if turn > start))
            record(self._entries(start, upto), now=upto)
            for server in self.servers:
                server.tell(upto)
            start = upto

    def follow(self, start: datetime) -> None:
        """Go on in real time from `start`, for ever."""
        while True:
            now = timezone.now()
            self.fill(start, now)
            start = now
            time.sleep(0.25)

    def _entries(self, start: datetime, end: datetime) -> Iterator[Entry]:
        for pk, behaviour in self.behaviours.items():
            target = self.targets[pk]
            for slot in slots_between(start, end, target.interval, offset_of(target.slug, target.interval)):
                outcome = behaviour.outcome(slot)
                if outcome is not None:
                    yield Entry(pk, self.places.get(pk, "local"), slot, outcome)


def age_first_revisions(at: datetime) -> None:
    """Let the first flag sets look as old as a real installation's."""
    Revision.objects.filter(cause="initial").update(at=at)
    Version.objects.filter(kind="initial").update(created_at=at)


def change(
    environment: str, values: dict[str, str], at: datetime, author: str = "Jon Ek", reason: str = "faster first token"
) -> int:
    """A change of flags that looks made at `at`; returns the revision."""
    newest = Version.objects.filter(environment_id=environment).order_by("-number").values_list("number", flat=True)[0]
    version = control.change(environment, values, author=author, reason=reason, expected_version=newest)
    Version.objects.filter(pk=version.pk).update(created_at=at)
    revision = Revision.objects.filter(environment_id=environment).order_by("-number")[0]
    Revision.objects.filter(pk=revision.pk).update(at=at)
    return revision.number


def deploy(environment: str, name: str, at: datetime) -> None:
    """A mark of CI: "chat 5.12.0"."""
    service, version = name.split()
    link = f"https://ci.example/{service}/{version}"
    deploys.mark(environment, deploys.Told(service, version, link, "Jon Ek", at), author="token ci", now=timezone.now())


def failing(targets: int, minutes: int, now: datetime) -> History:
    """Staging chat fails after a change, Orders feed is slow, Partner quotes has no results; the others are well.
    A history of an hour or more has deploys: long before the one fault, just before the other."""
    return _failing(targets, minutes, now, None)


def cured(targets: int, minutes: int, now: datetime) -> History:
    """The same, and Mara Klein took the change back four minutes ago."""
    return _failing(targets, minutes, now, now - timedelta(minutes=4))


def _failing(targets: int, minutes: int, now: datetime, undone: datetime | None) -> History:
    history, began = History(), now - timedelta(minutes=minutes)
    age_first_revisions(now - timedelta(days=3))
    changed = now - timedelta(minutes=min(16, minutes * 0.7))
    revision = change("staging", {"readiness-strategy": "immediate"}, changed)
    bad = Behaviour(ready_ms=250, bad_since=changed + timedelta(seconds=50), fail_share=0.62, slow_factor=4.2)
    bad.bad_strategy, bad.bad_revision = "immediate", revision
    if undone:
        bad.cured_since, bad.rare = undone, 0.0
        back = {"readiness-strategy": "dependency_gate"}
        bad.cured_revision = change("staging", back, undone, "Mara Klein", "Answers vanish mid-conversation")
    history.add("staging-chat", "Staging chat", "staging", bad, began=began)
    if targets > 1:
        slow = Behaviour(ready_ms=210, bad_since=now - timedelta(minutes=8), slow_factor=4.6)
        history.add("orders-feed", "Orders feed", "production", slow, began=began, ready_objective_ms=600)
    if targets > 2:
        silent = Behaviour(ready_ms=64, silent_since=now - timedelta(minutes=2))
        history.add("partner-quotes", "Partner quotes", "production", silent, began=began)
    _well(history, max(0, targets - 3), began)
    if minutes >= 60:
        deploy("staging", "chat 5.12.0", now - timedelta(minutes=38))
        deploy("production", "orders-feed 9f2c41d0aa57b3e8c6d1f4027be95a1c0d3e6f88", now - timedelta(minutes=10))
    regimes = [
        Regime(began, 1, "dependency_gate", left=0.03, away=0.004, false_ready=0.0),
        Regime(changed + timedelta(milliseconds=180), revision, "immediate", left=0.31, away=0.0, false_ready=0.58),
    ]
    if undone:
        served = undone + timedelta(milliseconds=180)
        regimes += [Regime(served, bad.cured_revision, "dependency_gate", left=0.03, away=0.004, false_ready=0.0)]
    holder = server_key("staging")
    history.servers = [ReportingServer(holder, f"staging-chat-{number}", regimes) for number in (1, 2)]
    history.fill(began, now)
    return history


def healthy(targets: int, minutes: int, now: datetime) -> History:
    """Every target is up."""
    history, began = History(), now - timedelta(minutes=minutes)
    age_first_revisions(now - timedelta(days=3))
    _well(history, targets, began)
    history.fill(began, now)
    return history


def _well(history: History, targets: int, began: datetime) -> None:
    for index in range(targets):
        name = NAMES[index % len(NAMES)] + (f" {index // len(NAMES) + 1}" if index >= len(NAMES) else "")
        environment = "staging" if index % 4 == 3 else "production"
        behaviour = Behaviour(ready_ms=35 + 13 * (index % 9))
        history.add(name.lower().replace(" ", "-"), name, environment, behaviour, began=began)


def append(slug: str, count: int, *, fail: bool, now: datetime, revision: int = 1) -> None:
    """So many more results of a target, the newest at `now`."""
    target = Target.objects.get(slug=slug)
    behaviour = Behaviour(bad_since=now - timedelta(days=1), fail_share=1.0 if fail else 0.0, rare=0.0)
    behaviour.bad_revision = revision
    slots = [now - timedelta(milliseconds=10 * age) for age in reversed(range(count))]
    found = [(slot, behaviour.outcome(slot)) for slot in slots]
    record([Entry(target.pk, "local", slot, outcome) for slot, outcome in found if outcome], now=now)


def one_round(targets: int, now: datetime) -> None:
    """One new result of each of the first so many targets, in one transaction."""
    behaviour = Behaviour(rare=0.0)
    ids = Target.objects.order_by("pk").values_list("pk", flat=True)[:targets]
    record([Entry(pk, "local", now, outcome) for pk in ids if (outcome := behaviour.outcome(now))], now=now)


def residents(targets: int, minutes: int, now: datetime) -> History:
    """Every target is up; the first keeps four connections, which a balancer, a deployment and a firewall cut."""
    history = healthy(targets, minutes, now)
    target = next(iter(history.targets.values()))
    Target.objects.filter(pk=target.pk).update(residents=4)
    lives_history.store(target, now - timedelta(minutes=minutes), now)
    return history


SCENARIOS = {"failing": failing, "cured": cured, "healthy": healthy, "residents": residents}
