from __future__ import annotations

import pytest

from tests.decode.build import decode, ethernet
from tests.decode.link_cases import FOUR, eth, frame, label, length


@pytest.mark.parametrize("ethertype", [0x8100, 0x88A8, 0x9100, 0x9200])
def test_tags_of_every_kind_before_both_versions(ethertype):
    rows, _ = decode(
        ethernet(FOUR, tags=[(ethertype, 5)]), ethernet(FOUR, tags=[(ethertype, 5), (0x8100, 6)])
    )
    assert [(row["frame"], row["payload"]) for row in rows] == [(1, b"hello"), (2, b"hello")]


@pytest.mark.parametrize(
    "raw",
    [
        b"", bytes(13), eth(0x8100, b"\0\5\x08"), eth(0x893F, bytes(7)), eth(0x88E7, bytes(3)),
        eth(0x8847, bytes(3)), eth(0x8847, label(16)), eth(0x8847, label(16) + bytes(13)),
        length(b"\xaa\xaa\x03\0\0\0\x08"), eth(0x6558, bytes(13)),
    ],
)  # fmt: skip
def test_a_cut_header_is_counted(raw):
    _, counts = decode(raw)
    assert counts.bad_link_header == 1


def test_a_control_word_that_was_cut_off_is_not_made_up():
    """Behind the frame stand bytes that would make an EtherType."""
    cut = eth(0x8847, label(100) + frame("00000000", eth(0x0800, b"")[:12]))
    rows, counts = decode(cut, gap=b"\x08\x00" + FOUR)
    assert rows == []
    assert counts.not_ip == 1
