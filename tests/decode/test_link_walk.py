from __future__ import annotations

import numpy as np
import pytest

from forensics.decode.counts import DecodeCounts
from forensics.decode.link_types import BY_NIBBLE, Header
from forensics.decode.link_walk import MAX_LINK_HEADERS, Walk, big16, cut, joined, skip, taken
from forensics.decode.network import Candidates
from tests.decode.build import decode, ethernet
from tests.decode.link_cases import FOUR, eth, label


def candidates(start, end, wire_length=None, row=None):
    whole = [np.array(values, np.int64) for values in (start, end, wire_length or start)]
    return Candidates(np.arange(len(start)) if row is None else np.array(row), *whole)


def test_as_many_headers_as_are_followed():
    tags = [(0x8100, 1)] * (MAX_LINK_HEADERS - 1)
    rows, counts = decode(ethernet(FOUR, tags=tags), ethernet(FOUR, tags=[*tags, (0x8100, 1)]))
    assert [row["frame"] for row in rows] == [1]
    assert counts.link_depth_limit == 1


def test_headers_of_all_kinds_count_together():
    stack = label(16, last=False) * (MAX_LINK_HEADERS // 2)
    tags = bytes.fromhex("00018100") * (MAX_LINK_HEADERS // 2) + bytes.fromhex("00018847")
    _, counts = decode(eth(0x8100, tags + stack + label(16) + FOUR))
    assert counts.link_depth_limit == 1


def test_what_is_cut_short_is_counted_and_left_out():
    walk = Walk(np.arange(10, dtype=np.uint8), DecodeCounts())
    found, rows = walk.read(candidates([0, 4, 9, 12], [10, 8, 10, 10]), 4)
    assert found.row.tolist() == [0, 1]
    assert rows.tolist() == [[0, 1, 2, 3], [4, 5, 6, 7]]
    assert walk.counts.bad_link_header == 2


def test_skip_and_cut():
    found = skip(candidates([5, 5], [20, 8], [40, 3]), 4)
    assert (found.start.tolist(), found.end.tolist(), found.wire_length.tolist()) == (
        [9, 9],
        [20, 8],
        [36, -1],
    )
    found = cut(candidates([5, 5], [20, 8], [40, 3]), np.array([10, 10]))
    assert (found.start.tolist(), found.end.tolist(), found.wire_length.tolist()) == (
        [5, 5],
        [15, 8],
        [10, 3],
    )


def test_joined_and_taken():
    one, two = candidates([1], [2]), candidates([3, 4], [5, 6], row=[7, 8])
    both = joined([one, two])
    assert (both.row.tolist(), both.start.tolist(), both.end.tolist()) == ([0, 7, 8], [1, 3, 4], [2, 5, 6])
    assert taken(both, np.array([2, 0])).start.tolist() == [4, 1]
    assert len(joined([]).row) == 0


def test_numbers_in_network_order():
    assert big16(np.array([[1, 2, 3], [0xFF, 0xFE, 0]], np.uint8), 1).tolist() == [0x0203, 0xFE00]


def test_choose_hands_on_what_it_knows():
    walk = Walk(np.zeros(64, np.uint8), DecodeCounts())
    found, value = walk.choose(
        candidates([0, 1, 2, 3], [64] * 4), np.array([7, 4, 9, 7]), {7: BY_NIBBLE, 9: Header.TAG}
    )
    assert (found.row.tolist(), value.tolist()) == ([1], [4])
    seen = []
    result, version = walk.run({Header.TAG: lambda _, tags: seen.extend(tags.row.tolist())})
    assert seen == [2]
    assert (result.row.tolist(), version.tolist()) == ([0, 3], [0, 0])


@pytest.mark.parametrize("order", [[0, 1], [1, 0]])
def test_packets_come_in_the_order_of_their_rows(order):
    walk = Walk(np.zeros(8, np.uint8), DecodeCounts())
    for number in order:
        walk.ip(candidates([number * 4], [8], row=[number]), 4 + 2 * number)
    found, version = walk.run({})
    assert (found.row.tolist(), version.tolist()) == ([0, 1], [4, 6])


def test_packets_of_one_frame_come_in_the_order_of_their_bytes():
    walk = Walk(np.zeros(8, np.uint8), DecodeCounts())
    walk.ip(candidates([6, 1], [8, 8], row=[3, 4]), 6)
    walk.ip(candidates([2], [8], row=[3]), 4)
    found, version = walk.run({})
    assert (found.row.tolist(), found.start.tolist(), version.tolist()) == ([3, 3, 4], [2, 6, 1], [4, 6, 6])


def test_hostile_link_types_do_not_pile_up():
    walk = Walk(np.zeros(8, np.uint8), DecodeCounts())
    size = 70_000
    walk.linktype(candidates([0] * size, [8] * size), np.arange(1 << 16, (1 << 16) + size))
    assert walk.counts.unknown_linktypes == {}
    assert walk.counts.bad_link_header == size
