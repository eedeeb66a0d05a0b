"""Which rows of the flow engine stand behind the rows of the flow table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from forensics.flows.arrays import IntArray


@dataclass(frozen=True)
class Sides:
    """For every row of the flow table its engine row and the per-side rows (2 × flow + side) of client and server."""

    flow: IntArray
    client: IntArray
    server: IntArray

    def __len__(self) -> int:
        return len(self.flow)
