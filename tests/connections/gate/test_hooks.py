"""`drain_on_sigterm` in a process of its own: it drains first, and the server's own handling comes after."""

import asyncio
import logging
import signal
import subprocess
import sys
import textwrap
import threading

import pytest

from connections.gate import ReadinessGate
from connections.gate.hooks import drain_on_sigterm
from dashboard.env import BASE_DIR

PROGRAM = """
import asyncio, os, signal, sys
from connections.gate import ReadinessGate
from connections.gate.hooks import drain_on_sigterm

async def application(scope, receive, send):
    await receive()
    await send({"type": "websocket.accept"})
    while (await receive())["type"] != "websocket.disconnect":
        pass

async def main(how, signals):
    loop, stopped, quiet = asyncio.get_running_loop(), asyncio.Event(), asyncio.Event()
    def say(text):
        print(text, flush=True)
    def on(name):
        say(f"the server got {name}")
        (stopped if name == "SIGTERM" else quiet).set()
    for name in ("SIGTERM", "SIGUSR1"):
        if how == "loop":
            loop.add_signal_handler(getattr(signal, name), on, name)
        else:
            number = getattr(signal, name)
            signal.signal(number, lambda number, _: loop.call_soon_threadsafe(on, signal.Signals(number).name))
    sent = asyncio.Queue()
    incoming = asyncio.Queue()
    incoming.put_nowait({"type": "websocket.connect"})
    async def send(message):
        if message["type"] == "websocket.close":
            say(f"the client got {message['code']}")
        sent.put_nowait(message)
    hooked = drain_on_sigterm(ReadinessGate(application), grace_s=float(os.environ["GRACE"]))
    serving = asyncio.create_task(hooked({"type": "websocket", "path": "/"}, incoming.get, send))
    while (await sent.get())["type"] != "websocket.send":
        pass
    for name in signals:
        os.kill(os.getpid(), getattr(signal, name))
        if name == "SIGUSR1":
            await quiet.wait()
        await asyncio.sleep(0.05)
    await stopped.wait()
    await asyncio.sleep(0.05)
    serving.cancel()

asyncio.run(main(sys.argv[1], sys.argv[2:]))
"""
both = pytest.mark.parametrize("how", ["handler", "loop"])


def said(how: str, *signals: str, grace: float) -> list[str]:
    """What happened in a process whose server listens for signals in one of the two ways."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(PROGRAM), how, *signals],
        cwd=BASE_DIR, env={"GRACE": str(grace)}, capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    return done.stdout.splitlines()


@both
def test_clients_are_told_before_the_server_hears_of_the_signal(how: str) -> None:
    assert said(how, "SIGTERM", grace=0.1) == ["the client got 1012", "the server got SIGTERM"]


@both
def test_a_second_signal_goes_through_at_once(how: str) -> None:
    assert said(how, "SIGTERM", "SIGTERM", grace=60)[0] == "the server got SIGTERM"


@both
def test_other_signals_reach_the_server_as_before(how: str) -> None:
    """asyncio reads all signals from one descriptor: taking one must not take the others."""
    assert said(how, "SIGUSR1", "SIGTERM", grace=0.05) == [
        "the server got SIGUSR1", "the client got 1012", "the server got SIGTERM",
    ]  # fmt: skip


def test_outside_the_main_thread_it_serves_and_says_what_to_do(caplog: pytest.LogCaptureFixture) -> None:
    before = signal.getsignal(signal.SIGTERM)
    served = []

    async def application(scope: object, receive: object, send: object) -> None:
        served.append(scope)

    def run() -> None:
        hooked = drain_on_sigterm(ReadinessGate(application))
        asyncio.run(hooked({"type": "http"}, None, None))  # type: ignore[arg-type]  # plain HTTP passes through

    with caplog.at_level(logging.WARNING, "readywire.gate"):
        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
    assert served == [{"type": "http"}]
    assert "call gate.drain() yourself" in caplog.text
    assert signal.getsignal(signal.SIGTERM) is before
