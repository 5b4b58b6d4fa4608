"""The Python clients of `benchmarks.throughput`, each in a process of its own: CLIENT URL COUNT IN_FLIGHT.

Prints one JSON line: {"cpu_ms": per probe, "rate": probes a second, "failed": n}.
"""

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable

import picows
from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException
from websockets.typing import Subprotocol

from probes.engine.client import Prober
from probes.engine.guardrails import Policy
from probes.engine.script import CRITICAL_EVENTS, TargetSpec

WARM_UP = 100
_HELLO = {"type": "user_message", "run_id": "1", "text": "hello"}
_PROTOCOL = "readywire.chat.v1"

Run = Callable[[], Awaitable[bool]]


def ours(prober: Prober, url: str) -> Run:
    """A full probe as a worker runs it: all marks, without the transcript that 99 of 100 successes do not keep."""
    spec = TargetSpec(1, "throughput", url, 30.0)

    async def run() -> bool:
        return (await prober.probe(spec, success_frames=False)).ok

    return run


def plain(url: str) -> Run:
    async def run() -> bool:
        async with connect(url, subprotocols=[Subprotocol(_PROTOCOL)], compression=None, open_timeout=30) as socket:
            for number in range(1 + len(CRITICAL_EVENTS)):
                json.loads(await socket.recv())
                if number == 0:
                    await socket.send(json.dumps(_HELLO))
        return True

    return run


class _Listener(picows.WSListener):
    def __init__(self) -> None:
        self.ended: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._received = 0

    def on_ws_frame(self, transport: picows.WSTransport, frame: picows.WSFrame) -> None:
        if frame.msg_type == picows.WSMsgType.CLOSE:
            transport.disconnect()
            return
        json.loads(frame.get_payload_as_ascii_text())
        self._received += 1
        if self._received == 1:
            transport.send(picows.WSMsgType.TEXT, json.dumps(_HELLO).encode())
        elif self._received == 1 + len(CRITICAL_EVENTS):
            transport.send_close(picows.WSCloseCode.OK)

    def on_ws_disconnected(self, _: picows.WSTransport) -> None:
        if not self.ended.done():
            self.ended.set_result(self._received == 1 + len(CRITICAL_EVENTS))


def fast(url: str) -> Run:
    async def run() -> bool:
        listener = _Listener()
        await picows.ws_connect(
            lambda: listener, url, extra_headers=[("Sec-WebSocket-Protocol", _PROTOCOL)], websocket_handshake_timeout=30
        )
        return await listener.ended

    return run


async def _many(run: Run, count: int, in_flight: int) -> int:
    """How many failed."""
    failed, numbers = 0, iter(range(count))

    async def worker() -> None:
        nonlocal failed
        for _ in numbers:
            try:
                failed += not await run()
            except (OSError, TimeoutError, WebSocketException, picows.WSError):
                failed += 1

    await asyncio.gather(*(worker() for _ in range(in_flight)))
    return failed


async def _main(client: str, url: str, count: int, in_flight: int) -> dict[str, float]:
    async with Prober(policy=Policy(allow_private=True)) as prober:
        run = {"readywire": ours(prober, url), "websockets": plain(url), "picows": fast(url)}[client]
        await _many(run, WARM_UP, in_flight)
        cpu, began = time.process_time(), time.monotonic()
        failed = await _many(run, count, in_flight)
        spent = time.process_time() - cpu
        return {"cpu_ms": spent * 1e3 / count, "rate": count / (time.monotonic() - began), "failed": failed}


if __name__ == "__main__":
    name, address, number, at_once = sys.argv[1:]
    print(json.dumps(asyncio.run(_main(name, address, int(number), int(at_once)))))
