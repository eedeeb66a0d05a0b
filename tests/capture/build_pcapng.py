"""Blocks of pcapng with options, statistics, names, secrets and phone apps, byte by byte from the draft."""

from __future__ import annotations

import struct

from tests.capture.build import ENHANCED, INTERFACE, SECTION, block, option

END = option(0, b"")


def raw_option(code, length, body=b"", order="<"):
    """An option whose length need not be true."""
    return struct.pack(order + "HH", code, length) + body


def flags(value, order="<"):
    return option(2, struct.pack(order + "I", value), order)


def dropcount(value, order="<"):
    return option(4, struct.pack(order + "Q", value), order)


def comment(text, order="<"):
    return option(1, text if isinstance(text, bytes) else text.encode(), order)


def packet(data=b"data", options=b"", order="<", *, number=0, ticks=5):
    head = struct.pack(order + "IIIII", number, ticks >> 32, ticks & 0xFFFFFFFF, len(data), len(data))
    return block(ENHANCED, head + data + bytes(-len(data) % 4) + options, order)


def old_packet_with(data, options, order="<", *, drops=0):
    head = struct.pack(order + "HHIIII", 0, drops, 0, 5, len(data), len(data))
    return block(2, head + data + bytes(-len(data) % 4) + options, order)


def section_with(options=b"", order="<", *, version=(1, 0)):
    return block(SECTION, struct.pack(order + "IHHq", 0x1A2B3C4D, *version, -1) + options, order)


def interface_with(options=b"", order="<", *, linktype=1, snaplen=0):
    return block(INTERFACE, struct.pack(order + "HHI", linktype, 0, snaplen) + options, order)


def statistics(counts, order="<", *, number=0):
    """``counts`` maps option codes to 64-bit numbers."""
    options = b"".join(option(code, struct.pack(order + "Q", n), order) for code, n in counts.items())
    return block(5, struct.pack(order + "III", number, 0, 5) + options + option(0, b"", order), order)


def names(*records, order="<", options=b""):
    """Each record is (type, value)."""
    body = b"".join(option(kind, value, order) for kind, value in records)
    return block(4, body + option(0, b"", order) + options, order)


def secrets(kind, value, order="<"):
    return block(10, struct.pack(order + "II", kind, len(value)) + value, order)


def uid_map(uid, package, app, order="<", *, pen=62652, version=1, kind=1):  # noqa: PLR0913 - the fields of the block
    body = struct.pack(order + "IHBBiBB", pen, version, kind, 0, uid, len(package), len(app)) + package + app
    return block(0x0BAD, body, order)
