"""Follows TCP connections whose protocol needs more than one segment: bytes in order, to a reader of each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from forensics.capture.gather import gather_rows
from forensics.decode.flags import ACK, RST, SYN
from forensics.flows.arrays import NEVER, BoolArray, GrowingColumns, IntArray, both_sides, run_starts
from forensics.flows.reassembly import Piece, Wire
from forensics.observations.connections import HEAD_BYTES, LATE, Connections
from forensics.observations.readers import Heads, Opener, Opening, StreamReader

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from forensics.flows.engine import FlowBatch, FlowEngine
    from forensics.observations.collector import Arrived

__all__ = ["NEVER", "Heads", "Opener", "Opening", "StreamCollector", "StreamReader", "Wire"]

_CHUNK: Final = 4096
"""Packets after which array code looks again which of those to come are still wanted."""


@dataclass
class _Packets:
    """Packets of one batch, all arrays of one length: those that may matter to a connection."""

    rows: IntArray
    fs: IntArray
    place: IntArray
    """Of the first payload byte; that of the next one for a packet without."""
    end: IntArray
    before: IntArray
    """The place that the sender had reached before."""

    @classmethod
    def of(cls, batch: FlowBatch, rows: IntArray) -> _Packets:
        """Those of ``rows``."""
        # a SYN stands before the data it carries (RFC 7413)
        place = batch.rel[rows] - 1 + ((batch.column["flags"][rows] & SYN) != 0)
        end = place + batch.column["payload_len"][rows]
        return cls(rows, batch.fs[rows], place, end, np.maximum(batch.highest[rows] - 1, 0))

    def where(self, chosen: IntArray | BoolArray | slice) -> _Packets:
        """Some of them."""
        return _Packets(
            self.rows[chosen], self.fs[chosen], self.place[chosen], self.end[chosen], self.before[chosen]
        )


class StreamCollector:
    """Feeds readers; the first opener whose ``looks`` says yes, to either side of a connection, gets it.

    It is fed each batch after the flow engine and before the collectors that own the openers, and likewise for
    ``finish`` and ``clear``. Results do not depend on where batches are cut. Memory is bounded, whatever is fed.
    """

    def __init__(self, engine: FlowEngine, openers: Sequence[Opener]) -> None:
        self.openers = tuple(openers)
        self.engine = engine
        self.connections = Connections(engine, self.openers)
        self._table = GrowingColumns(
            {
                "asked": (np.bool_, False),
                "open": (np.bool_, False),  # an opener wanted the flow, or may want it
                "want": (np.int64, 0),  # place from which on bytes matter; NEVER: none
                "since": (np.int64, NEVER),  # what is remembered, see StreamSide.remembered
                "until": (np.int64, NEVER),
                "hole": (np.int64, NEVER),  # StreamSide.hole_until
            }
        )

    @property
    def given_up(self) -> int:
        """How often the bytes kept for one side were dropped because all together were too many."""
        return self.connections.given_up

    def add(self, arrived: Arrived) -> None:
        """Take in one batch."""
        batch = arrived.flows
        if not self.openers or not len(batch):
            return
        self._table.grow_to(2 * (int(batch.flow[-1]) + 1))
        flags = batch.column["flags"]
        plain = batch.tcp & ((flags & RST) == 0)
        carries = plain & (batch.column["payload_len"] > 0)
        data = _Packets.of(batch, np.flatnonzero(carries & self._live(batch)))
        openings, reopened = self._ask(batch, arrived.data, data)
        if reopened:
            data = _Packets.of(batch, np.flatnonzero(carries & self._live(batch)))
        chosen = data.where(self._wanted(data))
        troubled = self._troubled(chosen)
        if len(troubled):
            flagged = np.zeros(int(batch.flow[-1]) + 1, dtype=np.bool_)
            flagged[troubled[troubled < len(flagged)]] = True
            telling = plain & ((flags & ACK) != 0) & flagged[batch.flow]
            telling[chosen.rows] = True
            chosen = _Packets.of(batch, np.flatnonzero(telling))
        if not len(chosen.rows):
            return
        # In frame order, whatever the flow, so that what is given up in a flood does not depend on batches.
        chosen = chosen.where(np.argsort(batch.column["frame"][chosen.rows], kind="stable"))
        for begin in range(0, len(chosen.rows), _CHUNK):
            self._walk(arrived, self._still(batch, chosen.where(slice(begin, begin + _CHUNK))), openings)
        # sides of flows that were turned away after all
        idle = np.unique(
            chosen.fs[(self._table["want"][chosen.fs] != NEVER) & self._table["asked"][chosen.fs]]
        )
        self._table["want"][[fs for fs in idle.tolist() if fs >> 1 not in self.connections]] = NEVER

    def _live(self, batch: FlowBatch) -> BoolArray:
        """Packets of senders of whom more is wanted, or of whom something is remembered: most are of no others."""
        side = batch.fs[batch.starts]
        live = (self._table["want"][side] != NEVER) | (self._table["since"][side] != NEVER)
        return np.repeat(live, np.diff(np.append(batch.starts, len(batch))))

    def _ask(
        self, batch: FlowBatch, data: npt.NDArray[np.uint8], packets: _Packets
    ) -> tuple[dict[int, int], bool]:
        """Shows the sides that begin in this batch to the openers; row → which of them wants the connection.

        Also, whether more is wanted now of a side of which nothing was.
        """
        table = self._table
        fresh = np.flatnonzero((packets.end > table["want"][packets.fs]) & ~table["asked"][packets.fs])
        firsts = packets.where(fresh[run_starts(packets.fs[fresh])])
        if not len(firsts.rows):
            return {}, False
        table["asked"][firsts.fs] = True
        found = self._looks(batch, data, firsts)
        found[firsts.place > firsts.before] = LATE
        hit = found < len(self.openers)
        flows = firsts.fs[hit] >> 1
        both = both_sides(flows)
        table["open"][both] = True
        closed = both[table["want"][both] == NEVER]  # turned away before the other side began
        table["want"][closed] = 0
        missed = firsts.fs[~hit]
        table["want"][missed[~table["open"][missed]]] = NEVER
        return dict(zip(firsts.rows[hit].tolist(), found[hit].tolist(), strict=True)), bool(len(closed))

    def _looks(self, batch: FlowBatch, data: npt.NDArray[np.uint8], firsts: _Packets) -> IntArray:
        """Number of the first opener that says yes to each; that of none where none does."""
        keys = self.engine.conversations.flows
        offset = batch.column["payload_offset"][firsts.rows]
        length = batch.column["payload_captured"][firsts.rows].astype(np.int64)
        head = gather_rows(data, offset, HEAD_BYTES)
        short = np.flatnonzero(length < HEAD_BYTES)
        head[short] *= np.arange(HEAD_BYTES) < length[short, None]
        flow, second = firsts.fs >> 1, (firsts.fs & 1) == 1
        low, high = keys["lo_port"][flow], keys["hi_port"][flow]
        port, peer_port = np.where(second, high, low), np.where(second, low, high)
        heads = Heads(head, length, port, peer_port, firsts.fs, offset, data)
        found = np.full(len(firsts.rows), len(self.openers), dtype=np.int64)
        for number in range(len(self.openers) - 1, -1, -1):
            found[self.openers[number].looks(heads)] = number
        return found

    def _wanted(self, packets: _Packets) -> BoolArray:
        """Segments that hold bytes that a reader wants, or that may differ from what is remembered."""
        table, fs = self._table, packets.fs
        wanted: BoolArray = packets.end > table["want"][fs]
        again = np.flatnonzero(packets.place < packets.before)
        fs = fs[again]
        wanted[again] |= (packets.place[again] < table["until"][fs]) & (
            packets.end[again] > table["since"][fs]
        )
        return wanted & (packets.end > packets.place)

    def _troubled(self, packets: _Packets) -> IntArray:
        """Flows with a hole, known or opened by one of these segments: their acknowledgements matter."""
        known = np.array(self.connections.holes(), dtype=np.int64)
        return np.concatenate([known, packets.fs[packets.place > packets.before]]) >> 1

    def _still(self, batch: FlowBatch, packets: _Packets) -> _Packets:
        """Of the next packets those that matter as things stand now."""
        wanted = self._wanted(packets)
        told = np.flatnonzero(~wanted)
        if len(told):
            opened = packets.fs[wanted & (packets.place > packets.before)] >> 1
            peer = packets.fs[told] ^ 1
            hole = self._table["hole"][peer]
            known = hole != NEVER
            place = batch.column["ack"][packets.rows[told]] - self.engine.sequence.sides["base_raw"][peer] - 1
            passed = ((place - np.where(known, hole, 0)) & 0xFFFFFFFF) < 1 << 31
            wanted[told] = (known & passed) | np.isin(peer >> 1, opened)
        return packets.where(wanted)

    def _walk(self, arrived: Arrived, packets: _Packets, openings: dict[int, int]) -> None:
        """The few packets that are left, one by one."""
        rows, data = packets.rows, arrived.data
        columns = {name: values[rows] for name, values in arrived.flows.column.items() if name in _READ}
        acks = (columns["flags"] & ACK) != 0
        columns["ack"] = np.where(acks, columns["ack"], -1)
        wires = zip(*(columns[name].tolist() for name in Wire._fields), strict=True)
        facts = (columns[name].tolist() for name in _FACTS)
        mine = (getattr(packets, name).tolist() for name in ("rows", "fs", "place", "end", "before"))
        take = self.connections.packet
        for wire, (row, fs, place, end, before, frame, time, captured, offset, ack) in zip(
            wires, zip(*mine, *facts, strict=True), strict=True
        ):
            payload = data[offset : offset + captured].tobytes()
            piece = Piece(place, place + captured, payload, frame, time, Wire._make(wire))
            take(openings.get(row), fs, before, ack, end - place, piece)
        touched = self.connections.touched
        if touched:
            table, fs = self._table, np.fromiter(touched, dtype=np.int64)
            sides = touched.values()
            table["want"][fs] = [side.next for side in sides]
            remembered = np.array([side.remembered for side in sides], dtype=np.int64)
            table["since"][fs], table["until"][fs] = remembered[:, 0], remembered[:, 1]
            table["hole"][fs] = [side.hole_until for side in sides]
            touched.clear()

    def finish(self, flows: IntArray) -> None:
        """No more packets of these flows will come: what is held is handed out, then readers are finished."""
        self.connections.finish(flows.tolist())
        self.connections.touched.clear()

    def clear(self, flows: IntArray) -> None:
        """Forget finished flows, whose numbers are used again."""
        self._table.clear(both_sides(flows))


_FACTS: Final = ("frame", "time", "payload_captured", "payload_offset", "ack")
_READ: Final = frozenset((*_FACTS, *Wire._fields))
