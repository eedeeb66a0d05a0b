"""Writing packets as pcapng, with nanosecond times and a comment on each."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Final

from dpkt import pcapng

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

# https://www.ietf.org/archive/id/draft-ietf-opsawg-pcapng-03.html#section-4.2
_TSRESOL: Final = 9
_NANOSECONDS: Final = bytes([9])
_WIRE_LENGTH_AT: Final = 24
"""Where an enhanced packet block holds the length on the wire."""


@dataclass(frozen=True, slots=True)
class CommentedPacket:
    """One packet to be written."""

    linktype: int
    time: int
    """Nanoseconds since the epoch."""
    wirelen: int
    data: bytes
    comment: str


def write_pcapng(stream: IO[bytes], linktypes: Sequence[int], packets: Iterable[CommentedPacket]) -> int:
    """Write a section with one interface per link type and the packets; returns how many.

    Every packet's link type must be among ``linktypes``.
    """
    stream.write(bytes(pcapng.SectionHeaderBlockLE()))
    for linktype in linktypes:
        options = [pcapng.PcapngOptionLE(code=_TSRESOL, data=_NANOSECONDS), pcapng.PcapngOptionLE()]
        stream.write(bytes(pcapng.InterfaceDescriptionBlockLE(linktype=linktype, snaplen=0, opts=options)))
    count = 0
    for packet in packets:
        options = [
            pcapng.PcapngOptionLE(code=pcapng.PCAPNG_OPT_COMMENT, data=packet.comment.encode()),
            pcapng.PcapngOptionLE(),
        ]
        block = bytearray(
            bytes(
                pcapng.EnhancedPacketBlockLE(
                    iface_id=linktypes.index(packet.linktype),
                    ts_high=packet.time >> 32 & 0xFFFFFFFF,
                    ts_low=packet.time & 0xFFFFFFFF,
                    pkt_data=packet.data,
                    opts=options,
                )
            )
        )
        # dpkt takes a packet for whole; one that the capture cut keeps its length on the wire
        struct.pack_into("<I", block, _WIRE_LENGTH_AT, max(packet.wirelen, len(packet.data)))
        stream.write(block)
        count += 1
    return count
