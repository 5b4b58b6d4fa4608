"""How a new version meets what lies over the old one.

A person's direct change of a flag under a ramp is refused: the ramp would serve something else than either meant. What
takes back (a revert, a plan) is never refused: it ends the ramps of the flags it changes, in the same transaction.
Kills and breakers stay, and go on being served; one whose flag or variant the new version no longer has is ended.
"""

from collections.abc import Collection

from django.utils import timezone

from connections.flags.changing import Changes, Request, append, serve
from connections.flags.errors import UnderLayer
from connections.flags.layers import Layer, LayerKind
from connections.flags.overlays import end
from connections.flags.ramping import move, standing
from connections.flags.ramps import Event
from connections.flags.reading import current_version
from connections.flags.versions import FlagSet
from connections.models import Version


def refuse_under_layers(flags: FlagSet, changes: Changes) -> None:
    """Raises UnderLayer where a ramp, or an overlay that the change would leave without its variant, is in the way."""
    for layer in flags.layers:
        if layer.flag not in changes:
            continue
        if layer.kind is LayerKind.RAMP:
            message = f"{layer.flag} has a ramp under way: {layer.share / 10:g} % are served {layer.variant}."
            raise UnderLayer(layer.flag, message, "Abort the ramp, or let it end, before you change the flag.")
        if not _serves(changes, layer.flag, layer.variant):
            message = f"A {layer.kind} serves {layer.variant} of {layer.flag}, which would be gone."
            raise UnderLayer(layer.flag, message, f"Lift the {layer.kind} first.")


def ramps_in_the_way(flags: FlagSet, changes: Changes, concerned: Collection[str] = ()) -> list[str]:
    """The flags whose ramps `take_back` would end."""
    ramped = [layer.flag for layer in flags.layers if layer.kind is LayerKind.RAMP]
    return [flag for flag in ramped if flag in changes or flag in concerned]


def overlays_that_stay(flags: FlagSet, changes: Changes, concerned: Collection[str] = ()) -> list[Layer]:
    """The kills and breakers over flags changed or `concerned` that `take_back` would leave."""
    over = [layer for layer in flags.layers if layer.kind is not LayerKind.RAMP]
    return [
        layer
        for layer in over
        if (layer.flag in changes and _serves(changes, layer.flag, layer.variant))
        or (layer.flag not in changes and layer.flag in concerned)
    ]


def take_back(flags: FlagSet, changes: Changes, request: Request, concerned: Collection[str] = ()) -> Version:
    """Append `changes`, ending the ramps of the flags changed or `concerned`. Raises NothingToChange.

    Where only ramps end, no version is appended: the newest is served again as it is, under the next revision.
    """
    ended = ramps_in_the_way(flags, changes, concerned)
    for flag in ended:
        move(standing(flags.environment, flag), Event.ABORT, timezone.now(), by=request.author, why=_why(request))
    for layer in flags.layers:
        gone = layer.flag in changes and not _serves(changes, layer.flag, layer.variant)
        if gone and layer.kind is not LayerKind.RAMP:
            end(flags, layer.flag, layer.kind, author=request.author, reason=_why(request))
    if changes or not ended:
        return append(flags, changes, request)
    version = current_version(flags.environment)
    serve(flags, version, request)
    return version


def _serves(changes: Changes, flag: str, variant: str) -> bool:
    definition = changes[flag]
    return definition is not None and variant in definition["variants"]


def _why(request: Request) -> str:
    return f"{request.kind} ({request.subject}): {request.reason.strip()}"
