"""The classic pcap file (draft-ietf-opsawg-pcap) and its variants: a header, then records."""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from forensics.capture.batch import CaptureNotes, InterfaceNotes
from forensics.capture.gather import gather_rows
from forensics.capture.lockstep import Layout, walk
from forensics.capture.scan import MAX_CAPLEN, Columns, Scan, no_columns
from forensics.errors import CaptureError

if TYPE_CHECKING:
    import numpy.typing as npt

    from forensics.capture.source import Peeking

HEADER_LENGTH: Final = 24
_FIELDS: Final = 16
"""Bytes of the fields that the record headers of all variants begin with: time and lengths."""
_STANDARD, _MODIFIED, _NANO = 0xA1B2C3D4, 0xA1B2CD34, 0xA1B23C4D
_MAGICS: Final = {
    struct.pack(order + "I", magic): (order, magic)
    for magic in (_STANDARD, _MODIFIED, _NANO)
    for order in "<>"
}
_LENGTHS_SWAPPED, _LENGTHS_MAYBE_SWAPPED, _LENGTHS_PLAIN = range(3)
_AIX_LINKS: Final = {6: 1, 9: 6, 15: 10, 24: 0}
"""ifType (RFC 1573), which AIX writes, → LINKTYPE_: Ethernet, Token Ring, FDDI, loopback."""
_AIX_FDDI: Final = 15
_TRIED: Final = 3
_MICROSECONDS: Final = 1_000_000
_LARGEST_WIRE: Final = 128 << 20
_NOKIA_WORD: Final = re.compile("[9b]fbf[bd][69]0[12]|00000000")
"""What Nokia's additional word looks like in hex; nobody knows what it means. Wireshark writes 0."""


@dataclass(frozen=True)
class Variant:
    """How the records of a file are laid out."""

    name: str
    record: int
    """Bytes of a record header."""
    tick: int = 1000
    """Nanoseconds that the fraction of a second is counted in."""


PLAIN: Final = Variant("pcap", 16)
NANOSECONDS: Final = Variant("pcap-ns", 16, 1)
AIX: Final = Variant("pcap-aix", 16, 1)
RED_HAT: Final = Variant("pcap-ss990417", 24)
SUSE: Final = Variant("pcap-ss990915", 28)
MODIFIED: Final = Variant("pcap-ss991029", 24)
NOKIA: Final = Variant("pcap-nokia", 20)
_CANDIDATES: Final = {_STANDARD: (PLAIN, RED_HAT, NOKIA), _MODIFIED: (MODIFIED, SUSE)}
"""Variants with one and the same magic, told apart by trying: the likeliest first."""


def is_pcap(head: bytes) -> bool:
    """Whether the first bytes of a capture carry a pcap magic that is read here."""
    return head[:4] in _MAGICS


def open_pcap(source: Peeking, notes: CaptureNotes) -> tuple[PcapFormat, int]:
    """The format of a source that begins with a pcap magic, and the bytes before its first record.

    Raises CaptureError for a header that is cut short and for what was never written so.
    """
    header = source.peek(HEADER_LENGTH)
    if len(header) < HEADER_LENGTH:
        raise CaptureError(
            "the capture's file header is cut short or broken: get a whole copy of the capture"
        )
    order, magic = _MAGICS[header[:4]]
    major, minor, _, _, snaplen, network = struct.unpack(order + "HHiIII", header[4:])
    if major < 2:  # noqa: PLR2004 - version 2 is the oldest that tcpdump wrote
        raise CaptureError(f"pcap version {major}.{minor} is not supported: convert the file with editcap")
    if magic == _NANO:
        variant = NANOSECONDS
    elif magic == _STANDARD and (major, minor) == (2, 2) and network in _AIX_LINKS:
        if network == _AIX_FDDI:
            raise CaptureError(
                "is AIX's pcap of an FDDI ring, which is not supported: convert it with editcap"
            )
        variant, network = AIX, _AIX_LINKS[network]
    elif magic == _STANDARD and ((major, minor) < (2, 4) or major == 543):  # noqa: PLR2004 - DG/UX
        variant = PLAIN
    else:
        variant = _likeliest(source, _CANDIDATES[magic], order, snaplen)
    return PcapFormat(header, variant, network, notes), HEADER_LENGTH


def _likeliest(source: Peeking, candidates: tuple[Variant, ...], order: str, snaplen: int) -> Variant:
    found = []
    for variant in candidates:
        found.append(oddities(source, variant, order, snaplen))
        if not found[-1]:  # a slow pipe need not give more to tell it from the others
            break
    return candidates[found.index(min(found))]


def oddities(source: Peeking, variant: Variant, order: str, snaplen: int) -> int:
    """How much speaks against the first records being of ``variant``; 0 where nothing does.

    The patches to libpcap of 1999 and Nokia's kept a magic and changed the record. As Wireshark's
    wiretap/libpcap.c, from which the checks are taken, this tries to read three records.
    """
    found: int = 0
    position = HEADER_LENGTH
    for _ in range(_TRIED):
        head = source.peek(position + variant.record)[position:]
        if not head:
            break
        if len(head) < variant.record:
            return found + 1
        fields: tuple[int, ...] = struct.unpack_from(order + "IIII", head)
        _, fraction, caplen, wirelen = fields
        found += (fraction >= _MICROSECONDS) + (caplen > MAX_CAPLEN) + (caplen > snaplen)
        found += (wirelen > _LARGEST_WIRE) + (caplen > wirelen)
        # Not in Wireshark: zeros in a damaged file look like empty packets, and must not make it another variant.
        found += caplen == 0 and variant is not PLAIN
        if variant in (RED_HAT, MODIFIED, SUSE):
            found += _odd_patch(*struct.unpack_from(order + "IHB", head, _FIELDS))
        elif variant is NOKIA:
            (word,) = struct.unpack_from(order + "I", head, _FIELDS)
            found += _NOKIA_WORD.fullmatch(f"{word:08x}") is None
        if caplen > MAX_CAPLEN:
            break
        position += variant.record + caplen
        if len(source.peek(position)) < position:
            return found + 1
    return found


def _odd_patch(ifindex: int, protocol: int, packet_type: int) -> int:
    """The fields that Kuznetzov's patches added: Linux' interface index, ETH_P_ and PACKET_ values."""
    known = protocol >= 0x0600 or protocol in {0x0060, 0x0200, 0x0400} or protocol <= 0x17  # noqa: PLR2004 - ETH_P_
    return int(ifindex > 10_000) + int(not known) + int(packet_type > 4)  # noqa: PLR2004 - PACKET_OUTGOING


class PcapFormat:
    """Reads records after the file header; see RecordFormat.

    What the patched variants add to a record is skipped: converters fill it with zeros, so it proves nothing.
    """

    def __init__(self, header: bytes, variant: Variant, network: int, notes: CaptureNotes) -> None:
        """Take the 24-byte file header, the variant it was found to be, and the link type."""
        self._order, _ = _MAGICS[header[:4]]
        self._variant = variant
        major, minor, _zone, _sigfigs, snaplen = struct.unpack(self._order + "HHiII", header[4:20])
        # Up to 2.2 and in DG/UX's 543.0 the two lengths were written the other way round, in 2.3
        # sometimes; libpcap and Wireshark decide as here.
        if (major, minor) < (2, 3) or major == 543:  # noqa: PLR2004 - DG/UX
            self._lengths = _LENGTHS_SWAPPED
        elif (major, minor) == (2, 3):
            self._lengths = _LENGTHS_MAYBE_SWAPPED
        else:
            self._lengths = _LENGTHS_PLAIN
            if (major, minor) != (2, 4):
                notes.warnings.append(f"pcap version {major}.{minor} is unusual; read as 2.4")
        self._linktype = network & 0x03FFFFFF  # the upper bits say how long the frame check sequence is
        notes.file_type = variant.name
        notes.snaplen = snaplen
        notes.interfaces = notes.sections = 1
        notes.interface_list.append(
            InterfaceNotes(linktype=self._linktype, snaplen=snaplen, resolution=9 if variant.tick == 1 else 6)
        )

    def scan(self, data: npt.NDArray[np.uint8], start: int, end: int, base: int, limit: int) -> Scan:
        """See RecordFormat.scan."""
        damage, need = "", 0
        if self._lengths == _LENGTHS_PLAIN:
            layout = Layout(self._order, self._variant.record)
            records, position = walk(data, start, end, limit + 1, layout)
        else:
            records, position = self._walk_swapped(data, start, end, limit + 1)
        if len(records) > limit:
            position = int(records[limit])
            records = records[:limit]
        elif len(records) and position == records[-1]:
            caplen = self._columns(data, records[-1:]).caplen[0]
            damage = f"packet record at byte {base + position} claims {caplen} captured bytes"
            records = records[:-1]
        elif position > end:
            need = position - int(records[-1])
            position = int(records[-1])
            records = records[:-1]
        else:
            need = self._variant.record
        return Scan(self._columns(data, records), position, need, damage)

    def _walk_swapped(
        self, data: npt.NDArray[np.uint8], position: int, end: int, limit: int
    ) -> tuple[npt.NDArray[np.int64], int]:
        """As forensics.capture.lockstep.walk, for versions whose two lengths may have changed places."""
        records: list[int] = []
        view, header = data.data, self._variant.record
        both = struct.Struct(self._order + "8xII").unpack_from
        while len(records) < limit and position <= end - header:
            caplen, wirelen = both(view, position)
            if self._lengths == _LENGTHS_SWAPPED or caplen > wirelen:
                caplen = wirelen
            records.append(position)
            if caplen > MAX_CAPLEN:
                break
            position += header + caplen
        return np.array(records, dtype=np.int64), position

    def _columns(self, data: npt.NDArray[np.uint8], starts: npt.NDArray[np.int64]) -> Columns:
        if not len(starts):
            return no_columns()
        words = gather_rows(data, starts, _FIELDS).view(self._order + "u4").astype(np.int64)
        caplen, wirelen = words[:, 2], words[:, 3]
        if self._lengths == _LENGTHS_SWAPPED:
            caplen, wirelen = wirelen, caplen
        elif self._lengths == _LENGTHS_MAYBE_SWAPPED:
            caplen, wirelen = np.minimum(caplen, wirelen), np.maximum(caplen, wirelen)
        return Columns(
            offset=starts + self._variant.record,
            caplen=np.ascontiguousarray(caplen),
            wirelen=np.ascontiguousarray(wirelen),
            time=words[:, 0] * 1_000_000_000 + words[:, 1] * self._variant.tick,
            linktype=np.full(len(starts), self._linktype, dtype=np.int32),
            interface=np.zeros(len(starts), dtype=np.int32),
        )
