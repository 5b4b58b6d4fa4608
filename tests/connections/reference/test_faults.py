"""Which faults are on: a table, a state, and time as an argument."""

import asyncio
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from connections.reference.faults import FAULTS, PERCENT, SECONDS, AlreadyOn, FaultError, UnknownFault
from connections.reference.practice import Practice
from connections.reference.running import Faults, Running
from tests.support.waiting import await_until


def started(
    name: str = "silence", lasts_s: float = 60.0, now: float = 0.0, **parameters: Any
) -> tuple[Faults, Running]:
    faults = Faults()
    return faults, faults.start(name, parameters, lasts_s=lasts_s, now=now)


def test_every_default_is_one_of_its_own_choices_or_within_its_bounds() -> None:
    for fault in FAULTS.values():
        for parameter in fault.parameters:
            assert parameter.checked(parameter.default) == parameter.default


def test_every_fault_can_meet_a_share_of_the_connections() -> None:
    assert all(PERCENT in fault.parameters for fault in FAULTS.values())


def test_a_fault_ends_by_itself_at_its_time_and_not_before() -> None:
    faults, running = started(lasts_s=60, now=100.0)
    assert faults.on(159.9) == (running,)
    assert faults.on(160.0) == ()
    assert not faults.any


def test_what_was_left_out_takes_its_default() -> None:
    _, running = started("slow_setup", seconds=9)
    assert dict(running.parameters) == {"seconds": 9.0, "percent": 100.0}


@pytest.mark.parametrize(
    ("name", "lasts_s", "parameters", "field"),
    [
        ("nonsense", 60, {}, "name"),
        (None, 60, {}, "name"),
        (["silence"], 60, {}, "name"),
        ("silence", 4.9, {}, "lasts_s"),
        ("silence", 3601, {}, "lasts_s"),
        ("silence", "60", {}, "lasts_s"),
        ("silence", True, {}, "lasts_s"),
        ("silence", float("nan"), {}, "lasts_s"),
        ("silence", 60, {"percent": 0}, "parameters.percent"),
        ("silence", 60, {"seconds": 1}, "parameters.seconds"),
        ("slow_setup", 60, {"seconds": 61}, "parameters.seconds"),
        ("dependency_down", 60, {"service": "mail"}, "parameters.service"),
        ("events_lost", 60, {"event": "agent_completed"}, "parameters.event"),
        ("events_lost", 60, {"event": ["agent_started"]}, "parameters.event"),
    ],
)
def test_a_wrong_wish_is_refused_with_its_field_and_its_cure(
    name: Any, lasts_s: Any, parameters: dict[str, Any], field: str
) -> None:
    faults = Faults()
    with pytest.raises(FaultError) as refused:
        faults.start(name, parameters, lasts_s=lasts_s, now=0.0)
    assert refused.value.field == field
    assert refused.value.cure.startswith("give ")
    assert faults.on(0.0) == ()


def test_the_same_fault_twice_is_refused_until_the_first_has_ended() -> None:
    faults, first = started(lasts_s=60)
    with pytest.raises(AlreadyOn, match="on for another 30 s"):
        faults.start("silence", {}, lasts_s=60, now=30.0)
    assert faults.on(30.0) == (first,)
    assert faults.start("silence", {}, lasts_s=60, now=60.0) is not first


def test_ending_what_is_not_on_says_so() -> None:
    faults, _ = started(lasts_s=60)
    for name, now in (("slow_setup", 0.0), ("silence", 60.0), ("nonsense", 0.0)):
        with pytest.raises(UnknownFault):
            faults.end(name, now)


@pytest.mark.parametrize(("percent", "lot", "meets"), [(100, 0.9999, True), (1, 0.0, True), (50, 0.5, False)])
def test_a_connection_keeps_its_lot(percent: float, lot: float, meets: bool) -> None:
    _, running = started(percent=percent)
    assert running.meets(lot) is meets


class FaultsMachine(RuleBasedStateMachine):
    """Against a model that remembers only until when each fault was to last."""

    names = Bundle("names")

    def __init__(self) -> None:
        super().__init__()
        self.faults, self.now, self.until = Faults(), 0.0, dict[str, float]()

    @rule(target=names, name=st.sampled_from(sorted(FAULTS)), lasts_s=st.floats(*SECONDS))
    def start(self, name: str, lasts_s: float) -> str:
        if self.until.get(name, 0.0) > self.now:
            with pytest.raises(AlreadyOn):
                self.faults.start(name, {}, lasts_s=lasts_s, now=self.now)
        else:
            self.until[name] = self.faults.start(name, {}, lasts_s=lasts_s, now=self.now).until
        return name

    @rule(name=names)
    def end(self, name: str) -> None:
        if self.until.get(name, 0.0) > self.now:
            self.faults.end(name, self.now)
        else:
            with pytest.raises(UnknownFault):
                self.faults.end(name, self.now)
        self.until.pop(name, None)

    @rule(seconds=st.floats(0, 4000))
    def pass_time(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def end_all(self) -> None:
        self.faults.end_all(self.now)
        self.until.clear()

    @invariant()
    def on_is_what_has_not_ended(self) -> None:
        left = {name for name, until in self.until.items() if until > self.now}
        assert {running.name for running in self.faults.on(self.now)} == left


TestFaultsMachine = FaultsMachine.TestCase


async def test_who_waits_for_a_fault_goes_on_when_it_is_ended() -> None:
    practice = Practice()
    running = practice.start("slow_setup", {}, lasts_s=3600, by="")
    practice.start("silence", {}, lasts_s=3600, by="")
    waiting = asyncio.create_task(practice.hold_up(running, 3600))
    await asyncio.sleep(0)
    practice.end("silence")
    await asyncio.sleep(0)
    assert not waiting.done()
    practice.end("slow_setup")
    await await_until(waiting.done)


async def test_who_waits_is_not_held_by_the_next_start_of_the_same_fault() -> None:
    practice = Practice()
    waiting = asyncio.create_task(practice.hold_up(practice.start("slow_setup", {}, lasts_s=3600, by=""), 3600))
    await asyncio.sleep(0)
    practice.end_all()
    practice.start("slow_setup", {}, lasts_s=3600, by="")
    await await_until(waiting.done)
