"""The buffer: nothing before open, order kept, bounds kept, every message accounted for."""

from dataclasses import dataclass

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from connections.gate.buffer import Buffer, Priority
from connections.gate.errors import NothingHeld, StillHeld


def full(priority: Priority) -> Buffer[str]:
    buffer: Buffer[str] = Buffer(max_count=3)
    for name in ("a", "b", "c"):
        buffer.offer(name, size=1, priority=priority)
    return buffer


def drained(buffer: Buffer[str]) -> list[str]:
    buffer.open()
    return [buffer.take() for _ in range(len(buffer))]


def test_nothing_is_delivered_before_it_is_opened() -> None:
    buffer: Buffer[str] = Buffer()
    buffer.offer("early", size=5)
    for consume in (buffer.take, buffer.peek):
        with pytest.raises(StillHeld):
            consume()
    assert drained(buffer) == ["early"]


def test_an_empty_buffer_says_so() -> None:
    buffer: Buffer[str] = Buffer()
    buffer.open()
    with pytest.raises(NothingHeld):
        buffer.take()


def test_priority_never_changes_the_order_of_delivery() -> None:
    """A critical message that came last is delivered last: it must not overtake what it belongs to."""
    buffer: Buffer[str] = Buffer()
    for name, priority in (("low", Priority.LOW), ("critical", Priority.CRITICAL), ("high", Priority.HIGH)):
        buffer.offer(name, size=1, priority=priority)
    assert drained(buffer) == ["low", "critical", "high"]


@pytest.mark.parametrize("newcomer", [Priority.NORMAL, Priority.HIGH, Priority.CRITICAL])
def test_a_buffer_full_of_low_makes_room_for_anything_above(newcomer: Priority) -> None:
    """The origin compared priorities as words, so a full LOW queue rejected HIGH and CRITICAL."""
    buffer = full(Priority.LOW)
    admission = buffer.offer("new", size=1, priority=newcomer)
    assert (admission.accepted, admission.evicted) == (True, 1)
    assert drained(buffer) == ["b", "c", "new"]


def test_the_lowest_class_is_evicted_first_and_its_oldest_first() -> None:
    buffer: Buffer[str] = Buffer(max_count=4)
    for name, priority in (("n", Priority.NORMAL), ("l1", Priority.LOW), ("l2", Priority.LOW), ("h", Priority.HIGH)):
        buffer.offer(name, size=1, priority=priority)
    for name in ("c1", "c2", "c3"):
        buffer.offer(name, size=1, priority=Priority.CRITICAL)
    assert drained(buffer) == ["h", "c1", "c2", "c3"]


def test_equals_are_not_evicted() -> None:
    """Strictly below: a newcomer is refused rather than an older equal dropped."""
    buffer = full(Priority.HIGH)
    admission = buffer.offer("new", size=1, priority=Priority.HIGH)
    assert not admission.accepted
    assert not admission.overflow
    assert buffer.counts.refused == 1
    assert drained(buffer) == ["a", "b", "c"]


def test_critical_is_never_evicted_and_says_overflow() -> None:
    buffer = full(Priority.CRITICAL)
    assert buffer.offer("new", size=1, priority=Priority.CRITICAL).overflow
    assert drained(buffer) == ["a", "b", "c"]


def test_nothing_is_evicted_in_vain() -> None:
    """Where even every eviction would make no room, all stay."""
    buffer: Buffer[str] = Buffer(max_bytes=10)
    buffer.offer("critical", size=8, priority=Priority.CRITICAL)
    buffer.offer("low", size=2, priority=Priority.LOW)
    assert not buffer.offer("large", size=5, priority=Priority.HIGH).accepted
    assert drained(buffer) == ["critical", "low"]


def test_an_empty_buffer_takes_one_message_of_any_size() -> None:
    """Else a message larger than the bound, which the server accepts, could never pass."""
    buffer: Buffer[str] = Buffer(max_bytes=10)
    assert buffer.offer("large", size=1000, priority=Priority.LOW).accepted
    assert not buffer.offer("next", size=1, priority=Priority.LOW).accepted
    assert drained(buffer) == ["large"]


def test_a_consumers_exception_keeps_the_head() -> None:
    """The origin lost CRITICAL messages on a failed flush."""
    buffer = full(Priority.CRITICAL)
    buffer.open()

    def fails(item: str) -> None:
        raise ConnectionError(item)

    with pytest.raises(ConnectionError, match="a"):
        buffer.deliver(fails)
    assert buffer.counts.delivered == 0
    assert buffer.deliver(str.upper) == "A"
    assert buffer.counts.delivered == 1


def test_critical_does_not_age() -> None:
    """What holds it back has a deadline of its own; dropping it silently at 300 s would lose a person's words."""
    buffer: Buffer[str] = Buffer(max_age_s=10)
    buffer.offer("words", size=1, priority=Priority.CRITICAL, now=0.0)
    assert buffer.expire(1000.0) == []
    assert drained(buffer) == ["words"]


def test_what_is_on_its_way_cannot_be_evicted() -> None:
    buffer = full(Priority.LOW)
    buffer.open()
    assert buffer.begin() == "a"
    for _ in range(2):
        assert buffer.offer("new", size=1, priority=Priority.CRITICAL).accepted
    assert buffer.offer("new", size=1, priority=Priority.CRITICAL).overflow
    buffer.restore()
    assert drained(buffer) == ["a", "new", "new"]


def test_senders_that_wait_are_admitted_beyond_the_bounds() -> None:
    buffer = full(Priority.CRITICAL)
    buffer.admit("waits", size=1)
    assert drained(buffer) == ["a", "b", "c", "waits"]


def test_what_is_held_too_long_expires_and_is_counted() -> None:
    buffer: Buffer[str] = Buffer(max_age_s=10)
    buffer.offer("old", size=1, now=0.0)
    buffer.offer("young", size=1, now=5.0)
    assert buffer.expire(11.0) == ["old"]
    assert buffer.counts.expired == 1
    assert drained(buffer) == ["young"]


@dataclass
class Held:
    number: int
    priority: Priority
    size: int
    at: float


class BufferMachine(RuleBasedStateMachine):
    """The buffer beside the plainest model of it: one list."""

    def __init__(self) -> None:
        super().__init__()
        self.buffer: Buffer[int] = Buffer(max_count=5, max_bytes=40, max_age_s=30)
        self.model: list[Held] = []
        self.offered = self.accepted = self.delivered = self.evicted = self.expired = 0
        self.now = 0.0
        self.begun = 0

    def fits(self, size: int) -> bool:
        held = sum(each.size for each in self.model)
        return not self.model or (len(self.model) < 5 and held + size <= 40)

    @rule(priority=st.sampled_from(Priority), size=st.integers(0, 50))
    def offer(self, priority: Priority, size: int) -> None:
        self.offered += 1
        newcomer = Held(self.offered, priority, size, self.now)
        before = list(self.model)
        below = [h for h in self.model[self.begun :] if h.priority < priority]
        victims = sorted(below, key=lambda h: (h.priority, h.number))
        gone = 0
        while not self.fits(size) and victims:
            self.model.remove(victims.pop(0))
            gone += 1
        admission = self.buffer.offer(newcomer.number, size=size, priority=priority, now=self.now)
        if self.fits(size):
            self.model.append(newcomer)
            self.accepted += 1
            self.evicted += gone
            assert (admission.accepted, admission.evicted) == (True, gone)
        else:
            self.model = before
            assert not admission.accepted
            assert admission.overflow == (priority is Priority.CRITICAL)

    @rule(seconds=st.floats(0, 20))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def expire(self) -> None:
        aging = [each for each in self.model[self.begun :] if each.priority < Priority.CRITICAL]
        late = {each.number for each in aging if self.now - each.at > 30}
        assert set(self.buffer.expire(self.now)) == late
        self.model = [each for each in self.model if each.number not in late]
        self.expired += len(late)

    @rule()
    def open(self) -> None:
        self.buffer.open()

    @rule()
    def hold(self) -> None:
        self.buffer.hold()

    @precondition(lambda self: self.model and self.buffer.is_open and not self.begun)
    @rule()
    def begin(self) -> None:
        assert self.buffer.begin() == self.model[0].number
        self.begun = 1

    @precondition(lambda self: self.begun)
    @rule(ends=st.sampled_from(["done", "restore", "withdraw"]))
    def conclude(self, ends: str) -> None:
        getattr(self.buffer, ends)()
        self.begun = 0
        if ends != "restore":
            self.model.pop(0)
            self.delivered += ends == "done"
            self.evicted += ends == "withdraw"

    @precondition(lambda self: self.model and not self.begun)
    @rule(fails=st.booleans())
    def consume(self, fails: bool) -> None:
        def consumer(item: int) -> int:
            if fails:
                raise ConnectionError
            return item

        try:
            taken = self.buffer.deliver(consumer)
        except StillHeld:
            assert not self.buffer.is_open
        except ConnectionError:
            assert self.buffer.peek() == self.model[0].number
        else:
            assert self.buffer.is_open
            assert taken == self.model.pop(0).number
            self.delivered += 1

    @invariant()
    def every_message_is_accounted_for(self) -> None:
        counts = self.buffer.counts
        assert counts.accepted == self.accepted
        assert (counts.delivered, counts.evicted, counts.expired) == (self.delivered, self.evicted, self.expired)
        assert counts.accepted == counts.delivered + counts.evicted + counts.expired + counts.held
        assert counts.refused == self.offered - self.accepted
        assert (counts.held, counts.held_bytes) == (len(self.model), sum(each.size for each in self.model))

    @invariant()
    def the_bounds_hold(self) -> None:
        counts = self.buffer.counts
        assert counts.held <= 5
        assert counts.held_bytes <= 40 or counts.held == 1


TestBufferMachine = BufferMachine.TestCase
