"""From a path to batches: finds out the format, moves the window, keeps the notes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Self

import numpy as np

from forensics.capture.ahead import ReadAhead
from forensics.capture.batch import Batch, CaptureNotes, FileNotes
from forensics.capture.formats import compression, open_format
from forensics.capture.source import Peeking, StoredBytes, base_name
from forensics.capture.unpack import BoundedBytes
from forensics.capture.windows import Windows
from forensics.errors import CaptureError

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator
    from types import TracebackType

    import numpy.typing as npt

    from forensics.capture.scan import Columns, RecordFormat

_ROOM: Final = 1 << 18
"""Room before every window for the record that the window before it cuts."""
_FIRST_LOOK: Final = 1 << 16
_LAST_LOOK: Final = 64 << 20


class CaptureReader:
    """Iterates over the batches of one capture; a context manager.

    ``notes`` grows with every batch; only its hash comes when the reader is closed after the last one. A batch stays
    valid until it is given back with ``release``.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        batch_bytes: int,
        batch_packets: int,
        windows: Windows | None = None,
    ) -> None:
        """See open_capture. Several readers may share ``windows``."""
        if batch_bytes < 1 or batch_packets < 1:
            raise ValueError("a batch has at least one byte and one packet")
        self.notes = CaptureNotes()
        self._batch_bytes = batch_bytes
        self._batch_packets = batch_packets
        self._finished = False
        self._ended = False
        # The window on the capture: bytes position..end of data are still to be read, data[0] is byte base.
        self._data: npt.NDArray[np.uint8] = np.empty(0, np.uint8)
        self._position = 0
        self._end = 0
        self._need = 1
        self._eof = False
        self._windows = windows or Windows()
        self._room = 0
        self._stored = StoredBytes(path)
        self._ahead: ReadAhead[tuple[npt.NDArray[np.uint8], int]] | None = None
        self._fills: Iterator[tuple[npt.NDArray[np.uint8], int]] = iter(())
        try:
            self._source, self._format, self._base = self._open()
        except BaseException:
            self._stored.close()
            raise

    def first_time(self) -> int | None:
        """Time of the first packet (0 where it has none), or None when there is no packet; takes nothing away.

        To be asked before ``start``. After 64 MiB without a packet the answer is 0.
        """
        size = _FIRST_LOOK
        while True:
            data = np.frombuffer(self._source.peek(size), np.uint8)
            opened, header = open_format(self._source, CaptureNotes())
            scan = opened.scan(data, header, len(data), 0, 1)
            if len(scan.columns.time):
                return int(scan.columns.time[0])
            if scan.damage or len(data) < size:
                return None
            if size >= _LAST_LOOK:
                return 0
            size *= 4

    def start(self, batch_bytes: int | None = None) -> Self:
        """Begin to hash the file and to read ahead, which the first batch would do else."""
        if self._ahead is None and not self._finished:
            self._batch_bytes = batch_bytes or self._batch_bytes
            self._room = min(self._batch_bytes, _ROOM)
            header = memoryview(bytearray(self._base))
            self.notes.bytes_read = self._source.read_into(header)
            self._stored.start_hash()
            # Reading (and unpacking) the next window goes on beside whatever is done with this one.
            self._ahead = ReadAhead(self._read_windows())
            self._fills = iter(self._ahead)
        return self

    @property
    def name(self) -> str:
        """The path as given, fit for printing; ``-`` is standard input."""
        return self._stored.name

    @property
    def identity(self) -> tuple[int, int] | None:
        """Device and inode of a regular file; None of a stream."""
        return self._stored.identity

    @property
    def ended(self) -> bool:
        """Whether the last batch was drawn."""
        return self._ended

    @property
    def stored_size(self) -> int | None:
        """Bytes of the file as stored, compressed or not; None when it is no regular file."""
        return self._stored.size

    @property
    def stored_position(self) -> int:
        """Bytes of the stored file that have been read so far."""
        return self._stored.position

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __iter__(self) -> Iterator[Batch]:
        return self

    def __next__(self) -> Batch:
        """The next run of packets; none of the batches is empty."""
        self.start()
        while not self._finished:
            if self._need and not self._refill():
                self._finish(self._source.damage or self._cut())
                break
            scan = self._format.scan(self._data, self._position, self._end, self._base, self._batch_packets)
            data, self._position, self._need = self._data, scan.position, scan.need
            self.notes.bytes_read = self._base + scan.position
            batch = self._note(data, scan.columns)
            if scan.damage:
                self._finish(scan.damage)
            if batch is not None:
                return batch
        raise StopIteration

    def release(self, batch: Batch) -> None:
        """The caller is done with ``batch`` and all views of its data: its memory may be used again.

        Optional. It spares the kernel from clearing fresh pages for every window; may be called from another thread.
        """
        self._windows.give_back(batch.data)

    def close(self) -> None:
        """Release the file; drawing batches ends.

        After the last batch this waits for the hash, which may lag behind, and completes ``notes``.
        """
        idle = self._ahead.close() if self._ahead is not None else True
        if self._ended and not self.notes.sha256:
            self._note_hash(self._stored.finish(drain=idle))
        self._finished = True
        self._stored.close()

    def _open(self) -> tuple[Peeking, RecordFormat, int]:
        """The unpacked bytes with the file header, their format, and how many bytes the header has."""
        stored = Peeking(self._stored)
        packed = compression(stored)
        unpacked = stored
        if packed is not None:
            unpacked = Peeking(BoundedBytes(packed.unpack(stored, self._stored), self._stored))
        try:
            opened, header = open_format(unpacked, self.notes)
        except CaptureError as error:
            raise CaptureError(f"{self._stored.name}: {error}") from None
        if packed is not None:
            self.notes.file_type += f"+{packed.name}"
        return unpacked, opened, header

    def _note_hash(self, sha256: str) -> None:
        notes = self.notes
        notes.sha256 = sha256
        if self._stored.unread:
            notes.warnings.append(
                f"the stream goes on after its damage: the SHA-256 covers only its first {self._stored.position} bytes"
            )
        notes.files = [
            FileNotes(
                name=base_name(self._stored.name),
                sha256=sha256,
                packets=notes.packets,
                file_type=notes.file_type,
                damage=notes.damage,
                first_frame=1 if notes.packets else 0,
            )
        ]

    def _refill(self) -> bool:
        """Move what is left to a fresh window and read on; False when nothing can complete the record."""
        left = self._end - self._position
        if self._eof:
            return False
        fresh, filled = next(self._fills)
        self._eof = filled < self._batch_bytes
        begin = self._room - left
        rest = self._data[self._position : self._end]
        if begin >= 0:
            fresh[begin : self._room] = rest
        else:  # a record larger than the room before a window: both parts go into memory of its own
            whole = np.concatenate([rest, fresh[self._room : self._room + filled]])
            self._windows.retire(fresh)
            fresh, begin = whole, 0
        self._base += self._position - begin
        if len(self._data):
            self._windows.retire(self._data)
        self._data, self._position, self._end = fresh, begin, begin + left + filled
        return filled > 0

    def _read_windows(self) -> Iterator[tuple[npt.NDArray[np.uint8], int]]:
        """Windows with room at their beginning for a record cut by the one before, and how much was read into each."""
        over = self._eof
        while not over:
            window = self._windows.take(self._room + self._batch_bytes)
            filled = self._source.read_into(window.data[self._room :])
            over = filled < self._batch_bytes
            yield window, filled

    def _cut(self) -> str:
        left = self._end - self._position
        if left == 0:
            return ""
        where = self._base + self._position
        return f"the file ends inside the record that starts at byte {where} ({left} of {self._need} bytes)"

    def _note(self, data: npt.NDArray[np.uint8], columns: Columns) -> Batch | None:
        count = len(columns.offset)
        if count == 0:
            return None
        batch = Batch(
            data=data,
            first_frame=self.notes.packets + 1,
            offset=columns.offset,
            caplen=columns.caplen,
            wirelen=columns.wirelen,
            time=columns.time,
            linktype=columns.linktype,
            interface=columns.interface,
            direction=columns.direction,
            uid=columns.uid,
        )
        self._windows.lend(data)
        self.notes.packets += count
        self.notes.truncated_packets += int(np.count_nonzero(columns.caplen < columns.wirelen))
        return batch

    def _finish(self, damage: str) -> None:
        self._finished = True
        self._ended = True
        self.notes.damage = damage
        # A reader may wait long to be closed; its window is free as soon as its batches have come back.
        if len(self._data):
            self._windows.retire(self._data)
            self._data = np.empty(0, np.uint8)
