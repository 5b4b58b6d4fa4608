"""`manage.py server_key create|list|revoke`: the keys of watched servers and OFREP clients."""

from typing import Any

from django.core.management.base import CommandParser

from connections.flags import keys, reading
from connections.flags.tagging import TagError
from connections.models import ServerKey
from dashboard.management.usage import OneLineCommand, UsageError, author


class Command(OneLineCommand):
    help = "Make, list or revoke the keys with which watched servers read their flags."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("action", nargs="?", help="create | list | revoke")
        parser.add_argument("prefix", nargs="?", default="", help="revoke: the first characters of the key, from list")
        parser.add_argument("--environment", help="development | staging | production")
        parser.add_argument("--name", help="create: what the key is for")
        parser.add_argument(
            "--tag", action="append", default=[], help="create: only flags with this tag, and those without any"
        )
        parser.add_argument("--author", default=author(), help="who the audit trail names (default: this account)")

    def handle(self, *args: Any, **options: Any) -> None:
        actions = {"create": self._create, "list": self._list, "revoke": self._revoke}
        if options["action"] not in actions:
            raise UsageError("Say what to do: server_key create, list or revoke.")
        actions[options["action"]](options)

    def _create(self, options: dict[str, Any]) -> None:
        environment, name = options["environment"], (options["name"] or "").strip()
        if not environment:
            raise UsageError("Name the environment: --environment staging.")
        if not name or len(name) > 100 or not name.isprintable():
            raise UsageError("Name the server, in at most 100 characters: --name chat-1.")
        try:
            _, key = keys.create(environment, name, author=options["author"], tags=options["tag"])
        except TagError as error:
            raise UsageError(f"--tag: {error}.") from None
        self.stdout.write(key)

    def _list(self, options: dict[str, Any]) -> None:
        rows = ServerKey.objects.order_by("environment__position", "name", "created_at")
        if options["environment"]:
            rows = rows.filter(environment=reading.environment(options["environment"]))
        for row in rows:
            used = f"last used {row.last_used_at:%Y-%m-%d %H:%M} UTC" if row.last_used_at else "never used"
            state = f"revoked {row.revoked_at:%Y-%m-%d %H:%M} UTC" if row.revoked_at else used
            tags = f"  tags {', '.join(row.tags)}" if row.tags else ""
            self.stdout.write(f"{row.prefix}  {row.environment_id}  {row.name}{tags}  {state}")

    def _revoke(self, options: dict[str, Any]) -> None:
        prefix = options["prefix"]
        if len(prefix) < keys.PREFIX_LENGTH:
            raise UsageError("Name the key by its prefix, as `server_key list` shows it.")
        # The whole key is taken too: whoever found one in a log can paste it.
        found = list(ServerKey.objects.filter(prefix=prefix[: keys.PREFIX_LENGTH], revoked_at=None))
        if len(prefix) > keys.PREFIX_LENGTH:
            found = [row for row in found if row.hash == keys.key_hash(prefix)]
        if len(found) != 1:
            raise UsageError(f"{len(found)} working keys begin with {prefix}: see `server_key list`.")
        keys.revoke(found[0], author=options["author"])
        self.stdout.write(f"{found[0].prefix} of {found[0].name} is revoked.")
