"""Whatever a server says and whenever, a life goes only where its table lets it, and ends with one ending."""

import json

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from websockets.frames import Frame, Opcode
from websockets.utils import accept_key

from probes.engine.guardrails import Limits
from probes.engine.lives import Ending
from probes.engine.resident import FOLLOWS, Resident, Standing, Stay
from probes.engine.script import CRITICAL_EVENTS, TargetSpec
from tests.support.chat_server import READY
from tests.support.hostile import text_frame

S = 1_000_000_000


class Lives(RuleBasedStateMachine):
    """A resident that holds for 60 s and talks every 5 s, with a deadline of 2 s."""

    def __init__(self, limits: Limits | None = None) -> None:
        super().__init__()
        self.runs = (f"run{number}" for number in range(10_000))
        spec = TargetSpec(1, "t", "ws://server.example/chat", 2.0)
        self.resident = Resident(spec, Stay(60, 5), nonces=lambda: next(self.runs), limits=limits or Limits())
        self.now = 0
        self.last = Standing.CONNECTING
        self.asked = 0
        self.seq = 0

    @initialize()
    def begin(self) -> None:
        self.resident.begin(0)
        self.resident.open()
        self.flush()

    def flush(self) -> None:
        sent = self.resident.outgoing(self.now)
        for line in sent.decode("latin-1").split("\r\n"):
            if line.startswith("Sec-WebSocket-Key"):
                self.key = line.split(": ")[1]

    def feed(self, data: bytes) -> None:
        self.resident.received(data, self.now, self.now, self.now)
        self.flush()

    @rule(ready=st.booleans())
    def upgrade(self, ready: bool) -> None:
        answer = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        answer += f"Sec-WebSocket-Accept: {accept_key(self.key)}\r\n\r\n"
        if self.resident.opened_at is None:
            self.feed(answer.encode() + (text_frame(json.dumps(READY)) if ready else b""))

    @precondition(lambda self: self.resident.opened_at is not None)
    @rule(first=st.integers(0, 4), last=st.integers(0, 4), numbered=st.booleans())
    def events(self, first: int, last: int, numbered: bool) -> None:
        """Some events of the run under way, in order."""
        data = b""
        for name in CRITICAL_EVENTS[first : last + 1]:
            self.seq += 1
            message = {"type": name, "run_id": self.resident._nonce} | ({"seq": self.seq} if numbered else {})
            data += text_frame(json.dumps(message))
        self.feed(data)

    @precondition(lambda self: self.resident.opened_at is not None)
    @rule(
        message=st.sampled_from(
            [
                READY,
                {"type": "error", "message": "no"},
                {"type": "agent_completed", "run_id": "run0", "seq": 1},
                {"type": "note", "text": 'Need to call "accept" first'},
                {},
            ]
        )
    )
    def say(self, message: dict[str, object]) -> None:
        self.feed(text_frame(json.dumps(message)))

    @precondition(lambda self: self.resident.opened_at is not None)
    @rule(opcode=st.sampled_from([Opcode.PING, Opcode.PONG]), payload=st.sampled_from([b"", b"run0", b"run1"]))
    def ping(self, opcode: Opcode, payload: bytes) -> None:
        self.feed(Frame(opcode, payload).serialize(mask=False))

    @rule(seconds=st.sampled_from([0.0, 0.5, 1.0, 2.0, 5.0, 70.0]))
    def wait(self, seconds: float) -> None:
        self.now += int(seconds * S)
        self.resident.tick(self.now)
        self.flush()

    @precondition(lambda self: self.resident.wake_at is not None)
    @rule()
    def wake(self) -> None:
        self.now = max(self.now, self.resident.wake_at or 0)
        self.resident.tick(self.now)
        self.flush()

    @rule()
    def told_to_leave(self) -> None:
        self.resident.leave(self.now, Ending.STOPPED, "no longer wanted")
        self.flush()

    @precondition(lambda self: self.resident.opened_at is not None)
    @rule(code=st.sampled_from([1000, 1001, 1012, 4000]))
    def close(self, code: int) -> None:
        self.feed(Frame(Opcode.CLOSE, code.to_bytes(2, "big")).serialize(mask=False))

    @rule(error=st.sampled_from([None, ConnectionResetError(), OSError("away")]))
    def end(self, error: OSError | None) -> None:
        self.resident.ended(error, self.now)

    @rule(garbage=st.binary(min_size=1, max_size=20))
    def send_garbage(self, garbage: bytes) -> None:
        self.feed(garbage)

    @invariant()
    def only_goes_where_the_table_says(self) -> None:
        standing = self.resident.standing
        reachable = {self.last} | FOLLOWS[self.last]
        for _ in FOLLOWS:  # one read may carry it through several
            reachable |= {after for each in reachable for after in FOLLOWS[each]}
        assert standing in reachable
        self.last = standing

    @invariant()
    def an_end_is_told_once_and_wholly(self) -> None:
        resident = self.resident
        assert (resident.ended_at is not None) == (resident.standing is Standing.ENDED)
        if resident.standing is Standing.ENDED and resident.ready_at is not None:
            assert resident.ending is not None
        if resident.ready_at is not None:
            assert resident.opened_at is not None

    @invariant()
    def one_that_lives_knows_when_to_act(self) -> None:
        """Nothing that a server does not do can hold it for ever."""
        if self.resident.standing is not Standing.ENDED:
            assert self.resident.wake_at is not None

    @invariant()
    def its_counts_agree(self) -> None:
        tally = self.resident.tally
        assert tally.expected == 5 * (tally.ok + tally.failed)
        assert tally.delivered <= tally.expected
        assert tally.ok * 5 <= tally.delivered
        assert 0 <= self.resident.lost_in_cut <= 5
        assert self.resident.idle_ns >= 0


TestLives = Lives.TestCase
TestLives.settings = settings(max_examples=150, stateful_step_count=30, deadline=None)


def idle(limits: Limits) -> Lives:
    """A resident that is idle after its first conversation."""
    lives = Lives(limits)
    lives.begin()
    lives.upgrade(True)
    lives.events(0, 4, True)
    assert lives.resident.standing is Standing.IDLE
    return lives


def note(lives: Lives) -> bytes:
    lives.seq += 1
    return text_frame(json.dumps({"type": "price", "epoch": "e1", "seq": lives.seq}))


def test_a_feed_may_go_on_for_hours_and_is_not_remembered() -> None:
    lives = idle(Limits(frames=30))
    for _ in range(500):
        lives.now += S
        lives.feed(note(lives))
    assert lives.resident.standing is Standing.IDLE
    assert not lives.resident.delivery.defects(late_after=None).keys() - set(CRITICAL_EVENTS)
    lives.now = lives.resident.wake_at or 0
    lives.resident.tick(lives.now)
    lives.flush()
    lives.events(0, 4, True)
    assert (lives.resident.tally.ok, lives.resident.tally.lost) == (2, 0)


def test_a_flood_is_cut() -> None:
    lives = idle(Limits(frames=30))
    for _ in range(50):
        lives.now += S // 100
        lives.feed(note(lives))
    assert lives.resident.ending is Ending.BROKEN
    assert "more than 30" in lives.resident.why


def test_a_silence_before_a_reset_counts_though_we_spoke_last() -> None:
    """A firewall that forgot the connection answers our next message with a reset: the silence before it is why."""
    lives = idle(Limits())
    lives.now = lives.resident.wake_at or 0
    lives.resident.tick(lives.now)
    lives.flush()
    assert lives.resident.standing is Standing.CONVERSING
    lives.now += S // 10
    lives.end(ConnectionResetError())
    assert lives.resident.idle_ns == 5 * S
    assert lives.resident.patience_ns == 0
    assert lives.resident.lost_in_cut == 5
