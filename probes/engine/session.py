"""One probe's conversation, sans-IO: bytes and their times in, bytes out, at last an Outcome (see `verdicts`).

What messages mean is `conversation`'s; sockets, TLS and clocks are the transport's. Every instant is an integer of
nanoseconds on the monotonic scale. A read has three of them: `at`, when the kernel received its last byte; `seen`, when
this process read it; `floor`, before which none of it can have come. A message that ends a read came at `at`; an
earlier message of the same read lies between `floor` and `at`, and its mark keeps that bound where it is wider than
1 ms.

    UPGRADING -> CLAIMING -> PROVING -> COLLECTING -> LEAVING -> DONE

Every stage may skip ahead to LEAVING (our close is sent) or DONE (the findings are complete); none goes back.
"""

from collections.abc import Mapping, Sequence

from websockets.frames import Frame, Opcode
from websockets.protocol import Event, State
from websockets.typing import BytesLike

from probes.engine import classification, messages, steps
from probes.engine.classification import Finding, Phase
from probes.engine.conversation import SHOWN_CHARS, Conversation, Stage
from probes.engine.guardrails import Limits
from probes.engine.outcome import Certificate
from probes.engine.script import TargetSpec
from probes.engine.transcript import Transcript
from probes.engine.upgrade import Upgrade, readable
from probes.engine.wires import WireError

_CLOSE_NORMAL = 1000
_CLOSE_ABNORMAL = 1006
_CLOSE_INVALID_DATA = 1007
_CLOSE_PATIENCE_NS = 250_000_000
_DATA = (Opcode.TEXT, Opcode.BINARY)


class Session(Conversation):
    """The conversation of one probe. Feed it with `received`, `ended`, `tick`; send what `outgoing` returns."""

    def __init__(self, spec: TargetSpec, *, nonce: str, limits: Limits) -> None:
        """Raises ScriptError where the URL is unusable. `begin` starts the clock, so that this is nobody's latency."""
        super().__init__(spec, nonce=nonce, limits=limits)
        self.started = self.late_after = 0
        self.timed_out = False
        """The deadline ended the probe."""
        self.transcript = Transcript()
        self.closed_by = ""
        self.close_code: int | None = None
        self.close_reason = ""
        self.http_status: int | None = None
        self.certificate: Certificate | None = None
        self._pending_notes: list[tuple[str, str]] = []
        self._close_sent_at = 0
        self._bytes = self._frames = self._messages = self._unread = 0
        self._parts: list[bytes | bytearray] = []
        self._parts_kind = "text"
        self._protocol = self.prepared.protocol(limits.message_bytes)
        self._upgrade = Upgrade(self._protocol, self.prepared, limits.header_bytes)

    # What goes in. ---------------------------------------------------------------------------------------------------

    def begin(self, started: int) -> None:
        """Start the clock: `started` in monotonic ns."""
        self.started = self._at = self._seen = self._floor = started
        self.deadline = self.late_after = started + self.prepared.deadline_ns
        self.mark("started", started)

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
    def polite(self) -> bool:
        """Whether the peer is owed a moment to close the connection first."""
        return self.close_code != _CLOSE_ABNORMAL and self._protocol.state is not State.CONNECTING

    @property
    def silent(self) -> bool:
        """Whether there is nothing to send."""
        return not self._protocol.writes

    def outgoing(self, now: int) -> bytes:
        """Everything to send. Call it just before the send call: `now` becomes the mark of what is sent."""
        writes = self._protocol.data_to_send()
        for name in self._pending_marks:
            self.mark(name, now)
            if name == "trigger_sent" and self.prepared.late_ns:
                self.late_after = min(self.deadline, now + self.prepared.late_ns)
        for kind, text in self._pending_notes:
            self.transcript.note(now, now, "out", kind, text)
        self._pending_marks.clear()
        self._pending_notes.clear()
        return writes[0] if len(writes) == 1 else b"".join(writes)

    def release(self) -> None:
        """Let go, once the outcome is taken, of what would else wait for a collection of garbage."""
        self._protocol.release()

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
            self._send_ping(self._nonce.encode())
        self._advance()
        self._take(answer.events)

    # Frames and messages. --------------------------------------------------------------------------------------------

    def _take(self, events: Sequence[Event]) -> None:
        compressed = bool(self._protocol.extensions)
        left = len(events)
        for event in events:
            left -= 1
            if isinstance(event, Frame):
                self._frames += 1
                size = len(event.data)
                # Of an unmasked, uncompressed frame on the wire (RFC 6455 section 5.2).
                self._unread -= size + (2 if size < 126 else 4 if size < 65_536 else 10)
                # What was compressed has another size: there the last frame of a read is what counts.
                last = not left and not self._protocol.reader.buffer if compressed else self._unread == 0
                if event.fin and event.opcode in _DATA and not self._parts:
                    self._parts_kind = "text" if event.opcode is Opcode.TEXT else "binary"
                    self._message(event.data, exact=last)
                else:
                    self._frame(event, exact=last)
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
            self._parts.append(bytes(frame.data))
            if frame.fin:
                data = b"".join(self._parts)
                self._parts.clear()
                self._message(data, exact=exact)

    def _message(self, data: BytesLike, *, exact: bool) -> None:
        if not isinstance(data, bytes | bytearray):
            data = bytes(data)
        try:
            text = data.decode()
        except UnicodeDecodeError as error:
            self._note(self._parts_kind, readable(data[:SHOWN_CHARS]))
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
        if self.stage is Stage.LEAVING:
            return  # the run was over: who hangs up first is no failure
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
        if self.stage is Stage.UPGRADING and self._upgrade.begun:
            self.findings.append(classification.answer_unfinished(wait_s))
        elif self.stage is Stage.UPGRADING:
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

    def _send(self, text: str) -> bool:
        """Queue a message; False where the same read has already ended the connection."""
        if self._protocol.state is not State.OPEN:
            return False
        try:
            frame = self._wire.write(text)
            data = frame.encode() if isinstance(frame, str) else frame
        except (WireError, UnicodeEncodeError) as error:
            field = steps.field_of(self._current, self.spec.script.steps, self.spec.script.trigger)
            self.findings.append(classification.unsendable(field, error, self.phase))
            self._leave()
            return False
        if isinstance(frame, bytes):
            self._protocol.send_binary(data)
        else:
            self._protocol.send_text(data)
        self._pending_notes.append(("text", frame) if isinstance(frame, str) else ("binary", text))
        return True

    def _send_ping(self, payload: bytes) -> bool:
        if self._protocol.state is not State.OPEN:
            return False
        self._protocol.send_ping(payload)
        return True

    def _note(self, kind: str, text: str | bytes) -> None:
        self.transcript.note(self._at, self._seen, "in", kind, text)
