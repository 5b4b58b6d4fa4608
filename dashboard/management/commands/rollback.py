"""`manage.py rollback phase-1|phase-2|emergency --environment ENV --reason "..." [--dry-run]`.

Needs the database and nothing else: no web process, no Redis, no worker.
"""

from typing import Any

from django.core.management.base import CommandParser

from connections.flags import control, reading
from connections.flags.changing import check_reason
from connections.flags.control import Preview
from connections.flags.errors import NothingToChange
from connections.flags.plans import PLANS
from connections.models import Revision
from dashboard.management.shown import show_diffs
from dashboard.management.usage import OneLineCommand, UsageError, author

ALREADY = "nothing would change: already so."


class Command(OneLineCommand):
    help = "Apply a rollback plan: " + "; ".join(f"{plan.key}: {plan.effect}" for plan in PLANS.values())

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("plan", nargs="?", help=" | ".join(PLANS))
        parser.add_argument("--environment", help="development | staging | production")
        parser.add_argument("--reason", default="", help="why, in at least 3 words")
        parser.add_argument("--author", default=author(), help="who the audit trail names (default: this account)")
        parser.add_argument("--dry-run", action="store_true", help="show what would change, and change nothing")

    def handle(self, *args: Any, **options: Any) -> None:
        environment, plan = options["environment"], options["plan"]
        if not plan:
            raise UsageError(f"Name a plan: {', '.join(PLANS)}.")
        if not environment:
            raise UsageError("Name the environment: --environment staging.")
        preview = control.preview_plan(environment, plan)
        if preview.empty:
            self.stdout.write(f"{environment}, {plan}: {ALREADY}")
            return
        if not options["dry_run"]:
            check_reason(reading.environment(environment), options["reason"])
        self._show(preview, plan)
        if options["dry_run"]:
            self.stdout.write("Dry run: nothing was changed.")
            return
        self._run(environment, plan, options)

    def _show(self, preview: Preview, plan: str) -> None:
        restores = f" (back to version {preview.restores})" if preview.restores else ""
        self.stdout.write(f"{preview.environment}, {plan}{restores}, after version {preview.version}:")
        show_diffs(self.stdout, preview.diffs)
        for flag in preview.ends:
            self.stdout.write(f"  {flag}: its ramp ends")

    def _run(self, environment: str, plan: str, options: dict[str, Any]) -> None:
        try:
            version = control.run_plan(environment, plan, author=options["author"], reason=options["reason"])
        except NothingToChange:  # somebody else did it between the preview and the change
            self.stdout.write(f"{environment}, {plan}: {ALREADY}")
            return
        # A version is served again, without a new one, where only a ramp ended.
        revision = Revision.objects.filter(version=version).latest("number")
        self.stdout.write(f"{environment} serves version {version.number}, revision {revision.number}.")
