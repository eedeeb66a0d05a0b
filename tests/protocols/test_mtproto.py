"""MTProto's transports, with the request of a client without a key (core.telegram.org/mtproto/samples-auth_key)."""

from __future__ import annotations

import contextlib
import random
from zlib import crc32

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forensics.protocols.errors import ProtocolError
from forensics.protocols.mtproto import (
    looks_like_mtproto,
    may_be_obfuscated,
    parse_mtproto_answer,
    parse_mtproto_start,
)
from tests.protocols.feeding import feed_three_ways

NONCE = bytes.fromhex("3E0549828CCA27E966B301A48FECE2FC")
MESSAGE = (
    bytes(8)
    + bytes.fromhex("4A967027C47AE551")
    + (20).to_bytes(4, "little")
    + bytes.fromhex("78974660")
    + NONCE
)
RES_PQ = (
    bytes(8)
    + bytes.fromhex("01C8831EC97AE551")
    + (64).to_bytes(4, "little")
    + bytes.fromhex("63241605")
    + bytes(60)
)
ABRIDGED = b"\xef" + bytes([len(MESSAGE) // 4]) + MESSAGE
INTERMEDIATE = b"\xee" * 4 + len(MESSAGE).to_bytes(4, "little") + MESSAGE
PADDED = b"\xdd" * 4 + (len(MESSAGE) + 7).to_bytes(4, "little") + MESSAGE + bytes(7)
_BODY = (len(MESSAGE) + 12).to_bytes(4, "little") + bytes(4) + MESSAGE
FULL = _BODY + crc32(_BODY).to_bytes(4, "little")


@pytest.mark.parametrize(
    ("data", "needed", "transport"),
    [
        (ABRIDGED, 26, "abridged"),
        (INTERMEDIATE, 32, "intermediate"),
        (PADDED, 32, "padded-intermediate"),
        (FULL, 52, "full"),
    ],
)
def test_each_transport(data: bytes, needed: int, transport: str) -> None:
    start = feed_three_ways(parse_mtproto_start, data[:needed], data[needed:])
    assert (start.transport, start.request, start.certain, start.length) == (
        transport,
        "req_pq",
        True,
        len(data),
    )
    assert looks_like_mtproto(data)


def test_with_a_key_one_byte_proves_nothing() -> None:
    start = parse_mtproto_start(b"\xef\x0a" + bytes(range(1, 41)))
    assert start is not None
    assert (start.request, start.certain) == (None, False)
    start = parse_mtproto_start(b"\xee" * 4 + (40).to_bytes(4, "little") + bytes(range(1, 41)))
    assert start is not None
    assert (start.request, start.certain) == (None, True)


def test_long_abridged_length() -> None:
    start = parse_mtproto_start(b"\xef\x7f\x00\x01\x00" + bytes(range(1, 40)))
    assert start is not None
    assert start.packet == 1024


@pytest.mark.parametrize(
    "data",
    [
        b"\xef\x01" + bytes(20),
        b"\xee" * 4 + b"\xff\xff\xff\x7f" + bytes(40),
        b"\xef\x0a" + bytes(8) + bytes(8) + (20).to_bytes(4, "little") + b"what",
        FULL[:-1] + b"\x00" if FULL[-1] else FULL[:-1] + b"\x01",
        b"SSH-2.0-OpenSSH_9.6\r\n",
    ],
)
def test_what_it_is_not(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        parse_mtproto_start(data)


def test_answers() -> None:
    found = parse_mtproto_start(ABRIDGED)
    assert found is not None
    start = found
    whole = bytes([len(RES_PQ) // 4]) + RES_PQ
    assert feed_three_ways(lambda data: parse_mtproto_answer(data, start), whole[:25]) is True
    assert parse_mtproto_answer(b"\x01" + (-404).to_bytes(4, "little", signed=True), start) is True
    assert parse_mtproto_answer(b"HTTP/1.1 200 OK\r\n\r\n", start) is False
    found = parse_mtproto_start(INTERMEDIATE)
    assert found is not None
    assert parse_mtproto_answer(len(RES_PQ).to_bytes(4, "little") + RES_PQ, found) is True


def test_obfuscated_is_only_possible() -> None:
    data = random.Random(7).randbytes(64)  # noqa: S311 - bytes of a test
    assert may_be_obfuscated(data)
    assert not may_be_obfuscated(data[:63])
    for begin in (b"\xef", b"PVrG", b"GET ", b"POST", b"\xee" * 4, b"\x16\x03\x01\x02"):
        assert not may_be_obfuscated(begin + data[len(begin) :])
    assert not may_be_obfuscated(data[:4] + bytes(4) + data[8:])
    assert not may_be_obfuscated(bytes(64))
    assert not may_be_obfuscated(b"an English sentence is as long as this, and not random at all...")


@settings(max_examples=100)
@given(st.sampled_from([ABRIDGED, INTERMEDIATE, PADDED, FULL]), st.integers(0, 60), st.binary(max_size=60))
def test_any_other_bytes_are_an_error_or_need_more(data: bytes, cut: int, junk: bytes) -> None:
    with contextlib.suppress(ProtocolError):
        parse_mtproto_start(data[:cut] + junk)
