"""Finished packets as capture files, byte by byte: the bytes never depend on a library's version."""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pcaps.generate.world import Packet, World

UNKNOWN_BLOCK_AFTER = 2
IPV6 = 6
LINK_TYPES = {"ether": 1, "vlan": 1, "sll": 113, "raw": 101}


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


def pcapng_drops(world: World) -> bytes:
    """One interface, and at the end its statistics: 12 packets more were received than written, and dropped."""
    interface = struct.pack("<HHI", LINK_TYPES[world.link], 0, 262144) + struct.pack(
        "<HH4sHH", 2, 4, b"eth0", 0, 0
    )
    out = [_block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1)), _block(1, interface)]
    stamp = 0
    for packet in world.packets:
        stamp = _nanoseconds(world, packet) // 1000
        size = len(packet.data)
        out.append(
            _block(6, struct.pack("<IIIII", 0, stamp >> 32, stamp & 0xFFFFFFFF, size, size) + packet.data)
        )
    counts = struct.pack("<HHQHHQHH", 4, 8, len(world.packets) + 12, 5, 8, 12, 0, 0)
    out.append(_block(5, struct.pack("<III", 0, stamp >> 32, stamp & 0xFFFFFFFF) + counts))
    return b"".join(out)


def pcapdroid_trailer(world: World) -> bytes:
    """PCAPdroid's pcap with "dump extensions": a made-up Ethernet header before, a trailer behind each packet."""
    out = [struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, LINK_TYPES["ether"])]
    for packet in world.packets:
        when = _nanoseconds(world, packet)
        uid = -1 if packet.flow is None else packet.flow.uid
        frame = bytes(12) + struct.pack(">H", 0x86DD if packet.data[0] >> 4 == IPV6 else 0x0800) + packet.data
        frame += bytes(-len(frame) % 4)
        frame += struct.pack(">Ii20s", 0x01072021, uid, world.phone_apps[uid][1].encode()[:19])
        frame += struct.pack("<I", zlib.crc32(frame))
        out.append(struct.pack("<IIII", when // 10**9, when % 10**9 // 1000, len(frame), len(frame)) + frame)
    return b"".join(out)


def pcapdroid_pcapng(world: World, *, root: bool) -> bytes:
    """PCAPdroid's pcapng: a block names each app, comments give UIDs; with root also directions and an interface."""

    def option(code: int, value: bytes) -> bytes:
        return struct.pack("<HH", code, len(value)) + value + bytes(-len(value) % 4)

    made_by = (
        option(2, b"Google Pixel 7") + option(3, b"Android 14 (SDK 34)") + option(4, b"PCAPdroid v1.8.0")
    )
    interface = struct.pack("<HHI", LINK_TYPES["raw"], 0, 65535)
    out = [
        _block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1) + made_by + option(0, b"")),
        _block(1, interface),
    ]
    if root:
        out.append(_block(1, interface + option(2, b"wlan0") + option(0, b"")))
    named: set[int] = set()
    for packet in world.packets:
        uid = -1 if packet.flow is None else packet.flow.uid
        if uid not in named:
            named.add(uid)
            package, app = (text.encode() for text in world.phone_apps[uid])
            head = struct.pack("<IHBxiBB", 62652, 1, 1, uid, len(package), len(app))
            out.append(_block(0x0BAD, head + package + app))
        stamp = _nanoseconds(world, packet) // 1000
        head = struct.pack(
            "<IIIII", int(root), stamp >> 32, stamp & 0xFFFFFFFF, len(packet.data), len(packet.data)
        )
        direction = option(2, struct.pack("<I", 2 if packet.src is world.client else 1)) if root else b""
        options = direction + option(1, f"u-{uid}".encode()) + option(0, b"")
        out.append(_block(6, head + packet.data + bytes(-len(packet.data) % 4) + options))
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
    name, write = {
        "pcap": ("capture.pcap", pcap),
        "pcapng": ("capture.pcapng", pcapng),
        "pcap-be-ns": ("capture.pcap", lambda world: pcap(world, ">", nanoseconds=True)),
        "gzip": ("capture.pcap.gz", lambda world: gzipped(pcap(world))),
        "truncated": ("capture.pcap", lambda world: pcap(world)[:-37]),
        "pcapng-drops": ("capture.pcapng", pcapng_drops),
        "pcapdroid-trailer": ("capture.pcap", pcapdroid_trailer),
        "pcapdroid-pcapng": ("capture.pcapng", lambda world: pcapdroid_pcapng(world, root=False)),
        "pcapdroid-pcapng-root": ("capture.pcapng", lambda world: pcapdroid_pcapng(world, root=True)),
    }[world.container]
    return name, write(world)
