"""The four defects of the original's message queue (facts: netra-systems/zen, 2025), each as a test of the gate.

In the original: the flush callback was a coroutine function that was called and never awaited; overflow compared
priorities as words; a failed flush dropped what it had taken; `close()` waited for a lock that its caller held.
"""

import asyncio
import warnings

import pytest
from websockets.asyncio.client import connect

from connections.gate import Priority, ReadinessGate
from connections.gate.buffer import Buffer
from connections.gate.connection import Scope
from connections.gate.inbound import Receive
from connections.gate.outbound import Message, Outbound, Outgoing, Send
from tests.connections.gate.applications import ACCEPT, Chat, next_json, plain
from tests.connections.gate.conftest import Records
from tests.support.asgi import serving
from tests.support.waiting import await_until


class _Owner:
    def unsent(self) -> None: ...
    def lost(self) -> None: ...
    def stalled(self) -> None: ...
    async def send(self, message: Message) -> None: ...


async def test_what_was_held_is_really_handed_over(ended: Records) -> None:
    """Defect 1: the flush was a coroutine that nobody awaited, so buffered messages never left."""
    chat = Chat("llm")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with serving(ReadinessGate(chat, required=["llm"])) as server:
            async with connect(server.ws) as client:
                for number in range(200):
                    await client.send(str(number))
                await (await client.ping())
                chat.set_up()
                await next_json(client)
                assert [(await next_json(client))["text"] for _ in range(200)] == [str(n) for n in range(200)]
            (record,) = ended()
    assert (record["messages"]["delivered"], record["messages"]["held"]) == (200, 0)
    assert chat.heard_early == []


async def test_what_was_held_back_is_really_sent() -> None:
    """Defect 1, outwards."""
    sent: list[Message] = []

    async def send(message: Message) -> None:
        await asyncio.sleep(0)
        sent.append(message)

    out = Outbound(send, "e", _Owner(), Outgoing())
    out.hold()
    for _ in range(3):
        await out.event({"type": "websocket.send", "text": '{"type":"agent_started"}'})
    out.release()
    await await_until(lambda: len(sent) == 3)


@pytest.mark.parametrize("held", list(Priority)[:-1])
@pytest.mark.parametrize("newcomer", list(Priority))
def test_priorities_are_compared_as_numbers(held: Priority, newcomer: Priority) -> None:
    """Defect 2: as words, "critical" < "high" < "low", so a queue full of LOW refused what mattered most."""
    buffer: Buffer[str] = Buffer(max_count=1)
    buffer.offer("old", size=1, priority=held)
    admission = buffer.offer("new", size=1, priority=newcomer)
    assert admission.accepted == (newcomer > held)
    buffer.open()
    assert buffer.take() == ("new" if newcomer > held else "old")


async def test_a_failed_hand_over_keeps_the_critical_message(ended: Records) -> None:
    """Defect 3: a flush that failed lost what it had taken. Here the application gives up waiting for its message, in
    the very moment at which it comes, and gets it the next time."""
    heard: list[str] = []

    async def impatient(scope: Scope, receive: Receive, send: Send) -> None:
        await send(ACCEPT)
        while len(heard) < 50:
            waiting = asyncio.ensure_future(receive())
            await asyncio.wait([waiting], timeout=0.001)
            waiting.cancel()
            try:
                heard.append((await waiting)["text"])
            except asyncio.CancelledError:
                continue
        await send({"type": "websocket.close", "code": 1000})

    with serving(ReadinessGate(plain(impatient), announce=False)) as server:
        async with connect(server.ws) as client:
            for number in range(50):
                await client.send(str(number))
                await asyncio.sleep(0.001)
            await asyncio.wait_for(client.wait_closed(), 10)
        ended()
    assert heard == [str(number) for number in range(50)]


async def test_a_failed_send_keeps_the_critical_event_at_the_head() -> None:
    """Defect 3, outwards: what could not be sent is held, never counted as delivered."""

    async def send(message: Message) -> None:
        await asyncio.sleep(0)
        raise ConnectionResetError

    out = Outbound(send, "e", _Owner(), Outgoing())
    out.hold()
    await out.event({"type": "websocket.send", "text": '{"type":"agent_completed"}'})
    out.release()
    await asyncio.sleep(0.01)
    assert (out.sent, out.counts.delivered, out.counts.held) == (0, 0, 1)


async def test_closing_while_a_send_is_under_way_does_not_wait_for_itself(ended: Records) -> None:
    """Defect 4: close() took the lock under which it was called, and hung for ever."""
    closing = asyncio.Event()

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        await send(ACCEPT)
        event = {"type": "websocket.send", "text": '{"type":"agent_thinking"}'}
        await asyncio.gather(*(send(dict(event)) for _ in range(20)), send({"type": "websocket.close", "code": 4000}))
        closing.set()

    with serving(ReadinessGate(plain(application), announce=False)) as server:
        async with connect(server.ws) as client:
            seen = [await next_json(client) for _ in range(20)]
            await asyncio.wait_for(client.wait_closed(), 5)
            assert client.close_code == 4000
        (record,) = ended()
    assert closing.is_set()
    assert [frame["seq"] for frame in seen] == list(range(1, 21))
    assert record["cause"] == "self_closed"
