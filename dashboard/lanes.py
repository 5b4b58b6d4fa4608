"""Long-lived connections as lanes over time, pure: lives in, places in per cent and sentences out."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from statistics import median
from zoneinfo import ZoneInfo

from dashboard import sentences
from dashboard.sentences import NBSP
from probes.engine.cuts import Cut, Told, told
from probes.engine.lives import Ending, Life

MOST_LANES = 24
"""Lanes drawn; those with the most cuts come first where there are more."""
MOST_CUTS = 12
LOST_SIGHT = timedelta(seconds=90)
"""A living connection of which nothing was heard for so long: its prober is gone, and did not say so."""
_LEAST_WIDTH = 0.15

LaneKey = tuple[str, int]
"""(location, number)."""


@dataclass(frozen=True, slots=True)
class Bar:
    """A stretch of a lane: `kind` is "life", or "trying" where no connection stood. `x` and `width` in per cent."""

    kind: str
    x: str
    width: str
    title: str


@dataclass(frozen=True, slots=True)
class CutMark:
    """Where a life ended: `cut` names shape and colour."""

    cut: Cut
    x: str
    title: str


@dataclass(frozen=True, slots=True)
class Lane:
    """One resident over the window."""

    name: str
    bars: Sequence[Bar]
    marks: Sequence[CutMark]
    summary: str
    """The same in words, for those who do not see it."""


@dataclass(frozen=True, slots=True)
class CutRow:
    """One line of the table of cuts."""

    at: datetime
    lane: str
    cut: Cut
    lived: str
    how: str
    reconnected: str
    lost: int


@dataclass(frozen=True, slots=True)
class Advice:
    """One cause that was met, how often, and what to check next."""

    cut: Cut
    count: str
    text: str


@dataclass(frozen=True, slots=True)
class Panel:
    """Everything that the panel shows."""

    wanted: int
    lede: str
    lanes: Sequence[Lane] = ()
    hidden: int = 0
    ticks: Sequence[tuple[str, str, str]] = ()
    """(x, anchor, text)."""
    cuts: Sequence[CutRow] = ()
    more_cuts: int = 0
    advice: Sequence[Advice] = ()
    legend: Sequence[Cut] = ()

    @property
    def shown(self) -> bool:
        """Whether there is anything to show at all."""
        return bool(self.wanted or self.lanes)


@dataclass(frozen=True, slots=True)
class Scene:
    """The window of a panel, and whose clock it shows."""

    start: datetime
    end: datetime
    label: str
    """ "15 min"; of a window that does not follow the present its two ends: "02:40 to 02:55"."""
    zone: ZoneInfo
    follows: bool = True

    @property
    def when(self) -> str:
        return f"in the last {self.label}" if self.follows else f"from {self.label}"

    def place(self, at: datetime) -> float:
        """Per cent from the left, within the window."""
        return min(100.0, max(0.0, 100 * ((at - self.start) / (self.end - self.start))))


@dataclass(slots=True)
class _Track:
    """The lives of one resident, in order of time."""

    key: LaneKey
    lives: list[Life] = field(default_factory=list)

    def lived(self, scene: Scene) -> bool:
        """Whether anything is known of it within the window."""
        return any(life.ended >= scene.start and life.started <= scene.end for life in self.lives)

    def next_of(self, life: Life) -> Life | None:
        return next((each for each in self.lives if each.started > life.started), None)


def panel(lives: Mapping[LaneKey, Sequence[Life]], wanted: int, scene: Scene) -> Panel:
    """`lives`: what is known of each resident, also from before the window: it helps to tell causes apart.

    `wanted`: how many residents the target is to have now, over all locations.
    """
    tracks = [_Track(key, sorted(found, key=lambda life: life.started)) for key, found in sorted(lives.items())]
    causes = {id(each.life): each for each in told(life for track in tracks for life in track.lives)}
    ended = [(track, causes[id(life)]) for track in tracks for life in track.lives if id(life) in causes]
    inside = [(track, each) for track, each in ended if scene.start <= each.life.ended <= scene.end]
    cuts = [(track, each) for track, each in inside if each.cut.charged]
    cuts.sort(key=lambda item: item[1].life.ended, reverse=True)
    places = {track.key[0] for track in tracks}
    names = {track.key: _name(track.key, places) for track in tracks}
    visible = [track for track in tracks if track.lived(scene)]
    chosen = _chosen(visible, Counter(track.key for track, _ in cuts))
    return Panel(
        wanted,
        _lede(wanted, [each for _, each in cuts], tracks, scene),
        [_lane(track, names[track.key], causes, scene) for track in chosen],
        len(visible) - len(chosen),
        _ticks(scene),
        [_row(track, names[track.key], each) for track, each in cuts[:MOST_CUTS]],
        max(0, len(cuts) - MOST_CUTS),
        _advice(each for _, each in cuts),
        _legend(each for _, each in inside),
    )


def _chosen(tracks: Sequence[_Track], cuts: Counter[LaneKey]) -> list[_Track]:
    if len(tracks) <= MOST_LANES:
        return list(tracks)
    ranked = sorted(tracks, key=lambda track: (-cuts[track.key], track.key))[:MOST_LANES]
    return sorted(ranked, key=lambda track: track.key)


def _name(key: LaneKey, places: set[str]) -> str:
    number = f"#{key[1] + 1}"
    return f"{key[0]} {number}" if len(places) > 1 else number


# Lanes. --------------------------------------------------------------------------------------------------------------


def _lane(track: _Track, name: str, causes: Mapping[int, Told], scene: Scene) -> Lane:
    bars: list[Bar] = []
    marks: list[CutMark] = []
    for life in track.lives:
        if life.ended < scene.start or life.started > scene.end:
            continue
        bars += _bars(life, scene)
        cause = causes.get(id(life))
        if cause is not None and scene.start <= life.ended <= scene.end:
            marks.append(CutMark(cause.cut, _percent(scene.place(life.ended)), _said(cause, scene)))
    cut = sum(mark.cut.charged for mark in marks)
    live = "connected" if _connected(track, scene.end) else "not connected"
    summary = f"{name}: {live} {'now' if scene.follows else 'at the end'}, cut {_times(cut)}"
    return Lane(name, bars, marks, summary)


def _bars(life: Life, scene: Scene) -> list[Bar]:
    """Without a connection until the 101, then with one."""
    clock = sentences.clock(life.started, scene.zone, scene.end, seconds=True)
    end = scene.end if _alive(life, scene.end) else life.ended
    opened = life.opened if life.ready_us is not None else end
    found = []
    if opened - life.started > timedelta(seconds=1) or life.ready_us is None:
        tried = f"not connected from {clock}, {sentences.plural(life.attempts, 'attempt')}"
        found.append(_bar("trying", life.started, opened, f"{tried}, {life.failure}" if life.failure else tried, scene))
    if life.ready_us is not None:
        found.append(_bar("life", opened, end, f"connected from {clock} for {length(end - opened)}", scene))
    return found


def _bar(kind: str, start: datetime, end: datetime, title: str, scene: Scene) -> Bar:
    left, right = scene.place(start), scene.place(end)
    return Bar(kind, _percent(left), _percent(max(right - left, _LEAST_WIDTH)), title)


def _alive(life: Life, now: datetime) -> bool:
    """Whether it stood at `now`, which may be long ago."""
    patience = LOST_SIGHT if life.ending is Ending.LIVING else timedelta(0)
    return life.started <= now < life.ended + patience


def _connected(track: _Track, now: datetime) -> bool:
    return any(_alive(life, now) and life.ready_us is not None for life in track.lives)


def _percent(value: float) -> str:
    return f"{value:.3f}%"


def _ticks(scene: Scene) -> list[tuple[str, str, str]]:
    middle = scene.start + (scene.end - scene.start) / 2
    days = scene.end - scene.start > timedelta(hours=36)

    def text(at: datetime) -> str:
        local = at.astimezone(scene.zone)
        return f"{local.day} {local:%b}" if days else f"{local:%H:%M}"

    last = "now" if scene.follows else text(scene.end)
    return [("0%", "start", text(scene.start)), ("50%", "middle", text(middle)), ("100%", "end", last)]


# Words. --------------------------------------------------------------------------------------------------------------


def length(duration: timedelta) -> str:
    """A lifetime: "0.4 s", "47 s", "5 min 3 s", "2 h 5 min"."""
    seconds = max(0.0, duration.total_seconds())
    if seconds < 10:
        return f"{seconds:.1f}{NBSP}s"
    whole = round(seconds)
    for size, unit, small, part in ((86_400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= size:
            rest = whole % size // small
            return f"{whole // size}{NBSP}{unit}" + (f" {rest}{NBSP}{part}" if rest else "")
    return f"{whole}{NBSP}s"


def _microseconds(us: int) -> str:
    return length(timedelta(microseconds=us))


def _limit(us: int) -> str:
    """A time-out as configurations write it: in seconds as long as people do."""
    seconds = us / 1e6
    return f"{seconds:.1f}{NBSP}s" if seconds < 10 else f"{seconds:.0f}{NBSP}s" if seconds <= 600 else _microseconds(us)


def _times(count: int) -> str:
    return "never" if not count else "once" if count == 1 else f"{count} times"


def _how(life: Life) -> str:
    """What was seen at the end, in words."""
    if life.ending is Ending.CLOSED:
        return f"{life.close_code} {life.reason}".rstrip()
    if life.ending is Ending.RESET:
        return "reset, no close frame"
    return life.reason if life.ending is not Ending.DROPPED else "no close frame"


def _said(cause: Told, scene: Scene) -> str:
    at = sentences.clock(cause.life.ended, scene.zone, scene.end, seconds=True)
    limit = f" at {_limit(cause.limit_us)}" if cause.limit_us else ""
    return f"{at}: {cause.cut.words}{limit} ({_how(cause.life)})"


def _row(track: _Track, name: str, cause: Told) -> CutRow:
    life, after = cause.life, track.next_of(cause.life)
    reconnect = after.reconnect_us if after is not None else None
    return CutRow(
        life.ended,
        name,
        cause.cut,
        _microseconds(life.lifetime_us),
        _how(life),
        sentences.latency(reconnect) if reconnect is not None else "not yet",
        life.events_lost + life.lost_in_cut,
    )


def _lede(wanted: int, cuts: Sequence[Told], tracks: Sequence[_Track], scene: Scene) -> str:
    kept = sentences.plural(wanted, "resident") if wanted else "No resident is kept now"
    connected = sum(_connected(track, scene.end) for track in tracks)
    if 0 < connected < wanted:
        kept += f", {connected} connected"
    lived = any(track.lived(scene) for track in tracks)
    if not lived:
        if tracks or not wanted:
            return f"{kept}; nothing is known {'of the last' if scene.follows else 'from'} {scene.label}."
        return (
            f"{kept} wanted, none has connected yet. The first takes a few seconds: if nothing comes, check that a "
            "worker of the target's location runs and has room (RESIDENTS_PER_WORKER)."
        )
    if not cuts:
        return f"{kept}; none was cut {scene.when}.{_failing(tracks, scene)}"
    reasons = "; ".join(_counted(kind, found) for kind, found in _by_cause(cuts))
    verb = "cut" if len(cuts) == 1 else "cuts"
    return f"{kept}; {len(cuts)} {verb} {scene.when}: {reasons}.{_cost(cuts, tracks, scene)}"


def _by_cause(cuts: Iterable[Told]) -> list[tuple[Cut, list[Told]]]:
    groups: dict[Cut, list[Told]] = defaultdict(list)
    for each in cuts:
        groups[each.cut].append(each)
    return sorted(groups.items(), key=lambda item: -len(item[1]))


def _counted(cut: Cut, found: Sequence[Told]) -> str:
    number = len(found)
    limits = [each.limit_us for each in found if each.limit_us is not None]
    at = _limit(int(median(limits))) if limits else ""
    codes = sorted({each.life.close_code for each in found if each.life.close_code is not None})
    said = ", ".join(map(str, codes))
    frame = f" ({said})" if codes else " without a close frame"
    return {
        Cut.AGE_LIMIT: f"{number} at the age of {at}{frame}, which looks like a balancer's time-out",
        Cut.IDLE_LIMIT: f"{number} after {at} of silence{frame}, which looks like an idle time-out",
        Cut.RESTART: f"{number} by a restart or deployment{frame}",
        Cut.HALF_OPEN: f"{number} silent half-open: nothing came back, though nobody hung up",
        Cut.RESET: f"{number} reset",
        Cut.DROPPED: f"{number} dropped without a close frame",
        Cut.CLOSED: f"{number} closed by the server{frame}",
        Cut.BROKEN: f"{number} because the server broke the protocol",
    }[cut]


def _cost(cuts: Sequence[Told], tracks: Sequence[_Track], scene: Scene) -> str:
    lives = [life for track in tracks for life in track.lives if life.ended >= scene.start]
    waits = [life.reconnect_us for life in lives if life.reconnect_us is not None]
    lost = sum(each.life.lost_in_cut for each in cuts)
    words = f" Reconnected in {sentences.latency(median(waits))} at the median;" if waits else ""
    events = f"{sentences.plural(lost, 'event')} lost across cuts." if lost else "no event lost across cuts."
    return f"{words or ' '}{' ' if words else ''}{events if words else events.capitalize()}{_failing(tracks, scene)}"


def _failing(tracks: Sequence[_Track], scene: Scene) -> str:
    """Conversations that failed though the connection stood, and residents that cannot connect."""
    lives = [life for track in tracks for life in track.lives if life.ended >= scene.start]
    failed = sum(life.conversations_failed for life in lives)
    lost = sum(life.events_lost for life in lives)
    words = ""
    if failed:
        many = sentences.plural(failed, "conversation")
        words += f" {many} failed between cuts ({sentences.plural(lost, 'event')} lost)."
    out = sum(life.ready_us is None and _alive(life, scene.end) for life in lives)
    if out:
        words += f" {out} cannot connect now."
    return words


def _advice(cuts: Iterable[Told]) -> list[Advice]:
    return [Advice(cut, sentences.plural(len(found), "cut"), cut.next_check) for cut, found in _by_cause(cuts)]


def _legend(ended: Iterable[Told]) -> list[Cut]:
    met = {each.cut for each in ended}
    return [cut for cut in Cut if cut in met]
