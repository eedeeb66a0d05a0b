"""Follows TCP connections whose protocol needs more than one segment: bytes in order, to a reader of each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol, TypeAlias

from forensics.flows.arrays import NEVER, BoolArray, IntArray

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from forensics.flows.engine import FlowBatch, FlowEngine

__all__ = ["NEVER", "Heads", "Opener", "Opening", "StreamCollector", "StreamReader", "Wire"]

HEAD_BYTES: Final = 32


class Wire(NamedTuple):
    """What the headers of one segment say of it."""

    ttl: int
    ipid: int
    """-1 for IPv6."""
    df: bool
    window: int
    """Unscaled."""
    flags: int
    """TCP flags, see decode/flags.py."""


class StreamReader(Protocol):
    """Reads one connection. All calls come in the order of the capture; it must not raise.

    Bytes of one side come in order and each once; the two sides come as the capture holds them.
    """

    def take(self, side: int, place: int, piece: bytes, frame: int, time: int) -> int:
        """The next bytes of one side (0 or 1, as FlowBatch.side).

        ``place`` is the offset of ``piece`` in that side's stream (0: the first payload byte), ``frame`` the frame that
        carried it first, ``time`` that frame's time (ns). Returns the place from which on more is wanted:
        ``place + len(piece)`` to go on, one beyond to skip (what lies between costs nothing), ``NEVER`` for
        nothing more of this side.
        """
        ...

    def lost(self, side: int, place: int, until: int) -> int:
        """The bytes ``[place, until)`` will never come: not captured, cut off by the capture, or given up.

        Answers as ``take`` does. May be the first call of a side: the connection is followed from its middle.
        """
        ...

    def differs(self, side: int, place: int, piece: bytes, frame: int, time: int) -> None:
        """A segment held other bytes for places already taken: ``piece`` is what it holds for them.

        ``piece`` is all of the segment that lies where taken bytes are still remembered (equal bytes too); what
        of the segment lies beyond the bytes taken is given to ``take`` next. Not every repetition can be
        compared: a bounded number of the last bytes taken is remembered.
        """
        ...

    def finish(self) -> None:
        """No more will come."""
        ...


@dataclass(slots=True)
class Opening:
    """How a followed connection began. ``wire`` changes: it describes the segment of the call that is being made."""

    flow: int
    """Number in the flow engine; used again for another flow after ``clear``."""
    side: int
    """The side whose bytes were recognized."""
    ports: tuple[int, int]
    """Of side 0 and side 1."""
    frame: int
    """Of the first bytes recognized."""
    time: int
    first: bytes
    """The payload of that frame. It is given to ``take`` next."""
    wire: Wire
    """Of the frame of the call of ``take`` or ``differs`` that is being made."""


class Heads(NamedTuple):
    """The first segment with payload of some stream sides, one element each; all arrays of one length."""

    head: npt.NDArray[np.uint8]
    """n × 32: the first payload bytes, zero padded."""
    length: IntArray
    """Payload bytes captured of the segment."""
    port: IntArray
    """Of the sender."""
    peer_port: IntArray
    fs: IntArray
    """2 × flow + side of the sender."""
    offset: IntArray
    """Where the payload begins in ``data``: for those few of which 32 bytes do not tell enough."""
    data: npt.NDArray[np.uint8]


Looks: TypeAlias = "Callable[[Heads], BoolArray]"


@dataclass(frozen=True)
class Opener:
    """Says which connections a reader is made for; a collector that has one hands it to StreamCollector."""

    name: str
    looks: Looks
    """Array code: which of these sides begin as the protocol does. Asked once a side, at its first payload."""
    make: Callable[[Opening], StreamReader]


@dataclass
class StreamCollector:
    """Feeds readers; the first opener whose ``looks`` says yes, to either side of a connection, gets it.

    It is fed each batch after the flow engine and before the collectors that own the openers. Results do not
    depend on where batches are cut. Memory is bounded, whatever is fed.
    """

    engine: FlowEngine
    openers: Sequence[Opener] = field(default_factory=tuple)

    def add(self, batch: FlowBatch, data: npt.NDArray[np.uint8]) -> None:
        """Take in one batch; ``data`` is what its ``payload_offset`` points into."""

    def finish(self, flows: IntArray) -> None:
        """No more packets of these flows will come: what is held is handed out, then readers are finished."""

    def clear(self, flows: IntArray) -> None:
        """Forget finished flows, whose numbers are used again."""
