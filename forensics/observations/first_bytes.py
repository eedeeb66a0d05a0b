"""The first bytes of every stream, and segments that put other bytes in their place."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl

from forensics.capture.gather import gather_rows
from forensics.flows.arrays import keep_first
from forensics.observations.series import at_rows

if TYPE_CHECKING:
    import numpy.typing as npt

    from forensics.flows.arrays import IntArray
    from forensics.flows.engine import FlowBatch

FIRST_BYTES: Final = 16
CONFLICTS: Final = 8
"""Segments of one side that are kept as evidence of differing content."""


class FirstBytes:
    """Up to ``FIRST_BYTES`` bytes of each side (row 2 × flow + side), from the start of its stream."""

    def __init__(self) -> None:
        self._bytes = np.zeros((0, FIRST_BYTES), dtype=np.uint8)
        self._length = np.zeros(0, dtype=np.int8)
        self.conflicts: dict[int, list[int]] = {}
        """Side → the first frames with other bytes than were there for a place of the beginning of its stream."""

    def grow_to(self, sides: int) -> None:
        """Make room for that many sides."""
        have = len(self._bytes)
        if sides > have:
            more = max(sides, 2 * have) - have
            self._bytes = np.vstack([self._bytes, np.zeros((more, FIRST_BYTES), dtype=np.uint8)])
            self._length = np.append(self._length, np.zeros(more, dtype=np.int8))

    def note(self, sides: IntArray, head: npt.NDArray[np.uint8]) -> None:
        """All first bytes of these sides (n x ``FIRST_BYTES``)."""
        self._bytes[sides] = head
        self._length[sides] = FIRST_BYTES

    def extend(self, side: int, known: bytes) -> None:
        """What is known of the beginning of one stream, once more of it may be."""
        have = int(self._length[side])
        if len(known) > have and have < FIRST_BYTES:
            first = np.frombuffer(known[:FIRST_BYTES], dtype=np.uint8)
            self._bytes[side, : len(first)] = first
            self._length[side] = len(first)

    def compare(self, batch: FlowBatch, data: npt.NDArray[np.uint8], rows: IntArray) -> None:
        """Segments that begin their stream once more: note those with other bytes."""
        fs = batch.fs[rows]
        head = gather_rows(data, batch.column["payload_offset"][rows], FIRST_BYTES)
        size = np.minimum(self._length[fs], batch.column["payload_captured"][rows])
        both = np.arange(FIRST_BYTES) < size[:, None]
        differs = ((head != self._bytes[fs]) & both).any(axis=1)
        keep_first(self.conflicts, fs[differs], batch.column["frame"][rows[differs]], CONFLICTS)

    def note_conflict(self, side: int, frame: int) -> None:
        """A segment of a side differs from what was there before."""
        kept = self.conflicts.setdefault(side, [])
        if len(kept) < CONFLICTS:
            kept.append(frame)

    def clear(self, sides: IntArray) -> None:
        """Forget these sides: their numbers are used again."""
        known = sides[sides < len(self._bytes)]
        self._bytes[known] = 0
        self._length[known] = 0
        for side in sides.tolist():
            self.conflicts.pop(side, None)

    def hex(self, sides: IntArray) -> pl.Series:
        """Hex of the first bytes of each side; null where the beginning of its stream was not captured."""
        self.grow_to(int(sides.max(initial=-1)) + 1)
        length = self._length[sides]
        text = self._bytes[sides].tobytes().hex()
        width = 2 * FIRST_BYTES
        known = np.flatnonzero(length)
        values = [text[row * width : row * width + 2 * int(length[row])] for row in known.tolist()]
        return at_rows(len(sides), known, values, pl.String)
