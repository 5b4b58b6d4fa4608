"""Keys of watched servers and OFREP clients: one environment each, read-only, stored as SHA-256, shown once."""

import hashlib
import hmac
import secrets
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.crypto import salted_hmac

from connections.flags import reading, tagging
from connections.models import AuditRecord, ServerKey

START = "rws_"
PREFIX_LENGTH = 12
NOTED_EVERY = timedelta(minutes=1)
_STREAM_SALT = "connections.flags.keys.stream"


@dataclass(frozen=True)
class Holder:
    """Whose key this is: what a request may know about its caller."""

    key_id: int
    environment: str
    name: str
    hash: str
    tags: frozenset[str] = frozenset()
    """It gets the flags with one of these tags, and those without any; none: all flags."""


def create(environment_key: str, name: str, *, author: str, tags: Collection[str] = ()) -> tuple[ServerKey, str]:
    """A new key for a server: the row, and the key itself, which nobody can read again. Raises UnknownEnvironment.

    `tags` select flags (`connections.flags.tagging`); raises TagError where one is no tag.
    Several keys may carry one name: that is how a key is replaced without a pause.
    """
    key = START + secrets.token_urlsafe(32)
    with transaction.atomic():
        row = ServerKey.objects.create(
            environment=reading.environment(environment_key),
            name=name,
            prefix=key[:PREFIX_LENGTH],
            hash=key_hash(key),
            tags=sorted(tagging.checked(tags)),
        )
        tagged = {"tags": row.tags} if row.tags else {}
        _audit("server_key.create", row, author, before=None, after={"name": name, "prefix": row.prefix, **tagged})
    return row, key


def revoke(row: ServerKey, *, author: str) -> bool:
    """End a key at once. False: somebody had already revoked it, and nothing was written."""
    with transaction.atomic():
        if ServerKey.objects.filter(pk=row.pk, revoked_at=None).update(revoked_at=timezone.now()) == 0:
            return False
        described = {"name": row.name, "prefix": row.prefix}
        _audit("server_key.revoke", row, author, before={**described, "revoked": False}, after={"revoked": True})
    return True


def verify(key: str) -> Holder | None:
    """Whose key this is; None: nobody's, or revoked."""
    return _holder(ServerKey.objects.filter(hash=key_hash(key), revoked_at=None).first())


def active() -> dict[str, Holder]:
    """Every key that works now, by its SHA-256."""
    rows = ServerKey.objects.filter(revoked_at=None).only("pk", "environment_id", "name", "hash", "tags")
    return {row.hash: holder for row in rows if (holder := _holder(row))}


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
    return None if row is None else Holder(row.pk, row.environment_id, row.name, row.hash, frozenset(row.tags))


def _audit(
    action: str, row: ServerKey, author: str, *, before: dict[str, object] | None, after: dict[str, object]
) -> None:
    AuditRecord.objects.create(
        actor=author,
        action=action,
        environment_id=row.environment_id,
        subject=f"{row.name} ({row.prefix}…)"[:200],
        before=before,
        after=after,
    )
