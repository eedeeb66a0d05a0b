"""Messages of one side: bodies of every framing, in one piece, byte by byte, and with parts missing."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forensics.protocols.http import BODY
from forensics.protocols.http_stream import SEARCHES, MessageStream

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\n"


class Side:
    """Feeds a stream piece by piece, honouring what it asks for; keeps the messages."""

    def __init__(self, *methods):
        self.messages = []
        self.methods = list(methods)
        self.stream = MessageStream(self._told)
        self.want = 0
        self.fed = 0

    def _told(self, message):
        self.messages.append(message)
        return self.methods.pop(0) if self.methods else ""

    def feed(self, data, size=0, place=0):
        size = size or len(data) or 1
        for frame, at in enumerate(range(0, len(data), size), 1):
            end = place + min(at + size, len(data))
            begin = max(self.want or 0, place + at)
            if self.want is None or end <= begin:
                continue
            piece = data[begin - place : end - place]
            self.fed += len(piece)
            self.want = self.stream.feed(begin, piece, frame, 10 * frame)
            assert self.want is None or self.want >= end
        return self

    def told(self):
        return [(m.head.status or m.head.method, bytes(m.body), m.body_bytes, m.whole) for m in self.messages]


CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n6\r\n world\r\n0\r\nTrailer: x\r\n\r\n"
ANSWERS = [
    (OK + b"Content-Length: 5\r\n\r\nhello", [(200, b"hello", 5, True)]),
    (OK + b"Content-Length: 0\r\n\r\n", [(200, b"", 0, True)]),
    (CHUNKED, [(200, b"hello world", 11, True)]),
    (b"HTTP/1.1 204 No\r\n\r\n", [(204, b"", 0, True)]),
]
TWO = CHUNKED + b"\r\n" + ANSWERS[0][0] + ANSWERS[3][0]


@pytest.mark.parametrize(("stream", "told"), ANSWERS)
@pytest.mark.parametrize("size", [0, 1, 2, 7])
def test_one_message(stream, told, size):
    assert Side().feed(stream, size).told() == told


@pytest.mark.parametrize("size", [0, 1, 3, 50])
def test_messages_one_after_another(size):
    side = Side().feed(TWO, size)
    assert side.told() == [ANSWERS[2][1][0], ANSWERS[0][1][0], ANSWERS[3][1][0]]
    assert side.stream.idle
    assert [m.place for m in side.messages] == [0, len(CHUNKED) + 2, len(CHUNKED + ANSWERS[0][0]) + 2]


def test_a_body_until_the_connection_closes_is_looked_at_only_at_its_beginning():
    side = Side().feed(OK + b"\r\n" + bytes(3 * BODY), 1000)
    (message,) = side.messages
    assert (len(message.body), message.until_close, message.whole) == (BODY, True, False)
    assert side.want is None


@pytest.mark.parametrize("chunked", [False, True])
def test_of_long_bodies_only_the_beginning_is_read(chunked):
    size = 1_000_000
    fields = (
        b"Transfer-Encoding: chunked\r\n\r\n%x\r\n" % size
        if chunked
        else b"Content-Length: %d\r\n\r\n" % size
    )
    end = b"\r\n0\r\n\r\n" if chunked else b""
    side = Side().feed(OK + fields + b"z" * size + end + OK + b"Content-Length: 1\r\n\r\n!", 1400)
    assert side.told() == [(200, b"z" * BODY, size, True), (200, b"!", 1, True)]
    assert side.fed < BODY + 4 * 1400


def test_bodies_of_requests_are_skipped():
    post = b"POST /x HTTP/1.1\r\nContent-Length: 9000\r\n\r\n"
    side = Side().feed(post + b"x" * 9000 + GET, 1400)
    ends = [9000 + len(post), 9000 + len(post) + len(GET)]
    assert [(m.head.method, m.body_bytes, m.end) for m in side.messages] == [
        ("POST", 9000, ends[0]),
        ("GET", 0, ends[1]),
    ]
    assert side.fed < 2 * 1400 + len(GET)


def test_the_answer_to_head_has_no_body():
    side = Side("HEAD", "GET").feed(OK + b"Content-Length: 50\r\n\r\n" + ANSWERS[0][0])
    assert side.told() == [(200, b"", 0, True), (200, b"hello", 5, True)]


def test_none_ends_http():
    side = Side(None).feed(b"HTTP/1.1 101 Switching\r\n\r\n" + b"\x81\x05hello" + OK)
    assert side.told() == [(101, b"", 0, True)]
    assert side.want is None


def test_what_is_no_http_ends_it():
    assert Side().feed(b"\x16\x03\x01 and more").want is None
    side = Side().feed(ANSWERS[0][0] + b"\x00\x01junk" + OK + b"\r\n")
    assert len(side.messages) == 1
    assert side.stream.opaque


def test_a_bad_chunk_is_left_at_the_next_message():
    side = Side().feed(OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhelloXX\r\n")
    place = side.want
    side.feed(OK + b"Content-Length: 5\r\n\r\nhello", place=place)
    assert side.told() == [(200, b"hello", 5, False), (200, b"hello", 5, True)]


def test_loss_within_a_body():
    side = Side().feed(OK + b"Content-Length: 10\r\n\r\nhe")
    place = side.want
    assert side.stream.lose(place, place + 5) == place + 5
    side.want = place + 5
    side.feed(b"rld" + GET, place=place + 5)
    assert side.told() == [(200, b"herld", 5, False), ("GET", b"", 0, True)]
    assert side.messages[0].lost == 5


def test_loss_of_a_head_and_finding_the_way_again():
    side = Side().feed(OK + b"Server: x\r\nLoc")
    place = side.want
    side.stream.lose(place, place + 100)
    side.feed(b"more of a body", place=place + 100).feed(GET, place=place + 114)
    assert [(m.head.text("server"), m.head.whole, m.place) for m in side.messages] == [
        ("x", False, 0),
        (None, True, place + 114),
    ]


def test_loss_beyond_a_body():
    side = Side().feed(OK + b"Content-Length: 4\r\n\r\nhe")
    place = side.want
    side.stream.lose(place, place + 50)
    side.feed(GET, place=place + 50)
    assert side.told() == [(200, b"he", 2, False), ("GET", b"", 0, True)]


def test_the_middle_of_a_stream():
    side = Side()
    side.stream.lose(0, 0)
    side.feed(b"middle of something").feed(GET, place=19)
    assert side.told() == [("GET", b"", 0, True)]
    lost = Side()
    lost.stream.lose(0, 0)
    for n in range(SEARCHES + 1):
        lost.feed(b"x", place=n)
    assert lost.want is None


def test_the_end_of_a_capture_in_a_head():
    side = Side().feed(OK + b"Server: x\r\nLoc")
    side.stream.cut_head()
    side.stream.cut_head()
    assert [m.head.whole for m in side.messages] == [False]


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.integers(0, len(TWO)), max_size=8),
    st.integers(0, len(TWO)),
    st.binary(max_size=40),
    st.integers(0, 30),
)
def test_no_cut_changes_anything_and_no_junk_breaks_it(cuts, end, junk, gap):
    data = TWO[:end] + junk
    whole, cut = Side().feed(data), Side()
    edges = [0, *sorted(cut_at for cut_at in cuts if cut_at < len(data)), len(data)]
    for begin, stop in pairwise(edges):
        if cut.want is not None and stop > max(begin, cut.want):
            cut.feed(data[begin:stop], place=begin)
    if end == len(TWO) and not junk:
        assert cut.told() == whole.told()
    if cut.want is not None:
        at = max(cut.want, len(data))
        cut.want = cut.stream.lose(at, at + gap)
        cut.feed(junk + GET, place=at + gap)
    for message in cut.messages:
        assert len(message.body) <= BODY
