"""Hellos of DTLS put together from fragments, tries, alerts."""

from __future__ import annotations

import itertools

from hypothesis import given, settings
from hypothesis import strategies as st

from forensics.flows.arrays import NEVER
from forensics.observations.dtls_connection import Alert, Connection, Message
from forensics.protocols.dtls import parse_fragments, parse_records
from tests.protocols.test_dtls import (
    ALERT,
    CLIENT,
    FINISHED,
    FLIGHT,
    HELLO,
    VERIFY,
    client_body,
    fragment,
    record,
    server_body,
)

LONG = client_body(b"\x00\x15\x03\xe8" + bytes(1000))


def pieces(body, *cuts, kind=1, sequence=0):
    edges = [0, *cuts, len(body)]
    return [record(fragment(kind, body, sequence, begin, end)) for begin, end in itertools.pairwise(edges)]


def told(*datagrams):
    connection = Connection()
    for frame, (side, data) in enumerate(datagrams, start=1):
        connection.take(side, data, frame)
    return connection


def test_a_whole_handshake():
    found = told((1, HELLO), (0, VERIFY), (1, HELLO), (0, FLIGHT), (1, FINISHED), (0, FINISHED))
    assert (found.asker, found.tries, found.client_frames, found.hello_frames) == (1, 2, [1, 3], [1])
    assert found.hello is not None
    assert found.hello.sni == "example.org"
    assert (found.hello_verify_frame, found.server_hello_frame, found.first_frame) == (2, 4, 1)
    assert found.server is not None
    assert (found.server.cipher, found.server_whole) == (0xC02F, True)
    assert found.encrypted == [6, 5]
    assert found.held() == 0


@settings(max_examples=100, deadline=None)
@given(st.permutations(pieces(LONG, 1, 40, 500, 900)), st.integers(0, 4))
def test_pieces_in_any_order(datagrams, twice):
    found = told(*((0, data) for data in [*datagrams[:3], datagrams[min(twice, 2)], *datagrams[3:]]))
    assert found.hello is not None
    assert found.hello.extensions == (21,)
    assert found.hello_frames == [1, 2, 3, 5, 6]
    assert found.held() == 0


def test_a_hello_that_stays_in_pieces():
    first, *_ = pieces(LONG, 200)
    found = told((0, first), (0, first))
    assert (found.hello, found.partial, found.tries) == (None, True, 2)
    assert 200 <= found.held() <= len(LONG)
    found.let_go()
    assert found.held() == 0


def test_a_second_hello_replaces_one_in_pieces():
    """The one with the cookie has another number."""
    first, _ = pieces(LONG, 200)
    found = told((0, first), (1, VERIFY), (0, record(fragment(1, CLIENT, 1))))
    assert found.hello is not None
    assert (found.hello.sni, found.hello_frames, found.tries) == ("example.org", [3], 2)


def test_a_server_hello_that_is_cut():
    found = told((0, HELLO), (1, FLIGHT[:70]))
    assert found.server is not None
    assert (found.server.whole, found.server.cipher, found.server_whole) == (False, 0xC02F, False)
    assert found.server_hello_frame == 2


def test_without_the_client_hello_the_server_hello_tells_who_is_who():
    found = told((0, FLIGHT), (0, HELLO))
    assert (found.asker, found.hello) == (1, None)


def test_alerts():
    assert told((0, HELLO), (1, ALERT)).alerts == [None, Alert(2, encrypted=False, told=(2, 40))]
    secret = told((0, HELLO), (1, record(bytes(26), 21, epoch=1)), (1, ALERT))
    assert secret.alerts[1] == Alert(2, encrypted=True, told=None)


def test_what_is_no_hello_is_passed_over():
    for junk in (
        b"\x80" + bytes(30),
        record(b"\x01"),
        record(fragment(1, bytes(1))),
        record(bytes(40), 23, 1),
    ):
        found = told((0, junk))
        assert (found.asker, found.hello, found.tries) == (-1, None, 0)
    broken = told((0, record(fragment(1, CLIENT[:-1]))))
    assert (broken.hello, broken.partial, broken.hello_frames) == (None, True, [])


def test_the_server_cannot_ask():
    found = told((0, HELLO), (1, HELLO), (0, FLIGHT))
    assert (found.tries, found.server_hello_frame) == (1, NEVER)


def test_a_message_takes_pieces_of_its_own_length_only():
    (whole,) = parse_fragments(parse_records(HELLO)[0])
    message = Message(whole)
    assert message.add(whole._replace(length=whole.length + 1), 1) == b""
    assert message.add(whole, 2) == CLIENT
    assert (message.frames(), message.pieces) == ([2], 1)


def test_one_number_in_two_server_hellos():
    (first, second) = pieces(server_body(), 36, kind=2)
    found = told((0, HELLO), (1, first), (1, second))
    assert found.server is not None
    assert (found.server.cipher, found.server_hello_frame, found.server_whole) == (0xC02F, 2, True)
