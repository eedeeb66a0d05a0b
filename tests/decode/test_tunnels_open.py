from __future__ import annotations

import numpy as np

from forensics.decode.addresses import AddressBook
from forensics.decode.network import Candidates
from forensics.decode.tunnels_open import Opening, number, skip
from tests.decode.build import ipv4, tcp

INNER = ipv4(tcp(b"abc"), 6)


def candidates(*places, data):
    rows = np.arange(len(places), dtype=np.int64)
    start = np.array([start for start, _ in places], np.int64)
    end = np.array([end for _, end in places], np.int64)
    return Candidates(rows, start, np.minimum(end, len(data)), end - start)


def test_numbers_are_read_the_highest_byte_first():
    head = np.array([[1, 2, 3, 255]], np.uint8)
    assert number(head, 0, 2).tolist() == [0x102]
    assert number(head, 1, 3).tolist() == [0x203FF]


def test_skipping_takes_from_the_wire_length():
    data = np.zeros(20, np.uint8)
    moved = skip(candidates((0, 20), (4, 20), data=data), np.array([8, 2]), np.array([True, False]))
    assert (moved.row.tolist(), moved.start.tolist(), moved.wire_length.tolist()) == ([0], [8], [12])


def test_a_header_is_read_only_where_it_was_captured():
    data = np.arange(20, dtype=np.uint8)
    opening = Opening(data, 2)
    found, head = opening.read(candidates((0, 8), (16, 20), data=data), 4, np.array([2, 2]))
    assert found.row.tolist() == [0]
    assert head.tolist() == [[2, 3, 4, 5]]


def test_packets_that_their_tunnel_has_no_room_for_are_none():
    data = np.frombuffer(INNER + INNER + b"\x00" * 60, np.uint8)
    size = len(INNER)
    opening = Opening(data, 3)
    opening.ip(candidates((0, size), (size, 2 * size - 1), (2 * size, 3 * size), data=data))
    inside = opening.packets(AddressBook())
    assert inside is not None
    assert inside.row.tolist() == [0]


def test_nothing_inside():
    assert Opening(np.zeros(4, np.uint8), 0).packets(AddressBook()) is None
