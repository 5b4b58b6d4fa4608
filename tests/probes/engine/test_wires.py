"""Frames of every protocol: written as their texts say, read back whatever their splits, and never trusted."""

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.frames import Frame, Opcode

from probes.engine import mqtt, stomp
from probes.engine.messages import Message
from probes.engine.outcome import FailureKind, Outcome
from probes.engine.presets import PRESETS
from probes.engine.script import Script
from probes.engine.wires import WIRES, WireError
from tests.probes.engine.test_session import MS, Conversation
from tests.support.hostile import text_frame

words = st.text(max_size=40)
names = st.text(min_size=1, max_size=20)


@given(st.sampled_from(sorted(WIRES)), st.lists(st.binary(max_size=80), max_size=10))
@settings(deadline=None, max_examples=400)
def test_no_bytes_make_a_wire_raise_anything_but_its_own_error(name: str, frames: list[bytes]) -> None:
    """A server may send what it likes."""
    wire = WIRES[name]()
    try:
        for data in frames:
            for message in wire.read(data.decode(errors="ignore"), data, exact=True):
                wire.reply(message)
                assert isinstance(message.type, str)
    except WireError:
        pass


near = st.one_of(
    st.sampled_from(
        ["{}\x1e", '{"type":3,"invocationId":"x"}\x1e', '0{"sid":"x"}', "2", "40{}", '42/a,7["x"]', "44", "430[1]",
         "CONNECTED\nversion:1.2\n\n\0", "MESSAGE\na\\q:b\n\nx\0\n\0", '["1","1","t","phx_reply",{"status":"ok"}]',
         '{"type":"connection_ack"}', "[]", "[1,2,3,4,5]", "\x1e\x1e", "[" * 3000]
    ),
    words,
)  # fmt: skip


@given(st.sampled_from(sorted(PRESETS)), st.lists(st.one_of(near, st.binary(max_size=60)), max_size=12))
@settings(deadline=None, max_examples=300)
def test_a_probe_of_any_preset_ends_with_an_outcome_whatever_it_hears(name: str, said: list[str | bytes]) -> None:
    """Text and binary frames, legal or not."""
    conversation = Conversation(Script.from_json({"preset": name, "subprotocols": []}))
    conversation.feed(conversation.answer, at=MS)
    for at, each in enumerate(said, 2):
        frame = Frame(Opcode.BINARY, each).serialize(mask=False) if isinstance(each, bytes) else text_frame(each)
        conversation.feed(frame, at=at * MS)
    conversation.session.tick(conversation.session.deadline)
    conversation.session.outgoing(conversation.session.deadline)
    assert conversation.session.done
    outcome = conversation.outcome()
    assert Outcome.from_message(json.loads(json.dumps(outcome.to_message()))) == outcome


@given(topic=names, payload=words, cuts=st.lists(st.integers(0, 10_000), max_size=6), count=st.integers(1, 5))
@settings(deadline=None)
def test_mqtt_packets_come_back_however_frames_cut_them(topic: str, payload: str, cuts: list[int], count: int) -> None:
    """Section 6 of the standard: packets and frames need not agree."""
    payload *= 40  # a length of more than one byte
    data = mqtt.packet({"type": "publish", "topic": topic, "payload": payload}) * count
    places = sorted({cut % (len(data) + 1) for cut in cuts} | {0, len(data)})
    wire = WIRES["mqtt"]()
    found: list[Message] = []
    for start, end in pairwise(places):
        found += wire.read("", data[start:end], exact=True)
    assert [(each.fields or {})["payload"] for each in found] == [payload] * count


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"type": "connect", "client_id": "a"}, "100d00044d5154540402003c000161"),
        (
            {"type": "connect", "client_id": "a", "username": "u", "password": "p", "keep_alive": 0},
            "101300044d51545404c2000000016100017500" + "0170",
        ),
        ({"type": "subscribe", "topic": "a/b", "packet_id": 10, "qos": 1}, "8208000a0003612f6201"),
        ({"type": "publish", "topic": "a/b", "payload": "hi"}, "30070003612f626869"),
        ({"type": "pingreq"}, "c000"),
        ({"type": "disconnect"}, "e000"),
    ],
)
def test_mqtt_packets_are_those_of_the_standard(fields: dict[str, Any], expected: str) -> None:
    """Byte for byte, sections 3.1, 3.3, 3.8, 3.12 and 3.14."""
    assert mqtt.packet(fields).hex() == expected


@pytest.mark.parametrize(
    ("data", "words"),
    [("30ffffffff01", "four bytes"), ("30ffffff7f", "longer than"), ("200100", "malformed"), ("90020001ff05", "")],
)
def test_bytes_that_are_no_mqtt_are_told_apart_from_those_that_have_not_all_come(data: str, words: str) -> None:
    """Lengths without end, packets too long, and packets shorter than they must be."""
    held = bytearray.fromhex(data)
    if words:
        with pytest.raises(ValueError, match=words):
            list(mqtt.packets(held))
    else:
        assert [fields["type"] for fields in mqtt.packets(held)] == ["suback"]
        assert held == bytearray.fromhex("ff05"), "the rest waits for what follows"


@pytest.mark.parametrize(
    ("preset", "frame"),
    [
        ("signalr", text_frame("{}\x1e" * 50_000)),
        ("mqtt", Frame(Opcode.BINARY, b"\xd0\x00" * 50_000).serialize(mask=False)),
        ("stomp", text_frame("X\n\n\0" * 50_000)),
    ],
    ids=["signalr", "mqtt", "stomp"],
)
def test_one_frame_with_no_end_of_messages_is_too_much(preset: str, frame: bytes) -> None:
    """Messages are bounded as frames are."""
    conversation = Conversation(Script.from_json({"preset": preset, "subprotocols": []}))
    conversation.feed(conversation.answer, frame, at=MS)
    assert conversation.outcome().kind is FailureKind.OVERSIZED


@given(st.dictionaries(names, words.filter(lambda text: "\0" not in text), max_size=5), words)
@settings(deadline=None)
def test_stomp_headers_come_back_as_they_were(headers: dict[str, str], body: str) -> None:
    """Colons, line ends and backslashes are escaped; a body is not."""
    headers = {name.replace("\0", "0"): text for name, text in headers.items()}
    body = body.replace("\0", "0").replace("\r", "")
    sent = stomp.frame({"type": "send", "headers": headers, "body": body})
    ((_shown, fields),) = stomp.frames(sent)
    assert fields == {"type": "send", "headers": headers, "body": body}


def test_a_reconnecting_namespace_and_an_id_are_part_of_a_socket_io_packet() -> None:
    """As socket.io-protocol 5 writes them."""
    wire = WIRES["socket.io"]()
    event = {"type": "event", "nsp": "/admin", "id": 12, "data": ["x", 1]}
    assert wire.write(json.dumps(event)) == '42/admin,12["x", 1]'
    (message,) = wire.read('43/admin,12["ok"]', b"", exact=True)
    assert message.fields == {"type": "ack", "nsp": "/admin", "id": 12, "data": ["ok"]}
