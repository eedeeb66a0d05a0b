"""From a path to batches: finds out the format, moves the window, keeps the notes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Self

import numpy as np

from forensics.capture.ahead import ReadAhead
from forensics.capture.batch import Batch, CaptureNotes
from forensics.capture.pcap import HEADER_LENGTH, PcapFormat, is_pcap
from forensics.capture.pcapng import PcapngFormat, is_pcapng
from forensics.capture.source import ByteSource, Peeking, StoredBytes
from forensics.capture.unpack import GZIP_MAGIC, BoundedBytes, GzipBytes
from forensics.capture.windows import Windows
from forensics.errors import CaptureError

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator
    from types import TracebackType

    import numpy.typing as npt

    from forensics.capture.scan import Columns, RecordFormat

_FIRST_READ: Final = 1 << 16
_ROOM: Final = 1 << 18
"""Room before every window for the record that the window before it cuts."""
_FOREIGN: Final = {
    b"\x28\xb5\x2f\xfd": "zstd-compressed: decompress it first",
    b"\x04\x22\x4d\x18": "lz4-compressed: decompress it first",
    b"\xfd7zX": "xz-compressed: decompress it first",
    b"BZh": "bzip2-compressed: decompress it first",
    b"PK\x03\x04": "a zip archive: unpack it first",
    b"snoop\0": "a snoop capture: convert it with editcap",
    b"\x34\xcd\xb2\xa1": "a pcap variant with extra record fields: convert it with editcap",
    b"\xa1\xb2\xcd\x34": "a pcap variant with extra record fields: convert it with editcap",
}


class CaptureReader:
    """Iterates over the batches of one capture; a context manager.

    ``notes`` grows with every batch; only its hash comes when the reader is closed after the last one. A batch stays
    valid until it is given back with ``release``.
    """

    def __init__(self, path: str | os.PathLike[str], *, batch_bytes: int, batch_packets: int) -> None:
        """See open_capture."""
        if batch_bytes < 1 or batch_packets < 1:
            raise ValueError("a batch has at least one byte and one packet")
        self.notes = CaptureNotes()
        self._batch_bytes = batch_bytes
        self._batch_packets = batch_packets
        self._finished = False
        self._ended = False
        # The window on the capture: bytes position..end of data are still to be read, data[0] is byte base.
        self._base = 0
        self._position = 0
        self._end = 0
        self._need = 0
        self._eof = False
        self._windows = Windows()
        self._room = min(batch_bytes, _ROOM)
        self._stored = StoredBytes(path)
        try:
            self._format = self._open()
        except BaseException:
            self._stored.close()
            raise
        # Reading (and unpacking) the next window goes on beside whatever is done with this one.
        self._ahead = ReadAhead(self._read_windows())
        self._fills = iter(self._ahead)

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
        idle = self._ahead.close()
        if self._ended and not self.notes.sha256:
            self.notes.sha256 = self._stored.finish(drain=idle)
        self._finished = True
        self._stored.close()

    def _open(self) -> RecordFormat:
        self._stored.start_hash()
        begun = Peeking(self._stored)
        compressed = begun.peek(2) == GZIP_MAGIC
        self._source: ByteSource = (
            BoundedBytes(GzipBytes(begun, self._stored), self._stored) if compressed else begun
        )
        self._data: npt.NDArray[np.uint8] = np.empty(
            max(HEADER_LENGTH, min(self._batch_bytes, _FIRST_READ)), np.uint8
        )
        self._end = self._source.read_into(self._data.data)
        self._eof = self._end < len(self._data)
        head = self._data[: min(HEADER_LENGTH, self._end)].tobytes()
        if is_pcap(head) and len(head) == HEADER_LENGTH:
            try:
                opened: RecordFormat = PcapFormat(head, self.notes)
            except CaptureError as error:
                raise CaptureError(f"{self._stored.name}: {error}") from None
            self._position = HEADER_LENGTH
        elif is_pcapng(head):
            opened = PcapngFormat(self.notes)
        else:
            raise CaptureError(f"{self._stored.name}: {self._refusal(head)}")
        if compressed:
            self.notes.file_type += "+gzip"
        return opened

    def _refusal(self, head: bytes) -> str:
        if self._source.damage:
            return f"{self._source.damage}, before any packet: get a whole copy of the capture"
        if not head:
            return "the file is empty: name a pcap or pcapng capture"
        for magic, reason in _FOREIGN.items():
            if head.startswith(magic):
                return f"is {reason}"
        if is_pcap(head) or head.startswith(b"\x0a\x0d\x0d\x0a"):
            return "the capture's file header is cut short or broken: get a whole copy of the capture"
        return "is no pcap or pcapng capture (its first bytes are unknown): name a capture file"

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
