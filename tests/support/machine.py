"""What the tests need beside Python: installed where we may, else named loudly."""

import os
import shutil
import subprocess
import sys

from tests.support import postgresql

CHROMIUM = "/usr/bin/chromium"


def missing() -> list[str]:
    """Debian packages whose programs the tests run and this machine has not."""
    packages = []
    if not os.access(CHROMIUM, os.X_OK):
        packages += ["chromium", "fonts-liberation"]
    if postgresql.binaries() is None:
        packages.append("postgresql")
    return packages


def prepare() -> list[str]:
    """Install what is missing if this user may; returns what is still missing."""
    packages = missing()
    if not packages:
        return []
    if os.geteuid() == 0 and shutil.which("apt-get"):
        sys.stdout.write(f"Installing {' '.join(packages)}...\n")
        sys.stdout.flush()
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        for command in (["update", "-qq"], ["install", "-y", "-qq", "--no-install-recommends", *packages]):
            subprocess.run(["apt-get", *command], env=environment, check=False, stdout=subprocess.DEVNULL)
    return missing()
