"""The acts on what lies over a version: kill, lift, and everything a person does to a ramp; each with its preview."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from typing import Any

from django.urls import reverse
from django.utils import timezone

from connections.flags import control, reading
from connections.flags.changing import Preview
from connections.flags.layers import Layer, LayerKind
from connections.flags.ramps import Step
from connections.flags.versions import FlagSet
from connections.models import Environment, Ramp, Revision
from dashboard.acting import Act, Move, Towards
from dashboard.layer_words import percent, served_words
from dashboard.ramp_steps import line_of
from dashboard.sentences import NBSP

KILL_MINUTES = {15: "15 minutes", 60: "1 hour", 240: "4 hours", 1440: "1 day"}
"""For how long a kill may be laid; anything else: until somebody lifts it."""
CHIPS_BACK = ("Answers vanish mid-conversation", "Accepted but not ready", "Failing more than the rest")
CHIPS_ON = ("The cause is fixed", "Healthy for long enough", "Trying it again")


@dataclass(frozen=True)
class Place:
    """One flag of one environment, as it stands when an act is previewed."""

    stage: Environment
    flag: str
    flags: FlagSet

    @classmethod
    def find(cls, stage: Environment, flag: str) -> "Place | None":
        """None where the environment has no such flag."""
        flags = reading.flag_set(stage.key)
        return cls(stage, flag, flags) if flag in flags.definitions else None

    @property
    def definition(self) -> dict[str, Any]:
        return self.flags.definitions[self.flag]

    @property
    def layers(self) -> list[Layer]:
        return [one for one in self.flags.layers if one.flag == self.flag]

    @property
    def words(self) -> str:
        """What is served now."""
        return served_words(self.definition, self.layers)

    @property
    def back(self) -> str:
        return reverse("flag", args=[self.stage.key, self.flag])

    def without(self, kind: str) -> list[Layer]:
        return [one for one in self.layers if one.kind != kind]

    def has(self, kind: str) -> bool:
        return any(one.kind == kind for one in self.layers)

    @property
    def ramp(self) -> Ramp | None:
        return Ramp.objects.filter(environment=self.stage, flag_key=self.flag, ended_at__isnull=True).first()


def kill_act(place: Place, minutes: int | None = None) -> Act:
    """Serve the safe variant to everybody."""
    safe = place.definition.get("metadata", {}).get("safeVariant")
    problem = ""
    if safe is None:
        problem = f"{place.flag} names no safe variant: nobody could say what a kill serves."
    elif place.has("kill"):
        problem = f"{place.flag} is killed already."
    after = served_words(place.definition, [*place.layers, Layer(place.flag, LayerKind.KILL, str(safe))])
    return _act(
        place,
        "Kill",
        lede=f"Everybody is served {safe}, the safe variant, until the kill is lifted. The version stays as it is.",
        towards=Towards.KNOWN,
        perform=partial(_kill, place, minutes),
        address=reverse("kill", args=[place.stage.key, place.flag]),
        moves=() if problem else (Move(place.flag, place.words, after),),
        notes=_pauses(place),
        fields="flags/kill_fields.html",
        extra={"problem": problem, "kill_minutes": KILL_MINUTES, "chosen_minutes": minutes},
    )


def lift_act(place: Place, kind: str) -> Act:
    """Serve what lies below a kill or a breaker again."""
    below = served_words(place.definition, place.without(kind))
    paused = "The ramp below stays paused until somebody resumes it."
    return _act(
        place,
        "Lift the kill of" if kind == "kill" else "Lift the breaker of",
        lede="Serves exactly what lies below it.",
        towards=Towards.NEW,
        perform=_verb(control.lift, place, kind),
        address=reverse("lift", args=[place.stage.key, place.flag, kind]),
        moves=(Move(place.flag, place.words, below),) if place.has(kind) else (),
        notes=(paused,) if place.has("ramp") else (),
        chips=CHIPS_ON,
        extra={"problem": f"No {kind} lies over {place.flag}."},
    )


def start_act(place: Place, variant: str, steps: Sequence[Step], lines: str, problem: str) -> Act:
    """Serve another variant to a growing share; without steps or variant, nothing chosen yet."""
    chosen = bool(variant and steps and not problem)
    after = _ramped(place, variant, steps[0].percentage) if chosen else ""
    return _act(
        place,
        "Start the ramp of",
        lede="The first step is served at once; whoever is not in it keeps what the flag serves now.",
        towards=Towards.NEW,
        perform=_verb(control.start_ramp, place, variant, [step.as_json() for step in steps]),
        address=reverse("ramp", args=[place.stage.key, place.flag]),
        moves=(Move(place.flag, place.words, after),) if chosen else (),
        notes=_then(steps) if chosen else (),
        hidden={"variant": variant, "steps": lines},
        chips=("Trying another strategy", "Rolling out the fix", "Next stage of the rollout"),
        page="flags/ramp_start.html",
        extra={"choice_error": problem, "problem": problem, "variant": variant},
    )


def start_problem(place: Place, variant: str) -> str:
    """Why no ramp to this variant can be started; "" where it can. Without a variant: why none can at all."""
    if place.has("ramp"):
        return f"{place.flag} has a ramp already: abort it, or let it end."
    if place.layers:
        return f"{place.words}: lift that first, under it a ramp would serve nobody."
    if place.definition.get("state") != "ENABLED" or place.definition.get("defaultVariant") is None:
        return f"{place.flag} serves no variant now: let it serve one first."
    if variant and (variant not in place.definition["variants"] or variant == place.definition["defaultVariant"]):
        return "Choose a variant that is not served to everybody already."
    return ""


def _then(steps: Sequence[Step]) -> tuple[str, ...]:
    lines = ", then ".join(map(line_of, steps[1:]))
    return (f"Then {lines}.".replace(" %", f"{NBSP}%"),) if lines else ()


@dataclass(frozen=True)
class _RampVerb:
    title: str
    lede: str
    towards: Towards
    verb: Callable[..., Any]
    share: Callable[[Ramp], float | None]
    """What is served to how many afterwards; None: it may not happen now."""
    same: bool = False


def _paused(ramp: Ramp) -> bool:
    return ramp.state == Ramp.State.PAUSED


RAMP_VERBS = {
    "pause": _RampVerb(
        "Pause the ramp of",
        "It stays at its step until somebody resumes it.",
        Towards.KNOWN,
        control.pause_ramp,
        lambda ramp: None if _paused(ramp) else ramp.percentage,
        same=True,
    ),
    "resume": _RampVerb(
        "Resume the ramp of",
        "It climbs on when its step's time is over.",
        Towards.NEW,
        control.resume_ramp,
        lambda ramp: ramp.percentage if _paused(ramp) else None,
        same=True,
    ),
    "back": _RampVerb(
        "Set back the ramp of",
        "The step before is served, and the ramp stays there, paused.",
        Towards.KNOWN,
        control.set_ramp_back,
        lambda ramp: float(ramp.steps[ramp.step - 1]["percentage"]) if ramp.step else None,
    ),
    "finish": _RampVerb(
        "Finish the ramp of",
        "Its variant is served to everybody now, as a new version.",
        Towards.NEW,
        control.finish_ramp,
        lambda _: 100.0,
    ),
    "abort": _RampVerb(
        "Abort the ramp of",
        "Everybody is served what the version says.",
        Towards.KNOWN,
        control.abort_ramp,
        lambda _: 0.0,
    ),
}
"""What a person may do to a ramp that has not ended, by the name in the address."""


def ramp_act(place: Place, name: str) -> Act:
    """One of `RAMP_VERBS`."""
    kind, ramp = RAMP_VERBS[name], place.ramp
    share = kind.share(ramp) if ramp else None
    covered = place.has("kill") or place.has("breaker")
    problem = "There is no ramp." if ramp is None else "The ramp cannot do that now."
    if covered and name in ("resume", "finish"):
        share, problem = None, "A kill or breaker lies over it: lift that first."
    moves: tuple[Move, ...] = ()
    if ramp is not None and share is not None:
        after = place.words if kind.same or covered else _at_share(place, ramp, share)
        moves = (
            Move(place.flag, _state(ramp), _state_after(ramp, name))
            if kind.same
            else Move(place.flag, place.words, after),
        )
    return _act(
        place,
        kind.title,
        lede=kind.lede,
        towards=kind.towards,
        perform=_verb(kind.verb, place),
        address=reverse("ramp_verb", args=[place.stage.key, place.flag, name]),
        moves=moves,
        serves_same=kind.same,
        chips=CHIPS_BACK if kind.towards is Towards.KNOWN else CHIPS_ON,
        extra={"problem": problem},
    )


def reopen_act(place: Place) -> Act:
    """Take back an abort: the last ramp stands again where it was, paused."""
    last = Ramp.objects.filter(environment=place.stage, flag_key=place.flag).order_by("-started_at").first()
    stands = last is not None and last.state == Ramp.State.ABORTED and not place.layers
    if last is None or not stands or place.definition.get("defaultVariant") != last.control:
        moves: tuple[Move, ...] = ()
    else:
        moves = (Move(place.flag, place.words, _at_share(place, last, last.percentage)),)
    return _act(
        place,
        "Reopen the ramp of",
        lede="The ramp stands again at the step where it was aborted, paused.",
        towards=Towards.NEW,
        perform=_verb(control.reopen_ramp, place),
        address=reverse("ramp_verb", args=[place.stage.key, place.flag, "reopen"]),
        moves=moves,
        chips=CHIPS_ON,
        extra={"problem": "The flag was changed since, or has another layer: start a new ramp."},
    )


def with_extra(act: Act, extra: Mapping[str, Any]) -> Act:
    """The same act with more for its page."""
    return replace(act, extra={**extra, **act.extra})


def at(act: Act, address: str, back: str, title: str = "", lede: str = "") -> Act:
    """The same act at another address: undoing a revision by its inverse."""
    return replace(act, address=address, back=back, title=title or act.title, lede=lede or act.lede)


def _act(place: Place, verb: str, **fields: Any) -> Act:
    return Act(
        environment=place.stage,
        title=f"{verb} {place.flag}",
        verb=f"{verb} {place.flag}",
        preview=Preview(place.stage.key, place.flags.version, ()),
        back=place.back,
        **{"chips": CHIPS_BACK, **fields},
    )


def _verb(verb: Callable[..., Any], place: Place, *arguments: Any) -> Callable[[str, str, int], Any]:
    """As `Act.perform` is called. What was expected is looked at by the verb itself, under the environment's lock."""

    def perform(author: str, reason: str, _: int) -> Any:
        return verb(place.stage.key, place.flag, *arguments, author=author, reason=reason)

    return perform


def _kill(place: Place, minutes: int | None, author: str, reason: str, _: int) -> Revision:
    until = None if minutes is None else timezone.now() + timedelta(minutes=minutes)
    return control.kill(place.stage.key, place.flag, author=author, reason=reason, expires_at=until)


def _pauses(place: Place) -> tuple[str, ...]:
    ramp = place.ramp
    if ramp is None:
        return ()
    if _paused(ramp):
        return (f"The ramp at {percent(ramp.percentage)} stays paused.",)
    return (
        f"The ramp is paused at {percent(ramp.percentage)}. Lifting the kill serves that share again, still paused.",
    )


def _ramped(place: Place, variant: str, share: float) -> str:
    control_variant = place.definition.get("defaultVariant")
    layer = Layer(place.flag, LayerKind.RAMP, variant, control_variant, round(share * 10))
    return served_words(place.definition, [*place.without("ramp"), layer])


def _at_share(place: Place, ramp: Ramp, share: float) -> str:
    if share == 0:
        return served_words(place.definition, place.without("ramp"))
    if share == 100:
        return served_words({**place.definition, "defaultVariant": ramp.variant}, place.without("ramp"))
    return _ramped(place, ramp.variant, share)


def _state(ramp: Ramp) -> str:
    return f"{'paused' if _paused(ramp) else 'running'} at {percent(ramp.percentage)}"


def _state_after(ramp: Ramp, name: str) -> str:
    return f"{'paused' if name == 'pause' else 'running'} at {percent(ramp.percentage)}"
