"""The gate as a server installs it."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from connections.gate import readiness
from connections.gate.version import VERSION


def test_the_gate_brings_nothing_of_the_dashboard_with_it() -> None:
    """A watched server installs httpx, httpx-sse and mmh3, and no more."""
    program = "import sys, connections.gate; print(*{name.partition('.')[0] for name in sys.modules})"
    loaded = set(
        subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    )
    assert {"httpx", "httpx_sse", "mmh3"} <= loaded
    assert not loaded & {"django", "celery", "channels", "redis", "starlette", "uvicorn", "websockets", "plotly"}


def test_the_version_that_servers_report_is_the_projects() -> None:
    project = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text())
    assert project["project"]["version"] == VERSION


async def test_asking_for_readiness_without_a_gate_says_what_to_do() -> None:
    with pytest.raises(LookupError, match="wrap it in ReadinessGate"):
        readiness({"type": "websocket"})
