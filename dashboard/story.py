"""The story: one sentence about a target, and the facts under it. Pure. The design guide is each phrase's source."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

from dashboard.attribution import Attribution, Places
from dashboard.sentences import (
    FEWEST_FOR_SHARE,
    STATE_WORDS,
    Evidence,
    Part,
    bounds_text,
    clock,
    count,
    latency,
    listed,
    owner_of,
    plural,
    share,
    span,
    symptom,
)

NEAR = timedelta(minutes=15)
"""How long before "since" a change still counts as near."""
MOST_NAMED = 3
"""More changes or locations than this are counted, not named."""

Tone = Literal["up", "degraded", "down", "stale", "quiet"]


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that changed near the fault: a flag that a revision served otherwise (`before` and `after` are variant
    names), or a deploy."""

    revision: int | None
    """None for a deploy."""
    at: datetime
    flag: str = ""
    before: str | None = None
    after: str | None = None
    author: str = ""
    layer: tuple[str, str] | None = None
    """Where a kill, a breaker or a ramp did it: what stands before and after the flag's name."""
    deploy: str = ""
    """What was deployed: "chat 5.12.0"."""
    href: str = ""

    @property
    def name(self) -> str:
        """ "revision 42", "deploy chat 5.12.0"."""
        return f"deploy {self.deploy}" if self.revision is None else f"revision {self.revision}"

    @property
    def short(self) -> str:
        """ "r42", "deploy chat 5.12.0": among several."""
        return self.name if self.revision is None else f"r{self.revision}"


@dataclass(frozen=True, slots=True)
class Fault:
    """All that a story about one target is told from. Counts are since `since`; latencies are microseconds."""

    name: str
    slug: str
    environment: str
    state: str
    since: datetime
    probes: int = 0
    failed: int = 0
    kinds: Mapping[str, int] = field(default_factory=dict)
    bounds: tuple[float, float] | None = None
    """95 % interval of failed / probes, between 0 and 1."""
    evidence: Evidence = field(default_factory=Evidence)
    ready_p95_us: float | None = None
    objective_us: float | None = None
    last_result_at: datetime | None = None
    changes: Sequence[Change] = ()
    """Changes in the 15 minutes before `since` (newest first), and some after it."""
    changes_href: str = ""
    """Where they are listed."""
    attribution: Attribution | None = None
    attribution_within: timedelta | None = None
    """Where only the newest part of a long fault was looked at: how much of it."""
    places: Places | None = None
    locations: Sequence[str] = ()
    """Where it is probed from, for a target without results."""


@dataclass(frozen=True, slots=True)
class Story:
    """One sentence in parts, and the facts under it; `slug` names its target where it has one."""

    tone: Tone
    parts: tuple[Part, ...]
    facts: tuple[tuple[Part, ...], ...] = ()
    slug: str = ""
    name: str = ""
    environment: str = ""
    undo: int | None = None
    """The revision to offer to undo: the only one that changed something just before, while any of it is served."""

    @property
    def text(self) -> str:
        return "".join(part.text for part in self.parts)


def tell(fault: Fault, zone: ZoneInfo, now: datetime) -> Story:
    """The story of one target that is not up."""
    if fault.state == "stale":
        return _stale(fault, zone, now)
    if not fault.failed and fault.state == "degraded":
        return _slow(fault, zone, now)
    return _failing(fault, zone, now)


def _failing(fault: Fault, zone: ZoneInfo, now: datetime) -> Story:
    since = Part(clock(fault.since, zone, now), "strong")
    if not fault.failed:
        # Its failures are older than what is kept, or this moment is the first of them.
        head: tuple[Part, ...] = (Part(f"{_is(fault.state)} since "), since)
        return _about(fault, _tone(fault.state), (Part(fault.name, "strong"), *head, *_ending(fault, zone, now)))
    ranked = sorted(fault.kinds.items(), key=lambda item: -item[1])
    main = ranked[0][0] if ranked else ""
    parts = (
        Part(fault.name, "strong"),
        Part(" "),
        *_symptom_parts(symptom(main, fault.evidence)),
        Part(
            f" for {share(fault.failed, fault.probes)}{' of' if fault.probes >= FEWEST_FOR_SHARE else ''} probes since "
        ),
        since,
        *_ending(fault, zone, now),
    )
    return _about(fault, _tone(fault.state), parts, _failing_facts(fault, ranked))


def _is(state: str) -> str:
    return f" is {STATE_WORDS.get(state, state).lower()}"


def _ending(fault: Fault, zone: ZoneInfo, now: datetime) -> tuple[Part, ...]:
    """Who fails, where that is proven: it beats what changed when."""
    return attribution_clause(fault) if fault.attribution else change_clause(fault, zone, now)


def _symptom_parts(text: str) -> tuple[Part, ...]:
    head, _, rest = text.partition(" ")
    return (Part("is "), Part(rest, "symptom")) if head == "is" else (Part(text, "symptom"),)


def _failing_facts(fault: Fault, ranked: Sequence[tuple[str, int]]) -> tuple[tuple[Part, ...], ...]:
    interval = ""
    if fault.bounds and fault.probes >= FEWEST_FOR_SHARE:
        interval = f" ({bounds_text(*fault.bounds)})"
    facts: list[tuple[Part, ...]] = [
        (Part(f"{count(fault.failed)} of {count(fault.probes)}", "strong"), Part(f" probes failed{interval}")),
    ]
    if ranked:
        facts.append((Part("Fault: "), Part(owner_of(ranked[0][0]), "strong")))
    if len(ranked) > 1:
        facts.append((Part("Mostly "), Part(ranked[0][0], "flag"), Part(", also "), Part(ranked[1][0], "flag")))
    elif ranked:
        facts.append((Part("All "), Part(ranked[0][0], "flag")))
    if fault.places:
        facts.append((Part(places_words(fault.places)),))
    return tuple(facts)


def places_words(places: Places) -> str:
    """ "Both locations", "All 3 locations", "Virginia only", "Mostly Virginia"."""
    if places.every:
        return "Both locations" if len(places.names) == 2 else f"All {len(places.names)} locations"
    return f"{listed(places.names)} only" if places.only else f"Mostly {listed(places.names)}"


def attribution_clause(fault: Fault) -> tuple[Part, ...]:
    """Whose connections fail, by counts. Ends the sentence."""
    found = fault.attribution
    if found is None:
        return ()
    extent = "Mostly" if found.rest_failed else "Only"
    if fault.attribution_within:
        extent = f"In the last {span(fault.attribution_within)}, {extent.lower()}"
    noun = "revision" if len(found.revisions) == 1 else "revisions"
    numbers = f" ({noun} {listed([str(number) for number in found.revisions])})" if found.revisions else ""
    return (
        Part(f". {extent} connections served by "),
        Part(found.strategy, "flag"),
        Part(f"{numbers} fail: "),
        Part(f"{count(found.failed)} of {count(found.probes)}", "strong"),
        Part(f" against {count(found.rest_failed)} of {count(found.rest_probes)}."),
    )


def change_clause(fault: Fault, zone: ZoneInfo, now: datetime | None = None) -> tuple[Part, ...]:
    """What changed near "since", told as time and never as cause. Ends the sentence."""
    before = [change for change in fault.changes if change.at <= fault.since]
    after = [change for change in fault.changes if change.at > fault.since]
    happened = _each_once(before)
    if len(happened) > 1:
        return (
            Part(f", {_after(fault.since - before[0].at)} "),
            Part(f"{len(happened)} changes", "strong", fault.changes_href),
            *_shorts(happened),
            Part("."),
        )
    if before:
        return (Part(f", {_after(fault.since - before[0].at)} "), *_changed(before), Part("."))
    if after:
        first = min(after, key=lambda change: change.at)
        moment = clock(first.at, zone, now)
        return (Part(". It began before "), Part(first.name, "", first.href), Part(f" ({moment})."))
    return (Part(". Nothing changed in the 15 minutes before."),)


def _each_once(changes: Sequence[Change]) -> list[Change]:
    """The first change of each revision, and each deploy, in their order."""
    found: dict[str, Change] = {}
    for change in changes:
        # Two deploys of the same version are two.
        found.setdefault(change.name if change.revision is not None else f"{change.name} {change.at}", change)
    return list(found.values())


def _shorts(changes: Sequence[Change]) -> tuple[Part, ...]:
    """The names of a few changes in brackets, oldest first: "(r42, deploy chat 5.12.0)"; nothing of many."""
    if len(changes) > MOST_NAMED:
        return ()
    named = [(Part(change.short, "flag", change.href),) for change in reversed(changes)]
    joined = [part for one in named for part in (Part(", "), *one)]
    return (Part(" ("), *joined[1:], Part(")"))


def _changed(changes: Sequence[Change]) -> tuple[Part, ...]:
    first = changes[0]
    if first.revision is None:
        return (Part("deploy "), Part(first.deploy, "strong", first.href))
    revision = Part(first.name, "", first.href)
    if len(changes) > 1:
        return (revision, Part(" changed "), Part(plural(len(changes), "flag"), "strong"))
    if first.layer is not None:
        return (Part(first.layer[0]), Part(first.flag, "flag", first.href), Part(first.layer[1]))
    return (
        revision,
        Part(" changed "),
        Part(first.flag, "flag"),
        Part(f" from {first.before or 'nothing'} to {first.after or 'nothing'}"),
    )


def _after(duration: timedelta) -> str:
    minutes = int(duration.total_seconds() // 60)
    if minutes == 0:
        return "less than a minute after"
    return "one minute after" if minutes == 1 else f"{minutes} minutes after"


def _slow(fault: Fault, zone: ZoneInfo, now: datetime) -> Story:
    parts = (
        Part(fault.name, "strong"),
        Part(" "),
        *_symptom_parts("is slow"),
        Part(f": ready p95 {latency(fault.ready_p95_us)} against {latency(fault.objective_us)} since "),
        Part(clock(fault.since, zone, now), "strong"),
        *change_clause(fault, zone, now),
    )
    facts = ((Part(f"None of {plural(fault.probes, 'probe')} failed"),),) if fault.probes else ()
    return _about(fault, "degraded", parts, facts)


def _stale(fault: Fault, zone: ZoneInfo, now: datetime) -> Story:
    at = clock(fault.last_result_at or fault.since, zone, now)
    parts = (
        Part(fault.name, "strong"),
        Part(" has had "),
        Part("no result", "symptom"),
        Part(f"{_from(fault.locations)} since {at}. The probes are late, not the target."),
    )
    return _about(fault, "stale", parts)


def _from(locations: Sequence[str]) -> str:
    if len(locations) > MOST_NAMED:
        return f" from any of {len(locations)} locations"
    return f" from {listed(locations)}" if locations else ""


def _about(fault: Fault, tone: Tone, parts: tuple[Part, ...], facts: tuple[tuple[Part, ...], ...] = ()) -> Story:
    before = [change for change in fault.changes if change.at <= fault.since]
    revisions = {change.revision for change in before if change.revision is not None}
    undo = revisions.pop() if len(revisions) == 1 and tone != "stale" else None
    changed = {change.flag for change in before if change.revision is not None}
    if changed <= {change.flag for change in fault.changes if change.at > fault.since}:
        undo = None  # nothing of it is served any more
    return Story(tone, parts, facts, fault.slug, fault.name, fault.environment, undo)


def _tone(state: str) -> Tone:
    return "down" if state == "down" else "degraded"


@dataclass(frozen=True, slots=True)
class LastFailure:
    """The last failure that is over."""

    name: str
    ended: datetime
    lasted: timedelta


def all_up(targets: int, last: LastFailure | None, now: datetime) -> Story:
    """ "All 12 targets are up. Last failure: Chat, 2 h ago, 4 min." """
    text = "The only target is up." if targets == 1 else f"All {targets} targets are up."
    if last:
        text += f" Last failure: {last.name}, {span(now - last.ended)} ago, {span(last.lasted)}."
    return Story("up", (Part(text),))


def waiting(unknown: int, paused: int) -> Story:
    """Nothing fails, yet not everything is known to be up."""
    words = []
    if unknown:
        words.append(f"{plural(unknown, 'target')} {'has' if unknown == 1 else 'have'} not been probed yet.")
    if paused:
        words.append(f"{plural(paused, 'target')} {'is' if paused == 1 else 'are'} paused.")
    return Story("quiet", (Part("Nothing is failing. " + " ".join(words)),))


def single(name: str, state: str, since: datetime, zone: ZoneInfo, now: datetime) -> Story:
    """The target page's story while nothing is wrong: up, paused, or not probed yet."""
    if state == "up":
        return Story("up", (Part(name, "strong"), Part(f" is up since {clock(since, zone, now)}.")))
    if state == "paused":
        return Story("quiet", (Part(name, "strong"), Part(f" is paused since {clock(since, zone, now)}.")))
    return Story(
        "quiet", (Part(name, "strong"), Part(" has not been probed yet. The first result comes within seconds."))
    )
