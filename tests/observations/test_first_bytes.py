"""First bytes of streams, and segments that differ from them."""

from __future__ import annotations

import numpy as np
import pytest

from forensics.observations.first_bytes import CONFLICTS, FIRST_BYTES, FirstBytes
from tests.flows.made import ACK, CLIENT, PSH, SERVER, Talk, collect, flow

CLIENT_SIDE = int(CLIENT[0] > SERVER[0])


def conflicts(*texts, cuts=()):
    talk = Talk().shake()
    for text in texts:
        talk.c(ACK | PSH, 1, 1, data=text)
    found = collect(talk.packets, cuts).tls.first.conflicts
    for other in (range(len(talk.packets)), [5]):
        assert collect(talk.packets, other).tls.first.conflicts == found
    return found


def test_known_bytes_grow():
    first = FirstBytes()
    first.grow_to(4)
    for end in (3, 2, 10, 40):
        first.extend(2, bytes(range(end)))
    first.note(np.array([3]), np.full((1, FIRST_BYTES), 0xAB, dtype=np.uint8))
    assert first.hex(np.array([2, 1, 3])).to_list() == [bytes(range(16)).hex(), None, "ab" * 16]
    first.clear(np.array([2]))
    assert first.hex(np.array([2, 3])).to_list() == [None, "ab" * 16]


def test_a_side_that_never_came_has_none():
    assert FirstBytes().hex(np.array([0, 5])).to_list() == [None, None]


@pytest.mark.parametrize(
    ("texts", "frames"),
    [
        ((b"GET / HTTP/1.1\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n"), None),
        ((b"GET / HTTP/1.1\r\n\r\n", b"GET /"), None),
        ((b"GET / HTTP/1.1\r\n\r\n", b"GET / HTTP/1.1\r\nand what follows is not looked at"), None),
        ((b"GET / HTTP/1.1\r\n\r\n", b"POST / HTTP/1.1\r\n\r\n"), [5]),
        ((b"GET / HTTP/1.1\r\n\r\n", b"GE!"), [5]),
        ((b"GET / HTTP/1.1\r\n\r\n", b"?"), None),
        ((b"ab", b"abcdefghijklmnopqrstuvwxyz", b"ab!", b"abc"), [6]),
        ((b"ab", b"a!"), [5]),
    ],
)
def test_segments_that_differ(texts, frames):
    assert conflicts(*texts) == ({CLIENT_SIDE: frames} if frames else {})


def test_a_flood_is_cut():
    found = conflicts(b"GET / HTTP/1.1\r\n\r\n", *[b"POST / HTTP/1.1\r\n"] * 50)
    assert found == {CLIENT_SIDE: list(range(5, 5 + CONFLICTS))}


def test_the_flow_table_shows_them():
    talk = Talk().shake()
    talk.c(ACK | PSH, 1, 1, data=b"GET / HTTP/1.1\r\n\r\n")
    talk.s(ACK | PSH, 1, 19, data=b"HTTP/1.1 200 OK\r\n\r\n")
    talk.s(ACK | PSH, 1, 19, data=b"HTTP/1.1 302 Found\r\n\r\n")
    row = flow(talk.packets)
    assert row["server_first_bytes"] == b"HTTP/1.1 200 OK\r\n\r\n"[:16].hex()
    assert row["content_conflict"]
    assert row["content_conflict_to_client_frames"] == [6]
