"""What the messages of a server mean: the claim, the proof, the events, and the steps of a script. Sans-IO.

The frames, the bytes and the closing are `session`'s; it gives every message here, and takes what is to be sent.
"""

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from enum import IntEnum

from probes.engine import classification, request
from probes.engine.classification import Finding, Phase, race_text
from probes.engine.delivery import Delivery
from probes.engine.guardrails import Limits
from probes.engine.messages import Message
from probes.engine.prepared import prepared
from probes.engine.script import NONCE, TargetSpec
from probes.engine.steps import Step
from probes.engine.wires import WIRES

BOUND_NS = 1_000_000
"""A bound that is worth telling."""

SHOWN_CHARS = 300


class Stage(IntEnum):
    """How far the conversation is."""

    UPGRADING = 0
    CLAIMING = 1
    PROVING = 2
    COLLECTING = 3
    LEAVING = 4
    DONE = 5


_PHASES = {
    Stage.UPGRADING: Phase.UPGRADE,
    Stage.CLAIMING: Phase.CLAIMED,
    Stage.PROVING: Phase.READY,
    Stage.COLLECTING: Phase.EVENTS,
    Stage.LEAVING: Phase.CLOSE,
    Stage.DONE: Phase.CLOSE,
}


class Conversation(ABC):
    """One probe's side of the conversation: which rule a message meets, and what follows from it."""

    def __init__(self, spec: TargetSpec, *, nonce: str, limits: Limits) -> None:
        self.spec = spec
        self.prepared = prepared(spec)
        self.limits = limits
        self.deadline = 0
        self.stage = Stage.UPGRADING
        self.wake_at: int | None = None
        """When `tick` wants to be called, beside the deadline."""
        self.findings: list[Finding] = []
        self.marks: dict[str, int] = {}
        self.seen: dict[str, int] = {}
        """The same marks as this process saw them, for probes whose kernel times cannot be trusted."""
        self.bounds: dict[str, int] = {}
        """By mark, or event: the ns within which it lies before its instant, where wider than BOUND_NS."""
        self.delivery = Delivery(spec.script.events)
        self.gave_up = ""
        """What the server said when it broke the run off after ready."""
        self.strategy = ""
        self.revision: int | None = None
        self.answers = 0
        """How often our message was answered, where an echo of its nonce is the proof."""
        self._nonce = nonce
        self._wire = WIRES[spec.script.wire]()
        self._trigger = self.prepared.trigger.replace(NONCE, nonce)
        self._own_runs_only = self.prepared.own_runs_only
        self._claimed_by = ""
        self._pending_marks: list[str] = []
        self._at = self._seen = self._floor = 0
        self._on_wake: Callable[[Conversation], None] = Conversation._depart
        self._plan = self.prepared.plan
        self._place = 0
        self._entered = False

    @abstractmethod
    def _send(self, text: str) -> bool:
        """Queue a message; False where the same read has already ended the connection."""

    @abstractmethod
    def _send_ping(self, payload: bytes) -> bool:
        """Queue a ping; False as above."""

    @abstractmethod
    def _leave(self) -> None:
        """Say goodbye."""

    def mark(self, name: str, at: int, seen: int | None = None) -> None:
        """Note a mark; `seen` where it differs from `at`."""
        self.marks[name] = at
        self.seen[name] = at if seen is None else seen

    @property
    def phase(self) -> Phase:
        """Where a failure would now happen."""
        return _PHASES[self.stage]

    # What comes. ------------------------------------------------------------------------------------------------------

    def _understand(self, message: Message) -> None:
        if (reply := self._wire.reply(message)) is not None:
            self._send(reply)
        if message.seq is not None:
            message.shown = self.delivery.number(message.key("epoch"), message.seq)
        if message.type[:11] == "connection_":
            self._gate_frame(message)
        raced = classification.accept_race("a message", self._phase_of_run) if race_text(message.text) else None
        if self._expected(message):
            self._passed()
        else:
            self._RULES[self.stage](self, message)
        if raced:
            self.findings.append(raced)
            self._leave()

    def _gate_frame(self, message: Message) -> None:
        """A readiness gate's own frame: the variant that serves us, and the return path to acknowledge."""
        self._variant(message.word("strategy"), message.number("flags_revision"))
        if message.type != "connection_ready":
            return
        if self.delivery.first_seq is None:
            self.delivery.first_seq = message.number("next_seq")
        if nonce := message.word("nonce"):
            self._send(json.dumps({"type": "ready_ack", "nonce": nonce}))

    def _claiming(self, message: Message) -> None:
        rule = self.spec.script.claimed
        if self._failed(message):
            self._give_up(message)
        elif rule == "first_message" or (rule == "match" and message.matches(self.spec.script.claimed_match)):
            self._claim(f"its message {message.type[:60]!r}" if message.type else "its message", exact=message.exact)
        elif self.spec.script.early_send:
            self._proving(message)

    def _proving(self, message: Message) -> None:
        if "trigger_sent" not in self.marks and self._step == "trigger":
            return  # came in the same read as the claim: no answer to what is yet to be sent
        if self._failed(message):
            self._give_up(message)
        elif self._answers_control(message):
            if "control_answered" not in self.marks:
                self._mark_received("control_answered", exact=message.exact)
                self._wake_after(int(self.limits.settle_s * 1e9), Conversation._depart)
        elif "trigger_sent" in self.marks and self._answer(message):
            self._mark_received("ready", exact=message.exact)
            self.stage = Stage.COLLECTING
            self.wake_at = None
            self._after_event()

    def _collecting(self, message: Message) -> None:
        if self._answer(message):
            self._after_event()
        elif self._failed(message):
            self._give_up(message)

    def _leaving(self, message: Message) -> None:
        """Messages may still come until the peer's close: they show duplicates and stragglers."""
        if "ready" in self.marks:
            self._answer(message)

    _RULES: Mapping[Stage, Callable[["Conversation", Message], None]] = {
        Stage.CLAIMING: _claiming,
        Stage.PROVING: _proving,
        Stage.COLLECTING: _collecting,
        Stage.LEAVING: _leaving,
    }

    # What messages mean. ---------------------------------------------------------------------------------------------

    def _claim(self, claimed_by: str, *, exact: bool) -> None:
        self._claimed_by = claimed_by
        self._mark_received("claimed", exact=exact)
        self.stage = Stage.PROVING
        if self._step == "claim" and self._entered:
            self._passed()

    def _answer(self, message: Message) -> bool:
        """Take the message if it answers ours: an expected event of our run, or an echo of our nonce."""
        if self.delivery.expected:
            return self._event(message)
        if self._nonce not in message.text or self._control_nonce in message.text:
            return False
        self.answers += 1
        return True

    def _event(self, message: Message) -> bool:
        """Take the message if it is an expected event of our run, and say whether it is."""
        name = message.type
        if name not in self.delivery.expected or not self._ours(message):
            return False
        if name not in self.delivery.arrivals:
            self._note_bound(name, exact=message.exact)
        call = message.key("call_id") if name.startswith("tool_") else None
        event_id = message.key("event_id") if message.seq is None else None
        self.delivery.arrived(name, self._at, self._seen, message.seq, message.shown, call=call, event_id=event_id)
        if name == self.delivery.expected[-1] and (last := message.number("last_seq")) is not None:
            self.delivery.ends_at(last)
        return True

    def _after_event(self) -> None:
        if self._step != "trigger":
            return  # the run is over, and later steps are under way
        if self.delivery.complete and not self.spec.script.early_send:
            self._passed()
        elif self.delivery.ended and self.wake_at is None:  # an early message must be answered once, not twice
            self._wake_after(int(self.limits.settle_s * 1e9), Conversation._passed)

    # The steps. ------------------------------------------------------------------------------------------------------

    @property
    def _current(self) -> Step | None:
        return self._plan[self._place] if self._place < len(self._plan) else None

    @property
    def _step(self) -> str:
        """The kind of the current step, "" after the last."""
        return self._plan[self._place].kind if self._place < len(self._plan) else ""

    def _advance(self) -> None:
        """Do every step that waits for nothing; stop at the first that does."""
        while self._place < len(self._plan) and self.stage < Stage.LEAVING:
            self._entered = True
            step = self._plan[self._place]
            if not self._STEPS[step.kind](self, step):
                return
            self._place += 1
        if self.stage < Stage.LEAVING:
            self._leave()

    def _passed(self) -> None:
        """What the current step waited for is there."""
        self.wake_at = None
        self._place += 1
        self._advance()

    def _enter_claim(self, _step: Step) -> bool:
        return "claimed" in self.marks

    def _enter_trigger(self, _step: Step) -> bool:
        if self._trigger:
            self._send_trigger()
        return not self._trigger

    def _enter_send(self, step: Step) -> bool:
        self._send(request.with_token(self.spec, step.text).replace(NONCE, self._nonce))
        return True

    def _enter_expect(self, _step: Step) -> bool:
        return False

    def _enter_wait(self, step: Step) -> bool:
        self._wake_after(int(step.seconds * 1e9), Conversation._passed)
        return False

    def _enter_ping(self, _step: Step) -> bool:
        if self._send_ping(self._ping):
            self._pending_marks.append("ping_sent")
        return False

    _STEPS: Mapping[str, "Callable[[Conversation, Step], bool]"] = {
        "claim": _enter_claim,
        "trigger": _enter_trigger,
        "ping": _enter_ping,
        "send": _enter_send,
        "expect": _enter_expect,
        "expect_text": _enter_expect,
        "wait": _enter_wait,
    }

    def _expected(self, message: Message) -> bool:
        """Whether it is what the current step waits for."""
        step = self._current
        if step is None or step.kind[:6] != "expect" or self.stage >= Stage.LEAVING:
            return False
        if step.kind == "expect":
            return message.matches(step.text.replace(NONCE, self._nonce))
        return step.text.replace(NONCE, self._nonce) in message.text

    @property
    def _ping(self) -> bytes:
        """The payload of the ping of the current step."""
        return f"{self._nonce}-{self._place}".encode()

    def _pong(self, payload: bytes, *, exact: bool) -> None:
        step = self._current
        if self.spec.script.claimed == "pong" and self.stage is Stage.CLAIMING and payload == self._nonce.encode():
            self._claim("its pong", exact=exact)
        elif step is not None and step.kind == "ping" and payload == self._ping:
            self._mark_received("pong", exact=exact)
            self._passed()

    def _unmet(self) -> str:
        """The step that was waited for, in words; "" where it was the claim or the trigger's run."""
        step = self._current
        return "" if step is None or step.kind in ("claim", "trigger") else f"step {step.shown!r}"

    # The early message: it leaves with the 101, and a second one shows later whether the first was lost. --------------

    @property
    def early_lost(self) -> bool:
        """Our first message was never answered, the same message sent later was."""
        return "control_answered" in self.marks and "ready" not in self.marks

    def _send_trigger(self) -> None:
        if self._send(self._trigger):
            self._pending_marks.append("trigger_sent")
        # Without a nonce nobody could tell which of two messages was answered.
        if self.spec.script.early_send and self._own_runs_only:
            self._wake_after((self.deadline - self._seen) // 2, Conversation._send_control)

    @property
    def _control_nonce(self) -> str:
        return f"{self._nonce}-control"

    def _send_control(self) -> None:
        if self._send(self.prepared.trigger.replace(NONCE, self._control_nonce)):
            self._pending_marks.append("control_sent")

    def _answers_control(self, message: Message) -> bool:
        if "control_sent" not in self.marks:
            return False
        if self.delivery.expected:
            return message.type in self.delivery.expected and message.key("run_id") == self._control_nonce
        return self._control_nonce in message.text

    def _depart(self) -> None:
        self._leave()

    def _wake_after(self, wait_ns: int, action: "Callable[[Conversation], None]") -> None:
        self.wake_at = self._seen + wait_ns
        self._on_wake = action

    def _ours(self, message: Message) -> bool:
        """Belongs to our run, or says nothing about runs."""
        run = message.key("run_id")
        return run is None or not self._own_runs_only or run == self._nonce

    def _failed(self, message: Message) -> bool:
        return message.is_error and self._ours(message)

    def _give_up(self, message: Message) -> None:
        """The server said that it failed: what it said is the evidence, and the run is over."""
        said = f"it answered {message.text[:SHOWN_CHARS]!r}"
        if self.stage is Stage.COLLECTING:
            self.gave_up = f"The server broke off: {said}."
        else:
            self.findings.append(classification.disproved(self._claimed_by, said))
        self._leave()

    def _variant(self, strategy: str, revision: int | None) -> None:
        if strategy:
            self.strategy = strategy[:40]
        if revision is not None:
            self.revision = revision

    # Small change. ----------------------------------------------------------------------------------------------------

    @property
    def _phase_of_run(self) -> Phase:
        """The phase a message of the run belongs to, also while leaving."""
        if self.stage < Stage.LEAVING:
            return self.phase
        return Phase.EVENTS if "ready" in self.marks else Phase.READY

    def _mark_received(self, name: str, *, exact: bool) -> None:
        self.mark(name, self._at, self._seen)
        self._note_bound(name, exact=exact)

    def _note_bound(self, name: str, *, exact: bool) -> None:
        if not exact and self._at - self._floor > BOUND_NS:
            self.bounds[name] = self._at - self._floor
