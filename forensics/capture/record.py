"""Writing whole batches as pcapng while they come: one file, or a set of files that holds the last of them."""

from __future__ import annotations

import struct
from typing import IO, TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from forensics.capture.batch import Batch, CaptureNotes, InterfaceNotes

# https://www.ietf.org/archive/id/draft-ietf-opsawg-pcapng-02.html
_SECTION, _INTERFACE, _STATISTICS, _ENHANCED = 0x0A0D0D0A, 1, 5, 6
_BYTE_ORDER: Final = 0x1A2B3C4D
_APPLICATION, _NAME, _RESOLUTION, _FILTER = 4, 2, 9, 11
_RECEIVED, _DROPPED = 4, 5
_FLAGS: Final = 2
_HEADER: Final = 28
"""Bytes of an enhanced packet block before the packet."""
_TRAILER: Final = 16
"""Bytes behind the packet and its padding: the option with the direction, the end of options, the length again."""

SLOTS: Final = 8
"""Files of a set."""


class Recorder:
    """Writes packets to one stream in the order in which they are given; times keep their nanoseconds.

    ``notes`` describes the interfaces that the packets of batches name. ``close`` writes what the kernel counted, so
    that a reader of the file knows of packets that were lost; it does not close the stream.
    """

    def __init__(self, stream: IO[bytes], notes: CaptureNotes, application: str) -> None:
        self._stream = stream
        self._notes = notes
        self._application = application
        self._written: dict[tuple[int, int], int] = {}
        self.size = 0
        """Bytes written."""
        self._begin()

    def _begin(self) -> None:
        body = struct.pack("<IHHq", _BYTE_ORDER, 1, 0, -1) + _options(
            [(_APPLICATION, self._application.encode())]
        )
        self._put(_block(_SECTION, body))

    def write(self, batch: Batch, rows: npt.NDArray[np.int64] | None = None) -> None:
        """Append the packets of a batch, or those of these rows, ascending."""
        rows = np.arange(len(batch)) if rows is None else rows
        if not len(rows):
            return
        code = batch.interface[rows].astype(np.int64) << 32 | batch.linktype[rows]
        kinds, place = np.unique(code, return_inverse=True)
        numbers = np.array([self._number(kind >> 32, kind & 0xFFFFFFFF) for kind in kinds.tolist()])
        self._put(_packets(batch, rows, numbers[place.reshape(-1)]))

    def flush(self) -> None:
        """Have the system see what was written."""
        self._stream.flush()

    def close(self) -> None:
        """Write the counts of the interfaces that are known."""
        for (interface, _), number in self._written.items():
            described = self._described(interface)
            if described is None or described.received is None:
                continue
            options = [(_RECEIVED, struct.pack("<Q", described.received))]
            options.append((_DROPPED, struct.pack("<Q", described.dropped or 0)))
            self._put(_block(_STATISTICS, struct.pack("<III", number, 0, 0) + _options(options)))
        self._stream.flush()

    def _described(self, interface: int) -> InterfaceNotes | None:
        known = self._notes.interface_list
        return known[interface] if 0 <= interface < len(known) else None

    def _number(self, interface: int, linktype: int) -> int:
        """Of the interface in the file, described before its first packet."""
        key = interface, linktype
        if key not in self._written:
            self._written[key] = len(self._written)
            described = self._described(interface)
            options = [(_RESOLUTION, bytes([9]))]
            if described is not None:
                options.insert(0, (_NAME, described.name.encode()))
                if described.filter:
                    options.append((_FILTER, b"\0" + described.filter.encode()))
            body = struct.pack("<HHI", linktype, 0, described.snaplen if described else 0)
            self._put(_block(_INTERFACE, body + _options(options)))
        return self._written[key]

    def _put(self, data: bytes) -> None:
        self._stream.write(data)
        self.size += len(data)


class RingRecorder:
    """Writes to the files of a set in turn, each a capture of its own; the oldest is written over.

    Together they hold about ``most`` bytes, never more but for packets that are larger than a file. The streams
    are open, can be cut (``truncate``) and stay so.
    """

    def __init__(
        self, streams: Sequence[IO[bytes]], most: int, notes: CaptureNotes, application: str
    ) -> None:
        self._streams = streams
        self._each = most // len(streams)
        self._about = notes, application
        self._at = 0
        self._used = False
        for stream in streams[1:]:
            Recorder(
                stream, *self._about
            ).flush()  # a capture without packets: the set can be read at any time
        self._open = Recorder(streams[0], *self._about)

    def write(self, batch: Batch, rows: npt.NDArray[np.int64] | None = None) -> None:
        """As Recorder.write."""
        rows = np.arange(len(batch)) if rows is None else rows
        sizes = batch.caplen[rows] + (_HEADER + _TRAILER + 4)
        while len(rows):
            fits = int(np.searchsorted(np.cumsum(sizes), self._each - self._open.size, side="right"))
            if not fits and self._used:
                self._turn()
                continue
            fits = max(fits, 1)
            self._open.write(batch, rows[:fits])
            self._used = True
            rows, sizes = rows[fits:], sizes[fits:]

    def flush(self) -> None:
        """See Recorder."""
        self._open.flush()

    def close(self) -> None:
        """See Recorder."""
        self._open.close()

    def _turn(self) -> None:
        self._open.close()
        self._at = (self._at + 1) % len(self._streams)
        stream = self._streams[self._at]
        stream.seek(0)
        stream.truncate()
        self._used = False
        self._open = Recorder(stream, *self._about)


def _packets(batch: Batch, rows: npt.NDArray[np.int64], interface: npt.NDArray[np.int64]) -> bytes:
    """Enhanced packet blocks: headers and trailers are made by array code, the bytes between are slices."""
    caplen = batch.caplen[rows]
    padding = -caplen % 4
    length = _HEADER + caplen + padding + _TRAILER
    header = np.empty((len(rows), _HEADER // 4), dtype="<u4")
    trailer = np.empty((len(rows), _TRAILER // 4), dtype="<u4")
    time = np.maximum(batch.time[rows], 0)
    direction = 0 if batch.direction is None else batch.direction[rows]
    for place, value in enumerate(
        (_ENHANCED, length, interface, time >> 32, time & 0xFFFFFFFF, caplen, batch.wirelen[rows])
    ):
        header[:, place] = value
    for place, value in enumerate((4 << 16 | _FLAGS, direction, 0, length)):
        trailer[:, place] = value
    before, behind = header.tobytes(), trailer.tobytes()
    data = batch.data.data
    starts = batch.offset[rows]
    columns = zip(starts.tolist(), (starts + caplen).tolist(), padding.tolist(), strict=True)
    pieces: list[bytes | memoryview] = []
    for place, (start, end, pad) in enumerate(columns):
        pieces.append(before[place * _HEADER : place * _HEADER + _HEADER])
        pieces.append(data[start:end])
        if pad:
            pieces.append(bytes(pad))
        pieces.append(behind[place * _TRAILER : place * _TRAILER + _TRAILER])
    return b"".join(pieces)


def _block(kind: int, body: bytes) -> bytes:
    length = struct.pack("<I", 12 + len(body))
    return struct.pack("<I", kind) + length + body + length


def _options(given: Sequence[tuple[int, bytes]]) -> bytes:
    packed = b"".join(
        struct.pack("<HH", code, len(value)) + value + bytes(-len(value) % 4) for code, value in given
    )
    return packed + bytes(4)
