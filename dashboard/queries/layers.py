"""What lies over each flag of an environment, for the pages: kills, breakers and ramps, the strongest first."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from connections.flags.layers import Layer, LayerKind
from connections.models import Overlay, Ramp
from dashboard.layer_words import percent


@dataclass(frozen=True)
class Laid:
    """One layer that has not ended."""

    layer: Layer
    author: str
    reason: str
    at: datetime
    until: datetime | None = None
    evidence: Any = None
    ramp: Ramp | None = None

    @property
    def kind(self) -> str:
        return self.layer.kind.value

    @property
    def badge(self) -> str:
        """A few words for the list of flags: "Killed", "Ramp 10 %, paused"."""
        if self.ramp is not None:
            return f"Ramp {percent(self.ramp.percentage)}{', paused' if self.paused else ''}"
        return "Killed" if self.layer.kind is LayerKind.KILL else "Breaker tripped"

    @property
    def paused(self) -> bool:
        return self.ramp is not None and self.ramp.state == Ramp.State.PAUSED

    @property
    def tone(self) -> str:
        """The badge's colour: what stops a variant needs a person; a ramp that runs does not."""
        if self.layer.kind is LayerKind.RAMP:
            return "degraded" if self.paused else "plain"
        return "down"


def laid_over_flags(environment_key: str, flag: str = "") -> dict[str, tuple[Laid, ...]]:
    """{flag: its layers}, of all flags or of one. Two queries."""
    standing: dict[str, Any] = {"environment_id": environment_key, "ended_at__isnull": True}
    standing |= {"flag_key": flag} if flag else {}
    found = [_overlay(row) for row in Overlay.objects.filter(**standing)]
    found += [_ramp(row) for row in Ramp.objects.filter(**standing)]
    strength = list(LayerKind)
    by_flag: dict[str, list[Laid]] = {}
    for one in sorted(found, key=lambda one: -strength.index(one.layer.kind)):
        by_flag.setdefault(one.layer.flag, []).append(one)
    return {key: tuple(layers) for key, layers in by_flag.items()}


def _overlay(row: Overlay) -> Laid:
    return Laid(row.layer, row.author, row.reason, row.laid_at, row.expires_at, row.evidence)


def _ramp(row: Ramp) -> Laid:
    return Laid(row.layer, row.author, row.reason, row.started_at, ramp=row)
