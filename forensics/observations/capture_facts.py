"""What packets say of the capture itself: how fine its clock is, and whether its packets are those of the wire."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl

if TYPE_CHECKING:
    import numpy.typing as npt

    from forensics.decode.columns import PacketTable

TICKS_NS: Final = (1_000_000_000, 100_000_000, 10_000_000, 1_000_000)
"""Coarse steps of a clock that are told apart; nothing is said of a finer one."""
FEWEST: Final = 10
"""Packets needed before a clock is called coarse: by chance one in a thousand falls on a millisecond."""
ETHERNET_MTU: Final = 1500
JUMBO_MTU: Final = 9216
"""No link in common use carries a longer IP packet; many cannot be told from segments put together below it."""


TICKS_OF_A_DELAY: Final = 4
"""Ticks of a coarse clock that a delay must have before others are compared with it: each may be off by one."""


def measured(ratio: str, base: str, tick_ns: int) -> pl.Expr:
    """The column ``ratio`` without its values where ``base`` (ms), which it is counted in, is a few ticks only."""
    return pl.when(pl.col(base) >= TICKS_OF_A_DELAY * tick_ns / 1e6).then(pl.col(ratio)).alias(ratio)


class CaptureFacts:
    """Fed with the packet table of each batch, in order; sums and extremes only, so that cuts make no difference."""

    def __init__(self) -> None:
        self.packets = 0
        self.longest_gap = 0
        """Longest time (ns) in which no packet was captured."""
        self.over_mtu = 0
        """Packets longer than ETHERNET_MTU with their IP header,"""
        self.over_jumbo = 0
        """and longer than JUMBO_MTU: put together or not yet cut by the capturing host (GRO, LRO, TSO, GSO)."""
        self.longest_ip = 0
        """Bytes of the longest."""
        self._tick = 0

    def add(self, packets: PacketTable, clock: npt.NDArray[np.int64], before: npt.NDArray[np.int64]) -> None:
        """Take in the rows of one batch.

        ``clock`` (ns) is the latest time up to and including each packet, ``before`` that up to the packet before it.
        """
        time, length = packets["time"], packets["ip_bytes"]
        if not len(time):
            return
        first = 0 if self.packets else 1  # nothing lies before the first packet
        self.longest_gap = max(self.longest_gap, int((clock[first:] - before[first:]).max(initial=0)))
        while self._tick < len(TICKS_NS) and bool((time % TICKS_NS[self._tick]).any()):
            self._tick += 1
        longest = int(length.max())
        if longest > ETHERNET_MTU:
            self.longest_ip = max(self.longest_ip, longest)
            self.over_mtu += int(np.count_nonzero(length > ETHERNET_MTU))
            self.over_jumbo += int(np.count_nonzero(length > JUMBO_MTU))
        self.packets += len(time)

    @property
    def tick_ns(self) -> int | None:
        """The coarse step of which all times are multiples; None for a finer clock, or too few packets to say."""
        if self.packets < FEWEST or self._tick == len(TICKS_NS):
            return None
        return TICKS_NS[self._tick]
