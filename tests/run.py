"""`make test`: prepares the machine, then runs every test on SQLite, and on PostgreSQL those that meet a database."""

import os
import subprocess
import sys

import pytest

from tests.support import machine
from tests.support.postgresql import postgresql

ON_POSTGRESQL = "not browser and not end_to_end"
BOTH_CORES = ("-n", "4", "--dist", "loadfile", "--no-loadscope-reorder")
"""Four: half of the time each waits for what it tests. In the order of tests/conftest.py: the longest first."""


def main() -> int:
    still_missing = machine.prepare()
    if still_missing:
        sys.stderr.write(f"\nMISSING ON THIS MACHINE: apt-get install {' '.join(still_missing)}\n\n")
        if os.environ.get("CI") == "true":
            return 1
    code = _pytest({}, "-m", "not browser" if "chromium" in still_missing else "")
    if "postgresql" in still_missing:
        return code
    with postgresql() as url:
        sys.stdout.write("\nAgain on PostgreSQL\n")
        sys.stdout.flush()
        return _pytest({"DATABASE_URL": url}, "--only-database", "-m", ON_POSTGRESQL) or code


def _pytest(environment: dict[str, str], *arguments: str) -> int:
    command = [sys.executable, "-m", "pytest", "-q", *arguments, *sys.argv[1:]]
    # Else each of the several hundred processes would compile the project again: a third of a second each time.
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    both = {**inherited, **environment}
    code = subprocess.run([*command, *BOTH_CORES], env=both, check=False).returncode
    if code != pytest.ExitCode.TESTS_FAILED:
        return code
    # Real processes with real deadlines share two cores here: what failed must pass by itself, and is named above.
    sys.stdout.write("\nAgain, alone: what failed beside the others\n")
    sys.stdout.flush()
    return subprocess.run([*command, "--last-failed"], env=both, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
