"""The plaintext messages of one side, however records and pieces cut them."""

from __future__ import annotations

import itertools
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forensics.protocols.errors import ProtocolError
from forensics.protocols.tls_flight import MAX_CERTIFICATES, MAX_FLIGHT, MAX_MESSAGE, MAX_PIECES, Flight
from pcaps.generate import tls
from pcaps.generate.certificate_samples import CLIENT, LEAF, ROOT
from pcaps.generate.certificates import certificates, message, request, server_hello

RNG = random.Random(1)  # noqa: S311 - the same bytes each time
HELLO = server_hello(bytes(range(32)))
KEYS = message(12, bytes(148))
DONE = message(14, b"")
CHAIN = certificates(LEAF, ROOT)
SECRET = tls.record(20, b"\x01") + tls.record(22, bytes(40))
FLIGHT = tls.record(22, HELLO) + tls.record(22, CHAIN) + tls.record(22, KEYS) + tls.record(22, DONE)


def records(data: bytes, size: int) -> bytes:
    return b"".join(tls.record(22, data[at : at + size]) for at in range(0, len(data), size))


def read(*pieces: bytes) -> Flight:
    """Fed piece by piece: frames 1, 2, …"""
    flight = Flight()
    for frame, piece in enumerate(pieces, 1):
        flight.feed(piece, (frame, 10 * frame))
    return flight


def ders(flight: Flight) -> list[bytes]:
    return [shown.der for shown in flight.certificates]


def test_a_whole_flight():
    flight = read(FLIGHT)
    assert ders(flight) == [LEAF, ROOT]
    assert (flight.whole, flight.over, flight.asks, flight.server) == (True, True, False, True)


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 100, 1 << 14])
def test_records_of_any_size(size):
    assert ders(read(records(HELLO + CHAIN + KEYS + DONE, size))) == [LEAF, ROOT]


def test_byte_by_byte():
    flight = Flight()
    for place in range(len(FLIGHT)):
        assert not flight.over, f"over after {place} bytes of {len(FLIGHT)}"
        flight.feed(FLIGHT[place : place + 1], (place, place))
    assert ders(flight) == [LEAF, ROOT]
    begin = FLIGHT.index(LEAF)
    assert flight.certificates[0].marks == tuple((n, n) for n in range(begin, begin + len(LEAF)))


def test_what_follows_is_not_read():
    for after in (SECRET, b"\xff" * 50, FLIGHT):
        assert ders(read(FLIGHT + after)) == [LEAF, ROOT]


def test_marks_are_those_of_the_pieces_that_carried_it():
    at = FLIGHT.index(LEAF)
    cut = [0, at, at + 1, at + len(LEAF), FLIGHT.index(ROOT) + len(ROOT), len(FLIGHT)]
    flight = read(*(FLIGHT[a:b] for a, b in itertools.pairwise(cut)))
    assert [shown.marks for shown in flight.certificates] == [((2, 20), (3, 30)), ((4, 40),)]


def test_a_flight_cut_short_tells_of_what_is_whole():
    at = FLIGHT.index(ROOT)
    flight = read(FLIGHT[: at + 9])
    assert flight.certificates == []
    flight.cut()
    assert (ders(flight), flight.whole, flight.over) == ([LEAF], False, True)
    flight.feed(FLIGHT[at + 9 :], (9, 9))
    assert ders(flight) == [LEAF]


def test_a_resumed_session_shows_none():
    flight = read(tls.record(22, HELLO) + SECRET)
    assert (ders(flight), flight.over, flight.server) == ([], True, True)
    flight = read(tls.record(22, HELLO + message(4, bytes(180))) + SECRET)
    assert (ders(flight), flight.over) == ([], True)


def test_tls_1_3_is_over_with_its_server_hello():
    flight = read(tls.server_flight(RNG)[:130])
    assert (flight.over, flight.server, ders(flight)) == (True, True, [])


def test_a_warning_before_the_server_hello():
    assert ders(read(tls.record(21, b"\x01\x70") + FLIGHT)) == [LEAF, ROOT]


def test_the_answer_of_a_client():
    answer = certificates(CLIENT) + message(16, bytes(66)) + message(15, bytes(70))
    flight = read(tls.client_hello(RNG, b"a.test"), tls.record(22, answer) + SECRET)
    assert (ders(flight), flight.server, flight.over) == ([CLIENT], False, True)
    none = read(tls.record(22, certificates() + message(16, bytes(66))))
    assert (ders(none), none.over) == ([], True)
    assert read(tls.record(22, HELLO + CHAIN + KEYS + request() + DONE)).asks


def test_lengths_that_lie():
    whole = bytearray(CHAIN)
    for place in (4, 7):  # of the list, of the first certificate
        lies = bytearray(whole)
        lies[place : place + 3] = b"\xff\xff\xff"
        flight = read(tls.record(22, HELLO + bytes(lies) + DONE))
        assert (ders(flight), flight.whole) == (([LEAF, ROOT], False) if place == 4 else ([], False))
    empty = read(tls.record(22, HELLO + message(11, b"") + message(11, b"\0\0\x03\0\0\0") + DONE))
    assert (ders(empty), empty.over) == ([], True)


def test_limits():
    many = read(records(HELLO + certificates(*[ROOT] * 20) + DONE, 1 << 14))
    assert (len(many.certificates), many.whole) == (MAX_CERTIFICATES, False)
    long = read(tls.record(22, HELLO + b"\x0b" + (MAX_MESSAGE + 1).to_bytes(3, "big")))
    assert (long.over, ders(long)) == (True, [])
    endless = read(*[records(message(12, bytes(60000)), 1 << 14)] * 18)
    assert (endless.over, MAX_FLIGHT < 18 * 60000) == (True, True)
    pieces = read(
        tls.record(22, HELLO), tls.record(22, certificates(ROOT * 20))[:-1][:12], *[b"\0"] * MAX_PIECES
    )
    assert (pieces.over, ders(pieces)) == (True, [])


@pytest.mark.parametrize(
    "stream",
    [
        b"GET / HTTP/1.1",
        b"\x16\x02",
        b"\x16\x03\x09",
        b"\x16\x03\x03\0\0",
        b"\x16\x03\x03\xff\xff",
        b"\x16\x03\x03\0\x04\x63\0\0\0",
    ],
)
def test_what_is_no_tls(stream):
    flight = Flight()
    with pytest.raises(ProtocolError):
        flight.feed(stream, (1, 1))
    assert flight.over


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_nothing_breaks_it_and_cuts_make_no_difference(data):
    stream = bytearray(
        records(HELLO + CHAIN + KEYS + request() + DONE, data.draw(st.sampled_from([7, 300, 4000])))
    )
    stream += SECRET
    for _ in range(data.draw(st.integers(0, 3))):
        stream[data.draw(st.integers(0, len(stream) - 1))] = data.draw(st.integers(0, 255))

    def fed(cuts):
        flight = Flight()
        try:
            for frame, (a, b) in enumerate(itertools.pairwise(cuts)):
                flight.feed(bytes(stream[a:b]), (frame, frame))
        except ProtocolError:
            pass
        flight.cut()
        return ders(flight), flight.whole, flight.asks, flight.server

    inner = sorted(data.draw(st.sets(st.integers(1, len(stream) - 1), max_size=12)))
    assert fed([0, *inner, len(stream)]) == fed([0, len(stream)])
