"""`manage.py oidc_person --user NAME --subject SUB`: who signed in by link signs in by OpenID Connect from now on."""

from typing import Any

from django.core.management.base import CommandParser

from dashboard.accounts import AccountError
from dashboard.management.usage import OneLineCommand, UsageError, author
from dashboard.oidc import adopt


class Command(OneLineCommand):
    help = "Let somebody who signed in by link sign in as a subject (sub) of the OpenID provider."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--user", required=True, help="their name here")
        parser.add_argument("--subject", required=True, help="their sub at the provider")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            user = adopt(options["user"], options["subject"], actor=author())
        except AccountError as error:
            raise UsageError(str(error)) from error
        self.stdout.write(f"{user.name} signs in as {user.subject}.")
