"""The TCP connections that are followed: their few packets that matter, one at a time, to their readers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from forensics.flows.arrays import NEVER
from forensics.flows.reassembly import Piece, StreamSide
from forensics.observations.readers import Heads, Opening

if TYPE_CHECKING:
    from collections.abc import Sequence

    from forensics.flows.engine import FlowEngine
    from forensics.observations.readers import Opener, StreamReader

HEAD_BYTES: Final = 32
TOTAL_BYTES: Final = 64 << 20
"""Most bytes kept for all connections together; the side that has kept something for longest loses all of it."""
LATE: Final = -1
"""Instead of the number of an opener: the segment came before the one that begins its stream."""


class _Connection:
    """One connection; without ``talk`` as long as the segment that begins its stream is still missing."""

    __slots__ = ("sides", "talk")

    def __init__(self) -> None:
        self.talk: tuple[StreamReader, Opening] | None = None
        self.sides: list[StreamSide | None] = [None, None]


class _Sink:
    """Passes the bytes of one side to the reader, once there is one."""

    __slots__ = ("all", "begun", "connection", "fs")

    def __init__(self, connections: Connections, connection: _Connection, fs: int) -> None:
        self.all, self.connection, self.fs = connections, connection, fs
        self.begun = False

    def take(self, piece: Piece) -> int:
        """The next bytes."""
        talk = self.connection.talk or self.all.decide(self.connection, self.fs, piece)
        if talk is None:
            return NEVER
        reader, opening = talk
        opening.wire = piece.wire
        if not self.begun:
            self.begun = True
            if not self.all.begins_by(self.fs, piece.frame):
                wanted = reader.lost(self.fs & 1, 0, 0)
                if wanted >= piece.end:
                    return wanted
        return reader.take(self.fs & 1, piece.place, piece.data or b"", piece.frame, piece.time)

    def lost(self, place: int, until: int) -> int:
        """Bytes that will not come."""
        talk = self.connection.talk
        if talk is None:
            return until
        self.begun = True
        return talk[0].lost(self.fs & 1, place, until)

    def differs(self, piece: Piece) -> None:
        """Other bytes for places already taken."""
        if self.connection.talk is not None:
            reader, opening = self.connection.talk
            opening.wire = piece.wire
            reader.differs(self.fs & 1, piece.place, piece.data or b"", piece.frame, piece.time)


class Connections:
    """Every followed connection of the capture by flow number, within ``TOTAL_BYTES`` of memory."""

    def __init__(self, engine: FlowEngine, openers: Sequence[Opener]) -> None:
        self.engine, self.openers = engine, openers
        self.given_up = 0
        """How often the bytes kept for one side were dropped because all together were too many."""
        self.touched: dict[int, StreamSide] = {}
        """Sides (2 × flow + side) that have changed; whoever looks at them empties it."""
        self._connections: dict[int, _Connection] = {}
        self._keeping: dict[int, StreamSide] = {}  # sides that keep bytes, in order of the first
        self._kept = 0

    def __contains__(self, flow: int) -> bool:
        return flow in self._connections

    def packet(self, opener: int | None, fs: int, before: int, ack: int, length: int, piece: Piece) -> None:  # noqa: PLR0913 - what one packet says
        """One packet of side ``fs``, in frame order.

        ``opener``: number of the one that wants the connection from here on, ``LATE``, or None. ``before``: the
        place its sender had reached. ``ack``: raw, -1 without. ``length`` of the payload on the wire; ``piece``: what
        of it was captured.
        """
        connection = self._connections.get(fs >> 1)
        if connection is None or connection.talk is None:
            connection = self._opened(connection, opener, fs, piece)
            if connection is None:
                return
        other = connection.sides[~fs & 1]
        if ack >= 0 and other is not None and other.hole_until != NEVER:
            self._acknowledged(fs ^ 1, other, ack, piece.time)
        if not length:
            return
        side = connection.sides[fs & 1] or self._side(connection, fs, before, piece.frame)
        size = side.size
        if piece.end > piece.place:
            side.add(piece)
        if length > piece.end - piece.place:
            side.add(piece._replace(place=piece.end, end=piece.place + length, data=None))
        self._account(fs, side, size)

    def _opened(
        self, connection: _Connection | None, opener: int | None, fs: int, piece: Piece
    ) -> _Connection | None:
        """The connection, if this packet belongs to one or begins one."""
        if opener is None:
            known = connection is not None and connection.sides[fs & 1] is not None
            return connection if known else None
        if connection is None:
            connection = self._connections[fs >> 1] = _Connection()
        sink = _Sink(self, connection, fs)
        side = connection.sides[fs & 1] = StreamSide(sink, 0 if opener == LATE else max(piece.place, 0))
        if opener != LATE:
            self._talk(connection, self.openers[opener], fs, piece)
            if side.next:
                side.next = max(side.next, sink.lost(0, side.next))
        return connection

    def _talk(
        self, connection: _Connection, opener: Opener, fs: int, piece: Piece
    ) -> tuple[StreamReader, Opening]:
        opening = Opening(
            flow=fs >> 1,
            side=fs & 1,
            ports=self._ports(fs >> 1),
            frame=piece.frame,
            time=piece.time,
            first=piece.data or b"",
            wire=piece.wire,
        )
        connection.talk = (opener.make(opening), opening)
        return connection.talk

    def _ports(self, flow: int) -> tuple[int, int]:
        keys = self.engine.conversations.flows
        return int(keys["lo_port"][flow]), int(keys["hi_port"][flow])

    def _side(self, connection: _Connection, fs: int, before: int, frame: int) -> StreamSide:
        """The second side of a connection; what it had sent before the connection was followed is lost."""
        sink = _Sink(self, connection, fs)
        side = connection.sides[fs & 1] = StreamSide(sink)
        if before > 0 and self.engine.sides["first_D"][fs] < frame:
            side.next = max(before, sink.lost(0, before))
        return side

    def begins_by(self, fs: int, frame: int) -> bool:
        """Whether the capture holds a SYN of this side, not after ``frame``."""
        sides = self.engine.sides
        return bool(sides["first_S"][fs] <= frame or sides["first_H"][fs] <= frame)

    def decide(self, connection: _Connection, fs: int, piece: Piece) -> tuple[StreamReader, Opening] | None:
        """Who reads a connection, now that the first bytes of this side are there."""
        data = np.frombuffer(piece.data or b"", dtype=np.uint8)
        head = np.zeros((1, HEAD_BYTES), dtype=np.uint8)
        head[0, : min(len(data), HEAD_BYTES)] = data[:HEAD_BYTES]
        ports = np.array(self._ports(fs >> 1), dtype=np.int64)
        one = [np.array([number], dtype=np.int64) for number in (len(data), fs, 0)]
        mine, other = ports[fs & 1 : (fs & 1) + 1], ports[~fs & 1 : (~fs & 1) + 1]
        heads = Heads(head, one[0], mine, other, one[1], one[2], data)
        for opener in self.openers:
            if opener.looks(heads)[0]:
                return self._talk(connection, opener, fs, piece)
        return None

    def _acknowledged(self, fs: int, side: StreamSide, ack: int, time: int) -> None:
        base = int(self.engine.sequence.sides["base_raw"][fs])
        ahead = (ack - base - 1 - side.next) & 0xFFFFFFFF
        if ahead < 1 << 31:
            size = side.size
            side.acknowledged(side.next + ahead, time)
            self._account(fs, side, size)

    def _account(self, fs: int, side: StreamSide, size: int) -> None:
        """A side keeps more or less than ``size`` now."""
        self.touched[fs] = side
        if side.next == NEVER:
            self._turned_away(fs, side)
        self._kept += side.size - size
        if not side.size:
            self._keeping.pop(fs, None)
        elif fs not in self._keeping:
            self._keeping[fs] = side
        while self._kept > TOTAL_BYTES:
            oldest = next(iter(self._keeping))
            self._drop(oldest, self._keeping.pop(oldest))
            self.given_up += 1

    def _drop(self, fs: int, side: StreamSide) -> None:
        self._kept -= side.size
        side.forget()
        self.touched[fs] = side
        if side.next == NEVER:
            self._turned_away(fs, side)

    def _turned_away(self, fs: int, side: StreamSide) -> None:
        """Nobody wants a connection whose beginning came late: forget it."""
        connection = self._connections.get(fs >> 1)
        if connection is not None and connection.talk is None:
            side.forget()
            connection.sides[fs & 1] = None
            if connection.sides[~fs & 1] is None:
                del self._connections[fs >> 1]
            else:  # the other side may open it yet, and this one is read from then on
                self.touched[fs] = StreamSide(_Sink(self, connection, fs))

    def holes(self) -> list[int]:
        """Sides in which bytes wait behind missing ones."""
        return [fs for fs, side in self._keeping.items() if side.hole_until != NEVER]

    def finish(self, flows: Sequence[int]) -> None:
        """No more packets of these flows will come: hands out what waits, and finishes the readers."""
        for flow in flows:
            connection = self._connections.get(flow)
            if connection is None:
                continue
            waiting = [(side.waiting_since, s, side) for s, side in enumerate(connection.sides) if side]
            for _, s, side in sorted(waiting, key=lambda item: item[:2]):
                self._kept -= side.size
                self._keeping.pop(2 * flow + s, None)
                side.forget()
            self._connections.pop(flow, None)
            connection.sides = [None, None]  # their sinks know the connection
            if connection.talk is not None:
                connection.talk[0].finish()
