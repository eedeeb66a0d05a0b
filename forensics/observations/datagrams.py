"""The beginnings of all datagrams of a batch: what protocols over UDP are told by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from forensics.capture.gather import gather_rows

if TYPE_CHECKING:
    import numpy.typing as npt

    from forensics.flows.arrays import BoolArray, IntArray
    from forensics.flows.engine import FlowBatch

HEAD_BYTES: Final = 32


@dataclass(frozen=True)
class Datagrams:
    """The UDP packets of a batch that carry payload, in the order of the batch; arrays of one length n."""

    rows: IntArray
    """Their places in the FlowBatch."""
    head: npt.NDArray[np.uint8]
    """First payload bytes, n x 32; zero beyond what was captured."""
    length: IntArray
    """Payload bytes on the wire."""
    captured: IntArray
    """Payload bytes in the capture."""

    def __len__(self) -> int:
        return len(self.rows)


def datagrams(batch: FlowBatch, data: npt.NDArray[np.uint8]) -> Datagrams:
    """The datagrams of a batch; UDP packets that carry other packets are tunnels and not among them."""
    captured = batch.column["payload_captured"]
    chosen: BoolArray = ~batch.tcp & (captured > 0)
    rows = np.flatnonzero(chosen)
    have = captured[rows].astype(np.int64)
    head = gather_rows(data, batch.column["payload_offset"][rows], HEAD_BYTES)
    head[np.arange(HEAD_BYTES) >= have[:, None]] = 0
    return Datagrams(rows, head, batch.column["payload_len"][rows].astype(np.int64), have)
