"""Writing packets as pcapng (draft-ietf-opsawg-pcapng): nanoseconds, comments, named interfaces.

Blocks are built by dpkt; it takes every packet for whole, so the length on the wire is put in afterwards.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import IO, Any, Final

from dpkt import pcapng

_NANOSECONDS: Final = bytes([9])
_IF_NAME, _IF_DESCRIPTION, _IF_TSRESOL, _EPB_FLAGS, _SHB_APPLICATION = 2, 3, 9, 2, 4
_WIRE_LENGTH_AT: Final = 24
"""Where an enhanced packet block holds the length on the wire."""
_LONGEST_OPTION: Final = 65_532


@dataclass(frozen=True, slots=True)
class WrittenInterface:
    """One interface to be described."""

    linktype: int
    name: str = ""
    description: str = ""
    snaplen: int = 0
    """0: no limit."""


@dataclass(frozen=True, slots=True)
class WrittenPacket:
    """One packet to be written."""

    interface: WrittenInterface
    time: int
    """Nanoseconds since 1970-01-01 UTC; an earlier time is written as that."""
    wirelen: int
    """Bytes on the wire; taken for no fewer than there are in ``data``."""
    data: bytes
    comment: str = ""
    direction: int = 0
    """0 unknown, 1 inbound, 2 outbound."""


class PcapngWriter:
    """Writes one section to a stream, packet by packet; an interface is described before its first packet.

    Texts are cut where pcapng ends an option (65,535 bytes), and a NUL, which would end them, becomes a blank.
    """

    def __init__(self, stream: IO[bytes], application: str = "") -> None:
        """Write the section header, which names ``application`` as the one that made the file."""
        self._stream = stream
        self._interfaces: dict[WrittenInterface, int] = {}
        options = _options((_SHB_APPLICATION, _text(application)))
        stream.write(bytes(pcapng.SectionHeaderBlockLE(**options)))

    def write(self, packet: WrittenPacket) -> None:
        """Append one packet."""
        if packet.interface not in self._interfaces:
            self._describe(packet.interface)
        time = max(packet.time, 0)
        flags = struct.pack("<I", packet.direction) if packet.direction else b""
        block = bytearray(
            bytes(
                pcapng.EnhancedPacketBlockLE(
                    iface_id=self._interfaces[packet.interface],
                    ts_high=time >> 32,
                    ts_low=time & 0xFFFFFFFF,
                    pkt_data=packet.data,
                    **_options((pcapng.PCAPNG_OPT_COMMENT, _text(packet.comment)), (_EPB_FLAGS, flags)),
                )
            )
        )
        struct.pack_into("<I", block, _WIRE_LENGTH_AT, max(packet.wirelen, len(packet.data)))
        self._stream.write(block)

    def _describe(self, interface: WrittenInterface) -> None:
        self._interfaces[interface] = len(self._interfaces)
        options = _options(
            (_IF_NAME, _text(interface.name)),
            (_IF_DESCRIPTION, _text(interface.description)),
            (_IF_TSRESOL, _NANOSECONDS),
        )
        block = pcapng.InterfaceDescriptionBlockLE(
            linktype=interface.linktype, snaplen=interface.snaplen, **options
        )
        self._stream.write(bytes(block))


def _text(words: str) -> bytes:
    cut = words.replace("\0", " ").encode("utf-8", errors="replace")[:_LONGEST_OPTION]
    return cut.decode("utf-8", errors="ignore").encode()


def _options(*values: tuple[int, bytes]) -> dict[str, Any]:
    """The keyword that dpkt takes for the options that are not empty; none at all when all are."""
    given = [pcapng.PcapngOptionLE(code=code, data=data) for code, data in values if data]
    return {"opts": [*given, pcapng.PcapngOptionLE()]} if given else {}
