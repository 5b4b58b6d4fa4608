"""Many rows in one INSERT, on SQLite and PostgreSQL alike, telling which were written."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from enum import Enum
from typing import Any

from django.db import connection
from django.db.models import Model

_MOST_PARAMETERS = 30_000
"""SQLite takes 32,766 in one statement (SQLITE_MAX_VARIABLE_NUMBER since 3.32)."""


class Conflict(Enum):
    """What happens to a row whose identity is stored already."""

    KEEP = "keep"
    REPLACE = "replace"


def replace(model: type[Model], identity: Sequence[str], columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Write rows of (identity..., columns...) values, JSON as text, over what is stored of the same identity."""
    statement = _statement(model, identity, columns, Conflict.REPLACE, "")
    with connection.cursor() as cursor:
        for sql, values in _filled(statement, rows):
            cursor.execute(sql, values)


def insert(
    model: type[Model],
    identity: Sequence[str],
    columns: Sequence[str],
    rows: Sequence[Sequence[Any]],
    conflict: Conflict,
    *,
    only_where: str = "",
) -> set[tuple[Any, ...]]:
    """Write rows of (identity..., columns...) values, JSON as text; returns the identities that were written.

    `only_where` bounds a replacement by a condition on the stored row (SQL without parameters). One statement per
    30,000 values; the caller holds the transaction.
    """
    written: set[tuple[Any, ...]] = set()
    statement = f"{_statement(model, identity, columns, conflict, only_where)} RETURNING {', '.join(identity)}"
    with connection.cursor() as cursor:
        for sql, values in _filled(statement, rows):
            cursor.execute(sql, values)
            written.update(tuple([_read(value) for value in row]) for row in cursor.fetchall())
    return written


def _filled(statement: str, rows: Sequence[Sequence[Any]]) -> Iterator[tuple[str, list[Any]]]:
    """The statement with placeholders for as many rows as one may hold, and their values; once for each such lot."""
    if not rows:
        return
    placeholder = f"({', '.join(['%s'] * len(rows[0]))})"
    adapted = _Adapted()
    for chunk in _chunks(rows, _MOST_PARAMETERS // len(rows[0])):
        sql = statement.format(values=", ".join([placeholder] * len(chunk)))
        yield sql, [adapted[value] if type(value) is datetime else value for row in chunk for value in row]


def _statement(
    model: type[Model], identity: Sequence[str], columns: Sequence[str], conflict: Conflict, only_where: str
) -> str:
    table, key = model._meta.db_table, ", ".join(identity)
    if conflict is Conflict.KEEP:
        action = "NOTHING"
    else:
        action = "UPDATE SET " + ", ".join(f"{column} = excluded.{column}" for column in columns)
        action += f" WHERE {table}.{only_where}" if only_where else ""
    names = f"{key}, {', '.join(columns)}"
    # Names come from the models, values are parameters.
    return f"INSERT INTO {table} ({names}) VALUES {{values}} ON CONFLICT ({key}) DO {action}"  # noqa: S608  see above


def _chunks(rows: Sequence[Sequence[Any]], size: int) -> Iterator[Sequence[Sequence[Any]]]:
    for first in range(0, len(rows), size):
        yield rows[first : first + size]


class _Adapted(dict[datetime, Any]):
    """Instants as the database wants them; many rows share one."""

    def __missing__(self, value: datetime) -> Any:
        found = self[value] = connection.ops.adapt_datetimefield_value(value)
        return found


def _read(value: Any) -> Any:
    # SQLite has no type for instants: the driver may give text, or a naive datetime, of UTC.
    if type(value) is str and value[4:5] == "-" and value[10:11] == " ":
        value = datetime.fromisoformat(value)
    if type(value) is datetime:
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    return value
