"""Further kinds of files, made byte by byte: variants of pcap, and snoop."""

from __future__ import annotations

import struct

MODIFIED = 0xA1B2CD34


def patched(packets, order="<", *, magic=MODIFIED, extra=bytes(8), version=(2, 4), linktype=1):  # noqa: PLR0913 - the fields of the header
    """A pcap whose record headers end with ``extra``; each packet is (seconds, fraction, bytes[, wire length])."""
    out = struct.pack(order + "IHHiIII", magic, *version, 0, 0, 65535, linktype)
    for seconds, fraction, data, *wire in packets:
        length = wire[0] if wire else len(data)
        out += struct.pack(order + "IIII", seconds, fraction, len(data), length) + extra + data
    return out


def snoop(packets, *, version=2, datalink=4, pad=None, drops=0):
    """Each packet is (seconds, microseconds, bytes[, wire length]); ``drops`` more are lost before each."""
    out = b"snoop\0\0\0" + struct.pack(">II", version, datalink)
    for number, (seconds, micro, data, *wire) in enumerate(packets):
        padding = -len(data) % 4 if pad is None else pad
        out += struct.pack(
            ">IIIIII",
            wire[0] if wire else len(data),
            len(data),
            24 + len(data) + padding,
            number * drops,
            seconds,
            micro,
        )
        out += data + bytes(padding)
    return out
