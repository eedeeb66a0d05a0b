"""How fast data went towards each side, and where it was lost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np
import polars as pl

from forensics.decode.flags import RST
from forensics.flows.arrays import NEVER, GrowingColumns, IntArray, both_sides, run_ends, run_starts

if TYPE_CHECKING:
    from forensics.flows.engine import FlowBatch, FlowEngine

BIN_NS: Final = 100_000_000
"""Width of the finest time bin."""
MIN_BYTES: Final = 100_000
"""Transfers below this say nothing about a rate."""
_COMPACT_ROWS: Final = 400_000

_SUMS: Final = ("carried", "repeated", "losses")
_Bins: TypeAlias = tuple[IntArray, IntArray, IntArray, IntArray, IntArray]
"""Columns fs, bin, and _SUMS."""


class ThroughputCollector:
    """What every sender carried, in time bins counted from the flow's first packet.

    Per side: ``first_time`` and ``last_time`` of data, ``progress`` (new sequence space), ``carried`` (payload of all
    segments) and ``repeated`` (payload of retransmissions), and the latter two up to the first and the last loss.
    A loss is a retransmitted data segment.
    """

    def __init__(self) -> None:
        self.sides = GrowingColumns(
            {
                "first_time": (np.int64, NEVER),
                "last_time": (np.int64, -1),
                "segments": (np.int64, 0),
                "losses": (np.int64, 0),
                "progress": (np.int64, 0),
                "carried": (np.int64, 0),
                "repeated": (np.int64, 0),
                **{
                    f"{which}_loss_{name}": (np.int64, fill)
                    for which in ("first", "last")
                    for name, fill in (("frame", -1), ("time", 0), ("carried", 0), ("repeated", 0))
                },
            }
        )
        self._bins: list[_Bins] = []
        self._rows = 0

    def add(self, batch: FlowBatch, engine: FlowEngine) -> None:
        """Take in one batch, after the engine has."""
        if not len(batch):
            return
        self.sides.grow_to(2 * (int(batch.flow[-1]) + 1))
        column = batch.column
        rows = np.flatnonzero(batch.tcp & (column["payload_len"] > 0) & ((column["flags"] & RST) == 0))
        if not len(rows):
            return
        fs, time = batch.fs[rows], column["time"][rows]
        payload = column["payload_len"][rows].astype(np.int64)
        reached = np.maximum(batch.highest[rows], 1)
        lost = batch.retransmission[rows]
        starts = run_starts(fs)
        side = fs[starts]
        ends = run_ends(starts, len(rows))
        table = self.sides
        sums = {
            "progress": np.clip(batch.rel[rows] + payload - reached, 0, 1 << 31),  # holes included
            "carried": payload,
            "repeated": np.where(lost, payload, 0),
        }
        running = {name: _running(table[name][side], values, starts) for name, values in sums.items()}
        for name, values in running.items():
            table[name][side] = values[ends]
        table["first_time"][side] = np.minimum(table["first_time"][side], np.minimum.reduceat(time, starts))
        table["last_time"][side] = np.maximum(table["last_time"][side], np.maximum.reduceat(time, starts))
        table["segments"][side] += ends - starts + 1
        table["losses"][side] += np.add.reduceat(lost, starts, dtype=np.int64)
        hit = np.flatnonzero(lost)
        if len(hit):
            hit_starts = run_starts(fs[hit])
            first, last = hit[hit_starts], hit[run_ends(hit_starts, len(hit))]
            fresh = first[table["first_loss_frame"][fs[first]] < 0]
            for name, chosen in (("first", fresh), ("last", last)):
                table[f"{name}_loss_frame"][fs[chosen]] = column["frame"][rows[chosen]]
                table[f"{name}_loss_time"][fs[chosen]] = time[chosen]
                for total in ("carried", "repeated"):
                    table[f"{name}_loss_{total}"][fs[chosen]] = running[total][chosen]
        place = (time - engine.flows["origin"][fs >> 1]) // BIN_NS
        # Bins of one sender lie together; where the clock stepped back a bin comes twice and is summed up later.
        same = (fs[1:] == fs[:-1]) & (place[1:] == place[:-1])
        runs = np.flatnonzero(np.concatenate([[True], ~same]))
        self._bins.append(
            (
                fs[runs],
                place[runs],
                np.add.reduceat(payload, runs),
                np.add.reduceat(sums["repeated"], runs),
                np.add.reduceat(lost, runs, dtype=np.int64),
            )
        )
        self._rows += len(runs)
        if self._rows > _COMPACT_ROWS:
            self._bins = [_summed(self._bins, np.empty(0, dtype=np.int64), among=False)]
            self._rows = 0

    def clear(self, flows: IntArray) -> None:
        """Forget finished flows, whose numbers are used again."""
        sides = both_sides(flows)
        self.sides.clear(sides)
        self._bins = [_summed(self._bins, sides, among=False)]
        self._rows = 0

    def bins(self, wanted: pl.Series) -> pl.DataFrame:
        """Bins of the sides in ``wanted`` (fs numbers): fs, bin (BIN_NS wide), carried, repeated, losses."""
        return pl.DataFrame(
            dict(zip(("fs", "bin", *_SUMS), _summed(self._bins, wanted.to_numpy(), among=True), strict=True))
        )


def _summed(bins: list[_Bins], sides: IntArray, *, among: bool) -> _Bins:
    """Every bin once, in order of (fs, bin): those of these sides, or of all others."""
    nothing = np.empty(0, dtype=np.int64)
    columns = [np.concatenate([nothing, *parts]) for parts in zip(*bins, strict=True)] or [nothing] * 5
    marks = np.full(max(int(columns[0].max(initial=0)), int(sides.max(initial=0))) + 1, not among)
    marks[sides] = among
    rows = np.flatnonzero(marks[columns[0]])
    rows = rows[np.lexsort((columns[1][rows], columns[0][rows]))]
    fs, place = columns[0][rows], columns[1][rows]
    if not len(rows):
        return fs, place, fs, fs, fs
    starts = np.flatnonzero(np.concatenate([[True], (fs[1:] != fs[:-1]) | (place[1:] != place[:-1])]))
    carried, repeated, losses = (np.add.reduceat(values[rows], starts) for values in columns[2:])
    return fs[starts], place[starts], carried, repeated, losses


def _running(carried: IntArray, values: IntArray, starts: IntArray) -> IntArray:
    """Running sums within runs, each going on from what was carried into it."""
    total = np.cumsum(values)
    lengths = np.diff(np.append(starts, len(values)))
    running: IntArray = total + np.repeat(carried - (total[starts] - values[starts]), lengths)
    return running
