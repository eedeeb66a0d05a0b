from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from forensics.protocols.stream import MAX_BYTES, MAX_PIECES, HeadAssembler


def test_one_segment():
    head = HeadAssembler()
    assert head.contiguous() == b""
    head.add(0, b"hello", 7)
    assert head.contiguous() == b"hello"
    assert head.frames_for(5) == [7]
    assert len(head.frames_for(5)) == 1
    assert not head.conflict
    assert not head.overflow


def test_out_of_order_retransmitted_and_overlapping():
    head = HeadAssembler()
    head.add(5, b"56789", 3)
    assert head.contiguous() == b""
    head.add(5, b"56789", 4)  # a copy delivers nothing
    head.add(0, b"012", 5)
    assert head.contiguous() == b"012"
    head.add(2, b"23456", 6)  # fills the gap of 3 and 4
    assert head.contiguous() == b"0123456789"
    assert head.frames_for(10) == [3, 5, 6]
    assert head.frames_for(3) == [5]
    assert len(head.frames_for(10)) == 3
    assert not head.conflict


def test_the_first_bytes_win_and_the_conflict_is_told():
    head = HeadAssembler()
    head.add(2, b"CD", 1)
    head.add(0, b"abcd", 2)
    assert head.contiguous() == b"abCD"
    assert head.conflict


def test_what_lies_before_the_stream_is_cut_off():
    head = HeadAssembler()
    head.add(-1, b"\x00abc", 1)  # a keep-alive probe repeats one byte before
    head.add(-10, b"zzz", 2)
    assert head.contiguous() == b"abc"
    assert head.frames_for(3) == [1]


def test_bounds():
    head = HeadAssembler()
    head.add(MAX_BYTES - 2, b"abcd", 1)
    head.add(1 << 40, b"x", 2)
    assert head.overflow
    head.add(0, bytes(MAX_BYTES), 3)
    assert len(head.contiguous()) == MAX_BYTES
    many = HeadAssembler()
    for number in range(MAX_PIECES + 50):
        many.add(2 * number, b"x", number)
    assert many.overflow
    assert len(many.frames_for(MAX_BYTES)) == MAX_PIECES


@settings(max_examples=150, deadline=None)
@given(
    text=st.binary(min_size=1, max_size=120),
    cuts=st.lists(st.tuples(st.integers(0, 119), st.integers(1, 40)), max_size=25),
    seed=st.integers(0, 2**32),
)
def test_any_cutting_order_and_overlap_gives_the_bytes_back(
    text: bytes, cuts: list[tuple[int, int]], seed: int
):
    parts = [(at, text[at : at + size]) for at, size in cuts if at < len(text)]
    parts += [(at, text[at : at + 7]) for at in range(0, len(text), 7)]
    random.Random(seed).shuffle(parts)  # noqa: S311 - a shuffle, no secret
    head = HeadAssembler()
    known: set[int] = set()
    carriers: list[int] = []
    for frame, (at, data) in enumerate(parts):
        head.add(at, data, frame)
        places = set(range(at, at + len(data)))
        if places - known:
            carriers.append(frame)
        known |= places
        prefix = next((n for n in range(len(text)) if n not in known), len(text))
        assert head.contiguous() == text[:prefix]
    assert head.contiguous() == text
    assert head.frames_for(len(text)) == carriers
    assert not head.conflict
