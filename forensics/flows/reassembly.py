"""One side of a TCP connection put in order: reordering, repetition, overlap, loss, and cut-off payloads."""

from __future__ import annotations

from bisect import bisect_right
from itertools import islice
from operator import attrgetter, itemgetter
from typing import Final, NamedTuple, Protocol

from forensics.flows.arrays import NEVER

HELD_BYTES: Final = 512 << 10
"""Most bytes of one side that wait behind a hole. More than most senders have in flight."""
HELD_PIECES: Final = 512
REMEMBERED: Final = 64 << 10
"""Of the bytes handed out so many are kept, to hold repetitions against them."""
COST: Final = 256
"""Bytes that Python needs around the bytes of a piece; counted, so that many tiny pieces are not free."""
PATIENCE_EVENTS: Final = 16
PATIENCE_NS: Final = 1_000_000_000
"""A capture may hold an acknowledgement before the segment that it acknowledges: after so many packets, or so
long, that segment is not expected any more."""
FARTHEST: Final = 1 << 30
"""No receive window is larger (RFC 7323 2.3): what lies further ahead is no part of the stream."""
_DOUBTS: Final = 16
_JOINED: Final = 1024
"""Taken bytes shorter than this are remembered as one with those that follow."""
_place = attrgetter("place")


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


class Piece(NamedTuple):
    """Bytes of one segment. ``data`` is None where the capture cut them off, else ``end - place`` bytes."""

    place: int
    end: int
    data: bytes | None
    frame: int
    time: int
    wire: Wire

    def part(self, begin: int, end: int) -> Piece:
        """Only the bytes ``[begin, end)``, which lie within."""
        if begin == self.place and end == self.end:
            return self
        data = self.data
        if data is not None:
            data = data[begin - self.place : end - self.place]
        return Piece(begin, end, data, self.frame, self.time, self.wire)


class Sink(Protocol):
    """Where the ordered bytes of one side go; see observations/streams.py for the meaning."""

    def take(self, piece: Piece) -> int:
        """The next bytes; the place from which on more is wanted."""
        ...

    def lost(self, place: int, until: int) -> int:
        """Bytes that will never come; the same answer."""
        ...

    def differs(self, piece: Piece) -> None:
        """Other bytes for places already taken."""
        ...


class StreamSide:
    """Takes the segments of one sender in the order of the capture and gives its bytes to a sink in their order.

    Where segments overlap, the bytes that came first are kept: that is what is known to have been on the wire
    first, and which of the two a receiver believed cannot be told from the capture (Ptacek and Newsham 1998).
    Memory is bounded by ``HELD_BYTES`` + ``REMEMBERED`` (pieces count ``COST`` more each), whatever is fed.
    """

    __slots__ = (
        "_doubts",
        "_held",
        "_memory",
        "_passed",
        "_passed_time",
        "_sink",
        "held_bytes",
        "next",
        "size",
    )

    def __init__(self, sink: Sink, start: int = 0) -> None:
        self._sink = sink
        self.next = start
        """The place that is wanted next; NEVER: nothing more."""
        self._held: list[Piece] = []  # beyond ``next``, sorted, disjoint
        self._memory: list[tuple[int, bytes]] = []  # taken, rising: place, bytes
        self._doubts: list[Piece] = []  # differ from held pieces; compared again when these are taken
        self._passed = 0  # packets since the other side acknowledged the hole; 0: it did not
        self._passed_time = 0
        self.held_bytes = 0
        """Of the pieces that wait."""
        self.size = 0
        """Bytes of memory for all that is kept."""

    @property
    def hole_until(self) -> int:
        """Where the bytes begin that wait behind a hole; NEVER without one."""
        return self._held[0].place if self._held else NEVER

    @property
    def waiting_since(self) -> int:
        """Frame of the bytes at ``hole_until``; NEVER without a hole."""
        return self._held[0].frame if self._held else NEVER

    @property
    def remembered(self) -> tuple[int, int]:
        """First place and end of what repetitions can be held against; an empty range for nothing."""
        if not self._memory:
            return NEVER, NEVER
        return self._memory[0][0], self._memory[-1][0] + len(self._memory[-1][1])

    def add(self, piece: Piece) -> None:
        """One segment; bytes before place 0 do not exist."""
        if piece.place < self.next:
            if piece.place < self.remembered[1]:
                self._compare(piece)
            if piece.end <= self.next:
                return
            piece = piece.part(self.next, piece.end)
        if piece.place > self.next:
            if piece.place - self.next <= FARTHEST:
                self._hold(piece)
        elif self._held:
            self._fill(piece)
        else:
            self._give(piece)

    def _fill(self, piece: Piece) -> None:
        """Bytes that come next where others wait."""
        for fresh in self._gaps(piece):
            if fresh.place > self.next:
                self._insert(fresh)
            elif fresh.end > self.next:
                self._give(fresh.part(self.next, fresh.end))
        self._drain()

    def _hold(self, piece: Piece) -> None:
        """Bytes that have to wait."""
        for fresh in self._gaps(piece):
            self._insert(fresh)
        if self._passed:
            self._waited(piece.time)
        while self._held and (self.held_bytes > HELD_BYTES or len(self._held) > HELD_PIECES):
            self._skip_hole()

    def acknowledged(self, place: int, time: int) -> None:
        """The other side said at ``time`` (ns) that it has everything before ``place``."""
        if self._held and place >= self._held[0].place:
            if not self._passed:
                self._passed_time = time
                self._passed = 1
            else:
                self._waited(time)

    def give_up(self) -> None:
        """Nothing that is missing will come: hand out what waits."""
        while self._held:
            self._skip_hole()
        self._settle_doubts(NEVER)

    def forget(self) -> None:
        """Keep nothing: gives up what is missing, and forgets what was taken."""
        self.give_up()
        self._memory.clear()
        self.size = 0

    def _waited(self, time: int) -> None:
        self._passed += 1
        if self._passed > PATIENCE_EVENTS or time - self._passed_time >= PATIENCE_NS:
            self._skip_hole()

    def _give(self, piece: Piece) -> None:
        """Hand out bytes that begin at ``next``."""
        self._passed = 0
        data = piece.data
        if data is None:
            wanted = self._sink.lost(piece.place, piece.end)
        else:
            self._remember(piece.place, data)
            wanted = self._sink.take(piece)
        self.next = max(wanted, piece.end)

    def _remember(self, place: int, data: bytes) -> None:
        memory = self._memory
        if memory and len(memory[-1][1]) < _JOINED and memory[-1][0] + len(memory[-1][1]) == place:
            memory[-1] = (memory[-1][0], memory[-1][1] + data)
            self.size += len(data)
        else:
            memory.append((place, data))
            self.size += len(data) + COST
        end = place + len(data)
        while len(memory) > 1 and (end - memory[0][0] > REMEMBERED or len(memory) > HELD_PIECES):
            self.size -= len(memory.pop(0)[1]) + COST

    def _skip_hole(self) -> None:
        first = self._held[0].place
        self._passed = 0
        self.next = max(self._sink.lost(self.next, first), first)
        self._drain()

    def _drain(self) -> None:
        """Hand out what waited and now comes next, and drop what is not wanted any more."""
        held = self._held
        done = 0
        while done < len(held) and held[done].place <= self.next:
            piece = held[done]
            done += 1
            self._release(piece)
            if piece.end > self.next:
                self._give(piece.part(self.next, piece.end))
        if done:
            del held[:done]
            self._passed = 0
        if self._doubts:
            self._settle_doubts(self.next)

    def _settle_doubts(self, until: int) -> None:
        waiting = self._doubts
        self._doubts = []
        for piece in waiting:
            if piece.end <= until:
                self._release(piece)
                self._compare(piece)
            else:
                self._doubts.append(piece)

    def _release(self, piece: Piece) -> None:
        length = 0 if piece.data is None else len(piece.data)
        self.held_bytes -= length
        self.size -= length + COST

    def _insert(self, piece: Piece) -> None:
        held = self._held
        if held and piece.place < held[-1].place:
            held.insert(bisect_right(held, piece.place, key=_place), piece)
        else:
            held.append(piece)
        self._count(piece)

    def _count(self, piece: Piece) -> None:
        length = 0 if piece.data is None else len(piece.data)
        self.held_bytes += length
        self.size += length + COST

    def _gaps(self, piece: Piece) -> list[Piece]:
        """The parts of a piece that no held piece covers; what differs from a held one is noted."""
        fresh: list[Piece] = []
        at, end, differs = piece.place, piece.end, False
        held = self._held
        first = max(bisect_right(held, at, key=_place) - 1, 0)
        for other in islice(held, first, None):
            if other.end <= at:
                continue
            if other.place >= end:
                break
            if other.place > at:
                fresh.append(piece.part(at, other.place))
                at = other.place
            until = min(other.end, end)
            differs = differs or _differ(piece, other, at, until)
            at = until
        if at < end:
            fresh.append(piece.part(at, end))
        if differs and len(self._doubts) < _DOUBTS:
            self._doubts.append(piece)
            self._count(piece)
        return fresh

    def _compare(self, piece: Piece) -> None:
        """Hold a repetition against what was taken; runs without a gap are told of as a whole."""
        if piece.data is None or len(piece.data) <= 1:
            return  # RFC 9293 3.8.4: a keep-alive may repeat one byte with anything in it
        begin = end = -1
        differs = False
        first = max(bisect_right(self._memory, piece.place, key=itemgetter(0)) - 1, 0)
        for place, data in islice(self._memory, first, None):
            low, high = max(place, piece.place), min(place + len(data), piece.end)
            if place >= piece.end:
                break
            if low >= high:
                continue
            if low != end:
                if differs:
                    self._sink.differs(piece.part(begin, end))
                begin, differs = low, False
            end = high
            mine = piece.data[low - piece.place : high - piece.place]
            differs = differs or mine != data[low - place : high - place]
        if differs:
            self._sink.differs(piece.part(begin, end))


def _differ(one: Piece, other: Piece, begin: int, end: int) -> bool:
    """Whether two pieces that both hold ``[begin, end)`` hold different bytes there."""
    if one.data is None or other.data is None:
        return False
    mine = one.data[begin - one.place : end - one.place]
    return mine != other.data[begin - other.place : end - other.place]
