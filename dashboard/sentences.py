"""Words of the console, pure: figures, times, and the story sentence. The design guide is the source of each phrase.

Latencies are microseconds: `math.inf` reads "never" (beyond the deadline), `None` and NaN read as no figure at all.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

from probes.engine.outcome import FailureKind

NBSP = "\u00a0"
NO_FIGURE = "–"
NEAR = timedelta(minutes=15)
"""How long before "since" a change still counts as near."""
UNMISTAKABLE = timedelta(hours=12)
"""A clock time needs no day for so long, also after midnight."""
FEWEST_FOR_SHARE = 10
"""Under this many probes a share would look more certain than the data: counts are told instead."""

STATE_WORDS = {
    "up": "Up",
    "degraded": "Degraded",
    "down": "Down",
    "stale": "Stale",
    "paused": "Paused",
    "unknown": "Not probed yet",
    "missed": "Missed",
}

SYMPTOMS: Mapping[str, str] = {
    FailureKind.DNS_FAILED: "cannot be found (DNS)",
    FailureKind.CONNECT_REFUSED: "refuses connections",
    FailureKind.CONNECT_TIMEOUT: "does not answer",
    FailureKind.PROXY_FAILED: "cannot be reached through the proxy",
    FailureKind.CONNECTION_RESET: "drops connections before the upgrade",
    FailureKind.TLS_TIMEOUT: "does not finish TLS",
    FailureKind.TLS_FAILED: "fails TLS",
    FailureKind.CERTIFICATE_EXPIRED: "shows an expired certificate",
    FailureKind.CERTIFICATE_NAME_MISMATCH: "shows a certificate for another name",
    FailureKind.UNAUTHORIZED: "refuses our credentials",
    FailureKind.UPGRADE_REJECTED: "answers HTTP {status} instead of upgrading",
    FailureKind.UPGRADE_TIMEOUT: "does not finish the upgrade",
    FailureKind.HANDSHAKE_INVALID: "answers the upgrade wrongly",
    FailureKind.SUBPROTOCOL_MISMATCH: "chooses another subprotocol",
    FailureKind.ACCEPT_RACE: "loses the first message",
    FailureKind.FALSE_READY: "says ready before it is",
    FailureKind.NOT_READY: "is accepted but not ready",
    FailureKind.CLOSED_BEFORE_READY: "closes before ready ({code})",
    FailureKind.EVENT_LOST: "loses {event}",
    FailureKind.EVENT_NEVER_EMITTED: "never sends {event}",
    FailureKind.EVENT_DUPLICATED: "sends {event} twice",
    FailureKind.EVENT_REORDERED: "sends events out of order",
    FailureKind.EVENT_LATE: "sends {event} late",
    FailureKind.CLOSED_EARLY: "closes early ({code})",
    FailureKind.PROTOCOL_ERROR: "breaks the WebSocket protocol",
    FailureKind.OVERSIZED: "sends more than the limit",
}


# Figures ------------------------------------------------------------------------------------------------------------


def latency(us: float | None) -> str:
    """ "92 ms", "1.2 s", "never" beyond the deadline, a dash where there is no figure."""
    if us is None or math.isnan(us):
        return NO_FIGURE
    if math.isinf(us):
        return "never"
    milliseconds = us / 1000
    if milliseconds < 9.95:
        return f"{milliseconds:.1f}{NBSP}ms"
    if milliseconds < 999.5:
        return f"{milliseconds:.0f}{NBSP}ms"
    return f"{milliseconds / 1000:.1f}{NBSP}s" if milliseconds < 99_950 else f"{milliseconds / 1000:.0f}{NBSP}s"


def count(number: int) -> str:
    """Counts with commas: "2,140"."""
    return f"{number:,}"


def percent(part: int, whole: int, decimals: int = 0) -> str:
    """A share that never rounds up to 100 % nor down to 0 %: "99.9 %" is not "100 %"."""
    if whole == 0:
        return NO_FIGURE
    if part == whole:
        return f"100{NBSP}%"
    step = 10.0**-decimals
    share = min(max(100 * part / whole, 0 if part == 0 else step), 100 - step)
    return f"{share:.{0 if part == 0 else decimals}f}{NBSP}%"


def share(part: int, whole: int) -> str:
    """ "38 %" of enough probes, "4 of 7" of few."""
    return f"{part} of {whole}" if whole < FEWEST_FOR_SHARE else percent(part, whole)


def bounds_text(low: float, high: float) -> str:
    """A 95 % interval as percentages: "33 to 43 %". `low` and `high` lie between 0 and 1."""
    return f"{100 * low:.0f} to {100 * high:.0f}{NBSP}%"


def span(duration: timedelta) -> str:
    """A length of time, rounded down to one unit: "1 s", "15 min", "2 h", "3 d"."""
    seconds = max(0, int(duration.total_seconds()))
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size}{NBSP}{unit}"
    return f"{seconds}{NBSP}s"


def clock(at: datetime, zone: ZoneInfo, now: datetime | None = None, *, seconds: bool = False) -> str:
    """24 h clock time; with `now`, a moment on another day says which, unless it was within the last half day."""
    local = at.astimezone(zone)
    text = local.strftime("%H:%M:%S" if seconds else "%H:%M")
    if now is None or now.astimezone(zone).date() == local.date() or timedelta(0) <= now - at < UNMISTAKABLE:
        return text
    if timedelta(0) <= now - at < timedelta(days=6):
        return f"{local:%a} {text}"
    return f"{local.day} {local:%b} {text}"


def plural(number: int, one: str, many: str = "") -> str:
    """ "1 target", "3 targets"."""
    return f"{count(number)}{NBSP}{one if number == 1 else many or one + 's'}"


# The story ----------------------------------------------------------------------------------------------------------

Tone = Literal["up", "degraded", "down", "stale", "quiet"]
Weight = Literal["", "strong", "symptom", "flag"]


@dataclass(frozen=True, slots=True)
class Part:
    """A run of text of one weight; "symptom" is coloured by the story's tone, "flag" never breaks across lines."""

    text: str
    weight: Weight = ""


@dataclass(frozen=True, slots=True)
class Change:
    """A revision that changed a served value near the fault. `before` and `after` are variant names."""

    revision: int
    at: datetime
    flag: str
    before: str | None
    after: str | None
    author: str = ""
    layer: tuple[str, str] | None = None
    """Where a kill, a breaker or a ramp did it: what stands before and after the flag's name."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the newest failing probe showed, for the symptoms that name it."""

    http_status: int | None = None
    close_code: int | None = None
    event: str = ""


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
    """Changes in the 15 minutes before `since` (newest first), and any after it."""


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
    """The revision to offer to undo: the only one that changed something just before."""

    @property
    def text(self) -> str:
        return "".join(part.text for part in self.parts)


def symptom(kind: str, evidence: Evidence) -> str:
    """What the target does, for the person on call; a kind without a phrase is named as it is."""
    code = str(evidence.close_code) if evidence.close_code else "no close frame"
    event = evidence.event or "an event"
    phrase = SYMPTOMS.get(kind, f"fails ({kind})" if kind else "fails")
    return phrase.format(status=evidence.http_status or "error", code=code, event=event)


def story(fault: Fault, zone: ZoneInfo, now: datetime) -> Story:
    """The story of one target that is not up."""
    if fault.state == "stale":
        return _stale(fault, zone, now)
    if not fault.failed and fault.state == "degraded":
        return _slow(fault, zone, now)
    return _failing(fault, zone, now)


def _failing(fault: Fault, zone: ZoneInfo, now: datetime) -> Story:
    ranked = sorted(fault.kinds.items(), key=lambda item: -item[1])
    main = ranked[0][0] if ranked else ""
    parts = (
        Part(fault.name, "strong"),
        Part(" "),
        *_symptom_parts(symptom(main, fault.evidence)),
        Part(
            f" for {share(fault.failed, fault.probes)}{' of' if fault.probes >= FEWEST_FOR_SHARE else ''} probes since "
        ),
        Part(clock(fault.since, zone, now), "strong"),
        *change_clause(fault, zone),
    )
    return _about(fault, _tone(fault.state), parts, _failing_facts(fault, ranked))


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
    return tuple(facts)


def owner_of(kind: str) -> str:
    """Whose fault a kind is, in words; "unknown" for a kind this version does not know."""
    try:
        return str(FailureKind(kind).owner)
    except ValueError:
        return "unknown"


def change_clause(fault: Fault, zone: ZoneInfo) -> tuple[Part, ...]:
    """What changed near "since", told as time and never as cause. Ends the sentence."""
    before = [change for change in fault.changes if change.at <= fault.since]
    after = [change for change in fault.changes if change.at > fault.since]
    revisions = {change.revision for change in before}
    if len(revisions) > 1:
        return (
            Part(f", {_after(fault.since - before[0].at)} {len(revisions)} revisions ("),
            *_numbers(before),
            Part(")."),
        )
    if before:
        return (Part(f", {_after(fault.since - before[0].at)} "), *_changed(before), Part("."))
    if after:
        first = min(after, key=lambda change: change.at)
        return (Part(f". It began before revision {first.revision} ({clock(first.at, zone)})."),)
    return (Part(". Nothing changed in the 15 minutes before."),)


def _numbers(changes: Sequence[Change]) -> tuple[Part, ...]:
    numbers = sorted({change.revision for change in changes})
    return (Part(", ".join(f"r{number}" for number in numbers), "strong"),)


def _changed(changes: Sequence[Change]) -> tuple[Part, ...]:
    first = changes[0]
    if len(changes) > 1:
        return (Part(f"revision {first.revision} changed "), Part(plural(len(changes), "flag"), "strong"))
    if first.layer is not None:
        return (Part(first.layer[0]), Part(first.flag, "flag"), Part(first.layer[1]))
    return (
        Part(f"revision {first.revision} changed "),
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
        *change_clause(fault, zone),
    )
    facts = ((Part(f"None of {plural(fault.probes, 'probe')} failed"),),)
    return _about(fault, "degraded", parts, facts)


def _stale(fault: Fault, zone: ZoneInfo, now: datetime) -> Story:
    at = clock(fault.last_result_at or fault.since, zone, now)
    parts = (
        Part(fault.name, "strong"),
        Part(" has had "),
        Part("no result", "symptom"),
        Part(f" since {at}. The probes are late, not the target."),
    )
    return _about(fault, "stale", parts)


def _about(fault: Fault, tone: Tone, parts: tuple[Part, ...], facts: tuple[tuple[Part, ...], ...] = ()) -> Story:
    revisions = {change.revision for change in fault.changes if change.at <= fault.since}
    undo = revisions.pop() if len(revisions) == 1 and tone != "stale" else None
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


def ribbon_label(letters: str) -> str:
    """What a ribbon shows, for those who do not see it."""
    names = (("u", "up"), ("g", "degraded"), ("d", "failed"), ("m", "missed"))
    return f"Last {len(letters)} slots: " + ", ".join(f"{letters.count(letter)} {name}" for letter, name in names)


def title(down: int, degraded: int) -> str:
    """The page title's prefix: "1 down · Readywire"."""
    if down:
        return f"{down} down · "
    return f"{degraded} degraded · " if degraded else ""
