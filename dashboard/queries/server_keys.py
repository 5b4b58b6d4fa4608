"""The keys page: every key that works, and those that ended lately."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.utils import timezone

from connections.flags.reading import SILENT_AFTER
from connections.models import ServerKey, WatchedServer

ENDED_SHOWN = 20
IN_USE = timedelta(minutes=3)
"""Use is noted once a minute: a key noted so lately is in somebody's hands."""


@dataclass(frozen=True)
class KeyRow:
    """One key as the page shows it."""

    key: ServerKey
    state: str
    """works, ending (until a moment), revoked or expired."""
    in_use: bool
    servers: tuple[str, ...]
    """Watched servers that report under its name; several keys may have one."""
    successor: ServerKey | None
    """The key that was made to take over from it."""

    @property
    def works(self) -> bool:
        return self.state in ("works", "ending")

    @property
    def may_be_revoked_now(self) -> bool:
        """Its successor is in use, and it is not: the change of keys is complete."""
        return self.successor is not None and self.successor.last_used_at is not None and not self.in_use


def key_rows(now: datetime) -> tuple[list[KeyRow], list[KeyRow]]:
    """Keys that work, by environment and name; and those that ended, newest first."""
    keys = list(ServerKey.objects.select_related("environment").order_by("environment__position", "name", "created_at"))
    rows = _rows(keys, now)
    ended = [row for row in rows if not row.works]
    ended.sort(key=lambda row: row.key.revoked_at or row.key.expires_at or now, reverse=True)
    return [row for row in rows if row.works], ended[:ENDED_SHOWN]


def key_row(key: ServerKey) -> KeyRow:
    """One of them."""
    return _rows([key], timezone.now())[0]


def _rows(keys: Iterable[ServerKey], now: datetime) -> list[KeyRow]:
    reporting: dict[tuple[str, str], list[str]] = {}
    lately = WatchedServer.objects.filter(reported_at__gt=now - SILENT_AFTER).order_by("instance")
    for environment, name, instance in lately.values_list("environment_id", "key_name", "instance"):
        reporting.setdefault((environment, name), []).append(instance)
    successors = {key.replaces_id: key for key in ServerKey.objects.filter(replaces__isnull=False).order_by("pk")}
    return [
        KeyRow(
            key=key,
            state=_state(key, now),
            in_use=key.last_used_at is not None and now - key.last_used_at < IN_USE,
            servers=tuple(reporting.get((key.environment_id, key.name), ())),
            successor=successors.get(key.pk),
        )
        for key in keys
    ]


def _state(key: ServerKey, now: datetime) -> str:
    if key.revoked_at is not None:
        return "revoked"
    if key.expires_at is None:
        return "works"
    return "ending" if key.expires_at > now else "expired"
