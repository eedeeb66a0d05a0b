from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forensics.capture import Batch
from forensics.decode import PACKET_COLUMNS, Decoder
from forensics.decode.packets import MAX_TUNNELS
from tests.decode.build import batch_of, decode, ethernet, ipv4, ipv6, tcp, udp


def raw(*frames):
    return decode(*frames, linktype=101)


def test_tcp_fields():
    (row,), counts = raw(
        ipv4(tcp(b"data", sport=1, dport=65535, seq=2**32 - 1, ack=2**31, flags=0xFF, window=65535), 6)
    )
    names = (
        "proto sport dport seq ack flags window payload_len payload_captured icmp_type icmp_code icmp_from"
    )
    assert [row[name] for name in names.split()] == [
        6, 1, 65535, 2**32 - 1, 2**31, 0xFF, 65535, 4, 4, -1, -1, -1,
    ]  # fmt: skip
    assert (row["payload"], row["time"], counts.tcp) == (b"data", 0, 1)


def test_udp_fields():
    (row,), counts = raw(ipv4(udp(b"question", sport=3, dport=53), 17))
    names = "proto sport dport seq ack flags window payload_len"
    assert [row[name] for name in names.split()] == [17, 3, 53, 0, 0, 0, 0, 8]
    assert (row["payload"], counts.udp) == (b"question", 1)


def test_only_the_data_offset_of_tcp_options_matters():
    (row,), _ = raw(ipv4(tcp(b"data", options=b"\xff" * 40), 6))
    assert row["payload"] == b"data"


def test_snaplen_cuts_the_payload_but_not_its_length():
    whole = ipv4(tcp(b"x" * 1000, options=bytes(12)), 6)
    rows, counts = raw(*((whole[:cut], 101, len(whole)) for cut in (1052, 100, 52, 45, 40, 39)))
    assert [(row["payload_len"], row["payload_captured"]) for row in rows] == [
        (1000, 1000), (1000, 48), (1000, 0), (1000, 0), (1000, 0),
    ]  # fmt: skip
    assert counts.bad_transport_header == 1


def test_the_udp_length_bounds_the_payload():
    rows, counts = raw(
        ipv4(udp(b"abcdef", length=11), 17),
        ipv4(udp(b"abcdef", length=9000), 17),
        ipv6(udp(b"abcdef", length=0), 17),  # RFC 2675 jumbogram
        ipv4(udp(b"abcdef", length=0), 17),  # Wireshark: bad length value 0 < 8
        ipv4(udp(b"abcdef", length=7), 17),
    )
    assert [row["payload_len"] for row in rows] == [3, 6, 6]
    assert counts.bad_transport_header == 2


@pytest.mark.parametrize(
    "packet",
    [ipv4(tcp(offset=4), 6), ipv4(tcp(offset=6), 6), ipv4(tcp()[:19], 6), ipv4(udp()[:7], 17), ipv4(b"", 6)],
)
def test_transport_headers_that_cannot_be(packet):
    rows, counts = raw(packet, ipv6(tcp(), 6))
    assert [row["frame"] for row in rows] == [2]
    assert counts.bad_transport_header == 1


def test_frames_count_on_from_the_batch_before():
    rows, _ = decode(ethernet(bytes(28), 0x0806), ethernet(ipv4(udp(), 17)), first_frame=1000)
    assert [row["frame"] for row in rows] == [1001]


def test_schema_of_empty_and_full():
    for batch in (batch_of(), batch_of(ethernet(b"", 0x0806)), batch_of(ethernet(ipv4(tcp(), 6)))):
        columns = Decoder().decode(batch).packets.columns
        assert {name: values.dtype.type for name, values in columns.items()} == PACKET_COLUMNS


SEEDS = [
    ethernet(ipv4(tcp(b"abc"), 6), tags=[(0x8100, 1)]),
    ipv6(b"\6\0" + bytes(6) + tcp(b"abc"), 0),
    ethernet(ipv4(b"\3\1" + bytes(6) + ipv4(udp(b"q"), 17), 1)),
    ipv6(b"\1\0" + bytes(6) + ipv6(tcp(), 6), 58),
]
LINKTYPES = [0, 1, 12, 101, 108, 113, 228, 229, 276, 147, -1]


@st.composite
def damaged(draw):
    frame = bytearray(draw(st.sampled_from(SEEDS)) if draw(st.booleans()) else draw(st.binary(max_size=90)))
    for _ in range(draw(st.integers(0, 4)) if frame else 0):
        frame[draw(st.integers(0, len(frame) - 1))] = draw(st.integers(0, 255))
    cut = bytes(frame[: draw(st.integers(0, len(frame)))])
    return cut, draw(st.sampled_from(LINKTYPES)), draw(st.sampled_from([len(cut), 0, 70_000, 2**32 - 1]))


@settings(max_examples=200, deadline=None)
@given(st.lists(damaged(), max_size=6))
def test_any_bytes_are_counted_once_and_stay_inside(frames):
    batch = batch_of(*frames, gap=b"")
    decoder = Decoder()
    table, counts = decoder.decode(batch).packets, decoder.counts
    assert {name: values.dtype.type for name, values in table.columns.items()} == PACKET_COLUMNS
    assert counts.packets == counts.explained == len(frames)
    assert len(table) == counts.tcp + counts.udp + counts.icmp_errors
    for row in table.where(table["icmp_type"] < 0).to_dicts():
        at = row["frame"] - 1
        start, end = int(batch.offset[at]), int(batch.offset[at] + batch.caplen[at])
        assert start <= row["payload_offset"] <= row["payload_offset"] + row["payload_captured"] <= end
        assert 0 <= row["payload_captured"] <= row["payload_len"]
    alone = [Decoder().decode(batch_of(frame)).packets for frame in frames]
    for name in PACKET_COLUMNS:
        if alone and name not in {"frame", "time", "src", "dst", "icmp_from", "payload_offset"}:
            # no packet's columns depend on its neighbours
            assert np.concatenate([one[name] for one in alone]).tolist() == table[name].tolist()


def test_data_shorter_than_any_header():
    empty = np.empty(0, np.int64)
    batch = Batch(
        np.empty(0, np.uint8), 1, empty, empty, empty, empty, np.empty(0, np.int32), np.empty(0, np.int32)
    )
    assert len(Decoder().decode(batch).packets) == 0


def test_the_owner_of_a_packet_stands_beside_it():
    batch = batch_of(ethernet(b"", 0x0806), ethernet(ipv4(tcp(), 6)), ethernet(ipv4(udp(), 17)))
    assert Decoder().decode(batch).packets["uid"].tolist() == [-1, -1]
    object.__setattr__(batch, "uid", np.array([1, 2, 3], np.int32))
    assert Decoder().decode(batch).packets["uid"].tolist() == [2, 3]


def test_a_tunnel_in_a_tunnel_has_a_row_for_each_udp_header():
    inner = ipv4(tcp(b"abc"), 6)
    teid = struct.pack(">BBHI", 0x30, 0xFF, len(inner), 5) + inner
    outer = ethernet(ipv4(udp(teid, dport=2152), 17))
    vxlan = ethernet(ipv4(udp(bytes.fromhex("08000000 00007b00") + outer, dport=4789), 17))
    rows, counts = decode(vxlan)
    assert [(row["dport"], row["carrier"], row["inside"]) for row in rows] == [
        (4789, True, ""),
        (2152, True, "vxlan"),
        (443, False, "vxlan>gtp-u"),
    ]
    assert (counts.tcp, counts.udp, counts.carriers) == (1, 0, 2)
    assert counts.tunnels == {"vxlan": 1, "gtp-u": 1}


@pytest.mark.parametrize("depth", [MAX_TUNNELS, MAX_TUNNELS + 1, 100])
def test_tunnels_in_one_another_are_followed_so_far(depth):
    packet = ipv4(tcp(b"abc"), 6)
    for _ in range(depth):
        packet = ipv4(packet, 4)
    rows, counts = decode(ethernet(packet))
    followed = depth <= MAX_TUNNELS
    assert [row["inside"].count("ip-in-ip") for row in rows] == ([depth] if followed else [])
    assert counts.tunnel_depth_limit == (not followed)
    assert counts.other_ip == (not followed)
    assert counts.tunnels == {"ip-in-ip": MAX_TUNNELS}


def test_datagrams_in_one_another_are_followed_so_far():
    packet = ipv4(tcp(b"abc"), 6)
    for _ in range(MAX_TUNNELS + 1):
        packet = ipv4(udp(struct.pack(">BBHI", 0x30, 0xFF, len(packet), 5) + packet, dport=2152), 17)
    rows, counts = decode(ethernet(packet))
    assert [row["carrier"] for row in rows] == [True] * MAX_TUNNELS + [False]
    assert (counts.udp, counts.carriers, counts.tunnel_depth_limit) == (1, MAX_TUNNELS, 1)


WRAPS = {
    "gre": lambda inner: ipv4(struct.pack(">HH", 0, 0x86DD if inner[0] >> 4 == 6 else 0x0800) + inner, 47),
    "ip-in-ipv6": lambda inner: ipv6(inner, 41 if inner[0] >> 4 == 6 else 4),
    "gtp-u": lambda inner: ipv4(udp(struct.pack(">BBHI", 0x30, 0xFF, len(inner), 5) + inner, dport=2152), 17),
    "vxlan": lambda inner: ipv6(
        udp(
            bytes.fromhex("08000000 00007b00") + ethernet(inner, 0x86DD if inner[0] >> 4 == 6 else 0x0800),
            dport=4789,
        ),
        17,
    ),
}


@settings(max_examples=150, deadline=None)
@given(st.lists(st.lists(st.sampled_from(sorted(WRAPS)), max_size=6), min_size=1, max_size=6), st.booleans())
def test_nested_as_anybody_likes(nestings, six):
    inner = ipv6(tcp(b"abc"), 6) if six else ipv4(tcp(b"abc"), 6)
    frames = []
    for nesting in nestings:
        packet = inner
        for kind in reversed(nesting):
            packet = WRAPS[kind](packet)
        frames.append(ethernet(packet, 0x86DD if packet[0] >> 4 == 6 else 0x0800))
    rows, counts = decode(*frames)
    ends = [row for row in rows if not row["carrier"]]
    assert [row["inside"] for row in ends] == [">".join(nesting) for nesting in nestings]
    assert all(row["payload"] == b"abc" for row in ends)
    assert sum(counts.tunnels.values()) == sum(map(len, nestings))
    alone = [decode(frame)[0] for frame in frames]
    assert [[row["inside"] for row in rows if row["frame"] == n] for n in range(1, len(frames) + 1)] == [
        [row["inside"] for row in one] for one in alone
    ]
