"""Generated data in DATA_DIR, from the command line.

python -m tests.support.make_history failing --targets 12 --minutes 75 [--follow]
python -m tests.support.make_history append --slug chat --count 5 [--fail]
python -m tests.support.make_history round --targets 20
python -m tests.support.make_history target --slug newcomer     (and `delete`)
"""

import argparse
import os

import django
from django.utils import timezone


def main() -> None:
    """The command line."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "dashboard.settings")
    django.setup()
    # Models can be imported only now.
    from probes.models import Target
    from tests.support.fleet_history import fleet
    from tests.support.history import SCENARIOS as TARGETS
    from tests.support.history import append, one_round
    from tests.support.outcomes import stored_target

    scenarios = {**TARGETS, "fleet": fleet}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scenario", choices=[*sorted(scenarios), "append", "round", "target", "delete"])
    parser.add_argument("--targets", type=int, default=12)
    parser.add_argument("--minutes", type=int, default=75)
    parser.add_argument("--follow", action="store_true", help="go on in real time")
    parser.add_argument("--slug", default="chat")
    parser.add_argument("--count", type=int, default=5)
    parser.add_argument("--fail", action="store_true")
    parser.add_argument("--revision", type=int, default=1, help="what served them")
    arguments = parser.parse_args()
    now = timezone.now()
    if arguments.scenario == "target":
        stored_target(arguments.slug)
        return
    if arguments.scenario == "delete":
        Target.objects.filter(slug=arguments.slug).delete()
        return
    if arguments.scenario == "round":
        one_round(arguments.targets, now)
        return
    if arguments.scenario == "append":
        append(arguments.slug, arguments.count, fail=arguments.fail, now=now, revision=arguments.revision)
        return
    history = scenarios[arguments.scenario](arguments.targets, arguments.minutes, now)
    print("generated", flush=True)  # noqa: T201 (a command line: whoever started it waits for this line)
    if arguments.follow:
        history.follow(now)


if __name__ == "__main__":
    main()
