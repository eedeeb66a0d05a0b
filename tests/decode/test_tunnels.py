from __future__ import annotations

import pickle

import numpy as np

from forensics.decode.addresses import AddressBook
from forensics.decode.tunnels import KINDS, TUNNELS, BatchTunnels, Tunnel, TunnelBook

GRE, VXLAN = KINDS.index("gre"), KINDS.index("vxlan")
A, B = 0xC0000201, 0xC6336407


def columns(*tunnels):
    return tuple(np.array(column, np.int64) for column in zip(*tunnels, strict=True))


def test_every_kind_names_its_standard():
    assert all(any(word in text for word in ("RFC", "draft-", "3GPP")) for text in TUNNELS.values())


def test_nested_tunnels_have_the_kinds_from_the_outermost_and_its_addresses():
    book, addresses = TunnelBook(), AddressBook()
    outer = book.intern(-1, GRE, (A, B), 9, addresses)
    inner = book.intern(outer, VXLAN, (1, 2), 123, addresses)
    keyless = book.intern(outer, KINDS.index("ip-in-ip"), (1, 2), -1, addresses)
    assert book[outer] == Tunnel("gre", "192.0.2.1", "198.51.100.7", 9)
    assert book[inner] == Tunnel("gre>vxlan", "192.0.2.1", "198.51.100.7", 123)
    assert book[keyless].key == 9
    assert book.text(inner) == "gre>vxlan"
    assert book.text(-1) == ""
    assert book.intern(outer, VXLAN, (1, 2), 123, addresses) == inner
    assert len(book) == 3


def test_a_book_is_bounded_and_the_rest_shares_one_entry(monkeypatch):
    monkeypatch.setattr("forensics.decode.tunnels.MOST_TUNNELS", 3)
    book, addresses = TunnelBook(), AddressBook()
    numbers = [book.intern(-1, GRE, (A, B), key, addresses) for key in range(10)]
    assert numbers == [0, 1, 2, 3, 3, 3, 3, 3, 3, 3]
    assert book.text(3) == "other"
    assert book.intern(3, VXLAN, (A, B), 1, addresses) == 3
    assert book.intern(-1, GRE, (A, B), 1, addresses) == 1
    assert len(book) == 4


def test_another_process_has_the_same_book():
    book, other, addresses = TunnelBook(), TunnelBook(), AddressBook()
    for key in range(3):
        book.intern(-1, GRE, (A, B), key, addresses)
        other.extend(book.since(len(other)))
    assert [other[number] for number in range(3)] == [book[number] for number in range(3)]
    assert pickle.loads(pickle.dumps(book))[2] == book[2]  # noqa: S301 - just written


def test_numbers_come_in_frame_order_however_the_frames_are_cut():
    """Frame 0 is in VXLAN in GRE, frame 1 in GRE alone, frame 2 as frame 0 but with another VNI."""
    frames = [[(GRE, A, B, 1), (VXLAN, 5, 6, 10)], [(GRE, A, B, 2)], [(GRE, A, B, 1), (VXLAN, 5, 6, 11)]]
    books = []
    for batches in ([[0, 1, 2]], [[0], [1], [2]], [[0, 1], [2]]):
        book, seen = TunnelBook(), []
        for batch in batches:
            made = BatchTunnels()
            outer = made.note(np.arange(len(batch)), 0, -1, columns(*(frames[n][0] for n in batch)))
            deep = np.array([place for place, n in enumerate(batch) if len(frames[n]) > 1], np.int64)
            last = outer.copy()
            if len(deep):
                named = columns(*(frames[batch[place]][1] for place in deep))
                last[deep] = made.note(deep, 1, outer[deep], named)
            seen += made.numbers(book, AddressBook())[last].tolist()
        books.append((seen, [book[n] for n in range(len(book))]))
    assert books[0] == books[1] == books[2]
    assert [tunnel.kinds for tunnel in books[0][1]] == ["gre", "gre>vxlan", "gre", "gre>vxlan"]


def test_a_chain_says_the_same_in_every_batch():
    one, two = BatchTunnels(), BatchTunnels()
    two.note(np.arange(1), 0, -1, columns((GRE, 9, 9, 9)))
    numbers = []
    for made in (one, two):
        outer = made.note(np.arange(1), 0, -1, columns((GRE, A, B, 1)))
        numbers.append(int(made.note(np.arange(1), 1, outer, columns((VXLAN, 1, 2, 3)))[0]))
    assert numbers[0] != numbers[1]
    assert one.chain(numbers[0]) == two.chain(numbers[1]) != ()
    assert one.chain(-1) == ()
