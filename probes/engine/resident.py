"""One life of a long-lived connection, sans-IO: a probe that stays, and talks again every few seconds.

It begins as any probe does: upgrade, claim, proof, events. Where a probe would leave, a resident falls idle, sends its
message again with a fresh nonce, and judges what comes by the same rules. Standings, and what may follow each:

    CONNECTING -> CONVERSING <-> IDLE -> LEAVING -> ENDED

A life leaves from CONNECTING or CONVERSING only when it is told to; every standing may end at once. Instants are
nanoseconds of the monotonic clock.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from probes.engine import classification
from probes.engine.classification import Finding
from probes.engine.conversation import Stage
from probes.engine.delivery import Delivery
from probes.engine.guardrails import Limits
from probes.engine.lives import Ending
from probes.engine.messages import Message
from probes.engine.outcome import EventDefect
from probes.engine.script import NONCE, TargetSpec
from probes.engine.session import Session
from probes.engine.transcript import Transcript

GOODBYE_S = 2.0
"""How long the peer may take to answer our close, if its deadline is not shorter."""
COUNTED_S = 10.0
"""The limits on bytes, frames and messages hold for so long each: a feed may go on for hours, a flood may not."""
_NEVER_NS = 1 << 62
_SOON_NS = 1_000_000
_ABSENT = (EventDefect.LOST, EventDefect.NEVER_EMITTED)


@dataclass(frozen=True, slots=True)
class Stay:
    """How long a resident holds its socket, and how often it talks; seconds."""

    hold_s: float
    every_s: float


class Standing(StrEnum):
    """What a resident does now."""

    CONNECTING = "connecting"
    CONVERSING = "conversing"
    IDLE = "idle"
    LEAVING = "leaving"
    ENDED = "ended"


FOLLOWS: Mapping[Standing, frozenset[Standing]] = {
    Standing.CONNECTING: frozenset({Standing.CONVERSING, Standing.IDLE, Standing.LEAVING, Standing.ENDED}),
    Standing.CONVERSING: frozenset({Standing.IDLE, Standing.LEAVING, Standing.ENDED}),
    Standing.IDLE: frozenset({Standing.CONVERSING, Standing.LEAVING, Standing.ENDED}),
    Standing.LEAVING: frozenset({Standing.ENDED}),
    Standing.ENDED: frozenset(),
}
"""CONNECTING falls idle at once where a target only listens: there the claim is all that it is asked for."""


@dataclass(slots=True)
class Tally:
    """What the conversations of a life came to."""

    ok: int = 0
    failed: int = 0
    expected: int = 0
    delivered: int = 0
    lost: int = 0


class _Unwritten(Transcript):
    """A life of a day keeps no transcript."""

    def note(self, at: int, seen: int, direction: str, kind: str, text: str | bytes) -> None:
        """Forget it."""


class Resident(Session):
    """The conversation of one life. Driven as a `Session` is; `leave` ends it from outside."""

    def __init__(
        self, spec: TargetSpec, stay: Stay, *, nonces: Callable[[], str], limits: Limits, lead_s: float = 0.0
    ) -> None:
        """`nonces` gives a fresh word for each conversation. `lead_s`: by how much the first pause is shorter, so that
        those who connect at one instant do not all talk at one instant. Raises ScriptError where the URL is unusable.
        """
        self._rest_at: int | None = None
        self._alarm: int | None = None
        self._on_alarm: Callable[[int], None] = self._give_up_waiting
        # The same object where nothing differs: what is known of a specification is known by its identity.
        late = replace(spec, script=replace(spec.script, early_send=False)) if spec.script.early_send else spec
        super().__init__(late, nonce=nonces(), limits=limits)
        self.transcript = _Unwritten()
        self.stay = stay
        self.ending: Ending | None = None
        self.why = ""
        """Ours, in words, where we ended it."""
        self.tally = Tally()
        self.opened_at: int | None = None
        self.ready_at: int | None = None
        self.ended_at: int | None = None
        self.idle_ns = 0
        """How long nothing went either way before the end."""
        self.patience_ns = 0
        """The longest silence that it lived through."""
        self._nonces = nonces
        self._standing = Standing.CONNECTING
        self._lead_ns = int(lead_s * 1e9)
        self._counted_from = 0
        self._active_at = 0
        self._gap_ns = 0
        """The longest silence since something last came: lived through only once something comes again."""
        self._asked_at = 0
        self._answered_since = False
        self._highest = 0
        self._aligned = True
        triggers = [place for place, step in enumerate(self._plan) if step.kind == "trigger"]
        if triggers:
            self._plan = self._plan[: triggers[0] + 1]

    # What goes in. ---------------------------------------------------------------------------------------------------

    @property
    def standing(self) -> Standing:
        return Standing.ENDED if self.done else self._standing

    def begin(self, started: int) -> None:
        """Start the clock; until it is ready, the target's deadline holds as for any probe."""
        super().begin(started)
        self._active_at = self._asked_at = started
        self._alarm = self.deadline

    def received(self, data: bytes, at: int, seen: int, floor: int) -> None:
        """Take a read."""
        if self.done:
            return
        self._answered_since = True
        if at - self._counted_from > COUNTED_S * 1e9:
            self._counted_from = at
            self._bytes = self._frames = self._messages = 0
        super().received(data, at, seen, floor)
        if self.opened_at is None and "upgraded" in self.marks:
            self.opened_at = self._active_at = self.marks["upgraded"]
            self._gap_ns = 0
        if self.done:
            self._note_end(at)
            return
        self._note_activity(at)
        self.patience_ns, self._gap_ns = max(self.patience_ns, self._gap_ns), 0

    def ended(self, error: OSError | None, at: int) -> None:
        """Take the end of the stream."""
        if self.done:
            return
        if self.ending is None:
            self.ending = Ending.RESET if isinstance(error, ConnectionError) else Ending.DROPPED
        super().ended(error, at)
        self._note_end(at)

    def tick(self, now: int) -> None:
        """Take the passing of time: the next conversation, its deadline, the end of the stay."""
        if self.done:
            return
        if self.ready_at is not None or self._standing is Standing.LEAVING:
            while self._alarm is not None and now >= self._alarm and not self.done:
                self._at = self._seen = self._floor = now
                self._alarm = None
                self._on_alarm(now)
        super().tick(now)
        if self.done and self.ended_at is None:
            self._note_end(now)

    def leave(self, now: int, ending: Ending, why: str) -> None:
        """End it: with a close 1000 where the connection stands. Does nothing where it is leaving already."""
        if self.done or self._standing is Standing.LEAVING:
            return
        self._at = self._seen = self._floor = now
        self.ending, self.why = ending, why
        if self.stage is Stage.UPGRADING:
            self.stage = Stage.DONE
            self.closed_by = "us"
            self._note_end(now)
            return
        self.deadline = _NEVER_NS
        self._go(Standing.LEAVING)
        self._set_alarm(now + int(min(self.spec.deadline_s, GOODBYE_S) * 1e9), self._give_up_waiting)
        super()._leave()

    # What comes out. -------------------------------------------------------------------------------------------------

    def outgoing(self, now: int) -> bytes:
        """Everything to send."""
        data = super().outgoing(now)
        if data and self.opened_at is not None and not self.done:
            self._note_activity(now)
        return data

    @property
    def lost_in_cut(self) -> int:
        """Expected answers of the conversation under way that had not come."""
        if self._standing is not Standing.CONVERSING:
            return 0
        return self._expected_answers - self._answers_that_came()

    @property
    def failure(self) -> Finding | None:
        """Why it never became ready; None where it did, or was not let."""
        if self.ready_at is not None or not self.findings:
            return None
        kind = classification.verdict(self.findings).kind
        return next(finding for finding in self.findings if finding.kind is kind)

    # The timers: what the conversation itself waits for, and what the life does. --------------------------------------

    @property
    def wake_at(self) -> int | None:
        """When `tick` wants to be called."""
        times = [at for at in (self._rest_at, self._alarm) if at is not None]
        return min(times) if times else None

    @wake_at.setter
    def wake_at(self, at: int | None) -> None:
        self._rest_at = at

    def _set_alarm(self, at: int, action: Callable[[int], None]) -> None:
        self._alarm = max(at, self._seen + _SOON_NS)
        self._on_alarm = action

    # One conversation after another. ---------------------------------------------------------------------------------

    def _leave(self) -> None:
        """Where a probe leaves, a resident that is ready has finished one conversation."""
        if self._standing is Standing.LEAVING:
            super()._leave()
        elif self.ready_at is not None:
            if self._standing is Standing.CONVERSING:
                self._settle()
        elif self._trigger or "claimed" not in self.marks:
            super()._leave()
        else:
            self._became_ready(self._seen)
            self._rest()

    def _became_ready(self, at: int) -> None:
        self.ready_at = at
        self._set_alarm(self.deadline, self._answer_overdue)
        self.deadline = _NEVER_NS

    def _mark_received(self, name: str, *, exact: bool) -> None:
        super()._mark_received(name, exact=exact)
        if name == "ready" and self.ready_at is None:
            self._asked_at = self.marks["trigger_sent"]
            self._became_ready(self._at)
            self._go(Standing.CONVERSING)

    def _settle(self) -> None:
        """The conversation is over: count what came of it."""
        defects = self.delivery.defects(late_after=self.late_after)
        came = self._answers_that_came()
        lost = sum(defect in _ABSENT for defect in defects.values()) if self.delivery.expected else 1 - came
        whole = came == self._expected_answers and not defects and not self.gave_up
        self.tally.ok += whole
        self.tally.failed += not whole
        self.tally.expected += self._expected_answers
        self.tally.delivered += came
        self.tally.lost += lost
        self._rest()

    def _rest(self) -> None:
        """Fall idle, and be ready for whatever comes before the next conversation."""
        self._go(Standing.IDLE)
        self.stage = Stage.PROVING
        self._place, self._entered = 0, False
        self._plan = tuple(step for step in self._plan if step.kind == "trigger")
        for name in ("trigger_sent", "ready"):
            self.marks.pop(name, None)
        self._nonce = self._nonces()
        self._trigger = self.prepared.trigger.replace(NONCE, self._nonce)
        self.delivery = Delivery(self.spec.script.events)
        self._aligned = False
        self.gave_up, self.answers = "", 0
        self.findings.clear()
        self.bounds.clear()
        self.wake_at = None
        ends_at = (self.opened_at or self._seen) + int(self.stay.hold_s * 1e9)
        next_at = self._asked_at + int(self.stay.every_s * 1e9) - self._lead_ns
        self._lead_ns = 0
        if ends_at <= next_at:
            self._set_alarm(ends_at, self._stay_is_over)
        else:
            self._set_alarm(next_at, self._converse)

    def _stay_is_over(self, now: int) -> None:
        self.leave(now, Ending.PLANNED, f"held for {self.stay.hold_s:g} s")

    def _converse(self, now: int) -> None:
        self._go(Standing.CONVERSING)
        patience = int(self.spec.deadline_s * 1e9)
        self._asked_at, self.late_after, self._answered_since = now, now + patience, False
        self._set_alarm(now + patience // 2, self._knock)
        if self._trigger:
            self._advance()
        else:
            self._send_ping(self._nonce.encode())

    def _knock(self, now: int) -> None:
        """Nothing may mean a slow application or a dead path: a ping is answered by whatever still stands."""
        if not self._answered_since:
            self._send_ping(self._nonce.encode())
        self._set_alarm(self._asked_at + int(self.spec.deadline_s * 1e9), self._answer_overdue)

    def _answer_overdue(self, now: int) -> None:
        if self._answered_since:
            self._settle()
            return
        self.ending, self.why = Ending.SILENT, f"nothing came back within {self.spec.deadline_s:g} s, not even a pong"
        self._send_close()
        self.stage = Stage.DONE
        self._note_end(now)

    def _give_up_waiting(self, _now: int) -> None:
        self.stage = Stage.DONE

    # What comes, where a life differs from a probe. -------------------------------------------------------------------

    def _understand(self, message: Message) -> None:
        if message.seq is not None:
            if message.seq <= self._highest and not self._ours(message):
                return  # a straggler of an earlier run
            if self._standing is Standing.IDLE:
                # A feed: that it goes on is all that is kept of it, or a day of it would fill the memory.
                self._highest, message.seq = max(self._highest, message.seq), None
            else:
                self._align(message.seq)
        super()._understand(message)

    def _align(self, seq: int) -> None:
        """Servers number a connection through, or each run from the start: the first number of a run shows which."""
        if not self._aligned:
            self._aligned = True
            if seq > self._highest:
                self.delivery.first_seq = self._highest + 1
        self._highest = max(self._highest, seq)

    def _pong(self, payload: bytes, *, exact: bool) -> None:
        super()._pong(payload, exact=exact)
        if not self._trigger and self._standing is Standing.CONVERSING and payload == self._nonce.encode():
            self.answers += 1
            self._settle()

    def _close_received(self) -> None:
        if self.ending is None:
            self.ending = Ending.CLOSED
        super()._close_received()

    def _break(self, finding: Finding) -> None:
        if self.ending is None:
            self.ending, self.why = Ending.BROKEN, finding.detail
        super()._break(finding)

    # Small change. ---------------------------------------------------------------------------------------------------

    @property
    def _expected_answers(self) -> int:
        return len(self.delivery.expected) or 1

    def _answers_that_came(self) -> int:
        return len(self.delivery.arrivals) if self.delivery.expected else min(self.answers, 1)

    def _note_activity(self, at: int) -> None:
        self._gap_ns = max(self._gap_ns, at - self._active_at)
        self._active_at = max(self._active_at, at)

    def _note_end(self, at: int) -> None:
        if self.ended_at is None:
            self.ended_at = at
            self.idle_ns = max(self._gap_ns, at - self._active_at)

    def _go(self, standing: Standing) -> None:
        if standing is not self._standing and standing not in FOLLOWS[self._standing]:
            raise RuntimeError(f"a resident that is {self._standing} cannot become {standing}")
        self._standing = standing
