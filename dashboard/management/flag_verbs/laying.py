"""`manage.py flags kill|lift|ramp`: what lies over a flag, from a shell, also while the web is down."""

import re
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.utils import timezone

from connections.flags import control
from connections.models import Ramp, Revision, Version
from dashboard.management.flag_verbs import Verb, change_arguments, environment_argument
from dashboard.management.usage import UsageError

UNITS = {"s": 1, "min": 60, "m": 60, "h": 3600, "d": 86_400}
RAMP_ACTS = {
    "pause": control.pause_ramp,
    "resume": control.resume_ramp,
    "abort": control.abort_ramp,
    "back": control.set_ramp_back,
    "finish": control.finish_ramp,
    "reopen": control.reopen_ramp,
}


def _arguments(parser: CommandParser) -> None:
    parser.add_argument("flag", help="the key of the flag")
    environment_argument(parser)
    change_arguments(parser)


def _kill_arguments(parser: CommandParser) -> None:
    _arguments(parser)
    parser.add_argument("--for", dest="span", metavar="SPAN", help="90s, 30m, 2h, 1d (default: until it is lifted)")


def _lift_arguments(parser: CommandParser) -> None:
    _arguments(parser)
    parser.add_argument("--breaker", action="store_true", help="lift a guard's breaker, not a kill")


def _ramp_arguments(parser: CommandParser) -> None:
    parser.add_argument("act", choices=["start", *RAMP_ACTS])
    _arguments(parser)
    parser.add_argument("--variant", help="start: the variant that more and more are served")
    parser.add_argument("--steps", metavar="P,P,...", help="start: the percentages, rising: 1,10,50,100")
    parser.add_argument("--hold", default="10m", metavar="SPAN", help="start: how long each step holds (10m)")
    parser.add_argument("--needs-pass", action="store_true", help="start: a step also waits for the guard")


def _kill(command: BaseCommand, options: dict[str, Any]) -> None:
    until = timezone.now() + _span("--for", options["span"]) if options["span"] else None
    _told(command, control.kill(options["environment"], options["flag"], **_signed(options), expires_at=until))


def _lift(command: BaseCommand, options: dict[str, Any]) -> None:
    kind = "breaker" if options["breaker"] else "kill"
    _told(command, control.lift(options["environment"], options["flag"], kind, **_signed(options)))


def _ramp(command: BaseCommand, options: dict[str, Any]) -> None:
    environment, flag, signed = options["environment"], options["flag"], _signed(options)
    if options["act"] == "start":
        if not options["variant"] or not options["steps"]:
            raise UsageError("Say what to ramp, and in which steps: --variant immediate --steps 1,10,50,100.")
        _told(command, control.start_ramp(environment, flag, options["variant"], _steps(options), **signed))
        return
    made: Any = RAMP_ACTS[options["act"]](environment, flag, **signed)
    _told(command, made)


def _steps(options: dict[str, Any]) -> list[dict[str, Any]]:
    hold = _span("--hold", options["hold"]).total_seconds()
    try:
        shares = [float(part) for part in options["steps"].split(",")]
    except ValueError as error:
        raise UsageError(f"--steps: {options['steps']!r} are no percentages. Write them as 1,10,50,100.") from error
    return [{"percentage": one, "hold_seconds": hold, "needs_pass": options["needs_pass"]} for one in shares]


def _span(name: str, text: str) -> timedelta:
    found = re.fullmatch(r"([0-9]{1,6})(s|min|m|h|d)", text.strip())
    if found is None:
        raise UsageError(f"{name}: {text!r} is no span. Write 90s, 30m, 2h or 1d.")
    return timedelta(seconds=int(found[1]) * UNITS[found[2]])


def _signed(options: dict[str, Any]) -> dict[str, str]:
    return {"author": options["author"], "reason": options["reason"]}


def _told(command: BaseCommand, made: Revision | Version | Ramp) -> None:
    if isinstance(made, Ramp):
        command.stdout.write(
            f"{made.environment_id}: the ramp of {made.flag_key} is {made.state}, {made.percentage:g} %."
        )
        return
    revision = made if isinstance(made, Revision) else Revision.objects.filter(version=made).latest("number")
    where = f"{revision.environment_id} serves version {revision.version.number}, revision {revision.number}"
    command.stdout.write(f"{where}.")


VERBS = (
    Verb("kill", "serve a flag's safe variant to everybody", _kill_arguments, _kill),
    Verb("lift", "take a kill, or a breaker, away again", _lift_arguments, _lift),
    Verb("ramp", "start, pause, resume, abort, reopen, set back or finish a ramp", _ramp_arguments, _ramp),
)
