"""Puts the first bytes of one direction of one TCP stream together."""

from __future__ import annotations

from typing import Final

MAX_BYTES: Final = 1 << 16
MAX_PIECES: Final = 128


class HeadAssembler:
    """Collects segments in any order until the beginning of the stream is whole.

    Where segments overlap, the bytes that came first are kept: that is what is known to have been on the wire
    first, and which of the two a receiver believed cannot be told from the capture (Ptacek and Newsham 1998).
    Memory is bounded by ``MAX_BYTES`` and ``MAX_PIECES``, whatever is fed.
    """

    __slots__ = ("_cache", "_pieces", "conflict", "overflow")

    def __init__(self) -> None:
        self._pieces: list[
            tuple[int, bytes, int]
        ] = []  # (start, bytes, frame): sorted, disjoint, never empty
        self._cache: bytes | None = b""
        self.conflict = False
        """Two segments held different bytes for the same place."""
        self.overflow = False
        """Something was left out because it lay past ``MAX_BYTES`` or there were too many pieces."""

    def add(self, offset: int, data: bytes, frame: int) -> None:
        """Takes one segment.

        ``offset`` is the place of its first byte relative to the first payload byte of the stream (it may be
        negative: what lies before the stream is cut off), ``frame`` the number of the frame that carried it.
        """
        if offset < 0:
            data = data[-offset:]
            offset = 0
        if offset + len(data) > MAX_BYTES:
            data = data[: max(0, MAX_BYTES - offset)]
            self.overflow = True
        if not data:
            return
        pieces = self._pieces
        if not pieces or offset >= pieces[-1][0] + len(pieces[-1][1]):
            fresh = [(offset, data, frame)]
        else:
            fresh = self._gaps(offset, data, frame)
            if not fresh:
                return
        if len(pieces) + len(fresh) > MAX_PIECES:
            self.overflow = True
            return
        ordered = not pieces or fresh[0][0] > pieces[-1][0]
        pieces.extend(fresh)
        if not ordered:
            pieces.sort()  # starts differ, so bytes are never compared
        self._cache = None

    def _gaps(self, offset: int, data: bytes, frame: int) -> list[tuple[int, bytes, int]]:
        """The parts of a segment that no piece holds yet; notes whether the other parts agree."""
        fresh: list[tuple[int, bytes, int]] = []
        at = offset
        end = offset + len(data)
        for start, held, _ in self._pieces:
            stop = start + len(held)
            if stop <= at:
                continue
            if start >= end:
                break
            if start > at:
                fresh.append((at, data[at - offset : start - offset], frame))
                at = start
            upto = min(stop, end)
            if data[at - offset : upto - offset] != held[at - start : upto - start]:
                self.conflict = True
            at = upto
        if at < end:
            fresh.append((at, data[at - offset :], frame))
        return fresh

    def contiguous(self) -> bytes:
        """The bytes known without a gap from the beginning of the stream."""
        if self._cache is None:
            parts: list[bytes] = []
            at = 0
            for start, held, _ in self._pieces:
                if start != at:
                    break
                parts.append(held)
                at += len(held)
            self._cache = parts[0] if len(parts) == 1 else b"".join(parts)
        return self._cache

    def frames_for(self, length: int) -> list[int]:
        """Frames that first carried any of the bytes ``[0, length)``, ascending, each once."""
        return sorted({frame for start, _, frame in self._pieces if start < length})
