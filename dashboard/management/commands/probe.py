"""One probe by hand, or a burst of them: the same engine and scripts as the scheduled probes."""

import asyncio
import json
import math
import os
import sys
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Callable
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
from probes.engine.summary import NEVER, PERCENTILES, Summary, event_counts, line_of
from probes.histogram import bounds
from probes.models import Target
from probes.specification import specify

DEFAULT_DEADLINE_S = 5.0
USAGE = 2


class Command(BaseCommand):
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
        report = self._report_json if options["as_json"] else self._report_line
        if not options["as_json"]:
            self.stdout.write(_heading(spec))

        def take(outcome: Outcome) -> None:
            summary.add(outcome)
            report(outcome)

        try:
            try:
                asyncio.run(_burst(spec, options["count"], options["concurrency"], take))
            except KeyboardInterrupt:
                self.stderr.write("stopped")
            if options["as_json"]:
                self.stdout.write(json.dumps({"summary": summary.to_json()}))
            else:
                self.stdout.write("\n".join(["", *_summary_lines(summary)]))
        except BrokenPipeError:  # whoever read us has read enough; Python would complain once more at exit
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if summary.ok < max(1, summary.ok + sum(summary.kinds.values())):
            raise SystemExit(1)

    def _report_json(self, outcome: Outcome) -> None:
        self.stdout.write(json.dumps(line_of(outcome)))

    def _report_line(self, outcome: Outcome) -> None:
        self.stdout.write(_line(outcome))


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


async def _burst(spec: TargetSpec, count: int, concurrency: int, take: Callable[[Outcome], None]) -> None:
    async with Prober(policy=by_hand_policy(), limits=limits()) as prober:
        async for outcome in prober.burst(spec, count, min(count, concurrency)):
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


# What people read. ---------------------------------------------------------------------------------------------------

_COLUMNS = "{:<21} {:>8} {:>8} {:>8} {:>8} {:>9} {:>9} {:>7} {:>6}  {}"


def _heading(spec: TargetSpec) -> str:
    columns = _COLUMNS.format("result", "dns", "tcp", "tls", "upgrade", "claimed", "ready", "events", "close", "served")
    return f"{spec.url}, deadline {spec.deadline_s:g} s, times in ms\n{columns}"


def _line(outcome: Outcome) -> str:
    counts = event_counts(outcome)
    revision = "" if outcome.flags_revision is None else f" r{outcome.flags_revision}"
    served = f"{outcome.strategy}{revision}"
    ready = outcome.race_window_us
    return _COLUMNS.format(
        outcome.kind.value if outcome.kind else "ok",
        *(_figure(us) for us in (outcome.dns_us, outcome.tcp_us, outcome.tls_us, outcome.upgrade_us)),
        _figure(outcome.claimed_us),
        NEVER if ready is None and not outcome.ok else _figure(ready),
        f"{counts['delivered']}/{counts['expected']}",
        outcome.close_code or "-",
        f"{served} (flagged)" if outcome.flagged else served,
    ).rstrip()


def _figure(us: float | None) -> str:
    if us is None or math.isnan(us):
        return "-"
    return NEVER if math.isinf(us) else f"{us / 1000:.1f}"


def _summary_lines(summary: Summary) -> list[str]:
    failed = summary.probes - summary.ok
    low, high = bounds(failed, summary.probes)
    expected, delivered = summary.events["expected"], summary.events["delivered"]
    figures = "  ".join(f"p{q} {_figure(summary.percentile_us(q))}" for q in PERCENTILES)
    lines = [
        f"probes    {summary.probes}, {summary.ok} ok, {failed} failed (95 % bounds {low:.2%} to {high:.2%})",
        f"ready     {figures} (ms after the 101)",
        f"events    {delivered} of {expected} delivered",
    ]
    if summary.kinds:
        lines.append(f"failures  {', '.join(f'{kind} {count}' for kind, count in summary.kinds.most_common())}")
    if summary.certificate:
        zone, warning = ZoneInfo(settings.TIME_ZONE), timedelta(days=settings.CERTIFICATE_WARNING_DAYS)
        shown = told(summary.certificate, timezone.now(), zone, warning)
        lines.append(f"cert      {shown.whose}, {shown.until}{'. Renew it' if shown.soon else ''}")
    if summary.flagged:
        lines.append(f"flagged   {summary.flagged} measurements left out of the percentiles")
    if commonest := summary.commonest():
        _count, sentence, check = commonest
        lines += ["", sentence, f"Next: {check}"]
    return lines
