"""IKE headers of both versions, with scapy as the other side."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forensics.protocols.errors import ProtocolError
from forensics.protocols.ike import looks_like_esp, looks_like_ike, parse_ike

MINE, THEIRS = b"initiate", b"respond!"


def header(  # noqa: PLR0913 - the fields of a header
    payload: int, major: int, exchange: int, flags: int, body: bytes, responder: bytes = bytes(8)
) -> bytes:
    """RFC 7296 3.1."""
    head = MINE + responder + bytes([payload, major << 4, exchange, flags]) + bytes(4)
    return head + (28 + len(body)).to_bytes(4, "big") + body


NOTIFY = b"\x00\x00\x00\x08\x00\x00\x40\x06"  # COOKIE, RFC 7296 3.10
NONCE = b"\x29\x00\x00\x14" + bytes(16)
INIT = header(40, 2, 34, 0x08, NONCE + NOTIFY)
ANSWER = header(41, 2, 34, 0x20, b"\x00\x00\x00\x08\x00\x00\x00\x0e", THEIRS)
MAIN = header(1, 1, 2, 0, b"\x00\x00\x00\x10" + bytes(12))


def test_version_2() -> None:
    message = parse_ike(INIT)
    assert (message.major, message.exchange, message.opens, message.notify) == (2, 34, True, (16390,))
    answer = parse_ike(ANSWER)
    assert (answer.response, answer.opens, answer.notify, answer.responder) == (True, False, (14,), THEIRS)


def test_version_1() -> None:
    message = parse_ike(MAIN)
    assert (message.major, message.opens, message.response, message.initiator) == (1, True, False, MINE)
    assert parse_ike(header(1, 1, 2, 0, b"", THEIRS)).response
    informational = header(11, 1, 5, 0, b"\x00\x00\x00\x0c\x00\x00\x00\x01\x01\x00\x00\x0e")  # RFC 2408 3.14
    assert parse_ike(informational).notify == (14,)


def test_marker() -> None:
    assert parse_ike(bytes(4) + INIT) == parse_ike(INIT)._replace(marker=True)


def test_trailing_bytes_change_nothing_and_missing_ones_do() -> None:
    assert parse_ike(INIT + b"junk") == parse_ike(INIT)
    for length in range(len(INIT)):
        with pytest.raises(ProtocolError):
            parse_ike(INIT[:length])


@pytest.mark.parametrize(
    "data",
    [
        header(1, 3, 34, 0, b""),
        header(1, 2, 2, 0, b""),
        header(1, 1, 34, 0, b""),
        bytes(40),
        bytes(8) + INIT[8:],
        INIT[:27] + b"\x01" + INIT[28:],
    ],
)
def test_what_it_is_not(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        parse_ike(data)


def test_looks() -> None:
    messages = [INIT, bytes(4) + INIT, MAIN, b"\x12\x34\x56\x78\x00\x00\x00\x01" + b"\xaa" * 32]
    head = np.frombuffer(b"".join(data[:32].ljust(32, b"\0") for data in messages), dtype=np.uint8).reshape(
        -1, 32
    )
    length = np.array([len(data) for data in messages])
    assert looks_like_ike(head, length).tolist() == [True, True, True, False]
    assert looks_like_esp(head, length).tolist() == [False, False, False, True]


@settings(max_examples=100)
@given(st.integers(0, 60), st.binary(max_size=60))
def test_any_other_bytes_are_an_error(cut: int, junk: bytes) -> None:
    with contextlib.suppress(ProtocolError):
        parse_ike(INIT[:cut] + junk)
