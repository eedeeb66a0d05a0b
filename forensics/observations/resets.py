"""Resets, and what the sides did after a reset or after a ClientHello."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl

from forensics.decode.flags import ACK, FIN, RST, SYN
from forensics.flows.arrays import (
    FRAME_BITS,
    BoolArray,
    GrowingColumns,
    IntArray,
    both_sides,
    keep_first,
    run_ends,
    run_starts,
)

if TYPE_CHECKING:
    from forensics.flows.engine import FlowBatch, FlowEngine
    from forensics.observations.tls import TlsCollector


KEPT_RESETS: Final = 16
KEPT_AFTER: Final = 8

_RESET_SCHEMA: Final = {
    "fs": pl.Int64,
    "frame": pl.Int64,
    "time": pl.Int64,
    "ack_flag": pl.Boolean,
    "ttl": pl.Int64,
    "ipid": pl.Int64,
    "ipid_before": pl.Int64,
    "df": pl.Boolean,
    "seq": pl.Int64,
    "seq_offset": pl.Int64,
    "ack": pl.Int64,
    "window": pl.Int64,
    "payload_bytes": pl.Int64,
    "data_before": pl.Int64,
}


class ResetCollector:
    """Keeps the first ``KEPT_RESETS`` resets of every side, and counts what comes after resets and hellos.

    Per side (row 2 × flow + side): ``after_packets``, ``after_data`` (since its own first reset), ``hello_packets``
    and ``hello_bytes`` (sent to the side that said ClientHello, after it), ``hello_again`` (its retransmissions).
    """

    def __init__(self) -> None:
        self.sides = GrowingColumns(
            {
                "kept": (np.int64, 0),
                "rst_seq": (np.int64, -1),
                "rst_time": (np.int64, 0),
                "last_data_time": (np.int64, -1),
                "after_any": (np.int64, 0),
                "after_packets": (np.int64, 0),
                "after_data": (np.int64, 0),
                "hello_packets": (np.int64, 0),
                "hello_bytes": (np.int64, 0),
                "hello_again": (np.int64, 0),
            }
        )
        self.after_frames: dict[int, list[int]] = {}
        self.again_frames: dict[int, list[int]] = {}
        self._kept: list[pl.DataFrame] = []

    def add(self, batch: FlowBatch, engine: FlowEngine, tls: TlsCollector) -> None:
        """Take in one batch, after the engine and the TLS collector have."""
        if not len(batch):
            return
        self.sides.grow_to(2 * (int(batch.flow[-1]) + 1))
        rst = batch.tcp & ((batch.column["flags"] & RST) != 0)
        data = batch.tcp & ~rst & (batch.column["payload_len"] > 0)
        resets = np.flatnonzero(rst)
        if len(resets):
            self._keep(batch, engine, resets, np.flatnonzero(data))
        self._after_reset(batch, engine, ~rst)
        self._after_hello(batch, tls, ~rst & batch.tcp)
        rows = np.flatnonzero(data)
        if len(rows):
            lasts = rows[run_ends(run_starts(batch.fs[rows]), len(rows))]
            self.sides["last_data_time"][batch.fs[lasts]] = batch.column["time"][lasts]

    def _keep(self, batch: FlowBatch, engine: FlowEngine, resets: IntArray, data: IntArray) -> None:
        column = batch.column
        fs = batch.fs[resets]
        starts = run_starts(fs)
        lengths = np.diff(np.append(starts, len(fs)))
        rank = np.arange(len(fs)) - np.repeat(starts, lengths) + self.sides["kept"][fs]
        self.sides["kept"][fs[starts]] += lengths
        first = rank == 0
        self.sides["rst_seq"][fs[first]] = column["seq"][resets[first]]
        self.sides["rst_time"][fs[first]] = column["time"][resets[first]]
        chosen = resets[rank < KEPT_RESETS]
        fs = batch.fs[chosen]
        # the last payload of the other side before each reset: in this batch, else before it
        order = (batch.fs[data] << FRAME_BITS) | column["frame"][data]
        place = np.searchsorted(order, ((fs ^ 1) << FRAME_BITS) | column["frame"][chosen]) - 1
        before = self.sides["last_data_time"][fs ^ 1].copy()
        if len(data):
            found = data[np.maximum(place, 0)]
            mine = (place >= 0) & (batch.fs[found] == fs ^ 1)
            before[mine] = column["time"][found[mine]]
        base = engine.sequence.sides["base_raw"][fs]
        highest = batch.highest[chosen]
        offset = column["seq"][chosen] - base - highest
        offset = ((offset + (1 << 31)) & 0xFFFFFFFF) - (1 << 31)
        known = (base >= 0) & (highest >= 0)
        self._kept.append(
            pl.DataFrame(
                {
                    "fs": fs,
                    "frame": column["frame"][chosen],
                    "time": column["time"][chosen],
                    "ack_flag": (column["flags"][chosen] & ACK) != 0,
                    "ttl": column["ttl"][chosen].astype(np.int64),
                    "ipid": column["ipid"][chosen].astype(np.int64),
                    "ipid_before": batch.ipid_before[chosen],
                    "df": column["df"][chosen],
                    "seq": column["seq"][chosen],
                    "seq_offset": offset,
                    "ack": column["ack"][chosen],
                    "window": column["window"][chosen].astype(np.int64),
                    "payload_bytes": column["payload_len"][chosen].astype(np.int64),
                    "data_before": before,
                }
            ).with_columns(pl.when(pl.Series(known)).then("seq_offset").alias("seq_offset"))
        )

    def _after_reset(self, batch: FlowBatch, engine: FlowEngine, alive: BoolArray) -> None:
        column = batch.column
        after = alive & batch.tcp & (column["frame"] > engine.sides["first_R"][batch.fs])
        rows = np.flatnonzero(after)
        if not len(rows):
            return
        fs = batch.fs[rows]
        self._count("after_any", fs, np.ones(len(rows), dtype=np.int64))
        flags = column["flags"][rows]
        payload = column["payload_len"][rows] > 0
        says = payload | ((flags & (SYN | FIN)) != 0) | batch.new_ack[rows]
        # A packet sent before the reset may arrive just after it. What lies at or beyond the reset's sequence
        # number, or comes a round trip later, cannot have been (WE09 RST_SEQ_DATA).
        ahead = column["seq"][rows] - self.sides["rst_seq"][fs]
        ahead = ((ahead + (1 << 31)) & 0xFFFFFFFF) - (1 << 31)
        length = column["payload_len"][rows].astype(np.int64) + ((flags & (SYN | FIN)) != 0)
        rtt = engine.handshake_rtt(fs >> 1, column["frame"][rows])
        limit = np.where(rtt >= 0, np.maximum(rtt, 3_000_000), 200_000_000)
        later = column["time"][rows] - self.sides["rst_time"][fs] >= limit
        genuine = says & (((ahead >= 0) & (length > 0)) | later | ((flags & SYN) != 0))
        rows, fs = rows[genuine], fs[genuine]
        if not len(rows):
            return
        self._count("after_packets", fs, np.ones(len(rows), dtype=np.int64))
        self._count("after_data", fs, (payload[genuine] | ((flags[genuine] & SYN) != 0)).astype(np.int64))
        keep_first(self.after_frames, fs, column["frame"][rows], KEPT_AFTER)

    def _after_hello(self, batch: FlowBatch, tls: TlsCollector, alive: BoolArray) -> None:
        column = batch.column
        known = tls.flows["hello_frame"][batch.flow]
        hello_side = tls.flows["hello_side"][batch.flow]
        late = alive & (column["frame"] > known)
        rows = np.flatnonzero(late & (batch.side != hello_side))
        if len(rows):
            self._count("hello_packets", batch.fs[rows], np.ones(len(rows), dtype=np.int64))
            self._count("hello_bytes", batch.fs[rows], column["payload_len"][rows].astype(np.int64))
        rows = np.flatnonzero(
            late
            & (batch.side == hello_side)
            & batch.retransmission
            & (batch.rel < tls.flows["hello_end"][batch.flow])
            & (column["payload_len"] > 0)
        )
        if len(rows):
            self._count("hello_again", batch.fs[rows], np.ones(len(rows), dtype=np.int64))
            keep_first(self.again_frames, batch.fs[rows], column["frame"][rows], KEPT_RESETS)

    def _count(self, name: str, fs: IntArray, values: IntArray) -> None:
        starts = run_starts(fs)
        self.sides[name][fs[starts]] += np.add.reduceat(values, starts)

    def table(self, flows: IntArray) -> pl.DataFrame:
        """The kept resets of these flows: side ``fs`` and wire facts, in frame order."""
        return self._split(flows)[0].sort("frame", maintain_order=True)

    def _split(self, flows: IntArray) -> tuple[pl.DataFrame, pl.DataFrame]:
        """What was kept of these flows, and of all others."""
        frames = self._kept or [pl.DataFrame(schema=_RESET_SCHEMA)]
        kept = pl.concat(frames, how="vertical_relaxed")
        mine = pl.Series(np.isin(kept["fs"].to_numpy() >> 1, flows))
        return kept.filter(mine), kept.filter(~mine)

    def clear(self, flows: IntArray) -> None:
        """Forget finished flows, whose numbers are used again."""
        self._kept = [self._split(flows)[1]]
        sides = both_sides(flows)
        self.sides.clear(sides)
        for frames in (self.after_frames, self.again_frames):
            for side in frames.keys() & set(sides.tolist()):
                del frames[side]
