"""The hash chain over versions, revisions and audit rows: a row's hash covers its content and the row before it.

hash = SHA-256(hash of the row before, a line feed, canonical JSON of the row). Whoever changes, deletes or reorders
rows breaks the chain at the first of them (`verifying`). Who may write everywhere can forge a whole chain as well: keep
the newest hash, which `manage.py verify_audit` prints, somewhere else.
"""

import hashlib
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from connections.flags.versions import canonical_json

AUDIT = ("number", "at", "actor", "action", "environment_id", "subject", "reason", "before", "after")
VERSION = ("environment_id", "number", "parent_id", "kind", "set_hash", "author", "reason", "created_at")
"""Not the known-good mark: it moves. Each mark has an audit row, and the two are compared."""
REVISION = ("environment_id", "number", "version_id", "cause", "summary", "layers", "author", "reason", "at")
# What a hash covers: a column that is added here would break every chain there is.
LATER = ("approved_by", "break_glass_id")
"""Columns of versions and revisions that came later: covered where they say something, so older hashes still hold."""


def link(before: str, row: Mapping[str, Any]) -> str:
    """The hash of `row`, {column: value}, where the row before it has the hash `before` ("" for the first row)."""
    told = canonical_json({name: _told(value) for name, value in row.items() if value or name not in LATER})
    return hashlib.sha256(f"{before}\n{told}".encode("utf-8", "surrogatepass")).hexdigest()


def _told(value: Any) -> Any:
    # Milliseconds: Django's dumpdata keeps no more, and a database that was moved by it is still unbroken.
    return value.astimezone(UTC).isoformat(timespec="milliseconds") if isinstance(value, datetime) else value


def seal(apps: Any) -> None:
    """For migrations, with historical models: give every row that lacks one its place and its hash.

    A migration that writes such rows calls this at its end: nothing but `save` links rows elsewhere.
    """
    audit, head = _model(apps, "AuditRecord"), _model(apps, "AuditHead").objects.get_or_create(pk=1)[0]
    for row in audit.objects.filter(number=None).order_by("pk").values(*AUDIT, "pk").iterator():
        row["number"], pk = head.number + 1, row.pop("pk")
        head.number, head.hash = row["number"], link(head.hash, row)
        audit.objects.filter(pk=pk).update(number=head.number, hash=head.hash)
    head.save()
    for name, columns in (("Version", VERSION), ("Revision", REVISION)):
        _seal_numbered(_model(apps, name), columns)


def _seal_numbered(model: Any, columns: tuple[str, ...]) -> None:
    held: dict[str, str] = {}
    for row in _in_order(model, columns):
        stored, pk = row.pop("hash"), row.pop("pk")
        environment = row["environment_id"]
        held[environment] = stored or link(held.get(environment, ""), row)
        if not stored:
            model.objects.filter(pk=pk).update(hash=held[environment])


def _in_order(model: Any, columns: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    yield from list(model.objects.order_by("environment_id", "number").values(*columns, "hash", "pk"))


def _model(apps: Any, name: str) -> Any:
    return apps.get_model("connections", name)
