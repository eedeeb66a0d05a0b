"""One side of a connection put in order, against what was sent."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forensics.flows import reassembly
from forensics.flows.arrays import NEVER
from forensics.flows.reassembly import FARTHEST, HELD_BYTES, PATIENCE_EVENTS, Piece, StreamSide, Wire

WIRE = Wire(64, 7, df=True, window=512, flags=16)
STREAM = bytes(range(256)) * 4


class Log:
    """Notes what is handed out; ``skips``: place → what take answers there."""

    def __init__(self, skips=None):
        self.got: list[tuple] = []
        self.other: list[tuple] = []
        self.skips = skips or {}
        self.at = 0

    def take(self, piece):
        assert piece.place == self.at
        assert len(piece.data) == piece.end - piece.place > 0
        self.got.append((piece.place, piece.data))
        return self._on(piece.place, piece.end)

    def lost(self, place, until):
        assert place == self.at
        assert until > place
        self.got.append((place, until))
        return self._on(place, until)

    def _on(self, place, end):
        self.at = max(end, self.skips.get(place, end))
        return self.at

    def differs(self, piece):
        self.other.append((piece.place, piece.data, piece.frame))


def piece(place, data, frame=1, time=0):
    return Piece(place, place + len(data), data, frame, time, WIRE)


def cut(place, end):
    return Piece(place, end, None, 1, 0, WIRE)


def fed(*pieces, log=None):
    log = log or Log()
    side = StreamSide(log)
    for one in pieces:
        side.add(one)
    return side, log


def joined(got):
    return b"".join(data for _, data in got)


def test_bytes_in_order_go_on_as_they_come():
    side, log = fed(piece(0, b"abc"), piece(3, b"de"))
    assert log.got == [(0, b"abc"), (3, b"de")]
    assert side.next == 5
    assert side.hole_until == NEVER


def test_a_late_segment_sets_free_what_waited():
    side, log = fed(piece(3, b"def"), piece(6, b"g"))
    assert (log.got, side.hole_until, side.next) == ([], 3, 0)
    side.add(piece(0, b"abc"))
    assert log.got == [(0, b"abc"), (3, b"def"), (6, b"g")]


def test_bytes_before_the_stream_do_not_exist():
    assert fed(piece(-2, b"xxab"))[1].got == [(0, b"ab")]
    assert fed(piece(-4, b"xxxx"))[1].got == []


def test_repetition_is_silent_and_other_bytes_are_told():
    side, log = fed(piece(0, b"abcdef"), piece(0, b"abcdef", 2), piece(2, b"cd", 3))
    assert log.other == []
    side.add(piece(2, b"cX", 4))
    side.add(piece(4, b"eYgh", 5))
    assert log.other == [(2, b"cX", 4), (4, b"eY", 5)]
    assert log.got == [(0, b"abcdef"), (6, b"gh")]


def test_one_byte_is_a_keep_alive_whatever_it_holds():
    assert fed(piece(0, b"abc"), piece(2, b"\x00", 2))[1].other == []


def test_other_bytes_for_what_still_waits_are_told_once_it_is_taken():
    side, log = fed(piece(3, b"def", 1), piece(3, b"dXf", 2), piece(2, b"cd!", 3))
    assert log.other == []
    side.add(piece(0, b"ab", 4))
    assert joined(log.got) == b"abcdef"
    assert log.other == [(3, b"dXf", 2), (2, b"cd!", 3)]


def test_what_fills_several_gaps_gives_only_what_is_missing():
    side, log = fed(piece(2, b"C"), piece(4, b"E"), piece(0, b"abcdefg"))
    assert joined(log.got) == b"abCdEfg"
    assert log.other == [(0, b"abcdefg", 1)]
    assert side.held_bytes == 0


def test_cut_off_bytes_are_lost_at_their_place():
    side, log = fed(piece(0, b"abc"), cut(3, 10), piece(10, b"k"))
    assert log.got == [(0, b"abc"), (3, 10), (10, b"k")]
    side.add(piece(3, b"defghij"))
    assert log.other == []


def test_a_skip_costs_nothing_until_its_end():
    side, log = fed(piece(0, b"ab"), log=Log({0: 10}))
    assert side.next == 10
    side.add(piece(2, b"cdef"))
    side.add(piece(8, b"ijkl"))
    assert log.got == [(0, b"ab"), (10, b"kl")]


def test_a_skip_drops_what_waits_before_its_end():
    side, log = fed(piece(2, b"cd"), piece(6, b"gh"), piece(9, b"jk"), log=Log({0: 10}))
    side.add(piece(0, b"a"))
    side.add(piece(1, b"b"))
    assert log.got == [(0, b"a"), (10, b"k")]
    assert (side.held_bytes, side.hole_until) == (0, NEVER)


def test_never_ends_it_but_other_bytes_are_still_told():
    side, log = fed(piece(4, b"x"), piece(0, b"abc"), piece(3, b"d"), log=Log({0: NEVER}))
    assert log.got == [(0, b"abc")]
    side.add(piece(0, b"aXc", 9))
    assert log.other == [(0, b"aXc", 9)]
    assert side.held_bytes == 0


def test_an_acknowledged_hole_is_given_up_after_a_while():
    side, log = fed(piece(0, b"a"), piece(3, b"d"))
    side.acknowledged(2, 0)
    for _ in range(2 * PATIENCE_EVENTS):
        side.acknowledged(2, 0)
    assert log.got == [(0, b"a")]
    for _ in range(PATIENCE_EVENTS + 1):
        side.acknowledged(4, 0)
    assert log.got == [(0, b"a"), (1, 3), (3, b"d")]


def test_an_acknowledged_hole_is_given_up_after_a_second():
    side, log = fed(piece(0, b"a"), piece(3, b"d"))
    side.acknowledged(4, 5)
    side.add(piece(4, b"e", time=5 + reassembly.PATIENCE_NS - 1))
    assert log.got == [(0, b"a")]
    side.acknowledged(5, 5 + reassembly.PATIENCE_NS)
    assert log.got == [(0, b"a"), (1, 3), (3, b"d"), (4, b"e")]


def test_a_hole_may_be_filled_after_its_acknowledgement():
    side, log = fed(piece(0, b"a"), piece(3, b"d"))
    side.acknowledged(4, 0)
    side.add(piece(1, b"bc"))
    assert joined(log.got) == b"abcd"


def test_too_much_behind_a_hole_gives_it_up():
    side, log = fed(*[piece(1 + 1000 * n, bytes(1000)) for n in range(HELD_BYTES // 1000 + 2)])
    assert log.got[0] == (0, 1)
    assert side.held_bytes <= HELD_BYTES
    side, log = fed(*[piece(1 + 2 * n, b"xy"[:1]) for n in range(2000)])
    assert side.size < 3 * reassembly.HELD_PIECES * reassembly.COST
    assert log.got[0] == (0, 1)


def test_a_flood_of_differing_copies_stays_bounded():
    side, log = fed(piece(1, bytes(60000)))
    for n in range(200):
        side.add(piece(1, bytes([1 + n % 250]) * 60000))
        assert side.size < HELD_BYTES + 3 * 61000
    side.give_up()
    assert log.other


def test_what_no_window_reaches_is_no_part_of_the_stream():
    side, log = fed(piece(FARTHEST + 1, b"x"), piece(0, b"a"))
    side.give_up()
    assert log.got == [(0, b"a")]


def test_memory_of_what_was_taken_is_bounded():
    side, log = fed(*[piece(n, b"x") for n in range(3000)])
    assert side.size < 3000 + 4 * reassembly.COST
    big = reassembly.REMEMBERED
    side, log = fed(*[piece(1000 * n, bytes(1000)) for n in range(300)])
    assert side.remembered[1] - side.remembered[0] <= big
    side.add(piece(0, b"y" * 1000, 9))
    assert log.other == []
    side.forget()
    assert side.size == 0


@st.composite
def segments(draw):
    """Segments of STREAM in any order, repeated and overlapping, some with other bytes than the stream has."""
    found = []
    for frame in range(1, draw(st.integers(1, 25)) + 1):
        place = draw(st.integers(-3, 200))
        length = draw(st.integers(1, 60))
        data = bytearray(STREAM[max(place, 0) : place + length].rjust(length, b"?"))
        if draw(st.booleans()) and draw(st.booleans()):
            data[draw(st.integers(0, length - 1))] ^= 0x80
        found.append((place, None if draw(st.integers(0, 9)) == 0 else bytes(data), length, frame))
    return found


@settings(max_examples=200, deadline=None)
@given(segments())
def test_the_first_bytes_win_and_every_other_byte_is_told(given_segments):
    log = Log()
    side = StreamSide(log)
    first: dict[int, int | None] = {}
    told = set()
    for place, data, length, frame in given_segments:
        side.add(Piece(place, place + length, data, frame, 0, WIRE))
        for i in range(length):
            known = first.setdefault(place + i, None if data is None else data[i])
            if data is not None and known is not None and known != data[i] and length > 1 and place + i >= 0:
                told.add((place + i, frame))
    side.give_up()
    out: dict[int, int | None] = {}
    for place, what in log.got:
        if isinstance(what, int):
            out.update(dict.fromkeys(range(place, what)))
        else:
            out.update(enumerate(what, place))
    wanted = {place: byte for place, byte in first.items() if place >= 0}
    assert {place: byte for place, byte in out.items() if place in wanted} == wanted
    assert all(out[place] is None for place in out.keys() - wanted.keys())
    seen = {
        (place + i, frame)
        for place, data, frame in log.other
        for i, byte in enumerate(data)
        if byte != first[place + i]
    }
    assert seen == told


@settings(max_examples=50, deadline=None)
@given(st.permutations(range(12)), st.integers(1, 40))
def test_any_order_gives_the_stream(order, size):
    side, log = fed(*[piece(n * size, STREAM[n * size : (n + 1) * size]) for n in order])
    assert joined(log.got) == STREAM[: 12 * size]
    assert side.held_bytes == 0


def test_wire_facts_stay_with_their_bytes():
    with pytest.raises(AttributeError):
        WIRE.ttl = 3
    assert piece(5, b"abc").part(6, 7) == piece(6, b"b")
