"""What every collector of a protocol is to the rest of the house."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt
    import polars as pl

    from forensics.flows.arrays import IntArray
    from forensics.flows.engine import FlowBatch, FlowEngine
    from forensics.observations.datagrams import Datagrams
    from forensics.observations.dictionary import Table
    from forensics.observations.readers import Opener
    from forensics.observations.sides import Sides


@dataclass(frozen=True)
class Asked:
    """What somebody will read: what costs much, and nobody asks for, is left out.

    A rule asks for the columns that its conditions name and for its table, a user for the table that is shown.
    """

    tables: frozenset[str] = frozenset()
    columns: frozenset[str] = frozenset()
    """Columns of the flow table that are computed on request only: fingerprints."""

    def table(self, name: str) -> bool:
        """Whether the rows of this table will be read."""
        return name in self.tables

    def column(self, name: str) -> bool:
        """Whether this column of the flow table will be read."""
        return name in self.columns

    def __or__(self, other: Asked) -> Asked:
        """What either asks for."""
        return Asked(self.tables | other.tables, self.columns | other.columns)


@dataclass(frozen=True)
class Arrived:
    """One batch, as collectors get it."""

    flows: FlowBatch
    """Packets sorted by (flow, side, frame)."""
    data: npt.NDArray[np.uint8]
    """What ``payload_offset`` points into."""
    engine: FlowEngine
    datagrams: Datagrams
    """Of the UDP packets with payload, the first bytes."""
    frames: npt.NDArray[np.int64]
    """All frames of the batch, ascending; a frame with several headers stands there several times."""
    clock: npt.NDArray[np.int64]
    """For each of ``frames`` the latest time (ns) of the capture so far, which never steps back."""

    def clock_at(self, frame: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """The clock (ns) at frames of this batch."""
        return self.clock[np.searchsorted(self.frames, frame)]


class Collector(Protocol):
    """Watches the flows for one protocol; memory is bounded, whatever is sent.

    How the capture is cut into batches makes no difference to any result.
    """

    @property
    def tables(self) -> tuple[Table, ...]:
        """Tables whose rows come from here."""

    def add(self, arrived: Arrived) -> None:
        """Take in one batch."""

    def finish(self, flows: IntArray) -> None:
        """No more packets of these flows (numbers of the engine) will come."""

    def flow_columns(self, sides: Sides) -> Mapping[str, Any]:
        """Columns of the flow table by name, one value for each row of ``sides``; see dictionary/flow.py."""

    def rows(self, table: str, sides: Sides) -> pl.DataFrame:
        """Rows of one of ``tables``, called only if it is asked for.

        ``flow`` is the row within ``sides``: 0, 1, … The columns ``proto`` to ``server_port`` are filled afterwards
        from the flow table, and may be left out, as may any column that is null in all rows.
        """

    def clear(self, flows: IntArray) -> None:
        """Forget these flows: their numbers will be those of others."""


@runtime_checkable
class TellsClient(Protocol):
    """A collector whose protocol says who is the client, whoever is captured first."""

    def client_sides(self, flows: IntArray) -> IntArray:
        """Side (0 or 1) of the client of each of these flows (numbers of the engine); -1 where nothing tells."""


@runtime_checkable
class ReadsStreams(Protocol):
    """A collector that reads the bytes of TCP connections in order."""

    @property
    def openers(self) -> tuple[Opener, ...]:
        """What makes its readers; see forensics.observations.streams."""
