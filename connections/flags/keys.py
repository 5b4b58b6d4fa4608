"""Keys of watched servers and OFREP clients: one environment each, stored as SHA-256, shown once.

No key changes flags. A watched server's reads definitions and reports; a read-only one evaluates over OFREP.
"""

import hashlib
import hmac
import secrets
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone
from django.utils.crypto import salted_hmac

from connections.flags import reading, tagging
from connections.flags.errors import FlagError
from connections.models import AuditRecord, ServerKey

START = "rws_"
PREFIX_LENGTH = 12
LONGEST_NAME = 100
NOTED_EVERY = timedelta(minutes=1)
_STREAM_SALT = "connections.flags.keys.stream"


@dataclass(frozen=True)
class Holder:
    """Whose key this is: what a request may know about its caller."""

    key_id: int
    environment: str
    name: str
    hash: str
    read_only: bool = False
    """It evaluates over OFREP, and neither reads definitions nor reports."""
    tags: frozenset[str] = frozenset()
    """It gets the flags with one of these tags, and those without any; none: all flags."""


class KeyNotLiving(FlagError):  # noqa: N818 (named as people say it)
    """The key has been revoked, or has expired."""

    def __init__(self, row: ServerKey) -> None:
        super().__init__("key", f"The key {row.prefix} of {row.name} no longer works.", "Make a new one.")


def create(
    environment_key: str,
    name: str,
    *,
    author: str,
    reason: str = "",
    scope: str = ServerKey.Scope.SERVER,
    tags: Collection[str] = (),
    replaces: ServerKey | None = None,
) -> tuple[ServerKey, str]:
    """A new key for a server: the row, and the key itself, which nobody can read again.

    `tags` select flags (`connections.flags.tagging`). Raises UnknownEnvironment, and TagError where one is no tag.
    """
    key = START + secrets.token_urlsafe(32)
    with transaction.atomic():
        row = ServerKey.objects.create(
            environment=reading.environment(environment_key),
            name=name,
            prefix=key[:PREFIX_LENGTH],
            hash=key_hash(key),
            scope=scope,
            tags=sorted(tagging.checked(tags)),
            replaces=replaces,
        )
        action = "server_key.rotate" if replaces else "server_key.create"
        before = _described(replaces) if replaces else None
        _audit(action, row, author, reason, before=before, after=_described(row))
    return row, key


def rotate(row: ServerKey, *, author: str, reason: str = "", grace: timedelta | None = None) -> tuple[ServerKey, str]:
    """A new key with the name, environment and scope of `row`, which goes on working: both live until the old one is
    revoked, or for `grace`. Raises KeyNotLiving."""
    with transaction.atomic():
        now = timezone.now()
        old = living(now).select_for_update().filter(pk=row.pk).first()
        if old is None:
            raise KeyNotLiving(row)
        if grace is not None:
            ends = now + grace
            old.expires_at = min(old.expires_at or ends, ends)
            old.save(update_fields=["expires_at"])
        return create(
            old.environment_id, old.name, author=author, reason=reason, scope=old.scope, tags=old.tags, replaces=old
        )


def revoke(row: ServerKey, *, author: str, reason: str = "") -> bool:
    """End a key at once. False: somebody had already revoked it, and nothing was written."""
    with transaction.atomic():
        if ServerKey.objects.filter(pk=row.pk, revoked_at=None).update(revoked_at=timezone.now()) == 0:
            return False
        before = {**_described(row), "revoked": False}
        _audit("server_key.revoke", row, author, reason, before=before, after={"revoked": True})
    return True


def living(now: datetime) -> "QuerySet[ServerKey]":
    """The keys that work: neither revoked nor expired."""
    return ServerKey.objects.filter(Q(expires_at=None) | Q(expires_at__gt=now), revoked_at=None)


def verify(key: str) -> Holder | None:
    """Whose key this is; None: nobody's, revoked or expired."""
    return _holder(living(timezone.now()).filter(hash=key_hash(key)).first())


def active() -> dict[str, Holder]:
    """Every key that works now, by its SHA-256."""
    rows = living(timezone.now()).only("pk", "environment_id", "name", "hash", "scope", "tags")
    return {holder.hash: holder for row in rows if (holder := _holder(row))}


def note_use(key_id: int, now: datetime) -> None:
    """Remember that a key was used; written at most once a minute, whoever asks."""
    stale = Q(last_used_at=None) | Q(last_used_at__lt=now - NOTED_EVERY)
    ServerKey.objects.filter(stale, pk=key_id).update(last_used_at=now)


def key_hash(key: str) -> str:
    """SHA-256, hexadecimal: keys are 256 random bits, so a slow hash would protect nothing."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


def stream_token(holder: Holder) -> str:
    """The credential for event streams alone, derived from the key: the same one for as long as the key lives.

    EventSource sends no header, so this stands in the address; it must not change, because clients keep a 401's
    address for ever and try it once a second.
    """
    return f"{holder.key_id}.{_stream_mac(holder)}"


def check_stream_token(token: str, holder: Holder) -> bool:
    """Whether `token` is this holder's stream credential."""
    return hmac.compare_digest(token.encode("utf-8", "surrogatepass"), stream_token(holder).encode())


def _stream_mac(holder: Holder) -> str:
    return salted_hmac(_STREAM_SALT, holder.hash, algorithm="sha256").hexdigest()[:40]


def _holder(row: ServerKey | None) -> Holder | None:
    if row is None:
        return None
    read_only = row.scope == ServerKey.Scope.READ
    return Holder(row.pk, row.environment_id, row.name, row.hash, read_only, frozenset(row.tags))


def _described(row: ServerKey) -> dict[str, object]:
    tags = {"tags": row.tags} if row.tags else {}
    ends = {"expires_at": row.expires_at.isoformat()} if row.expires_at else {}
    return {"name": row.name, "prefix": row.prefix, "scope": str(row.scope), **tags, **ends}


def _audit(
    action: str,
    row: ServerKey,
    author: str,
    reason: str,
    *,
    before: dict[str, object] | None,
    after: dict[str, object],
) -> None:
    AuditRecord.objects.create(
        actor=author,
        action=action,
        environment_id=row.environment_id,
        subject=f"{row.name} ({row.prefix}…)"[:200],
        reason=reason.strip(),
        before=before,
        after=after,
    )
