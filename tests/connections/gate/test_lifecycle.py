"""The twelve states: only legal edges, monotone time, one terminal reason, deadlines as data."""

from itertools import pairwise

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from connections.gate.errors import IllegalTransition
from connections.gate.lifecycle import (
    DEADLINES,
    SETUP_PATH,
    TRAIL_LIMIT,
    TRANSITIONS,
    Cause,
    Consequence,
    Deadline,
    Lifecycle,
    State,
)
from connections.gate.settings import Settings
from connections.gate.strategies import DependencyGate


def test_there_are_twelve_states_and_forty_one_edges() -> None:
    """The forty of the design, and one for an accept that is deferred; a change of it is a change of the design."""
    assert len(State) == len(TRANSITIONS) == 12
    assert sum(len(targets) for targets in TRANSITIONS.values()) == 41


def test_the_table_cannot_be_changed() -> None:
    """Nobody adds an edge at run time."""
    with pytest.raises(TypeError):
        TRANSITIONS[State.CLOSED] = frozenset({State.ACCEPTED})  # type: ignore[index]


def reachable(start: State, without: frozenset[State] = frozenset()) -> set[State]:
    found, frontier = {start}, [start]
    while frontier:
        fresh = TRANSITIONS[frontier.pop()] - found - without
        found |= fresh
        frontier += fresh
    return found


def test_every_state_is_reachable_and_every_state_reaches_closed() -> None:
    """No dead end, nothing unreachable, and closed is final."""
    assert reachable(State.CONNECTING) == set(State)
    assert all(State.CLOSED in reachable(state) for state in State)
    assert TRANSITIONS[State.CLOSED] == frozenset()


@pytest.mark.parametrize("step", SETUP_PATH[1:-1])
def test_no_connection_opens_without_each_step_of_the_setup(step: State) -> None:
    """However the application behaves, there is no way round validation, authentication and the dependency check."""
    assert not any(state.open for state in reachable(State.CONNECTING, frozenset({step})))


def test_every_state_that_waits_for_somebody_has_a_deadline() -> None:
    """Only the open states may last, while their client reads, and closed."""
    assert set(State) - set(DEADLINES) == {State.PROCESSING_READY, State.GRACEFUL_DEGRADATION, State.CLOSED}


def test_an_illegal_transition_raises_changes_nothing_and_is_recorded() -> None:
    life = Lifecycle(1.0)
    with pytest.raises(IllegalTransition, match="connecting cannot become processing_ready"):
        life.move(State.PROCESSING_READY, 2.0, "impatience")
    assert life.state is State.CONNECTING
    assert len(life.trail) == 1
    (refusal,) = life.refusals
    assert (refusal.state, refusal.target, refusal.why) == (State.CONNECTING, State.PROCESSING_READY, "impatience")


def test_a_deadline_passes_exactly_then() -> None:
    """Due at its second, not before, with its one consequence."""
    life = Lifecycle(100.0)
    assert life.due(109.999) is None
    due = life.due(110.0)
    assert due is not None
    assert due.consequence is Consequence.REFUSE_503


def test_a_strategy_may_give_the_dependency_check_its_own_deadline() -> None:
    strategy = DependencyGate(timeout_seconds=0.5)
    life = Lifecycle(0.0, deadlines=Settings().deadlines_for(strategy))
    for state in SETUP_PATH[:4]:
        life.move(state, 1.0, "setup")
    assert life.due_at == 1.5
    assert life.due(1.5).consequence is Consequence.DECIDE  # type: ignore[union-attr]


def test_deadlines_can_be_replaced_for_one_gate() -> None:
    slow = {**DEADLINES, State.CONNECTING: Deadline(60.0, Consequence.REFUSE_503)}
    assert Lifecycle(0.0, deadlines=slow).due_at == 60.0


def test_the_first_terminal_reason_wins_and_closing_again_changes_nothing() -> None:
    life = Lifecycle(0.0)
    assert life.end(Cause.CLIENT_GONE, 1.0, "left")
    trail = life.trail
    assert not life.end(Cause.APPLICATION_ERROR, 2.0, "raised")
    assert life.cause is Cause.CLIENT_GONE
    assert life.trail == trail


def test_time_in_each_state_adds_up() -> None:
    """A degraded service that comes and goes is counted in full, also where the trail has forgotten steps."""
    life = Lifecycle(0.0)
    for state in (*SETUP_PATH, State.PROCESSING_READY):
        life.move(state, 1.0, "setup")
    for turn in range(100):
        life.move(State.GRACEFUL_DEGRADATION, 2.0 + turn, "gone")
        life.move(State.PROCESSING_READY, 2.25 + turn, "back")
    assert len(life.trail) == TRAIL_LIMIT
    assert life.forgotten == 7 + 200 - TRAIL_LIMIT
    assert life.spent(101.25)[State.GRACEFUL_DEGRADATION] == pytest.approx(25.0)
    assert sum(life.spent(101.25).values()) == pytest.approx(101.25)


_OPENING = frozenset({Consequence.DECIDE, Consequence.OPEN_UNCONFIRMED})


def carry_out(life: Lifecycle, consequence: Consequence, now: float, choice: State) -> None:
    """What the shell makes of a deadline, in terms of the table; `choice` is what a strategy decides."""
    match consequence:
        case Consequence.DECIDE:
            life.move(choice, now, "the strategy decided")
        case Consequence.OPEN_UNCONFIRMED:
            life.move(State.PROCESSING_READY, now, "unconfirmed")
        case Consequence.REFUSE_503:
            life.end(Cause.NEVER_ACCEPTED, now, "out of time")
        case Consequence.ABORT:
            life.end(Cause.CANCELLED, now, "aborted")
        case _:
            life.end(Cause.NOT_READY, now, "out of time", through=State.CLOSING)


class LifecycleMachine(RuleBasedStateMachine):
    """Any sequence of moves and ends, with time going anywhere."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.life = Lifecycle(self.now)
        self.first_cause: Cause | None = None

    @rule(seconds=st.floats(-1, 20))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule(to=st.sampled_from(State))
    def move(self, to: State) -> None:
        before = self.life.state, self.life.trail
        legal = to in TRANSITIONS[self.life.state]
        try:
            self.life.move(to, self.now, "asked")
        except IllegalTransition:
            assert not legal
            assert (self.life.state, self.life.trail) == before
        else:
            assert legal
            assert self.life.state is to

    @rule(cause=st.sampled_from(Cause), through=st.sampled_from([None, State.CLOSING, State.FAILED]))
    def end(self, cause: Cause, through: State | None) -> None:
        first = self.life.end(cause, self.now, "asked", through=through)
        assert first == (self.first_cause is None)
        self.first_cause = self.first_cause or cause
        if through is None:
            assert self.life.ended

    @precondition(lambda self: self.life.due_at is not None)
    @rule(choice=st.sampled_from([State.SERVICES_READY, State.GRACEFUL_DEGRADATION, State.CLOSING]))
    def the_deadline_comes(self, choice: State) -> None:
        """Its one consequence is always possible, and leaves the state."""
        due_at, left = self.life.due_at, self.life.state
        assert due_at is not None
        self.now = max(self.now, due_at)
        due = self.life.due(self.now)
        assert due is not None
        assert due.state is left
        carry_out(self.life, due.consequence, self.now, choice)
        assert self.life.state is not left
        if due.consequence not in _OPENING:
            self.first_cause = self.life.cause

    @precondition(lambda self: self.life.ended)
    @rule(cause=st.sampled_from(Cause), through=st.sampled_from([None, State.CLOSING, State.FAILED]))
    def closing_again_changes_nothing(self, cause: Cause, through: State | None) -> None:
        before = self.life.trail, self.life.cause, self.life.spent(self.now)
        had_a_cause = self.life.cause is not None
        self.life.end(cause, self.now + 1, "again", through=through)
        self.first_cause = self.life.cause
        if had_a_cause:
            assert (self.life.trail, self.life.cause, self.life.spent(self.now)) == before

    @invariant()
    def time_in_the_trail_never_goes_back(self) -> None:
        times = [step.at for step in self.life.trail]
        assert times == sorted(times)
        assert len(times) <= TRAIL_LIMIT

    @invariant()
    def the_trail_follows_the_table(self) -> None:
        """Where nothing was forgotten from its middle, each step is an edge."""
        if not self.life.forgotten:
            states = [step.state for step in self.life.trail]
            assert all(after in TRANSITIONS[before] for before, after in pairwise(states))

    @invariant()
    def one_reason(self) -> None:
        assert self.life.cause is self.first_cause


TestLifecycleMachine = LifecycleMachine.TestCase
