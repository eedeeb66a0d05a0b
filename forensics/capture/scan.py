"""What a container format has to offer: finding records in a window of bytes, without copying them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

MAX_CAPLEN = 262_144
"""No capture tool stores more of a packet (``MAXIMUM_SNAPLEN`` of libpcap, ``WTAP_MAX_PACKET_SIZE`` of
Wireshark); a larger length is damage."""


@dataclass(frozen=True)
class Columns:
    """The numeric columns of Batch, one element a packet; dtypes and units as there."""

    offset: npt.NDArray[np.int64]
    caplen: npt.NDArray[np.int64]
    wirelen: npt.NDArray[np.int64]
    time: npt.NDArray[np.int64]
    linktype: npt.NDArray[np.int32]
    interface: npt.NDArray[np.int32]
    direction: npt.NDArray[np.int8] | None = None
    uid: npt.NDArray[np.int32] | None = None


@dataclass(frozen=True)
class Scan:
    """Outcome of one scan over a window."""

    columns: Columns
    position: int
    """First byte of the window that was not consumed."""
    need: int = 0
    """Bytes that must follow ``position`` before a scan can go on; 0 when the packet limit ended it."""
    damage: str = ""
    """Set when nothing after ``position`` can be trusted."""


class RecordFormat(Protocol):
    """A container format; keeps only what it needs to read on (byte order, interfaces)."""

    def scan(self, data: npt.NDArray[np.uint8], start: int, end: int, base: int, limit: int) -> Scan:
        """Read at most ``limit`` packets of ``data[start:end]``; byte 0 of it is byte ``base`` of the capture."""
        ...


def no_columns() -> Columns:
    """Columns of no packets."""
    empty = np.empty(0, dtype=np.int64)
    none = np.empty(0, dtype=np.int32)
    return Columns(empty, empty, empty, empty, none, none)
