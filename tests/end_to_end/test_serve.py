"""`serve` starts everything, says so, and leaves nothing behind."""

import json
import os
import signal
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.product import Product, wait_gone
from tests.support.servers import free_port
from tests.support.waiting import wait_until

pytestmark = pytest.mark.end_to_end


@pytest.fixture
def started() -> Iterator[list[Product]]:
    """Products to be killed whatever happens."""
    products: list[Product] = []
    yield products
    for product in products:
        children = product.children()
        product.process.kill()
        product.process.wait(10)
        for child in children:
            if child.is_running():
                child.kill()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    """One for the tests after which it runs on."""
    product = Product(tmp_path_factory.mktemp("running"))
    try:
        product.wait_ready()
        yield product
    finally:
        product.stop()


def test_it_prints_a_line_per_process_and_ctrl_c_leaves_none(tmp_path: Path, started: list[Product]) -> None:
    """Every process is named with its state; after Ctrl-C all are gone and the exit status is 0."""
    product = Product(tmp_path)
    started.append(product)
    product.wait_ready()
    for name in ("redis", "web", "staging", "production", "recorder", "worker", "scheduler", "beat"):
        product.wait_line(rf"^  {name} +running")
    children = product.children()
    assert len(children) >= 8
    assert product.stop() == 0
    wait_gone(children)
    states = json.loads((tmp_path / "processes.json").read_text())["processes"]
    assert {row["state"] for row in states} == {"stopped"}


def test_a_killed_parent_leaves_no_child_and_a_new_start_reuses_the_data(
    tmp_path: Path, started: list[Product]
) -> None:
    """kill -9 of the supervisor ends its children; the next start serves the same database and secret key."""
    first = Product(tmp_path)
    started.append(first)
    first.wait_ready()
    children = first.children()
    secret = (tmp_path / "secret_key").read_text()
    first.process.kill()
    first.process.wait(10)
    wait_gone(children)
    ports = (first.port, first.staging_port, first.production_port)
    second = Product(tmp_path, ports=ports)
    started.append(second)
    second.wait_ready()
    assert (tmp_path / "secret_key").read_text() == secret
    assert stat.S_IMODE((tmp_path / "secret_key").stat().st_mode) == 0o600
    assert second.stop() == 0


def test_a_child_that_dies_is_restarted_and_the_state_file_says_so(running: Product) -> None:
    """The recorder is killed: the console names it as restarting, then it runs again as another process."""
    product = running
    product.wait_line(r"^  recorder +running")
    before = product.child_id("recorder")
    os.kill(before, signal.SIGKILL)
    product.wait_line(r"^  recorder +restarting +ended \(signal SIGKILL\); starts again in 0.5 s")
    wait_until(lambda: product.child_id("recorder") not in (0, before), 20)
    rows = json.loads((product.data_dir / "processes.json").read_text())["processes"]
    assert next(row for row in rows if row["name"] == "recorder")["restarts"] == 1


@pytest.mark.parametrize("which", ["web", "staging", "production"])
def test_a_port_in_use_is_one_line_with_the_cure_and_nothing_starts(
    which: str, tmp_path: Path, started: list[Product]
) -> None:
    """The line names the port, what wanted it and another way to start."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        taken = listener.getsockname()[1]
        wanted = {"web": free_port(), "staging": free_port(), "production": free_port(), which: taken}
        product = Product(tmp_path, ports=(wanted["web"], wanted["staging"], wanted["production"]))
        started.append(product)
        assert product.process.wait(30) == 1
        line = product.wait_line(rf"Port {taken} \({which}\) is in use")
        assert "make serve" in line.string
        assert not (tmp_path / "children.json").exists()


def test_an_unreachable_redis_url_is_one_line_with_the_cure(tmp_path: Path, started: list[Product]) -> None:
    """The address is named without its password."""
    port = free_port()
    product = Product(tmp_path, REDIS_URL=f"redis://:hidden@127.0.0.1:{port}/0")
    started.append(product)
    assert product.process.wait(30) == 1
    line = product.wait_line(r"REDIS_URL: Redis at 127\.0\.0\.1:\d+ does not answer")
    assert "unset REDIS_URL" in line.string
    assert "hidden" not in "\n".join(product.lines)


def test_a_data_folder_that_cannot_be_written_is_one_line_with_the_cure(started: list[Product]) -> None:
    """No traceback, and nothing half-started."""
    product = Product(Path("/proc/readywire"))
    started.append(product)
    assert product.process.wait(30) == 1
    product.wait_line(r"DATA_DIR: cannot write")
    assert not [line for line in product.lines if "Traceback" in line]


def test_a_second_start_on_the_same_data_refuses_and_names_the_cure(running: Product, started: list[Product]) -> None:
    """The first run goes on undisturbed."""
    second = Product(running.data_dir)
    started.append(second)
    assert second.process.wait(30) == 1
    second.wait_line(r"already runs with the data in")
    assert running.answers()
