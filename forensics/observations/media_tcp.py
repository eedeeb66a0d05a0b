"""TURN and ICE over TCP: a stream cut into the messages and frames that datagrams would be."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from forensics.flows.arrays import NEVER
from forensics.protocols.errors import ProtocolError
from forensics.protocols.stun import COOKIE, HEADER, stream_size

if TYPE_CHECKING:
    from collections.abc import Callable

    from forensics.flows.arrays import BoolArray
    from forensics.observations.readers import Heads, Opening

HELD: Final = 2048
"""Bytes of one message that are put together; what is beyond them is skipped."""
_CHANNEL_BYTES: Final = 96
"""The same of a channel frame: the headers of what it carries."""
_PREFIX: Final = 2


class Unit(NamedTuple):
    """One message or frame, as if it had come in a datagram."""

    fs: int
    frame: int
    """Of its first byte, or of the byte that came with it."""
    time: int
    data: bytes
    """Its first bytes."""
    length: int


class TurnReader:
    """Reads one connection; ``give`` gets every unit. A side that loses bytes, or ends to make sense, is left.

    Messages follow each other (RFC 8489, 6.2.2; RFC 8656, 12.5), or each has its length before it (RFC 4571, as ICE
    over TCP does, RFC 6544).
    """

    def __init__(self, opening: Opening, give: Callable[[Unit], None], *, prefixed: bool) -> None:
        self._flow, self._give, self._prefixed = opening.flow, give, prefixed
        self._held = [b"", b""]
        self._begun = [(0, 0), (0, 0)]  # frame and time of what is held

    def take(self, side: int, place: int, piece: bytes, frame: int, time: int) -> int:
        """See readers.StreamReader."""
        if not self._held[side]:
            self._begun[side] = (frame, time)
        data = self._held[side] + piece
        after = place + len(piece)
        at = 0
        while at < len(data):
            try:
                sizes = self._sizes(data[at : at + HEADER + _PREFIX])
            except ProtocolError:
                self._held[side] = b""
                return NEVER
            if sizes is None:
                break
            skip, size, want = sizes
            if len(data) - at < skip + min(size, want):
                break
            begun = self._begun[side] if at == 0 else (frame, time)
            body = data[at + skip : at + skip + min(size, want)]
            length = size
            if body[:1] and body[0] >> 4 == 4:  # noqa: PLR2004 - a channel: its padding stays out
                length = min(size, 4 + int.from_bytes(body[2:4], "big"))
            self._give(Unit(2 * self._flow + side, *begun, body[:length], length))
            at += skip + size
        self._held[side] = data[at:]
        if at:
            self._begun[side] = (frame, time)
        return after - len(data) + max(at, len(data))

    def _sizes(self, first: bytes) -> tuple[int, int, int] | None:
        """Bytes before the unit, its size, and how many of it are wanted; None: more are needed to tell."""
        if self._prefixed:
            if len(first) < _PREFIX:
                return None
            return _PREFIX, int.from_bytes(first[:_PREFIX], "big"), HELD
        size = stream_size(first)
        return None if size is None else (0, size, _CHANNEL_BYTES if first[0] >> 6 else HELD)

    def lost(self, side: int, place: int, until: int) -> int:
        """Where the next message begins is lost with the bytes."""
        del place, until
        self._held[side] = b""
        return NEVER

    def differs(self, side: int, place: int, piece: bytes, frame: int, time: int) -> None:
        """Nothing is made of it here."""

    def finish(self) -> None:
        """An unfinished message is none."""


def begins_plain(heads: Heads) -> BoolArray:
    """Sides that begin with a STUN message."""
    return _cookie(heads, 4)


def begins_prefixed(heads: Heads) -> BoolArray:
    """Sides that begin with the length of a STUN message, and it."""
    size = heads.head[:, 0].astype(np.int64) << 8 | heads.head[:, 1]
    body = heads.head[:, 4].astype(np.int64) << 8 | heads.head[:, 5]
    return np.asarray(_cookie(heads, 4 + _PREFIX) & (size == HEADER + body))


def _cookie(heads: Heads, place: int) -> BoolArray:
    found = (heads.length >= place + 4) & (heads.head[:, place - 4] < 64)  # noqa: PLR2004 - the first two bits are 0
    for at, byte in enumerate(COOKIE.to_bytes(4, "big"), place):
        found &= heads.head[:, at] == byte
    return np.asarray(found)
