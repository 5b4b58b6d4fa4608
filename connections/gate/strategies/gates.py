"""The cure: strategies that wait for what the application needs, and for the client's word where it gives one."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from connections.gate.lifecycle import State
from connections.gate.strategies.base import DEFAULT_STRATEGY, Strategy, strategy
from connections.gate.strategies.knowledge import HANDSHAKE_TIMEOUT, Action, Outlook, Progress, Verdict
from connections.gate.strategies.parameters import Choice, Names, Number, parameter


@strategy(DEFAULT_STRATEGY)
@dataclass(frozen=True)
class DependencyGate(Strategy):
    """Opens when the application has marked its services and the checks have passed.

    Unknown is not "no": a service that nobody has spoken of holds the connection until the deadline and never rejects
    it before. An application that says nothing at all is taken at its behaviour: asking for its first message means
    ready; if services were declared for it and none was ever marked, the deadline opens degraded instead of rejecting,
    so that a forgotten mark cannot close good connections (the strictness regression).
    """

    timeout_seconds: float = parameter(12.0, Number(0.1, 60), "how long what is required may stay unknown")
    optional_wait_seconds: float = parameter(
        2.0, Number(0, 60), "how long, from accept, what is optional may stay unknown once all required is ready"
    )
    required: frozenset[str] | None = parameter(None, Names(), "of the declared services, those required")
    optional: frozenset[str] | None = parameter(None, Names(), "of the declared services, those optional")

    opens_when: ClassVar[str] = "the application has marked its required services, and the required checks have passed"
    false_ready: ClassVar[str] = "hardly: only while a check's cached answer is stale"
    false_not_ready: ClassVar[str] = "while more is required than an answer needs"
    asks_checks: ClassVar[bool] = True

    @property
    def limits_s(self) -> Mapping[State, float]:
        return {State.SERVICE_DEPENDENCY_CHECK: self.timeout_seconds}

    def decide(self, progress: Progress, now: float) -> Verdict:
        if progress.requirements.names_nothing:
            unknown = self._unknown(progress, {})
            return _held(unknown) if unknown else _EVERYTHING
        required, optional = self._outlook(progress)
        if failed := _named(required, False):
            return Verdict(Action.REJECT, f"required and failed: {', '.join(failed)}", missing=failed)
        if unknown := self._unknown(progress, required):
            return _held(unknown)
        failed = _named(optional, False)
        unknown = _named(optional, None)
        until = progress.accepted_at + self.optional_wait_seconds
        if unknown and not failed and now < until:
            return Verdict(Action.HOLD, f"waiting for optional {', '.join(unknown)}", until, unknown)
        return _without(progress, (*failed, *unknown))

    def at_deadline(self, progress: Progress) -> Verdict:
        required, optional = self._outlook(progress)
        unknown = self._unknown(progress, required)
        if not unknown:
            return _without(progress, (*_named(optional, False), *_named(optional, None)))
        if not progress.reported and not _named(required, False):
            return Verdict(Action.DEGRADE, f"nobody reported on {', '.join(unknown)}", missing=unknown)
        return Verdict(Action.REJECT, f"not ready in time: {', '.join(unknown)}", missing=unknown)

    def _outlook(self, progress: Progress) -> tuple[Outlook, Outlook]:
        """What is known of each required and each optional thing: true, false, or None for unknown."""
        needs = progress.requirements
        declared = needs.required | needs.optional
        required = needs.required if self.required is None else self.required & declared
        optional = (declared if self.optional is None else self.optional & declared) - required
        wanted: dict[str, bool | None] = {name: progress.services.get(name) for name in sorted(required)}
        wished: dict[str, bool | None] = {name: progress.services.get(name) for name in sorted(optional)}
        if progress.switches.dependency_validation:
            wanted |= {f"check {name}": progress.checks.get(name) for name in sorted(needs.required_checks)}
            wished |= {f"check {name}": progress.checks.get(name) for name in sorted(needs.optional_checks)}
        return wanted, wished

    def _unknown(self, progress: Progress, required: Outlook) -> tuple[str, ...]:
        unknown = _named(required, None)
        if progress.requirements.authenticates and not progress.authenticated:
            unknown = ("authentication", *unknown)
        declares_nothing = not progress.requirements.required and not progress.requirements.optional
        if declares_nothing and not (progress.asked or progress.declared_ready):
            unknown = (*unknown, "the application's first receive")
        return unknown


def _named(outlook: Outlook, known: bool | None) -> tuple[str, ...]:
    return tuple(name for name, value in outlook.items() if value is known)


_EVERYTHING = Verdict(Action.OPEN, "everything needed is ready")


def _held(unknown: tuple[str, ...]) -> Verdict:
    return Verdict(Action.HOLD, f"waiting for {', '.join(unknown)}", missing=unknown)


def _without(progress: Progress, missing: tuple[str, ...]) -> Verdict:
    """Everything required is ready and `missing` is not."""
    if not missing:
        return _EVERYTHING
    if progress.switches.degraded_mode:
        return Verdict(Action.DEGRADE, f"optional and missing: {', '.join(missing)}", missing=missing)
    return Verdict(Action.REJECT, f"missing, and degraded-mode is off: {', '.join(missing)}", missing=missing)


@strategy("deferred_accept")
@dataclass(frozen=True)
class DeferredAccept(DependencyGate):
    """dependency_gate before the handshake: the client is accepted when it is ready, and refused with HTTP 503 where
    that takes too long. No client can send too early; every client waits in its connect, which has time limits of its
    own (Daphne's command line gives up after 5 s, most clients after 10 s)."""

    timeout_seconds: float = parameter(
        4.0, Number(0.1, 60), "how long, from the application's accept, until the client is refused"
    )

    opens_when: ClassVar[str] = "as `dependency_gate`, and only then is the client accepted"
    false_ready: ClassVar[str] = "as `dependency_gate`"
    false_not_ready: ClassVar[str] = "setups longer than a client, proxy or server waits for a handshake"
    defers_accept: ClassVar[bool] = True

    def decide(self, progress: Progress, now: float) -> Verdict:
        until = progress.accepted_at + self.timeout_seconds
        if now >= until:
            return self.at_deadline(progress)
        verdict = super().decide(progress, now)
        if verdict.action is Action.HOLD:
            return verdict._replace(until=min(until, verdict.until or until))
        return verdict


@strategy("ready_ack")
@dataclass(frozen=True)
class ReadyAck(DependencyGate):
    """dependency_gate, and then the client's `ready_ack` with the nonce of `connection_ready`: the path is proven in
    both directions. A client that does not answer (it may know nothing of this frame) is opened unconfirmed, or closed
    4408 where `legacy` says so. With the flag `client-ack` off, or no frames of the gate, nothing is waited for."""

    ack_seconds: float = parameter(2.0, Number(0.05, 30), "how long to wait for the client's `ready_ack`")
    legacy: str = parameter("open", Choice(("open", "close")), "what happens to a client that does not answer")

    opens_when: ClassVar[str] = "as `dependency_gate`, and the client has answered `connection_ready`"
    false_ready: ClassVar[str] = "hardly, and never for the path to the client"
    false_not_ready: ClassVar[str] = "as `dependency_gate`, and clients that never answer: `ack_seconds` long"

    @property
    def limits_s(self) -> Mapping[State, float]:
        return {**super().limits_s, State.SERVICES_READY: self.ack_seconds}

    def confirm(self, progress: Progress) -> Verdict:
        if progress.acknowledged:
            return Verdict(Action.OPEN, "the client answered connection_ready")
        if not progress.switches.client_ack:
            return super().confirm(progress)
        return Verdict(Action.HOLD, "waiting for the client's ready_ack")

    def unconfirmed(self, progress: Progress) -> Verdict:
        why = f"the client did not answer connection_ready within {self.ack_seconds:g} s"
        if self.legacy == "open" or not progress.switches.client_ack:
            return Verdict(Action.OPEN, why)
        return Verdict(Action.REJECT, why, code=HANDSHAKE_TIMEOUT)
