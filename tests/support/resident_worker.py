"""A worker that keeps residents and nothing else, to be killed: `python -m tests.support.resident_worker REDIS_URL`."""

import os
import sys
import threading

import django


def main() -> None:
    """Run until killed."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "dashboard.settings")
    django.setup()
    # These need the settings.
    from probes.resident_loop import ResidentLoop
    from tests.support.resident_loops import QUICK, ROOM, open_residents

    ResidentLoop("local", sys.argv[1], ROOM, open_residents, QUICK).start()
    threading.Event().wait()


if __name__ == "__main__":
    main()
