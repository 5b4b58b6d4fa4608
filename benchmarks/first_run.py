"""How long a newcomer waits: `python -m benchmarks.first_run`.

Clones this repository, then times `make build/stamps/static` (everything that is installed) and `make serve`: until the
page answers, and until the first result of each reference target stands in the database.
"""

import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import httpx

from dashboard.env import BASE_DIR
from tests.support.servers import free_port

LONGEST_S = 600.0


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        clone = Path(folder) / "readywire"
        subprocess.run(["git", "clone", "--quiet", str(BASE_DIR), str(clone)], check=True)
        began = time.monotonic()
        subprocess.run(["make", "build/stamps/static"], cwd=clone, check=True, stdout=subprocess.DEVNULL)
        print(f"install, fresh clone             {time.monotonic() - began:6.1f} s")
        _serve(clone)
    return 0


def _serve(clone: Path) -> None:
    port, references = free_port(), f"{free_port()},{free_port()}"
    environment = {**os.environ, "PORT": str(port), "REFERENCE_PORTS": references}
    for name in ("DATA_DIR", "REDIS_URL", "DATABASE_URL"):
        environment.pop(name, None)
    began = time.monotonic()
    command = ["make", "serve"]
    serve = subprocess.Popen(command, cwd=clone, env=environment, stdout=subprocess.DEVNULL, start_new_session=True)
    try:
        _until(lambda: _answers(port))
        print(f"make serve to page               {time.monotonic() - began:6.1f} s")
        page = time.monotonic()
        _until(lambda: _targets_with_results(clone / "var" / "readywire.sqlite3") >= 1)
        print(f"page to first live point         {time.monotonic() - page:6.1f} s")
        _until(lambda: _targets_with_results(clone / "var" / "readywire.sqlite3") >= 2)
        print(f"page to first point of each      {time.monotonic() - page:6.1f} s")
    finally:
        # As a terminal does it: Ctrl-C reaches the whole foreground group.
        os.killpg(serve.pid, signal.SIGINT)
        serve.wait(30)


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + LONGEST_S
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError("the product did not start")
        time.sleep(0.05)


def _answers(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/signin/", timeout=2, trust_env=False).is_success
    except httpx.HTTPError:
        return False


def _targets_with_results(database: Path) -> int:
    with sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=5) as connection:
        query = "SELECT count(DISTINCT target_id) FROM probes_result WHERE kind <> 'missed'"
        return int(connection.execute(query).fetchone()[0])


if __name__ == "__main__":
    sys.exit(main())
