"""WhatsApp's hello: new and old, whole, in pieces, and what only looks like it."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forensics.protocols.errors import ProtocolError
from forensics.protocols.whatsapp import looks_like_whatsapp, parse_whatsapp_answer, parse_whatsapp_hello
from tests.protocols.feeding import feed_three_ways

KEY = bytes(range(32))
HELLO = b"\x12\x22\x0a\x20" + KEY
"""Protocol Buffers: clientHello (field 2) with an ephemeral key (field 1)."""
NOISE = b"WA\x06\x03" + len(HELLO).to_bytes(3, "big")
ROUTE = b"ED\x00\x01\x00\x00\x04\x08\x05\x08\x02"
OLD = b"WA\x01\x05\x00\x00\x1a"


def test_noise_hello_needs_its_key() -> None:
    hello = feed_three_ways(parse_whatsapp_hello, NOISE + HELLO[:4], KEY)
    assert hello == (False, 6, 3, "noise", 36, 7)


def test_routing_prefix() -> None:
    hello = feed_three_ways(parse_whatsapp_hello, ROUTE + NOISE + HELLO[:4], KEY)
    assert (hello.routed, hello.major, hello.length) == (True, 6, len(ROUTE) + 7)


def test_longer_hello_has_a_length_of_two_bytes() -> None:
    body = b"\x12\xeb\x01\x0a\x20"  # 235 bytes, as recorded in 2017 and since
    hello = feed_three_ways(parse_whatsapp_hello, b"WA\x02\x01\x00\x00\xee" + body, KEY)
    assert (hello.major, hello.minor, hello.message) == (2, 1, 238)


def test_funxmpp() -> None:
    hello = feed_three_ways(parse_whatsapp_hello, OLD + b"\xf8", b"\x05\x01")
    assert (hello.kind, hello.major, hello.minor, hello.message) == ("funxmpp", 1, 5, 26)


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n",
        b"WB\x06\x03" + bytes(20),
        b"WA\x00\x03" + bytes(20),
        b"WA\x63\x03" + bytes(20),
        b"WARNING: no such thing",
        NOISE + b"\x12\x22\x0a\x21" + KEY,
        b"WA\x06\x03\x00\x00\x02\x12\x22\x0a\x20",
        b"ED\x00\x01\xff\xff\xff" + bytes(80),
        b"ED\x00\x01\x00\x00\x01\x00GET / HTTP/1.1",
        OLD + b"\x00" * 9,
    ],
)
def test_what_it_is_not(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        parse_whatsapp_hello(data)


def test_answers() -> None:
    answer = b"\x00\x00\x36\x1a\x34\x0a\x20" + KEY
    assert feed_three_ways(lambda data: parse_whatsapp_answer(data, "noise"), answer[:7]) == 54
    assert parse_whatsapp_answer(b"\x00\x00\x05\xf8\x03\x01\x3a\x91", "funxmpp") == 5
    with pytest.raises(ProtocolError):
        parse_whatsapp_answer(NOISE + HELLO, "noise")


def test_looks() -> None:
    assert looks_like_whatsapp(NOISE)
    assert looks_like_whatsapp(ROUTE)
    assert not looks_like_whatsapp(b"WAIT")
    assert not looks_like_whatsapp(b"")


@settings(max_examples=100)
@given(st.integers(0, 60), st.binary(max_size=60))
def test_any_other_bytes_are_an_error_or_need_more(cut: int, junk: bytes) -> None:
    with contextlib.suppress(ProtocolError):
        parse_whatsapp_hello((ROUTE + NOISE + HELLO)[:cut] + junk)
