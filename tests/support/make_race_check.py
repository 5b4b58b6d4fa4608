"""Race checks in DATA_DIR, as people and workers would leave them, from the command line.

python -m tests.support.make_race_check ask --slug chat --by Rosa
python -m tests.support.make_race_check tell --slug chat --done 41 --failed 2
python -m tests.support.make_race_check finish --slug chat --failed 12 [--minutes-ago 30]
python -m tests.support.make_race_check forget --slug chat
"""

import argparse
import os
from datetime import timedelta

import django
from django.utils import timezone


def main() -> None:
    """The command line."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "dashboard.settings")
    django.setup()
    # Models can be imported only now.
    from probes.models import RaceCheck, Target
    from probes.race_check_records import ask, record
    from probes.race_checks import Ending, Entry, Request
    from tests.support.race_reports import report

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("act", choices=["ask", "tell", "finish", "forget"])
    parser.add_argument("--slug", default="chat")
    parser.add_argument("--by", default="Rosa")
    parser.add_argument("--done", type=int, default=0)
    parser.add_argument("--failed", type=int, default=0)
    parser.add_argument("--minutes-ago", type=float, default=0.0)
    arguments = parser.parse_args()
    now = timezone.now()
    target = Target.objects.get(slug=arguments.slug)
    if arguments.act == "ask":
        print(ask(target, Request(), arguments.by, lambda _: None).pk)  # noqa: T201 (a command line)
        return
    if arguments.act == "forget":
        RaceCheck.objects.filter(target=target).delete()
        return
    check = RaceCheck.objects.get(target=target, state__in=["queued", "running"])
    entry = Entry(check.pk, "local@worker-1:4711", arguments.done, arguments.failed)
    if arguments.act == "finish":
        found = report(200, arguments.failed)
        entry = Entry(check.pk, entry.worker, 200, arguments.failed, Ending.DONE, "", found)
    record(entry, now)
    if arguments.minutes_ago:
        before = now - timedelta(minutes=arguments.minutes_ago)
        RaceCheck.objects.filter(pk=check.pk).update(asked_at=before, started_at=before, ended_at=before)


if __name__ == "__main__":
    main()
