"""The snoop file (RFC 1761) of Solaris, and Shomiti's (later Finisar's) Surveyor files, which look like it."""

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

    from forensics.capture.source import Peeking

MAGIC: Final = b"snoop\0\0\0"
HEADER_LENGTH: Final = 16
_RECORD_LENGTH: Final = 24
_VERSIONS: Final = range(2, 6)
"""2 is RFC 1761's, 3 to 5 are Surveyor's with its makers' own network cards."""
_TRAILER: Final = 16
"""Bytes that Surveyor appends to a packet; snoop's own padding is shorter."""
_MAX_PAD: Final = 1 << 16
_ETHERNET, _LOOPBACK = 1, 0
_LINKS: Final = {0: _ETHERNET, 4: _ETHERNET, 9: _LOOPBACK, 14: _LOOPBACK}
"""Datalink type (RFC 1761 and https://www.iana.org/assignments/snoop-datalink-types) → LINKTYPE_, as Wireshark's
wiretap/snoop.c has it: IEEE 802.3, Ethernet, "other" and the software loopback."""
_SHOMITI_LINKS: Final = {0: _ETHERNET, 4: _ETHERNET, 10: _ETHERNET, 12: _ETHERNET, 19: _ETHERNET}
"""Surveyor took the numbers RFC 1761 left free for Ethernet of 100, 1,000 and 10,000 Mbit/s."""
_NAMES: Final = {
    1: "Token Bus",
    2: "Token Ring",
    3: "Metro Net",
    5: "HDLC",
    6: "character synchronous",
    7: "IBM channel-to-channel",
    8: "FDDI",
    16: "Fibre Channel",
    17: "ATM",
    18: "ATM",
    26: "InfiniBand",
}


def is_snoop(head: bytes) -> bool:
    """Whether the first bytes of a capture are snoop's."""
    return head[: len(MAGIC)] == MAGIC


def open_snoop(source: Peeking, notes: CaptureNotes) -> tuple[SnoopFormat, int]:
    """The format of a source that begins with snoop's magic, and the bytes before its first record.

    Raises CaptureError for a header that is cut short, and for versions and datalink types that are not read.
    """
    header = source.peek(HEADER_LENGTH)
    if len(header) < HEADER_LENGTH:
        raise CaptureError(
            "the capture's file header is cut short or broken: get a whole copy of the capture"
        )
    version, datalink = struct.unpack(">II", header[8:])
    if version not in _VERSIONS:
        raise CaptureError(f"snoop version {version} is not supported: convert the file with editcap")
    first = source.peek(HEADER_LENGTH + _RECORD_LENGTH)[HEADER_LENGTH:]
    shomiti = False
    if len(first) == _RECORD_LENGTH:
        caplen, length = struct.unpack_from(">4xII", first)
        shomiti = length - _RECORD_LENGTH - caplen >= _TRAILER
    links = _SHOMITI_LINKS if shomiti else _LINKS
    if datalink not in links:
        named = f" ({_NAMES[datalink]})" if datalink in _NAMES else ""
        raise CaptureError(
            f"is a snoop capture of datalink type {datalink}{named}, which is not supported: capture on Ethernet"
        )
    notes.file_type = "shomiti" if shomiti else "snoop"
    return SnoopFormat(links[datalink], notes), HEADER_LENGTH


class SnoopFormat:
    """Reads records after the file header; see RecordFormat. Everything is big-endian."""

    def __init__(self, linktype: int, notes: CaptureNotes) -> None:
        self._linktype = linktype
        self._interface = InterfaceNotes(linktype=linktype)
        notes.interfaces = notes.sections = 1
        notes.interface_list.append(self._interface)

    def scan(self, data: npt.NDArray[np.uint8], start: int, end: int, base: int, limit: int) -> Scan:
        """See RecordFormat.scan."""
        records: list[int] = []
        append = records.append
        view = data.data
        position, damage, need = start, "", 0
        last = end - _RECORD_LENGTH
        lengths = struct.Struct(">III").unpack_from
        for _ in range(limit + 1):
            if position > last:
                break
            wirelen, caplen, length = lengths(view, position)
            append(position)
            pad = length - _RECORD_LENGTH - caplen
            if caplen > MAX_CAPLEN or wirelen > MAX_CAPLEN or not 0 <= pad <= _MAX_PAD:
                sizes = f"{length} bytes, {caplen} captured of {wirelen}"
                damage = f"packet record at byte {base + position} claims {sizes}"
                break
            position += length
        if len(records) > limit:
            position = records[limit]
            damage = ""
            del records[limit:]
        elif damage:
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
        words = gather_rows(data, starts, _RECORD_LENGTH).view(">u4").astype(np.int64)
        # Each record says how many packets were dropped before it, since the first.
        self._interface.dropped = max(self._interface.dropped or 0, int(words[:, 3].max()))
        return Columns(
            offset=starts + _RECORD_LENGTH,
            caplen=np.ascontiguousarray(words[:, 1]),
            wirelen=np.ascontiguousarray(words[:, 0]),
            time=words[:, 4] * 1_000_000_000 + words[:, 5] * 1000,
            linktype=np.full(len(starts), self._linktype, dtype=np.int32),
            interface=np.zeros(len(starts), dtype=np.int32),
        )
