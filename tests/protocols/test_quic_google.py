from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forensics.protocols.errors import ProtocolError
from forensics.protocols.quic import version_text
from forensics.protocols.quic_google import (
    looks_like_google,
    parse_google_frames,
    parse_google_long,
    parse_google_message,
    parse_google_packet,
)
from tests.protocols.feeding import feed_three_ways
from tests.protocols.quic_seal import varint

CID = bytes.fromhex("9370e15e7c446d08")
HASH = bytes(range(12))


def message(tag: bytes, *values: tuple[bytes, bytes]) -> bytes:
    """The wire format of "QUIC Crypto": a tag, how many values, an index of tags and ends, and the values."""
    index, body = b"", b""
    for name, value in values:
        body += value
        index += name.ljust(4, b"\0") + len(body).to_bytes(4, "little")
    return tag.ljust(4, b"\0") + len(values).to_bytes(2, "little") + b"\0\0" + index + body


CHLO = message(
    b"CHLO", (b"PAD", b"-" * 300), (b"SNI", b"WWW.Example.com"), (b"VER", b"Q043"), (b"UAID", b"Chrome/62 x")
)


def public(version: bytes, frames: bytes, number: bytes = b"\x01", flags: int = 0x09) -> bytes:
    return bytes([flags]) + CID + version + number + HASH + frames


def stream_frame(piece: bytes, offset: int = 0, order: str = "big") -> bytes:
    # type 1fdoooss: length of data is there, two bytes of offset where there is one, one byte of stream
    kind = 0x80 | 0x20 | (0x04 if offset else 0)
    place = offset.to_bytes(2, "big" if order == "big" else "little") if offset else b""
    return bytes([kind, 1]) + place + len(piece).to_bytes(2, "big" if order == "big" else "little") + piece


def test_hello_of_q043():
    datagram = public(b"Q043", stream_frame(CHLO) + bytes(50))
    packet = parse_google_packet(datagram)
    assert (packet.kind, version_text(packet.version), packet.cid) == ("version", "Q043", CID)
    pieces = parse_google_frames(datagram, packet.frames_at, packet.version)
    assert pieces == ((0, CHLO),)
    found = parse_google_message(pieces[0][1])
    assert found is not None
    assert found.tag == "CHLO"
    assert found.sni == "www.example.com"
    assert found.text("VER") == "Q043"
    assert found.text("UAID") == "Chrome/62\\x20x"
    assert found.text("NONC") is None


def test_before_q039_numbers_are_little_endian():
    datagram = public(b"Q035", stream_frame(CHLO, order="little"), number=b"\x01\x00", flags=0x1D)
    packet = parse_google_packet(datagram)
    assert parse_google_frames(datagram, packet.frames_at, packet.version) == ((0, CHLO),)


def test_before_q034_a_byte_of_private_flags_comes_first():
    datagram = public(b"Q025", b"\x01" + stream_frame(CHLO, order="little"), flags=0x0D)
    packet = parse_google_packet(datagram)
    assert parse_google_frames(datagram, packet.frames_at, packet.version) == ((0, CHLO),)


def test_hello_of_q046():
    # long header with a packet number of four bytes, an id of eight bytes to the server and none back
    datagram = b"\xc3Q046\x50" + CID + b"\0\0\0\x01" + HASH + stream_frame(CHLO) + bytes(100)
    packet = parse_google_long(datagram)
    assert (version_text(packet.version), packet.cid, packet.frames_at) == ("Q046", CID, 30)
    assert parse_google_frames(datagram, packet.frames_at, packet.version) == ((0, CHLO),)
    answer = b"\xc0Q046\x05" + CID + b"\x01" + HASH
    assert parse_google_long(answer).cid == CID
    for length in range(30 - 12):
        with pytest.raises(ProtocolError):
            parse_google_long(datagram[:length])


def test_crypto_and_other_frames_of_q050():
    # ACK as a Q050 server sent it in a capture of the nDPI project: 40 01 244a 01 00
    ack = bytes.fromhex("4001244a0100")
    ranges = bytes([0x60, 9, 0, 1, 2, 1]) + bytes([1, 1, 1, 1]) + bytes([2, 0, 0, 0, 0, 0, 1, 0, 1])
    frames = ack + ranges + b"\x08" + varint(0) + varint(10) + CHLO[:10] + b"\x07\x04" + bytes(12) + b"\0\0"
    assert parse_google_frames(frames, 0, 0x51303530) == ((0, CHLO[:10]),)


def test_a_stream_that_is_not_the_handshake_is_left_out():
    other = bytes([0xA0, 3, 0, 4]) + b"abcd"
    assert parse_google_frames(other + stream_frame(b"xy", 7), 0, 0x51303433) == ((7, b"xy"),)


def test_message_in_three_ways():
    assert feed_three_ways(parse_google_message, CHLO).sni == "www.example.com"


def test_messages_that_are_none():
    with pytest.raises(ProtocolError, match="tag"):
        parse_google_message(b"\x16\x03\x01\x02")
    with pytest.raises(ProtocolError, match="values"):
        parse_google_message(b"CHLO\xff\x00\0\0")
    disorder = message(b"CHLO", (b"SNI", b"abc"), (b"VER", b""))
    disorder = disorder[:20] + b"\x01" + disorder[21:]
    with pytest.raises(ProtocolError, match="order"):
        parse_google_message(disorder)


def test_server_packets():
    negotiation = b"\x09" + CID + b"Q046Q043Q039"
    packet = parse_google_packet(negotiation)
    assert [version_text(version) for version in packet.versions] == ["Q046", "Q043", "Q039"]
    assert parse_google_packet(b"\x0a" + CID + message(b"PRST")).kind == "reset"
    assert parse_google_packet(b"\x00\x02" + HASH).kind == "data"
    assert parse_google_packet(b"\x04" + bytes(32) + b"\x01" + HASH + b"x").kind == "data"
    with pytest.raises(ProtocolError):
        parse_google_packet(b"\x0d" + CID)
    with pytest.raises(ProtocolError):
        parse_google_packet(b"")


def test_first_bytes():
    samples = [
        public(b"Q043", CHLO),
        public(b"Q035", CHLO, flags=0x0D),
        b"\x0c" + CID + b"\x01" + HASH + bytes(9),  # no version
        public(b"QXYZ", CHLO),
        public(b"Q043", b"")[:20],
    ]
    head = np.zeros((len(samples), 32), dtype=np.uint8)
    for row, sample in zip(head, samples, strict=True):
        row[: len(sample[:32])] = np.frombuffer(sample[:32], dtype=np.uint8)
    length = np.array([len(sample) for sample in samples], dtype=np.int64)
    assert looks_like_google(head, length).tolist() == [True, True, False, False, False]


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 420), st.binary(max_size=60), st.booleans())
def test_damage_is_one_kind_of_error(keep, junk, long):
    whole = b"\xc3Q046\x50" + CID + b"\0\0\0\x01" + HASH if long else public(b"Q043", b"")
    data = (whole + stream_frame(CHLO))[:keep] + junk
    try:
        packet = parse_google_long(data) if long else parse_google_packet(data)
        pieces = parse_google_frames(data, packet.frames_at, packet.version)
        for _, piece in pieces:
            parse_google_message(piece)
    except ProtocolError:
        return
