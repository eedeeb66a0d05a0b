"""Packets and what may carry them, packed from their standards with struct: seeds that reach deep code at once."""

from __future__ import annotations

import struct

from tests.decode.build import ethernet, ipv4, ipv6, tcp, udp

ETHERNET = 1
SEGMENT = ipv4(tcp(b"GET / HTTP/1.1\r\n\r\n", dport=80), 6)
DATAGRAM = ipv4(udp(b"\x12\x34\x01\x00\x00\x01" + bytes(6) + b"\x01a\x00\x00\x01\x00\x01"), 17)
SEGMENT6 = ipv6(tcp(b"hello"), 6)
UNREACHABLE = ipv4(struct.pack(">BBHI", 3, 1, 0, 0) + SEGMENT[:28], 1)
UNREACHABLE6 = ipv6(struct.pack(">BBHI", 1, 4, 0, 0) + SEGMENT6[:48], 58)
INNER = (SEGMENT, DATAGRAM, SEGMENT6, UNREACHABLE, UNREACHABLE6)

LLC_IP = bytes.fromhex("aaaa03000000 0800")
WLAN = bytes.fromhex("08010000") + bytes(18) + bytes.fromhex("1000") + LLC_IP
QOS_WLAN = bytes.fromhex("88020000") + bytes(18) + bytes.fromhex("1000 0000") + LLC_IP

LINKS: dict[int, tuple[bytes, ...]] = {
    0: (bytes.fromhex("02000000"), bytes.fromhex("0000001e")),  # BSD loopback, both byte orders
    1: (bytes(12) + b"\x08\x00", bytes(12) + b"\x86\xdd"),
    9: (bytes.fromhex("ff030021"), bytes.fromhex("0021"), bytes.fromhex("21")),  # PPP (RFC 1662)
    12: (b"",),
    14: (b"",),
    50: (bytes.fromhex("ff030021"), bytes.fromhex("0f000800")),
    51: (bytes.fromhex("110000010040 0021"),),  # PPPoE session (RFC 2516)
    101: (b"",),
    104: (bytes.fromhex("0f000800"), bytes.fromhex("ff030021")),  # Cisco HDLC
    105: (WLAN, QOS_WLAN),
    107: (bytes.fromhex("18410300cc"),),  # frame relay (RFC 2427)
    108: (bytes.fromhex("00000002"),),
    113: (bytes.fromhex("000000010006") + bytes(8) + b"\x08\x00",),
    119: (struct.pack("<II", 0x44, 144) + bytes(136) + WLAN,),  # Prism
    127: (bytes.fromhex("00000800 00000000") + WLAN, bytes.fromhex("00000900 02000000 10") + QOS_WLAN),
    163: (struct.pack(">II", 0x80211001, 64) + bytes(56) + WLAN,),  # AVS
    192: (
        struct.pack("<BBHI", 0, 0, 8, 105) + WLAN,
        struct.pack("<BBHI", 0, 0, 8, 1) + bytes(12) + b"\x08\x00",
    ),
    204: (bytes.fromhex("00ff030021"),),
    219: (bytes.fromhex("00064140"),),
    228: (b"",),
    229: (b"",),
    239: (
        bytes.fromhex("02000000") + struct.pack("<HH", 4 + len(SEGMENT), 9),
    ),  # NFLOG: the payload attribute
    276: (bytes.fromhex("0800 0000 00000002 0001 00 06") + bytes(8),),
}
"""LINKTYPE_ value → headers before an IP packet (https://www.tcpdump.org/linktypes.html)."""

BRIDGED = ethernet(b"")
GRE_IP = bytes.fromhex("00000800")
TUNNELS: dict[str, tuple[bytes, ...]] = {
    "vlan": (
        ethernet(bytes.fromhex("00650800"), 0x8100),
        ethernet(bytes.fromhex("0065810000660800"), 0x88A8),
    ),
    "mpls": (
        ethernet(bytes.fromhex("00064140"), 0x8847),
        ethernet(bytes.fromhex("0006404000065140"), 0x8847),
    ),
    "pppoe": (ethernet(bytes.fromhex("11000001 0040 0021"), 0x8864),),
    "gre": (
        GRE_IP,
        bytes.fromhex("b0000800 00000000 00000001 00000002"),
        bytes.fromhex("3081880b 0030 0001 00000005"),
    ),
    "erspan": (
        bytes.fromhex("100088be 00000001 1000000100000000") + BRIDGED,
        bytes.fromhex("100022eb 00000001 200000010000000000000000") + BRIDGED,
    ),
    "ipip": (b"",),
    "sixinfour": (b"",),
    "teredo": (b"", bytes.fromhex("00000000 0000 010f aabb c0000201"), bytes.fromhex("00010000") + bytes(9)),
    "vxlan": (bytes.fromhex("08000000 00007b00") + BRIDGED,),
    "geneve": (
        bytes.fromhex("00006558 00000a00") + BRIDGED,
        bytes.fromhex("02000800 00000a00 01020101 00000000"),
    ),
    "gtp": (
        bytes.fromhex("30ff0048 00000001"),
        bytes.fromhex("34ff0050 00000001 000000c0 01000000"),
        bytes.fromhex("32ff004c 00000001 00010000"),
    ),
    "l2tp": (
        bytes.fromhex("0002 0001 0001 ff03 0021"),
        bytes.fromhex("4202 0050 0001 0001 0000 0021"),
        bytes.fromhex("00000001 00000000") + BRIDGED,
    ),
    "ipv6-options": (b"",),
    "icmp": (b"",),
}
"""Kind → headers between the one that announces the tunnel and the packet inside."""


def outer(kind: str, raw: bytes) -> list[bytes]:
    """Ethernet frames in which ``raw`` is what a tunnel of that kind carries."""
    over_ip = {"gre": (47,), "erspan": (47,), "ipip": (4, 94), "sixinfour": (41,), "icmp": (1,)}
    over_udp = {
        "teredo": (3544,),
        "vxlan": (4789, 8472),
        "geneve": (6081,),
        "gtp": (2152, 3386),
        "l2tp": (1701,),
    }
    if kind in over_ip:
        return [ethernet(ipv4(raw, proto)) for proto in over_ip[kind]]
    if kind in over_udp:
        frames = [ethernet(ipv4(udp(raw, dport=port), 17)) for port in over_udp[kind]]
        return [*frames, ethernet(ipv4(udp(raw, sport=over_udp[kind][0], dport=40000), 17))]
    if kind == "ipv6-options":
        first = raw[0] if raw else 59
        return [ethernet(ipv6(raw[1:], first), 0x86DD)]
    return [raw]


def tunnel_seeds(kind: str) -> list[bytes]:
    """What a tunnel of that kind really carries, once and inside itself."""
    if kind == "ipv6-options":
        rest = tcp(b"x", dport=80)
        hop = struct.pack(">BB", 6, 0) + bytes(6)
        fragment = struct.pack(">BBHI", 6, 0, 1, 7)
        return [
            b"\x00" + hop + rest,
            b"\x2c" + fragment + rest,
            b"\x3c" + struct.pack(">BB", 43, 0) + bytes(6) + hop + rest,
            b"\x33" + struct.pack(">BBHII", 6, 4, 0, 1, 2) + bytes(12) + rest,
        ]
    if kind == "icmp":
        return [UNREACHABLE[20:], UNREACHABLE6[40:]]
    seeds = [head + inner for head in TUNNELS[kind] for inner in INNER]
    for head in TUNNELS[kind]:
        nested = head + SEGMENT
        for _ in range(12):
            nested = head + outer(kind, nested)[0][14:]
        seeds.append(nested)
    return seeds


def fragments(raw: bytes) -> list[bytes]:
    """IP fragments as a byte string dictates them: six bytes and a payload for each.

    Version and last flag, identification, offset (two bytes, in units of 8), protocol, length of the payload.
    """
    frames = []
    while len(raw) >= 6:
        shape, ident, high, low, proto, size = raw[:6]
        payload, raw = raw[6 : 6 + size], raw[6 + size :]
        offset, more = (high << 8 | low) & 0x1FFF, shape & 1
        if shape & 2:
            head = struct.pack(">BBHI", proto, 0, offset << 3 | more, ident)
            frames.append(ethernet(ipv6(head + payload, 44), 0x86DD))
        else:
            frames.append(ethernet(ipv4(payload, proto, ident=ident, fragment=more << 13 | offset)))
    return frames


def fragment_seeds() -> list[bytes]:
    """Whole, in order, backwards, overlapping, twice, and without an end."""

    def piece(data: bytes, at: int, *, more: int, version: int = 0, ident: int = 1, proto: int = 17) -> bytes:  # noqa: PLR0913 - fields
        return bytes([version | more, ident, at >> 11, at >> 3 & 255, proto, len(data)]) + data

    body = udp(bytes(range(56)))
    one, two, three = (
        piece(body[:24], 0, more=1),
        piece(body[24:48], 24, more=1),
        piece(body[48:], 48, more=0),
    )
    six = [piece(body[:24], 0, more=1, version=2), piece(body[24:], 24, more=0, version=2)]
    segment = tcp(bytes(40))
    return [
        one + two + three,
        three + two + one,
        one + one + two + three + three,
        one + piece(b"\xff" * 32, 16, more=1) + two + three,
        one + two + piece(bytes(8), 8184 * 8, more=0),
        b"".join(six),
        six[1] + six[0],
        piece(segment[:16], 0, more=1, proto=6) + piece(segment[16:], 16, more=0, proto=6),
        one + three,
        piece(body, 0, more=0),
    ]
