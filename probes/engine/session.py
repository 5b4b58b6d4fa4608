"""One probe's conversation, sans-IO: bytes and their times in, bytes out, at last an Outcome (see `verdicts`).

The rules live here; sockets, TLS and clocks are the transport's. Every instant is an integer of nanoseconds on the
monotonic scale. A read has three of them: `at`, when the kernel received its last byte; `seen`, when this process read
it; `floor`, before which none of it can have come. A message that ends a read came at `at`; an earlier message of the
same read lies between `floor` and `at`, and its mark keeps that bound where it is wider than 1 ms.

    UPGRADING -> CLAIMING -> PROVING -> COLLECTING -> LEAVING -> DONE

Every stage may skip ahead to LEAVING (our close is sent) or DONE (the findings are complete); none goes back.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from enum import IntEnum

from websockets.client import ClientProtocol
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory
from websockets.frames import Frame, Opcode
from websockets.protocol import Event, State
from websockets.typing import Subprotocol

from probes.engine import classification, messages, request, steps
from probes.engine.classification import Finding, Phase
from probes.engine.delivery import Delivery
from probes.engine.guardrails import Limits
from probes.engine.messages import Message
from probes.engine.script import NONCE, TOKEN, TargetSpec, endpoint
from probes.engine.steps import Step
from probes.engine.transcript import Transcript
from probes.engine.upgrade import Upgrade, readable
from probes.engine.wires import WIRES, WireError

BOUND_NS = 1_000_000
"""A bound that is worth telling."""

_CLOSE_NORMAL = 1000
_CLOSE_ABNORMAL = 1006
_CLOSE_INVALID_DATA = 1007
_CLOSE_PATIENCE_NS = 250_000_000
_SHOWN_CHARS = 300
_DEFLATE = [ClientPerMessageDeflateFactory(client_max_window_bits=True)]


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


class Session:
    """The conversation of one probe. Feed it with `received`, `ended`, `tick`; send what `outgoing` returns."""

    def __init__(self, spec: TargetSpec, *, nonce: str, limits: Limits) -> None:
        """Raises ScriptError where the URL is unusable. `begin` starts the clock, so that this is nobody's latency."""
        self.spec = spec
        self.limits = limits
        self.started = self.deadline = self.late_after = 0
        self.stage = Stage.UPGRADING
        self.wake_at: int | None = None
        """When `tick` wants to be called, beside the deadline."""
        self.findings: list[Finding] = []
        self.marks: dict[str, int] = {}
        self.seen: dict[str, int] = {}
        """The same marks as this process saw them, for probes whose kernel times cannot be trusted."""
        self.bounds: dict[str, int] = {}
        """By mark, or event: the ns within which it lies before its instant, where wider than BOUND_NS."""
        self.timed_out = False
        """The deadline ended the probe."""
        self.transcript = Transcript()
        self.delivery = Delivery(spec.script.events)
        self.gave_up = ""
        """What the server said when it broke the run off after ready."""
        self.closed_by = ""
        self.close_code: int | None = None
        self.close_reason = ""
        self.http_status: int | None = None
        self.strategy = ""
        self.revision: int | None = None
        self.answers = 0
        """How often our message was answered, where an echo of its nonce is the proof."""
        self._nonce = nonce
        self._wire = WIRES[spec.script.wire]()
        self._control_nonce = f"{nonce}-control"
        self._on_wake: Callable[[Session], None] = Session._leave
        self._trigger = self._filled(spec.script.trigger, nonce)
        self._own_runs_only = NONCE in spec.script.trigger
        self._claimed_by = ""
        self._pending_marks: list[str] = []
        self._pending_notes: list[tuple[str, str]] = []
        self._close_sent_at = 0
        self._bytes = self._frames = self._messages = self._unread = 0
        self._parts: list[bytes | bytearray] = []
        self._parts_kind = "text"
        self._at = self._seen = self._floor = 0
        self._plan = steps.plan(spec.script.steps, early=spec.script.early_send)
        self._place = 0
        self._entered = False
        self._protocol = ClientProtocol(
            endpoint(request.url_of(spec)),
            subprotocols=[Subprotocol(name) for name in request.subprotocols_of(spec)] or None,
            extensions=_DEFLATE if spec.script.compression else None,
            max_size=limits.message_bytes,
        )
        self._upgrade = Upgrade(self._protocol, spec, limits.header_bytes)

    # What goes in. ---------------------------------------------------------------------------------------------------

    def begin(self, started: int) -> None:
        """Start the clock: `started` in monotonic ns."""
        self.started = self._at = self._seen = self._floor = started
        self.deadline = self.late_after = started + int(self.spec.deadline_s * 1e9)
        self.mark("started", started)

    def mark(self, name: str, at: int, seen: int | None = None) -> None:
        """Note a mark; `seen` where it differs from `at`."""
        self.marks[name] = at
        self.seen[name] = at if seen is None else seen

    def fail(self, *findings: Finding) -> None:
        """End here: the connection could not be opened."""
        self.findings += findings
        self.stage = Stage.DONE

    def open(self) -> None:
        """The connection stands: queue the upgrade request."""
        self._pending_notes.append(("request", self._upgrade.request()))
        self._pending_marks.append("request_sent")

    def received(self, data: bytes, at: int, seen: int, floor: int) -> None:
        """Take a read."""
        if self.stage is Stage.DONE or (at > self.deadline and self.stage < Stage.COLLECTING):
            return  # what comes after the deadline proves nothing; a late event is still worth naming
        self._at, self._seen, self._floor = at, seen, floor
        self._bytes += len(data)
        if self._bytes > self.limits.total_bytes:
            self._break(classification.oversized(f"{self.limits.total_bytes} bytes in all", self._phase_of_run))
        elif self.stage is Stage.UPGRADING:
            self._answered(data)
        else:
            self._unread += len(data)
            self._protocol.receive_data(data)
            self._take(self._protocol.events_received())

    def ended(self, error: OSError | None, at: int) -> None:
        """Take the end of the stream: EOF, or a reset."""
        if self.stage is Stage.DONE:
            return
        self._at = self._seen = self._floor = at
        self._note("eof", f"connection {f'lost: {error}' if error else 'closed'}")
        if self.stage is Stage.UPGRADING:
            self.fail(classification.connection_lost(error, Phase.UPGRADE))
            return
        self._protocol.receive_eof()
        self._peer_left(_CLOSE_ABNORMAL, "")
        self.stage = Stage.DONE

    def tick(self, now: int) -> None:
        """Take the passing of time: the settling of stragglers, and the deadline."""
        if self.stage is Stage.DONE:
            return
        if now < self.deadline:
            if self.wake_at is not None and now >= self.wake_at:
                self._at = self._seen = self._floor = now
                self.wake_at = None
                self._on_wake(self)
            return
        self._at = self._seen = self._floor = now
        self.timed_out = True
        self._deadline_passed(now)
        if self.stage is not Stage.UPGRADING and self._protocol.state is State.OPEN:
            self._send_close()
        self.stage = Stage.DONE

    # What comes out. -------------------------------------------------------------------------------------------------

    @property
    def done(self) -> bool:
        """Nothing more is expected: the findings are complete."""
        return self.stage is Stage.DONE

    @property
    def phase(self) -> Phase:
        """Where a failure would now happen."""
        return _PHASES[self.stage]

    @property
    def polite(self) -> bool:
        """Whether the peer is owed a moment to close the connection first."""
        return self.close_code != _CLOSE_ABNORMAL and self._protocol.state is not State.CONNECTING

    def outgoing(self, now: int) -> bytes:
        """Everything to send. Call it just before the send call: `now` becomes the mark of what is sent."""
        writes = self._protocol.data_to_send()
        for name in self._pending_marks:
            self.mark(name, now)
            if name == "trigger_sent" and self.spec.script.events_within_s:
                self.late_after = min(self.deadline, now + int(self.spec.script.events_within_s * 1e9))
        for kind, text in self._pending_notes:
            self.transcript.note(now, now, "out", kind, text)
        self._pending_marks.clear()
        self._pending_notes.clear()
        return writes[0] if len(writes) == 1 else b"".join(writes)

    def release(self) -> None:
        """Let the parser go once the outcome is taken: its frame and the protocol hold each other."""
        self._protocol.parser.close()

    # The upgrade. ----------------------------------------------------------------------------------------------------

    def _answered(self, data: bytes) -> None:
        answer = self._upgrade.received(data)
        if answer is None:
            return
        self._note("response", answer.shown)
        self.http_status = answer.status
        if answer.findings:
            self.fail(*answer.findings)
            return
        self._unread = answer.surplus
        self._mark_received("upgraded", exact=answer.surplus == 0)
        headers: Mapping[str, str] = answer.headers or {}
        self._variant(headers.get("readiness-strategy", ""), messages.whole(headers.get("readiness-revision")))
        self.stage = Stage.CLAIMING
        if self.spec.script.claimed == "upgrade":
            self._claim("", exact=answer.surplus == 0)
        elif self.spec.script.claimed == "pong":
            self._protocol.send_ping(self._nonce.encode())
        self._advance()
        self._take(answer.events)

    # Frames and messages. --------------------------------------------------------------------------------------------

    def _take(self, events: Iterable[Event]) -> None:
        events = list(events)
        for index, event in enumerate(events, 1):
            if isinstance(event, Frame):
                self._frames += 1
                self._unread -= _wire_size(event)
                # What was compressed has another size on the wire: there the last frame of a read is what counts.
                last = index == len(events) and not self._protocol.reader.buffer
                self._frame(event, exact=last if self._protocol.extensions else self._unread == 0)
            if self.stage is Stage.DONE:
                return
        if self._protocol.parser_exc is not None:
            self._break(classification.protocol_broken(self._protocol.parser_exc, self._phase_of_run))
        elif self._frames > self.limits.frames:
            self._break(classification.oversized(f"{self.limits.frames} frames", self._phase_of_run))

    def _frame(self, frame: Frame, *, exact: bool) -> None:
        opcode = frame.opcode
        if opcode is Opcode.CLOSE:
            self._close_received()
        elif opcode is Opcode.PING or opcode is Opcode.PONG:
            self._note(opcode.name.lower(), readable(frame.data))
            if opcode is Opcode.PONG:
                self._pong(bytes(frame.data), exact=exact)
        else:
            if opcode is not Opcode.CONT:
                self._parts_kind = "text" if opcode is Opcode.TEXT else "binary"
            self._parts.append(frame.data if isinstance(frame.data, bytes | bytearray) else bytes(frame.data))
            if frame.fin:
                data = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
                self._parts.clear()
                self._message(data, exact=exact)

    def _message(self, data: bytes | bytearray, *, exact: bool) -> None:
        try:
            text = data.decode()
        except UnicodeDecodeError as error:
            self._note(self._parts_kind, readable(data[:_SHOWN_CHARS]))
            if self._parts_kind == "text":  # RFC 6455 section 8.1
                self._protocol.fail(_CLOSE_INVALID_DATA)
                self._break(classification.protocol_broken(error, self._phase_of_run))
                return
            text = ""
        else:
            self._note(self._parts_kind, text)
        try:
            for message in self._wire.read(text, data, exact=exact):
                self._messages += 1
                if self._messages > self.limits.frames:
                    self._break(classification.oversized(f"{self.limits.frames} messages", self._phase_of_run))
                    return
                self._understand(message)
        except WireError as error:
            self._break(classification.protocol_broken(error, self._phase_of_run))

    def _understand(self, message: Message) -> None:
        if (reply := self._wire.reply(message)) is not None:
            self._send(reply)
        if message.seq is not None:
            message.shown = self.delivery.number(message.key("epoch"), message.seq)
        if message.type.startswith("connection_"):
            self._gate_frame(message)
        phase = self._phase_of_run
        if self._expected(message):
            self._passed()
        else:
            self._RULES[self.stage](self, message)
        if classification.race_text(message.text):
            self.findings.append(classification.accept_race("a message", phase))
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
                self._wake_after(int(self.limits.settle_s * 1e9), Session._leave)
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

    _RULES: Mapping[Stage, Callable[["Session", Message], None]] = {
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
        event_id = message.key("event_id")
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
            self._wake_after(int(self.limits.settle_s * 1e9), Session._passed)

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
        self._send(self._filled(step.text, self._nonce))
        return True

    def _enter_expect(self, _step: Step) -> bool:
        return False

    def _enter_wait(self, step: Step) -> bool:
        self._wake_after(int(step.seconds * 1e9), Session._passed)
        return False

    def _enter_ping(self, _step: Step) -> bool:
        if self._protocol.state is State.OPEN:
            self._protocol.send_ping(self._ping)
            self._pending_marks.append("ping_sent")
        return False

    _STEPS: Mapping[str, "Callable[[Session, Step], bool]"] = {
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
        if step is None or self.stage >= Stage.LEAVING:
            return False
        if step.kind == "expect":
            return message.matches(step.text.replace(NONCE, self._nonce))
        return step.kind == "expect_text" and step.text.replace(NONCE, self._nonce) in message.text

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
            self._wake_after((self.deadline - self._seen) // 2, Session._send_control)

    def _send_control(self) -> None:
        if self._send(self._filled(self.spec.script.trigger, self._control_nonce)):
            self._pending_marks.append("control_sent")

    def _answers_control(self, message: Message) -> bool:
        if "control_sent" not in self.marks:
            return False
        if self.delivery.expected:
            return message.type in self.delivery.expected and message.key("run_id") == self._control_nonce
        return self._control_nonce in message.text

    def _wake_after(self, wait_ns: int, action: "Callable[[Session], None]") -> None:
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
        said = f"it answered {message.text[:_SHOWN_CHARS]!r}"
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

    # Leaving. --------------------------------------------------------------------------------------------------------

    def _leave(self) -> None:
        """Say goodbye with 1000, and wait for the peer's answer until the deadline."""
        self.wake_at = None
        self.stage = max(self.stage, Stage.LEAVING)
        if self._protocol.state is State.OPEN:
            self._send_close()

    def _send_close(self) -> None:
        self._protocol.send_close(_CLOSE_NORMAL)
        self._pending_notes.append(("close", str(_CLOSE_NORMAL)))
        self._pending_marks.append("close_sent")
        self._close_sent_at = self._seen
        self.closed_by = "us"

    def _close_received(self) -> None:
        close = self._protocol.close_rcvd
        code, reason = (int(close.code), close.reason) if close is not None else (_CLOSE_ABNORMAL, "")
        self._note("close", f"{code} {reason}".rstrip())
        if classification.race_text(reason):
            self.findings.append(classification.accept_race("its close reason", self._phase_of_run))
        self._peer_left(code, reason)
        self.stage = Stage.DONE

    def _peer_left(self, code: int, reason: str) -> None:
        self.close_code, self.close_reason = code, reason
        self.mark("closed", self._at, self._seen)
        if self.closed_by:
            return
        self.closed_by = "peer"
        came = f"after {len(self.delivery.arrivals)} of {len(self.delivery.expected)} events"
        self.findings.append(classification.peer_closed(code, reason, self.phase, came))

    def _break(self, finding: Finding) -> None:
        """The connection cannot go on: note why. Where the protocol failed, it has queued its own close frame."""
        self.findings.append(finding)
        if self._protocol.state is State.OPEN:
            self._send_close()
        elif not self.closed_by:
            self.closed_by = "us"
        self.stage = Stage.DONE

    def _deadline_passed(self, now: int) -> None:
        wait_s = self.spec.deadline_s
        if self.stage is Stage.UPGRADING:
            self.findings.append(classification.stage_timed_out(Phase.UPGRADE, wait_s, "The server"))
        elif self.stage is Stage.CLAIMING:
            self.findings.append(classification.never_claimed(wait_s, self._unmet()))
        elif self.stage is Stage.PROVING:
            silence = f"did not answer our message within {wait_s:g} s"
            if unmet := self._unmet():
                silence = f"left our {unmet} unmet for {wait_s:g} s"
            self.findings.append(classification.disproved(self._claimed_by, silence))
        elif self.stage is Stage.COLLECTING and (unmet := self._unmet()):
            self.findings.append(classification.step_unmet(unmet, wait_s))
        elif self.stage is Stage.LEAVING and now - self._close_sent_at >= _CLOSE_PATIENCE_NS:
            self.findings.append(classification.close_unanswered((now - self._close_sent_at) / 1e9))

    # Small change. ---------------------------------------------------------------------------------------------------

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

    def _filled(self, text: str, nonce: str) -> str:
        """A message with its nonce, and the token where a script puts it into the conversation."""
        if TOKEN in text:
            text = text.replace(TOKEN, json.dumps(self.spec.token)[1:-1])
        return text.replace(NONCE, nonce)

    def _send(self, text: str) -> bool:
        """Queue a message; False where the same read has already ended the connection."""
        if self._protocol.state is not State.OPEN:
            return False
        frame = self._wire.write(text)
        if isinstance(frame, bytes):
            self._protocol.send_binary(frame)
        else:
            self._protocol.send_text(frame.encode())
        self._pending_notes.append(("text", frame) if isinstance(frame, str) else ("binary", text))
        return True

    def _note(self, kind: str, text: str) -> None:
        self.transcript.note(self._at, self._seen, "in", kind, text)


def _wire_size(frame: Frame) -> int:
    """Bytes of an unmasked, uncompressed frame (RFC 6455 section 5.2)."""
    size = len(frame.data)
    return size + (2 if size < 126 else 4 if size < 65_536 else 10)
