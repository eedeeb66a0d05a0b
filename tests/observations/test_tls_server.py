"""Version, cipher suite and alerts read by array code, held against the parser of whole messages."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forensics.observations.tls_server import (
    CHOICE_BYTES,
    ENCRYPTED,
    UNKNOWN,
    alert_codes,
    alert_level,
    alert_name,
    choice_of,
    choices,
    version_text,
)
from forensics.protocols.errors import ProtocolError
from forensics.protocols.tls_server import RETRY_RANDOM, parse_server_start
from pcaps.generate.tls import record


def hello(legacy=0x0303, cipher=0x1301, random=bytes(range(32)), session=32):
    body = (
        struct.pack("!H", legacy) + random + bytes([session]) + bytes(session) + struct.pack("!HB", cipher, 0)
    )
    return b"\x02" + len(body).to_bytes(3, "big") + body


def one(stream, captured=None):
    head = np.frombuffer(stream[:CHOICE_BYTES].ljust(CHOICE_BYTES, b"\xee"), dtype=np.uint8).reshape(1, -1)
    found = choices(head, np.array([len(stream) if captured is None else captured]))
    return tuple(int(column[0]) for column in found)


@pytest.mark.parametrize("session", [0, 1, 16, 32])
@pytest.mark.parametrize(
    ("legacy", "cipher", "version"),
    [
        (0x0303, 0x1301, 0x0304),
        (0x0303, 0x1303, 0x0304),
        (0x0303, 0xC02F, 0x0303),
        (0x0301, 0x0035, 0x0301),
        (0x0300, 0x0005, 0x0300),
        (0x0303, 0x12FF, 0x0303),
        (0x0303, 0x1400, 0x0303),
    ],
)
def test_a_choice(session, legacy, cipher, version):
    stream = record(22, hello(legacy, cipher, session=session))
    assert one(stream) == (version, cipher, 0, 1)
    parsed = parse_server_start(stream).hello
    assert choice_of(parsed) == (version, cipher, 0)


def test_a_hello_retry_request():
    stream = record(22, hello(random=RETRY_RANDOM))
    assert one(stream) == (0x0304, 0x1301, 1, 1)
    assert choice_of(parse_server_start(stream).hello) == (0x0304, 0x1301, 1)


@pytest.mark.parametrize("captured", range(16, 90))
def test_what_is_not_captured_is_not_read(captured):
    """5 of record, 4 of message, 2 + 32 + 1 + 32 before the cipher suite: 76; it ends at 78."""
    stream = record(22, hello())
    assert one(stream, captured) == ((0x0304, 0x1301, 0, 1) if captured >= 78 else (UNKNOWN,) * 3 + (0,))
    begin = parse_server_start(stream[:captured]).hello
    assert choice_of(begin) == ((0x0304, 0x1301, 0) if captured >= 78 else (UNKNOWN,) * 3)


def test_a_hello_in_two_records_is_left_to_the_parser():
    message = hello()
    stream = record(22, message[:40]) + record(22, message[40:])
    assert one(stream) == (UNKNOWN, UNKNOWN, UNKNOWN, 0)
    assert choice_of(parse_server_start(stream).hello) == (0x0304, 0x1301, 0)


def test_a_session_id_that_is_too_long_is_left_to_the_parser():
    assert one(record(22, hello(session=40))) == (UNKNOWN, UNKNOWN, UNKNOWN, 0)


@given(
    change=st.dictionaries(st.integers(6, 79), st.integers(0, 255), max_size=4),
    end=st.integers(16, 120),
    session=st.integers(0, 32),
    fragment=st.integers(30, 100),
)
def test_what_is_read_is_what_the_parser_reads(change, end, session, fragment):
    """Of a hello with bytes changed anywhere, cut anywhere, in records of any size."""
    message = hello(session=session)
    whole = record(22, message[:fragment]) + (record(22, message[fragment:]) if message[fragment:] else b"")
    stream = bytearray(whole[:end])
    for place, value in change.items():
        if place < len(stream):
            stream[place] = value
    stream = bytes(stream)
    found = one(stream)
    if found[3]:
        try:
            begin = parse_server_start(stream)
        except ProtocolError:
            return  # a later record is broken
        assert found[:3] == choice_of(begin.hello)


@pytest.mark.parametrize(
    ("stream", "name", "level"),
    [
        (record(21, b"\x02\x28"), "handshake_failure", "fatal"),
        (record(21, b"\x01\x70"), "unrecognized_name", "warning"),
        (record(21, b"\x01\x00"), "close_notify", "warning"),
        (record(21, b"\x02\xc8"), "200", "fatal"),
        (record(21, b"\x01\x70\x02\x28"), "unrecognized_name", "warning"),
        (record(21, b"\x02\x28" + bytes(16)), "encrypted", None),
        (record(21, b"\x07\x28"), None, None),
        (record(21, b"\x02\x28")[:6], None, None),
        (record(21, b"\x02\x28")[:5], None, None),
    ],
)
def test_an_alert(stream, name, level):
    """RFC 8446 6; encrypted ones are at least as long as what authenticates them."""
    head = np.frombuffer(stream[:7].ljust(7, b"\x01"), dtype=np.uint8).reshape(1, -1)
    code = int(alert_codes(head, np.array([len(stream)]))[0])
    assert (alert_name(code), alert_level(code)) == (name, level)
    assert (code == ENCRYPTED) == (name == "encrypted")


def test_versions_have_the_names_of_the_parsers():
    assert [version_text(one) for one in (0x0304, 0x0303, 0x0300, UNKNOWN)] == ["1.3", "1.2", "ssl3", None]
