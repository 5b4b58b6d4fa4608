"""`manage.py flags kill|lift|ramp|promote`: what lies over an environment's flags, from a shell."""

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.utils import timezone

from connections.flags import control, reading
from connections.flags.changing import check_reason
from connections.models import Overlay, Ramp, Revision, Version
from dashboard.layer_words import entry_line, percent
from dashboard.management.flag_verbs import Verb, change_arguments, environment_argument
from dashboard.management.shown import show_diffs
from dashboard.management.usage import UsageError
from dashboard.ramp_steps import steps_of

RAMP_DOES: dict[str, Callable[..., Version | Revision | Ramp]] = {
    "start": control.start_ramp,
    "pause": control.pause_ramp,
    "resume": control.resume_ramp,
    "back": control.set_ramp_back,
    "finish": control.finish_ramp,
    "abort": control.abort_ramp,
    "reopen": control.reopen_ramp,
}


def _flag_arguments(parser: CommandParser) -> None:
    parser.add_argument("flag", help="the flag's key")
    environment_argument(parser)
    change_arguments(parser)


def _kill_arguments(parser: CommandParser) -> None:
    _flag_arguments(parser)
    parser.add_argument("--minutes", type=int, metavar="N", help="expire after so long (default: until it is lifted)")


def _lift_arguments(parser: CommandParser) -> None:
    _flag_arguments(parser)
    parser.add_argument("--kind", choices=sorted(Overlay.Kind.values), default="kill", help="what to lift")


def _ramp_arguments(parser: CommandParser) -> None:
    parser.add_argument("do", choices=RAMP_DOES, help="what to do to the ramp")
    _flag_arguments(parser)
    parser.add_argument("--variant", help="to start: the variant to serve")
    parser.add_argument(
        "--step", action="append", default=[], help='to start, once for each: "10 %% for 30 min if the guard passes"'
    )


def _promote_arguments(parser: CommandParser) -> None:
    parser.add_argument("flags", nargs="*", help="these alone (default: all that differ)")
    environment_argument(parser)
    change_arguments(parser)
    parser.add_argument("--dry-run", action="store_true", help="show what would change, and change nothing")


def _kill(command: BaseCommand, options: dict[str, Any]) -> None:
    minutes = options["minutes"]
    if minutes is not None and minutes < 1:
        raise UsageError("--minutes is 1 or more.")
    expires_at = None if minutes is None else timezone.now() + timedelta(minutes=minutes)
    _done(command, control.kill(options["environment"], options["flag"], expires_at=expires_at, **_by(options)))


def _lift(command: BaseCommand, options: dict[str, Any]) -> None:
    _done(command, control.lift(options["environment"], options["flag"], options["kind"], **_by(options)))


def _ramp(command: BaseCommand, options: dict[str, Any]) -> None:
    act = partial(RAMP_DOES[options["do"]], options["environment"], options["flag"])
    if options["do"] == "start":
        if not options["variant"]:
            raise UsageError("Name the variant to serve: --variant.")
        steps = [step.as_json() for step in steps_of("\n".join(options["step"]))]
        act = partial(act, options["variant"], steps)
    elif options["variant"] or options["step"]:
        raise UsageError("--variant and --step only start a ramp.")
    _done(command, act(**_by(options)))


def _promote(command: BaseCommand, options: dict[str, Any]) -> None:
    environment, flags = options["environment"], options["flags"] or None
    source = reading.flag_set(control.stage_before(environment).key)
    preview = control.preview_promotion(environment, flags, source_version=source.version)
    command.stdout.write(f"{environment}, version {source.version} of {source.environment}:")
    show_diffs(command.stdout, preview.diffs)
    if preview.empty:
        command.stdout.write("  nothing would change: already so.")
        return
    if options["dry_run"]:
        command.stdout.write("Dry run: nothing was changed.")
        return
    check_reason(reading.environment(environment), options["reason"])
    seen: dict[str, Any] = {"expected_version": preview.version, "source_version": source.version}
    _done(command, control.promote(environment, flags=flags, **seen, **_by(options)))


def _by(options: dict[str, Any]) -> dict[str, Any]:
    return {"author": options["author"], "reason": options["reason"]}


def _done(command: BaseCommand, made: Version | Revision | Ramp) -> None:
    """Print what is served now: the revision, or of a ramp that serves the same, its state."""
    if isinstance(made, Ramp):
        share = percent(made.percentage)
        command.stdout.write(f"{made.environment_id}: the ramp of {made.flag_key} is {made.state} at {share}.")
        return
    revision = made if isinstance(made, Revision) else Revision.objects.filter(version=made).latest("number")
    told = "; ".join(map(entry_line, revision.summary))
    command.stdout.write(f"{revision.environment_id} serves revision {revision.number}: {told}.")


VERBS = (
    Verb("kill", "serve a flag's safe variant to everybody, until it is lifted", _kill_arguments, _kill),
    Verb("lift", "take a kill or a breaker away: what lies below is served again", _lift_arguments, _lift),
    Verb("ramp", "start, pause, resume, set back, finish, abort or reopen a flag's ramp", _ramp_arguments, _ramp),
    Verb("promote", "define here what the environment before defines", _promote_arguments, _promote),
)
