from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forensics.protocols.text import MAX_TEXT, printable

TOKEN = re.compile(rb"[\x21-\x5b\x5d-\x7e]|\\x[0-9a-f]{2}")


def back(text):
    """The bytes that a text stands for; fails on anything that is no whole token."""
    tokens = TOKEN.findall(text.encode("ascii"))
    assert b"".join(tokens) == text.encode("ascii")
    return b"".join(bytes.fromhex(t[2:].decode()) if len(t) == 4 else t for t in tokens)


@given(st.binary(max_size=80))
def test_no_two_byte_strings_look_alike(data):
    assert back(printable(data, 1000)) == data


@given(st.binary(max_size=80), st.integers(0, 60))
def test_a_long_text_is_cut_between_two_bytes(data, limit):
    text = printable(data, limit)
    assert len(text) <= limit
    assert data.startswith(back(text))
    if len(back(text)) < len(data):  # not a byte fewer than fit
        assert len(printable(data[: len(back(text)) + 1], 1000)) > limit


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", ""),
        (b"www.example.com", "www.example.com"),
        (b"a b", r"a\x20b"),
        (rb"\x41", r"\x5cx41"),
        (b"\x1b[31m", r"\x1b[31m"),
        (b"\x7f\x80\xff\n\0", r"\x7f\x80\xff\x0a\x00"),
        ("bücher".encode(), r"b\xc3\xbccher"),
    ],
)
def test_what_is_shown(data, text):
    assert printable(data) == text


def test_the_usual_limit():
    assert printable(b"a" * 300) == "a" * MAX_TEXT
    assert printable(b"\0" * 300) == r"\x00" * (MAX_TEXT // 4)
