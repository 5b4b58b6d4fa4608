"""Undoing a revision that moved a layer, by the inverse verb: a kill is lifted, a ramp set back."""

from django.urls import reverse

from connections.flags.changing import Preview
from connections.flags.errors import NothingToChange
from connections.models import Environment, Revision
from dashboard import layer_acts
from dashboard.acting import Act, Towards
from dashboard.layer_acts import Place

SAYS = {
    "kill": "The kill is lifted: what lies below is served again.",
    "trip": "The breaker is lifted: what lies below is served again.",
    "lift": "The flag is killed again.",
    "expiry": "The flag is killed again, until somebody lifts it.",
    "ramp_start": "The ramp is aborted.",
    "ramp_reopen": "The ramp is aborted.",
    "ramp_step": "The ramp is set back to the step before, and stays there.",
    "ramp_back": "The ramp climbs again.",
    "ramp_aborted": "The ramp stands again where it was, paused.",
}
"""What undoing does, by the cause of the revision."""


def inverse(stage: Environment, revision: Revision, previous: Revision) -> Act | None:
    """The act that undoes a layer's revision; None where it changed the version: then that is what goes back."""
    moved = [entry for entry in revision.summary if entry.get("layer")]
    if not moved or revision.version_id != previous.version_id:
        return None
    place = Place.find(stage, moved[0]["flag"])
    act = None if place is None else _act(place, revision.cause, moved[0])
    address = reverse("undo", args=[stage.key, revision.number])
    back = reverse("revision", args=[stage.key, revision.number])
    title = f"Undo revision {revision.number}"
    if act is None or not act.possible:
        return _nothing(stage, title, address, back, revision)
    return layer_acts.at(act, address, back, title, SAYS.get(revision.cause, act.lede))


def _act(place: Place, cause: str, entry: dict[str, object]) -> Act | None:
    if entry["layer"] != "ramp":
        if entry["laid"]:
            return layer_acts.lift_act(place, str(entry["layer"]))
        # A breaker is a guard's: what it saw is over, so a person kills instead, and says so.
        return layer_acts.kill_act(place)
    ramp = place.ramp
    if ramp is None:
        return layer_acts.reopen_act(place) if not entry["percentage"] else None
    if ramp.percentage != entry["percentage"]:
        return None
    if cause in ("ramp_start", "ramp_reopen"):
        return layer_acts.ramp_act(place, "abort")
    return layer_acts.ramp_act(place, "resume" if cause == "ramp_back" else "back")


def _refuse(*_: object) -> Revision:
    raise NothingToChange


def _nothing(stage: Environment, title: str, address: str, back: str, revision: Revision) -> Act:
    flags = ", ".join(entry["flag"] for entry in revision.summary)
    return Act(
        environment=stage,
        title=title,
        verb=title,
        lede="A kill is undone by lifting it, a ramp by setting it back.",
        preview=Preview(stage.key, revision.version.number, ()),
        towards=Towards.KNOWN,
        perform=_refuse,
        address=address,
        back=back,
        extra={"problem": f"Nothing is left to take back: what lies over {flags} has changed since."},
    )
