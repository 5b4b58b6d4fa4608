"""Whether a benchmark's figures meet the goals: pure, from the JSON it wrote. The goals are the issues' own."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

TRUTH_MS, TRUTH_FLAGGED, TRUTH_IN_FLIGHT = 0.25, 0.01, 500
CHEAPER_THAN_WEBSOCKETS, CHEAPER_THAN_ARTILLERY = 0.7, 8.0
PROBES_PER_S, START_DELAY_MS = 1000.0, 250.0
SILENT_WORSE = 1.2
MEMORY_MIB = 20.0
PROPAGATION_MS = 500.0
TOGGLE_MS, TOGGLE_GOAL_MS = 1000.0, 250.0
FLAG_SERVER_RATIO = 1.05


@dataclass(frozen=True, slots=True)
class Verdict:
    """One line of the table; `met` None: it could not be tried here, which fails nothing."""

    proof: str
    goal: str
    figure: str
    met: bool | None


def truth(rows: Sequence[Mapping[str, Any]]) -> list[Verdict]:
    """The ready mark at 500 in flight, each scheme and way of blocking for itself."""
    ours = [row for row in rows if (row["client"], row["mark"]) == ("readywire", "ready")]
    verdicts = []
    for row in ours:
        if row["in_flight"] == TRUTH_IN_FLIGHT:
            goal = f"p99 <= {TRUTH_MS} ms, flagged <= {TRUTH_FLAGGED:.0%} ({row['scheme']}, blocks: {row['block']})"
            figure = f"{row['p99_ms']:.3f} ms, {row['flagged']:.1%}"
            met = row["p99_ms"] <= TRUTH_MS and row["flagged"] <= TRUTH_FLAGGED
            verdicts.append(Verdict("truth", goal, figure, met))
    return verdicts or [Verdict("truth", f"the ready mark at {TRUTH_IN_FLIGHT} in flight", "was not measured", False)]


def throughput(report: Mapping[str, Any]) -> list[Verdict]:
    """CPU of a full probe beside the plain websockets client and artillery, at the worst concurrency."""
    found: Mapping[str, Mapping[str, Mapping[str, float]]] = report["in_flight"]
    ratios = {at: rows["readywire"]["cpu_ms"] / rows["websockets"]["cpu_ms"] for at, rows in found.items()}
    worst = max(ratios, key=lambda at: ratios[at])
    goal = f"CPU of a probe <= {CHEAPER_THAN_WEBSOCKETS} x plain websockets"
    shown = ", ".join(f"{ratio:.2f} at {at}" for at, ratio in ratios.items())
    verdicts = [Verdict("throughput", goal, shown, ratios[worst] <= CHEAPER_THAN_WEBSOCKETS)]
    if report.get("artillery"):
        dearest = max(rows["readywire"]["cpu_ms"] for rows in found.values())
        times = report["artillery"]["cpu_ms"] / dearest
        goal = f">= {CHEAPER_THAN_ARTILLERY:g} x cheaper than artillery"
        verdicts.append(Verdict("throughput", goal, f"{times:.1f} x", times >= CHEAPER_THAN_ARTILLERY))
    failed = sum(rows["readywire"]["failed"] for rows in found.values())
    return [*verdicts, Verdict("throughput", "no probe failed", f"{failed:.0f} failed", failed == 0)]


def pipeline(report: Mapping[str, Any]) -> list[Verdict]:
    """Full probes a second through all processes, and how late they started."""
    rate, late = report["ok_per_s"], report["start_delay"].get("p99_ms")
    missed = f", {report['missed']} missed"
    return [
        Verdict("pipeline", f">= {PROBES_PER_S:g} full probes/s", f"{rate:.0f}/s{missed}", rate >= PROBES_PER_S),
        _start_delay("pipeline", late),
    ]


def _start_delay(proof: str, late: float | None) -> Verdict:
    goal = f"start delay p99 < {START_DELAY_MS:g} ms"
    if late is None:
        return Verdict(proof, goal, "nothing was recorded", False)
    return Verdict(proof, goal, f"{late:.1f} ms", late < START_DELAY_MS)


def silent(without: Mapping[str, Any], beside: Mapping[str, Any]) -> list[Verdict]:
    """What silent targets do to the start of the others."""
    before, after = (report["start_delay"].get("p99_ms") for report in (without, beside))
    goal = f"200 silent targets: others' start delay p99 <= {SILENT_WORSE} x"
    if not before or after is None:
        return [Verdict("silent", goal, "nothing was recorded", False)]
    return [Verdict("silent", goal, f"{before:.1f} ms -> {after:.1f} ms", after <= SILENT_WORSE * before)]


def restart(report: Mapping[str, Any], targets: int, interval_s: float) -> list[Verdict]:
    """How soon every target had been probed again, from the first outcome after the processes were started."""
    found = report["restart"]
    goal = f"all {targets} targets probed within {interval_s:g} s of the first, after a restart"
    figure = f"{found['covered']} in {found['after_first_s']:.1f} s ({found['after_start_s']:.1f} s with the start)"
    return [Verdict("restart", goal, figure, found["covered"] >= targets and found["after_first_s"] <= interval_s)]


def memory(report: Mapping[str, Any]) -> list[Verdict]:
    """A worker under every hostile server."""
    grown, wrong = report["grown_mib"], len(report["wrong"])
    servers = f"{report['servers']} hostile servers, {report['rounds']} rounds"
    return [
        Verdict("memory", f"{servers}: <= +{MEMORY_MIB:g} MiB", f"+{grown:.1f} MiB", grown <= MEMORY_MIB),
        Verdict("memory", f"{servers}: each told rightly", f"{wrong} wrong", wrong == 0),
    ]


def toggle(report: Mapping[str, Any]) -> list[Verdict]:
    """How soon a change is obeyed, over every gate."""
    row = report["figures"]["every gate"]
    figure = f"{row['p99_ms']:.0f} ms over {row['n']:.0f} ({TOGGLE_GOAL_MS:g} ms is hoped for)"
    goal = f"a change reaches the next connection: p99 < {TOGGLE_MS:g} ms"
    return [Verdict("toggle", goal, figure, row["p99_ms"] < TOGGLE_MS)]


def propagation(report: Mapping[str, Any]) -> list[Verdict]:
    """How soon every watched server of a fleet holds a change, by a person's hand or a plan's, and who never does."""
    fleet = f"{report['clients']} servers hold"
    missed = report["missed"] + report["dropped_missed"]
    rows = [Verdict("propagation", f"{report['drops']} forced drops: 0 missed", f"{missed} missed", missed == 0)]
    for name, what in [("change", "a change"), ("emergency", "an emergency rollback")]:
        row = report["rows"][name]
        goal = f"{fleet} {what}: p99 < {PROPAGATION_MS:g} ms"
        figure = f"{row['p99_ms']:.0f} ms over {row['n']:.0f}"
        rows.append(Verdict("propagation", goal, figure, row["n"] > 0 and row["p99_ms"] < PROPAGATION_MS))
    return rows


def flag_servers(report: Mapping[str, Mapping[str, float]]) -> list[Verdict]:
    """What a hung or dead flag server adds to a connection, beside having none."""
    return [
        Verdict(
            "flag_servers",
            f"flag server {state}: time to ready <= {FLAG_SERVER_RATIO} x none",
            f"{row['ratio']:.2f} x ({row['p50_ms']:.2f} ms)",
            row["ratio"] <= FLAG_SERVER_RATIO,
        )
        for state, row in report.items()
        if state not in ("none", "answering")
    ]


def exit_status(proof: str, goal: str, status: int, last_line: str) -> list[Verdict]:
    """Of a proof that judges itself."""
    return [Verdict(proof, goal, last_line or f"exit status {status}", status == 0)]


def table(verdicts: Sequence[Verdict]) -> str:
    """The verdicts as aligned lines: proof, goal, figure, met or not."""
    words = {True: "met", False: "NOT MET", None: "not tried"}
    rows = [("proof", "goal", "figure", "")]
    rows += [(each.proof, each.goal, each.figure, words[each.met]) for each in verdicts]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, [*widths, 0], strict=True)).rstrip()
                     for row in rows)  # fmt: skip


def failed(verdicts: Sequence[Verdict]) -> bool:
    """Whether a goal that was tried is not met, or nothing was tried at all."""
    return any(each.met is False for each in verdicts) or all(each.met is None for each in verdicts)
