"""One of several files that are read as one: when it begins, and the rows of it that are at hand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from forensics.capture.batch import Batch, CaptureNotes
from forensics.capture.merging import NO_TIME, Part, place
from forensics.capture.reader import CaptureReader
from forensics.errors import CaptureError

if TYPE_CHECKING:
    import os

    import numpy.typing as npt

    from forensics.capture.windows import Windows

_LEAST: Final = 1 << 16
_LATEST: Final = int(np.iinfo(np.int64).max)


class Member:
    """A file that is opened twice: to see when it begins, and again when that time has come. A stream stays open."""

    def __init__(
        self, index: int, path: str | os.PathLike[str], batch_packets: int, windows: Windows
    ) -> None:
        """Open the ``index``-th file for a look; raises CaptureError when it is no capture."""
        self.index = index
        self.interfaces = np.array([-1], dtype=np.int32)
        """Number of each interface in the whole capture, see Together; the last item stands for none."""
        self.first_frame = 0
        self.notes = CaptureNotes()
        self._given = path
        self._batch_packets = batch_packets
        self._windows = windows
        self._batch: Batch | None = None
        self._key: npt.NDArray[np.int64] = np.empty(0, np.int64)
        self._row = 0
        self._latest = NO_TIME
        self._begun = False
        self._over = False
        self._read = 0
        self._reader: CaptureReader | None = self._open()
        self.path = self._reader.name
        self.size = self._reader.stored_size
        self.identity = self._reader.identity
        try:
            time = self._reader.first_time()
        except BaseException:
            self._reader.close()
            raise
        self.first = (_LATEST, index) if time is None else place(self._keyed(time), index)
        """Place of its first packet in the whole; a file without packets comes last."""
        if self.size is not None:
            self._reader.close()
            self._reader = None

    @property
    def kept(self) -> bool:
        """Whether it holds a descriptor."""
        return self._reader is not None

    @property
    def position(self) -> int:
        """Stored bytes read so far."""
        if self._over and self.size is not None:
            return self.size
        return self._reader.stored_position if self._begun and self._reader is not None else self._read

    @property
    def all_read(self) -> bool:
        """Whether a regular file is read to its end, if not yet drawn."""
        return self.size is not None and self.position >= self.size

    @property
    def head(self) -> tuple[int, int]:
        """Place of the next row."""
        return place(int(self._key[self._row]), self.index)

    @property
    def last(self) -> tuple[int, int]:
        """Place of the last row at hand."""
        return place(int(self._key[-1]), self.index)

    def start(self, batch_bytes: int) -> None:
        """Begin to read; a file that has vanished since the look counts as damaged."""
        if self._begun:
            return
        self._begun = True
        try:
            self._reader = self._reader or self._open()
        except CaptureError as error:
            self._over = True
            self.notes.damage = str(error).removeprefix(f"{self.path}: ")
            return
        self.notes = self._reader.notes
        if self.size is not None and "+" not in self.notes.file_type:
            batch_bytes = min(batch_bytes, max(self.size, _LEAST))  # no room for more than there is
        self._reader.start(batch_bytes)

    def refill(self) -> bool:
        """Have at least one row at hand; False when there are no more."""
        if self._batch is not None and self._row < len(self._batch):
            return True
        self.give_back()
        self._batch = None if self._reader is None or self._over else next(self._reader, None)
        if self._batch is None:
            self._over = True
            return False
        time = self._batch.time
        if self._untimed(self.notes.file_type):
            time = np.where(time == 0, NO_TIME, time)
        # Where the latest time so far stands, see several.
        self._key = np.maximum(np.maximum.accumulate(time), self._latest)
        self._latest = int(self._key[-1])
        self._row = 0
        return True

    def take(self, until: tuple[int, int] | None) -> Part | None:
        """The rows at hand with places up to ``until`` (all rows without), if there are any."""
        assert self._batch is not None  # noqa: S101 - a slip of ours, not of the input
        begin, end = self._row, len(self._batch)
        if until is not None:
            key = until[0]
            side = "right" if place(key, self.index) <= until else "left"
            end = int(np.searchsorted(self._key, key, side))  # type: ignore[call-overload] # one of the two
        if end <= begin:
            return None
        self._row = end
        return Part(self.index, self._batch, begin, end, self._key)

    def give_back(self) -> None:
        """Release the batch at hand when all of its rows were taken."""
        if self._batch is not None and self._row == len(self._batch):
            self._windows.give_back(self._batch.data)
            self._batch = None

    def close(self) -> None:
        """Close the file; after its last row this waits for its hash."""
        if self._reader is not None:
            self._reader.close()
            self._read = self._reader.stored_position
            self._reader = None
        self._over = True

    def _open(self) -> CaptureReader:
        return CaptureReader(
            self._given, batch_bytes=1, batch_packets=self._batch_packets, windows=self._windows
        )

    def _keyed(self, time: int) -> int:
        assert self._reader is not None  # noqa: S101 - as above
        return NO_TIME if time == 0 and self._untimed(self._reader.notes.file_type) else time

    @staticmethod
    def _untimed(file_type: str) -> bool:
        """Whether a time of 0 means none: only pcapng has packets without."""
        return file_type.startswith("pcapng")
