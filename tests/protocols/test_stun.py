"""STUN and TURN: the vectors of RFC 5769, messages of WhatsApp and of classic STUN, streams, and hostile bytes."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forensics.protocols.errors import ProtocolError
from forensics.protocols.stun import (
    ALLOCATE,
    BINDING,
    CHANNEL_BIND,
    ERROR,
    GOOG_PING,
    INDICATION,
    REQUEST,
    SEND,
    SUCCESS,
    Address,
    ChannelData,
    StunMessage,
    class_of,
    looks_like_channel,
    looks_like_stun,
    method_of,
    parse_message,
    parse_stream,
)
from tests.protocols.feeding import feed_three_ways

TRANSACTION = bytes.fromhex("b7e7a701bc34d686fa87dfae")

# RFC 5769, sections 2.1 to 2.4
REQUEST_21 = bytes.fromhex(
    "000100582112a442b7e7a701bc34d686fa87dfae802200105354554e207465737420636c69656e74"
    "002400046e0001ff80290008932ff9b151263b36000600096576746a3a6836765920202000080014"
    "9aeaa70cbfd8cb56781ef2b5b2d3f249c1b571a280280004e57a3bcf"
)
RESPONSE_22 = bytes.fromhex(
    "0101003c2112a442b7e7a701bc34d686fa87dfae8022000b7465737420766563746f722000200008"
    "0001a147e112a643000800142b91f599fd9e90c38c7489f92af9ba53f06be7d780280004c07d4c96"
)
RESPONSE_23 = bytes.fromhex(
    "010100482112a442b7e7a701bc34d686fa87dfae8022000b7465737420766563746f722000200014"
    "0002a1470113a9faa5d3f179bc25f4b5bed2b9d900080014a382954e4be67bf11784c97c8292c275"
    "bfe3ed4180280004c8fb0b4c"
)
REQUEST_24 = bytes.fromhex(
    "000100602112a44278ad3433c6ad72c029da412e00060012e3839ee38388e383aae38383e382afe3"
    "82b900000015001c662f2f3439396b39353464364f4c33346f4c394653547679363473410014000b"
    "6578616d706c652e6f72670000080014f67024656dd64a3e02b8e0712e85c9a28ca89666"
)

# WhatsApp's Allocate as its calls send it: an attribute of 102 bytes, not padded to a multiple of four
WHATSAPP = (
    struct.pack("!HHI", 0x0003, 106, 0x2112A442) + TRANSACTION + struct.pack("!HH", 0x4000, 102) + bytes(102)
)


def message(kind: int, *attributes: tuple[int, bytes], transaction: bytes = TRANSACTION) -> bytes:
    body = b"".join(
        struct.pack("!HH", number, len(value)) + value + bytes(-len(value) % 4)
        for number, value in attributes
    )
    cookie = b"" if len(transaction) == 16 else struct.pack("!I", 0x2112A442)
    return struct.pack("!HH", kind, len(body)) + cookie + transaction + body


def test_sample_request():
    said = parse_message(REQUEST_21)
    assert said == StunMessage(
        type=0x0001,
        method=BINDING,
        message_class=REQUEST,
        classic=False,
        transaction=TRANSACTION,
        attributes=(0x8022, 0x0024, 0x8029, 0x0006, 0x0008, 0x8028),
        truncated=False,
        software=r"STUN\x20test\x20client",
        username=True,
        fingerprint=True,
    )
    assert not said.whatsapp


@pytest.mark.parametrize(
    ("sample", "address"),
    [(RESPONSE_22, "192.0.2.1"), (RESPONSE_23, "2001:db8:1234:5678:11:2233:4455:6677")],
)
def test_sample_responses(sample, address):
    said = parse_message(sample)
    assert (said.method, said.message_class, said.transaction) == (BINDING, SUCCESS, TRANSACTION)
    assert said.mapped == Address(address, 32853)
    assert (said.software, said.fingerprint, said.username) == (r"test\x20vector", True, False)


def test_sample_request_with_long_term_authentication():
    said = parse_message(REQUEST_24)
    assert (said.realm, said.username, said.fingerprint) == ("example.org", True, None)


def test_a_wrong_fingerprint_is_seen():
    assert parse_message(REQUEST_21[:60] + b"x" + REQUEST_21[61:]).fingerprint is False


@pytest.mark.parametrize(
    ("kind", "method", "message_class"),
    [
        # RFC 8489, section 18.1, and RFC 8656, section 17
        (0x0001, BINDING, REQUEST),
        (0x0011, BINDING, INDICATION),
        (0x0101, BINDING, SUCCESS),
        (0x0111, BINDING, ERROR),
        (0x0113, ALLOCATE, ERROR),
        (0x0016, SEND, INDICATION),
        (0x0109, CHANNEL_BIND, SUCCESS),
        (0x0300, GOOG_PING, SUCCESS),
        (0x3EEF, 0xFFF, REQUEST),
    ],
)
def test_method_and_class(kind, method, message_class):
    assert (method_of(kind), class_of(kind)) == (method, message_class)


def xored(address: bytes, port: int, family: int = 1) -> bytes:
    mask = struct.pack("!I", 0x2112A442) + TRANSACTION
    return struct.pack("!BBH", 0, family, port ^ 0x2112) + bytes(
        a ^ b for a, b in zip(address, mask, strict=False)
    )


def test_turn_attributes():
    said = parse_message(
        message(
            0x0103,
            (0x0016, xored(bytes([203, 0, 113, 9]), 50123)),
            (0x000D, struct.pack("!I", 600)),
            (0x0020, xored(bytes([192, 0, 2, 7]), 40000)),
            (0x0001, bytes([0, 1, 0x1F, 0x90, 10, 0, 0, 1])),
        )
    )
    assert (said.relayed, said.lifetime) == (Address("203.0.113.9", 50123), 600)
    assert said.mapped == Address("192.0.2.7", 40000)
    bound = parse_message(message(0x0009, (0x000C, b"\x40\x01\0\0"), (0x0012, xored(bytes(16), 7, 2))))
    assert bound.channel == 0x4001
    assert bound.peer == Address("2112:a442:b7e7:a701:bc34:d686:fa87:dfae", 7) or bound.peer == Address(
        "::", 7
    )
    assert str(Address("::", 7)) == "[::]:7"
    sent = parse_message(message(0x0016, (0x0012, xored(bytes([198, 51, 100, 1]), 9)), (0x0013, b"hello")))
    assert (sent.peer, sent.data) == (Address("198.51.100.1", 9), b"hello")


def test_error_code():
    said = parse_message(
        message(0x0113, (0x0009, b"\0\0\x04\x01Unauthorized"), (0x8023, bytes([0, 1, 0, 9, 192, 0, 2, 9])))
    )
    assert (said.message_class, said.error_code, said.reason) == (ERROR, 401, "Unauthorized")
    assert said.alternate == Address("192.0.2.9", 9)


def test_hostile_text_is_made_printable():
    said = parse_message(message(0x0101, (0x8022, b"\x1b[2J\n"), (0x0014, b"=cmd()")))
    assert said.software == r"\x1b[2J\x0a"
    assert said.realm == "=cmd()"


def test_whatsapp():
    said = parse_message(WHATSAPP)
    assert (said.method, said.attributes, said.whatsapp) == (ALLOCATE, (0x4000,), True)
    assert parse_message(message(0x0800)).whatsapp
    assert parse_message(message(0x0802)).whatsapp
    assert not parse_message(message(0x0810)).whatsapp


def test_classic():
    transaction = bytes(range(16))
    ask = message(0x0001, (0x0003, bytes(4)), transaction=transaction)
    assert parse_message(ask).classic
    assert parse_message(ask).transaction == transaction
    answer = message(0x0101, (0x0001, bytes([0, 1, 0x1F, 0x90, 10, 0, 0, 1])), transaction=transaction)
    assert parse_message(answer).mapped == Address("10.0.0.1", 8080)
    for none in (
        message(0x0003, (0x0003, bytes(4)), transaction=transaction),
        message(0x0001, (0x0020, bytes(8)), transaction=transaction),
    ):
        with pytest.raises(ProtocolError):
            parse_message(none)


def test_cut_by_the_capture():
    for length in range(20, len(REQUEST_21)):
        said = parse_message(REQUEST_21[:length], len(REQUEST_21))
        whole = parse_message(REQUEST_21)
        assert said.truncated
        assert said.attributes == whole.attributes[: len(said.attributes)]
        assert said.software in (None, whole.software)
        assert said.fingerprint is None
    with pytest.raises(ProtocolError):
        parse_message(REQUEST_21[:40])


@pytest.mark.parametrize(
    "none",
    [
        b"",
        bytes(20),
        REQUEST_21 + b"x",
        b"\x80" + REQUEST_21[1:],
        struct.pack("!HHI", 1, 4, 0x2112A442) + TRANSACTION + struct.pack("!HH", 6, 1),
        struct.pack("!HHI", 1, 2, 0x2112A442) + TRANSACTION + b"\0\6",
        message(0x0001, *[(0x0024, b"")] * 65),
    ],
)
def test_what_is_no_message(none):
    with pytest.raises(ProtocolError):
        parse_message(none)


@pytest.mark.parametrize(
    "value", [b"", b"\0", bytes(4), bytes(9), bytes([0, 3, 0, 0, 1, 2, 3, 4]), bytes(21)]
)
def test_addresses_that_are_none(value):
    assert parse_message(message(0x0101, (0x0020, value))).mapped is None


@pytest.mark.parametrize("stream", [REQUEST_21, RESPONSE_23, REQUEST_24, WHATSAPP])
def test_messages_in_a_stream(stream):
    assert feed_three_ways(parse_stream, stream) == (parse_message(stream), len(stream))


def test_channel_frames_in_a_stream():
    frame = struct.pack("!HH", 0x4003, 5) + b"voice" + bytes(3)
    assert feed_three_ways(parse_stream, frame) == (ChannelData(0x4003, b"voice"), 12)
    for none in (b"\x50\0\0\0", b"\x80", b"\0\1\0\0xxxx"):
        with pytest.raises(ProtocolError):
            parse_stream(none)


@settings(max_examples=200)
@given(
    st.sampled_from([REQUEST_21, RESPONSE_22, RESPONSE_23, REQUEST_24, WHATSAPP]),
    st.data(),
)
def test_cut_and_append(valid, data):
    junk = valid[: data.draw(st.integers(0, len(valid)))] + data.draw(st.binary(max_size=40))
    for parse in (parse_message, parse_stream, lambda raw: parse_message(raw, len(raw) + 7)):
        try:
            said = parse(junk)
        except ProtocolError:
            continue
        assert said is None or said


@settings(max_examples=100)
@given(st.lists(st.tuples(st.integers(0, 65535), st.binary(max_size=24)), max_size=8))
def test_any_attributes(attributes):
    raw = message(0x0103, *attributes)
    said = parse_message(raw)
    assert said.attributes == tuple(kind for kind, _ in attributes)
    assert bool(looks(raw)[0])


def looks(*payloads: bytes, port: bool = False):
    head = np.zeros((len(payloads), 32), dtype=np.uint8)
    for row, payload in zip(head, payloads, strict=True):
        row[: len(payload[:32])] = np.frombuffer(payload[:32], np.uint8)
    length = np.array([len(payload) for payload in payloads])
    return looks_like_stun(head, length, stun_port=np.full(len(payloads), port))


def test_what_may_be_stun():
    classic = message(0x0001, (0x0003, bytes(4)), transaction=bytes(16))
    bare = message(0x0001, transaction=bytes(16))
    quic, dns = b"\xc0\0\0\0\1" + bytes(1195), bytes.fromhex("0001010000010000000000000377777707") + bytes(20)
    said = looks(REQUEST_21, WHATSAPP, classic, bare, quic, dns, REQUEST_21 + b"x", b"\0\1\0\0")
    assert said.tolist() == [True, True, True, False, False, False, False, False]
    assert looks(bare, port=True).tolist() == [True]


@pytest.mark.parametrize(
    ("payload", "is_one"),
    [
        (b"\x40\0\0\4abcd", True),
        (b"\x4f\xff\0\5abcde\0\0\0", True),
        (b"\x40\0\0\5abcde", True),
        (b"\x40\0\0\1abcde", False),
        (b"\x40\0\0\6abcde", False),
        (b"\x50\0\0\4abcd", False),
    ],
)
def test_what_may_be_a_channel(payload, is_one):
    head = np.zeros((1, 32), dtype=np.uint8)
    head[0, : len(payload)] = np.frombuffer(payload, np.uint8)
    assert looks_like_channel(head, np.array([len(payload)])).tolist() == [is_one]
