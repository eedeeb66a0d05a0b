"""L2TP control messages: RFC 2661 3.1 and 4.1, RFC 3931 3.2.1."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forensics.protocols.errors import ProtocolError
from forensics.protocols.l2tp import looks_like_l2tp, parse_l2tp_control

TYPE = b"\x80\x08\x00\x00\x00\x00\x00"


def control(kind: int, version: int = 2, tunnel: int = 0) -> bytes:
    return bytes([0xC8, version]) + b"\x00\x14" + tunnel.to_bytes(2, "big") + bytes(6) + TYPE + bytes([kind])


def test_messages() -> None:
    assert parse_l2tp_control(control(1)) == (2, 0, 0, 1, 0, 0)
    assert parse_l2tp_control(control(2, tunnel=9)) == (2, 9, 0, 2, 0, 0)
    assert parse_l2tp_control(b"\xc8\x02\x00\x0c\x00\x09\x00\x00\x00\x01\x00\x02") == (2, 9, 0, None, 1, 2)
    assert parse_l2tp_control(control(1, 3)).version == 3
    assert parse_l2tp_control(control(1) + b"junk") == parse_l2tp_control(control(1))


@pytest.mark.parametrize(
    "data",
    [
        control(1)[:-1],
        control(1, 4),
        control(5),
        b"\x40" + control(1)[1:],
        b"",
        control(1).replace(TYPE, b"\x00" + TYPE[1:]),
    ],
)
def test_what_it_is_not(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        parse_l2tp_control(data)


def test_looks() -> None:
    head = np.frombuffer((control(1).ljust(32, b"\0") + bytes(32)), dtype=np.uint8).reshape(-1, 32)
    assert looks_like_l2tp(head, np.array([20, 20])).tolist() == [True, False]


@given(st.integers(0, 20), st.binary(max_size=30))
def test_any_other_bytes_are_an_error(cut: int, junk: bytes) -> None:
    with contextlib.suppress(ProtocolError):
        parse_l2tp_control(control(1)[:cut] + junk)
