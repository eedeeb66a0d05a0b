"""HTTP/1 heads against RFC 9112, hostile input, and what a page says of itself."""

from __future__ import annotations

import gzip
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forensics.protocols.errors import ProtocolError
from forensics.protocols.http import (
    MAX_HEAD,
    METHODS,
    Framing,
    begins_message,
    chunk_size,
    decoded,
    framing,
    looks_like_http,
    parse_head,
    readable,
    title_of,
)
from tests.protocols.feeding import feed_three_ways

# https://www.rfc-editor.org/rfc/rfc9110#section-3.9
REQUEST = (
    b"GET /hello.txt HTTP/1.1\r\nUser-Agent: curl/7.64.1\r\n"
    b"Host: www.example.com\r\nAccept-Language: en, mi\r\n\r\n"
)
RESPONSE = (
    b"HTTP/1.1 200 OK\r\nDate: Mon, 27 Jul 2009 12:28:53 GMT\r\nServer: Apache\r\n"
    b"Content-Length: 51\r\nContent-Type: text/plain\r\n\r\n"
)


def head_of(text, **more):
    return parse_head(text, **more)


def test_the_request_of_the_rfc():
    head = feed_three_ways(parse_head, REQUEST)
    assert (head.method, head.target, head.version, head.status) == ("GET", "/hello.txt", "1.1", 0)
    assert head.text("host") == "www.example.com"
    assert head.text("user-agent") == "curl/7.64.1"
    assert head.text("cookie") is None
    assert (head.length, head.whole) == (len(REQUEST), True)


def test_the_response_of_the_rfc():
    head = feed_three_ways(parse_head, RESPONSE, b"Hello World!")
    assert (head.method, head.status, head.reason, head.version) == ("", 200, "OK", "1.1")
    assert framing(head, "GET") == Framing(chunked=False, length=51)


@pytest.mark.parametrize(
    ("text", "status", "reason"),
    [
        (b"HTTP/1.0 302 Moved Temporarily\n\n", 302, "Moved Temporarily"),
        (b"HTTP/1.1 404\r\n\r\n", 404, ""),
        (b"HTTP/1.1 200 \r\n\r\n", 200, ""),
    ],
)
def test_lenient_status_lines(text, status, reason):
    head = parse_head(text)
    assert (head.status, head.reason) == (status, reason)


@pytest.mark.parametrize(
    "text",
    [
        b"\x16\x03\x01\x02\x00\x01\x00", b"HTTP/1.1 20\r\n\r\n", b"HTTP/1.x 200 OK\r\n", b"GET /\r\n\r\n",
        b"GET HTTP/1.1\r\n\r\n", b"SSH-2.0-OpenSSH\r\n", b"HELO there\r\n", b"G\x00", b" GET / HTTP/1.1\r\n",
        b"x" * 70, b"G@T / HTTP/1.1\r\n", b"GET  HTTP/1.1\r\n",
    ],
)  # fmt: skip
def test_what_is_no_http(text):
    with pytest.raises(ProtocolError):
        parse_head(text)


def test_a_head_that_never_ends():
    with pytest.raises(ProtocolError):
        parse_head(b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * MAX_HEAD)
    assert parse_head(b"GET " + b" " * 60000) is None


def test_what_is_there_of_a_head_that_is_cut():
    head = parse_head(REQUEST[:70], final=True)
    assert (head.target, head.text("user-agent"), head.text("host"), head.whole) == (
        "/hello.txt",
        "curl/7.64.1",
        None,
        False,
    )
    assert parse_head(b"GET / HT", final=True) is None


def test_hostile_fields():
    head = parse_head(
        b"GET /\x1b[31m HTTP/1.1\r\nHost: a\x00b\r\nHost: second\r\nno colon\r\n : x\r\nX: \r\n\r\n"
    )
    assert head.target == "/\\x1b[31m"
    assert head.text("host") == "a\\x00b"
    assert head.text("x") == ""
    many = parse_head(b"GET / HTTP/1.1\r\n" + b"".join(b"h%d: x\r\n" % n for n in range(3000)) + b"\r\n")
    assert len(many.fields) <= 200


@pytest.mark.parametrize(
    ("text", "method", "expected"),
    [
        # https://www.rfc-editor.org/rfc/rfc9112#section-6.3, items 1 to 8
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", "HEAD", (False, 0)),
        (b"HTTP/1.1 304 X\r\nContent-Length: 5\r\n\r\n", "GET", (False, 0)),
        (b"HTTP/1.1 204 X\r\nTransfer-Encoding: chunked\r\n\r\n", "GET", (False, 0)),
        (b"HTTP/1.1 100 Continue\r\n\r\n", "POST", (False, 0)),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", "CONNECT", (False, 0)),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, Chunked\r\nContent-Length: 5\r\n\r\n",
            "GET",
            (True, None),
        ),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", "GET", (False, None)),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n\r\n", "GET", (False, 5)),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n", "GET", (False, None)),
        (b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n", "GET", (False, None)),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n", "", (False, None)),
        (b"HTTP/1.1 200 OK\r\n\r\n", "GET", (False, None)),
        (b"POST / HTTP/1.1\r\nContent-Length: 7\r\n\r\n", "", (False, 7)),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", "", (True, None)),
        (b"GET / HTTP/1.1\r\n\r\n", "", (False, 0)),
    ],
)
def test_where_a_body_ends(text, method, expected):
    assert tuple(framing(parse_head(text), method)) == expected


def test_chunk_sizes():
    assert [chunk_size(line) for line in (b"0", b"1A", b"ff ;name=value", b" 10 ")] == [0, 26, 255, 16]
    for line in (b"", b"-1", b"0x10", b"g", b"1" * 13, b"1 2"):
        with pytest.raises(ProtocolError):
            chunk_size(line)


def looks(*beginnings):
    head = np.zeros((len(beginnings), 32), dtype=np.uint8)
    for row, text in enumerate(beginnings):
        head[row, : len(text)] = list(text[:32])
    return looks_like_http(head, np.array([len(text) for text in beginnings])).tolist()


def test_first_bytes_in_array_code():
    assert looks(*[method + b" / HTTP/1.1" for method in METHODS]) == [True] * len(METHODS)
    assert looks(b"HTTP/1.1 200", b"HTTP/1.0", b"H", b"GE", b"GET") == [True] * 5
    assert (
        looks(b"", b"GETX /", b"HTTP/2.0", b"\x16\x03\x01", b"get / ", b"HEADER 12", b"\x00" * 8, b"X")
        == [False] * 8
    )
    assert [begins_message(text) for text in (b"GET /", b"HTTP/1.1", b"GET", b"junk")] == [
        True,
        True,
        False,
        False,
    ]


def test_content_codings():
    page = b"<title>x</title>" * 500
    assert decoded(gzip.compress(page), b"gzip").startswith(page[:4096])
    assert decoded(gzip.compress(page)[:60], b"x-gzip").startswith(b"<title>")
    assert decoded(zlib.compress(page), b"Deflate ") == page
    raw = zlib.compressobj(wbits=-15)
    assert decoded(raw.compress(page) + raw.flush(), b"deflate") == page
    assert decoded(b"plain", b"gzip") == b"plain"
    assert len(decoded(gzip.compress(bytes(10**7)), b"gzip")) <= 16 << 10
    assert decoded(b"x", b"br") == b"x"


def test_titles():
    assert title_of(b"<html><TITLE lang=x>\n Access \n denied</TITLE>") == "Access denied"
    assert title_of("<title>Доступ ограничен</title>".encode()) == "Доступ ограничен"
    assert title_of("<title>Доступ</title>".encode("cp1251"), b"text/html; charset=windows-1251") == "Доступ"
    assert title_of("<meta charset='koi8-r'><title>Доступ</title>".encode("koi8-r")) == "Доступ"
    assert title_of(b"<title>x</title>", b"text/html; charset=rot13") == "x"
    assert title_of(b"<title>no end") is None
    assert title_of(b"<p>") is None


def test_text_for_people_cannot_steer_a_terminal():
    assert readable(b"a\x1b[31m\xe2\x80\xaeb\\") == "a\\x1b[31m\\x202eb\\x5c"
    assert readable(b"abc" * 200, 10) == "abcabcabca"


@settings(max_examples=200, deadline=None)
@given(st.sampled_from([REQUEST, RESPONSE]), st.integers(0, 120), st.binary(max_size=80), st.booleans())
def test_anything_gives_a_head_none_or_one_error(text, cut, junk, final):
    try:
        head = parse_head(text[:cut] + junk, final=final)
    except ProtocolError:
        return
    if head is not None:
        assert 0 < head.length <= cut + len(junk)
        assert all(char.isprintable() for char in head.target + head.reason + (head.text("host") or ""))
