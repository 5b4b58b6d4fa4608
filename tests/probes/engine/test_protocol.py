"""The short way through the protocol says what the library's own way says, however the bytes are cut."""

import os
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.client import ClientProtocol
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory
from websockets.frames import Frame, Opcode
from websockets.http11 import Response
from websockets.protocol import Protocol as LibraryProtocol
from websockets.protocol import Side, State
from websockets.typing import Subprotocol
from websockets.uri import parse_uri
from websockets.utils import accept_key

from probes.engine.protocol import Protocol, random_bytes

URI = parse_uri("ws://chat.example/ws")
MOST = 70_000


def protocols() -> tuple[Protocol, ClientProtocol]:
    """Ours and the library's, both open."""
    ours = Protocol(URI, state=State.OPEN, max_size=MOST)
    return ours.fresh(), ClientProtocol(URI, state=State.OPEN, max_size=MOST)


def frames() -> st.SearchStrategy[bytes]:
    """Frames of a server, whole and broken: whatever two bytes of head say."""
    sane = st.builds(
        lambda opcode, data, fin: Frame(opcode, data, fin).serialize(mask=False),
        st.sampled_from([Opcode.TEXT, Opcode.TEXT, Opcode.BINARY]),
        st.one_of(st.binary(max_size=200), st.sampled_from([b"x" * 126, b"y" * 65_535, b"z" * 65_536, b"w" * MOST])),
        st.sampled_from([True, True, True, False]),
    )
    control = st.builds(
        lambda opcode, data: Frame(opcode, data).serialize(mask=False),
        st.sampled_from([Opcode.PING, Opcode.PONG, Opcode.CONT]),
        st.binary(max_size=20),
    )
    closing = st.sampled_from([b"\x88\x02\x03\xe8", b"\x88\x00", b"\x88\x01\x03"])
    masked = st.just(Frame(Opcode.TEXT, b"hello").serialize(mask=True))
    return st.one_of(sane, sane, sane, control, closing, masked, st.binary(min_size=1, max_size=12))


@given(st.lists(frames(), min_size=1, max_size=6), st.data())
def test_it_finds_the_frames_that_the_library_finds(parts: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(parts)
    cuts = data.draw(st.lists(st.integers(0, len(stream)), max_size=6))
    ours, library = protocols()
    for start, end in pairwise(sorted({0, len(stream), *cuts})):
        for protocol in (ours, library):
            protocol.receive_data(stream[start:end])
        assert ours.events_received() == library.events_received()
        assert ours.state is library.state
        assert type(ours.parser_exc) is type(library.parser_exc)
        assert ours.close_rcvd == library.close_rcvd
        assert len(ours.data_to_send()) == len(library.data_to_send())


@given(st.binary(max_size=300), st.sampled_from([Opcode.TEXT, Opcode.BINARY, Opcode.PING]))
def test_what_it_sends_is_what_a_server_reads(payload: bytes, opcode: Opcode) -> None:
    ours, _library = protocols()
    server = LibraryProtocol(Side.SERVER)
    data = payload[:125] if opcode is Opcode.PING else payload
    ours.send_frame(Frame(opcode, data))
    server.receive_data(b"".join(ours.data_to_send()))
    assert server.events_received() == [Frame(opcode, data)]
    assert server.parser_exc is None


def answer(key: str, *more: str) -> bytes:
    lines = ("HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade")
    return "\r\n".join((*lines, f"Sec-WebSocket-Accept: {accept_key(key)}", *more, "", "")).encode()


def fresh(*offered: str) -> Protocol:
    names = [Subprotocol(name) for name in offered] or None
    return Protocol(URI, subprotocols=names, max_size=MOST).fresh()


def opened(protocol: Protocol, head: bytes) -> bool:
    """Whether the answer is known to be valid; if not, whether the library finds it so, and then it is remembered."""
    if protocol.recall(head, b"") is not None:
        return True
    protocol.receive_data(head)
    (response,) = protocol.events_received()
    assert isinstance(response, Response)
    if protocol.handshake_exc is None:
        protocol.remember(head, {name.lower(): value for name, value in response.headers.raw_items()})
    return False


def test_an_answer_that_was_valid_once_is_known_again_with_what_it_said() -> None:
    said = ("Sec-WebSocket-Protocol: chat", "Readiness-Strategy: immediate", "X-Test: known again")
    first, second = fresh("chat"), fresh("chat")
    assert not opened(first, answer(first.key, *said))
    known = second.recall(answer(second.key, *said), b"\x81\x02hi\x81\x03cut")
    assert known is not None
    result, events = known
    assert second.state is State.OPEN
    assert (second.subprotocol, result.headers["readiness-strategy"]) == ("chat", "immediate")
    assert events == [Frame(Opcode.TEXT, b"hi"), Frame(Opcode.TEXT, b"cut")]


def test_an_answer_to_another_key_is_never_taken_for_one_that_was_valid() -> None:
    first, second = fresh(), fresh()
    assert not opened(first, answer(first.key, "X-Test: another key"))
    assert second.recall(answer(first.key, "X-Test: another key"), b"") is None
    assert second.recall(answer(second.key, "X-Test: another key").replace(b"Accept: ", b"Accept: \0"), b"") is None
    assert second.state is State.CONNECTING


def test_an_answer_is_known_only_to_those_who_offered_the_same() -> None:
    """A subprotocol that was offered once is unasked the next time."""
    first, second = fresh("chat"), fresh("other")
    assert not opened(first, answer(first.key, "Sec-WebSocket-Protocol: chat"))
    assert not opened(second, answer(second.key, "Sec-WebSocket-Protocol: chat"))
    assert second.handshake_exc is not None


def test_where_compression_is_offered_every_answer_is_read_anew() -> None:
    protocol = Protocol(URI, extensions=[ClientPerMessageDeflateFactory()], max_size=MOST).fresh()
    head = answer(protocol.key, "Sec-WebSocket-Extensions: permessage-deflate")
    protocol.receive_data(head)
    protocol.events_received()
    protocol.remember(head, {})
    again = Protocol(URI, extensions=[ClientPerMessageDeflateFactory()], max_size=MOST).fresh()
    assert again.recall(answer(again.key, "Sec-WebSocket-Extensions: permessage-deflate"), b"") is None


def test_a_fresh_protocol_shares_nothing_that_a_conversation_changes() -> None:
    first = Protocol(URI, max_size=MOST)
    before = {name: repr(value) for name, value in vars(first).items() if name != "parser"}
    second = first.fresh()
    assert second.key != first.key
    assert not opened(second, answer(second.key, "X-Test: shares nothing"))
    second.receive_data(b"\x01\x02hi\x80\x02ho\x89\x00\x88\x02\x03\xe8")
    second.receive_eof()
    assert {name: repr(value) for name, value in vars(first).items() if name != "parser"} == before


def test_random_bytes_differ_in_a_child_process() -> None:
    """A child has a copy of its parent's memory: it must not use the bytes that its parent will use."""
    random_bytes(1)
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.write(writing, random_bytes(16))
        os._exit(0)
    os.waitpid(child, 0)
    theirs = os.read(reading, 16)
    os.close(reading)
    os.close(writing)
    assert theirs != random_bytes(16)


@pytest.mark.parametrize("count", [4, 16, 4096])
def test_random_bytes_come_in_the_length_asked_for_and_never_twice(count: int) -> None:
    taken = [random_bytes(count) for _ in range(600)]
    assert {len(each) for each in taken} == {count}
    assert len(set(taken)) == len(taken)
