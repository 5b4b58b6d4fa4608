"""A model check of the gate: every order of what client, application, clock, operator and flags can do, within small
bounds, tried against the real rules and the real shell, in a world where time moves only when told.

It proves, within those bounds: nothing is delivered before ready, the order is kept, nothing is stuck, each connection
has exactly one terminal reason, every waiting state has a deadline that moves it, and a change of flags strands nobody.
"""

import logging
from collections import deque
from collections.abc import Iterator

import pytest

from connections.gate import Cause, State
from tests.support.examples import times
from tests.support.gate_world import Plan, World

WHOLE = times(1) > 1
"""`make proof` goes to the end of every order; `make test` follows the first DEEP events, and from there the clock."""
DEEP = 6

CURE = {"readiness-strategy": "dependency_gate"}
IMMEDIATE = {"readiness-strategy": "immediate"}
_LEFT = frozenset({Cause.CLIENT_GONE, Cause.CLIENT_CLOSED, Cause.NEVER_ACCEPTED})

PLANS = (
    Plan(
        "a conversation",
        CURE,
        CURE,
        ("connect", "accept", "ready", "message", "consume", "vanish", "disconnect", "drain", "timeout"),
        _LEFT | {Cause.DRAINED},
        most={"message": 3, "consume": 4, "timeout": 1},
    ),
    Plan(
        "a rollback during setup",
        CURE,
        IMMEDIATE,
        ("connect", "accept", "message", "ready", "consume", "vanish", "disconnect", "timeout", "flip"),
        _LEFT,
    ),
    Plan(
        "failures and a drain",
        CURE,
        IMMEDIATE,
        ("connect", "accept", "message", "ready", "fail", "consume", "timeout", "drain", "raise"),
        frozenset({Cause.APPLICATION_ERROR, Cause.DRAINED, Cause.NEVER_ACCEPTED, Cause.NOT_READY}),
        most={"message": 1, "consume": 2, "timeout": 3},
    ),
    Plan(
        "the cure during the baseline",
        IMMEDIATE,
        CURE,
        ("connect", "accept", "message", "ready", "consume", "disconnect", "timeout", "drain", "flip"),
        _LEFT | {Cause.DRAINED},
        most={"message": 1, "consume": 2, "timeout": 3},
    ),
    Plan(
        "authentication and the acknowledgement",
        {"readiness-strategy": "ready_ack"},
        CURE,
        ("connect", "accept", "message", "authenticate", "ready", "ack", "consume", "disconnect", "timeout", "drain"),
        _LEFT | {Cause.DRAINED, Cause.NOT_READY},
        most={"message": 1, "consume": 2, "timeout": 3},
        authenticates=True,
    ),
    Plan(
        "the client's first message",
        {"readiness-strategy": "client_init"},
        CURE,
        ("connect", "accept", "message", "consume", "disconnect", "timeout", "drain", "flip", "raise"),
        _LEFT | {Cause.DRAINED, Cause.NOT_READY, Cause.APPLICATION_ERROR},
        most={"message": 1, "consume": 2, "timeout": 2},
    ),
    Plan(
        "a deferred accept",
        {"readiness-strategy": "deferred_accept"},
        CURE,
        ("connect", "accept", "message", "ready", "fail", "consume", "vanish", "disconnect", "timeout", "drain"),
        _LEFT | {Cause.DRAINED, Cause.NOT_READY},
        most={"message": 1, "consume": 2, "timeout": 2},
    ),
)


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """A record per run would be a hundred thousand lines."""
    logger = logging.getLogger("readywire.gate")
    logger.disabled = True
    yield
    logger.disabled = False


def replay(plan: Plan, path: tuple[str, ...]) -> World:
    world = World(plan)
    for action in path:
        world.do(action)
    return world


def check_rest(plan: Plan, path: tuple[str, ...]) -> None:
    """Left alone from here, the connection flows or ends; then the client leaves, and it ends in any case."""
    world = replay(plan, path)
    if "connect" not in world.done:
        return
    world.run_out()
    assert not world.faults(), (path, world.faults())
    assert world.state is State.CLOSED or (world.state is not None and world.state.open), (path, world.state)
    if world.state is not State.CLOSED:
        assert len(world.heard) == world.said, (path, "messages are stuck")
        assert world.vanished or world.answers == 1 + len(world.heard), (path, "answers are stuck")
        world.do("disconnect")
        world.run_out()
    assert world.state is State.CLOSED, (path, world.state)
    assert world.running is not None
    assert world.running.done(), (path, "the application was left behind")
    assert not world.faults(), (path, world.faults())
    assert len(world.records) == 1
    world.loop.end()


def explore(plan: Plan) -> tuple[int, set[Cause]]:
    """Every order of the plan's actions, each distinct situation once. Returns how many there were, and what ended."""
    seen, causes = {World(plan).fingerprint}, set[Cause]()
    frontier: deque[tuple[str, ...]] = deque([()])
    while frontier:
        path = frontier.popleft()
        world = replay(plan, path)
        possible = tuple(world.possible())
        world.loop.end()
        for action in possible:
            world = replay(plan, (*path, action))
            faults, mark = world.faults(), world.fingerprint
            if world.cause is not None:
                causes.add(world.cause)
            world.loop.end()
            assert not faults, ((*path, action), faults)
            if mark not in seen:
                seen.add(mark)
                check_rest(plan, (*path, action))
                if WHOLE or len(path) + 1 < DEEP:
                    frontier.append((*path, action))
    return len(seen), causes


@pytest.mark.parametrize("plan", PLANS, ids=lambda plan: plan.name)
def test_every_order_of_events_keeps_the_rules(plan: Plan) -> None:
    """Thousands of situations per plan, in `make test` hundreds; what fails is told with the order of events that leads
    to it."""
    situations, causes = explore(plan)
    assert situations > (1000 if WHOLE else 100)
    assert causes == plan.ends
