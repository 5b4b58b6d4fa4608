"""`manage.py probe` as a person runs it: a real process, in a terminal and in a pipe, against real servers."""

import fcntl
import json
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from dashboard.env import BASE_DIR
from tests.support.chat_server import ChatServer, run_of, serving
from tests.support.waiting import wait_until

CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def _heed_ctrl_c() -> None:
    """As in a terminal, also where these tests run in the background of a shell, which has its jobs ignore it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class Terminal:
    """The command in a pseudo-terminal of its own; what it wrote is in `text`."""

    def __init__(self, folder: Path, arguments: Sequence[object], *, columns: int = 100, **environment: str) -> None:
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
        self.process = subprocess.Popen(
            command(*arguments), cwd=BASE_DIR, env=environ(folder, TERM="xterm-256color", **environment),
            stdin=slave, stdout=slave, stderr=slave, start_new_session=True, preexec_fn=_heed_ctrl_c,
        )  # fmt: skip
        os.close(slave)
        self.text = ""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        while True:
            try:
                data = os.read(self._master, 65536)
            except OSError:  # the other end is closed
                return
            self.text += data.decode()

    def end(self) -> int:
        """Wait for the process; its exit status."""
        status = self.process.wait(60)
        self._reader.join(10)
        os.close(self._master)
        return status


def command(*arguments: object) -> list[str]:
    return [sys.executable, "manage.py", "probe", *map(str, arguments)]


def environ(folder: Path, **more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "FORCE_COLOR", "COLUMNS")}
    return {**kept, "DATA_DIR": str(folder), "DATABASE_URL": "", "SECRET_KEY": "terminal", **more}


def piped(folder: Path, *arguments: object, **environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        command(*arguments), cwd=BASE_DIR, env=environ(folder, **environment), capture_output=True, text=True,
        timeout=60, check=False,
    )  # fmt: skip


@pytest.fixture(scope="module")
def honest() -> Iterator[ChatServer]:
    with serving(ChatServer()) as server:
        yield server


@pytest.fixture(scope="module")
def racing() -> Iterator[ChatServer]:
    """Whatever comes before it listens is lost: the message that leaves with the 101, of every third client."""
    firsts: list[str] = []

    def deaf_at_first(run_id: str) -> list[dict[str, Any]]:
        if run_id.endswith("-control"):
            return run_of(run_id)
        firsts.append(run_id)
        return [] if len(firsts) % 3 == 1 else run_of(run_id)

    with serving(ChatServer(answer=deaf_at_first)) as server:
        yield server


def test_a_terminal_shows_a_coloured_waterfall(honest: ChatServer, tmp_path: Path) -> None:
    terminal = Terminal(tmp_path, [honest.url])
    assert terminal.end() == 0
    assert CONTROL.search(terminal.text)
    plain = CONTROL.sub("", terminal.text)
    assert "█" in plain
    for row in ("dns", "tcp", "upgrade", "race window", "agent_completed", "close", "subprotocol  readywire.chat.v1"):
        assert row in plain
    assert "5 of 5 events arrived" in plain


def test_no_color_is_honoured_in_a_terminal(honest: ChatServer, tmp_path: Path) -> None:
    """Only weight may remain: no code sets a colour."""
    terminal = Terminal(tmp_path, [honest.url], NO_COLOR="1")
    assert terminal.end() == 0
    colours = [code for code in CONTROL.findall(terminal.text) if re.search(r"[\[;](3\d|4\d|9\d|10\d)[;m]", code)]
    assert colours == []


def test_a_narrow_terminal_stays_readable(honest: ChatServer, tmp_path: Path) -> None:
    terminal = Terminal(tmp_path, [honest.url], columns=60)
    assert terminal.end() == 0
    lines = CONTROL.sub("", terminal.text).replace("\r", "").split("\n")
    assert max(map(len, lines)) <= 60
    assert any(line.startswith("race window") and line.rstrip().endswith("ms") for line in lines)


def test_a_pipe_gets_plain_lines(honest: ChatServer, tmp_path: Path) -> None:
    """No control code, no trailing blanks, nothing on stderr."""
    done = piped(tmp_path, honest.url)
    assert done.returncode == 0
    assert "\x1b" not in done.stdout
    assert not re.search(r"[ \t]+$", done.stdout, re.MULTILINE)
    assert "race window" in done.stdout
    assert done.stderr == ""


def test_a_burst_shows_its_progress_on_the_terminal_and_then_its_tables(racing: ChatServer, tmp_path: Path) -> None:
    terminal = Terminal(
        tmp_path, [racing.url, "--count", 60, "--concurrency", 10, "--early-send", "--timeout", 2]
    )  # fmt: skip
    assert terminal.end() == 1
    plain = CONTROL.sub("", terminal.text)
    assert re.search(r"\d+/60", plain)
    assert re.search(r"race +\d+ of 60: \d+ % \(95 %: \d+ to \d+ %\); accept_race \d+", plain)
    assert re.search(r"accept_race +\d+ +\d+ % +\d+ to \d+ % +the server, before ready", plain)
    assert "serve the readiness strategy dependency_gate" in plain.replace("\r\n", " ")


def test_a_piped_burst_has_tables_and_no_progress(honest: ChatServer, tmp_path: Path) -> None:
    done = piped(tmp_path, honest.url, "--count", 100, "--concurrency", 20)
    assert done.returncode == 0
    assert done.stderr == ""
    assert "0 of 100: none (95 %: below 3.0 %)" in done.stdout
    assert "race window" in done.stdout
    assert "\x1b" not in done.stdout


def test_json_is_the_same_in_a_terminal_as_in_a_pipe(honest: ChatServer, tmp_path: Path) -> None:
    """Machines read lines of JSON and nothing else."""
    terminal = Terminal(tmp_path, [honest.url, "--count", 3, "--json"])
    assert terminal.end() == 0
    *lines, last = [json.loads(line) for line in terminal.text.splitlines()]
    assert [line["ok"] for line in lines] == [True] * 3
    assert last["summary"]["ok"] == 3


def test_ctrl_c_prints_what_was_found_so_far(tmp_path: Path) -> None:
    """A server that answers five clients and leaves the others waiting."""
    heard: list[str] = []

    def answer(run_id: str) -> list[dict[str, Any]]:
        heard.append(run_id)
        return run_of(run_id) if len(heard) <= 5 else []

    with serving(ChatServer(answer=answer)) as server:
        terminal = Terminal(tmp_path, [server.url, "--count", 100, "--concurrency", 5, "--timeout", 120])
        wait_until(lambda: len(heard) == 10, seconds=60, what="five answered, five waiting")
        wait_until(lambda: "5/100" in CONTROL.sub("", terminal.text), seconds=20, what="five counted")
        os.killpg(terminal.process.pid, signal.SIGINT)
        assert terminal.end() == 0
    assert "5 of 100 probes, then stopped" in CONTROL.sub("", terminal.text)
    assert "Traceback" not in terminal.text


def test_what_cannot_be_probed_is_status_2(tmp_path: Path) -> None:
    done = piped(tmp_path, "http://127.0.0.1/")
    assert done.returncode == 2
    assert len(done.stderr.strip().splitlines()) == 1
