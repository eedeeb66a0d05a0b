"""The classic pcap file (draft-ietf-opsawg-pcap): a header, then records of 16 + caplen bytes."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

import numpy as np

from forensics.capture.batch import CaptureNotes, InterfaceNotes
from forensics.capture.gather import gather_rows
from forensics.capture.scan import MAX_CAPLEN, Columns, Scan, no_columns
from forensics.errors import CaptureError

if TYPE_CHECKING:
    import numpy.typing as npt


HEADER_LENGTH: Final = 24
_RECORD_LENGTH: Final = 16
_MAGICS: Final = {
    b"\xd4\xc3\xb2\xa1": ("<", 1000),
    b"\xa1\xb2\xc3\xd4": (">", 1000),
    b"\x4d\x3c\xb2\xa1": ("<", 1),
    b"\xa1\xb2\x3c\x4d": (">", 1),
}
_LENGTHS_SWAPPED, _LENGTHS_MAYBE_SWAPPED, _LENGTHS_PLAIN = range(3)


def is_pcap(head: bytes) -> bool:
    """Whether the first bytes of a capture carry one of the four pcap magics."""
    return head[:4] in _MAGICS


class PcapFormat:
    """Reads records after the file header; see RecordFormat."""

    def __init__(self, header: bytes, notes: CaptureNotes) -> None:
        """Take the 24-byte file header; raise CaptureError for a version nobody ever wrote."""
        self._order, self._tick = _MAGICS[header[:4]]
        major, minor, _zone, _sigfigs, snaplen, network = struct.unpack(
            self._order + "HHiIII", header[4:HEADER_LENGTH]
        )
        if major < 2:  # noqa: PLR2004 - version 2 is the oldest that tcpdump wrote
            raise CaptureError(
                f"pcap version {major}.{minor} is not supported: convert the file with editcap"
            )
        # Up to 2.2 the two lengths were written the other way round, in 2.3 and in DG/UX's 543.0
        # sometimes; libpcap and Wireshark decide as here.
        if (major, minor) < (2, 3):
            self._lengths = _LENGTHS_SWAPPED
        elif (major, minor) in {(2, 3), (543, 0)}:
            self._lengths = _LENGTHS_MAYBE_SWAPPED
        else:
            self._lengths = _LENGTHS_PLAIN
            if (major, minor) != (2, 4):
                notes.warnings.append(f"pcap version {major}.{minor} is unusual; read as 2.4")
        self._linktype = network & 0x03FFFFFF  # the upper bits say how long the frame check sequence is
        self._notes = notes
        notes.file_type = "pcap-ns" if self._tick == 1 else "pcap"
        notes.snaplen = snaplen
        notes.interfaces = notes.sections = 1
        notes.interface_list.append(
            InterfaceNotes(linktype=self._linktype, snaplen=snaplen, resolution=9 if self._tick == 1 else 6)
        )

    def scan(  # noqa: C901, PLR0912 - the loop over all packets stands twice so that neither asks what never changes
        self, data: npt.NDArray[np.uint8], start: int, end: int, base: int, limit: int
    ) -> Scan:
        """See RecordFormat.scan."""
        records: list[int] = []
        append = records.append
        view = data.data
        position, damage, need = start, "", 0
        last = end - _RECORD_LENGTH
        # The one loop over all packets of a capture: nothing in it that can stand outside.
        if self._lengths == _LENGTHS_PLAIN:
            captured = struct.Struct(self._order + "8xI").unpack_from
            for _ in range(limit + 1):
                if position > last:
                    break
                (caplen,) = captured(view, position)
                append(position)
                if caplen > MAX_CAPLEN:
                    break
                position += _RECORD_LENGTH + caplen
        else:
            both = struct.Struct(self._order + "8xII").unpack_from
            for _ in range(limit + 1):
                if position > last:
                    break
                caplen, wirelen = both(view, position)
                if self._lengths == _LENGTHS_SWAPPED or caplen > wirelen:
                    caplen = wirelen
                append(position)
                if caplen > MAX_CAPLEN:
                    break
                position += _RECORD_LENGTH + caplen
        if len(records) > limit:
            position = records[limit]
            del records[limit:]
        elif records and position == records[-1]:
            damage = f"packet record at byte {base + position} claims {caplen} captured bytes"
            records.pop()
        elif position > end:
            need = position - records[-1]
            position = records.pop()
        else:
            need = _RECORD_LENGTH
        return Scan(self._columns(data, records), position, need, damage)

    def _columns(self, data: npt.NDArray[np.uint8], records: list[int]) -> Columns:
        if not records:
            return no_columns()
        starts = np.array(records, dtype=np.int64)
        words = gather_rows(data, starts, _RECORD_LENGTH).view(self._order + "u4").astype(np.int64)
        caplen, wirelen = words[:, 2], words[:, 3]
        if self._lengths == _LENGTHS_SWAPPED:
            caplen, wirelen = wirelen, caplen
        elif self._lengths == _LENGTHS_MAYBE_SWAPPED:
            caplen, wirelen = np.minimum(caplen, wirelen), np.maximum(caplen, wirelen)
        return Columns(
            offset=starts + _RECORD_LENGTH,
            caplen=np.ascontiguousarray(caplen),
            wirelen=np.ascontiguousarray(wirelen),
            time=words[:, 0] * 1_000_000_000 + words[:, 1] * self._tick,
            linktype=np.full(len(starts), self._linktype, dtype=np.int32),
            interface=np.zeros(len(starts), dtype=np.int32),
        )
