"""Long random lives of a gated connection, beyond the bounds of the model check: many messages, any strategy, a flag
that changes, in a world where time moves only when told."""

import logging
from collections.abc import Iterator

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from connections.gate import State
from connections.gate.strategies import STRATEGIES
from tests.support.gate_world import Plan, World

ACTIONS = ("connect", "accept", "message", "ready", "authenticate", "fail", "consume", "ack", "vanish", "disconnect",
           "timeout", "drain", "flip", "raise")  # fmt: skip
MOST = {"message": 30, "consume": 30, "timeout": 12}
names = st.sampled_from(sorted(STRATEGIES))


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    logger = logging.getLogger("readywire.gate")
    logger.disabled = True
    yield
    logger.disabled = False


class GateMachine(RuleBasedStateMachine):
    """Any order of anything that can happen to one connection."""

    world: World

    @initialize(before=names, after=names, authenticates=st.booleans(), optional=st.sampled_from([(), ("search",)]))
    def begin(self, before: str, after: str, authenticates: bool, optional: tuple[str, ...]) -> None:
        first, then = {"readiness-strategy": before}, {"readiness-strategy": after}
        self.world = World(Plan("any", first, then, ACTIONS, frozenset(), MOST, authenticates, optional))

    @rule(data=st.data())
    def something_happens(self, data: st.DataObject) -> None:
        if possible := sorted(self.world.possible()):
            self.world.do(data.draw(st.sampled_from(possible)))

    @precondition(lambda self: "message" in self.world.possible())
    @rule(count=st.integers(2, 10))
    def the_client_talks(self, count: int) -> None:
        for _ in range(count):
            if "message" in self.world.possible():
                self.world.do("message")

    @invariant()
    def the_rules_hold(self) -> None:
        assert self.world.faults() == []

    def teardown(self) -> None:
        """Left alone, it flows or ends; once the client leaves, it ends in any case, for one reason."""
        if not hasattr(self, "world") or "connect" not in self.world.done:
            return
        world = self.world
        world.run_out()
        assert world.faults() == []
        assert world.state is not None
        assert world.state.open or world.state is State.CLOSED
        if world.state.open:
            assert len(world.heard) == world.said
            world.do("disconnect")
            world.run_out()
        assert world.state is State.CLOSED
        assert [record.cause for record in world.records] == [world.cause]
        world.loop.end()


TestGateMachine = GateMachine.TestCase
TestGateMachine.settings = settings(max_examples=200, stateful_step_count=40, deadline=None)
