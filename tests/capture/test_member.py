from __future__ import annotations

import pytest

from forensics.capture.member import Member
from forensics.capture.merging import NO_TIME
from forensics.capture.windows import Windows
from tests.capture.build import block, enhanced, interface, pcap, section, simple

NANO = 1_000_000_000


def member(tmp_path, content, index=2, batch_packets=1 << 18):
    path = tmp_path / "file"
    path.write_bytes(content)
    return Member(index, path, batch_packets, Windows())


@pytest.mark.parametrize(
    ("content", "first"),
    [
        (pcap([(7, 1, b"x"), (3, 0, b"y")]), (7 * NANO + 1000, -2)),
        (pcap([(0, 0, b"x")]), (0, -2)),
        (section() + interface() + simple(b"x"), (NO_TIME, 2)),
        (section() + interface() + block(0x0BAD, bytes(32)) + enhanced(b"x", 9), (NO_TIME, 2)),
        (section() + interface() + block(0x0999, bytes(200_000)) + enhanced(b"x", 9), (9000, -2)),
        (section() + interface(), (2**63 - 1, 2)),
        (pcap([])[:-1] + b"\1" + bytes(15), (2**63 - 1, 2)),
    ],
    ids=["pcap", "1970", "untimed", "numbered", "far", "empty", "cut"],
)
def test_the_place_of_the_first_packet(tmp_path, content, first):
    made = member(tmp_path, content)
    assert made.first == first
    assert (made.kept, made.position, made.size) == (False, 0, len(content))


def test_rows_stand_where_the_latest_time_so_far_stands(tmp_path):
    made = member(tmp_path, pcap([(t, 0, bytes([t])) for t in (2, 5, 1, 5, 9)]), batch_packets=2)
    made.start(1 << 16)
    taken = []
    while made.refill():
        assert made.head[0] <= made.last[0]
        while (part := made.take((made.head[0], 99))) is not None:
            taken.append((part.begin, part.end, int(part.key[part.begin]) // NANO))
            if part.end == len(part.batch):
                break
        made.give_back()
    assert taken == [(0, 1, 2), (1, 2, 5), (0, 2, 5), (0, 1, 9)]
    made.close()
    assert made.notes.packets == 5
    assert made.notes.sha256
    assert made.all_read


def test_ties_are_taken_up_to_and_with_the_own_place(tmp_path):
    made = member(tmp_path, pcap([(1, 0, b"a"), (5, 0, b"b"), (6, 0, b"c")]))
    made.start(1 << 16)
    assert made.refill()
    assert made.take((0, 0)) is None
    part = made.take((5 * NANO, -3))  # the file named after this one is to come first
    assert (part.begin, part.end) == (0, 1)
    part = made.take((5 * NANO, -1))
    assert (part.begin, part.end) == (1, 2)
    part = made.take(None)
    assert (part.begin, part.end, len(part)) == (2, 3, 1)
    made.close()


def test_a_file_that_vanished_is_damaged(tmp_path):
    made = member(tmp_path, pcap([(1, 0, b"a")]))
    (tmp_path / "file").unlink()
    made.start(1 << 16)
    assert not made.refill()
    assert made.notes.damage.startswith("cannot be opened (No such file")
    made.close()
