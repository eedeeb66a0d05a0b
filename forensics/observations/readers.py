"""What reads a TCP connection that is followed, and how it says which connections it wants."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    import numpy.typing as npt

    from forensics.flows.arrays import BoolArray, IntArray
    from forensics.flows.reassembly import Wire


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

        Answers as ``take`` does. May be the first call of a side: ``lost(side, 0, 0)`` where the connection was
        open before its first captured packet, and ``lost(side, 0, n)`` where n bytes went by before it was
        followed.
        """
        ...

    def differs(self, side: int, place: int, piece: bytes, frame: int, time: int) -> None:
        """A segment held other bytes for places already taken: ``piece`` is what it holds for them.

        ``piece`` is all of the segment that lies where taken bytes are still remembered (equal bytes too); what
        of the segment lies beyond the bytes taken is given to ``take`` next. Not every repetition can be
        compared: a bounded number of the last bytes taken is remembered, also after ``NEVER``.
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
    """The payload of that frame, as far as it was captured. It is given to ``take`` next."""
    wire: Wire
    """Of the frame of the call of ``take`` or ``differs`` that is being made."""


class Heads(NamedTuple):
    """The first segment with payload of some stream sides, one element each; all arrays of one length."""

    head: npt.NDArray[np.uint8]
    """n × 32: the first payload bytes, zero padded."""
    length: IntArray
    """Payload bytes captured of the segment: perhaps none, perhaps the first byte alone."""
    port: IntArray
    """Of the sender."""
    peer_port: IntArray
    fs: IntArray
    """2 × flow + side of the sender."""
    offset: IntArray
    """Where the payload begins in ``data``: for those few of which 32 bytes do not tell enough."""
    data: npt.NDArray[np.uint8]


Looks: TypeAlias = "Callable[[Heads], BoolArray]"


class Opener(NamedTuple):
    """Says which connections a reader is made for; the collector that reads them has it among its ``openers``."""

    name: str
    looks: Looks
    """Array code: which of these sides begin as the protocol does. Asked once a side, at the beginning of its stream
    (or, where that was not captured, at its first payload). Short beginnings: yes if it may be."""
    make: Callable[[Opening], StreamReader]
