"""`manage.py server_key create|list|rotate|revoke`: the keys of watched servers and OFREP clients."""

from datetime import datetime, timedelta
from typing import Any

from django.core.management.base import CommandParser
from django.utils import timezone

from connections.flags import keys, reading
from connections.flags.tagging import TagError
from connections.models import ServerKey
from dashboard.management.usage import OneLineCommand, UsageError, author

MOST_GRACE_HOURS = 24 * 90


class Command(OneLineCommand):
    help = "Make, list, rotate or revoke the keys with which watched servers read their flags."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("action", nargs="?", help="create | list | rotate | revoke")
        parser.add_argument("prefix", nargs="?", default="", help="rotate, revoke: the key's beginning, from list")
        parser.add_argument("--environment", help="development | staging | production")
        parser.add_argument("--name", help="create: what the key is for")
        parser.add_argument(
            "--tag", action="append", default=[], help="create: only flags with this tag, and those without any"
        )
        parser.add_argument("--scope", default="server", help="create: server | read (evaluates over OFREP, no more)")
        parser.add_argument("--grace", metavar="HOURS", help="rotate: the old key ends by itself after so many hours")
        parser.add_argument("--reason", default="", help="what the audit trail says why")
        parser.add_argument("--author", default=author(), help="who the audit trail names (default: this account)")

    def handle(self, *args: Any, **options: Any) -> None:
        actions = {"create": self._create, "list": self._list, "rotate": self._rotate, "revoke": self._revoke}
        if options["action"] not in actions:
            raise UsageError("Say what to do: server_key create, list, rotate or revoke.")
        actions[options["action"]](options)

    def _create(self, options: dict[str, Any]) -> None:
        environment, name, scope = options["environment"], (options["name"] or "").strip(), options["scope"]
        if not environment:
            raise UsageError("Name the environment: --environment staging.")
        if not name or len(name) > keys.LONGEST_NAME or not name.isprintable():
            raise UsageError("Name the server, in at most 100 characters: --name chat-1.")
        if scope not in ServerKey.Scope.values:
            raise UsageError("Choose what it may do: --scope server, or --scope read.")
        try:
            _, key = keys.create(
                environment,
                name,
                author=options["author"],
                reason=options["reason"],
                scope=scope,
                tags=options["tag"],
            )
        except TagError as error:
            raise UsageError(f"--tag: {error}.") from None
        self.stdout.write(key)

    def _list(self, options: dict[str, Any]) -> None:
        rows = ServerKey.objects.select_related("replaces").order_by("environment__position", "name", "created_at")
        if options["environment"]:
            rows = rows.filter(environment=reading.environment(options["environment"]))
        for row in rows:
            told = [row.prefix, row.environment_id, row.name]
            told += [f"tags {', '.join(row.tags)}"] if row.tags else []
            told += ["read-only"] if row.scope == ServerKey.Scope.READ else []
            told += [f"replaces {row.replaces.prefix}"] if row.replaces else []
            self.stdout.write("  ".join([*told, _state(row)]))

    def _rotate(self, options: dict[str, Any]) -> None:
        old, grace = self._named(options["prefix"]), options["grace"]
        if grace is not None and not (grace.isdecimal() and 1 <= int(grace) <= MOST_GRACE_HOURS):
            raise UsageError(f"Give whole hours from 1 to {MOST_GRACE_HOURS}: --grace 24.")
        hours = timedelta(hours=int(grace)) if grace else None
        _, key = keys.rotate(old, author=options["author"], reason=options["reason"], grace=hours)
        self.stdout.write(key)
        ends = f"for {grace} h more" if grace else f"until you revoke it: server_key revoke {old.prefix}"
        self.stderr.write(f"{old.prefix} of {old.name} goes on working {ends}.")

    def _revoke(self, options: dict[str, Any]) -> None:
        key = self._named(options["prefix"])
        keys.revoke(key, author=options["author"], reason=options["reason"])
        self.stdout.write(f"{key.prefix} of {key.name} is revoked.")

    def _named(self, prefix: str) -> ServerKey:
        """The one working key that begins so. The whole key is taken too: whoever found one in a log can paste it."""
        if len(prefix) < keys.PREFIX_LENGTH:
            raise UsageError("Name the key by its prefix, as `server_key list` shows it.")
        found = list(keys.living(timezone.now()).filter(prefix=prefix[: keys.PREFIX_LENGTH]))
        if len(prefix) > keys.PREFIX_LENGTH:
            found = [row for row in found if row.hash == keys.key_hash(prefix)]
        if len(found) != 1:
            raise UsageError(f"{len(found)} working keys begin with {prefix}: see `server_key list`.")
        return found[0]


def _state(row: ServerKey) -> str:
    if row.revoked_at:
        return f"revoked {_minute(row.revoked_at)}"
    if row.expires_at and row.expires_at <= timezone.now():
        return f"expired {_minute(row.expires_at)}"
    used = f"last used {_minute(row.last_used_at)}" if row.last_used_at else "never used"
    return f"ends {_minute(row.expires_at)}, {used}" if row.expires_at else used


def _minute(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC"
