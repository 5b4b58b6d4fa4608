"""What the migrations seeded, kept in the test database itself: brought back by one statement per table."""

from django.db import transaction
from django.db.backends.base.base import BaseDatabaseWrapper


class Seeds:
    """A copy of every row, made while there are only those of the migrations."""

    def __init__(self, database: BaseDatabaseWrapper) -> None:
        self._database = database
        self._inserts: list[str] = []
        quote = database.ops.quote_name
        with database.cursor() as cursor:
            for number, table in enumerate(database.introspection.django_table_names(only_existing=True)):
                cursor.execute(f"SELECT * FROM {quote(table)} LIMIT 1")  # noqa: S608 (our own tables)
                if cursor.fetchone() is None:
                    continue
                columns = ", ".join(quote(column[0]) for column in cursor.description)
                kept = quote(f"seeded_{number}")
                cursor.execute(f"CREATE TABLE {kept} AS SELECT * FROM {quote(table)}")  # noqa: S608
                self._inserts.append(f"INSERT INTO {quote(table)} ({columns}) SELECT {columns} FROM {kept}")  # noqa: S608

    def restore(self) -> None:
        """Into empty tables, in any order: the constraints are checked at the end."""
        with transaction.atomic(using=self._database.alias), self._database.cursor() as cursor:
            for insert in self._inserts:
                cursor.execute(insert)


def empty_quickly(database: BaseDatabaseWrapper) -> None:
    """Let a flush delete the rows of a test: few, where TRUNCATE makes new files for every table and its indexes."""
    quote = database.ops.quote_name

    def sql_flush(style: object, tables: list[str], **options: object) -> list[str]:
        return [f"DELETE FROM {quote(table)}" for table in tables]  # noqa: S608

    database.ops.sql_flush = sql_flush  # type: ignore[method-assign, assignment]
