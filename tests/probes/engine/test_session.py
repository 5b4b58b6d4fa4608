"""The conversation, sans-IO: the same bytes give the same outcome, however they are split."""

import gc
import json
import weakref
import zlib
from collections.abc import Iterator

from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.frames import Frame, Opcode
from websockets.utils import accept_key

from probes.engine.guardrails import Limits
from probes.engine.outcome import FailureKind, Outcome
from probes.engine.script import Script, TargetSpec
from probes.engine.session import Session
from probes.engine.verdicts import outcome_of
from tests.support.chat_server import READY, run_of
from tests.support.hostile import text_frame

NONCE = "0123456789abcdef"
MS = 1_000_000
SPEC = TargetSpec(1, "t", "ws://server.example/chat", 2.0)
CLOSE_1000 = Frame(Opcode.CLOSE, b"\x03\xe8").serialize(mask=False)


class Conversation:
    """A session, and a server's bytes for it."""

    def __init__(self, script: Script | None = None) -> None:
        spec = TargetSpec(1, "t", SPEC.url, SPEC.deadline_s, script or Script())
        self.session = Session(spec, nonce=NONCE, limits=Limits())
        self.session.begin(0)
        self.session.mark("dns_done", 0)
        self.session.mark("tcp_done", 0)
        self.session.open()
        request = self.session.outgoing(0).decode()
        key = next(line.split(": ")[1] for line in request.split("\r\n") if line.startswith("Sec-WebSocket-Key"))
        self.answer = (
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Accept: {accept_key(key)}\r\nReadiness-Strategy: immediate\r\n\r\n"
        ).encode()

    def good(self) -> list[bytes]:
        """What a good server says: before our message, after it, and after our close."""
        events = b"".join(text_frame(json.dumps(event)) for event in run_of(NONCE))
        return [self.answer + text_frame(json.dumps(READY)), events, CLOSE_1000]

    def feed(self, *pieces: bytes, at: int) -> None:
        """Take reads that all came at one instant, and let the session answer."""
        for piece in pieces:
            self.session.received(piece, at, at, at)
            self.session.outgoing(at)

    def outcome(self) -> Outcome:
        return outcome_of(self.session, kernel=True)


def split(data: bytes, cuts: list[int]) -> Iterator[bytes]:
    """`data` cut at positions taken modulo its length."""
    places = sorted({cut % (len(data) + 1) for cut in cuts} - {0, len(data)})
    for start, end in zip([0, *places], [*places, len(data)], strict=True):
        yield data[start:end]


def whole() -> Outcome:
    """The outcome where every part comes in one read."""
    conversation = Conversation()
    for turn, part in enumerate(conversation.good(), 1):
        conversation.feed(part, at=turn * MS)
    return without_key(conversation.outcome())


def without_key(outcome: Outcome) -> Outcome:
    """The outcome without its transcript's handshake, whose key is random."""
    fields = outcome.to_message()
    fields["frames"] = [frame for frame in fields["frames"] if frame["kind"] not in ("request", "response")]
    return Outcome.from_message(fields)


def test_a_good_conversation_is_ok() -> None:
    """The reference of the tests below."""
    outcome = whole()
    assert outcome.ok
    assert outcome.marks["upgraded"] == outcome.marks["claimed"] == 1000
    assert outcome.marks["ready"] == 2000
    assert outcome.marks["closed"] == 3000


def test_a_split_at_every_single_position_changes_nothing() -> None:
    """Each part cut in two, at each of its bytes."""
    expected = whole()
    lengths = [len(part) for part in Conversation().good()]
    for index, length in enumerate(lengths):
        for cut in range(1, length):
            conversation = Conversation()
            for turn, part in enumerate(conversation.good()):
                pieces = split(part, [cut]) if turn == index else [part]
                conversation.feed(*pieces, at=(turn + 1) * MS)
            assert without_key(conversation.outcome()) == expected, (index, cut)


@given(st.lists(st.lists(st.integers(0, 5000), max_size=30), min_size=3, max_size=3))
@settings(deadline=None, max_examples=60)
def test_any_splitting_gives_the_same_outcome(cuts: list[list[int]]) -> None:
    """Many cuts at once, in all parts."""
    conversation = Conversation()
    for turn, (part, places) in enumerate(zip(conversation.good(), cuts, strict=True), 1):
        conversation.feed(*split(part, places), at=turn * MS)
    assert without_key(conversation.outcome()) == whole()


@given(
    st.lists(st.binary(max_size=200), max_size=20),
    st.booleans(),
    st.sampled_from([Script(), Script(claimed="upgrade"), Script(claimed="pong"), Script(events=(), trigger="")]),
)
@settings(deadline=None, max_examples=300)
def test_arbitrary_bytes_never_raise_and_always_end(chunks: list[bytes], upgraded: bool, script: Script) -> None:
    """Whatever comes, the session ends at the deadline with an outcome."""
    conversation = Conversation(script)
    if upgraded:
        conversation.feed(conversation.answer, at=MS)
    conversation.feed(*chunks, at=2 * MS)
    conversation.session.tick(conversation.session.deadline)
    conversation.session.outgoing(conversation.session.deadline)
    assert conversation.session.done
    outcome = conversation.outcome()
    assert outcome.ok == (outcome.kind is None)
    assert Outcome.from_message(json.loads(json.dumps(outcome.to_message()))) == outcome


frames = st.builds(
    lambda opcode, data, fin: Frame(opcode, data, fin),
    st.sampled_from([Opcode.TEXT, Opcode.BINARY, Opcode.CONT, Opcode.PING, Opcode.PONG, Opcode.CLOSE]),
    st.one_of(
        st.binary(max_size=100),
        st.sampled_from([b"\x03\xe8", b'{"type": "connection_ready", "nonce": "x"}', b'{"type": "error"}']),
        st.sampled_from([json.dumps(event).encode() for event in run_of(NONCE)]),
    ),
    st.booleans(),
)


@given(st.lists(frames, max_size=30), st.booleans())
@settings(deadline=None, max_examples=300)
def test_arbitrary_frames_never_raise_and_always_end(sequence: list[Frame], at_once: bool) -> None:
    """Frames in any order, legal or not, in one read or one by one."""
    conversation = Conversation()
    data = []
    for frame in sequence:
        frame.fin = frame.fin or frame.opcode in (Opcode.PING, Opcode.PONG, Opcode.CLOSE)
        frame.data = frame.data[:125]
        data.append(frame.serialize(mask=False))
    pieces = [conversation.answer, *data]
    conversation.feed(*([b"".join(pieces)] if at_once else pieces), at=MS)
    conversation.session.ended(None, 2 * MS)
    conversation.session.outgoing(2 * MS)
    assert conversation.session.done
    assert conversation.outcome().close_code is not None or not conversation.outcome().ok


def test_a_message_that_shares_its_read_is_flagged_where_its_time_is_unknown() -> None:
    """The kernel knows the last byte's time alone: the first event may have come anywhere since the read before."""
    flagged = Conversation()
    before, events, _ = flagged.good()
    flagged.feed(before, at=MS)
    flagged.session.received(events, 52 * MS, 52 * MS, 2 * MS)
    assert flagged.outcome().flagged

    known = Conversation()
    before, events, _ = known.good()
    known.feed(before, at=MS)
    known.session.received(events, 52 * MS, 52 * MS, 52 * MS - 900_000)
    assert not known.outcome().flagged


def test_the_claim_is_flagged_too_where_it_shares_its_read_with_the_101() -> None:
    """Each mark of a conversation keeps its bound."""
    conversation = Conversation()
    before, *_ = conversation.good()
    conversation.session.received(before, 52 * MS, 52 * MS, 2 * MS)
    assert conversation.outcome().flagged


def test_lag_spoils_what_this_process_read_itself_and_nothing_else() -> None:
    """A kernel mark is as true as ever; a mark of a loop that was away is not."""
    conversation = Conversation()
    for turn, part in enumerate(conversation.good(), 1):
        conversation.feed(part, at=turn * MS)
    session = conversation.session
    assert not outcome_of(session, kernel=True, lag_us=6_000).flagged
    assert outcome_of(session, kernel=False, lag_us=6_000).flagged
    assert outcome_of(session, kernel=False, lag_us=1_500).flagged, "more than a tenth of the race window of 1 ms"
    assert not outcome_of(session, kernel=False, lag_us=900).flagged


def test_an_event_that_came_before_our_message_was_sent_proves_nothing() -> None:
    """In the same read as the claim: it answers something else, though its number counts."""
    conversation = Conversation()
    stray = {"type": "agent_started", "epoch": "e1", "seq": 1}
    conversation.feed(conversation.good()[0] + text_frame(json.dumps(stray)), at=MS)
    conversation.session.tick(conversation.session.deadline)
    outcome = conversation.outcome()
    assert outcome.kind is FailureKind.FALSE_READY
    assert "ready" not in outcome.marks


def test_a_message_that_ends_its_read_is_never_flagged() -> None:
    """Its last byte is the read's last byte."""
    conversation = Conversation()
    before, *_ = conversation.good()
    conversation.session.received(conversation.answer, MS, MS, 0)
    conversation.session.received(before[len(conversation.answer) :], 90 * MS, 90 * MS, MS)
    assert not conversation.outcome().flagged


def test_an_answer_that_comes_after_the_deadline_proves_nothing() -> None:
    """Bytes that a late loop still finds in the kernel are judged by the kernel's time."""
    conversation = Conversation()
    before, events, _ = conversation.good()
    conversation.feed(before, at=MS)
    late = conversation.session.deadline + MS
    conversation.feed(events, at=late)
    conversation.session.tick(late)
    assert conversation.outcome().kind is FailureKind.FALSE_READY


def test_events_read_after_the_deadline_are_late_not_lost() -> None:
    """What was on its way is worth naming."""
    conversation = Conversation()
    before, events, _ = conversation.good()
    first = len(text_frame(json.dumps(run_of(NONCE)[0])))
    conversation.feed(before, at=MS)
    conversation.feed(events[:first], at=2 * MS)
    conversation.feed(events[first:], at=conversation.session.deadline + MS)
    conversation.session.tick(conversation.session.deadline + MS)
    outcome = conversation.outcome()
    assert outcome.kind is FailureKind.EVENT_LATE
    assert outcome.events.delivered == 1


def test_the_deadline_of_a_prober_that_stood_still_is_not_the_targets_fault() -> None:
    """A loop that was away for most of the probe's time cannot judge."""
    conversation = Conversation()
    conversation.session.tick(conversation.session.deadline)
    outcome = outcome_of(conversation.session, kernel=True, lag_us=1_500_000)
    assert outcome.kind is FailureKind.PROBE_ERROR
    assert outcome.also == (FailureKind.UPGRADE_TIMEOUT,)


def test_a_claimed_number_as_large_as_you_like_costs_nothing() -> None:
    """The numbers that are missing are never listed one by one."""
    conversation = Conversation()
    before, *_ = conversation.good()
    conversation.feed(before, at=MS)
    events = run_of(NONCE)
    events[-1]["seq"] = events[-1]["last_seq"] = 2**60
    conversation.feed(*(text_frame(json.dumps(event)) for event in events), at=2 * MS)
    assert conversation.outcome().kind is FailureKind.EVENT_LOST


def test_a_compressed_message_that_ends_its_read_is_never_flagged() -> None:
    """Its size on the wire is not the size of what it unpacks to."""
    conversation = Conversation(Script(compression=True))
    agreed = b"\r\nSec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover\r\n\r\n"
    conversation.session.received(conversation.answer.replace(b"\r\n\r\n", agreed), MS, MS, 0)
    packed = zlib.compressobj(wbits=-15)
    data = packed.compress(json.dumps({**READY, "mode": "n" * 500}).encode()) + packed.flush(zlib.Z_SYNC_FLUSH)
    frame = bytearray(Frame(Opcode.TEXT, data[:-4]).serialize(mask=False))
    frame[0] |= 0x40  # RSV1: compressed, RFC 7692 section 6
    conversation.session.received(bytes(frame), 90 * MS, 90 * MS, MS)
    assert "claimed" in conversation.session.marks
    assert not conversation.outcome().flagged


def test_a_server_that_closes_behind_its_last_event_has_done_nothing_wrong() -> None:
    """Both in one read: its close answers itself before ours is sent, and the run was complete."""
    conversation = Conversation()
    opened, events, _ = conversation.good()
    conversation.feed(opened, at=MS)
    conversation.feed(events + Frame(Opcode.CLOSE, b"\x03\xf4done").serialize(mask=False), at=2 * MS)
    outcome = conversation.outcome()
    assert outcome.ok, outcome
    assert (outcome.close_code, outcome.close_reason, outcome.closed_by) == (1012, "done", "peer")


def test_a_session_that_was_released_goes_without_a_collection_of_garbage() -> None:
    """Else what a hostile server sent would stay: the parser that refused it, and its traceback, hold the protocol."""
    conversation = Conversation()
    conversation.feed(conversation.answer, b"\x83\x7e\x40\x00" + b"x" * 16_384, at=MS)
    assert conversation.outcome().kind is FailureKind.PROTOCOL_ERROR
    gone = weakref.ref(conversation.session._protocol)
    gc.disable()
    try:
        conversation.session.release()
        del conversation
        assert gone() is None
    finally:
        gc.enable()
