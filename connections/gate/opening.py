"""From accept to ready: collect what is known of a connection, ask its strategy, announce, enable the consumer."""

import asyncio
import secrets
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, Protocol

from connections.gate import frames
from connections.gate.dependencies import CheckResult, LoopBoard
from connections.gate.inbound import Inbound
from connections.gate.lifecycle import SETUP_PATH, Cause, Lifecycle, State
from connections.gate.outbound import Outbound
from connections.gate.selection import Selection
from connections.gate.settings import Settings
from connections.gate.strategies import Action, Progress, Verdict
from connections.gate.telemetry import milliseconds

Spawn = Callable[[Coroutine[Any, Any, None]], object]

HELD_TOLERANCE_S = 0.020
"""Held longer than this after the application said that it is ready is false not-ready; less, nobody feels."""

_TURNED_AWAY = frozenset({Cause.NOT_READY, Cause.OVERFLOW})


class Owner(Protocol):
    """The connection that is being opened."""

    connection_id: str

    def reject(self, why: str, code: int) -> None:
        """Close with `code`."""

    async def upgrade(self) -> None:
        """Put the accept on the wire, if it was deferred."""

    def held_early(self, count: int) -> None:
        """The gate opens, and so many messages had come before."""

    def lost(self) -> None:
        """A send found the client gone."""

    def changed(self, until: float | None = None) -> None:
        """The state changed, or the strategy wants to be asked again at `until`."""


class Opening:
    """One connection's way to ready, and what it is missing afterwards."""

    __slots__ = ("_announced", "_board", "_busy", "_inbound", "_lifecycle", "_loop", "_marked_late", "_nonce",
                 "_outbound", "_owner", "_selection", "_settings", "_spawn", "_unheard", "confirmed", "failures",
                 "missing", "opened_at", "progress")  # fmt: skip

    def __init__(
        self,
        owner: Owner,
        lifecycle: Lifecycle,
        inbound: Inbound,
        outbound: Outbound,
        *,
        selection: Selection,
        settings: Settings,
        spawn: Spawn,
    ) -> None:
        self._owner = owner
        self._lifecycle = lifecycle
        self._inbound = inbound
        self._outbound = outbound
        self._selection = selection
        self._settings = settings
        self._spawn = spawn
        self._loop = asyncio.get_running_loop()
        self._nonce = secrets.token_hex(8)
        self._busy = False
        self._announced = False
        self._unheard = False
        self._board: LoopBoard | None = None
        self.progress = Progress(settings.requirements, selection.switches, accepted_at=self._loop.time())
        self.opened_at: float | None = None
        self.missing: tuple[str, ...] = ()
        self.confirmed = False
        self._marked_late = False
        self.failures: dict[str, str] = {}

    # --- what becomes known ---------------------------------------------------------------------------------------

    async def accepted(self) -> None:
        """The application has accepted, and the accept is on the wire unless the strategy defers it."""
        self.progress.accepted_at = now = self._loop.time()
        if self._selection.strategy.learns:
            self.progress.learned = self._settings.timing.learned
        if self.progress.said_ready_at is not None:
            self._settings.timing.set_up(0.0)
        if self._lifecycle.state is State.ACCEPTED:
            self._lifecycle.move(State.HANDSHAKE_VALIDATING, now, "accepted")
        if not self._settings.requirements.authenticates or self.progress.authenticated:
            self._walk_to(State.SERVICE_DEPENDENCY_CHECK, "no authentication to wait for")
        self._join_checks()
        await self._follow(self._selection.strategy.decide(self.progress, now))

    async def asked(self) -> None:
        """The application asks for a message."""
        if self.progress.asked or self._lifecycle.state is State.CONNECTING:
            return
        self.progress.asked = True
        if self._waits:
            await self._follow(self._selection.strategy.decide(self.progress, self._loop.time()))
        else:
            self.reconsider()

    def acknowledged(self, nonce: str) -> None:
        """The client answered connection_ready."""
        if nonce != self._nonce or self.confirmed or self.progress.announced_at is None:
            return  # also one that was guessed before anything was said
        self.confirmed = self.progress.acknowledged = True
        self._settings.timing.round_trip(self._loop.time() - self.progress.announced_at)
        self.reconsider()

    def spoke(self) -> None:
        """The client's first message was read."""
        self.progress.client_spoke = True
        if self.opened_at is None:
            self.reconsider()

    def mark_authenticated(self) -> None:
        self.progress.reported = self.progress.authenticated = True
        if self._lifecycle.state is State.HANDSHAKE_VALIDATING:
            self._walk_to(State.SERVICE_DEPENDENCY_CHECK, "the application authenticated the client")
        self._hear()

    def mark_service(self, name: str, ok: bool, why: str = "") -> None:
        first = ok and name in self.progress.requirements.required and not self.progress.services.get(name)
        self.progress.reported = True
        self.progress.services[name] = ok
        if not ok:
            self.failures[name] = why or "reported as failed by the application"
        if first and self._inbound.delivered:
            self._marked_late = True
        self._hear()

    def mark_ready(self) -> None:
        self.progress.declared_ready = True
        self.mark_authenticated()
        for name in sorted(self.progress.requirements.required | self.progress.requirements.optional):
            self.mark_service(name, True)

    def _hear(self) -> None:
        """The application has said something."""
        progress = self.progress
        if progress.said_ready_at is None and progress.said_ready:
            progress.said_ready_at = self._loop.time()
            if self._lifecycle.state is not State.CONNECTING:
                self._settings.timing.set_up(progress.said_ready_at - progress.accepted_at)
        self.reconsider()

    def _join_checks(self) -> None:
        wanted = self._selection.strategy.asks_checks and self._selection.switches.dependency_validation
        if wanted and self._settings.board.checks:
            self._board = self._settings.board.here()
            for result in self._board.join(self._checked):
                self._note(result)

    def _checked(self, result: CheckResult) -> None:
        """An answer that was waited for, or one that changed since."""
        self._note(result)
        self.reconsider()

    def _note(self, result: CheckResult) -> None:
        self.progress.checks[result.name] = result.ok
        if not result.ok:
            self.failures[f"check {result.name}"] = result.error

    # --- what is done about it ------------------------------------------------------------------------------------

    def opened_too_early(self) -> bool:
        """Messages reached an application that does report, before it had said that a required service is ready."""
        unsaid = self.progress.requirements.required - self.progress.services.keys()
        cut_short = bool(unsaid) and self.progress.reported and self._inbound.delivered
        return self._marked_late or cut_short

    def held_too_long(self, ended_at: float | None) -> bool:
        """The application had said that everything required is ready, and was held or turned away none the less."""
        could_open_at = self._could_open_at
        if could_open_at is None:
            return False
        if self.opened_at is None and self._lifecycle.cause in _TURNED_AWAY:
            return True
        until = self.opened_at or ended_at or self._loop.time()
        return until - could_open_at > HELD_TOLERANCE_S

    def added_ms(self) -> float | None:
        """What the strategy added, in milliseconds; None where the application never said so, or it never opened."""
        could_open_at = self._could_open_at
        if could_open_at is None or self.opened_at is None:
            return None
        return milliseconds(max(self.opened_at - could_open_at, 0.0))

    @property
    def _could_open_at(self) -> float | None:
        said_ready_at = self.progress.said_ready_at
        return None if said_ready_at is None else max(said_ready_at, self.progress.accepted_at)

    def reconsider(self) -> None:
        """Something became known, or time passed: ask the strategy again."""
        state = self._lifecycle.state
        if state.open:
            self._follow_services()
        elif state is State.SERVICES_READY and (self._announced or self.progress.acknowledged):
            self._conclude(self._selection.strategy.confirm(self.progress))
        elif self._waits:
            self._apply(self._selection.strategy.decide(self.progress, self._loop.time()))
        else:
            self._unheard = True

    @property
    def _waits(self) -> bool:
        state = self._lifecycle.state
        return not self._busy and (state is State.HANDSHAKE_VALIDATING or state is State.SERVICE_DEPENDENCY_CHECK)

    def decide_now(self) -> None:
        """The hold limit has passed."""
        if not self._busy:
            self._apply(self._selection.strategy.at_deadline(self.progress))

    def unconfirmed(self) -> None:
        """The announcement, and the client's answer where it is waited for, have had their time."""
        self._conclude(self._selection.strategy.unconfirmed(self.progress))

    def _conclude(self, verdict: Verdict) -> None:
        """After the announcement: enable, go on waiting, or reject."""
        if verdict.action is Action.REJECT:
            self._owner.reject(verdict.why, verdict.code)
        elif verdict.action is Action.OPEN:
            self._enable(verdict.why)

    def _enable(self, why: str) -> None:
        """Let messages flow."""
        if self._lifecycle.state is not State.SERVICES_READY:
            return
        self.opened_at = self._loop.time()
        target = State.GRACEFUL_DEGRADATION if self.missing else State.PROCESSING_READY
        self._lifecycle.move(target, self.opened_at, why)
        if held := self._inbound.counts.held:
            self._owner.held_early(held)
        self._inbound.open()
        self._owner.changed()
        if self._unheard:  # something was said during the announcement
            self.reconsider()

    def end(self) -> None:
        """The connection is over: hear no more of the checks."""
        if self._board is not None:
            self._board.leave(self._checked)

    async def _follow(self, verdict: Verdict) -> None:
        """As `_apply`, but open before the application goes on: connection_ready is then the first frame after the
        accept, and nothing has to be scheduled."""
        if verdict.action is Action.OPEN or verdict.action is Action.DEGRADE:
            await self._open(verdict)
        else:
            self._apply(verdict)

    def _apply(self, verdict: Verdict) -> None:
        if verdict.action is Action.HOLD:
            self._owner.changed(verdict.until)
        elif verdict.action is Action.REJECT:
            self._owner.reject(verdict.why, verdict.code)
        else:
            self._spawn(self._open(verdict))

    async def _open(self, verdict: Verdict) -> None:
        """Announce, then enable. Where the announcement is stuck, the deadline of services_ready enables."""
        if self._busy or self._lifecycle.cause is not None:
            return
        self._busy = True
        if verdict.action is Action.DEGRADE:
            self.missing = verdict.missing
        self._walk_to(State.SERVICES_READY, verdict.why)
        self._owner.changed()
        try:
            await self._owner.upgrade()
            await self._announce()
        except OSError:
            self._owner.lost()
        else:
            self._after_announcement(verdict.why)
        finally:
            self._outbound.release()

    def _after_announcement(self, why: str) -> None:
        """Nothing is waited for where nothing was announced."""
        if not self._settings.announce:
            self._enable(why)
            return
        self._announced = True
        self._conclude(self._selection.strategy.confirm(self.progress))

    async def _announce(self) -> None:
        if not self._settings.announce:
            return
        self.progress.announced_at = self._loop.time()  # before: a client may answer before the send returns
        spent = self._lifecycle.spent(self._loop.time())
        phases: dict[State, float] = {
            state: milliseconds(took) for state, took in spent.items() if state is not State.CONNECTING
        }
        await self._outbound.frame(
            lambda next_seq: frames.connection_ready(
                connection_id=self._owner.connection_id,
                epoch=self._outbound.numbering.epoch,
                next_seq=next_seq,
                mode="degraded" if self.missing else "normal",
                strategy=self._selection.strategy.name,
                flags_revision=self._selection.revision,
                phases_ms=phases,
                nonce=self._nonce,
            )
        )
        if self.missing:
            await self._say_services()

    async def _say_services(self) -> None:
        if not self._settings.announce:
            return
        name, missing = self._owner.connection_id, self.missing
        degraded = frames.connection_degraded(connection_id=name, missing=missing)
        text = degraded if missing else frames.connection_recovered(connection_id=name)
        with suppress(OSError):
            await self._outbound.frame(lambda _: text)

    def _follow_services(self) -> None:
        """An open connection is not closed for a service: it degrades, says so, and recovers."""
        verdict = self._selection.strategy.decide(self.progress, self._loop.time())
        degraded = verdict.action in (Action.DEGRADE, Action.REJECT) and self._selection.switches.degraded_mode
        missing = verdict.missing if degraded else ()
        if verdict.action is Action.HOLD or missing == self.missing:
            return
        self.missing = missing
        target = State.GRACEFUL_DEGRADATION if missing else State.PROCESSING_READY
        if self._lifecycle.state is not target:
            self._lifecycle.move(target, self._loop.time(), verdict.why)
        self._spawn(self._say_services())

    def _walk_to(self, target: State, why: str) -> None:
        """Follow the setup path to `target`, passing each state on the way."""
        now = self._loop.time()
        for state in SETUP_PATH[SETUP_PATH.index(self._lifecycle.state) + 1 : SETUP_PATH.index(target) + 1]:
            self._lifecycle.move(state, now, why)
