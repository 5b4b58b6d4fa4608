"""`manage.py rollback phase-1|phase-2|emergency|KEY --environment ENV --reason "..." [--dry-run | --drill]`.

Needs the database and nothing else: no web process, no Redis, no worker.
"""

from typing import Any

from django.core.management.base import CommandError, CommandParser

from connections.flags import control, reading
from connections.flags.changing import check_reason
from connections.flags.control import Preview
from connections.flags.drilling import drill
from connections.flags.errors import NothingToChange
from connections.flags.plans import PLANS
from connections.flags.team_plans import all_plans
from connections.models import Revision
from dashboard.management.shown import show_diffs
from dashboard.management.usage import OneLineCommand, UsageError, author

ALREADY = "nothing would change: already so."


class Command(OneLineCommand):
    help = "Apply a rollback plan: " + "; ".join(f"{plan.key}: {plan.effect}" for plan in PLANS.values())

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("plan", nargs="?", help=" | ".join((*PLANS, "the key of a plan of the team's own")))
        parser.add_argument("--environment", help="development | staging | production")
        parser.add_argument("--reason", default="", help="why, in at least 3 words")
        parser.add_argument("--author", default=author(), help="who the audit trail names (default: this account)")
        parser.add_argument(
            "--drill", action="store_true", help="rehearse: everything but the write, timed and recorded"
        )
        parser.add_argument("--dry-run", action="store_true", help="show what would change, and change nothing")

    def handle(self, *args: Any, **options: Any) -> None:
        environment, plan = options["environment"], options["plan"]
        if not plan:
            raise UsageError(f"Name a plan: {', '.join(all_plans())}.")
        if not environment:
            raise UsageError("Name the environment: --environment staging.")
        if options["drill"]:
            self._drill(environment, plan, options["author"])
            return
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
            self.stdout.write(f"  The ramp of {flag} ends.")
        for layer in preview.stays:
            self.stdout.write(
                f"  The {layer.kind} of {layer.flag} stays: {layer.variant} is served until it is lifted."
            )

    def _drill(self, environment: str, plan: str, author: str) -> None:
        done = drill(environment, plan, author=author)
        if done.problem:
            raise CommandError(f"The rehearsal failed after {done.seconds:.2f} s: {done.problem}")
        changes = f"{done.changes} flags would change" if done.changes != 1 else "1 flag would change"
        self.stdout.write(f"{environment}, {plan}: rehearsed in {done.seconds:.2f} s, {changes}. Nothing was changed.")

    def _run(self, environment: str, plan: str, options: dict[str, Any]) -> None:
        try:
            version = control.run_plan(environment, plan, author=options["author"], reason=options["reason"])
        except NothingToChange:  # somebody else did it between the preview and the change
            self.stdout.write(f"{environment}, {plan}: {ALREADY}")
            return
        revision = Revision.objects.filter(version=version).latest("number")
        self.stdout.write(f"{environment} serves version {version.number}, revision {revision.number}.")
