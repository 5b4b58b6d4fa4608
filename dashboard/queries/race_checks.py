"""Race checks as pages show them: the card of a target, a report's figures and drawing, the list, two compared."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.template.loader import render_to_string
from django.urls import reverse

from dashboard import sentences
from dashboard.sentences import NBSP, count, latency, plural
from dashboard.shares import interval, percent
from probes.engine.outcome import FailureKind
from probes.engine.summary import PERCENTILES
from probes.histogram import Histogram, bounds
from probes.models import RaceCheck, Target
from probes.race_check_records import report_of
from probes.race_checks import State
from probes.race_report import Report, difference

CARD = 5
"""Checks on the card of a target's page."""
LISTED = 10
"""Checks in a target's list."""
BARS = 40
"""Most bars in the drawing of the race window."""
WORDS = {
    State.QUEUED: "Waiting for a worker",
    State.RUNNING: "Running",
    State.FINISHED: "Finished",
    State.CANCELLED: "Cancelled",
    State.EXPIRED: "Expired",
}
_FIGURES = (
    ("Race window", "race_window"),
    ("User-felt ready", "user_ready"),
    ("Event latency", "event_latency"),
)


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of failure with its share and whose fault it is."""

    name: str
    count: int
    share: str
    bounds: str
    fault: str


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar of the drawing, in units of 1,000 by 100: `never` where it holds the probes that were never ready."""

    x: float
    y: float
    width: float
    height: float
    never: bool


@dataclass(frozen=True, slots=True)
class Shown:
    """One check with all that its page tells."""

    check: RaceCheck
    word: str
    verdict: str
    tone: str
    """The story's: up, down or quiet."""
    report: Report | None
    rows: Sequence[tuple[str, str]]
    kinds: Sequence[Kind]
    latencies: Sequence[tuple[str, Sequence[str]]]
    bars: Sequence[Bar]
    axis: Sequence[tuple[float, str]]
    """(x of 1,000, label)."""
    samples: Sequence[dict[str, Any]]
    took: str


def newest(target: Target, most: int = LISTED) -> list[RaceCheck]:
    """The newest checks of a target, newest first."""
    return list(RaceCheck.objects.filter(target=target).defer("samples")[:most])


def shown(check: RaceCheck, *, samples: bool = False) -> Shown:
    """The check as its page shows it; `samples`: with its failing probes."""
    report = report_of(check, samples=samples)
    windows = report.histograms.get("race_window", Histogram()) if report else Histogram()
    bars, axis = drawing(windows)
    verdict, tone = verdict_of(check, report)
    return Shown(
        check=check,
        word=WORDS[State(check.state)],
        verdict=verdict,
        tone=tone,
        report=report,
        rows=_rows(report) if report else (),
        kinds=_kinds(report) if report else (),
        latencies=[(name, [latency(report.percentile_us(key, q)) for q in PERCENTILES]) for name, key in _FIGURES]
        if report
        else (),
        bars=bars,
        axis=axis,
        samples=[_sample(each) for each in report.samples] if report else (),
        took=f"{report.seconds:.1f}{NBSP}s" if report else "",
    )


def verdict_of(check: RaceCheck, report: Report | None) -> tuple[str, str]:
    """What it found in a sentence, and the sentence's tone."""
    if report is None or not report.probes:
        if check.active:
            return "", "quiet"
        return check.why or "It found nothing: no probe ended.", "quiet"
    begin = "" if check.state == State.FINISHED else f"{check.why} Until then: "
    if not report.failed:
        bound = percent(bounds(0, report.probes)[1])
        return f"{begin}none of {plural(report.probes, 'probe')} failed, which proves a share below {bound}.", "up"
    share = f"{percent(report.failed / report.probes)} (95{NBSP}%: {interval(report.failed, report.probes)})"
    race = f" {count(report.race)} of them met the race." if report.race else " None of them met the race."
    return f"{begin}{count(report.failed)} of {plural(report.probes, 'probe')} failed, {share}.{race}", "down"


def _rows(report: Report) -> list[tuple[str, str]]:
    rows = [
        ("Failed", _proportion(report.failed, report.probes)),
        ("Met the race", _proportion(report.race, report.probes)),
    ]
    if report.expected:
        rows.append(("Events missing", _proportion(report.undelivered, report.expected)))
    if report.ours:
        rows.append(("Failed for a reason of ours", f"{count(report.ours)}, in no share"))
    if report.flagged:
        rows.append(("Latency not told to 1 ms", f"{count(report.flagged)}, in no percentile"))
    for strategy, revision, probes in report.served[:4]:
        name = f"{strategy or 'strategy not told'}{'' if revision is None else f', r{revision}'}"
        rows.append((f"Served by {name}", plural(probes, "probe")))
    return rows


def _proportion(part: int, whole: int) -> str:
    return f"{count(part)} of {count(whole)} ({interval(part, whole)})" if whole else sentences.NO_FIGURE


def _kinds(report: Report) -> list[Kind]:
    found = []
    for name, number in report.kinds.items():
        ours = FailureKind(name).ours
        share = sentences.NO_FIGURE if ours else percent(number / report.probes)
        held = sentences.NO_FIGURE if ours else interval(number, report.probes)
        found.append(Kind(name, number, share, held, sentences.owner_of(name)))
    return found


def _sample(sample: Any) -> dict[str, Any]:
    arrows = {"in": "←", "out": "→"}
    frames = [
        {**frame, "at": latency(frame["at_us"]), "arrow": arrows.get(frame["direction"], "·")}
        for frame in sample["frames"]
    ]
    return {**sample, "frames": frames, "fault": sentences.owner_of(sample["kind"])}


def drawing(windows: Histogram) -> tuple[list[Bar], list[tuple[float, str]]]:
    """The race window's distribution on a logarithmic axis, and the axis; probes never ready stand apart at the end."""
    timed = [(low, high, n) for low, high, n in windows.bins() if not math.isinf(high) and high > 0]
    if not timed and not windows.beyond:
        return [], []
    room = 900.0 if windows.beyond else 1000.0
    bars: list[Bar] = []
    axis: list[tuple[float, str]] = []
    if timed:
        first, last = math.log(max(timed[0][0], 1)), math.log(timed[-1][1])
        span = max(last - first, math.log(1.5))
        counts = [0] * BARS
        for low, high, n in timed:
            middle = (math.log(max(low, 1)) + math.log(high)) / 2
            counts[min(BARS - 1, int((middle - first) / span * BARS))] += n
        tallest = max(*counts, windows.beyond)
        width = room / BARS
        bars = [_bar(index * width, width, n, tallest, never=False) for index, n in enumerate(counts) if n]
        axis = [(room * share, latency(math.exp(first + span * share))) for share in (0, 0.5, 1)]
    if windows.beyond:
        tallest = max(windows.beyond, *(counts if timed else [0]))
        bars.append(_bar(940.0, 60.0, windows.beyond, tallest, never=True))
        axis.append((970.0, "never"))
    return bars, axis


def _bar(x: float, width: float, n: int, tallest: int, *, never: bool) -> Bar:
    height = max(2.0, 100 * n / tallest)
    return Bar(round(x + 1, 1), round(100 - height, 1), round(width - 2, 1), round(height, 1), never)


def comparison(checks: Sequence[RaceCheck]) -> str:
    """What changed between the last two checks that have a report, with its bounds; "" where there are no two."""
    pairs = [(check, report_of(check)) for check in checks]
    usable = [(check, report) for check, report in pairs if report and report.probes][:2]
    if len(usable) < 2:
        return ""
    (new_check, new), (old_check, old) = usable
    low, high = difference(old.failed, old.probes, new.failed, new.probes)
    shares = f"{percent(old.failed / old.probes)} failed before, {percent(new.failed / new.probes)} now"
    if low <= 0 <= high:
        told = f"{shares}. That may be chance: 95{NBSP}% from {_points(-low)} fewer to {_points(high)} more."
    else:
        word, least, most = ("more", low, high) if low > 0 else ("fewer", -high, -low)
        told = f"{shares}: {100 * least:.1f} to {_points(most)} {word} (95{NBSP}%). It changed; this does not say why."
    return told + _differing(old_check, old, new_check, new)


def _points(change: float) -> str:
    return f"{100 * max(change, 0.0):.1f}{NBSP}points"


def _differing(old_check: RaceCheck, old: Report, new_check: RaceCheck, new: Report) -> str:
    """What else was different, so that nobody reads a change of the question as a change of the target."""
    other = []
    if old_check.early_send != new_check.early_send:
        other.append("one sent early, the other did not")
    if old_check.at_once != new_check.at_once:
        other.append(f"{old_check.at_once} then {new_check.at_once} at once")
    if old_check.location_id != new_check.location_id:
        other.append("from different locations")
    if {who[:2] for who in old.served} != {who[:2] for who in new.served}:
        other.append("other strategies or revisions served")
    return f" They differ in more: {'; '.join(other)}." if other else ""


def live(target: Target) -> dict[str, Any]:
    """What the target's pages replace while they are open: the newest check's state, progress, and the card."""
    checks = newest(target, CARD)
    check = checks[0] if checks else None
    return {
        "id": check.pk if check else None,
        "state": check.state if check else "",
        "done": check.done if check else 0,
        "count": check.count if check else 0,
        "failed": check.failed if check else 0,
        "progress": progress_text(check) if check else "",
        "html": render_to_string("race_checks/card.html", card(target, checks)),
    }


def card(target: Target, checks: Sequence[RaceCheck]) -> dict[str, Any]:
    """The context of the card on the target's page. Who may act decides the browser's page, not this."""
    newest_check = checks[0] if checks else None
    return {
        "target": target,
        "race_check": shown(newest_check) if newest_check else None,
        "progress": progress_text(newest_check) if newest_check else "",
        "comparison": comparison(checks),
        "former": [(check, summary_of(check)) for check in checks[1:CARD]],
        "race_checks_url": reverse("race_checks", args=[target.slug]),
    }


def progress_text(check: RaceCheck) -> str:
    """ "41 of 200 probes, 2 failed"."""
    if check.state == State.QUEUED:
        return f"Waiting for a worker at {check.location_id}"
    failed = f"{count(check.failed)} failed" if check.failed else "none failed"
    return f"{count(check.done)} of {plural(check.count, 'probe')}, {failed}"


def summary_of(check: RaceCheck) -> str:
    """One check in a list: "3 of 200 failed (0.51 to 4.3 %)"."""
    if check.active:
        return progress_text(check)
    report = report_of(check)
    if report is None or not report.probes:
        return WORDS[State(check.state)]
    told = f"{count(report.failed)} of {count(report.probes)} failed ({interval(report.failed, report.probes)})"
    return told if check.state == State.FINISHED else f"{WORDS[State(check.state)]}: {told}"


def estimate(seconds: float) -> str:
    """ "about 51 s at most", "about 9 min at most"."""
    if seconds < 90:
        return f"about {math.ceil(seconds)}{NBSP}s at most"
    return f"about {sentences.span(timedelta(seconds=seconds + 59))} at most"
