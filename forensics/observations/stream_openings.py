"""The first bytes of TCP connections that are neither TLS nor HTTP: what they speak, and whether they are answered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from forensics.capture.gather import gather_rows
from forensics.decode.flags import RST, SYN
from forensics.flows.arrays import BoolArray, GrowingColumns, IntArray, both_sides, keep_first, run_starts
from forensics.protocols.encrypted import FirstPacket, measure_first_packet
from forensics.protocols.openings import ENOUGH, wanted
from forensics.protocols.stream import HeadAssembler

if TYPE_CHECKING:
    import numpy.typing as npt

    from forensics.observations.collector import Arrived

MOST_FRAMES: Final = 16
TLS, HTTP = 3, 4
"""States of a side that begins so: other collectors look into it."""

_PENDING, _DONE = 1, 2
_REACH: Final = 1300
"""No protocol needs bytes beyond this place to be told."""
_MOST_SEGMENTS: Final = 8
_KNOWN: Final = 8
_HTTP_WORDS: Final = np.array(
    [
        int.from_bytes(word, "big")
        for word in (b"GET ", b"POST", b"HEAD", b"PUT ", b"HTTP", b"DELE", b"PATC", b"TRAC", b"PROP")
    ],
    dtype=np.int64,
)


class Opening(NamedTuple):
    """The beginning of one side's stream."""

    data: bytes
    frame: int
    """First frame with its first byte."""
    time: int
    first: FirstPacket | None
    """Properties of the first segment; None where it was not captured whole."""


class _Head:
    """A beginning that is not whole yet."""

    __slots__ = ("first", "frame", "head", "segments", "time")

    def __init__(self) -> None:
        self.head = HeadAssembler()
        self.segments = 0
        self.frame = -1
        self.time = 0
        self.first: FirstPacket | None = None

    def opening(self) -> Opening:
        data = self.head.contiguous()
        return Opening(data[: wanted(data)], self.frame, self.time, self.first)


class StreamOpenings:
    """Keeps the first bytes of each side that begins neither as TLS nor as HTTP, and how often they were sent."""

    def __init__(self) -> None:
        self.sides = GrowingColumns({"state": (np.int8, 0), "tries": (np.int64, 0)})
        self.frames: dict[int, list[int]] = {}
        """Side → frames that carried its first byte, the first MOST_FRAMES."""
        self._pending: dict[int, _Head] = {}
        self._done: dict[int, Opening] = {}

    def add(self, arrived: Arrived) -> None:
        """Take in one batch."""
        batch = arrived.flows
        self.sides.grow_to(2 * (int(batch.flow[-1]) + 1))
        column = batch.column
        flags = column["flags"]
        carries = batch.tcp & (column["payload_captured"] > 0) & ((flags & RST) == 0)
        rows = np.flatnonzero(carries & (batch.rel < _REACH))
        place = batch.rel[rows] - 1 + ((flags[rows] & SYN) != 0)  # a SYN stands before its data (RFC 7413)
        rows, place = rows[place >= 0], place[place >= 0]
        state = self.sides["state"]
        rows, place = self._of_others(rows, place, state[batch.fs[rows]] < TLS)
        if not len(rows):
            return
        firsts = run_starts(batch.fs[rows])
        self._plain(arrived, rows[firsts[place[firsts] == 0]])
        rows, place = self._of_others(rows, place, state[batch.fs[rows]] < TLS)
        begins = rows[place == 0]
        np.add.at(self.sides["tries"], batch.fs[begins], 1)
        keep_first(self.frames, batch.fs[begins], column["frame"][begins], MOST_FRAMES)
        rows, place = self._of_others(rows, place, state[batch.fs[rows]] < _DONE)
        order = np.argsort(column["frame"][rows], kind="stable")
        self._assemble(arrived, rows[order], place[order])

    @staticmethod
    def _of_others(rows: IntArray, place: IntArray, chosen: BoolArray) -> tuple[IntArray, IntArray]:
        return rows[chosen], place[chosen]

    def _plain(self, arrived: Arrived, rows: IntArray) -> None:
        """Sides whose first segment begins as TLS or HTTP are settled by it."""
        batch = arrived.flows
        fresh = rows[self.sides["state"][batch.fs[rows]] == 0]
        fresh = fresh[batch.column["payload_captured"][fresh] >= _KNOWN]
        if not len(fresh):
            return
        head = gather_rows(arrived.data, batch.column["payload_offset"][fresh], _KNOWN)
        first = head[:, 0]
        # https://www.rfc-editor.org/rfc/rfc8446#section-5.1: types 20 to 23, version 3.x, at most 2^14 + 2048 bytes
        tls = (first >= 20) & (first <= 23) & (head[:, 1] == 3) & (head[:, 2] <= 4) & (head[:, 3] <= 0x48)  # noqa: PLR2004
        word = head[:, :4].astype(np.int64) @ np.array([1 << 24, 1 << 16, 1 << 8, 1], dtype=np.int64)
        http = np.isin(word, _HTTP_WORDS) & ~(head[:, 5:8] == np.frombuffer(b"/mm", dtype=np.uint8)).all(
            axis=1
        )
        state = self.sides["state"]
        state[batch.fs[fresh[tls]]] = TLS
        state[batch.fs[fresh[http]]] = HTTP

    def _assemble(self, arrived: Arrived, rows: IntArray, place: IntArray) -> None:
        batch, data, state = arrived.flows, arrived.data, self.sides["state"]
        column = batch.column
        parts = ("payload_offset", "payload_captured", "payload_len", "frame", "time")
        values = [column[name][rows].tolist() for name in parts]
        for side, at, offset, size, length, frame, time in zip(
            batch.fs[rows].tolist(), place.tolist(), *values, strict=True
        ):
            if state[side] == _DONE:
                continue
            waiting = self._pending.get(side)
            if waiting is None:
                waiting = self._pending[side] = _Head()
                state[side] = _PENDING
            waiting.head.add(at, data[offset : offset + min(size, _REACH)].tobytes(), frame)
            waiting.segments += 1
            if at == 0 and waiting.frame < 0:
                waiting.frame, waiting.time = frame, time
                if size == length:
                    waiting.first = measure_first_packet(data[offset : offset + size].tobytes())
            known = waiting.head.contiguous()
            whole = len(known) >= ENOUGH and len(known) >= wanted(known)
            if whole or waiting.segments >= _MOST_SEGMENTS:
                state[side] = _DONE
                self._done[side] = self._pending.pop(side).opening()

    def opening(self, side: int) -> Opening | None:
        """What is known of the beginning of a side; None: nothing, or it is TLS or HTTP."""
        waiting = self._pending.get(side)
        return waiting.opening() if waiting is not None else self._done.get(side)

    def clear(self, flows: IntArray) -> None:
        """Forget finished flows, whose numbers are used again."""
        sides = both_sides(flows)
        self.sides.clear(sides)
        for side in sides.tolist():
            self.frames.pop(side, None)
            self._pending.pop(side, None)
            self._done.pop(side, None)

    def states(self, sides: IntArray) -> npt.NDArray[np.int8]:
        """State of each side."""
        self.sides.grow_to(int(sides.max(initial=-1)) + 1)
        found: npt.NDArray[np.int8] = self.sides["state"][sides]
        return found
