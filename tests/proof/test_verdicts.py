"""The verdicts of `make proof`: each goal at its edge, and what is told when a figure is absent."""

from typing import Any

import pytest

from tests.proof import verdicts
from tests.proof.__main__ import PROOFS, Run, _proved
from tests.proof.verdicts import Verdict, failed, table


def row(**changes: Any) -> dict[str, Any]:
    fields = {"client": "readywire", "scheme": "ws", "in_flight": 500, "block": "busy", "mark": "ready"}
    return {**fields, "p50_ms": 0.1, "p99_ms": 0.25, "max_ms": 1.0, "flagged": 0.01, **changes}


@pytest.mark.parametrize(
    ("changes", "met"), [({}, True), ({"p99_ms": 0.26}, False), ({"flagged": 0.011}, False), ({"max_ms": 900.0}, True)]
)
def test_truth_is_the_ready_mark_at_500_in_flight(changes: dict[str, Any], met: bool) -> None:
    """Other clients, marks and loads are shown beside it, and judge nothing."""
    others = [row(client="ws", p99_ms=28.0), row(mark="claimed", p99_ms=9.0), row(in_flight=1000, p99_ms=9.0)]
    (verdict,) = verdicts.truth([row(**changes), *others])
    assert verdict.met is met
    assert "busy" in verdict.goal


def test_truth_that_was_not_measured_is_not_met() -> None:
    assert [verdict.met for verdict in verdicts.truth([])] == [False]


def costs(ours: float, artillery: float | None = 8.0, failures: int = 0) -> dict[str, Any]:
    rows = {"readywire": {"cpu_ms": ours, "failed": failures}, "websockets": {"cpu_ms": 1.0, "failed": 0}}
    worse = {"readywire": {"cpu_ms": 0.5, "failed": 0}, "websockets": {"cpu_ms": 1.0, "failed": 0}}
    return {"in_flight": {"1": worse, "50": rows}, "artillery": {"cpu_ms": artillery} if artillery else None}


def test_throughput_is_judged_at_the_worst_concurrency() -> None:
    assert [each.met for each in verdicts.throughput(costs(0.7, 5.6))] == [True, True, True]
    assert [each.met for each in verdicts.throughput(costs(0.71, 5.6))] == [False, False, True]
    assert [each.met for each in verdicts.throughput(costs(0.7, None, failures=1))] == [True, False]


FLAG_SERVERS = (("none", 1.0), ("answering", 1.2), ("hung", 1.05), ("dead", 1.06))


@pytest.mark.parametrize(("p99", "met"), [(999.9, True), (1000.0, False)])
def test_a_change_is_obeyed_within_a_second_at_every_gate(p99: float, met: bool) -> None:
    (verdict,) = verdicts.toggle({"figures": {"every gate": {"n": 400, "p99_ms": p99}}, "ms": {}})
    assert verdict.met is met


@pytest.mark.parametrize(("p99", "missed", "met"), [(499.9, 0, True), (500.0, 0, False), (100.0, 1, False)])
def test_a_fleet_holds_a_change_within_half_a_second_and_misses_none(p99: float, missed: int, met: bool) -> None:
    row = {"n": 400, "p99_ms": p99}
    report = {"clients": 200, "drops": 50, "missed": 0, "dropped_missed": missed}
    found = verdicts.propagation({**report, "rows": {"change": row, "emergency": row}})
    assert all(verdict.met for verdict in found) is met


def test_a_flag_server_in_any_state_is_judged_beside_none() -> None:
    rows = {state: {"ratio": ratio, "p50_ms": 1.0} for state, ratio in FLAG_SERVERS}
    assert [(each.figure[:4], each.met) for each in verdicts.flag_servers(rows)] == [("1.05", True), ("1.06", False)]


def flow(rate: float = 1000.0, late: float | None = 249.9) -> dict[str, Any]:
    delays = {} if late is None else {"p50_ms": 1.0, "p99_ms": late}
    return {"ok_per_s": rate, "recorded_per_s": rate, "missed": 3, "start_delay": delays}


@pytest.mark.parametrize(
    ("report", "met"),
    [
        (flow(), [True, True]),
        (flow(rate=999.0), [False, True]),
        (flow(late=250.0), [True, False]),
        (flow(0, None), [False, False]),
    ],
)
def test_the_pipeline_carries_a_thousand_a_second_and_starts_in_time(report: dict[str, Any], met: list[bool]) -> None:
    assert [each.met for each in verdicts.pipeline(report)] == met


@pytest.mark.parametrize(("after", "met"), [(12.0, True), (12.1, False), (None, False)])
def test_silent_targets_may_delay_the_others_by_a_fifth(after: float | None, met: bool) -> None:
    (verdict,) = verdicts.silent(flow(late=10.0), flow(late=after))
    assert verdict.met is met


@pytest.mark.parametrize(("covered", "seconds", "met"), [(1000, 5.0, True), (999, 1.0, False), (1000, 5.1, False)])
def test_a_restart_covers_all_within_an_interval(covered: int, seconds: float, met: bool) -> None:
    report = {"restart": {"covered": covered, "after_first_s": seconds, "after_start_s": seconds + 3}}
    (verdict,) = verdicts.restart(report, 1000, 5.0)
    assert verdict.met is met


def test_memory_is_bounded_and_every_hostile_server_told_rightly() -> None:
    good = {"servers": 112, "rounds": 3, "grown_mib": 20.0, "wrong": {}}
    assert [each.met for each in verdicts.memory(good)] == [True, True]
    bad = {**good, "grown_mib": 20.1, "wrong": {"a flood": "ok"}}
    assert [each.met for each in verdicts.memory(bad)] == [False, False]


def test_the_table_says_met_not_met_and_not_tried() -> None:
    found = [Verdict("truth", "p99", "0.1 ms", True), Verdict("pipeline", "1,000/s", "900/s", False)]
    lines = table([*found, Verdict("stability", "a day", "is not here", None)]).splitlines()
    assert [line.split("  ")[-1].strip() for line in lines[1:]] == ["met", "NOT MET", "not tried"]
    assert {line.index(goal) for line, goal in zip(lines, ["goal", "p99", "1,000/s", "a day"], strict=True)} == {11}


def test_one_goal_that_is_not_met_fails_and_so_does_having_tried_nothing() -> None:
    met, missed, untried = (Verdict("p", "g", "f", value) for value in (True, False, None))
    assert not failed([met, untried])
    assert failed([met, missed])
    assert failed([untried])
    assert failed([])


def test_a_proof_that_breaks_is_not_met_and_tells_why(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    """The others still run."""

    def broken(_run: Run) -> list[Verdict]:
        raise FileNotFoundError("no figures")

    monkeypatch.setitem(PROOFS, "truth", broken)
    (verdict,) = _proved("truth", Run(quick=True, folder=tmp_path))
    assert verdict.met is False
    assert "no figures" in verdict.figure
