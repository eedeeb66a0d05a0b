"""The pcapng file (draft-ietf-opsawg-pcapng): a run of typed blocks, in sections of their own byte order."""

from __future__ import annotations

import struct
from bisect import bisect_left
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from forensics.capture.gather import gather_rows
from forensics.capture.pcapng_notes import BlockNotes
from forensics.capture.pcapng_options import DamageError, PacketOptions
from forensics.capture.scan import MAX_CAPLEN, Columns, Scan, no_columns
from forensics.capture.times import Clock, block_times

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from forensics.capture.batch import CaptureNotes

SECTION: Final = 0x0A0D0D0A
INTERFACE: Final = 1
OLD_PACKET: Final = 2
SIMPLE_PACKET: Final = 3
ENHANCED_PACKET: Final = 6
NAME_RESOLUTION: Final = 4
INTERFACE_STATISTICS: Final = 5
DECRYPTION_SECRETS: Final = 10
CUSTOM: Final = frozenset({0x0BAD, 0x4000_0BAD})
NUMBERED: Final = {9: 36, 0x0BAD: 16, 0x4000_0BAD: 16, 0x204: 36, 0x216: 40, 0x221: 40}
"""Blocks that are no packets but have a frame number in Wireshark (systemd journal, custom, sysdig events), and the
fewest bytes of each."""
NOT_A_PACKET: Final = -1
"""Link type of a numbered block, so that the packets after it keep Wireshark's frame numbers."""

_BYTE_ORDERS: Final = {b"\x4d\x3c\x2b\x1a": "<", b"\x1a\x2b\x3c\x4d": ">"}
_MIN_BLOCK: Final = 12
_MAX_BLOCK: Final = 16 << 20
_HEADER_WIDTH: Final = 28
_PADDING: Final = 3
"""Bytes that may stand between a packet and the end of its block; more are options."""
_DATA_START: Final = {ENHANCED_PACKET: 28, OLD_PACKET: 28, SIMPLE_PACKET: 12}
_OVERHEAD: Final = {ENHANCED_PACKET: 32, OLD_PACKET: 32, SIMPLE_PACKET: 16}


def is_pcapng(head: bytes) -> bool:
    """Whether a capture begins with a section header block whose byte-order magic is known."""
    return head[:4] == b"\x0a\x0d\x0d\x0a" and head[8:12] in _BYTE_ORDERS


@dataclass
class _Epoch:
    """The state of the section from one record on; it changes with every section and interface."""

    record: int
    first_interface: int
    interfaces: int
    big_endian: bool


@dataclass
class _Found:
    """What one scan has found so far."""

    data: npt.NDArray[np.uint8]
    epochs: list[_Epoch]
    records: list[int] = field(default_factory=list)
    """Where the blocks with a frame number begin."""
    optioned: list[int] = field(default_factory=list)
    """Where the packets among them begin that carry options."""
    read: int = 0
    """How many of those were read."""
    options: list[tuple[npt.NDArray[np.int64], PacketOptions]] = field(default_factory=list)
    """What they said: rows of ``records``, options."""


class PcapngFormat:
    """Reads blocks; see RecordFormat. Interfaces of past sections are forgotten."""

    def __init__(self, notes: CaptureNotes) -> None:
        """Start before the first section header."""
        self._notes = notes
        self._blocks = BlockNotes(notes)
        notes.file_type = "pcapng"
        self._order = "<"
        self._clocks: list[Clock] = []  # of the present section; while scanning, of those before it too
        self._linktypes: list[int] = []
        self._snaplens: list[int] = []
        self._section_start = 0
        self._forgotten = 0  # interfaces of the sections that are gone from these lists

    def scan(self, data: npt.NDArray[np.uint8], start: int, end: int, base: int, limit: int) -> Scan:
        """See RecordFormat.scan."""
        self._forget_past_sections()
        view = data.data
        found = _Found(data, [self._epoch(0)])
        records, optioned = found.records, found.optioned
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
                spare = length - overhead - caplen
                if (
                    kind == ENHANCED_PACKET
                    and interface < interfaces
                    and spare >= 0
                    and caplen <= MAX_CAPLEN
                    and after <= end
                    and length <= _MAX_BLOCK
                    and not length & 3
                    and tail(view, after - 4)[0] == length
                ):
                    append(position)
                    if spare > _PADDING:
                        optioned.append(position)
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
                if self._read_block(view[position:after], kind, position, found):
                    head, tail, interfaces = self._shortcut()
            except DamageError as error:
                position, damage = self._damaged(error, position, base)
                break
            position = after
        try:
            self._read_options(found)
        except DamageError as error:
            need = 0
            position, damage = self._damaged(error, position, base)
        return Scan(self._columns(found), position, need, damage)

    def _damaged(self, error: DamageError, position: int, base: int) -> tuple[int, str]:
        """Where the damage is, and the sentence that says so."""
        where = position if error.position is None else error.position
        return where, f"pcapng {error} at byte {base + where}"

    def _measure(self, view: memoryview, position: int) -> tuple[int, int]:
        """Type and length of a block; a section header is measured in the byte order it declares."""
        order = self._order
        kind, length = struct.unpack_from(order + "II", view, position)
        if kind == SECTION:
            declared = _BYTE_ORDERS.get(bytes(view[position + 8 : position + 12]))
            if declared is None:
                raise DamageError("section header with an unknown byte-order magic")
            (length,) = struct.unpack_from(declared + "I", view, position + 4)
        if length < _MIN_BLOCK or length & 3 or length > _MAX_BLOCK:
            raise DamageError(f"block of impossible length {length}")
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

    def _read_block(self, block: memoryview, kind: int, position: int, found: _Found) -> bool:
        """A block that the loop over packets does not take; True when byte order or interfaces are others after it."""
        if kind not in _DATA_START:
            # Damage ends the capture, so packets before this block must be found sound before it is noted.
            self._read_options(found)
        if kind == SECTION:
            self._order = _BYTE_ORDERS[bytes(block[8:12])]
        length = len(block)
        if struct.unpack_from(self._order + "I", block, length - 4)[0] != length:
            raise DamageError(f"block whose two lengths differ (the first is {length})")
        if kind in _DATA_START:
            if self._check_packet(block, kind):
                found.optioned.append(position)
            found.records.append(position)
            return False
        if kind in {SECTION, INTERFACE}:
            self._describe(block, kind)
            found.epochs.append(self._epoch(len(found.records)))
            return True
        self._note(block, kind)
        if kind in NUMBERED:
            found.records.append(position)
        return False

    def _describe(self, block: memoryview, kind: int) -> None:
        """A section or an interface."""
        if kind == SECTION:
            self._blocks.section(block, self._order)
            self._section_start = len(self._clocks)
        else:
            linktype, snaplen, clock = self._blocks.interface(block, self._order)
            self._clocks.append(clock)
            self._linktypes.append(linktype)
            self._snaplens.append(snaplen)

    def _note(self, block: memoryview, kind: int) -> None:
        """A block that no packet depends on."""
        if len(block) < NUMBERED.get(kind, 0):
            raise DamageError(f"block of type 0x{kind:08x} of {len(block)} bytes, too short,")
        if kind == NAME_RESOLUTION:
            self._blocks.names(block, self._order)
        elif kind == INTERFACE_STATISTICS:
            self._blocks.statistics(block, self._order)
        elif kind == DECRYPTION_SECRETS:
            self._blocks.secrets(block, self._order)
        elif kind not in CUSTOM or not self._blocks.custom(block, self._order):
            self._blocks.skipped(kind)

    def _check_packet(self, block: memoryview, kind: int) -> bool:
        """Whether a packet block carries options; raises if lengths lie or its interface was never described."""
        length = len(block)
        if length < _OVERHEAD[kind]:
            raise DamageError(f"packet block of {length} bytes, too short for its own header")
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
            raise DamageError(f"packet block of interface {interface}, of which there are {interfaces},")
        if caplen > length - _OVERHEAD[kind] or caplen > MAX_CAPLEN:
            raise DamageError(f"packet block of {length} bytes that claims {caplen} captured bytes")
        return kind != SIMPLE_PACKET and length - _OVERHEAD[kind] - caplen > _PADDING

    def _read_options(self, found: _Found) -> None:
        """Read the options of packets that were not read yet; raises DamageError with the place of the first bad."""
        if found.read == len(found.optioned):
            return
        starts = np.array(found.optioned[found.read :], dtype=np.int64)
        found.read = len(found.optioned)
        words = gather_rows(found.data, starts, _HEADER_WIDTH).view(self._order + "u4").astype(np.int64)
        begin = starts + _DATA_START[ENHANCED_PACKET] + (words[:, 5] + 3 & ~3)
        options = PacketOptions(found.data, begin, starts + words[:, 1] - 4, self._order)
        # Only records from the first of these packets on: a file with many blocks between packets asks often.
        first = bisect_left(found.records, int(starts[0]))
        rows = first + np.searchsorted(np.array(found.records[first:], dtype=np.int64), starts)
        found.options.append((rows[: options.bad], options))
        self._blocks.packets(options, rows + (self._notes.packets + 1))
        if options.bad < len(starts):
            where = int(starts[options.bad])
            del found.records[bisect_left(found.records, where) :]
            raise DamageError(options.damage, where)

    def _columns(self, found: _Found) -> Columns:
        records, epochs = found.records, found.epochs
        if not records:
            return no_columns()
        starts = np.array(records, dtype=np.int64)
        spans = np.diff([epoch.record for epoch in epochs], append=len(records))
        big = np.repeat([epoch.big_endian for epoch in epochs], spans)
        first = np.repeat([epoch.first_interface for epoch in epochs], spans)
        words = gather_rows(found.data, starts, _HEADER_WIDTH).view("<u4")
        if big.any():
            words[big] = words[big].byteswap()
        kind = words[:, 0]
        simple, old = kind == SIMPLE_PACKET, kind == OLD_PACKET
        packet = simple | old | (kind == ENHANCED_PACKET)
        # The obsolete block has a 16-bit interface and a 16-bit drop count where the enhanced has 32 bits.
        interface = np.where(old, np.where(big, words[:, 2] >> 16, words[:, 2] & 0xFFFF), words[:, 2])
        interface = first + np.where(packet & ~simple, interface, 0).astype(np.int64)
        interface[~packet] = 0
        if old.any():
            self._blocks.old_drops(np.where(big, words[:, 2] & 0xFFFF, words[:, 2] >> 16)[old])
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
        direction, uid = self._said(found)
        return Columns(
            offset=starts
            + np.where(simple, _DATA_START[SIMPLE_PACKET], _DATA_START[ENHANCED_PACKET]) * packet,
            caplen=np.where(packet, caplen, 0).astype(np.int64),
            wirelen=np.where(packet, wirelen, 0),
            time=time,
            linktype=np.where(packet, linktypes[interface], NOT_A_PACKET).astype(np.int32),
            interface=listed.astype(np.int32),
            direction=direction,
            uid=uid,
        )

    def _said(self, found: _Found) -> tuple[npt.NDArray[np.int8] | None, npt.NDArray[np.int32] | None]:
        """Direction and UID of all records; None where no options say."""
        if not found.options:
            return None, None
        direction = np.zeros(len(found.records), dtype=np.int8)
        uid = np.full(len(found.records), -1, dtype=np.int32)
        for rows, options in found.options:
            direction[rows] = options.direction[: len(rows)]
            uid[rows] = options.uid[: len(rows)]
        return direction if direction.any() else None, uid if (uid >= 0).any() else None
