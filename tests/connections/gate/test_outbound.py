"""What leaves for the client: in order, numbered, bounded; a slow client slows the application."""

import asyncio
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connections.gate import Priority
from connections.gate.errors import InvalidParameters
from connections.gate.outbound import Message, Outbound, Outgoing, droppable
from tests.support.waiting import await_until


class Wire:
    """The server, which takes messages while `reads` is set, as one whose client does; and the owner."""

    out: Outbound

    def __init__(self) -> None:
        self.reads = asyncio.Event()
        self.reads.set()
        self.taken: list[Message] = []
        self.gone = False
        self.lost_told = self.stalled_told = 0

    async def take(self, message: Message) -> None:
        await self.reads.wait()
        if self.gone:
            raise ConnectionResetError
        self.taken.append(message)

    async def send(self, message: Message) -> None:
        await self.out.event(message)

    def unsent(self) -> None:
        """Told with `lost`."""

    def lost(self) -> None:
        self.lost_told += 1

    def stalled(self) -> None:
        self.stalled_told += 1

    @property
    def frames(self) -> list[Any]:
        return [json.loads(message["text"]) for message in self.taken]

    @property
    def told(self) -> list[tuple[Any, ...]]:
        """Each frame in short: its sequence number, or the gap."""
        return [(f["from"], f["to"]) if f["type"] == "gap" else (f.get("seq"),) for f in self.frames]


def event(kind: str = "step", size: int = 0) -> Message:
    return {"type": "websocket.send", "text": json.dumps({"type": kind, "filler": "x" * size})}


def outbound(wire: Wire, **settings: Any) -> Outbound:
    wire.out = Outbound(wire.take, "e", wire, Outgoing(**settings))
    return wire.out


DROPS = {"low": Priority.LOW, "high": Priority.HIGH}


async def test_by_default_a_slow_client_slows_the_application_and_nothing_is_dropped() -> None:
    wire = Wire()
    out = outbound(wire, max_count=2)
    wire.reads.clear()
    senders = [asyncio.create_task(out.send(event())) for _ in range(10)]
    await asyncio.sleep(0.05)
    assert not any(sender.done() for sender in senders)
    wire.reads.set()
    await asyncio.gather(*senders)
    assert wire.told == [(number,) for number in range(1, 11)]
    assert (out.counts.accepted, out.counts.delivered, out.gaps) == (9, 9, 0)


async def test_what_may_be_dropped_does_not_slow_its_sender_and_leaves_a_gap_in_its_place() -> None:
    wire = Wire()
    out = outbound(wire, priorities=DROPS, max_count=3)
    wire.reads.clear()
    async with asyncio.timeout(5):
        for _ in range(6):
            await out.send(event("low"))
    last = asyncio.create_task(out.send(event("critical")))
    await await_until(lambda: out.counts.accepted == 4)
    wire.reads.set()
    await last
    assert wire.told == [(1,), (2,), (3,), (4, 6), (7,)]
    assert out.counts.refused == 3


async def test_the_less_important_makes_room_and_the_gap_stands_where_it_stood() -> None:
    wire = Wire()
    out = outbound(wire, priorities=DROPS, max_count=3)
    wire.reads.clear()
    for kind in ("high", "low", "low", "high", "high"):
        await out.send(event(kind))
    wire.reads.set()
    await out.send(event("critical"))
    assert wire.told == [(1,), (2, 3), (4,), (5,), (6,)]
    assert out.counts.evicted == 2


async def test_a_tail_that_was_dropped_is_told_without_another_event() -> None:
    wire = Wire()
    out = outbound(wire, priorities=DROPS, max_count=1)
    wire.reads.clear()
    for _ in range(3):
        await out.send(event("low"))
    wire.reads.set()
    await await_until(lambda: len(wire.taken) == 2)
    assert wire.told == [(1,), (2, 3)]
    assert out.next_seq == 4
    await out.send(event("critical"))
    assert wire.told[-1] == (4,)


async def test_what_waited_too_long_is_not_sent_any_more() -> None:
    wire = Wire()
    out = outbound(wire, priorities=DROPS, max_age_s=0.05)
    wire.reads.clear()
    await out.send(event("low"))
    await out.send(event("low"))
    await asyncio.sleep(0.1)
    wire.reads.set()
    await out.send(event("critical"))
    assert wire.told == [(1,), (2, 2), (3,)]
    assert out.counts.expired == 1


@pytest.mark.parametrize("silent", [{"announce": False}, {"number": False}])
async def test_where_no_gap_could_be_told_nothing_is_dropped(silent: dict[str, bool]) -> None:
    wire = Wire()
    out = outbound(wire, priorities=DROPS, max_count=1, **silent)
    wire.reads.clear()
    senders = [asyncio.create_task(out.send(event("low"))) for _ in range(4)]
    await asyncio.sleep(0)
    wire.reads.set()
    await asyncio.gather(*senders)
    assert len(wire.taken) == 4


async def test_what_carries_no_number_of_ours_is_never_dropped() -> None:
    """Bytes, and events whose application numbers them itself: no gap could say that they are missing."""
    wire = Wire()
    out = outbound(wire, priorities=DROPS, max_count=1)
    wire.reads.clear()
    own = {"type": "websocket.send", "text": '{"type":"low","seq":7}'}
    senders = [asyncio.create_task(out.event(m)) for m in (event(), own, own, {"type": "x", "bytes": b"1"})]
    await asyncio.sleep(0)
    wire.reads.set()
    await asyncio.gather(*senders)
    assert len(wire.taken) == 4


async def test_while_held_back_senders_go_on_and_the_gates_frames_go_first() -> None:
    """An application greets before its setup is over: waiting for the accept would hold the setup up for ever."""
    wire = Wire()
    out = outbound(wire)
    out.hold()
    await out.send(event())
    await out.event({"type": "websocket.send", "bytes": b"\x00"})
    await out.send(event())
    assert wire.taken == []
    await out.control({"type": "websocket.accept"})
    await out.frame(lambda next_seq: json.dumps({"type": "connection_ready", "next_seq": next_seq}))
    out.release()
    await out.send(event())
    assert [message["type"] for message in wire.taken[:2]] == ["websocket.accept", "websocket.send"]
    assert json.loads(wire.taken[1]["text"])["next_seq"] == 1
    assert wire.taken[3]["bytes"] == b"\x00"
    assert [json.loads(wire.taken[place]["text"])["seq"] for place in (2, 4, 5)] == [1, 2, 3]


async def test_a_full_hold_slows_the_sender_and_loses_nothing() -> None:
    wire = Wire()
    out = outbound(wire, max_count=2)
    out.hold()
    await out.send(event())
    await out.send(event())
    third = asyncio.create_task(out.send(event()))
    await asyncio.sleep(0.02)
    assert not third.done()
    out.release()
    await third
    assert wire.told == [(1,), (2,), (3,)]


async def test_a_close_goes_after_what_waits() -> None:
    wire = Wire()
    out = outbound(wire, priorities=DROPS)
    wire.reads.clear()
    for _ in range(3):
        await out.send(event("low"))
    close = asyncio.create_task(out.control({"type": "websocket.close"}))
    await asyncio.sleep(0)
    wire.reads.set()
    await close
    assert [message["type"] for message in wire.taken] == ["websocket.send"] * 3 + ["websocket.close"]


async def test_a_sender_that_is_cancelled_takes_its_message_back() -> None:
    """It may send it again: twice would be worse than a gap that says what happened."""
    wire = Wire()
    out = outbound(wire)
    wire.reads.clear()
    first, second, third = (asyncio.create_task(out.send(event())) for _ in range(3))
    await asyncio.sleep(0)
    second.cancel()
    await asyncio.sleep(0)
    wire.reads.set()
    await asyncio.gather(first, third)
    assert wire.told == [(1,), (2, 2), (3,)]
    assert out.counts.evicted == 1


async def test_a_client_that_is_gone_is_told_to_every_sender_and_to_the_owner() -> None:
    """What nobody waited for stays counted as held: accepted, and never delivered."""
    wire = Wire()
    out = outbound(wire, priorities=DROPS)
    wire.reads.clear()
    waits = [asyncio.create_task(out.send(event())) for _ in range(3)]
    await asyncio.sleep(0)
    await out.send(event("low"))
    wire.gone = True
    wire.reads.set()
    assert [type(e) for e in await asyncio.gather(*waits, return_exceptions=True)] == [ConnectionResetError] * 3
    await await_until(lambda: wire.lost_told)
    counts = out.counts
    assert (counts.delivered, counts.held) == (0, 3)


async def test_a_message_that_the_server_refuses_harms_its_own_sender_alone() -> None:
    wire = Wire()

    async def picky(message: Message) -> None:
        await wire.take(message)
        if "bad" in message:
            raise RuntimeError("no such key")

    out = Outbound(picky, "e", wire, Outgoing())
    wire.reads.clear()
    senders = [asyncio.create_task(out.event(m)) for m in (event(), {**event(), "bad": 1}, event())]
    await asyncio.sleep(0)
    wire.reads.set()
    found = await asyncio.gather(*senders, return_exceptions=True)
    assert [type(each) for each in found] == [type(None), RuntimeError, type(None)]
    assert wire.lost_told == 0


async def test_a_client_that_never_reads_is_noticed_and_one_that_reads_slowly_is_not() -> None:
    wire = Wire()
    out = outbound(wire, stall_s=0.2)
    wire.reads.clear()
    sender = asyncio.create_task(out.send(event()))
    await await_until(lambda: wire.stalled_told)
    sender.cancel()

    slow = Wire()
    out = outbound(slow, stall_s=0.4)
    for _ in range(20):
        slow.reads.clear()
        sender = asyncio.create_task(out.send(event()))
        await asyncio.sleep(0.05)
        slow.reads.set()
        await sender
    assert slow.stalled_told == 0
    out.end()


STEPS = st.lists(
    st.sampled_from(["low", "high", "critical", "bytes", "slow", "fast", "turn", "turn", "hold", "release", "frame"]),
    max_size=50,
)


class Run:
    """An application with as many tasks as messages, and a client that reads when it likes."""

    def __init__(self, drops: bool) -> None:
        self.wire = Wire()
        self.out = outbound(self.wire, max_count=3, priorities=DROPS if drops else {})
        self.senders: list[asyncio.Task[None]] = []
        self.numbered = 0

    async def step(self, name: str) -> None:
        match name:
            case "slow":
                self.wire.reads.clear()
            case "fast":
                self.wire.reads.set()
            case "hold" if not self.senders:
                self.out.hold()
            case "release":
                self.out.release()
            case _:
                self.send(name)
        await asyncio.sleep(0)

    def send(self, name: str) -> None:
        if name == "frame":
            self.senders.append(asyncio.create_task(self.out.frame(lambda _: '{"type":"frame"}')))
        elif name == "bytes":
            self.senders.append(asyncio.create_task(self.out.send({"type": "websocket.send", "bytes": b"{}"})))
        elif name in ("low", "high", "critical"):
            self.numbered += 1
            self.senders.append(asyncio.create_task(self.out.send(event(name))))

    async def finish(self) -> None:
        self.wire.reads.set()
        self.out.release()
        await asyncio.wait_for(asyncio.gather(*self.senders), 5)
        await await_until(lambda: not self.out.counts.held and self.out.next_seq > self.numbered)


@given(STEPS, st.booleans())
def test_whatever_happens_every_number_is_sent_once_or_told_as_missing_in_its_place(
    steps: list[str], drops: bool
) -> None:
    async def play() -> None:
        run = Run(drops)
        for name in steps:
            await run.step(name)
        await run.finish()
        assert covered(run.wire) == list(range(1, run.numbered + 1))
        counts = run.out.counts
        assert counts.accepted == counts.delivered + counts.evicted + counts.expired
        if not drops:
            assert (run.out.gaps, run.out.sent) == (0, run.numbered + steps.count("bytes"))

    asyncio.run(play())


def covered(wire: Wire) -> list[int]:
    """Every number in the order in which the client learns of it: on an event, or in a gap."""
    numbers: list[int] = []
    for message in wire.taken:
        frame = json.loads(message["text"]) if "text" in message else {}
        if frame.get("type") == "gap":
            numbers += range(frame["from"], frame["to"] + 1)
        elif "seq" in frame:
            numbers.append(frame["seq"])
    return numbers


def test_the_event_that_ends_a_run_can_not_be_made_droppable() -> None:
    with pytest.raises(InvalidParameters, match="agent_completed"):
        droppable({"agent_completed": Priority.LOW})
    with pytest.raises(InvalidParameters, match="no priority"):
        droppable({"typing": 0})  # type: ignore[dict-item]
