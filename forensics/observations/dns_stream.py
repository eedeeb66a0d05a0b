"""Reads DNS messages out of a TCP connection.

https://www.rfc-editor.org/rfc/rfc7766 : several messages a connection, pipelined, answered in any order, cut over
segments anywhere.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

import numpy as np

from forensics.flows.arrays import NEVER
from forensics.observations.dns_transactions import PORTS, Carried
from forensics.protocols.dns import HEADER_BYTES, parse_message
from forensics.protocols.errors import ProtocolError

if TYPE_CHECKING:
    from collections.abc import Callable

    from forensics.flows.arrays import BoolArray
    from forensics.observations.dns_transactions import Transactions
    from forensics.observations.streams import Heads, Opening
    from forensics.protocols.dns import DnsMessage

DNS_PORT: Final = 53
_PREFIX: Final = 2
"""Bytes that give the length: https://www.rfc-editor.org/rfc/rfc1035#section-4.2.2"""
KEPT_BYTES: Final = 16 << 10
"""Of a longer message (a transfer of a whole zone) only the beginning is read."""
OPEN: Final = 256
"""Look-ups of one connection that wait for an answer."""
_DOUBTS: Final = 8
"""Segments at whose beginning a message is looked for, when it is not known where one begins."""
_BEGINNINGS: Final = 8
"""Messages whose places are remembered, so that a second version of one is known for what it is."""

# places of the header in the first bytes of a stream, which the length stands before
_OPCODE, _QUESTIONS = 4, 6
_MOST_QUESTIONS: Final = 4
_KNOWN_OPCODES: Final = 5


def looks_like_dns(heads: Heads) -> BoolArray:
    """Sides of connections with port 53 whose first bytes can be the length and header of a DNS message."""
    head, length = heads.head, heads.length
    port: BoolArray = (heads.port == DNS_PORT) | (heads.peer_port == DNS_PORT)
    announced = head[:, 0].astype(int) << 8 | head[:, 1]
    # the length may come in a segment of its own
    long_enough = (length < _PREFIX) | (announced >= HEADER_BYTES)
    opcode = (length <= _OPCODE) | (head[:, _OPCODE] >> 3 & 0xF <= _KNOWN_OPCODES)
    few = (head[:, _QUESTIONS] == 0) & (head[:, _QUESTIONS + 1] <= _MOST_QUESTIONS)
    # https://www.rfc-editor.org/rfc/rfc8446#section-5.1 : a record of TLS with a hello is much like it
    tls = (head[:, 0] == 0x16) & (head[:, 1] == 3) & (head[:, 2] <= 4) & np.isin(head[:, 5], (1, 2))  # noqa: PLR2004
    found: BoolArray = port & long_enough & opcode & ((length <= _QUESTIONS + 1) | few) & ~tls
    return found


class _Side:
    """What one side sent and is not read yet."""

    __slots__ = ("begins", "doubts", "held", "place", "read", "synchronous")

    def __init__(self) -> None:
        self.held = bytearray()
        self.place = 0
        """In the stream, of the first byte held."""
        self.synchronous = True
        """A message begins at ``place``."""
        self.doubts = _DOUBTS
        self.read = 0
        """Messages."""
        self.begins: deque[int] = deque(maxlen=_BEGINNINGS)


class DnsReader:
    """One TCP connection to port 53; a reader for ``streams.StreamCollector``."""

    def __init__(
        self,
        opening: Opening,
        ends: tuple[int, int],
        stream: int,
        transactions: Transactions,
        count: Callable[[str], None],
    ) -> None:
        """``ends``: address ids of side 0 and 1; ``count`` is told ``not_dns`` or ``cut`` for what is no message."""
        self._opening = opening
        self._ends = ends
        self._stream = stream
        self._transactions = transactions
        self._count = count
        self._sides = (_Side(), _Side())
        self._clock = 0
        self._last: tuple[int, int] = (opening.frame, opening.time)

    def take(self, side: int, place: int, piece: bytes, frame: int, time: int) -> int:
        """See StreamReader."""
        mine = self._sides[side]
        self._last = frame, time
        if not mine.synchronous:
            return self._look(side, place, piece)
        if not mine.held:
            mine.place = place
        mine.held += piece
        return self._drain(side)

    def _look(self, side: int, place: int, piece: bytes) -> int:
        """Takes the beginning of a segment for that of a message, if it can be one."""
        mine = self._sides[side]
        length = int.from_bytes(piece[:_PREFIX], "big")
        whole = _PREFIX + length <= len(piece)
        try:
            message = parse_message(piece[_PREFIX : _PREFIX + length])
        except ProtocolError:
            message = None
        if message is None or (whole and message.malformed):
            mine.doubts -= 1
            return place + len(piece) if mine.doubts else NEVER
        mine.synchronous = True
        mine.place = place
        mine.held[:] = piece
        return self._drain(side)

    def _drain(self, side: int) -> int:
        """Reads the messages held; the place from which on more is wanted."""
        mine = self._sides[side]
        held = mine.held
        while len(held) >= _PREFIX:
            length = held[0] << 8 | held[1]
            if length < HEADER_BYTES and not mine.read:
                self._count("not_dns")
                held.clear()
                return NEVER
            have = min(length, KEPT_BYTES)
            if len(held) < _PREFIX + have:
                break
            if not self._message(side, mine.place, bytes(held[_PREFIX : _PREFIX + have]), length):
                held.clear()
                return NEVER
            mine.place += _PREFIX + length
            del held[: _PREFIX + length]  # what is not there yet will be skipped
            if not held:
                return mine.place
        return mine.place + len(held)

    def _message(self, side: int, place: int, payload: bytes, length: int) -> bool:
        """Takes in one message, or its beginning; False when the connection speaks something else."""
        mine = self._sides[side]
        try:
            message = parse_message(payload)
        except ProtocolError:
            self._count("not_dns")  # header and question of a long message are in what is kept of it
            return mine.read > 0
        mine.read += 1
        mine.begins.append(place)
        self._tell(side, message, payload, length)
        return True

    def _tell(self, side: int, message: DnsMessage, payload: bytes, length: int) -> None:
        frame, time = self._last
        self._clock = max(self._clock, time)
        wire, ports = self._opening.wire, self._opening.ports
        carried = Carried(
            frame=frame,
            time=time,
            clock=self._clock,
            stream=self._stream,
            src=self._ends[side],
            dst=self._ends[1 - side],
            sport=ports[side],
            dport=ports[1 - side],
            ttl=wire.ttl,
            ipid=wire.ipid,
            df=wire.df,
            payload_len=length,
            payload_offset=0,
            payload_captured=len(payload),
            copied=False,
        )
        # multicast DNS and LLMNR have nothing to do with this connection, whatever its other port is
        if PORTS.get(carried.sport if message.is_response else carried.dport) == "dns":
            self._transactions.add(carried, message, payload, whole=len(payload) == length)
        else:
            self._count("not_dns")

    def lost(self, side: int, place: int, until: int) -> int:  # noqa: ARG002 - as StreamReader has it
        """See StreamReader."""
        mine = self._sides[side]
        if mine.synchronous and mine.held:
            self._broken(side)
            length = mine.held[0] << 8 | mine.held[1] if len(mine.held) >= _PREFIX else 0
            end = mine.place + _PREFIX + length
            mine.held.clear()
            if length and until <= end:  # the next message begins where this one ends
                return end
        elif mine.synchronous and mine.read and until <= mine.place:
            return mine.place  # what is lost is the rest of a message that was too long to keep
        mine.synchronous = False
        return until

    def _broken(self, side: int) -> None:
        """A message of which only the beginning is there: its question may be."""
        mine = self._sides[side]
        length = int.from_bytes(mine.held[:_PREFIX], "big")
        payload = bytes(mine.held[_PREFIX : _PREFIX + length])
        try:
            message = parse_message(payload)
        except ProtocolError:
            self._count("cut")
        else:
            mine.read += 1
            self._tell(side, message, payload, length)

    def differs(self, side: int, place: int, piece: bytes, frame: int, time: int) -> None:
        """See StreamReader: a second version of a message is one more response."""
        mine = self._sides[side]
        length = int.from_bytes(piece[:_PREFIX], "big")
        if place not in mine.begins or len(piece) < _PREFIX + length:
            return
        try:
            message = parse_message(piece[_PREFIX : _PREFIX + length])
        except ProtocolError:
            return
        if message.is_response:
            before, self._last = self._last, (frame, time)
            self._tell(side, message, piece[_PREFIX : _PREFIX + length], length)
            self._last = before

    def finish(self) -> None:
        """See StreamReader."""
        for side, mine in enumerate(self._sides):
            if mine.synchronous and mine.held:
                self._broken(side)
                mine.held.clear()
        self._transactions.close()
