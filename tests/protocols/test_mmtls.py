"""MMTLS records, from the description in Citizen Lab's report of 2024."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forensics.protocols.errors import ProtocolError
from forensics.protocols.mmtls import looks_like_mmtls, parse_mmtls_hello
from tests.protocols.feeding import feed_three_ways

CLIENT = bytes.fromhex("16f10400a10000009d0104f101") + bytes(150)
SERVER = bytes.fromhex("16f103007a000000760203f1c02b") + bytes(110)


def test_hellos() -> None:
    assert feed_three_ways(parse_mmtls_hello, CLIENT[:10], CLIENT[10:]) == ("f104", False, 166)
    assert feed_three_ways(parse_mmtls_hello, SERVER[:10], SERVER[10:]) == ("f103", True, 127)


@pytest.mark.parametrize(
    "data",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03",
        b"\x17\xf1\x04\x00\x20" + bytes(32),
        b"\x16\xf1\x04\x00\x00" + bytes(9),
        b"\x16\xf1\x04\x00\xa1\x00\x00\x00\xff\x01",
        b"\x16\xf1\x04\x00\xa1\x00\x00\x00\x9d\x07",
    ],
)
def test_what_it_is_not(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        parse_mmtls_hello(data)


def test_looks() -> None:
    assert looks_like_mmtls(b"\x17\xf1\x04\x00\x20")
    assert not looks_like_mmtls(b"\x17\xf1\x04\x00")
    assert not looks_like_mmtls(b"\x17\x03\x03\x00\x20")


@settings(max_examples=100)
@given(st.integers(0, 40), st.binary(max_size=40))
def test_any_other_bytes_are_an_error_or_need_more(cut: int, junk: bytes) -> None:
    with contextlib.suppress(ProtocolError):
        parse_mmtls_hello(CLIENT[:cut] + junk)
