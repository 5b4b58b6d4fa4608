"""A PostgreSQL of our own for one test run: loopback, a temporary folder, gone afterwards.

The server refuses to run as root, so root runs it as Debian's `postgres` user, in a folder of that user's own: no
permission of a parent directory changes.
"""

import contextlib
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.support.servers import free_port

_DEBIAN = Path("/usr/lib/postgresql")


def binaries() -> Path | None:
    """The folder with `initdb` and `postgres`, newest version first; None where PostgreSQL is not installed."""
    found = sorted(_DEBIAN.glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]), reverse=True)
    if found:
        return found[0].parent
    on_path = shutil.which("initdb")
    return Path(on_path).resolve().parent if on_path else None


@contextlib.contextmanager
def postgresql() -> Iterator[str]:
    """Yields the DATABASE_URL of a fresh server; durability off, since nothing outlives the run."""
    folder = binaries()
    if folder is None:
        raise RuntimeError("PostgreSQL is not installed: apt-get install postgresql")
    data = Path(tempfile.mkdtemp(prefix="readywire-pg-"))
    owner = _owner()
    if owner:
        os.chown(data, owner.pw_uid, owner.pw_gid)
    port = free_port()
    try:
        _run(owner, data, str(folder / "initdb"), "-D", str(data / "db"), "-U", "readywire", "-A", "trust", "--no-sync")
        options = f"-p {port} -c listen_addresses=127.0.0.1 -k {data} -c fsync=off -c full_page_writes=off"
        control = str(folder / "pg_ctl")
        _run(owner, data, control, "-D", str(data / "db"), "-w", "-l", str(data / "log"), "-o", options, "start")
        try:
            yield f"postgresql://readywire@127.0.0.1:{port}/postgres"
        finally:
            _run(owner, data, control, "-D", str(data / "db"), "-m", "immediate", "-w", "stop")
    finally:
        shutil.rmtree(data, ignore_errors=True)


def _owner() -> pwd.struct_passwd | None:
    return pwd.getpwnam("postgres") if os.geteuid() == 0 else None


def _run(owner: pwd.struct_passwd | None, folder: Path, *command: str) -> None:
    prefix = ["runuser", "-u", owner.pw_name, "--"] if owner else []
    done = subprocess.run([*prefix, *command], cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{command[0]} failed: {done.stdout}{done.stderr}")
