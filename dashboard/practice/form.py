"""The form that starts a fault: what the person chose, and what is wrong with it, by field."""

from dataclasses import dataclass, field
from typing import Any

from connections.flags.changing import check_reason
from connections.flags.errors import ReasonMissing
from connections.models import Environment
from connections.reference.faults import DEFAULT_SECONDS, Fault, FaultError, Parameter
from dashboard.practice.words import DURATIONS, defaults

LONGEST_REASON = 1000
CHIPS = ("Training the on-call team", "Trying an alarm or a guard", "Showing what a failure looks like")


@dataclass(frozen=True, slots=True)
class Choice:
    """One parameter with what was typed for it."""

    parameter: Parameter
    typed: str
    error: str

    @property
    def label(self) -> str:
        return self.parameter.name.capitalize()


@dataclass
class PracticeForm:
    """One fault for one environment."""

    fault: Fault
    environment: Environment
    typed: dict[str, str]
    lasts: str = str(int(DEFAULT_SECONDS))
    reason: str = ""
    ticked: bool = False
    errors: dict[str, str] = field(default_factory=dict)

    @classmethod
    def empty(cls, fault: Fault, environment: Environment) -> "PracticeForm":
        return cls(fault, environment, {name: _text(value) for name, value in defaults(fault).items()})

    @classmethod
    def sent(cls, fault: Fault, environment: Environment, sent: Any) -> "PracticeForm":
        """The form as it was sent, checked."""
        form = cls(
            fault,
            environment,
            {each.name: sent.get(each.name, "").strip()[:40] for each in fault.parameters},
            lasts=sent.get("lasts", ""),
            reason=sent.get("reason", "").strip()[:LONGEST_REASON],
            ticked=sent.get("ticked") == "yes",
        )
        form._check()
        return form

    @property
    def choices(self) -> list[Choice]:
        return [
            Choice(each, self.typed.get(each.name, ""), self.errors.get(each.name, ""))
            for each in self.fault.parameters
        ]

    @property
    def lasts_s(self) -> int:
        return int(self.lasts)

    @property
    def parameters(self) -> dict[str, float | str]:
        """What the service is asked for. Only where `errors` is empty."""
        return {each.name: _value(each, self.typed[each.name]) for each in self.fault.parameters}

    def blame(self, name: str, sentence: str) -> None:
        """Say what is wrong with a field, as the service calls it; one that the form does not show is told above it."""
        name = name.removeprefix("parameters.")
        shown = {*self.typed, "reason"}
        self.errors["lasts" if name == "lasts_s" else name if name in shown else "form"] = sentence

    def _check(self) -> None:
        for each in self.fault.parameters:
            try:
                each.checked(_value(each, self.typed[each.name]))
            except FaultError as wrong:
                self.errors[each.name] = f"{wrong.cure[:1].upper()}{wrong.cure[1:]}."
        if not (self.lasts.isascii() and self.lasts.isdigit() and int(self.lasts[:9]) in DURATIONS):
            self.errors["lasts"] = "Choose how long it lasts."
        try:
            check_reason(self.environment, self.reason)
        except ReasonMissing as missing:
            self.errors["reason"] = missing.cure
        if self.environment.is_production and not self.ticked:
            self.errors["ticked"] = "Tick the box: this service counts as production."


def _text(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:g}"


def _value(parameter: Parameter, typed: str) -> float | str:
    """What was typed, as a number where one is wanted; what is no number stays text, and is refused as such."""
    if parameter.choices:
        return typed
    try:
        return float(typed.replace(",", "."))
    except ValueError:
        return typed
