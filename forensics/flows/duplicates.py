"""Packets that the capture holds twice: a mirror port (SPAN) that copies on the way in and out, or two interfaces.

A copy is told from a retransmission by what no retransmission repeats: its sender would give it a new IP-ID and, with
TCP timestamps, another checksum. Where the sender uses no IP-ID (0, or IPv6) only segments that occupy sequence space
are looked at, since acknowledgements repeat by themselves.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from forensics.decode.flags import FIN, RST, SYN

if TYPE_CHECKING:
    import numpy.typing as npt

    from forensics.flows.arrays import BoolArray, IntArray

REACH: Final = 8
"""A copy stands at most this many packets of its sender behind the packet it repeats,"""
FRAMES: Final = 1024
"""at most this many frames behind it,"""
WITHIN_NS: Final = 5_000_000
"""and at most this much later."""

_CARRIED: Final = (
    "frame", "time", "ttl", "ipid", "flags", "window", "payload_len", "checksum", "seq", "ack",
)  # fmt: skip
_EQUAL: Final = ("ipid", "seq", "ack", "flags", "window", "payload_len")


class CopyFinder:
    """Finds the copies of a capture batch by batch; where batches are cut makes no difference.

    Resets among them are for the caller to judge: forgers send the same reset several times. Where a capture shows
    copies of a flow's other packets, no more than one of several equal resets is believed.
    """

    def __init__(self) -> None:
        self.total = 0
        """Copies in the whole capture, by the caller's judgement."""
        self._fs = np.empty(0, dtype=np.int64)
        self._tcp = np.empty(0, dtype=np.bool_)
        self._column: dict[str, npt.NDArray[Any]] = {}

    def find(self, fs: IntArray, tcp: BoolArray, column: dict[str, npt.NDArray[Any]]) -> BoolArray:
        """Which packets repeat an earlier one of their sender, in all but a TTL that may differ by 1.

        Packets are sorted by (sender ``fs``, frame) and include those found before; ``column`` as in FlowBatch, with
        ``checksum`` (that of TCP or UDP; 0: none, which is never a copy).
        """
        found = np.zeros(len(fs), dtype=np.bool_)
        if not len(fs):
            return found
        _mark(found, fs, tcp, column)
        frame = column["frame"]
        if len(self._fs):
            head = np.flatnonzero(frame <= int(self._column["frame"].max()) + FRAMES)
            if len(head):
                self._mark_across(found, head, fs, tcp, column)
        self._keep(fs, tcp, column)
        return found

    def clear(self, sides: IntArray) -> None:
        """Forget senders whose rows are used again."""
        kept = np.flatnonzero(~np.isin(self._fs, sides))
        self._fs, self._tcp = self._fs[kept], self._tcp[kept]
        self._column = {name: values[kept] for name, values in self._column.items()}

    def _mark_across(
        self,
        found: BoolArray,
        head: IntArray,
        fs: IntArray,
        tcp: BoolArray,
        column: dict[str, npt.NDArray[Any]],
    ) -> None:
        """The first frames of a batch against the last ones before it."""
        both = {name: np.concatenate([self._column[name], column[name][head]]) for name in _CARRIED}
        senders = np.concatenate([self._fs, fs[head]])
        order = np.lexsort((both["frame"], senders))
        marks = np.zeros(len(order), dtype=np.bool_)
        _mark(
            marks,
            senders[order],
            np.concatenate([self._tcp, tcp[head]])[order],
            {name: values[order] for name, values in both.items()},
        )
        mine = order - len(self._fs)
        found[head[mine[marks & (mine >= 0)]]] = True

    def _keep(self, fs: IntArray, tcp: BoolArray, column: dict[str, npt.NDArray[Any]]) -> None:
        """The rows that a packet still to come may repeat."""
        oldest = int(column["frame"].max()) - FRAMES
        rows = np.flatnonzero(column["frame"] > oldest)
        if not len(self._fs):
            self._fs, self._tcp = fs[rows], tcp[rows]
            self._column = {name: column[name][rows] for name in _CARRIED}
            return
        old = np.flatnonzero(self._column["frame"] > oldest)
        self._fs = np.concatenate([self._fs[old], fs[rows]])
        self._tcp = np.concatenate([self._tcp[old], tcp[rows]])
        self._column = {
            name: np.concatenate([self._column[name][old], column[name][rows]]) for name in _CARRIED
        }


def _mark(found: BoolArray, fs: IntArray, tcp: BoolArray, column: dict[str, npt.NDArray[Any]]) -> None:
    """Compare every packet with the ``REACH`` ones before it of the same sender."""
    key = (column["seq"].astype(np.int64) << 16) | column["checksum"]
    for lag in range(1, min(REACH, len(fs) - 1) + 1):
        later = np.flatnonzero(key[lag:] == key[:-lag]) + lag
        if not len(later):
            continue
        later = later[(fs[later] == fs[later - lag]) & (column["checksum"][later] != 0)]
        if not len(later):
            continue
        for name in _EQUAL:
            later = later[column[name][later] == column[name][later - lag]]
        if not len(later):
            continue
        earlier = later - lag
        age = column["time"][later] - column["time"][earlier]
        apart = column["frame"][later] - column["frame"][earlier]
        hops = np.abs(column["ttl"][later].astype(np.int64) - column["ttl"][earlier])
        flags = column["flags"][later]
        occupies = tcp[later] & ((column["payload_len"][later] > 0) | ((flags & (SYN | FIN | RST)) != 0))
        same = (age >= 0) & (age <= WITHIN_NS) & (apart > 0) & (apart <= FRAMES) & (hops <= 1)
        found[later[same & ((column["ipid"][later] > 0) | occupies)]] = True
