"""Bytes in: a file or standard input, gzip taken off, hashed on the side."""

from __future__ import annotations

import hashlib
import os
import sys
import zlib
from pathlib import Path
from stat import S_ISREG
from typing import Any, BinaryIO, Final, Protocol

from forensics.capture.digest import FileDigest
from forensics.errors import CaptureError

_GZIP_MAGIC: Final = b"\x1f\x8b"
_CHUNK: Final = 1 << 16


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


class StoredBytes:
    """The file as stored, and the hash of all of it: a regular file is hashed aside, a stream as it is read."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Open ``path`` (``-`` is standard input); raise CaptureError when that cannot be done."""
        self.damage = ""
        self.position = 0
        self.size: int | None = None
        self.name = printable(os.fspath(path))
        self._ahead = b""
        self._stream_hash = hashlib.sha256()
        self._digest: FileDigest | None = None
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
            self._digest = FileDigest(self._file.fileno())

    def peek(self, count: int) -> bytes:
        """The next ``count`` bytes (fewer at the end), which stay to be read."""
        while len(self._ahead) < count:
            piece = self._read(bytearray(count - len(self._ahead)))
            if not piece:
                break
            self._ahead += piece
        return self._ahead[:count]

    def read_into(self, target: memoryview) -> int:
        """See ByteSource; a read error counts as the end and is noted in ``damage``."""
        filled = min(len(self._ahead), len(target))
        target[:filled] = self._ahead[:filled]
        self._ahead = self._ahead[filled:]
        while filled < len(target):
            count = self._fill(target[filled:])
            if count == 0:
                break
            filled += count
        self.position += filled
        if self._digest is None:
            self._stream_hash.update(target[:filled])
        else:
            self._digest.wait_near(self.position)
        return filled

    def finish(self, *, drain: bool = True) -> str:
        """The SHA-256 of the whole file; of a stream the rest is read for it, unless ``drain`` is false."""
        if self._digest is not None:
            return self._digest.result()
        while drain and self.read_into(memoryview(bytearray(1 << 20))):
            pass
        return self._stream_hash.hexdigest()

    def close(self) -> None:
        """Close the file (never standard input) and end the hashing."""
        if self._digest is not None:
            self._digest.close()
        if self._own:
            self._file.close()

    def _read(self, buffer: bytearray) -> bytes:
        return bytes(buffer[: self._fill(memoryview(buffer))])

    def _fill(self, target: memoryview) -> int:
        reader: Any = self._file  # readinto is there on every binary stream we open, but not in BinaryIO
        try:
            return reader.readinto(target) or 0
        except OSError as error:
            self.damage = f"reading failed at stored byte {self.position}: {printable(str(error.strerror))}"
            return 0


class GzipBytes:
    """The contents of one or more gzip members (RFC 1952); zero padding after a member is ignored."""

    def __init__(self, stored: StoredBytes) -> None:
        """Start at the first byte of ``stored``, which must be the gzip magic."""
        self.damage = ""
        self._stored = stored
        self._pending = b""
        self._member: Any = zlib.decompressobj(wbits=31)  # zlib keeps the class of these private
        self._over = False

    def read_into(self, target: memoryview) -> int:
        """See ByteSource."""
        filled = 0
        while filled < len(target) and not self._over:
            room = len(target) - filled
            before = self._member.copy()
            try:
                piece = self._member.decompress(self._pending, room)
            except zlib.error as error:
                piece = _salvage(before, self._pending, room)
                self._end(f"gzip data is corrupt before stored byte {self._stored.position} ({error})")
            target[filled : filled + len(piece)] = piece
            filled += len(piece)
            if self._over:
                break
            if self._member.eof:
                self._pending = self._member.unused_data
                self._next_member()
                continue
            self._pending = self._member.unconsumed_tail
            if not self._pending and not piece and not self._more():
                self._end(f"gzip data ends early, at stored byte {self._stored.position}")
        return filled

    def _next_member(self) -> None:
        while True:
            self._pending = self._pending.lstrip(b"\0")
            if len(self._pending) >= len(_GZIP_MAGIC):
                break
            if not self._more():
                if self._pending:
                    self._end(f"garbage after the gzip data, before stored byte {self._stored.position}")
                self._over = True
                return
        if self._pending.startswith(_GZIP_MAGIC):
            self._member = zlib.decompressobj(wbits=31)
        else:
            self._end(f"garbage after the gzip data, before stored byte {self._stored.position}")

    def _more(self) -> bool:
        chunk = bytearray(_CHUNK)
        count = self._stored.read_into(memoryview(chunk))
        self._pending += bytes(chunk[:count])
        return count > 0

    def _end(self, damage: str) -> None:
        self.damage = self._stored.damage or damage
        self._over = True


def _salvage(member: Any, pending: bytes, room: int) -> bytes:  # noqa: ANN401 - zlib hides the class
    """What a broken member gives before the break, of which zlib keeps nothing when asked for more.

    Asking for less and less finds the last good byte, so that the packets before the damage do not
    depend on how much was asked for at once.
    """
    saved = bytearray()
    for step in (4096, 64, 1):
        while len(saved) < room:
            before = member.copy()
            try:
                piece = member.decompress(pending, min(step, room - len(saved)))
            except zlib.error:
                member = before
                break
            if not piece:
                break
            pending = member.unconsumed_tail
            saved += piece
    return bytes(saved)


def is_gzip(head: bytes) -> bool:
    """Whether the stored bytes begin like a gzip member."""
    return head.startswith(_GZIP_MAGIC)
