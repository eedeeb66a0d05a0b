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
    interface: npt.NDArray[np.int32]
    """Index into ``CaptureNotes.interface_list``; -1 for a numbered block that is no packet, and for an interface
    beyond the last that is listed."""
    direction: npt.NDArray[np.int8] | None = None
    """0 unknown, 1 inbound, 2 outbound (bits 0 and 1 of pcapng's ``epb_flags``); None when no packet of the batch
    says."""
    uid: npt.NDArray[np.int32] | None = None
    """UID of the phone app that owned the packet (PCAPdroid's packet comment ``u-<uid>``); -1 unknown; None when no
    packet of the batch says."""

    def __len__(self) -> int:
        return len(self.offset)


@dataclass
class InterfaceNotes:
    """One interface as the capture describes it; texts are as stored there: hostile, escape them before printing."""

    name: str = ""
    description: str = ""
    linktype: int = 0
    snaplen: int = 0
    """0: no limit."""
    resolution: int = 6
    """The byte ``if_tsresol``: n for 10⁻ⁿ s a tick, 128 + n for 2⁻ⁿ s."""
    offset_s: int = 0
    """``if_tsoffset``: seconds added to every time stamp."""
    speed: int | None = None
    """Bits per second."""
    os: str = ""
    hardware: str = ""
    filter: str = ""
    """The capture filter, as text."""
    received: int | None = None
    """Packets received, by the last statistics block of the interface (``isb_ifrecv``)."""
    dropped: int | None = None
    """Packets dropped by the interface for want of room (``isb_ifdrop``)."""
    os_dropped: int | None = None
    """Packets dropped by the operating system (``isb_osdrop``)."""


@dataclass(frozen=True)
class FileNotes:
    """One file of the capture."""

    name: str
    """As given, without its directories."""
    sha256: str
    packets: int
    file_type: str
    damage: str
    first_frame: int
    """Smallest frame number of its packets; 0 without any."""


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
    interface_list: list[InterfaceNotes] = field(default_factory=list)
    """In order of appearance over the whole capture; the first 65,536 of them."""
    comments: dict[int, str] = field(default_factory=dict)
    """Frame → packet comment; the first 1,000 that were met, each cut at 1,000 characters. Hostile text."""
    comments_total: int = 0
    """Packets with a comment; those that only give a phone app's UID are not counted and not kept."""
    lost_between_packets: int | None = None
    """Sum of the losses that packets report of the time since the packet before (``epb_dropcount``, and the drop count
    of obsolete packet blocks); None when none does."""
    hardware: str = ""
    """Of the machine that captured (``shb_hardware``), by the first section that says. Hostile text."""
    os: str = ""
    application: str = ""
    names: dict[str, str] = field(default_factory=dict)
    """Address → first name, of name resolution blocks; at most 100,000. Hostile text."""
    names_total: int = 0
    """Names and addresses paired in name resolution blocks, kept or not."""
    secrets: int = 0
    """Decryption secrets blocks."""
    secrets_bytes: list[tuple[int, bytes]] = field(default_factory=list)
    """(secrets type, secrets) of those blocks; together at most 16 MiB."""
    phone_apps: dict[int, str] = field(default_factory=dict)
    """UID → name of the phone app, as PCAPdroid tells. Hostile text."""
    proxied: str = ""
    """Words that tell how it shows that the capturing app rebuilt the TCP/IP headers; empty where nothing shows it."""
    files: list[FileNotes] = field(default_factory=list)
    """One a file given."""

    @property
    def dropped_by_kernel(self) -> int | None:
        """Packets that the capture itself says it lost, over all interfaces; None when no interface says."""
        said = [interface.dropped for interface in self.interface_list if interface.dropped is not None]
        return sum(said) if said else None
