"""Rows by the million: one prepared statement on SQLite, COPY on PostgreSQL."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.db import connection
from django.db.models import Model


def append(model: type[Model], columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Write rows that are new: values by column, instants as `instant` gives them, JSON as text.

    The caller holds the transaction. Raises IntegrityError where a row is stored already.
    """
    names, table = ", ".join(columns), model._meta.db_table
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            with cursor.copy(f"COPY {table} ({names}) FROM STDIN") as copy:
                for row in rows:
                    copy.write_row(row)
            return
        places = ", ".join(["%s"] * len(columns))
        # Names come from the models, values are parameters.
        cursor.executemany(f"INSERT INTO {table} ({names}) VALUES ({places})", rows)  # noqa: S608  see above


def instant(at: datetime) -> str:
    """An instant as text that the database takes for its own."""
    if connection.vendor == "postgresql":
        return at.isoformat()
    return str(connection.ops.adapt_datetimefield_value(at))


def settle() -> None:
    """After very many rows: let the database know what it holds, so that it finds its way."""
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")


def quickly() -> None:
    """For this connection: a page cache that holds what an hour of many targets touches."""
    if connection.vendor == "sqlite":
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA cache_size = -256000")
