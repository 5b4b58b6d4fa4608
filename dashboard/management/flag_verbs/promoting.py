"""`manage.py flags promote`: what the environment before defines, brought to this one from a shell."""

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from connections.flags import control, reading
from connections.flags.changing import check_reason
from connections.models import Revision
from dashboard.management.flag_verbs import Verb, change_arguments, environment_argument
from dashboard.management.shown import show_diffs


def _arguments(parser: CommandParser) -> None:
    parser.add_argument("flags", nargs="*", help="these alone (default: all that differ)")
    environment_argument(parser)
    change_arguments(parser)
    parser.add_argument("--dry-run", action="store_true", help="show what would change, and change nothing")


def _promote(command: BaseCommand, options: dict[str, Any]) -> None:
    environment, flags = options["environment"], options["flags"] or None
    source = reading.flag_set(control.stage_before(environment).key)
    preview = control.preview_promotion(environment, flags, source_version=source.version)
    command.stdout.write(f"{environment}, version {source.version} of {source.environment}:")
    show_diffs(command.stdout, preview.diffs)
    if preview.empty:
        command.stdout.write("  nothing would change: already so.")
        return
    if options["dry_run"]:
        command.stdout.write("Dry run: nothing was changed.")
        return
    check_reason(reading.environment(environment), options["reason"])
    version = control.promote(
        environment,
        author=options["author"],
        reason=options["reason"],
        expected_version=preview.version,
        flags=flags,
        source_version=source.version,
    )
    revision = Revision.objects.filter(version=version).latest("number")
    command.stdout.write(f"{environment} serves version {version.number}, revision {revision.number}.")


VERBS = (Verb("promote", "define here what the environment before defines", _arguments, _promote),)
