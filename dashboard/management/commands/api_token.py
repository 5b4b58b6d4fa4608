"""Tokens of programs for /api/v1/: create, list, revoke."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from dashboard.accounts import AccountError, create_token, revoke_token
from dashboard.models import ApiToken


class Command(BaseCommand):
    help = "Creates (prints the token alone), lists and revokes tokens for the REST API."

    def add_arguments(self, parser: ArgumentParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True)
        create = verbs.add_parser("create", help="Print a new token; it is shown only now.")
        create.add_argument("--name", required=True)
        create.add_argument("--scope", required=True, choices=ApiToken.Scope.values)
        verbs.add_parser("list", help="One line per token: name, scope, created, last used, state.")
        revoke = verbs.add_parser("revoke", help="End the token of this name.")
        revoke.add_argument("--name", required=True)

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            match options["verb"]:
                case "create":
                    self.stdout.write(create_token(options["name"], options["scope"]))
                case "list":
                    self._list()
                case "revoke":
                    revoke_token(options["name"])
                    self.stdout.write(f"Revoked {options['name'].strip()}.")
        except AccountError as error:
            raise CommandError(str(error)) from error

    def _list(self) -> None:
        tokens = ApiToken.objects.order_by("revoked_at", "name")
        for token in tokens:
            used = f"{token.last_used_at:%Y-%m-%d %H:%M}" if token.last_used_at else "never used"
            state = "revoked" if token.revoked_at else "living"
            self.stdout.write(f"{token.name}\t{token.scope}\t{token.created_at:%Y-%m-%d}\t{used}\t{state}")
        if not tokens:
            self.stdout.write("No tokens yet.")
