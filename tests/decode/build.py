"""Headers packed field by field from the RFCs, and batches of raw frames."""

from __future__ import annotations

import ipaddress
import struct

import numpy as np

from forensics.capture import Batch
from forensics.decode import Decoder

A, B, ROUTER = "192.0.2.1", "198.51.100.7", "203.0.113.9"
A6, B6, ROUTER6 = "2001:db8::1", "2001:db8::2", "2001:db8::ff"


def tcp(  # noqa: PLR0913 - the fields of the header
    payload=b"", *, sport=40000, dport=443, seq=7, ack=9, flags=0x18, window=512, options=b"", offset=None
):
    words = (20 + len(options)) // 4 if offset is None else offset
    return (
        struct.pack(">HHIIBBHHH", sport, dport, seq, ack, words << 4, flags, window, 0, 0) + options + payload
    )


def udp(payload=b"", *, sport=5353, dport=53, length=None):
    return struct.pack(">HHHH", sport, dport, 8 + len(payload) if length is None else length, 0) + payload


def ipv4(  # noqa: PLR0913 - the fields of the header
    payload, proto, *, src=A, dst=B, ttl=61, ident=0x1234, fragment=0x4000, options=b"", length=None, ihl=None
):
    words = (20 + len(options)) // 4 if ihl is None else ihl
    total = 20 + len(options) + len(payload) if length is None else length
    head = struct.pack(">BBHHHBBH", 0x40 | words, 0, total, ident, fragment, ttl, proto, 0)
    return head + ipaddress.ip_address(src).packed + ipaddress.ip_address(dst).packed + options + payload


def ipv6(payload, proto, *, src=A6, dst=B6, hops=55, length=None):  # noqa: PLR0913 - the fields of the header
    head = struct.pack(">IHBB", 6 << 28, len(payload) if length is None else length, proto, hops)
    return head + ipaddress.ip_address(src).packed + ipaddress.ip_address(dst).packed + payload


def ethernet(payload, ethertype=0x0800, tags=()):
    return (
        bytes(12)
        + b"".join(struct.pack(">HH", *tag) for tag in tags)
        + struct.pack(">H", ethertype)
        + payload
    )


def batch_of(*frames, linktype=1, first_frame=1, gap=b"\xee" * 3):
    """Each frame is bytes, (bytes, linktype) or (bytes, linktype, wire length)."""
    full = [frame if isinstance(frame, tuple) else (frame, linktype) for frame in frames]
    data, offsets = b"", []
    for frame in full:
        data += gap
        offsets.append(len(data))
        data += frame[0]
    caplen = [len(frame[0]) for frame in full]
    return Batch(
        data=np.frombuffer(data, np.uint8),
        first_frame=first_frame,
        offset=np.array(offsets, np.int64),
        caplen=np.array(caplen, np.int64),
        wirelen=np.array([frame[2] if len(frame) > 2 else len(frame[0]) for frame in full], np.int64),
        time=np.arange(len(full), dtype=np.int64) * 1000,
        linktype=np.array([frame[1] for frame in full], np.int32),
        interface=np.zeros(len(full), np.int32),
    )


def decode(*frames, **how):
    """(rows as dictionaries with text addresses and the payload, counts)."""
    batch = batch_of(*frames, **how)
    decoder = Decoder()
    decoded = decoder.decode(batch)
    book, counts, rows = decoder.book, decoder.counts, decoded.packets.to_dicts()
    for row in rows:
        row["src"], row["dst"] = book.text(row["src"]), book.text(row["dst"])
        at = row["payload_offset"]
        row["inside"] = decoder.tunnels.text(row["tunnel"])
        row["key"] = decoder.tunnels[row["tunnel"]].key if row["tunnel"] >= 0 else -1
        row["payload"] = decoded.data[at : at + row["payload_captured"]].tobytes()
    assert counts.packets == counts.explained == len(batch)
    assert len(rows) == counts.tcp + counts.udp + counts.icmp_errors + counts.carriers
    return rows, counts
