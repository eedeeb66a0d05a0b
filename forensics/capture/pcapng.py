"""The pcapng file (draft-ietf-opsawg-pcapng): a run of typed blocks, in sections of their own byte order."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from forensics.capture.batch import CaptureNotes, InterfaceNotes
from forensics.capture.gather import gather_rows
from forensics.capture.scan import MAX_CAPLEN, Columns, Scan, no_columns
from forensics.capture.times import Clock, block_times

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

SECTION: Final = 0x0A0D0D0A
INTERFACE: Final = 1
OLD_PACKET: Final = 2
SIMPLE_PACKET: Final = 3
ENHANCED_PACKET: Final = 6
NUMBERED: Final = frozenset({9, 0x0BAD, 0x4000_0BAD, 0x204, 0x208, 0x216, 0x221})
"""Blocks that are no packets but have a frame number in Wireshark: systemd journal, custom, sysdig events."""
NOT_A_PACKET: Final = -1
"""Link type of a numbered block, so that the packets after it keep Wireshark's frame numbers."""

_BYTE_ORDERS: Final = {b"\x4d\x3c\x2b\x1a": "<", b"\x1a\x2b\x3c\x4d": ">"}
_MIN_BLOCK: Final = 12
_MAX_BLOCK: Final = 16 << 20
_MAX_INTERFACES: Final = 1 << 16
"""In one section, and in the notes of the whole capture."""
_HEADER_WIDTH: Final = 28
_DATA_START: Final = {ENHANCED_PACKET: 28, OLD_PACKET: 28, SIMPLE_PACKET: 12}
_OVERHEAD: Final = {ENHANCED_PACKET: 32, OLD_PACKET: 32, SIMPLE_PACKET: 16}
_TSRESOL, _TSOFFSET = 9, 14


def is_pcapng(head: bytes) -> bool:
    """Whether a capture begins with a section header block whose byte-order magic is known."""
    return head[:4] == b"\x0a\x0d\x0d\x0a" and head[8:12] in _BYTE_ORDERS


class _DamageError(Exception):
    """What is wrong with the block at hand."""


@dataclass
class _Epoch:
    """The state of the section from one record on; it changes with every section and interface."""

    record: int
    first_interface: int
    interfaces: int
    big_endian: bool


class PcapngFormat:
    """Reads blocks; see RecordFormat. Interfaces of past sections are forgotten."""

    def __init__(self, notes: CaptureNotes) -> None:
        """Start before the first section header."""
        self._notes = notes
        notes.file_type = "pcapng"
        self._order = "<"
        self._clocks: list[Clock] = []  # of the present section; while scanning, of those before it too
        self._linktypes: list[int] = []
        self._snaplens: list[int] = []
        self._section_start = 0
        self._forgotten = 0  # interfaces of the sections that are gone from these lists

    def scan(  # noqa: C901 - one flat loop over block types reads better than calls per block
        self, data: npt.NDArray[np.uint8], start: int, end: int, base: int, limit: int
    ) -> Scan:
        """See RecordFormat.scan."""
        self._forget_past_sections()
        view = data.data
        records: list[int] = []
        epochs = [self._epoch(0)]
        position, need, damage = start, 0, ""
        append = records.append
        head, tail, interfaces = self._shortcut()
        overhead = _OVERHEAD[ENHANCED_PACKET]
        last = end - overhead
        while len(records) < limit:
            # Nearly every block is a sound enhanced packet; whatever is not goes through the checks below.
            if position <= last:
                kind, length, interface, caplen = head(view, position)
                after = position + length
                if (
                    kind == ENHANCED_PACKET
                    and interface < interfaces
                    and caplen <= length - overhead
                    and caplen <= MAX_CAPLEN
                    and after <= end
                    and length <= _MAX_BLOCK
                    and not length & 3
                    and tail(view, after - 4)[0] == length
                ):
                    append(position)
                    position = after
                    continue
            if position + _MIN_BLOCK > end:
                need = _MIN_BLOCK
                break
            try:
                kind, length = self._measure(view, position)
                after = position + length
                if after > end:
                    need = length
                    break
                block = view[position:after]
                if kind == SECTION:
                    self._open_section(block)
                if struct.unpack_from(self._order + "I", block, length - 4)[0] != length:
                    raise _DamageError(f"block whose two lengths differ (the first is {length})")  # noqa: TRY301
                if kind in _DATA_START:
                    self._check_packet(block, kind)
                    records.append(position)
                elif kind in {SECTION, INTERFACE}:
                    if kind == INTERFACE:
                        self._add_interface(block)
                    epochs.append(self._epoch(len(records)))
                    head, tail, interfaces = self._shortcut()
                elif self._skip(kind):
                    records.append(position)
            except _DamageError as error:
                damage = f"pcapng {error} at byte {base + position}"
                break
            position = after
        return Scan(self._columns(data, records, epochs), position, need, damage)

    def _measure(self, view: memoryview, position: int) -> tuple[int, int]:
        """Type and length of a block; a section header is measured in the byte order it declares."""
        order = self._order
        kind, length = struct.unpack_from(order + "II", view, position)
        if kind == SECTION:
            declared = _BYTE_ORDERS.get(bytes(view[position + 8 : position + 12]))
            if declared is None:
                raise _DamageError("section header with an unknown byte-order magic")
            (length,) = struct.unpack_from(declared + "I", view, position + 4)
        if length < _MIN_BLOCK or length & 3 or length > _MAX_BLOCK:
            raise _DamageError(f"block of impossible length {length}")
        return kind, length

    def _shortcut(self) -> tuple[Callable[..., Any], Callable[..., Any], int]:
        """Readers of a block's (type, length, interface, caplen) and of a trailing length; number of interfaces."""
        head = struct.Struct(self._order + "III8xI").unpack_from
        return head, struct.Struct(self._order + "I").unpack_from, len(self._clocks) - self._section_start

    def _forget_past_sections(self) -> None:
        self._forgotten += self._section_start
        del self._clocks[: self._section_start]
        del self._linktypes[: self._section_start]
        del self._snaplens[: self._section_start]
        self._section_start = 0

    def _epoch(self, record: int) -> _Epoch:
        return _Epoch(
            record, self._section_start, len(self._clocks) - self._section_start, self._order == ">"
        )

    def _skip(self, kind: int) -> bool:
        """Count a block we do not read; True if Wireshark gives it a frame number."""
        name = f"0x{kind:08x}"
        known = self._notes.skipped_blocks
        # A hostile file may hold four billion types; beyond some hundreds they are counted together.
        if name not in known and len(known) >= 256:  # noqa: PLR2004 - far more than there are block types
            name = "other"
        known[name] = known.get(name, 0) + 1
        return kind in NUMBERED

    def _check_packet(self, block: memoryview, kind: int) -> None:
        """Raise if the lengths inside a packet block lie or its interface was never described."""
        length = len(block)
        if length < _OVERHEAD[kind]:
            raise _DamageError(f"packet block of {length} bytes, too short for its own header")
        interfaces = len(self._clocks) - self._section_start
        if kind == ENHANCED_PACKET:
            interface, caplen = struct.unpack_from(self._order + "I8xI", block, 8)
        elif kind == OLD_PACKET:
            interface, caplen = struct.unpack_from(self._order + "H10xI", block, 8)
        else:
            interface, (caplen,) = 0, struct.unpack_from(self._order + "I", block, 8)
            if interfaces:
                caplen = min(caplen, self._snaplens[self._section_start] or caplen)
        if interface >= interfaces:
            raise _DamageError(f"packet block of interface {interface}, of which there are {interfaces},")
        if caplen > length - _OVERHEAD[kind] or caplen > MAX_CAPLEN:
            raise _DamageError(f"packet block of {length} bytes that claims {caplen} captured bytes")

    def _open_section(self, block: memoryview) -> None:
        if len(block) < 28:  # noqa: PLR2004 - the fixed part of a section header block
            raise _DamageError(f"section header of {len(block)} bytes, too short,")
        self._order = _BYTE_ORDERS[bytes(block[8:12])]
        self._section_start = len(self._clocks)
        self._notes.sections += 1
        self._options(block, 24)

    def _add_interface(self, block: memoryview) -> None:
        if len(block) < 20:  # noqa: PLR2004 - the fixed part of an interface description block
            raise _DamageError(f"interface description of {len(block)} bytes, too short,")
        if len(self._clocks) - self._section_start >= _MAX_INTERFACES:
            raise _DamageError(f"interface description beyond the {_MAX_INTERFACES}th of its section")
        linktype, snaplen = struct.unpack_from(self._order + "H2xI", block, 8)
        resolution, offset = 6, 0
        for code, value in self._options(block, 16):
            if code == _TSRESOL and len(value) == 1:
                resolution = value[0]
            elif code == _TSOFFSET and len(value) == 8:  # noqa: PLR2004 - a 64-bit number of seconds
                (offset,) = struct.unpack(self._order + "q", value)
        self._clocks.append(Clock(resolution, offset))
        self._linktypes.append(linktype)
        self._snaplens.append(snaplen)
        self._notes.interfaces += 1
        if len(self._notes.interface_list) < _MAX_INTERFACES:
            self._notes.interface_list.append(
                InterfaceNotes(linktype=linktype, snaplen=snaplen, resolution=resolution, offset_s=offset)
            )
        if snaplen:
            self._notes.snaplen = min(snaplen, self._notes.snaplen or snaplen)

    def _options(self, block: memoryview, start: int) -> list[tuple[int, memoryview]]:
        """Options between ``start`` and the trailing length; raises where one runs out of its block."""
        found: list[tuple[int, memoryview]] = []
        position, end = start, len(block) - 4
        while position + 4 <= end:
            code, length = struct.unpack_from(self._order + "HH", block, position)
            if code == 0:
                break
            position += 4
            if position + length > end:
                raise _DamageError(f"option of {length} bytes that does not fit its block")
            found.append((code, block[position : position + length]))
            position += (length + 3) & ~3
        return found

    def _columns(self, data: npt.NDArray[np.uint8], records: list[int], epochs: list[_Epoch]) -> Columns:
        if not records:
            return no_columns()
        starts = np.array(records, dtype=np.int64)
        spans = np.diff([epoch.record for epoch in epochs], append=len(records))
        big = np.repeat([epoch.big_endian for epoch in epochs], spans)
        first = np.repeat([epoch.first_interface for epoch in epochs], spans)
        words = gather_rows(data, starts, _HEADER_WIDTH).view("<u4")
        if big.any():
            words[big] = words[big].byteswap()
        kind = words[:, 0]
        simple, old = kind == SIMPLE_PACKET, kind == OLD_PACKET
        packet = simple | old | (kind == ENHANCED_PACKET)
        # The obsolete block has a 16-bit interface and a 16-bit drop count where the enhanced has 32 bits.
        interface = np.where(old, np.where(big, words[:, 2] >> 16, words[:, 2] & 0xFFFF), words[:, 2])
        interface = first + np.where(packet & ~simple, interface, 0).astype(np.int64)
        interface[~packet] = 0
        # A numbered block may come before any interface: the extra last entry stands for "none".
        linktypes = np.array([*self._linktypes, NOT_A_PACKET], dtype=np.int32)
        snaplens = np.array([*self._snaplens, 0], dtype=np.int64)
        wirelen = np.where(simple, words[:, 2], words[:, 6]).astype(np.int64)
        snaplen = snaplens[interface]
        caplen = np.where(simple, np.where(snaplen > 0, np.minimum(snaplen, wirelen), wirelen), words[:, 5])
        ticks = (words[:, 3].astype(np.uint64) << np.uint64(32)) | words[:, 4]
        timed = packet & ~simple
        time = np.zeros(len(starts), dtype=np.int64)
        time[timed] = block_times(ticks[timed], interface[timed], self._clocks)
        self._notes.untimed_packets += int(np.count_nonzero(simple))
        listed = interface + self._forgotten
        listed[~packet | (listed >= len(self._notes.interface_list))] = -1
        return Columns(
            offset=starts
            + np.where(simple, _DATA_START[SIMPLE_PACKET], _DATA_START[ENHANCED_PACKET]) * packet,
            caplen=np.where(packet, caplen, 0).astype(np.int64),
            wirelen=np.where(packet, wirelen, 0),
            time=time,
            linktype=np.where(packet, linktypes[interface], NOT_A_PACKET).astype(np.int32),
            interface=listed.astype(np.int32),
        )
