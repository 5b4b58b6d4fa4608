"""`python -m tests.support.ticking`: calls the tick each half second, in place of beat and its worker."""

import os
import time


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "dashboard.settings")
    import django

    django.setup()
    from dashboard.celery import app
    from probes.tasks import tick

    app.set_default()
    while True:
        tick()
        time.sleep(0.5)


if __name__ == "__main__":
    main()
