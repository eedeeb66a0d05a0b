"""How steadily the sides of UDP conversations send: voice whose packets are no RTP still comes at an even pace."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import polars as pl

from forensics.flows.arrays import run_starts
from forensics.observations.series import at_rows

if TYPE_CHECKING:
    from collections.abc import Mapping

    from forensics.flows.arrays import IntArray
    from forensics.flows.engine import FlowBatch, FlowEngine
    from forensics.observations.sides import Sides

FIRST: Final = 50
"""Datagrams of a side that go by before its pace is measured: most conversations never have that many."""
PACE: Final = (10, 200)
"""Datagrams a second of voice: one every 5 to 100 ms."""
STEP: Final = 64
"""Bytes between two sizes that are told apart."""
_STEPS: Final = 24
_SECOND: Final = 1_000_000_000


class _Pace:
    """One side, after its first datagrams."""

    __slots__ = ("count", "second", "seconds", "sizes", "steady")

    def __init__(self) -> None:
        self.second, self.count = -1, 0  # the one that is not over yet
        self.seconds = self.steady = 0
        self.sizes = np.zeros(_STEPS + 1, dtype=np.int64)

    def add(self, time: IntArray, size: IntArray) -> None:
        """Datagrams in the order of the capture."""
        self.sizes += np.bincount(np.minimum((size - 1) // STEP, _STEPS), minlength=_STEPS + 1)
        second = time // _SECOND
        starts = run_starts(second)
        counts = np.diff(np.append(starts, len(second)))
        if second[0] == self.second:
            counts[0] += self.count
        else:
            self._close(self.count)
        for count in counts[:-1].tolist():
            self._close(count)
        self.second, self.count = int(second[-1]), int(counts[-1])

    def _close(self, count: int) -> None:
        self.seconds += count > 0
        self.steady += PACE[0] <= count <= PACE[1]

    def told(self) -> tuple[float, float, int]:
        """Milliseconds at the pace of voice, milliseconds with anything, median size."""
        steady = self.steady + (PACE[0] <= self.count <= PACE[1])
        middle = int(np.searchsorted(np.cumsum(self.sizes), (int(self.sizes.sum()) + 1) // 2))
        return 1000.0 * steady, 1000.0 * (self.seconds + (self.count > 0)), STEP * (middle + 1)


class Paces:
    """The sides that have sent more than ``FIRST`` datagrams, by 2 × flow + side."""

    def __init__(self) -> None:
        self.sides: dict[int, _Pace] = {}

    def add(self, batch: FlowBatch, engine: FlowEngine) -> None:
        """Take in one batch, after the engine has."""
        size = batch.column["payload_len"]
        rows = np.flatnonzero(~batch.tcp & (size > 0))
        if not len(rows):
            return
        fs = batch.fs[rows]
        starts = run_starts(fs)
        counts = np.diff(np.append(starts, len(fs)))
        before = engine.sides["data_packets"][fs[starts]] - counts
        for begin, count, earlier in zip(
            *(values[before + counts > FIRST].tolist() for values in (starts, counts, before)), strict=True
        ):
            chosen = rows[begin + max(FIRST - earlier, 0) : begin + count]
            pace = self.sides.setdefault(int(fs[begin]), _Pace())
            pace.add(batch.column["time"][chosen], size[chosen].astype(np.int64))

    def columns(self, sides: Sides) -> Mapping[str, pl.Series]:
        """``paced_…_ms``, ``active_…_ms`` and ``datagram_size_…`` each way; no column where nothing was measured."""
        if not self.sides:
            return {}
        columns: dict[str, Any] = {}
        for way, mine in (("to_server", sides.client), ("to_client", sides.server)):
            rows = np.flatnonzero(np.isin(mine, list(self.sides)))
            told = [self.sides[fs].told() for fs in mine[rows].tolist()]
            for place, (name, dtype) in enumerate(
                (
                    (f"paced_{way}_ms", pl.Float64),
                    (f"active_{way}_ms", pl.Float64),
                    (f"datagram_size_{way}", pl.Int64),
                )
            ):
                columns[name] = at_rows(len(sides), rows, [one[place] for one in told], dtype)
        return columns

    def clear(self, flows: IntArray) -> None:
        """Forget these flows."""
        if self.sides:
            for flow in flows.tolist():
                self.sides.pop(2 * flow, None)
                self.sides.pop(2 * flow + 1, None)
