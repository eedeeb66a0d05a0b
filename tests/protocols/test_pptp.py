"""PPTP control messages: RFC 2637 2.1 and 2.2."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forensics.protocols.errors import ProtocolError
from forensics.protocols.pptp import parse_pptp_control
from tests.protocols.feeding import feed_three_ways

MAGIC = b"\x1a\x2b\x3c\x4d"
REQUEST = (156).to_bytes(2, "big") + b"\x00\x01" + MAGIC + b"\x00\x01\x00\x00" + bytes(144)
REPLY = (156).to_bytes(2, "big") + b"\x00\x01" + MAGIC + b"\x00\x02\x00\x00\x01\x00\x01" + bytes(141)


def test_start() -> None:
    assert feed_three_ways(parse_pptp_control, REQUEST[:12], REQUEST[12:]) == (1, None, 156)
    assert feed_three_ways(parse_pptp_control, REPLY[:15], REPLY[15:]) == (2, 1, 156)


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1",
        REQUEST[:4] + b"\x1a\x2b\x3c\x4e" + bytes(8),
        b"\x00\x9d" + REQUEST[2:],
        REQUEST[:9] + b"\x63" + bytes(9),
    ],
)
def test_what_it_is_not(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        parse_pptp_control(data)


@given(st.integers(0, 20), st.binary(max_size=30))
def test_any_other_bytes_are_an_error_or_need_more(cut: int, junk: bytes) -> None:
    with contextlib.suppress(ProtocolError):
        parse_pptp_control(REQUEST[:cut] + junk)
