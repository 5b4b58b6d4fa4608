"""`make lint`: every linter, all run, each failure shown; the exit status tells whether one failed."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

BIN = Path(sys.executable).parent
CHECKS: dict[str, list[str]] = {
    "ruff": [str(BIN / "ruff"), "check", "."],
    "format": [str(BIN / "ruff"), "format", "--check", "."],
    "imports": [str(BIN / "lint-imports"), "--no-cache"],
    "types": [str(BIN / "mypy"), "connections", "probes", "dashboard", "tests", "examples", "manage.py"],
    "templates": [str(BIN / "djlint"), "templates", "--lint", "--quiet"],
    "image": [str(BIN / "hadolint"), "Dockerfile"],
    "compose": [str(BIN / "check-jsonschema"), "--builtin-schema", "vendor.compose-spec", "compose.yaml"],
    "deploy": [sys.executable, "manage.py", "check", "--deploy", "--fail-level", "WARNING"],
    "migrations": [sys.executable, "manage.py", "makemigrations", "--check", "--dry-run"],
}


def main() -> int:
    failed = []
    with tempfile.TemporaryDirectory() as folder:
        # A deployment as production would set it: behind HTTPS, its key given.
        environment = {
            **os.environ,
            "DATA_DIR": folder,
            "PUBLIC_URL": "https://readywire.example",
            "ALLOWED_HOSTS": "readywire.example",
            "SECRET_KEY": "only for this check " * 4,
        }
        for name, command in CHECKS.items():
            done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
            sys.stdout.write(f"{'ok  ' if done.returncode == 0 else 'FAIL'} {name}\n")
            if done.returncode:
                failed.append(name)
                sys.stdout.write(done.stdout + done.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
