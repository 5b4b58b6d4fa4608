"""Print a sign-in link that works once."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from dashboard.accounts import AccountError, issue_link
from dashboard.models import User


class Command(BaseCommand):
    help = "Prints a sign-in link alone: single use, SIGNIN_LINK_MINUTES. Creates the person, or sets their role."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--user", required=True, help="The person's name, as others will see it.")
        parser.add_argument("--role", required=True, choices=User.Role.values)

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            self.stdout.write(issue_link(options["user"], options["role"]))
        except AccountError as error:
            raise CommandError(str(error)) from error
