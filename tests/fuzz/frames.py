"""Packets and what may carry them, packed from their standards with struct: seeds that reach deep code at once."""

from __future__ import annotations

import struct
from collections.abc import Callable

from tests.decode.build import ethernet, ipv4, ipv6, tcp, udp

ETHERNET = 1
SEGMENT = ipv4(tcp(b"GET / HTTP/1.1\r\n\r\n", dport=80), 6)
DATAGRAM = ipv4(udp(b"\x12\x34\x01\x00\x00\x01" + bytes(6) + b"\x01a\x00\x00\x01\x00\x01"), 17)
SEGMENT6 = ipv6(tcp(b"hello"), 6)
UNREACHABLE = ipv4(struct.pack(">BBHI", 3, 1, 0, 0) + SEGMENT[:48], 1)
UNREACHABLE6 = ipv6(struct.pack(">BBHI", 1, 4, 0, 0) + SEGMENT6[:60], 58)
INNER6 = (SEGMENT6, UNREACHABLE6)
INNER = (SEGMENT, DATAGRAM, SEGMENT6, UNREACHABLE, UNREACHABLE6)

Wrap = Callable[[bytes], bytes]
"""From the packet inside to what the tunnel carries."""


def before(head: str | bytes) -> Wrap:
    """A header of fixed bytes."""
    fixed = bytes.fromhex(head) if isinstance(head, str) else head
    return lambda inner: fixed + inner


def typed(four: str, six: str, behind: bytes = b"") -> Wrap:
    """A header that says which version of IP follows; ``behind`` stands between."""
    return lambda inner: bytes.fromhex(six if inner[0] >> 4 == 6 else four) + behind + inner


def measured(head: str, at: int, options: str = "") -> Wrap:
    """A header with the 16-bit length of all that follows at byte ``at``, options counted."""

    def wrap(inner: bytes) -> bytes:
        fixed, rest = bytes.fromhex(head), bytes.fromhex(options) + inner
        return fixed[:at] + struct.pack(">H", len(rest)) + fixed[at + 2 :] + rest

    return wrap


def counted_whole(head: str, at: int) -> Wrap:
    """A header with the 16-bit length of itself and all that follows at byte ``at``."""

    def wrap(inner: bytes) -> bytes:
        fixed = bytes.fromhex(head)
        return fixed[:at] + struct.pack(">H", len(fixed) + len(inner)) + fixed[at + 2 :] + inner

    return wrap


def bridged(head: str) -> Wrap:
    """An Ethernet frame behind a header."""
    ends = bytes.fromhex("001b21aabbcc001b21ddeeff")
    return lambda inner: (
        bytes.fromhex(head) + ends + (b"\x86\xdd" if inner[0] >> 4 == 6 else b"\x08\x00") + inner
    )


def linked(ethertype: int, wrap: Wrap) -> Wrap:
    """The same in an Ethernet frame of its own."""
    return lambda inner: ethernet(wrap(inner), ethertype)


WLAN = "08010000" + "00" * 18 + "1000" + "aaaa03000000"
AMSDU = "88020000" + "00" * 18 + "1000" + "8000"
QOS_WLAN = "88020000" + "00" * 18 + "1000" + "0000" + "aaaa03000000"


def snap(inner: bytes) -> bytes:
    """LLC and SNAP (IEEE 802.2)."""
    return ethertyped("aaaa03000000")(inner)


def subframes(inner: bytes) -> bytes:
    """Two packets in one 802.11 frame."""
    first, last = (bytes(12) + struct.pack(">H", len(llc)) + llc for llc in (snap(SEGMENT), snap(inner)))
    return bytes.fromhex(AMSDU) + first + bytes(-len(first) % 4) + last


def ieee8023(inner: bytes) -> bytes:
    """Ethernet with a length."""
    return bytes(12) + struct.pack(">H", len(snap(inner))) + snap(inner)


def ethertyped(head: str) -> Wrap:
    """A header that ends with an EtherType."""
    return typed(head + "0800", head + "86dd")


LINKS: dict[int, tuple[Wrap, ...]] = {
    0: (typed("02000000", "1e000000"), typed("00000002", "0000001c")),  # BSD loopback, both byte orders
    1: (ethertyped("00" * 12), ieee8023),
    9: (typed("ff030021", "ff030057"), typed("0021", "0057"), typed("21", "57")),  # PPP (RFC 1661, 1662)
    12: (before(b""),),
    14: (before(b""),),
    50: (typed("ff030021", "ff030057"), ethertyped("0f00")),
    51: (lambda inner: measured("110000010000", 4)(typed("0021", "0057")(inner)),),  # PPPoE (RFC 2516)
    100: (snap,),
    101: (before(b""),),
    104: (ethertyped("0f00"),),  # Cisco HDLC
    105: (ethertyped(WLAN), ethertyped(QOS_WLAN), subframes),
    107: (ethertyped("1841"), typed("184103cc", "1841038e"), ethertyped("1841030080000000")),  # frame relay
    108: (typed("00000002", "0000001c"),),
    109: (typed("02000000", "18000000", bytes(8)),),  # ENC
    113: (ethertyped("000000010006" + "00" * 8),),
    117: (typed("3d020000", "3d180000", bytes(60)),),  # PFLOG
    119: (ethertyped("44000000" + "90000000" + "00" * 136 + WLAN),),  # Prism
    127: (ethertyped("0000080000000000" + WLAN), ethertyped("000009000200000010" + QOS_WLAN)),  # radiotap
    163: (ethertyped("80211001" + "00000040" + "00" * 56 + WLAN),),  # AVS
    192: (ethertyped("00000800" + "69000000" + WLAN), ethertyped("00000800" + "01000000" + "00" * 12)),  # PPI
    204: (typed("00ff030021", "01ff030057"),),
    228: (before(b""),),
    229: (before(b""),),
    239: (
        lambda inner: typed("02000000", "0a000000", struct.pack("<HH", 4 + len(inner), 9))(inner),
    ),  # NFLOG
    276: (
        lambda inner: ethertyped("")(inner)[:2] + bytes.fromhex("0000000000020001 00 06") + bytes(8) + inner,
    ),
}
"""LINKTYPE_ value → what stands before an IP packet (https://www.tcpdump.org/linktypes.html)."""


def link_seeds(linktype: int) -> list[bytes]:
    """Frames with something in them."""
    inside = {228: (SEGMENT, DATAGRAM, UNREACHABLE), 229: INNER6}.get(linktype, INNER)
    return [wrap(inner) for wrap in LINKS[linktype] for inner in inside]


TUNNELS: dict[str, tuple[Wrap, ...]] = {
    "vlan": (
        linked(0x8100, typed("00650800", "006586dd")),
        linked(0x88A8, typed("0065810000660800", "00658100006686dd")),
    ),
    "mpls": (
        linked(0x8847, before("00064140")),
        linked(0x8847, before("0006404000065140")),
        linked(0x8847, bridged("00065140 00000000")),  # a pseudowire with its control word (RFC 4448)
    ),
    "pppoe": (
        # The length counts the two bytes of the PPP protocol (RFC 2516).
        linked(0x8864, lambda inner: measured("110000010000", 4)(typed("0021", "0057")(inner))),
    ),
    "gre": (
        typed("00000800", "000086dd"),
        typed("b0000800 00000000 00000001 00000002", "b00086dd 00000000 00000001 00000002"),
        # PPTP (RFC 2637): key is the payload's length and the call, then a sequence number
        lambda inner: struct.pack(">HHHHI", 0x3001, 0x880B, len(inner) + 4, 1, 5) + before("ff030021")(inner),
    ),
    "erspan": (
        bridged("100088be 00000001 1000000100000000"),
        bridged("100022eb 00000001 200000010000000000000000"),
    ),
    "ipip": (before(b""),),
    "sixinfour": (before(b""),),
    "teredo": (
        before(b""),
        before("0000 1234 3ffffdfd"),
        before("0001 0000 0000000000000000 00"),
    ),
    "vxlan": (bridged("08000000 00007b00"),),
    "geneve": (
        bridged("00006558 00000a00"),
        typed("02000800 00000a00 01020101 00000000", "020086dd 00000a00 01020101 00000000"),
    ),
    "gtp": (
        measured("30ff0000 00000001", 2),
        measured("34ff0000 00000001", 2, "000000 85 01 1009 00"),
        measured("32ff0000 00000001", 2, "00010000"),
    ),
    "l2tp": (
        typed("0002 0001 0001 ff03 0021", "0002 0001 0001 ff03 0057"),
        counted_whole("4002 0000 0001 0001 ff03 0021", 2),
    ),
    "ipv6-options": (before(b""),),
    "icmp": (before(b""),),
}
"""Kind → what stands between the header that announces the tunnel and the packet inside."""
OVER_IP = {"gre": (47,), "erspan": (47,), "ipip": (4, 94), "sixinfour": (41,), "icmp": (1,)}
OVER_UDP = {"teredo": (3544,), "vxlan": (4789, 8472), "geneve": (6081,), "gtp": (2152, 3386), "l2tp": (1701,)}


def outer(kind: str, raw: bytes) -> list[bytes]:
    """Ethernet frames in which ``raw`` is what a tunnel of that kind carries."""
    if kind in OVER_IP:
        return [ethernet(ipv4(raw, proto)) for proto in OVER_IP[kind]]
    if kind in OVER_UDP:
        ports = OVER_UDP[kind]
        frames = [ethernet(ipv4(udp(raw, sport=50_000, dport=port), 17)) for port in ports]
        return [*frames, ethernet(ipv4(udp(raw, sport=ports[0], dport=40000), 17))]
    if kind == "ipv6-options":
        first = raw[0] if raw else 59
        return [ethernet(ipv6(raw[1:], first), 0x86DD)]
    return [raw]


def tunnel_seeds(kind: str) -> list[bytes]:
    """What a tunnel of that kind really carries."""
    if kind == "ipv6-options":
        rest = tcp(b"x", dport=80)
        hop = bytes([6, 0, 1, 4]) + bytes(4)
        fragment = struct.pack(">BBHI", 6, 0, 1, 7)
        return [
            b"\x00" + hop + rest,
            b"\x2c" + fragment + rest,
            b"\x3c" + bytes([0, 0, 1, 4]) + bytes(4) + hop + rest,
            b"\x33" + struct.pack(">BBHII", 6, 4, 0, 1, 2) + bytes(12) + rest,
        ]
    if kind == "icmp":
        # RFC 792 asks for 8 bytes of the transport header, RFC 1812 for more.
        return [UNREACHABLE[20:], UNREACHABLE[20:56], UNREACHABLE[20:46]]
    inside = {"ipip": INNER[:2], "sixinfour": INNER6, "teredo": INNER6}.get(kind, INNER)
    return [wrap(inner) for wrap in TUNNELS[kind] for inner in inside]


def nested_seeds(kind: str) -> list[bytes]:
    """A tunnel in itself, many times over: deeper than anybody follows."""
    seeds = []
    for wrap in TUNNELS[kind]:
        nested = wrap(SEGMENT6 if kind in {"sixinfour", "teredo"} else SEGMENT)
        for _ in range(24):
            nested = wrap(outer(kind, nested)[0][14:])
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
