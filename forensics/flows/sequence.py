"""TCP sequence space, batch by batch: unwrapped numbers, progress, retransmissions and reordering."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from forensics.decode.flags import ACK, FIN, RST, SYN
from forensics.flows.arrays import BoolArray, GrowingColumns, IntArray, run_ends, run_starts

if TYPE_CHECKING:
    import numpy.typing as npt


REORDER_REACH: Final = 7
"""A segment counts as merely late only if the gap it fills opened at most this many packets before it."""

_TAIL: Final = REORDER_REACH + 1

_LANE: Final = 1 << 42
"""Lifts the numbers of one sender above those of the one before it, so that one running maximum serves all."""


@dataclass(frozen=True)
class Tracked:
    """Per packet of the batch, in its order; UDP packets and resets hold neutral values."""

    rel: IntArray
    highest: IntArray
    new_ack: BoolArray
    retransmission: BoolArray
    out_of_order: BoolArray


class SequenceTracker:
    """Carries the sequence state of every sender from batch to batch.

    Numbers are unwrapped (they pass 2³² without a jump) and relative: 0 is the SYN, 1 the first byte. A sender
    whose SYN was not captured starts at 1, as in Wireshark.
    """

    def __init__(self) -> None:
        self.sides = GrowingColumns(
            {
                "seq_raw": (np.int64, -1),  # last raw number; -1: none yet
                "seq_rel": (np.int64, 0),
                "base_raw": (np.int64, -1),  # raw number of relative 0
                "highest": (np.int64, -1),  # highest relative end; -1: none yet
                "syn_seen": (np.bool_, 0),
                "ack_raw": (np.int64, -1),
                "ack_rel": (np.int64, 0),
                "ack_first": (np.int64, -1),  # raw value of the first ACK
                "ack_highest": (np.int64, -1),  # highest ACK, relative to the first
            }
        )
        # highest end and time after each of the last packets of every sender, to date gaps from earlier batches
        self._tail_end = np.full((0, _TAIL), -_LANE, dtype=np.int64)
        self._tail_time = np.zeros((0, _TAIL), dtype=np.int64)

    def track(
        self, fs: IntArray, tcp: BoolArray, column: dict[str, npt.NDArray[Any]], reorder_limit: IntArray
    ) -> Tracked:
        """Take in packets sorted by (sender ``fs``, frame); ``reorder_limit`` in ns, one a packet."""
        size = len(fs)
        rel = np.zeros(size, dtype=np.int64)
        highest = np.full(size, -1, dtype=np.int64)
        new_ack = np.zeros(size, dtype=np.bool_)
        ends = np.zeros(size, dtype=np.int64)
        late = np.zeros(size, dtype=np.bool_)
        again = np.zeros(size, dtype=np.bool_)
        if size:
            self._grow(int(fs[-1] | 1) + 1)
        # A reset's number may be anything (that is what is judged later), so it never moves the state.
        reset = (column["flags"] & RST) != 0
        resets = np.flatnonzero(tcp & reset)
        if len(resets):
            highest[resets] = self.sides["highest"][fs[resets]]
        rows = np.flatnonzero(tcp & ~reset)
        if len(rows):
            self._sequence(rows, fs[rows], column, reorder_limit[rows], (rel, highest, ends, again, late))
        if len(resets) and len(rows):
            # what the sender had reached when its reset came: its last packet before in this batch, if any
            before = np.searchsorted(rows, resets) - 1
            last = rows[np.maximum(before, 0)]
            mine = (before >= 0) & (fs[last] == fs[resets])
            highest[resets[mine]] = np.maximum(highest[last[mine]], ends[last[mine]])
        rows = rows[(column["flags"][rows] & ACK) != 0]
        if len(rows):
            self._acks(rows, fs[rows], column["ack"][rows], new_ack)
        return Tracked(rel, highest, new_ack, again, late)

    def _sequence(
        self,
        rows: IntArray,
        fs: IntArray,
        column: dict[str, npt.NDArray[Any]],
        reorder_limit: IntArray,
        out: tuple[IntArray, IntArray, IntArray, BoolArray, BoolArray],
    ) -> None:
        table = self.sides
        seq, flags, time = column["seq"][rows], column["flags"][rows], column["time"][rows]
        payload = column["payload_len"][rows].astype(np.int64)
        starts = run_starts(fs)
        side = fs[starts]
        fresh = table["seq_raw"][side] < 0
        syn = (flags & SYN) != 0
        begin = np.where(fresh, np.where(syn[starts], 0, 1), table["seq_rel"][side])
        before = np.where(fresh, seq[starts], table["seq_raw"][side])
        new_side = side[fresh]
        table["base_raw"][new_side] = (seq[starts][fresh] - begin[fresh]) & 0xFFFFFFFF
        table["syn_seen"][side] |= np.logical_or.reduceat(syn, starts)
        rel = _unwrap(seq, starts, before, begin)
        ends = run_ends(starts, len(rows))
        table["seq_raw"][side] = seq[ends]
        table["seq_rel"][side] = rel[ends]

        end = rel + payload + syn + ((flags & FIN) != 0)
        lane = np.zeros(len(rows), dtype=np.int64)
        lane[starts] = _LANE
        lane = np.cumsum(lane)
        bounded = np.clip(end, -(_LANE >> 2), _LANE >> 2)
        carried = table["highest"][side]
        lifted = bounded + lane
        lifted[starts] = np.maximum(lifted[starts], carried + lane[starts])
        running = np.maximum.accumulate(lifted)  # highest end up to and including this packet, lifted
        prior = np.empty_like(running)
        prior[1:] = running[:-1]
        prior[starts] = carried + lane[starts]
        highest = prior - lane
        table["highest"][side] = running[ends] - lane[ends]

        occupies = (payload > 0) | syn | ((flags & FIN) != 0)
        # RFC 9293 3.8.4: a keep-alive repeats one byte before the next expected; it is no loss.
        keep_alive = (
            (payload <= 1) & ~syn & ((flags & FIN) == 0) & (rel == highest - 1) & (rel + payload <= highest)
        )
        repeats = occupies & (highest >= 0) & (rel < highest) & ~keep_alive
        rel_out, highest_out, ends_out, again, late = out
        rel_out[rows] = rel
        highest_out[rows] = highest
        ends_out[rows] = end
        hit = np.flatnonzero(repeats)
        if len(hit):
            age, reach = self._gap_age(hit, fs, starts, rel, lane, running, time)
            merely_late = (reach <= REORDER_REACH) & (age < reorder_limit[hit])
            late[rows[hit]] = merely_late
            again[rows[hit]] = ~merely_late
        self._keep_tail(fs, starts, running - lane, time)

    def _gap_age(  # noqa: PLR0913 - the arrays of one step
        self,
        hit: IntArray,
        fs: IntArray,
        starts: IntArray,
        rel: IntArray,
        lane: IntArray,
        running: IntArray,
        time: IntArray,
    ) -> tuple[IntArray, IntArray]:
        """Since when (ns) and how many packets ago the sender had passed the start of each repeating segment."""
        wanted = rel[hit] + lane[hit]
        passed = np.searchsorted(running, wanted, side="right")  # first packet whose running end lies beyond
        start = starts[np.searchsorted(starts, hit, side="right") - 1]
        passed = np.maximum(passed, start)
        age = time[hit] - time[np.minimum(passed, hit)]
        reach = hit - passed
        # Where the first packet of the run is already beyond, the gap may have opened in an earlier batch.
        early = np.flatnonzero(passed == start)
        if len(early):
            rows = hit[early]
            beyond = self._tail_end[fs[rows]] > rel[rows][:, None]
            inside = beyond.any(axis=1)
            use, place = early[inside], beyond.argmax(axis=1)[inside]
            age[use] = time[hit[use]] - self._tail_time[fs[hit[use]], place]
            reach[use] = (hit[use] - start[use]) + (_TAIL - place)
        return age, reach

    def _grow(self, sides: int) -> None:
        self.sides.grow_to(sides)
        have = len(self._tail_end)
        if sides > have:
            more = max(sides, 2 * have) - have
            self._tail_end = np.vstack([self._tail_end, np.full((more, _TAIL), -_LANE, dtype=np.int64)])
            self._tail_time = np.vstack([self._tail_time, np.zeros((more, _TAIL), dtype=np.int64)])

    def clear(self, sides: IntArray) -> None:
        """Forget senders whose rows are used again."""
        self.sides.clear(sides)
        sides = sides[sides < len(self._tail_end)]
        self._tail_end[sides] = -_LANE
        self._tail_time[sides] = 0

    def _keep_tail(self, fs: IntArray, starts: IntArray, end: IntArray, time: IntArray) -> None:
        """Move the window of the last packets of each sender on by the packets of this batch."""
        side = fs[starts]
        count = np.diff(np.append(starts, len(fs)))
        # The window is the end of (old window + new packets): the position of each of its places in that sequence.
        position = count[:, None] + np.arange(_TAIL)
        short = count < _TAIL  # these keep something of their old window
        newer = np.maximum((starts - _TAIL)[:, None] + position, 0)
        old = np.minimum(position[short], _TAIL - 1)
        from_old = position[short] < _TAIL
        for table, values in ((self._tail_end, end), (self._tail_time, time)):
            window = values[newer]
            window[short] = np.where(
                from_old, np.take_along_axis(table[side[short]], old, axis=1), window[short]
            )
            table[side] = window

    def _acks(self, rows: IntArray, fs: IntArray, ack: IntArray, new_ack: BoolArray) -> None:
        table = self.sides
        starts = run_starts(fs)
        side = fs[starts]
        fresh = table["ack_raw"][side] < 0
        before = np.where(fresh, ack[starts], table["ack_raw"][side])
        begin = np.where(fresh, 0, table["ack_rel"][side])
        table["ack_first"][side[fresh]] = ack[starts][fresh]
        rel = _unwrap(ack, starts, before, begin)
        ends = run_ends(starts, len(rows))
        table["ack_raw"][side] = ack[ends]
        table["ack_rel"][side] = rel[ends]
        lane = np.zeros(len(rows), dtype=np.int64)
        lane[starts] = _LANE
        lane = np.cumsum(lane)
        lifted = np.clip(rel, -(_LANE >> 2), _LANE >> 2) + lane
        carried = table["ack_highest"][side] + lane[starts]
        lifted[starts] = np.maximum(lifted[starts], carried)
        running = np.maximum.accumulate(lifted)
        prior = np.empty_like(running)
        prior[1:] = running[:-1]
        prior[starts] = carried
        new_ack[rows] = rel + lane > prior
        table["ack_highest"][side] = running[ends] - lane[ends]

    def acknowledged(self, side: IntArray) -> IntArray:
        """Bytes (from relative 1) of each sender that its peer acknowledged; -1 where no ACK tells."""
        table = self.sides
        peer = side ^ 1
        known = (table["base_raw"][side] >= 0) & (table["ack_first"][peer] >= 0)
        first = table["ack_first"][peer] - table["base_raw"][side]
        first = ((first + (1 << 31)) & 0xFFFFFFFF) - (1 << 31)
        progress = first + table["ack_highest"][peer] - 1
        found: IntArray = np.where(known, np.maximum(progress, 0), -1)
        return found


def _unwrap(raw: IntArray, starts: IntArray, before: IntArray, begin: IntArray) -> IntArray:
    """Relative numbers of runs of raw 32-bit ones: each run goes on from raw ``before`` = relative ``begin``."""
    step = np.empty(len(raw), dtype=np.int64)
    step[1:] = raw[1:] - raw[:-1]
    step[starts] = raw[starts] - before
    step = ((step + (1 << 31)) & 0xFFFFFFFF) - (1 << 31)
    total = np.cumsum(step)
    lengths = np.diff(np.append(starts, len(raw)))
    offset = begin - (total[starts] - step[starts])
    unwrapped: IntArray = total + np.repeat(offset, lengths)
    return unwrapped
