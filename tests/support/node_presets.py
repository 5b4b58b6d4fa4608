"""graphql-ws, aedes and stomp-broker-js, real servers in one node process, installed once from locked packages."""

import json
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from dashboard.env import BASE_DIR
from tests.support import node_clients

SOURCE = Path(__file__).parent / "node-presets"
INSTALLED = BASE_DIR / "build" / "node-presets"


@contextmanager
def node_servers() -> Iterator[Mapping[str, str]]:
    """The URLs of all by protocol; the process ends with the block, or with ours."""
    folder = node_clients.install(SOURCE, INSTALLED)
    process = subprocess.Popen(
        ["node", "servers.mjs"],
        cwd=folder,
        env=node_clients.environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        ports = json.loads(process.stdout.readline())
        paths = {"graphql": "/graphql", "mqtt": "/", "stomp": "/stomp"}
        yield {name: f"ws://127.0.0.1:{ports[name]}{path}" for name, path in paths.items()}
    finally:
        process.kill()
        process.wait(10)
