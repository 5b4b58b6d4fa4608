"""`manage.py verify_audit [--anchor NUMBER:HASH]`: is the record of what was done still what was written?"""

from typing import Any

from django.core.management.base import CommandParser

from connections.flags.verifying import verify
from dashboard.management.usage import OneLineCommand


class Command(OneLineCommand):
    help = (
        "Check the hash chain over versions, revisions and audit rows. Exit status: 0 unbroken, 1 broken (the first "
        "row of each chain that does not fit is named), 2 bad usage."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--anchor", default="", metavar="NUMBER:HASH", help="a newest row that an earlier check printed"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        checked = verify(options["anchor"])
        for fault in checked.faults:
            self.stdout.write(f"BROKEN at {fault}.")
        if checked.faults:
            raise SystemExit(1)
        self.stdout.write(
            f"Checked, {checked.rows:,} rows unbroken: {checked.audit_rows:,} of the audit trail, "
            f"{checked.other_rows:,} versions and revisions."
        )
        self.stdout.write(f"Newest audit row: {checked.head}")
