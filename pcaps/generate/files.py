"""Finished packets as capture files, byte by byte: the bytes never depend on a library's version."""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pcaps.generate.world import Packet, World

UNKNOWN_BLOCK_AFTER = 2
LINK_TYPES = {"ether": 1, "vlan": 1, "sll": 113}


def _nanoseconds(world: World, packet: Packet) -> int:
    return int(world.start) * 1_000_000_000 + round(packet.time * 1e6) * 1000


def pcap(world: World, order: str = "<", *, nanoseconds: bool = False) -> bytes:
    """A classic capture file in either byte order, with microseconds or nanoseconds."""
    magic = 0xA1B23C4D if nanoseconds else 0xA1B2C3D4
    out = [struct.pack(order + "IHHiIII", magic, 2, 4, 0, 0, 262144, LINK_TYPES[world.link])]
    for packet in world.packets:
        when = _nanoseconds(world, packet)
        # odd nanoseconds show whether a reader keeps them
        fraction = when % 10**9 + packet.frame % 997 if nanoseconds else when % 10**9 // 1000
        data = packet.data if packet.caplen is None else packet.data[: packet.caplen]
        out.append(struct.pack(order + "IIII", when // 10**9, fraction, len(data), len(packet.data)) + data)
    return b"".join(out)


def _block(kind: int, body: bytes) -> bytes:
    body += bytes(-len(body) % 4)
    length = len(body) + 12
    return struct.pack("<II", kind, length) + body + struct.pack("<I", length)


def pcapng(world: World) -> bytes:
    """One section, two interfaces (microseconds, nanoseconds), one unknown block between packets."""
    link = LINK_TYPES[world.link]
    out = [
        _block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1)),
        _block(1, struct.pack("<HHI", link, 0, 262144)),
        _block(1, struct.pack("<HHI", link, 0, 262144) + struct.pack("<HHB3xHH", 9, 1, 9, 0, 0)),
    ]
    for packet in world.packets:
        when = _nanoseconds(world, packet)
        stamp = when if packet.interface else when // 1000
        data = packet.data if packet.caplen is None else packet.data[: packet.caplen]
        head = struct.pack(
            "<IIIII", packet.interface, stamp >> 32, stamp & 0xFFFFFFFF, len(data), len(packet.data)
        )
        out.append(_block(6, head + data))
        if packet.frame == UNKNOWN_BLOCK_AFTER:
            out.append(_block(0x80000123, b"a block that no reader knows"))
    return b"".join(out)


def gzipped(data: bytes) -> bytes:
    """A gzip file (RFC 1952) of stored blocks (RFC 1951 3.2.4): compressors differ, and the bytes must not."""
    out = [b"\x1f\x8b\x08\0\0\0\0\0\0\xff"]
    size = 8192
    for at in range(0, len(data), size):
        piece = data[at : at + size]
        out.append(struct.pack("<BHH", at + size >= len(data), len(piece), len(piece) ^ 0xFFFF) + piece)
    return b"".join((*out, struct.pack("<II", zlib.crc32(data), len(data))))


def render(world: World) -> tuple[str, bytes]:
    """File name and bytes of a finished case."""
    if world.container == "pcapng":
        return "capture.pcapng", pcapng(world)
    if world.container == "pcap-be-ns":
        return "capture.pcap", pcap(world, ">", nanoseconds=True)
    data = pcap(world)
    if world.container == "gzip":
        return "capture.pcap.gz", gzipped(data)
    if world.container == "truncated":
        return "capture.pcap", data[:-37]
    return "capture.pcap", data
