"""One probe by hand, or a burst of them: the same engine and scripts as the scheduled probes."""

import asyncio
import json
import os
import sys
import time
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Callable, Coroutine
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError
from django.utils import timezone

from dashboard.certificates import told
from probes.bounds import by_hand_policy, limits
from probes.credentials import CredentialsError
from probes.engine.client import Prober
from probes.engine.outcome import Outcome
from probes.engine.presets import PRESETS
from probes.engine.script import Script, ScriptError, TargetSpec, endpoint
from probes.engine.summary import Summary, line_of
from probes.models import Target
from probes.specification import specify

DEFAULT_DEADLINE_S = 5.0
USAGE = 2


class Command(BaseCommand):
    requires_system_checks: list[str] = []  # they load every page of the console: a third of the start
    help = "Probes a URL or a stored target now. Exit status: 0 all well, 1 some failed, 2 not usable."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("target", metavar="URL-or-slug", help="ws:// or wss:// URL, or the slug of a target.")
        parser.add_argument("--count", type=_between(1, 1_000_000), default=1, help="Probes in all (1).")
        parser.add_argument("--concurrency", type=_between(1, 10_000), default=1, help="Probes at once (1).")
        parser.add_argument("--script", type=Path, metavar="FILE", help="YAML script instead of the target's own.")
        parser.add_argument("--preset", choices=sorted(PRESETS), metavar="NAME", help=f"{', '.join(PRESETS)}.")
        parser.add_argument(
            "--early-send", action="store_true", help="The first message leaves when the 101 arrives: shows the race."
        )
        parser.add_argument("--timeout", type=_seconds, metavar="S", help="Deadline of each probe in seconds (5).")
        parser.add_argument("--json", action="store_true", dest="as_json", help="JSON lines, the last a summary.")

    def handle(self, *args: Any, **options: Any) -> None:
        spec = _specification(options["target"], options["script"], options["timeout"])
        if options["preset"]:
            if options["script"]:
                raise _unusable("--preset and --script exclude each other. Write `preset: NAME` in the script")
            spec = replace(spec, script=Script.from_json({"preset": options["preset"]}))
        if options["early_send"]:
            spec = replace(spec, script=_early(spec.script))
        summary = Summary()
        try:
            report = self._json if options["as_json"] else self._report
            report(spec, options["count"], min(options["count"], options["concurrency"]), summary)
        except BrokenPipeError:  # whoever read us has read enough; Python would complain once more at exit
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if summary.ok < max(1, summary.ok + sum(summary.kinds.values())):
            raise SystemExit(1)

    def _json(self, spec: TargetSpec, count: int, concurrency: int, summary: Summary) -> None:
        def take(outcome: Outcome) -> None:
            summary.add(outcome)
            self.stdout.write(json.dumps(line_of(outcome)))

        self._until_stopped(_burst(spec, count, concurrency, take))
        self.stdout.write(json.dumps({"summary": summary.to_json()}))

    def _report(self, spec: TargetSpec, count: int, concurrency: int, summary: Summary) -> None:
        # Imported here: drawing costs a tenth of the start, and machines (--json) and --help draw nothing.
        from dashboard.terminal.burst import Asked, burst_report
        from dashboard.terminal.output import show
        from dashboard.terminal.progress import progress
        from dashboard.terminal.verdict import probe_report

        outcomes: list[Outcome] = []

        async def run() -> None:
            async with progress(count, summary) as advance:

                def take(outcome: Outcome) -> None:
                    summary.add(outcome)
                    outcomes[:] = [outcome]
                    advance()

                await _burst(spec, count, concurrency, take)

        began = time.monotonic()
        self._until_stopped(run())
        if count == 1 and outcomes:
            show(self.stdout, probe_report(outcomes[0], spec.url, spec.deadline_s, _certificate(summary)))
        else:
            seconds = time.monotonic() - began
            asked = Asked(spec.url, count, concurrency, spec.deadline_s, seconds, _certificate(summary))
            show(self.stdout, burst_report(summary, asked))

    def _until_stopped(self, burst: Coroutine[Any, Any, None]) -> None:
        """Run to the end, or to Ctrl-C: what was found so far is told all the same."""
        try:
            asyncio.run(burst)
        except KeyboardInterrupt:
            self.stderr.write("stopped")


def _specification(target: str, script: Path | None, timeout_s: float | None) -> TargetSpec:
    """What to probe. Raises CommandError, exit status 2, where it cannot be."""
    try:
        spec = _stored(target) or TargetSpec(target_id=0, slug=target, url=target, deadline_s=DEFAULT_DEADLINE_S)
        endpoint(spec.url)
        if script is not None:
            spec = replace(spec, script=Script.from_yaml(script.read_text()))
    except CredentialsError as error:
        raise _unusable(str(error)) from error
    except ScriptError as error:
        place = f"{script}: " if script is not None and error.field != "url" else ""
        hint = ", or give the slug of a stored target" if error.field == "url" else ""
        raise _unusable(f"{place}{error}{hint}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise _unusable(f"--script {script}: cannot be read ({error}). Give a YAML file") from error
    return replace(spec, deadline_s=timeout_s) if timeout_s is not None else spec


def _early(script: Script) -> Script:
    """The early-send variant of a script."""
    try:
        return Script.from_json({**script.to_json(), "early_send": True})
    except ScriptError as error:
        raise _unusable(f"--early-send: {error.fault}. {error.cure}") from error


def _stored(target: str) -> TargetSpec | None:
    """The stored target of this slug, or the first one with this URL."""
    try:
        found = Target.objects.filter(slug=target).first() or Target.objects.filter(url=target).order_by("pk").first()
    except DatabaseError as error:
        if "://" in target:
            return None  # a URL can be probed from a machine that has no database yet
        raise _unusable(f"no stored targets can be read ({error}). Run `manage.py migrate`, or give a URL") from error
    return specify(found) if found else None


def _unusable(message: str) -> CommandError:
    return CommandError(f"{message}.", returncode=USAGE)


def _certificate(summary: Summary) -> str:
    """Whose certificate was served, until when, and whether that is soon; "" where none was."""
    if summary.certificate is None:
        return ""
    warning = timedelta(days=settings.CERTIFICATE_WARNING_DAYS)
    shown = told(summary.certificate, timezone.now(), ZoneInfo(settings.TIME_ZONE), warning)
    return f"{shown.whose}, {shown.until}{'. Renew it' if shown.soon else ''}"


async def _burst(spec: TargetSpec, count: int, concurrency: int, take: Callable[[Outcome], None]) -> None:
    async with Prober(policy=by_hand_policy(), limits=limits()) as prober:
        async for outcome in prober.burst(spec, count, concurrency):
            take(outcome)


def _between(low: int, high: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        try:
            number = int(text)
        except ValueError as error:
            raise ArgumentTypeError(f"{text!r} is no whole number") from error
        if not low <= number <= high:
            raise ArgumentTypeError(f"{number} does not lie between {low} and {high}")
        return number

    return parse


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError as error:
        raise ArgumentTypeError(f"{text!r} is no number of seconds") from error
    if not 0.1 <= seconds <= 600:
        raise ArgumentTypeError(f"{text} s does not lie between 0.1 and 600")
    return seconds
