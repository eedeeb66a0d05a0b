"""Header bytes from the standards; tests/shared holds the same to tshark."""

from __future__ import annotations

import struct

import pytest

from tests.decode.build import decode, ethernet, ipv4, ipv6, tcp, udp

INNER = ipv4(tcp(b"abc", sport=1111), 6, src="10.0.0.1", dst="10.0.0.2")
INNER6 = ipv6(tcp(b"abc", sport=1111), 6)
FRAME = bytes(12) + b"\x08\x00" + INNER


def gtp(flags, rest):
    return struct.pack(">BBHI", 0x30 | flags, 0xFF, len(rest), 0xABCD) + rest


CARRIED = {
    "teredo": (3544, INNER6, -1),
    "teredo with origin": (3544, bytes.fromhex("0000 1234 3ffffdfd") + INNER6, -1),
    "teredo with authentication": (
        3544,
        bytes.fromhex("0001 0203 1111 222222 0000000000000000 00") + INNER6,
        -1,
    ),
    "teredo with both": (
        3544,
        bytes.fromhex("0001 0000 0000000000000000 00 0000 1234 3ffffdfd") + INNER6,
        -1,
    ),
    "vxlan": (4789, bytes.fromhex("08000000 00007b00") + FRAME, 0x7B),
    "vxlan-gpe": (4790, bytes.fromhex("0c000003 00007b00") + FRAME, 0x7B),
    "vxlan-gpe with ipv4": (4790, bytes.fromhex("0c000001 00007b00") + INNER, 0x7B),
    "vxlan-gpe with ipv6": (4790, bytes.fromhex("0c000002 00007b00") + INNER6, 0x7B),
    "geneve": (6081, bytes.fromhex("00006558 00000a00") + FRAME, 10),
    "geneve with options": (6081, bytes.fromhex("02000800 00000a00 0102030100000000") + INNER, 10),
    "gtp-u": (2152, gtp(0, INNER), 0xABCD),
    "gtp-u with sequence": (2152, gtp(2, bytes.fromhex("00010000") + INNER6), 0xABCD),
    "gtp-u with extensions": (
        2152,
        gtp(4, bytes.fromhex("00000085 01100985 020000000000 0000") + INNER),
        0xABCD,
    ),
    "gtp-u with ppp": (2152, gtp(0, b"\xff\x03\x00\x21" + INNER), 0xABCD),
    "l2tp": (1701, bytes.fromhex("0002 0003 0004 ff03 0021") + INNER, 0x30004),
    "l2tp with all": (
        1701,
        bytes.fromhex("4a02 0000 0003 0004 0001 0002 0002 eeee 0021") + INNER,
        0x30004,
    ),
}
NAMES = {name: name.split(maxsplit=1)[0] for name in CARRIED}


@pytest.mark.parametrize("swapped", [False, True])
@pytest.mark.parametrize("name", CARRIED)
def test_what_is_inside(name, swapped):
    port, raw, key = CARRIED[name]
    ports = {"sport": port, "dport": 50_000} if swapped else {"sport": 50_000, "dport": port}
    rows, counts = decode(ethernet(ipv4(udp(raw, **ports), 17)))
    outer, inner = rows
    assert (outer["carrier"], outer["proto"], outer["inside"], outer["tunnel"]) == (True, 17, "", -1)
    assert (outer["sport"], outer["dport"]) == (ports["sport"], ports["dport"])
    assert (inner["carrier"], inner["proto"], inner["sport"], inner["payload"]) == (False, 6, 1111, b"abc")
    assert (inner["inside"], inner["key"]) == (NAMES[name], key)
    assert outer["frame"] == inner["frame"] == 1
    assert (counts.tcp, counts.udp, counts.carriers, counts.tunnels) == (1, 0, 1, {NAMES[name]: 1})


@pytest.mark.parametrize("name", CARRIED)
def test_growing_prefixes_and_trailing_junk(name):
    port, raw, _ = CARRIED[name]
    for size in range(len(raw)):
        rows, counts = decode(ethernet(ipv4(udp(raw[:size], dport=port), 17)))
        # The tunnel has no room for the whole packet: whatever that is, it is none that a tunnel would carry.
        assert [row["carrier"] for row in rows] == [False]
        assert counts.udp == 1
        full = ipv4(udp(raw, dport=port), 17)
        rows, counts = decode((ethernet(full[: 28 + size]), 1, 14 + len(full)))
        assert rows[0]["proto"] == 17
        assert counts.udp + counts.tcp + counts.bad_transport_header == 1
    rows, _ = decode(ethernet(ipv4(udp(raw + b"\x55" * 9, dport=port), 17)))
    assert rows[-1]["payload"] == b"abc"


@pytest.mark.parametrize(
    ("port", "raw"),
    [
        (3544, b""),
        (3544, bytes.fromhex("0001 ffff")),
        (3544, INNER),
        (4789, bytes.fromhex("00000000 00007b00") + FRAME),  # no valid VNI
        (4789, bytes.fromhex("08000000 00007b00") + bytes(12) + b"\x08\x06" + bytes(28)),
        (4790, bytes.fromhex("0c000009 00007b00") + FRAME),
        (6081, bytes.fromhex("3f006558 00000a00") + FRAME),  # options beyond the end
        (6081, bytes.fromhex("40006558 00000a00") + FRAME),  # version 1
        (2152, bytes.fromhex("32010004 00000000 00000000")),  # echo request
        (2152, gtp(4, bytes.fromhex("00000085 00"))),  # an extension header of no length
        (2152, gtp(4, bytes.fromhex("00000085") + bytes.fromhex("01000085") * 200)),
        (1701, bytes.fromhex("c802 0014 0000 0000 0000 0000 8008 0000 0000 0001")),  # control message
        (1701, bytes.fromhex("0002 0003 0004 ff03 c021 01010004")),  # PPP's own LCP
        (1701, bytes.fromhex("0003 0003 0004 ff03 0021") + INNER),  # version 3
        (8472, bytes.fromhex("08000000 00007b00") + FRAME),  # not by default in Wireshark
    ],
)
def test_what_cannot_be_opened_is_an_ordinary_datagram(port, raw):
    rows, counts = decode(ethernet(ipv4(udp(raw, dport=port), 17)))
    (row,) = rows
    assert (row["carrier"], row["payload"], row["tunnel"]) == (False, raw, -1)
    assert (counts.udp, counts.carriers, counts.tunnels) == (1, 0, {})


def test_one_flow_may_carry_and_not_carry():
    frames = [
        ethernet(ipv4(udp(bytes.fromhex("32010004 00000000 00000000"), dport=2152), 17)),
        ethernet(ipv4(udp(gtp(0, INNER), dport=2152), 17)),
    ]
    rows, counts = decode(*frames)
    assert [(row["frame"], row["carrier"]) for row in rows] == [(1, False), (2, True), (2, False)]
    assert (counts.udp, counts.carriers, counts.tcp) == (1, 1, 1)
