from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forensics.protocols.errors import ProtocolError
from forensics.protocols.quic_frames import (
    MAX_CRYPTO,
    MAX_FRAMES,
    MAX_GAPS,
    Close,
    CryptoStream,
    error_text,
    parse_frames,
)
from forensics.protocols.tls import parse_client_hello_message
from pcaps.generate.quic_samples import CLIENT_FRAMES, SERVER_FRAMES
from tests.protocols.quic_seal import crypto, varint


def test_frames_of_the_rfc():
    client = parse_frames(CLIENT_FRAMES + bytes(917))
    assert [(offset, len(piece)) for offset, piece in client.crypto] == [(0, 241)]
    assert (client.acks, client.pings, client.close) == (False, False, None)
    hello = parse_client_hello_message(client.crypto[0][1])
    assert hello is not None
    assert (hello.sni, hello.alpn, hello.versions) == ("example.com", ("alpn",), ("1.3",))
    server = parse_frames(SERVER_FRAMES)
    assert [(offset, len(piece)) for offset, piece in server.crypto] == [(0, 90)]
    assert server.acks


def test_a_prefix_that_ends_within_a_frame_is_malformed():
    ends = {0, len(CLIENT_FRAMES)}
    for length in range(len(CLIENT_FRAMES) + 1):
        if length in ends - {0}:
            assert parse_frames(CLIENT_FRAMES[:length]).crypto
        else:
            with pytest.raises(ProtocolError):
                parse_frames(CLIENT_FRAMES[:length])


def test_scattered_frames_of_all_kinds():
    ack = b"\x02" + varint(100) + varint(3) + varint(2) + varint(1) + varint(0) * 4
    ecn = b"\x03" + varint(100) + varint(3) + varint(0) + varint(1) + varint(1) * 3
    payload = b"\x01" + bytes(5) + crypto(70, b"b" * 10) + ack + b"\x01\x00" + crypto(0, b"a" * 70) + ecn
    found = parse_frames(payload)
    assert found.crypto == ((70, b"b" * 10), (0, b"a" * 70))
    assert (found.acks, found.pings, found.close) == (True, True, None)


def test_connection_close():
    plain = b"\x1c" + varint(0x128) + varint(6) + varint(5) + b"no\x1b[m"
    assert parse_frames(plain).close == Close(0x128, application=False, reason="no\\x1b[m")
    application = b"\x1d" + varint(0x10C) + varint(0)
    assert parse_frames(application).close == Close(0x10C, application=True, reason="")
    with pytest.raises(ProtocolError):
        parse_frames(plain[:-1])


def test_names_of_errors():
    assert error_text(0x02) == "connection_refused"
    assert error_text(0x0128) == "crypto_40"
    assert error_text(0x7FFF) == "0x7fff"


def test_frames_that_no_initial_packet_holds_are_refused():
    for kind in (0x04, 0x08, 0x1E, 0x30, 0xFF):
        with pytest.raises(ProtocolError, match=f"type {kind}"):
            parse_frames(bytes([kind]) + bytes(20))
    with pytest.raises(ProtocolError):
        parse_frames(b"")
    with pytest.raises(ProtocolError, match=str(MAX_FRAMES)):
        parse_frames(b"\x01" * (MAX_FRAMES + 1))
    assert parse_frames(b"\x01\x00" * MAX_FRAMES).pings
    with pytest.raises(ProtocolError, match="ranges"):
        parse_frames(b"\x02\x01\x01" + varint(70000) + bytes(50))


@settings(max_examples=200, deadline=None)
@given(st.integers(0, len(CLIENT_FRAMES)), st.binary(max_size=60))
def test_damage_is_one_kind_of_error(keep, junk):
    try:
        found = parse_frames(CLIENT_FRAMES[:keep] + junk)
    except ProtocolError:
        return
    assert all(offset >= 0 for offset, _ in found.crypto)


@settings(max_examples=150, deadline=None)
@given(st.integers(1, 60), st.integers(0, 2**32), st.lists(st.tuples(st.integers(0, 59), st.integers(1, 60))))
def test_pieces_in_any_order_make_the_whole(size, seed, extra):
    whole = bytes(range(1, size + 1))
    order = random.Random(seed)  # noqa: S311 - an order, no secret
    pieces = [(at, at + 1) for at in range(size)] + [(at, at + n) for at, n in extra if at < size]
    order.shuffle(pieces)
    stream = CryptoStream()
    known: set[int] = set()
    for start, stop in pieces:
        stop = min(stop, size)  # noqa: PLW2901 - cut to the stream
        fresh = set(range(start, stop)) - known
        assert stream.add(start, whole[start:stop]) == bool(fresh)
        known |= fresh
        contiguous = next(at for at in range(size + 1) if at not in known)
        assert stream.contiguous() == whole[:contiguous]
    assert stream.contiguous() == whole
    assert not stream.conflict
    assert not stream.overflow


def test_the_first_bytes_are_kept_where_pieces_differ():
    stream = CryptoStream()
    assert stream.add(2, b"cd")
    assert stream.add(0, b"abXYef")
    assert stream.contiguous() == b"abcdef"
    assert stream.conflict


def test_memory_is_bounded():
    stream = CryptoStream()
    assert not stream.add(MAX_CRYPTO - 1, b"ab")
    assert stream.overflow
    assert not stream.add(1 << 61, b"a")
    gaps = CryptoStream()
    for place in range(2 * MAX_GAPS):
        gaps.add(4 * place, b"x")
    assert gaps.overflow
    assert gaps.held < 4 * MAX_GAPS
    # what fills a gap is taken even then
    assert gaps.add(0, b"x" * 4 * MAX_GAPS)
    assert len(gaps.contiguous()) == 4 * MAX_GAPS


def test_bytes_that_were_read_are_forgotten_but_known():
    stream = CryptoStream()
    stream.add(0, b"abcd")
    stream.forget_bytes()
    assert stream.held == 0
    assert stream.contiguous() == b""
    assert not stream.add(1, b"XX")
    assert not stream.conflict
    assert stream.add(3, b"de")
