from __future__ import annotations

import struct

import pytest

from forensics.decode.link_walk import MAX_LINK_HEADERS
from tests.decode.build import decode as decode_frames
from tests.decode.build import ethernet, ipv4, ipv6, tcp, udp

FOUR = ipv4(tcp(b"hello"), 6)
SIX = ipv6(udp(b"hello"), 17)


def sll(payload, ethertype):
    return struct.pack(">HHH8sH", 0, 1, 6, bytes(8), ethertype) + payload


def sll2(payload, ethertype):
    return struct.pack(">HHIHBB8s", ethertype, 0, 2, 1, 0, 6, bytes(8)) + payload


@pytest.mark.parametrize(
    ("four", "six", "linktype"),
    [
        pytest.param(ethernet(FOUR), ethernet(SIX, 0x86DD), 1, id="ethernet"),
        pytest.param(
            ethernet(FOUR, tags=[(0x8100, 5)]), ethernet(SIX, 0x86DD, [(0x8100, 5)]), 1, id="802.1Q"
        ),
        pytest.param(
            ethernet(FOUR, tags=[(0x88A8, 5), (0x8100, 6)]),
            ethernet(SIX, 0x86DD, [(0x9100, 1), (0x8100, 2), (0x8100, 3)]),
            1,
            id="QinQ",
        ),
        pytest.param(sll(FOUR, 0x0800), sll(SIX, 0x86DD), 113, id="sll"),
        pytest.param(sll2(FOUR, 0x0800), sll2(SIX, 0x86DD), 276, id="sll2"),
        pytest.param(FOUR, SIX, 12, id="raw-12"),
        pytest.param(FOUR, SIX, 14, id="raw-14"),
        pytest.param(FOUR, SIX, 101, id="raw-101"),
        pytest.param(b"\2\0\0\0" + FOUR, b"\x1e\0\0\0" + SIX, 0, id="null-little"),
        pytest.param(b"\0\0\0\2" + FOUR, b"\0\0\0\x18" + SIX, 0, id="null-big"),
        pytest.param(b"\0\0\0\2" + FOUR, b"\0\0\0\x1c" + SIX, 108, id="loop"),
    ],
)
def test_each_linktype_leads_to_ip(four, six, linktype):
    rows, counts = decode_frames(four, six, linktype=linktype)
    assert [(row["frame"], row["proto"], row["payload"]) for row in rows] == [
        (1, 6, b"hello"),
        (2, 17, b"hello"),
    ]
    assert (counts.ipv4, counts.ipv6) == (1, 1)


def test_raw_links_that_fix_the_version():
    rows, counts = decode_frames((FOUR, 228), (SIX, 229), (SIX, 228), (FOUR, 229))
    assert [row["frame"] for row in rows] == [1, 2]
    assert counts.bad_ip_header == 2


def test_linktypes_mix_in_one_batch():
    rows, counts = decode_frames(
        (ethernet(FOUR), 1), (b"user", 147), (SIX, 101), (sll(FOUR, 0x0800), 113), (b"", -1)
    )
    assert [row["frame"] for row in rows] == [1, 3, 4]
    assert counts.unknown_linktypes == {147: 1, -1: 1}


def test_what_is_not_ip():
    _, counts = decode_frames(ethernet(bytes(28), 0x0806), (sll(b"", 0x0806), 113), (b"\7\0\0\0" + FOUR, 0))
    assert counts.not_ip == 3


def test_every_tag_up_to_the_limit_is_taken_off():
    tags = [(0x8100, 1)] * (MAX_LINK_HEADERS - 1)
    rows, counts = decode_frames(ethernet(FOUR, tags=tags), ethernet(FOUR, tags=[*tags, (0x8100, 1)]))
    assert [row["frame"] for row in rows] == [1]
    assert counts.link_depth_limit == 1


@pytest.mark.parametrize(
    ("frame", "linktype"),
    [
        (b"", 1), (bytes(13), 1), (ethernet(b"\0\1\x08", 0x8100), 1), (bytes(15), 113), (bytes(19), 276),
        (b"\2\0\0", 0),
    ],
)  # fmt: skip
def test_a_cut_link_header_is_counted(frame, linktype):
    # Followed by a good packet, whose bytes must not be taken for the cut one's.
    rows, counts = decode_frames((frame, linktype), (FOUR, 101), gap=b"\x08\0E\0\x81\0")
    assert [row["frame"] for row in rows] == [2]
    assert counts.bad_link_header == 1
