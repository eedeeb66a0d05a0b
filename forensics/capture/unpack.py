"""Compression taken off while a capture is read: streamed, in bounded memory, and bombs told from captures."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any, Final

from forensics.errors import CaptureError

if TYPE_CHECKING:
    from forensics.capture.source import ByteSource, StoredBytes

GZIP_MAGIC: Final = b"\x1f\x8b"
_CHUNK: Final = 1 << 16

BOMB_BYTES: Final = 4 << 30
BOMB_RATIO: Final = 700
"""A file that unpacks to BOMB_BYTES and is still more than BOMB_RATIO times as large as what is stored is a bomb.

The most compressible captures that could be made, packets of nothing but zeros with only the time, the IP
identification and the sequence number counting, reach 110:1 (gzip), 230:1 (zstd) and 72:1 (lz4) at 1,514 bytes a
packet; in offloaded 64 kB segments 624:1, 4,500:1 and 238:1. A bomb of zeros has 1,030:1 in gzip, 32,768:1 in zstd;
lz4 cannot exceed 255:1. So a capture meets the rule only as several gigabytes of zeros, sent to oneself, in zstd; the
error says what to do then.
"""
_STEP: Final = 16 << 20


class BoundedBytes:
    """The contents of a decompressor, which raises CaptureError when they are those of a bomb."""

    def __init__(self, source: ByteSource, stored: StoredBytes) -> None:
        self._source = source
        self._stored = stored
        self._out = 0

    @property
    def damage(self) -> str:
        """See ByteSource."""
        return self._source.damage

    @damage.setter
    def damage(self, said: str) -> None:
        self._source.damage = said

    def read_into(self, target: memoryview) -> int:
        """See ByteSource."""
        filled = 0
        while filled < len(target):
            # Always looked at after the same numbers of bytes, however many are asked for at once.
            room = min(len(target) - filled, _STEP - self._out % _STEP)
            count = self._source.read_into(target[filled : filled + room])
            filled += count
            self._out += count
            if self._out % _STEP == 0 and self._out >= BOMB_BYTES:
                self._judge()
            if count < room:
                break
        return filled

    def _judge(self) -> None:
        ratio = self._out // max(self._stored.position, 1)
        if ratio > BOMB_RATIO:
            raise CaptureError(
                f"{self._stored.name}: unpacks to more than {self._out >> 20} MiB, {ratio} times what is stored, as a "
                "decompression bomb does: if it is a capture, unpack it and name what comes out"
            )


class GzipBytes:
    """The contents of one or more gzip members (RFC 1952); zero padding after a member is ignored."""

    def __init__(self, source: ByteSource, stored: StoredBytes) -> None:
        """Start at the first byte of ``source``, which must be the gzip magic; ``stored`` tells positions."""
        self.damage = ""
        self._source = source
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
            if len(self._pending) >= len(GZIP_MAGIC):
                break
            if not self._more():
                if self._pending:
                    self._end(f"garbage after the gzip data, before stored byte {self._stored.position}")
                self._over = True
                return
        if self._pending.startswith(GZIP_MAGIC):
            self._member = zlib.decompressobj(wbits=31)
        else:
            self._end(f"garbage after the gzip data, before stored byte {self._stored.position}")

    def _more(self) -> bool:
        chunk = bytearray(_CHUNK)
        count = self._source.read_into(memoryview(chunk))
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
