from __future__ import annotations

import struct

import pytest

from forensics.decode.link_fixed import MAX_NFLOG_ATTRIBUTES
from tests.decode.build import decode
from tests.decode.link_cases import FOUR, NFLOG_PACKET


@pytest.mark.parametrize(
    ("raw", "linktype"),
    [
        (bytes(15), 113), (bytes(19), 276), (b"\2\0\0", 0), (b"\0\0\0", 108), (b"\2\0\0\0" + bytes(7), 109),
        (b"\x3d\2" + bytes(61), 117), (b"\x05\2" + bytes(62), 117), (b"\2\0\0", 239), (b"\2\0\0\5\x08\0\x09", 239),
    ],
)  # fmt: skip
def test_a_cut_header_is_counted(raw, linktype):
    # Followed by a good packet, whose bytes must not be taken for the cut one's.
    rows, counts = decode((raw, linktype), (FOUR, 101), gap=b"\x08\0E\0\x81\0")
    assert [row["frame"] for row in rows] == [2]
    assert counts.bad_link_header == 1


def attributes(number):
    one = struct.pack("<HHI", 8, 5, 0)
    return b"\2\0\0\5" + one * number + NFLOG_PACKET


def test_as_many_attributes_as_are_followed():
    rows, counts = decode(
        attributes(MAX_NFLOG_ATTRIBUTES - 1), attributes(MAX_NFLOG_ATTRIBUTES), linktype=239
    )
    assert [row["frame"] for row in rows] == [1]
    assert counts.link_depth_limit == 1


def test_attributes_behind_the_packet_are_not_payload():
    rows, _ = decode(b"\2\0\0\5" + NFLOG_PACKET + bytes(3) + struct.pack("<HHI", 8, 5, 0), linktype=239)
    assert [row["payload"] for row in rows] == [b"hello"]


def test_a_packet_that_was_cut_is_read_as_far_as_it_goes():
    raw = b"\2\0\0\5" + NFLOG_PACKET
    rows, _ = decode((raw[:-2], 239, len(raw)))
    assert [(row["payload"], row["payload_len"]) for row in rows] == [(b"hel", 5)]
