"""`manage.py flags VERB ...`: flags from a shell. The verbs live in `dashboard/management/flag_verbs/`."""

from collections.abc import Mapping
from typing import Any

from django.core.management.base import CommandParser

from dashboard.management.flag_verbs import Verb, files, laying, promoting
from dashboard.management.usage import OneLineCommand, UsageError

VERBS: Mapping[str, Verb] = {verb.name: verb for verb in (*files.VERBS, *laying.VERBS, *promoting.VERBS)}


class Command(OneLineCommand):
    help = "Flags from a shell: " + "; ".join(f"{verb.name}: {verb.help}" for verb in VERBS.values())

    def add_arguments(self, parser: CommandParser) -> None:
        parser.called_from_command_line = False  # the verbs' parsers take it over: one line for a mistake
        verbs = parser.add_subparsers(dest="verb", metavar=" | ".join(VERBS))
        for verb in VERBS.values():
            verb.arguments(verbs.add_parser(verb.name, help=verb.help, description=verb.help))

    def handle(self, *args: Any, **options: Any) -> None:
        if not options["verb"]:
            raise UsageError(f"Say what to do: flags {', '.join(VERBS)}.")
        VERBS[options["verb"]].run(self, options)
