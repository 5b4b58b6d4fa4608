"""What is said of a change while its probes come in: one verdict in words. Pure; the test itself is `probes.cure`."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from dashboard import sentences, shares
from dashboard.sentences import count, plural
from probes.cure import LEAST, Judged, Verdict

MOST_NAMED = 5
RAREST = 1_000_000
"""A chance is not told as smaller than one in this: what it rests on is not known that well."""
TONES: Mapping[Verdict, str] = {
    Verdict.CURED: "up",
    Verdict.BETTER: "degraded",
    Verdict.UNCURED: "down",
    Verdict.WORSE: "down",
}
"""The state whose shape and tint a verdict has; "quiet" where nothing is known yet."""


@dataclass(frozen=True, slots=True)
class Servers:
    """The watched servers that count, and those of them that still hold something older."""

    behind: Sequence[str]
    total: int


@dataclass(frozen=True, slots=True)
class Told:
    """A verdict in words: the first of them carries the meaning. `state` is a Verdict's value, or "untold"."""

    state: str
    tone: str
    word: str
    rest: str
    link: str = ""
    """What to look at next, a link to "What changed"."""

    @property
    def text(self) -> str:
        return f"{self.word} {self.rest}".strip()


@dataclass(frozen=True, slots=True)
class Facts:
    """What the sentence is made from. Counts are (bad, probes); `slow`: bad is slower than the objective, or failed."""

    revision: int
    before: tuple[int, int]
    since: tuple[int, int]
    slow: bool
    kinds: Mapping[str, int]
    servers: Servers
    near: datetime
    next_at: datetime | None
    slot_every: timedelta
    silent: str
    zone: ZoneInfo

    @property
    def failed(self) -> str:
        return "was slow" if self.slow and self.since[0] == 1 else "were slow" if self.slow else "failed"

    @property
    def fail(self) -> str:
        one = self.since[0] == 1
        if self.slow:
            return "is slow" if one else "are slow"
        return "fails" if one else "fail"


def tell(judged: Judged, facts: Facts) -> Told:
    """The verdict's sentence."""
    if judged.verdict is not Verdict.WORSE and facts.servers.behind:
        return _untold(facts)
    return _SENTENCES[judged.verdict](judged, facts)


def _waiting(_: Judged, facts: Facts) -> Told:
    then = facts.silent
    if not then and facts.next_at is not None:
        then = f"Next at {sentences.clock(facts.next_at, facts.zone, seconds=True)}."
    return _told(Verdict.WAITING, f"No probe since revision {facts.revision}.", then)


def _unproven(judged: Judged, facts: Facts) -> Told:
    bad, probes = facts.since
    slots = judged.clean_slots_needed
    if not bad:
        seen = f"{plural(probes, 'clean probe')}"
        needed = f"; {count(max(LEAST, probes + slots))} needed" if slots else f"; at least {LEAST} needed"
    else:
        seen = f"{count(bad)} of {plural(probes, 'probe')} {facts.fail} since revision {facts.revision}"
        needed = f"; {count(facts.before[0])} of {count(facts.before[1])} before it"
    wait = f" About {_about(slots * facts.slot_every)} more." if slots else ""
    if slots is None and facts.before[0]:
        wait = " So few failed before that only hours could tell."
    return _told(Verdict.UNPROVEN, "Not proven yet.", f"{seen}{needed}.{wait}")


def _cured(judged: Judged, facts: Facts) -> Told:
    return _told(Verdict.CURED, "Cured.", f"{_compared(facts)} {_chance(judged)}")


def _better(_: Judged, facts: Facts) -> Told:
    bad, probes = facts.since
    still = f"{count(bad)} of {count(probes)} still {facts.fail} ({shares.interval(bad, probes)})."
    return _told(Verdict.BETTER, "Better, not cured.", f"{still}{_mostly(facts)}")


def _uncured(_: Judged, facts: Facts) -> Told:
    bad, probes = facts.since
    near = sentences.clock(facts.near, facts.zone)
    rest = f"{count(bad)} of {count(probes)} {facts.fail}, as before."
    return _told(Verdict.UNCURED, "Not cured.", rest, f"What else changed near {near}?")


def _worse(_: Judged, facts: Facts) -> Told:
    return _told(Verdict.WORSE, "Worse.", f"{_compared(facts)}{_mostly(facts)}")


def _same(_: Judged, facts: Facts) -> Told:
    return _told(Verdict.SAME, "As before.", _compared(facts))


def _untold(facts: Facts) -> Told:
    behind = facts.servers.behind
    named = ", ".join(behind[:MOST_NAMED])
    if len(behind) > MOST_NAMED:
        named += f" and {len(behind) - MOST_NAMED} more"
    still = "still holds" if len(behind) == 1 else "still hold"
    rest = f"{len(behind)} of {plural(facts.servers.total, 'server')} {still} an older revision: {named}."
    return Told("untold", "quiet", "Cannot tell:", rest)


_SENTENCES = {
    Verdict.WAITING: _waiting,
    Verdict.UNPROVEN: _unproven,
    Verdict.CURED: _cured,
    Verdict.BETTER: _better,
    Verdict.UNCURED: _uncured,
    Verdict.WORSE: _worse,
    Verdict.SAME: _same,
}


def _told(verdict: Verdict, word: str, rest: str, link: str = "") -> Told:
    return Told(verdict.value, TONES.get(verdict, "quiet"), word, rest, link)


def _compared(facts: Facts) -> str:
    """ "0 of 48 probes failed since revision 43; 139 of 366 before it." """
    (bad, probes), (bad_before, before) = facts.since, facts.before
    since = f"{count(bad)} of {plural(probes, 'probe')} {facts.failed} since revision {facts.revision}"
    return f"{since}; {count(bad_before)} of {count(before)} before it."


def _chance(judged: Judged) -> str:
    """How often this would happen if nothing had changed, rounded towards more often."""
    rarer = 10 ** math.floor(-math.log10(max(judged.chance, 1 / RAREST)) + 1e-9)
    return f"If nothing had changed, this would happen less than once in {count(rarer)} times."


def _mostly(facts: Facts) -> str:
    if not facts.kinds:
        return ""
    main = max(facts.kinds, key=facts.kinds.__getitem__)
    return f" Mostly {main}."


def _about(span: timedelta) -> str:
    """A wait, rounded up: "40 s", "3 min", "2 h"."""
    seconds = span.total_seconds()
    for size, unit in ((3_600, "h"), (60, "min")):
        if seconds > 1.5 * size:
            return f"{math.ceil(seconds / size)}{sentences.NBSP}{unit}"
    return f"{max(1, math.ceil(seconds))}{sentences.NBSP}s"
