"""The gate as a server installs it."""

import json
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from connections.gate import readiness
from connections.gate.version import VERSION
from dashboard.env import BASE_DIR
from tests.support.venvs import make, pip


def test_pip_install_without_extras_gives_the_gate_and_its_small_needs(tmp_path: Path) -> None:
    """From a copy, so that nothing is built into this checkout; used from elsewhere, so that it is not imported."""
    source, home = tmp_path / "source", tmp_path / "venv"
    for package in ("connections", "probes", "dashboard"):
        shutil.copytree(BASE_DIR / package, source / package, ignore=shutil.ignore_patterns("__pycache__"))
    for file in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(BASE_DIR / file, source)
    make(home, str(source), cwd=tmp_path)
    installed = {each["name"].lower() for each in json.loads(pip(home, "list", "--format", "json"))}
    assert {"readywire", "httpx", "httpx-sse", "mmh3"} <= installed
    assert not installed & {"django", "celery", "channels", "redis", "starlette", "uvicorn", "websockets", "plotly"}
    assert len(installed) <= 12
    program = "from connections.gate import ReadinessGate; print(ReadinessGate.__module__)"
    command = [str(home / "bin" / "python"), "-c", program]
    said = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True)
    assert said.stdout.strip() == "connections.gate.middleware"


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
