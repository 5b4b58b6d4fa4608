"""Virtual environments with other versions than ours: made once, kept under build/."""

import hashlib
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

from dashboard.env import BASE_DIR

INSTALL_S = 300
KEPT = BASE_DIR / "build" / "venvs"


def python_with(requirements: Path) -> str:
    """The interpreter of a virtual environment that has `requirements`; made where there is none yet. Raises
    CalledProcessError, with what pip says, where they cannot be installed."""
    digest = hashlib.sha256(requirements.read_bytes() + sys.version.encode()).hexdigest()[:12]
    home = KEPT / f"{requirements.stem}-{digest}"
    if not home.exists():
        make(home, "--requirement", str(requirements))
    return str(home / "bin" / "python")


def make(home: Path, *what: str, cwd: Path = BASE_DIR) -> None:
    """An empty virtual environment at `home` with `what` installed by pip. It appears whole or not at all, so that two
    test processes may make the same one."""
    home.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=home.parent) as unfinished:
        venv.create(unfinished, symlinks=True)
        pip(unfinished, "install", "--quiet", *what, cwd=cwd)
        try:
            Path(unfinished).rename(home)
        except OSError:
            if not home.exists():
                raise
        Path(unfinished).mkdir(exist_ok=True)  # for the context manager to remove


def pip(home: Path | str, *what: str, cwd: Path = BASE_DIR) -> str:
    """Run our pip on the environment at `home`, which has none of its own; its output."""
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", f"{home}/bin/python", *what]
    done = subprocess.run(command, cwd=cwd, check=True, timeout=INSTALL_S, capture_output=True, text=True)
    return done.stdout
