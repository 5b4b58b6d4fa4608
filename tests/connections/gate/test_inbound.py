"""From the client: one reader at a time, whoever it is; in order, nothing lost, and a disconnect is seen at once."""

import asyncio
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connections.gate import Priority
from connections.gate.inbound import Inbound, Lookout, Message
from connections.gate.options import settings_of
from tests.support.waiting import await_until

GONE = {"type": "websocket.disconnect", "code": 1001}


class Server:
    """The server's side of `receive`, and the owner that is told what was seen."""

    def __init__(self, **options: Any) -> None:
        self.queue: asyncio.Queue[Message] = asyncio.Queue()
        self.queue.put_nowait({"type": "websocket.connect"})
        self.reading = self.most_reading = 0
        self.asked_times = self.spoke_times = self.overflows = 0
        self.acknowledgements: list[str] = []
        self.disconnects: list[Message] = []
        self.lost_times = 0
        self.inbound = Inbound(self.receive, self, settings_of(**options), Lookout(asyncio.get_running_loop()))

    async def receive(self) -> Message:
        self.reading += 1
        self.most_reading = max(self.most_reading, self.reading)
        try:
            message = await self.queue.get()
            if message["type"] == "reset":
                raise ConnectionResetError
            return message
        finally:
            self.reading -= 1

    def arrives(self, *texts: str) -> None:
        for text in texts:
            self.queue.put_nowait({"type": "websocket.receive", "text": text})

    async def asked(self) -> None:
        self.asked_times += 1

    def spoke(self) -> None:
        self.spoke_times += 1

    def acknowledged(self, nonce: str) -> None:
        self.acknowledgements.append(nonce)

    def disconnected(self, message: Message) -> None:
        self.disconnects.append(message)
        self.inbound.end(message)

    def lost(self) -> None:
        self.lost_times += 1
        self.inbound.end({"type": "websocket.disconnect", "code": 1006})

    def overflowed(self) -> None:
        self.overflows += 1


async def accepted(**options: Any) -> Server:
    server = Server(**options)
    assert (await server.inbound.receive())["type"] == "websocket.connect"
    server.inbound.start()
    return server


async def opened(**options: Any) -> Server:
    """Open, and one message has passed straight through."""
    server = await accepted(**options)
    server.inbound.open()
    asyncio.get_running_loop().call_later(0.01, server.arrives, "first")
    assert (await server.inbound.receive())["text"] == "first"
    return server


async def test_an_application_that_waits_gets_each_message_straight_from_the_server() -> None:
    """No task and no buffer in between: that is what a gate costs nothing by."""
    server = await opened()
    for number in range(3):
        waiting = asyncio.create_task(server.inbound.receive())
        await asyncio.sleep(0)
        server.arrives(str(number))
        assert (await waiting)["text"] == str(number)
        tasks = asyncio.all_tasks()
        assert tasks == {asyncio.current_task()}
    counts = server.inbound.counts
    assert (counts.accepted, counts.delivered, counts.held) == (4, 4, 0)
    assert (server.most_reading, server.spoke_times) == (1, 1)


async def test_an_application_that_asks_at_once_is_the_only_reader_from_the_start() -> None:
    server = await accepted()
    server.inbound.open()
    asyncio.get_running_loop().call_later(0.03, server.arrives, "hello")
    assert (await server.inbound.receive())["text"] == "hello"
    assert server.most_reading == 1


async def test_a_disconnect_is_seen_while_the_application_is_busy_with_a_message() -> None:
    server = await opened()
    server.arrives("work")
    await server.inbound.receive()
    server.queue.put_nowait(GONE)
    await await_until(lambda: server.disconnects)
    assert await server.inbound.receive() == GONE
    assert server.most_reading == 1


async def test_a_disconnect_is_seen_during_setup_though_the_application_asks_for_nothing() -> None:
    server = await accepted()
    server.arrives("early")
    server.queue.put_nowait(GONE)
    await await_until(lambda: server.disconnects)
    assert server.inbound.counts.held == 1


async def test_what_came_before_the_opening_comes_first_and_then_the_rest() -> None:
    server = await accepted()
    server.arrives("1", "2")
    await await_until(lambda: server.inbound.counts.held == 2)
    waiting = asyncio.create_task(server.inbound.receive())
    await asyncio.sleep(0.01)
    assert not waiting.done()
    server.inbound.open()
    heard = [(await waiting)["text"]]
    server.arrives("3", "4")
    heard += [(await server.inbound.receive())["text"] for _ in range(3)]
    assert heard == ["1", "2", "3", "4"]


async def test_what_comes_in_the_moment_of_the_opening_overtakes_nothing() -> None:
    server = await accepted()
    server.arrives("1", "2")
    await await_until(lambda: server.inbound.counts.held == 2)
    waiting = asyncio.create_task(server.inbound.receive())
    await asyncio.sleep(0)
    server.arrives("3", "4")
    server.inbound.open()
    heard = [(await waiting)["text"]] + [(await server.inbound.receive())["text"] for _ in range(3)]
    assert heard == ["1", "2", "3", "4"]


async def test_a_message_that_comes_while_nothing_more_may_be_taken_is_held() -> None:
    """Draining: the application was already waiting for it."""
    server = await opened()
    waiting = asyncio.create_task(server.inbound.receive())
    await asyncio.sleep(0)
    server.inbound.hold()
    server.arrives("late")
    await await_until(lambda: server.inbound.counts.held == 1)
    assert not waiting.done()
    server.inbound.end(GONE)
    assert await waiting == GONE
    server.inbound.stop()


async def test_an_application_that_waits_hears_at_once_of_an_end_that_the_server_does_not_tell() -> None:
    """The gate closes, and some servers say nothing more."""
    server = await opened()
    for _ in range(2):
        waiting = asyncio.create_task(server.inbound.receive())
        await asyncio.sleep(0)
        server.inbound.end(GONE)
        assert await asyncio.wait_for(waiting, 5) == GONE
        assert waiting.cancelling() == 0
    assert server.reading == 0


async def test_an_application_that_is_cancelled_in_the_moment_of_the_end_stays_cancelled() -> None:
    server = await opened()
    waiting = asyncio.create_task(server.inbound.receive())
    await asyncio.sleep(0)
    server.inbound.end(GONE)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert waiting.cancelled()


async def test_two_that_wait_at_once_are_told_apart() -> None:
    for server in (await opened(), await accepted()):
        waiting = asyncio.create_task(server.inbound.receive())
        await asyncio.sleep(0)
        with pytest.raises(RuntimeError, match="one consumer"):
            await server.inbound.receive()
        waiting.cancel()
        server.inbound.stop()


async def test_acknowledgements_are_taken_on_every_way_and_in_any_number() -> None:
    server = await accepted()
    acknowledgement = '{"type":"ready_ack","nonce":"n"}'
    server.arrives(acknowledgement)
    await await_until(lambda: server.acknowledgements)
    server.inbound.open()
    server.arrives(*[acknowledgement] * 2000, "hello", acknowledgement, "again")
    assert [(await server.inbound.receive())["text"] for _ in range(2)] == ["hello", "again"]
    assert len(server.acknowledgements) == 2002
    assert server.inbound.counts.accepted == 2
    assert server.spoke_times == 1
    server.inbound.stop()


async def test_an_error_of_the_server_is_a_client_that_is_gone() -> None:
    for server in (await opened(), await accepted()):
        server.queue.put_nowait({"type": "reset"})
        assert (await asyncio.wait_for(server.inbound.receive(), 5))["code"] == 1006
        assert server.lost_times == 1


async def test_what_was_held_too_long_is_not_handed_over_but_a_persons_words_are() -> None:
    def priority_of(message: Any) -> Priority:
        return Priority.LOW if message["text"] == "typing" else Priority.CRITICAL

    server = await accepted(max_held_s=0.02, priority_of=priority_of)
    server.arrives("typing", "words", "typing")
    await await_until(lambda: server.inbound.counts.held == 3)
    await asyncio.sleep(0.05)
    server.inbound.open()
    assert (await server.inbound.receive())["text"] == "words"
    server.inbound.end(GONE)
    assert await server.inbound.receive() == GONE
    counts = server.inbound.counts
    assert (counts.accepted, counts.delivered, counts.expired, counts.held) == (3, 1, 2, 0)
    server.inbound.stop()


STEPS = st.lists(
    st.sampled_from(["arrive", "arrive", "ask", "ask", "give up", "tick", "turn", "turn", "open", "hold"]), max_size=60
)


class Run:
    """One application that asks and gives up at any moment, against a model that is a list."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.sent = 0
        self.heard: list[int] = []
        self.waiting: asyncio.Task[Message] | None = None
        self.open = False

    async def step(self, name: str) -> None:
        inbound = self.server.inbound
        match name:
            case "arrive":
                self.server.arrives(str(self.sent))
                self.sent += 1
            case "ask" if self.waiting is None:
                self.waiting = asyncio.create_task(inbound.receive())
            case "give up" if self.waiting is not None:
                self.waiting.cancel()
                with suppress(asyncio.CancelledError):
                    self.hear(await self.waiting)
                self.waiting = None
            case "tick":
                inbound.looked_at()
            case "open" | "hold":
                self.open = name == "open"
                inbound.open() if self.open else inbound.hold()
            case _:
                await asyncio.sleep(0)
        self.collect()

    def collect(self) -> None:
        if self.waiting is not None and self.waiting.done():
            self.hear(self.waiting.result())
            self.waiting = None

    def hear(self, message: Message) -> None:
        self.heard.append(int(message["text"]))

    async def finish(self) -> None:
        """Open, and hear everything that was sent."""
        self.server.inbound.open()
        async with asyncio.timeout(5):
            while len(self.heard) < self.sent:
                if self.waiting is None:
                    self.waiting = asyncio.create_task(self.server.inbound.receive())
                await asyncio.wait([self.waiting])
                self.collect()
        if self.waiting is not None:
            self.waiting.cancel()
        self.server.inbound.stop()


@given(STEPS)
def test_whatever_happens_everything_comes_once_and_in_order_and_one_reads_at_a_time(steps: list[str]) -> None:
    async def play() -> None:
        run = Run(await accepted())
        for name in steps:
            await run.step(name)
            assert run.heard == list(range(len(run.heard)))
        await run.finish()
        assert run.heard == list(range(run.sent))
        assert run.server.most_reading <= 1
        counts = run.server.inbound.counts
        assert counts.accepted == counts.delivered == run.sent

    asyncio.run(play())
