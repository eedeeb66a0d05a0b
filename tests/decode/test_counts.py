from __future__ import annotations

from dataclasses import fields

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from forensics.decode import DecodeCounts
from tests.decode.build import batch_of, decode, ethernet, ipv4, ipv6, tcp, udp

OVERLAPPING = {
    "packets",
    "ipv4",
    "ipv6",
    "carriers",
    "tunnel_depth_limit",
    "fragments_unfinished",
    "fragments_refused",
    "fragments_impossible",
    "fragment_overlaps",
    "fragment_conflicts",
}
TAKEN_OFF = {"fragments_read", "fragments_reassembled", "aggregated"}
"""What counts as what it holds, and packets beyond the first of one frame."""


def test_every_class_that_excludes_the_others_is_summed_once():
    counts = DecodeCounts()
    total = 0
    for number, field in enumerate(fields(counts), 1):
        if field.name in OVERLAPPING:
            setattr(counts, field.name, 10_000)
        elif field.name == "unknown_linktypes":
            counts.unknown_linktypes.update({-1: 1000, 147: 2000})
            total += 3000
        elif field.name == "tunnels":
            counts.tunnels.update(gre=5000)
        elif field.name == "fragment_overlap_frames":
            counts.fragment_overlap_frames.append(7)
        elif field.name == "checksums":
            counts.checksums.tcp_bad = 5000
        elif field.name in TAKEN_OFF:
            setattr(counts, field.name, number)
            total -= number
        else:
            setattr(counts, field.name, number)
            total += number
    assert counts.explained == total


def test_two_captures_do_not_share_their_counts():
    first, second = DecodeCounts(), DecodeCounts()
    first.unknown_linktypes[147] = 1
    assert second.unknown_linktypes == {}


GOOD = [
    ethernet(ipv4(tcp(b"abc"), 6)),
    ethernet(ipv4(udp(b"abc"), 17)),
    ethernet(ipv6(tcp(b"abc"), 6), 0x86DD),
    ethernet(ipv4(b"\x03\x01" + bytes(6) + ipv4(tcp(), 6), 1)),
    ethernet(bytes(28), 0x0806),
    ethernet(ipv4(tcp(b"abc"), 6), 0x0800, tags=((0x8100, 7), (0x8100, 8))),
    ethernet(ipv4(bytes.fromhex("00000800") + ipv4(tcp(b"abc"), 6), 47)),
    ethernet(ipv4(udp(bytes.fromhex("30ff001700000001") + ipv4(udp(), 17), dport=2152), 17)),
    ethernet(ipv4(udp(b"abc")[:8], 17, fragment=0x2000)),
    ethernet(ipv4(b"abc", 17, fragment=0x0001)),
]


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(
        st.tuples(st.sampled_from(GOOD), st.integers(0, 90), st.binary(max_size=3), st.integers(0, 60)),
        max_size=12,
    )
)
def test_every_packet_is_in_exactly_one_class(frames):
    made = []
    for good, cut, noise, at in frames:
        frame = good[:cut]
        made.append(frame[:at] + noise + frame[at + len(noise) :])
    rows, counts = decode(*made)  # which compares packets, explained and the rows
    assert counts.packets == len(frames)
    assert counts.tcp == sum(row["proto"] == 6 and row["icmp_type"] < 0 for row in rows)
    assert counts.udp + counts.carriers == sum(row["proto"] == 17 and row["icmp_type"] < 0 for row in rows)
    assert counts.carriers == sum(row["carrier"] for row in rows)
    assert counts.icmp_errors == sum(row["icmp_type"] >= 0 for row in rows)


@pytest.mark.parametrize("linktype", [-1, 147])
def test_link_types_that_cannot_be_read_are_named(linktype):
    _, counts = decode(*GOOD[:2], linktype=linktype)
    assert counts.unknown_linktypes == {linktype: 2}
    assert len(batch_of(*GOOD[:2])) == counts.explained
