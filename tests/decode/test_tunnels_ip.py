"""Header bytes from the RFCs; tests/shared holds the same to tshark."""

from __future__ import annotations

import struct

import pytest

from tests.decode.build import decode, ethernet, ipv4, ipv6, tcp, udp

INNER = ipv4(tcp(b"abc", sport=1111), 6, src="10.0.0.1", dst="10.0.0.2")
INNER6 = ipv6(tcp(b"abc", sport=1111), 6)


def frame(inner, *, six=False):
    return bytes(12) + (b"\x86\xdd" if six else b"\x08\x00") + inner


def erspan3(content, *, platform):
    last = content << 10 | platform  # FT and O: draft-foschiano-erspan-03, 4.3
    return struct.pack(">HHIHH", 0x2001, 0x0007, 0, 0, last) + bytes(8 * platform)


CARRIED = {
    "plain": (47, bytes.fromhex("00000800") + INNER, "gre", -1),
    "v6": (47, bytes.fromhex("000086dd") + INNER6, "gre", -1),
    "checksum": (47, bytes.fromhex("80000800 ffff0000") + INNER, "gre", -1),
    "key": (47, bytes.fromhex("20000800 00000102") + INNER, "gre", 0x102),
    "all": (47, bytes.fromhex("b0000800 ffff0000 00000007 00000001") + INNER, "gre", 7),
    "bridged": (47, bytes.fromhex("00006558") + frame(INNER), "gre", -1),
    "tagged": (47, bytes.fromhex("00006558") + ethernet(INNER, tags=((0x8100, 5),)), "gre", -1),
    "ppp": (47, bytes.fromhex("0000880b ff030021") + INNER, "gre", -1),
    "wccp": (47, bytes.fromhex("0000883e") + INNER, "gre", -1),
    "wccp2": (47, bytes.fromhex("0000883e 00010203") + INNER, "gre", -1),
    "pptp": (47, struct.pack(">HHHHI", 0x3001, 0x880B, 9, 77, 1) + b"\xff\x03\x00\x21" + INNER, "pptp", 77),
    "pptp with ack": (
        47,
        struct.pack(">HHHHII", 0x3081, 0x880B, 9, 77, 1, 2) + b"\x00\x21" + INNER,
        "pptp",
        77,
    ),
    "erspan 1": (47, bytes.fromhex("000088be") + frame(INNER), "gre>erspan", -1),
    "erspan 2": (47, bytes.fromhex("100088be 00000001 1000 f809 00000000") + frame(INNER), "gre>erspan", 9),
    "erspan 3": (
        47,
        bytes.fromhex("100022eb 00000001") + erspan3(0, platform=0) + frame(INNER),
        "gre>erspan",
        7,
    ),
    "erspan 3 long": (
        47,
        bytes.fromhex("100022eb 00000001") + erspan3(0, platform=1) + frame(INNER),
        "gre>erspan",
        7,
    ),
    "erspan 3 ip": (47, bytes.fromhex("100022eb 00000001") + erspan3(2, platform=0) + INNER, "gre>erspan", 7),
    "4 in 4": (4, INNER, "ip-in-ip", -1),
    "6 in 4": (41, INNER6, "6in4", -1),
    "etherip": (97, b"\x30\x00" + frame(INNER), "etherip", -1),
    "mpls": (137, bytes.fromhex("00064140") + INNER, "mpls-in-ip", -1),
}


@pytest.mark.parametrize("name", CARRIED)
def test_what_is_inside(name):
    proto, raw, kinds, key = CARRIED[name]
    rows, counts = decode(ethernet(ipv4(raw, proto)))
    (row,) = rows
    assert (row["proto"], row["sport"], row["payload"]) == (6, 1111, b"abc")
    assert row["inside"] == kinds
    assert row["key"] == key
    assert not row["carrier"]
    assert counts.tunnels == {kinds: 1}
    assert (counts.tcp, counts.other_ip, counts.ipv4 + counts.ipv6) == (1, 0, 2)


@pytest.mark.parametrize(("proto", "inner"), [(4, INNER), (41, INNER6)])
def test_inside_ipv6(proto, inner):
    rows, counts = decode(ethernet(ipv6(inner, proto), 0x86DD))
    assert [row["inside"] for row in rows] == ["ip-in-ipv6"]
    assert counts.tunnels == {"ip-in-ipv6": 1}


@pytest.mark.parametrize("name", CARRIED)
def test_growing_prefixes_and_trailing_junk(name):
    proto, raw, _, _ = CARRIED[name]
    for size in range(len(raw)):
        rows, counts = decode(ethernet(ipv4(raw[:size], proto)))
        assert all(row["payload_captured"] <= 3 for row in rows)
        assert counts.tcp + counts.other_ip + counts.bad_transport_header == 1
    rows, _ = decode(ethernet(ipv4(raw + b"\x55" * 9, proto)))
    assert rows[0]["payload"] == b"abc"


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        bytes.fromhex("00000000"),
        bytes.fromhex("00020800") + INNER,  # version 2
        bytes.fromhex("40000800 00000000 00000000") + INNER,  # source route
        bytes.fromhex("20000800 0000"),  # ends within the key
        bytes.fromhex("00000806") + bytes(28),  # ARP
        bytes.fromhex("00000800") + INNER6,
        bytes.fromhex("0000883e"),
        bytes.fromhex("100088be 00000001 3000 0000 00000000") + frame(INNER),  # ERSPAN of version 3
    ],
)
def test_what_cannot_be_opened_is_another_ip_packet(raw):
    rows, counts = decode(ethernet(ipv4(raw, 47)))
    assert rows == []
    assert counts.other_ip == 1
    assert counts.tunnels == {}


def test_quotes_of_errors_inside_a_tunnel():
    error = ipv4(b"\x03\x01" + bytes(6) + INNER, 1, src="10.9.9.9")
    rows, counts = decode(ethernet(ipv4(error, 4)))
    (row,) = rows
    assert (row["icmp_type"], row["icmp_code"], row["sport"], row["inside"]) == (3, 1, 1111, "ip-in-ip")
    assert counts.icmp_errors == 1


def test_inner_udp_keeps_its_place_among_others():
    frames = [
        ethernet(ipv4(udp(b"1"), 17)),
        ethernet(ipv4(ipv4(udp(b"2"), 17), 4)),
        ethernet(ipv4(udp(b"3"), 17)),
    ]
    rows, _ = decode(*frames)
    assert [(row["frame"], row["payload"], row["inside"]) for row in rows] == [
        (1, b"1", ""),
        (2, b"2", "ip-in-ip"),
        (3, b"3", ""),
    ]
