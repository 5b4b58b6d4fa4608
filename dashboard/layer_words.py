"""Kills, breakers and ramps in words. Pure."""

from collections.abc import Iterable, Mapping
from typing import Any

from connections.flags.layers import WHOLE, Layer, LayerKind

Entry = Mapping[str, Any]
"""One flag's line of `Revision.summary`."""


def entry_line(entry: Entry) -> str:
    """What one revision did to one flag: "client-ack killed: on → off"."""
    flag, layer = entry["flag"], entry.get("layer")
    if layer is None:
        return f"{flag}: {named(entry['before'])} → {named(entry['after'])}"
    if layer == "ramp":
        return f"{flag}: {ramp_line(entry)}"
    return f"{flag} {overlay_verb(layer, entry['laid'])}: {_served(entry)}"


def _served(entry: Entry) -> str:
    before, after = named(entry["before"]), named(entry["after"])
    return f"{before} → {after}" if before != after else f"{after} as before"


def overlay_verb(kind: str, laid: bool) -> str:
    """ "killed", "kill lifted", "breaker tripped", "breaker lifted"."""
    if kind == "kill":
        return "killed" if laid else "kill lifted"
    return "breaker tripped" if laid else "breaker lifted"


def ramp_line(entry: Entry) -> str:
    """How a ramp moved: "ramp to ready_ack started, 10 %"."""
    ramp, was, now = entry["ramp"], percent(entry["was"]), percent(entry["percentage"])
    if not entry["was"]:
        return f"ramp to {ramp} started, {now}"
    if entry["percentage"]:
        return f"ramp to {ramp} {'from' if entry['was'] < entry['percentage'] else 'back from'} {was} to {now}"
    if entry["after"] == ramp and entry["before"] != ramp:
        return f"ramp to {ramp} completed, everybody"
    return f"ramp to {ramp} ended at {was}, {named(entry['after'])} for everybody"


def near_fault(entry: Entry) -> tuple[str, str] | None:
    """What stands before and after the flag's name in a story: ("the ramp of ", " reached 50 %"); None: no layer."""
    layer = entry.get("layer")
    if layer is None:
        return None
    if layer != "ramp":
        if layer == "kill":
            return ("", " was killed") if entry["laid"] else ("the kill of ", " was lifted")
        return ("the breaker of ", " tripped" if entry["laid"] else " was lifted")
    if entry["was"] < entry["percentage"]:
        return "the ramp of ", f" reached {percent(entry['percentage'])}"
    if entry["percentage"]:
        return "the ramp of ", f" was set back to {percent(entry['percentage'])}"
    completed = entry["after"] == entry["ramp"] and entry["before"] != entry["ramp"]
    return "the ramp of ", " was completed" if completed else " was ended"


def served_variants(definition: Mapping[str, Any], layers: Iterable[Layer]) -> set[str | None]:
    """The variants that a flag serves under these layers of its own, its rules left aside."""
    top = _strongest(layers)
    if top is None:
        return {definition.get("defaultVariant")}
    return {top.variant, top.control} if top.kind is LayerKind.RAMP and top.share < WHOLE else {top.variant}


def layer_line(stored: Mapping[str, Any]) -> str:
    """A layer as the audit trail stores it: "client-ack killed (off)", "readiness-strategy ramp 10 % (ready_ack)"."""
    layer = Layer.from_json(stored)
    if layer.kind is LayerKind.RAMP:
        return f"{layer.flag} ramp {percent(layer.share * 100 / WHOLE)} ({layer.variant})"
    return f"{layer.flag} {overlay_verb(layer.kind, laid=True)} ({layer.variant})"


def _strongest(layers: Iterable[Layer]) -> Layer | None:
    strength = list(LayerKind)
    return max(layers, key=lambda one: strength.index(one.kind), default=None)


def served_words(definition: Mapping[str, Any], layers: Iterable[Layer]) -> str:
    """What a flag serves under these layers of its own: "ready_ack for 10 %, dependency_gate for the rest"."""
    top = _strongest(layers)
    rules = " beside its rules" if definition.get("targeting") else ""
    if top is None:
        return f"{named(definition.get('defaultVariant'))}{rules}"
    if top.kind is not LayerKind.RAMP:
        return f"{top.variant} for everybody"
    return f"{top.variant} for {percent(top.share * 100 / WHOLE)}, {named(top.control)} for the rest{rules}"


def percent(share: float) -> str:
    """A ramp's share, with the decimal that it may have: "10 %", "0.5 %"."""
    return f"{share:g}\N{NO-BREAK SPACE}%"


def named(variant: str | None) -> str:
    return "nothing" if variant is None else variant
