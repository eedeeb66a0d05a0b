"""What the capture room hands on: batches of raw packets, and what was noticed while reading them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


@dataclass(frozen=True)
class Batch:
    """A run of consecutive packets of one capture.

    ``data`` holds the bytes of all packets; packet *i* is ``data[offset[i] : offset[i] + caplen[i]]``.
    All arrays have one element a packet, in file order.
    """

    data: npt.NDArray[np.uint8]
    first_frame: int
    """Frame number of packet 0; 1-based and without gaps, as Wireshark numbers frames."""
    offset: npt.NDArray[np.int64]
    """Start of the packet's first captured byte in ``data``."""
    caplen: npt.NDArray[np.int64]
    """Bytes captured (``frame.cap_len``)."""
    wirelen: npt.NDArray[np.int64]
    """Bytes on the wire (``frame.len``)."""
    time: npt.NDArray[np.int64]
    """Nanoseconds since 1970-01-01 UTC; 0 where the file gives none (pcapng simple packet blocks)."""
    linktype: npt.NDArray[np.int32]
    """LINKTYPE_ value of the interface the packet came from (https://www.tcpdump.org/linktypes.html)."""

    def __len__(self) -> int:
        return len(self.offset)


@dataclass
class CaptureNotes:
    """What reading the file showed; filled while batches are drawn, complete after the last one."""

    file_type: str = ""
    """``pcap``, ``pcap-ns``, ``pcapng``; with ``+gzip`` when compressed."""
    packets: int = 0
    bytes_read: int = 0
    """Bytes of the (decompressed) capture consumed so far."""
    sha256: str = ""
    """Of the file as stored (still compressed); set when the reader is closed after the last batch."""
    snaplen: int = 0
    """Smallest snaplen of any interface; 0 when the file gives none."""
    interfaces: int = 0
    sections: int = 0
    truncated_packets: int = 0
    """Packets with fewer bytes captured than were on the wire."""
    untimed_packets: int = 0
    skipped_blocks: dict[str, int] = field(default_factory=dict)
    """Block type in hex, such as ``0x00000bad`` → how many were skipped."""
    damage: str = ""
    """One line saying what is broken and at which byte; empty when the file is whole."""
    warnings: list[str] = field(default_factory=list)
