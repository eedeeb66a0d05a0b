"""Bytes that were acknowledged but never captured: what the capture missed, not what the network lost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from forensics.flows.arrays import FRAME_BITS, run_ends, run_starts

if TYPE_CHECKING:
    from forensics.flows.arrays import GrowingColumns, IntArray
    from forensics.flows.engine import FlowBatch
    from forensics.flows.sequence import SequenceTracker

_SANE: Final = 1 << 30
"""A larger gap is no loss but an acknowledgement that means nothing (RFC 7323 2.3: no window is larger)."""


def count_unseen(batch: FlowBatch, sides: GrowingColumns, sequence: SequenceTracker) -> tuple[int, int]:
    """Count acknowledgements of bytes that lie beyond all that the capture holds of their sender so far.

    Wireshark calls such a packet ``tcp.analysis.ack_lost_segment``. Of the side whose bytes are missing,
    ``unseen_segments`` counts the acknowledgements and ``unseen_bytes`` what they skip; ``acked`` of the side that
    acknowledges is how far it came, relative as in SequenceTracker. Returns both sums of this batch.
    """
    rows = np.flatnonzero(batch.new_ack)
    if not len(rows):
        return 0, 0
    peer = batch.fs[rows] ^ 1
    reach = _reach(batch, rows, peer, sequence)
    known = reach >= 0
    rows, peer, reach = rows[known], peer[known], reach[known]
    if not len(rows):
        return 0, 0
    fs = batch.fs[rows]
    ahead = batch.column["ack"][rows] - sequence.sides["base_raw"][peer] - reach
    acked = reach + ((ahead + (1 << 31)) & 0xFFFFFFFF) - (1 << 31)
    starts = run_starts(fs)
    before = np.empty_like(acked)
    before[1:] = acked[:-1]  # they are new ones, so each is higher than the one before
    before[starts] = sides["acked"][fs[starts]]
    ends = run_ends(starts, len(fs))
    sides["acked"][fs[ends]] = acked[ends]
    size = acked - np.maximum(reach, before)
    missed = np.flatnonzero((size > 0) & (size < _SANE))
    np.add.at(sides["unseen_segments"], peer[missed], 1)
    np.add.at(sides["unseen_bytes"], peer[missed], size[missed])
    return len(missed), int(size[missed].sum())


def _reach(batch: FlowBatch, rows: IntArray, peer: IntArray, sequence: SequenceTracker) -> IntArray:
    """How far the other side of each of ``rows`` had come before it; -1 where nothing of it was captured."""
    frame = batch.column["frame"]
    order = (batch.fs << FRAME_BITS) | frame
    # the peer's next packet knows how far it had come before that packet
    following = np.searchsorted(order, (peer << FRAME_BITS) | frame[rows])
    inside = np.minimum(following, len(order) - 1)
    mine = (following < len(order)) & (batch.fs[inside] == peer)
    reach: IntArray = np.where(mine, batch.highest[inside], sequence.sides["highest"][peer])
    return reach
