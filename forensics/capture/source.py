"""Bytes in: a file, a pipe or standard input as it is stored, hashed on the side."""

from __future__ import annotations

import hashlib
import os
import select
import sys
import time
from pathlib import Path
from stat import S_ISREG
from typing import Any, BinaryIO, Final, Protocol

from forensics.capture.digest import FileDigest
from forensics.errors import CaptureError

DRAIN_BYTES: Final = 1 << 30
"""What is read of a pipe behind damage, at most, so that the hash covers all of it."""
DRAIN_S: Final = 10.0
"""And for how long, so that a pipe that never ends does not keep anybody from the report."""
_PIECE: Final = 1 << 20


class ByteSource(Protocol):
    """A stream of capture bytes; the end, be it early or not, is a read that fills nothing."""

    damage: str

    def read_into(self, target: memoryview) -> int:
        """Fill ``target`` as far as the stream goes and return how many bytes that was."""
        ...


def printable(text: str) -> str:
    """``text`` on one line: whatever could steer a terminal is shown as an escape."""
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text
    )


def base_name(path: str) -> str:
    """The name of a file without its directories, as text; ``-`` for standard input."""
    return os.path.basename(path) or path  # noqa: PTH119 - nothing is opened by it


class StoredBytes:
    """The file as stored, and the hash of all of it: a regular file is hashed aside, a stream as it is read."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Open ``path`` (``-`` is standard input); raise CaptureError when that cannot be done."""
        self.damage = ""
        self.position = 0
        self.size: int | None = None
        self.identity: tuple[int, int] | None = None
        """Device and inode of a regular file."""
        self.unread = False
        """Whether the hash lacks the end of a stream; known after ``finish``."""
        self.name = printable(os.fspath(path))
        self._stream_hash = hashlib.sha256()
        self._digest: FileDigest | None = None
        self._end: int | None = None
        """Where reading met the end: what a program adds to the file later is not analysed, and not hashed."""
        self._own = self.name != "-"
        if not self._own:
            if sys.stdin is None:  # a process may be started without one
                raise CaptureError("-: there is no standard input: name a capture file")
            # Not the buffer: its lock, held by a thread that waits for a silent pipe, keeps Python from ending.
            self._file: BinaryIO = getattr(sys.stdin.buffer, "raw", sys.stdin.buffer)
            return
        try:
            self._file = Path(path).open("rb", buffering=0)  # noqa: SIM115 - closed by close()
            status = os.fstat(self._file.fileno())
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or "the name cannot be a path"
            raise CaptureError(
                f"{self.name}: cannot be opened ({reason}): name a capture file, or -"
            ) from None
        if S_ISREG(status.st_mode):
            self.size = status.st_size
            self.identity = (status.st_dev, status.st_ino)

    def start_hash(self) -> None:
        """Begin to hash a regular file aside; without this ``finish`` does it all, after the reading."""
        if self.size is not None and self._digest is None:
            self._digest = FileDigest(self._file.fileno(), self.size)

    def read_into(self, target: memoryview) -> int:
        """See ByteSource; a read error counts as the end and is noted in ``damage``."""
        filled = 0
        while filled < len(target):
            count = self._fill(target[filled:])
            if count == 0:
                if not self.damage:
                    self._end = self.position + filled
                break
            filled += count
        self.position += filled
        if self.size is None:
            self._stream_hash.update(target[:filled])
        elif self._digest is not None:
            self._digest.follow(self.position)
        return filled

    def finish(self, *, drain: bool = True) -> str:
        """The SHA-256 of the whole file.

        Of a stream the rest is read for it, within DRAIN_BYTES and DRAIN_S and unless ``drain`` is false;
        ``unread`` then tells whether that was all of it.
        """
        if self.size is not None:
            self.start_hash()
        if self._digest is not None:
            return self._digest.result(self._end)
        self.unread = not (drain and self._drain())
        return self._stream_hash.hexdigest()

    def close(self) -> None:
        """Close the file (never standard input) and end the hashing."""
        if self._digest is not None:
            self._digest.close()
        if self._own:
            self._file.close()

    def _drain(self) -> bool:
        """Read on to the end of a stream; False when that is too far away."""
        buffer = memoryview(bytearray(_PIECE))
        until = time.monotonic() + DRAIN_S
        left = DRAIN_BYTES
        while left > 0 and self._readable(until - time.monotonic()):
            # Once, not until the buffer is full: a slow pipe would make that wait for ever.
            count = self._fill(buffer)
            if count == 0:
                return True
            self.position += count
            self._stream_hash.update(buffer[:count])
            left -= count
        return False

    def _readable(self, patience: float) -> bool:
        """Whether a read of the stream would not wait, or no longer than ``patience`` seconds."""
        if patience <= 0:
            return False
        try:
            descriptor = self._file.fileno()
        except (OSError, ValueError):  # bytes in memory
            return True
        try:
            poll = select.poll()
            poll.register(descriptor, select.POLLIN)
            return bool(poll.poll(patience * 1000))
        except OSError:
            return True

    def _fill(self, target: memoryview) -> int:
        reader: Any = self._file  # readinto is there on every binary stream we open, but not in BinaryIO
        try:
            return reader.readinto(target) or 0
        except OSError as error:
            self.damage = f"reading failed at stored byte {self.position}: {printable(str(error.strerror))}"
            return 0


class Peeking:
    """A source whose next bytes can be looked at before they are read."""

    def __init__(self, source: ByteSource) -> None:
        self._source = source
        self._ahead = b""

    @property
    def damage(self) -> str:
        """See ByteSource."""
        return self._source.damage

    @damage.setter
    def damage(self, said: str) -> None:
        self._source.damage = said

    def peek(self, count: int) -> bytes:
        """The next ``count`` bytes (fewer at the end), which stay to be read."""
        if len(self._ahead) < count:
            more = bytearray(count - len(self._ahead))
            filled = self._source.read_into(memoryview(more))
            self._ahead += bytes(more[:filled])
        return self._ahead[:count]

    def read_into(self, target: memoryview) -> int:
        """See ByteSource."""
        filled = min(len(self._ahead), len(target))
        if filled:
            target[:filled] = self._ahead[:filled]
            self._ahead = self._ahead[filled:]
        return filled + (self._source.read_into(target[filled:]) if filled < len(target) else 0)
