"""Programs of ours run in processes of their own, without the second that each would need to import its libraries.

One process imports the libraries, once, and no settings. From it comes one per environment, with what that one's
settings import; and from that one a process per command, which runs it from its first line, as the interpreter would.
No connection, file or thread is there before: only modules.

Run as a module it is that process: a line of JSON per command on its standard input, and one per answer.
"""

import atexit
import contextlib
import gc
import importlib
import json
import os
import runpy
import signal
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import IO, Any, NoReturn

import psutil

ROOT = Path(__file__).resolve().parents[2]
LONGEST_S = 60
"""Of one command; what takes longer has hung."""
LIBRARIES = (
    "aiodns", "autobahn.twisted.websocket", "celery.app.amqp", "channels.auth", "channels.layers",
    "cryptography.x509", "django.contrib.auth.hashers", "django.core.management", "django.core.servers.basehttp",
    "django.db.migrations.executor", "django.db.models", "django.forms", "django.template.defaulttags",
    "django.test.client", "django.views.generic", "httpx", "httpx_sse", "jmespath", "jsonschema",
    "kombu.transport.redis", "mmh3", "psutil", "psycopg", "redis.asyncio", "rich.progress", "rich.table",
    "servestatic.middleware", "twisted.internet.endpoints", "twisted.internet.posixbase", "twisted.web.http",
    "yaml",
)  # fmt: skip
"""Imported once. What needs settings to be imported comes with an environment."""
MOST = 4
"""Environments at once; the oldest gives way."""
Prepared = tuple[IO[str], IO[str], int]
"""The process of an environment: where to write commands, where to read answers, its id."""


class CommandError(AssertionError):
    """A command ended with another status than 0: what it printed."""


def run(*arguments: str, environ: Mapping[str, str], check: bool = True) -> "subprocess.CompletedProcess[str]":
    """`python ARGUMENTS` in the project's folder: a file, `-m` and a module, or `-c` and a program.

    Raises CommandError, unless `check` is False, where its exit status is not 0.
    """
    answer = _keeper().ask({"arguments": arguments, "environ": dict(environ)})
    done = subprocess.CompletedProcess(list(arguments), answer["status"], answer["out"], answer["err"])
    if check and done.returncode:
        raise CommandError(f"{arguments} exited with {done.returncode}: {done.stdout}{done.stderr}")
    return done


def start(*arguments: str, environ: Mapping[str, str], output: Path) -> psutil.Process:
    """A program as `run` takes it, which goes on by itself; what it prints is appended to `output`."""
    answer = _keeper().ask({"arguments": arguments, "environ": dict(environ), "output": str(output)})
    return psutil.Process(answer["pid"])


def has_ended(process: psutil.Process) -> bool:
    """Whether a process of `start` has: nobody waits for it but who forked it, so it may stay as a zombie."""
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


class _Keeper:
    """This process's end of the one that forks."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        atexit.register(self._end)

    def ask(self, command: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with self._lock:
            self._process.stdin.write(json.dumps(command) + "\n")
            self._process.stdin.flush()
            answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer

    def _end(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(LONGEST_S)


_kept: list[_Keeper] = []
_keeping = threading.Lock()


def _keeper() -> _Keeper:
    with _keeping:
        if not _kept:
            _kept.append(_Keeper())
        return _kept[0]


def _main() -> None:
    os.environ.pop("DJANGO_SETTINGS_MODULE", None)
    for name in LIBRARIES:
        # What wants settings, or is not installed, is imported by the command that needs it.
        with contextlib.suppress(Exception):
            importlib.import_module(name)
    prepared: dict[str, Prepared] = {}
    for line in sys.stdin:
        environ = json.loads(line)["environ"]
        key = json.dumps(environ, sort_keys=True)
        if key not in prepared:
            if len(prepared) == MOST:
                _end(prepared.pop(next(iter(prepared))))
            prepared[key] = _prepare(environ, prepared.values())
        commands, answers, _ = prepared[key]
        commands.write(line)
        commands.flush()
        sys.stdout.write(answers.readline())
        sys.stdout.flush()


def _prepare(environ: dict[str, str], others: Iterable[Prepared]) -> Prepared:
    """A child with this environment, its models and pages imported."""
    commands_from, commands_to = os.pipe()
    answers_from, answers_to = os.pipe()
    child = os.fork()
    if child == 0:
        for end in (commands_to, answers_from, *(file.fileno() for each in others for file in each[:2])):
            os.close(end)  # or whoever reads from it would never see its end
        os.environ.clear()
        os.environ.update(environ)
        os.environ.setdefault("DJANGO_SETTINGS_MODULE", "dashboard.settings")
        # Where settings are wrong, every command finds that again, and says so.
        with contextlib.suppress(Exception):
            importlib.import_module("django").setup()
            importlib.import_module("dashboard.urls")
        gc.freeze()
        _obey(os.fdopen(commands_from), os.fdopen(answers_to, "w"))
        os._exit(0)
    os.close(commands_from)
    os.close(answers_to)
    return os.fdopen(commands_to, "w"), os.fdopen(answers_from), child


def _end(prepared: Prepared) -> None:
    commands, answers, child = prepared
    commands.close()
    answers.close()
    os.waitpid(child, 0)


def _obey(commands: IO[str], answers: IO[str]) -> None:
    for line in commands:
        command = json.loads(line)
        told = _started(command) if "output" in command else _finished(command)
        answers.write(json.dumps(told) + "\n")
        answers.flush()


def _finished(command: dict[str, Any]) -> dict[str, Any]:
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        child = os.fork()
        if child == 0:
            signal.alarm(LONGEST_S)
            _carry_out(command["arguments"], out, err)
        _, status = os.waitpid(child, 0)
        return {"status": os.waitstatus_to_exitcode(status), "out": _text(out), "err": _text(err)}


def _started(command: dict[str, Any]) -> dict[str, Any]:
    child = os.fork()
    if child == 0:
        with Path(command["output"]).open("ab") as output:
            os.closerange(3, output.fileno())  # or whoever waits for the end of a pipe would wait for this too
            _carry_out(command["arguments"], output, output)
    return {"pid": child}


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode()


def _carry_out(arguments: list[str], out: IO[bytes], err: IO[bytes]) -> NoReturn:
    """In the command's own process, which ends here."""
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(out.fileno(), 1)
    os.dup2(err.fileno(), 2)
    status = 0
    try:
        _interpret(*arguments)
    except SystemExit as ended:
        status = _status(ended)
    except BaseException:  # noqa: BLE001 (as the interpreter tells whatever nobody caught)
        traceback.print_exc()
        status = 1
    # What the interpreter does at its end, but for taking every module apart.
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def _status(ended: SystemExit) -> int:
    if ended.code is None or isinstance(ended.code, int):
        return ended.code or 0
    sys.stderr.write(f"{ended.code}\n")
    return 1


def _interpret(program: str, *rest: str) -> None:
    match program:
        case "-m":
            sys.argv = list(rest)
            runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
        case "-c":
            sys.argv = ["-c", *rest[1:]]
            exec(compile(rest[0], "<string>", "exec"), {"__name__": "__main__"})  # noqa: S102 (as the interpreter does)
        case _:
            sys.argv = [program, *rest]
            runpy.run_path(program, run_name="__main__")


if __name__ == "__main__":
    _main()
