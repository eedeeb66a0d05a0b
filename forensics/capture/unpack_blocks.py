"""zstd and lz4: frames of small blocks, unpacked one block at a time.

The libraries unpack whatever they are given in one go, and forget what they had unpacked when they meet an error.
Given one block, what comes out of them is bounded by the format (128 KiB in zstd, 4 MiB in lz4), and an error costs no
byte of the blocks before it.
"""

# ruff: noqa: PLC0415 - the libraries are imported when such a file is met: most captures are not
from __future__ import annotations

import struct
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from forensics.capture.source import ByteSource, StoredBytes

ZSTD_MAGIC: Final = b"\x28\xb5\x2f\xfd"
LZ4_MAGIC: Final = b"\x04\x22\x4d\x18"
LZ4_LEGACY_MAGIC: Final = b"\x02\x21\x4c\x18"
ZSTD_WINDOW: Final = 128 << 20
"""The largest window that is unpacked; what ``zstd -d`` allows unless told otherwise."""
_LARGEST_WINDOW: Final = 2 << 30
"""Of what the zstd command writes, with ``--long=31``."""
_LZ4_REACH: Final = 1 << 16
"""How far back an lz4 block may copy from, into the blocks before it."""
_CHUNK: Final = 1 << 18
_SKIPPABLE: Final = 0x184D2A50
"""Magic of frames to be skipped, whatever their last four bits (RFC 8878 section 3.1.2; lz4 has the same)."""


class _BrokenError(Exception):
    """What is wrong with the compressed data; the position is added by whoever catches this."""


class _Unpacker(ABC):
    """What the two formats share: taking bytes, handing out what was unpacked, and skippable frames."""

    name = ""
    magic = b""

    def __init__(self, source: ByteSource, stored: StoredBytes) -> None:
        """Start at the first byte of ``source``, which must be the magic; ``stored`` tells positions."""
        self.damage = ""
        self._source = source
        self._stored = stored
        self._chunk = b""
        self._at = 0
        self._piece = memoryview(b"")
        self._pieces = self._frames()

    def read_into(self, target: memoryview) -> int:
        """See ByteSource."""
        filled = 0
        while filled < len(target):
            if not self._piece:
                piece = self._next_piece()
                if piece is None:
                    break
                self._piece = memoryview(piece)
                continue
            count = min(len(self._piece), len(target) - filled)
            target[filled : filled + count] = self._piece[:count]
            self._piece = self._piece[count:]
            filled += count
        return filled

    def _next_piece(self) -> bytes | None:
        try:
            return next(self._pieces, None)
        except _BrokenError as error:
            self.damage = self._stored.damage or f"{self.name} data {error}"
            return None

    def _frames(self) -> Iterator[bytes]:
        while magic := self._take(4):
            if magic == self.magic:
                yield from self._frame()
            elif len(magic) == 4 and int.from_bytes(magic, "little") & ~15 == _SKIPPABLE:  # noqa: PLR2004 - a word
                self._skip(int.from_bytes(self._need(4), "little"))
            else:
                raise _BrokenError(f"is followed by garbage, before stored byte {self._stored.position}")

    @abstractmethod
    def _frame(self) -> Iterator[bytes]:
        """One frame, from behind its magic; one piece a block."""

    def _corrupt(self, why: str) -> _BrokenError:
        return _BrokenError(f"is corrupt before stored byte {self._stored.position} ({why})")

    def _take(self, count: int) -> bytes:
        """The next ``count`` bytes; fewer at the end."""
        if len(self._chunk) - self._at < count:
            more = bytearray(max(count, _CHUNK))
            filled = self._source.read_into(memoryview(more))
            self._chunk = self._chunk[self._at :] + bytes(more[:filled])
            self._at = 0
        piece = self._chunk[self._at : self._at + count]
        self._at += len(piece)
        return piece

    def _need(self, count: int) -> bytes:
        piece = self._take(count)
        if len(piece) < count:
            raise self._early()
        return piece

    def _early(self) -> _BrokenError:
        return _BrokenError(f"ends early, at stored byte {self._stored.position}")

    def _skip(self, count: int) -> None:
        while count > 0:
            count -= len(self._need(min(count, _CHUNK)))


class ZstdBytes(_Unpacker):
    """The contents of one or more zstd frames (RFC 8878)."""

    name = "zstd"
    magic = ZSTD_MAGIC

    def __init__(self, source: ByteSource, stored: StoredBytes) -> None:
        """See _Unpacker."""
        import zstandard

        super().__init__(source, stored)
        self._error = zstandard.ZstdError
        self._context = zstandard.ZstdDecompressor(max_window_size=ZSTD_WINDOW)

    def _frame(self) -> Iterator[bytes]:
        """See _Unpacker; the layout is that of RFC 8878 section 3.1.1."""
        header, checksum = self._header()
        frame = self._context.decompressobj()
        yield self._unpack(frame, header)
        last = 0
        while not last:
            head = self._need(3)
            word = int.from_bytes(head, "little")
            last, kind, size = word & 1, word >> 1 & 3, word >> 3
            if kind == 3 or size > 128 << 10:  # noqa: PLR2004 - reserved
                raise self._corrupt("impossible block")
            # A block of type 1 is one byte, repeated.
            yield self._unpack(frame, head + self._need(1 if kind == 1 else size))
        if checksum:
            yield self._unpack(frame, self._need(4))

    def _header(self) -> tuple[bytes, bool]:
        """A frame's magic and header, and whether a checksum follows its blocks."""
        first = self._need(1)
        flags = first[0]
        if flags & 8:
            raise self._corrupt("reserved bit is set")
        single = flags >> 5 & 1
        name_size = (0, 1, 2, 4)[flags & 3]
        size_size = (single, 2, 4, 8)[flags >> 6]
        rest = self._need(1 - single + name_size + size_size)
        if any(rest[1 - single : 1 - single + name_size]):
            raise _BrokenError("needs a dictionary (unpack it with 'zstd -d -D' and the dictionary)")
        if single:
            window = int.from_bytes(rest[name_size:], "little")
        else:
            base = 1 << (10 + (rest[0] >> 3))
            window = base + base // 8 * (rest[0] & 7)
        if window > _LARGEST_WINDOW:
            raise self._corrupt("impossible window")
        if window > ZSTD_WINDOW:
            raise _BrokenError(
                f"needs a window of {-(-window >> 20)} MiB where {ZSTD_WINDOW >> 20} are allowed (unpack it with "
                "'zstd -d --long=31')"
            )
        return self.magic + first + rest, bool(flags & 4)

    def _unpack(self, frame: Any, block: bytes) -> bytes:  # noqa: ANN401 - the class is the library's own
        try:
            piece: bytes = frame.decompress(block)
        except self._error as error:
            raise self._corrupt(str(error).rpartition(": ")[2]) from None
        return piece


class Lz4Bytes(_Unpacker):
    """The contents of one or more lz4 frames (https://github.com/lz4/lz4/blob/dev/doc/lz4_Frame_format.md)."""

    name = "lz4"
    magic = LZ4_MAGIC

    def _frame(self) -> Iterator[bytes]:
        """See _Unpacker."""
        import lz4.frame

        flags, sizes = self._need(2)
        if flags >> 6 != 1 or flags & 2:
            raise self._corrupt("unknown version")
        if flags & 1:
            raise _BrokenError("needs a dictionary (unpack it with 'lz4 -d -D' and the dictionary)")
        largest = 1 << (8 + 2 * (sizes >> 4 & 7))
        header = bytes((flags, sizes)) + self._need(8 * (flags >> 3 & 1) + 1)
        frame = lz4.frame.LZ4FrameDecompressor()
        yield self._unpack(frame, self.magic + header, largest)
        checked = 4 * (flags >> 4 & 1)
        linked = not flags >> 5 & 1
        window = b""
        while any(head := self._need(4)):
            (word,) = struct.unpack("<I", head)
            size = word & 0x7FFFFFFF
            if size > largest:
                raise self._corrupt("impossible block")
            block = self._take(size + checked)
            if len(block) < size + checked:
                yield block[:size] if word >> 31 else lz4_prefix(block[:size], window, largest)
                raise self._early()
            piece = self._unpack(frame, head + block, largest)
            if linked:
                window = (window[-_LZ4_REACH:] + piece)[-_LZ4_REACH:]
            yield piece
        yield self._unpack(frame, head + self._need(4 * (flags >> 2 & 1)), largest)

    def _unpack(self, frame: Any, block: bytes, largest: int) -> bytes:  # noqa: ANN401 - the library has no types
        try:
            # Without a bound the library makes room by its own guess and keeps back what does not fit.
            piece: bytes = frame.decompress(block, largest)
        except RuntimeError as error:
            raise self._corrupt(str(error).rpartition(": ")[2]) from None
        return piece


def lz4_prefix(block: bytes, window: bytes, most: int) -> bytes:
    """What the beginning of an lz4 block unpacks to, where the file ends inside it: up to ``most`` bytes.

    ``window`` is what was unpacked before. The lz4 command makes blocks of 4 MiB, too much to lose with the last one;
    the library takes only whole blocks. The format: https://github.com/lz4/lz4/blob/dev/doc/lz4_Block_format.md
    """
    out = bytearray(window)
    position, end = 0, len(block)

    def length(nibble: int) -> int:
        """A length that goes on in bytes of 255 where its four bits are full; -1 where the block ends first."""
        nonlocal position
        if nibble < 15:  # noqa: PLR2004 - four bits
            return nibble
        while position < end:
            nibble += block[position]
            position += 1
            if block[position - 1] != 255:  # noqa: PLR2004 - a full byte
                return nibble
        return -1

    while position < end and len(out) - len(window) < most:
        token = block[position]
        position += 1
        literals = length(token >> 4)
        if literals < 0:
            break
        out += block[position : position + literals]
        position += literals
        if position + 2 > end:
            break
        offset = block[position] | block[position + 1] << 8
        position += 2
        copied = length(token & 15) + 4
        if copied < 4 or not 0 < offset <= len(out):  # noqa: PLR2004 - the shortest copy
            break
        copied = min(copied, most)
        run = bytes(out[-offset:][:copied])
        out += run * (copied // len(run)) + run[: copied % len(run)]
    return bytes(out[len(window) : len(window) + most])
