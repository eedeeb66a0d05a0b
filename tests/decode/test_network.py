from __future__ import annotations

import struct

import pytest

from tests.decode.build import A6, B6, A, B, decode, ethernet, ipv4, ipv6, tcp, udp


def raw(*frames):
    return decode(*frames, linktype=101)


def option_header(following, words=0):
    return bytes([following, words]) + bytes(6 + 8 * words)


def test_ipv4_fields():
    (row,), _ = raw(ipv4(tcp(b"abc"), 6, ttl=3, ident=0xBEEF, fragment=0x4000))
    assert (row["src"], row["dst"], row["ttl"], row["ipid"], row["df"]) == (A, B, 3, 0xBEEF, True)
    assert row["ip_bytes"] == 43
    (row,), _ = raw(ipv4(tcp(), 6, fragment=0))
    assert row["df"] is False


def test_ipv4_options_are_skipped():
    (row,), _ = raw(ipv4(tcp(b"abc"), 6, options=b"\x94\4\0\0" * 10))
    assert (row["sport"], row["payload"]) == (40000, b"abc")


def test_ethernet_padding_is_no_payload():
    (row,), _ = decode(ethernet(ipv4(tcp(), 6)) + bytes(6))
    assert (row["payload_len"], row["payload_captured"]) == (0, 0)


def test_length_0_left_by_offload_means_the_wire_length():
    frame = ethernet(ipv4(tcp(b"x" * 3000), 6, length=0))
    rows, _ = decode(frame, (frame[:100], 1, len(frame)))
    assert [(row["payload_len"], row["payload_captured"], row["ip_bytes"]) for row in rows] == [
        (3000, 3000, 3040),
        (3000, 46, 3040),
    ]


@pytest.mark.parametrize("fragment", [0x2000, 0x2001, 0x0001, 0x1FFF])
def test_fragments_are_counted_first_ones_too(fragment):
    rows, counts = raw(ipv4(udp(b"abc"), 17, fragment=fragment))
    assert (rows, counts.fragments) == ([], 1)


@pytest.mark.parametrize(
    "packet",
    [
        ipv4(tcp(), 6)[:19],
        ipv4(tcp(), 6, ihl=4),
        ipv4(b"", 6, ihl=15),
        ipv4(tcp(), 6, length=19),
        b"\x55" + ipv4(tcp(), 6)[1:],
        ipv6(tcp(), 6)[:39],
        ipv6(b"\6", 0),
        ipv6(option_header(6, 9)[:40], 60),
        b"",
    ],
)
def test_headers_that_cannot_be_are_counted(packet):
    rows, counts = raw(packet, ipv4(tcp(), 6))
    assert [row["frame"] for row in rows] == [2]
    assert counts.bad_ip_header == 1


def test_ipv6_fields():
    (row,), _ = raw(ipv6(tcp(b"abc"), 6, hops=9))
    assert (row["src"], row["dst"], row["ttl"], row["ipid"], row["df"]) == (A6, B6, 9, -1, False)
    assert (row["ip_bytes"], row["payload"]) == (63, b"abc")


@pytest.mark.parametrize(
    ("first", "chain"),
    [
        pytest.param(0, option_header(6), id="hop-by-hop"),
        pytest.param(43, option_header(6, 2), id="routing"),
        pytest.param(60, option_header(6, 1), id="destination"),
        pytest.param(44, struct.pack(">BBHI", 6, 99, 0, 1), id="atomic-fragment"),
        pytest.param(51, struct.pack(">BBHII12s", 6, 4, 0, 1, 1, bytes(12)), id="authentication"),
        pytest.param(0, option_header(60) + option_header(43, 3) + option_header(6), id="three"),
    ],
)
def test_extension_headers(first, chain):
    rows, _ = raw(ipv6(chain + tcp(b"abc"), first), ipv6(udp(b"plain"), 17))
    assert [(row["proto"], row["payload"]) for row in rows] == [(6, b"abc"), (17, b"plain")]


@pytest.mark.parametrize("field", [1, 8, 0xFFF8, 9])
def test_ipv6_fragments(field):
    fragment = struct.pack(">BBHI", 0, 0, field, 1)
    rows, counts = raw(ipv6(fragment + b"\xff" * 9, 44))
    assert (rows, counts.fragments) == ([], 1)


def test_an_endless_chain_is_given_up():
    rows, counts = raw(ipv6(option_header(0) * 100 + option_header(6) + tcp(), 0))
    assert (rows, counts.other_ip) == ([], 1)


def test_versions_mix_in_frame_order():
    rows, _ = raw(ipv6(udp(), 17), ipv4(tcp(), 6), ipv6(tcp(), 6), ipv4(udp(), 17))
    assert [(row["frame"], row["proto"], ":" in row["src"]) for row in rows] == [
        (1, 17, True), (2, 6, False), (3, 6, True), (4, 17, False),
    ]  # fmt: skip


def test_other_protocols():
    _, counts = raw(ipv4(bytes(40), 47), ipv4(bytes(40), 41), ipv6(b"", 59), ipv6(bytes(8), 50))
    assert counts.other_ip == 4
