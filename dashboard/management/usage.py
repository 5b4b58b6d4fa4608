"""Commands that answer bad usage with one line and exit code 2."""

import getpass
import sys
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import Error as DatabaseError
from django.urls import reverse

from connections.flags import proposals
from connections.flags.errors import FlagError, NeedsSecondPerson


class UsageError(CommandError):
    """Bad usage: the message is one line that names the cure."""

    def __init__(self, message: str) -> None:
        super().__init__(message, returncode=2)


class OneLineCommand(BaseCommand):
    """Mistakes cost one line: no usage text, no traceback. Exit codes: 0 done, 1 could not, 2 bad usage."""

    requires_system_checks: list[str] = []

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        parser = super().create_parser(prog_name, subcommand, **kwargs)
        # argparse prints its whole usage and exits; raised instead, the mistake alone is told below.
        parser.called_from_command_line = False
        return parser

    def run_from_argv(self, argv: list[str]) -> None:
        try:
            super().run_from_argv(argv)
        except CommandError as error:
            message = " ".join(str(error).removeprefix("Error: ").split())
            sys.stderr.write(f"{message[:1].upper()}{message[1:].rstrip('.')}. Help: manage.py {argv[1]} --help\n")
            sys.exit(2)

    def execute(self, *args: Any, **options: Any) -> str | None:
        try:
            return super().execute(*args, **options)
        except NeedsSecondPerson as needed:
            raise CommandError(propose_instead(needed)) from needed
        except FlagError as error:
            raise UsageError(str(error)) from error
        except DatabaseError as error:
            line = " ".join(str(error).split())
            raise CommandError(f"The database does not answer: {line}. Check DATABASE_URL and DATA_DIR.") from error


def propose_instead(needed: NeedsSecondPerson) -> str:
    """Store what was refused as a proposal where it can be one. A shell is nobody's name: two people then approve."""
    number = proposals.propose(needed, by_person=False).pk
    address = settings.PUBLIC_URL + reverse("proposal", args=[number])
    return f"Nothing is served yet: two people approve this in {needed.environment}. Proposal {number}: {address}"


def author() -> str:
    """Who the audit trail names for a command: the account of the machine."""
    try:
        return f"{getpass.getuser()} (command line)"
    except (KeyError, OSError):  # a user id without an account, as in containers
        return "command line"
