"""The verbs of ramps. The rules stand in `ramps.py`; here they meet the rows.

What is served changes with a revision: starting, a step, setting back, ending. Pausing and resuming serve the same as
before, so they leave an audit row and no revision. Each move is a conditional UPDATE of the row as it was read, under
the environment's lock: of a person and a clock at once, one is late and is told so.
"""

from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils import timezone

from connections.flags import reading
from connections.flags.changing import Request, append, check_reason, serve, take
from connections.flags.errors import NothingLaid, UnderLayer
from connections.flags.layers import LayerKind
from connections.flags.plans import check_values
from connections.flags.ramps import Event, IllegalMoveError, Progress, State, Step, moved, read_steps, started
from connections.flags.versions import FlagSet, with_variants
from connections.models import AuditRecord, Environment, Ramp, Revision, Version

ENDED = (State.ABORTED, State.COMPLETED)


def start_ramp(environment_key: str, flag: str, variant: str, steps: Any, *, author: str, reason: str) -> Revision:
    """Serve `variant` to a growing share, the rest keeping what the flag serves now. The first step is served at once.

    `steps`: [{"percentage", "hold_seconds"?, "needs_pass"?}], percentages rising. Raises UnknownEnvironment,
    UnknownFlag, UnknownVariant, BadRamp, ReasonMissing, or UnderLayer where the flag has a ramp, kill or breaker.
    """
    read = read_steps(steps)
    arguments = {"flag": flag, "variant": variant, "steps": [step.as_json() for step in read]}
    request = Request("ramp_start", author, reason, flag, "ramp_start", arguments)
    with transaction.atomic():
        flags = take(environment_key, request.reason)
        check_values(flags.definitions, {flag: variant})
        _refuse_start(flags, flag, variant)
        _create(flags, request, variant, read, started(timezone.now()))
        return serve(flags, reading.current_version(flags.environment), request)


def pause_ramp(environment_key: str, flag: str, *, author: str, reason: str) -> Ramp:
    """Hold a ramp where it is: its share is served on. Raises NothingLaid, UnderLayer, ReasonMissing."""
    return _audited(environment_key, flag, Event.PAUSE, author, reason)


def resume_ramp(environment_key: str, flag: str, *, author: str, reason: str) -> Ramp:
    """Let a paused ramp climb again; its step's time goes on from where it was. Raises as `pause_ramp` does, and
    UnderLayer while a kill or breaker lies over the flag."""
    return _audited(environment_key, flag, Event.RESUME, author, reason)


def abort_ramp(environment_key: str, flag: str, *, author: str, reason: str) -> Revision:
    """End a ramp: everybody gets what the flag's version says. Raises NothingLaid, ReasonMissing."""
    return _served(environment_key, Event.ABORT, Request("ramp_aborted", author, reason, flag))


def set_ramp_back(environment_key: str, flag: str, *, author: str, reason: str) -> Revision:
    """Serve the share of the step before, and stay there, paused. Raises as `abort_ramp` does, and UnderLayer in the
    first step."""
    return _served(environment_key, Event.BACK, Request("ramp_back", author, reason, flag))


def finish_ramp(environment_key: str, flag: str, *, author: str, reason: str) -> Version:
    """Serve the ramp's variant to everybody now, as a new version. Raises as `abort_ramp` does, and UnderLayer while a
    kill or breaker lies over the flag."""
    request = Request(Version.Kind.CHANGE, author, reason, flag, "ramp_finish", {"flag": flag})
    with transaction.atomic():
        flags = take(environment_key, request.reason)
        ramp = standing(environment_key, flag)
        _refuse_covered(flags.layers, flag)
        return complete(flags, ramp, request, timezone.now())


def reopen_ramp(environment_key: str, flag: str, *, author: str, reason: str) -> Revision:
    """Take back an abort: the flag's last ramp stands again at its step, paused. Raises as `start_ramp` does, and
    NothingLaid where no ramp was aborted."""
    request = Request("ramp_reopen", author, reason, flag, "ramp_reopen", {"flag": flag})
    with transaction.atomic():
        flags = take(environment_key, request.reason)
        last = Ramp.objects.filter(environment_id=environment_key, flag_key=flag).order_by("-started_at").first()
        if last is None or last.state != State.ABORTED:
            raise NothingLaid(f"No ramp of {flag} was aborted in {environment_key}.")
        check_values(flags.definitions, {flag: last.variant})
        _refuse_start(flags, flag, last.variant)
        if flags.definitions[flag].get("defaultVariant") != last.control:
            raise UnderLayer(flag, f"{flag} no longer serves {last.control} beside the ramp.", "Start a new ramp.")
        progress = Progress(State.PAUSED, last.step, 0.0, None)
        ramp = _create(flags, request, last.variant, steps_of(last), progress)
        Ramp.objects.filter(pk=ramp.pk).update(paused_why=f"{author} reopened it")
        return serve(flags, reading.current_version(flags.environment), request)


def standing(environment_key: str, flag: str) -> Ramp:
    """The ramp of a flag that has not ended. Raises UnknownEnvironment or NothingLaid."""
    reading.environment(environment_key)
    found = Ramp.objects.filter(environment_id=environment_key, flag_key=flag, ended_at__isnull=True).first()
    if found is None:
        raise NothingLaid(f"No ramp of {flag} is under way in {environment_key}.")
    return found


def steps_of(ramp: Ramp) -> tuple[Step, ...]:
    """The ramp's steps as they were checked when it started."""
    return tuple(Step(float(one["percentage"]), one["hold_seconds"], one["needs_pass"]) for one in ramp.steps)


def progress_of(ramp: Ramp) -> Progress:
    """Where the ramp's row stands, for the machine."""
    return Progress(State(ramp.state), ramp.step, ramp.held_seconds, ramp.counting_since)


def move(ramp: Ramp, event: Event, now: datetime, *, by: str = "", why: str = "") -> bool:
    """Move the row if it is still as it was read; whether it was. Raises IllegalMoveError."""
    after = moved(progress_of(ramp), event, steps_of(ramp), now)
    fields: dict[str, Any] = {
        "state": after.state,
        "step": after.step,
        "held_seconds": after.held_seconds,
        "counting_since": after.counting_since,
        "paused_why": why[:200] if after.state is State.PAUSED else "",
    }
    if after.state in ENDED:
        fields |= {"ended_at": now, "ended_by": by, "ended_reason": why}
    same = {"pk": ramp.pk, "state": ramp.state, "step": ramp.step, "counting_since": ramp.counting_since}
    return Ramp.objects.filter(**same, ended_at__isnull=True).update(**fields) == 1


def pause_running(environment_key: str, flag: str, why: str, now: datetime) -> None:
    """Within a change that has taken the revision: a ramp that runs stops where it is."""
    running = {"environment_id": environment_key, "flag_key": flag, "state": State.RUNNING, "ended_at__isnull": True}
    for ramp in Ramp.objects.filter(**running):
        move(ramp, Event.PAUSE, now, why=why)


def complete(flags: FlagSet, ramp: Ramp, request: Request, now: datetime) -> Version:
    """End the ramp and make its variant what the flag serves, in one version."""
    check_values(flags.definitions, {ramp.flag_key: ramp.variant})
    _moved(ramp, Event.COMPLETE, now, by=request.author, why=request.reason.strip())
    changes = with_variants(flags.definitions, {ramp.flag_key: ramp.variant})
    return append(flags, dict(changes), request)


def _served(environment_key: str, event: Event, request: Request) -> Revision:
    with transaction.atomic():
        flags = take(environment_key, request.reason)
        ramp = standing(environment_key, request.subject)
        why = request.reason.strip()
        _moved(ramp, event, timezone.now(), by=request.author, why=why)
        return serve(flags, reading.current_version(flags.environment), request)


def _audited(environment_key: str, flag: str, event: Event, author: str, reason: str) -> Ramp:
    """A move that serves nothing else: an audit row, and no revision."""
    with transaction.atomic():
        stage = reading.environment(environment_key)
        # The lock that every change of what is served takes: a kill cannot come between the look and the move.
        Environment.objects.select_for_update().get(key=stage.key)
        check_reason(stage, reason)
        ramp = standing(environment_key, flag)
        before = {"state": ramp.state, "percentage": ramp.percentage}
        if event is Event.RESUME:
            _refuse_covered(reading.flag_set(environment_key).layers, flag)
        _moved(ramp, event, timezone.now(), by=author, why=f"{author}: {reason.strip()}")
        ramp.refresh_from_db()
        AuditRecord.objects.create(
            actor=author,
            action=f"flags.ramp_{event}",
            environment=stage,
            subject=flag,
            reason=reason.strip(),
            before=before,
            after={"state": ramp.state, "percentage": ramp.percentage},
        )
        return ramp


def _moved(ramp: Ramp, event: Event, now: datetime, *, by: str, why: str) -> None:
    flag = ramp.flag_key
    try:
        went = move(ramp, event, now, by=by, why=why)
    except IllegalMoveError:
        state = f"in its step {ramp.step + 1} of {len(ramp.steps)}, {ramp.state}"
        raise UnderLayer(flag, f"The ramp of {flag} is {state}.", f"It cannot {_WORDS[event]} now.") from None
    if not went:
        raise UnderLayer(flag, f"The ramp of {flag} moved just now.", "Look at it again.")


_WORDS = {
    Event.PAUSE: "be paused",
    Event.RESUME: "be resumed",
    Event.STEP: "go on",
    Event.BACK: "be set back",
    Event.COMPLETE: "be finished",
    Event.ABORT: "be aborted",
}


def _create(flags: FlagSet, request: Request, variant: str, steps: tuple[Step, ...], progress: Progress) -> Ramp:
    return Ramp.objects.create(
        environment_id=flags.environment,
        flag_key=request.subject,
        control=flags.definitions[request.subject]["defaultVariant"],
        variant=variant,
        steps=[step.as_json() for step in steps],
        step=progress.step,
        state=progress.state,
        counting_since=progress.counting_since,
        author=request.author,
        reason=request.reason.strip(),
        started_at=timezone.now(),
    )


def _refuse_start(flags: FlagSet, flag: str, variant: str) -> None:
    definition = flags.definitions[flag]
    if definition.get("defaultVariant") is None or definition.get("state") != "ENABLED":
        raise UnderLayer(flag, f"{flag} serves no variant now.", "Let it serve one first: the rest keeps that.")
    if definition["defaultVariant"] == variant:
        raise UnderLayer(flag, f"{flag} serves {variant} to everybody already.", "Choose another variant.")
    _refuse_covered(flags.layers, flag)
    if any(layer.flag == flag for layer in flags.layers):
        raise UnderLayer(flag, f"{flag} has a ramp already.", "Abort it, or let it end.")


def _refuse_covered(layers: Any, flag: str) -> None:
    for layer in layers:
        if layer.flag == flag and layer.kind is not LayerKind.RAMP:
            state = "is killed" if layer.kind is LayerKind.KILL else "has a tripped breaker"
            raise UnderLayer(flag, f"{flag} {state}.", "Lift that first: under it, a ramp would serve nobody.")
