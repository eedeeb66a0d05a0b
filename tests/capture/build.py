"""pcap and pcapng files made byte by byte with struct, independent of the code under test."""

from __future__ import annotations

import struct

SECTION, INTERFACE, OLD_PACKET, SIMPLE, ENHANCED = 0x0A0D0D0A, 1, 2, 3, 6


def pcap(packets, order="<", *, nano=False, version=(2, 4), snaplen=65535, linktype=1):  # noqa: PLR0913 - the fields of the header
    """Each packet is (seconds, fraction, bytes) with a fourth item for a wire length beyond the bytes."""
    magic = 0xA1B23C4D if nano else 0xA1B2C3D4
    out = struct.pack(order + "IHHiIII", magic, *version, 0, 0, snaplen, linktype)
    for seconds, fraction, data, *wire in packets:
        out += (
            struct.pack(order + "IIII", seconds, fraction, len(data), wire[0] if wire else len(data)) + data
        )
    return out


def block(kind, body, order="<"):
    body += bytes(-len(body) % 4)
    length = struct.pack(order + "I", 12 + len(body))
    return struct.pack(order + "I", kind) + length + body + length


def option(code, value, order="<"):
    return struct.pack(order + "HH", code, len(value)) + value + bytes(-len(value) % 4)


def section(order="<", length=-1):
    return block(SECTION, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, length), order)


def interface(order="<", *, linktype=1, snaplen=0, resolution=None, offset=None):
    body = struct.pack(order + "HHI", linktype, 0, snaplen)
    if resolution is not None:
        body += option(9, bytes([resolution]), order)
    if offset is not None:
        body += option(14, struct.pack(order + "q", offset), order)
    if len(body) > 8:
        body += option(0, b"", order)
    return block(INTERFACE, body, order)


def enhanced(data, ticks, order="<", *, number=0, wire=None, caplen=None):  # noqa: PLR0913 - the fields of the block
    head = struct.pack(
        order + "IIIII",
        number,
        ticks >> 32,
        ticks & 0xFFFFFFFF,
        len(data) if caplen is None else caplen,
        len(data) if wire is None else wire,
    )
    return block(ENHANCED, head + data + bytes(-len(data) % 4), order)


def simple(data, order="<", *, wire=None):
    return block(SIMPLE, struct.pack(order + "I", len(data) if wire is None else wire) + data, order)


def old_packet(data, ticks, order="<", *, number=0, drops=0):
    head = struct.pack(order + "HHIIII", number, drops, ticks >> 32, ticks & 0xFFFFFFFF, len(data), len(data))
    return block(OLD_PACKET, head + data, order)


def rich_pcapng():
    """Two sections in two byte orders, with every kind of packet block and some that are none."""
    return (
        section()
        + interface()
        + interface(linktype=101, resolution=9, snaplen=96)
        + enhanced(b"first", 1_000_001)
        + block(0x0999, b"who knows")
        + enhanced(b"second", 5_000_000_007, number=1, wire=99)
        + simple(b"third!!")
        + section(">", length=0)
        + interface(">", linktype=113, resolution=0x80 | 32, offset=-3)
        + enhanced(b"fourth", (10 << 32) | (1 << 31), ">")
        + old_packet(b"fifth", 11 << 32, ">", drops=7)
    )
