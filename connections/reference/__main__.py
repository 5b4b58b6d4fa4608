"""`python -m connections.reference --environment staging --port 8101`: one reference service under uvicorn.

Environment variables: READYWIRE_URL and READYWIRE_KEY (a server key), where the flags come from; without a URL the
coded defaults hold. READYWIRE_CACHE, the folder of the last known good flags. READYWIRE_CHAT_TOKENS, users as
"name=token,name=token"; without a token a client is a guest. READYWIRE_CONTROL_TOKEN, the token of the control call
that switches faults on (see `control.py`); without it there is none.
"""

import argparse
import ipaddress
import logging
import os
import signal
import socket
import sys
from collections.abc import Sequence
from pathlib import Path

import uvicorn
from uvicorn.config import WS_PROTOCOLS

from connections.gate import FlagSource, ReadinessGate
from connections.reference.app import create_app
from connections.reference.control import LOOPBACK
from connections.reference.practice import Practice
from connections.reference.services import SETUP_SECONDS
from connections.reference.wire import FaultyWire

DRAIN_S = 0.3
"""What an answer in flight has to finish when the service stops: several times what one takes."""


class Service(uvicorn.Server):
    """A uvicorn server that drains its gate before it closes anything: no server hands its signals to middleware."""

    def __init__(self, config: uvicorn.Config, gate: ReadinessGate) -> None:
        super().__init__(config)
        self.gate = gate

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await self.gate.drain(DRAIN_S)
        await super().shutdown(sockets)


def tokens_of(text: str) -> dict[str, str]:
    """Users and tokens from "name=token,name=token"."""
    pairs = (pair.partition("=") for pair in text.split(",") if pair.strip())
    return {name.strip(): token.strip() for name, _, token in pairs if token.strip()}


def flag_source(environment: str, instance: str) -> FlagSource | None:
    """Where the flags come from, by the process's environment variables."""
    url = os.environ.get("READYWIRE_URL", "")
    if not url:
        return None
    folder = os.environ.get("READYWIRE_CACHE", "")
    cache = Path(folder) / f"flags-{environment}.json" if folder else None
    return FlagSource(url, os.environ.get("READYWIRE_KEY", ""), instance, cache)


def listen(host: str, port: int) -> socket.socket:
    """A listening socket. Raises OSError where the address is taken or not ours."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(2048)
    except OSError:
        listener.close()
        raise
    return listener


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m connections.reference", description="A watched chat service.")
    parser.add_argument("--environment", choices=sorted(SETUP_SECONDS), default="development")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True, help="0 chooses a free one")
    parser.add_argument(
        "--control-host",
        default=LOOPBACK,
        type=_address,
        help="the address on which control calls are taken; 0.0.0.0: any",
    )
    return parser.parse_args(argv)


def _address(text: str) -> str:
    try:
        return text if text == LOOPBACK else str(ipaddress.ip_address(text))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no IP address; give one, or {LOOPBACK}") from None


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM or Ctrl-C; returns the exit status."""
    options = arguments(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    for noisy in ("httpx", "httpcore"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    try:
        listener = listen(options.host, options.port)
    except OSError as error:
        where = f"{options.host}:{options.port}"
        print(f"cannot listen on {where}: {error.strerror}; choose another with --port", file=sys.stderr)  # noqa: T201
        return 1
    instance = f"{options.environment}-chat-1"
    source = flag_source(options.environment, instance)
    tokens = tokens_of(os.environ.get("READYWIRE_CHAT_TOKENS", ""))
    practice = Practice()
    gate = create_app(
        options.environment,
        instance=instance,
        flags=source,
        tokens=tokens,
        practice=practice,
        control_token=os.environ.get("READYWIRE_CONTROL_TOKEN", ""),
        control_host=options.control_host,
    )
    greeting = f"{instance}: ws://{options.host}:{listener.getsockname()[1]}/ws/chat"
    serve(FaultyWire(gate, practice), gate, listener, greeting)
    if source is not None:
        source.stop()
    return 0


def serve(app: FaultyWire, gate: ReadinessGate, listener: socket.socket, greeting: str) -> None:
    """Run the service on an open socket until a signal ends it."""
    config = uvicorn.Config(
        app,
        ws="websockets-sansio" if "websockets-sansio" in WS_PROTOCOLS else "auto",
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=2,
    )
    # uvicorn raises the signal again when it has shut down; with these in place the process then ends by itself, with
    # status 0 and after reporting its last counts.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    print(greeting, flush=True)  # noqa: T201
    Service(config, gate).run(sockets=[listener])


if __name__ == "__main__":
    raise SystemExit(main())
