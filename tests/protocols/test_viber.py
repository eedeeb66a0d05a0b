"""Viber's marks, as nDPI's dissector describes them."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forensics.protocols.errors import ProtocolError
from forensics.protocols.viber import looks_like_viber, parse_viber_message
from tests.protocols.feeding import feed_three_ways

REQUEST = b"\x18\x00\x00\x00\x00\x00\xfc\xff\x05\x80\x09" + bytes(13)
ANSWER = b"\x20\x00\xed\x03\x03\x80\x00\x00\x00\x00\x0a" + bytes(21)


def test_messages() -> None:
    assert feed_three_ways(parse_viber_message, REQUEST[:11], REQUEST[11:]) == (False, 24)
    assert feed_three_ways(parse_viber_message, ANSWER[:11], ANSWER[11:]) == (True, 32)


@pytest.mark.parametrize(
    "data", [bytes(11), b"\x0a" + REQUEST[1:], REQUEST[:6] + b"\xfd" + REQUEST[7:], b"GET / HTTP/1.1"]
)
def test_what_it_is_not(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        parse_viber_message(data)


def test_datagrams() -> None:
    heads = [
        b"\xed\xf6\x01\x00\x05\x00",
        b"\xed\xf6\x09\x00",
        b"\xed\xf6\x19\x00",
        b"\xed\xf6\x1a\x00",
        b"\xed\xf6\x77\x00",
    ]
    head = np.frombuffer(b"".join(text.ljust(32, b"\x01") for text in heads), dtype=np.uint8).reshape(-1, 32)
    length = np.array([257, 20, 34, 20, 34])
    at = np.ones(5, dtype=np.bool_)
    assert looks_like_viber(head, length, at).tolist() == [True, True, True, True, False]
    assert not looks_like_viber(head, length, ~at).any()
    assert not looks_like_viber(head, length + 1, at)[1:].any()


@given(st.binary(max_size=40))
def test_any_other_bytes_are_an_error_or_need_more(data: bytes) -> None:
    with contextlib.suppress(ProtocolError):
        parse_viber_message(data)
