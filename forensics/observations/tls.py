"""TLS as it shows at the beginning of every TCP stream: ClientHello, ServerHello, alerts, and first bytes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl

from forensics.capture.gather import gather_rows
from forensics.decode.flags import RST, SYN
from forensics.flows.arrays import NEVER, GrowingColumns, IntArray, both_sides, run_starts
from forensics.observations.series import at_rows
from forensics.protocols.errors import ProtocolError
from forensics.protocols.stream import MAX_PIECES, HeadAssembler
from forensics.protocols.tls import ClientHello, looks_like_tls_client, parse_client_hello
from forensics.protocols.tls_server import parse_server_start

if TYPE_CHECKING:
    import numpy.typing as npt

    from forensics.flows.engine import FlowBatch

FIRST_BYTES: Final = 16

_HEAD: Final = 20 * 1024
"""How far into a stream a hello is looked for: more than the largest ClientHello seen in the wild."""
_PENDING_BYTES: Final = 64 << 20
"""Most bytes held for all unfinished hellos together; the oldest goes first."""
_MOST_SEGMENTS: Final = 4 * MAX_PIECES
"""A stream that has not said what it is after so many segments will not: repetitions must not pile up."""

_PENDING, _DONE = 1, 2

# https://www.rfc-editor.org/rfc/rfc8446#section-5.1 and #section-4
_ALERT, _HANDSHAKE, _DATA = 21, 22, 23
_CLIENT_HELLO, _SERVER_HELLO = 1, 2
_MAJOR: Final = 3
_ALERT_BYTES: Final = (2, 64)
"""An alert is two bytes, or those two encrypted: with nonce, padding and tag never above 64."""


@dataclass(slots=True)
class HelloFacts:
    """A ClientHello and how it was carried."""

    hello: ClientHello
    frames: tuple[int, ...]
    """Frames that first carried its bytes, ascending; the last one completed it."""
    segments: int
    time: int
    """Of the completing frame, ns."""
    end: int
    """Relative sequence number after its last byte."""


@dataclass(slots=True)
class _Waiting:
    """The beginning of a stream that is not whole yet."""

    head: HeadAssembler = field(default_factory=HeadAssembler)
    times: dict[int, int] = field(default_factory=dict)
    """Frame → time (ns) of every segment."""
    size: int = 0
    """Bytes held, at most."""


class TlsCollector:
    """Watches the first bytes of every stream until it knows what they are.

    Per side (row 2 × flow + side): ``first_bytes``, ``server_hello_frame``, ``alert_frame``, ``app_data_frame``.
    Per flow: ``hellos``, and for the counters that start at the hello ``hello_frame``, ``hello_side``, ``hello_end``.
    """

    def __init__(self) -> None:
        self.sides = GrowingColumns(
            {
                "state": (np.int8, 0),
                "server_hello_frame": (np.int64, NEVER),
                "alert_frame": (np.int64, NEVER),
                "app_data_frame": (np.int64, NEVER),
                "first_length": (np.int8, 0),
            }
        )
        self.flows = GrowingColumns(
            {
                "hello_frame": (np.int64, NEVER),
                "hello_time": (np.int64, 0),
                "hello_end": (np.int64, 0),
                "hello_side": (np.int8, -1),
            }
        )
        self.first_bytes = np.zeros((0, FIRST_BYTES), dtype=np.uint8)
        self.hellos: dict[int, HelloFacts] = {}
        self.partial: set[int] = set()
        """Sides that began a ClientHello that is not whole."""
        self.conflicts: set[int] = set()
        """Sides that sent different bytes for one place of the beginning of their stream."""
        self.waiting: dict[int, _Waiting] = {}
        """Side → its unfinished beginning, in order of their first segments."""
        self.held = 0
        """Bytes held in ``waiting``, at most."""

    def add(self, batch: FlowBatch, data: npt.NDArray[np.uint8]) -> None:
        """Take in one batch; ``data`` is Batch.data."""
        if not len(batch):
            return
        self.flows.grow_to(int(batch.flow[-1]) + 1)
        self.sides.grow_to(2 * (int(batch.flow[-1]) + 1))
        self._grow_first_bytes()
        captured = batch.column["payload_captured"]
        carries = batch.tcp & (captured > 0) & ((batch.column["flags"] & RST) == 0)
        self._records(batch, data, np.flatnonzero(carries & (captured >= 5)))  # noqa: PLR2004 - a record header
        rel = batch.rel
        window = (rel > -_HEAD) & (rel < _HEAD)
        rows = np.flatnonzero(carries & window & (self.sides["state"][batch.fs] != _DONE))
        if len(rows):
            self._heads(batch, data, rows)

    def _grow_first_bytes(self) -> None:
        have, want = len(self.first_bytes), self.sides.rows
        if want > have:
            more = max(want, 2 * have) - have
            self.first_bytes = np.vstack([self.first_bytes, np.zeros((more, FIRST_BYTES), dtype=np.uint8)])

    def _records(self, batch: FlowBatch, data: npt.NDArray[np.uint8], rows: IntArray) -> None:
        """Segments that begin with an alert or an application data record (RFC 8446 5.1)."""
        # Most segments begin within a record: one byte tells most of them.
        start = batch.column["payload_offset"][rows]
        kind = data[start]
        likely = (kind == _ALERT) | (kind == _DATA)
        rows, kind = rows[likely], kind[likely]
        head = gather_rows(data, start[likely], 5)
        likely = (head[:, 1] == _MAJOR) & (head[:, 2] <= _MAJOR + 1)
        rows, head, kind = rows[likely], head[likely], kind[likely]
        length = head[:, 3].astype(np.int64) * 256 + head[:, 4]
        alert = (kind == _ALERT) & (length >= _ALERT_BYTES[0]) & (length <= _ALERT_BYTES[1])
        for name, chosen in (("alert_frame", rows[alert]), ("app_data_frame", rows[kind == _DATA])):
            if len(chosen):
                firsts = chosen[run_starts(batch.fs[chosen])]
                side = batch.fs[firsts]
                column = self.sides[name]
                column[side] = np.minimum(column[side], batch.column["frame"][firsts])

    def _heads(self, batch: FlowBatch, data: npt.NDArray[np.uint8], rows: IntArray) -> None:
        fs = batch.fs[rows]
        starts = run_starts(fs)
        firsts = rows[starts]
        fresh = self.sides["state"][batch.fs[firsts]] == 0
        whole = batch.column["payload_captured"][firsts] >= FIRST_BYTES
        quick = firsts[fresh & whole & (batch.rel[firsts] == 1)]
        if len(quick):
            self._quick(batch, data, quick)
        # What the first segment could not settle is put together from all segments.
        rest = rows[self.sides["state"][fs] != _DONE]
        if len(rest):
            # In frame order, so that what is given up in a flood does not depend on where batches are cut.
            self._assemble(batch, data, rest[np.argsort(batch.column["frame"][rest], kind="stable")])

    def _quick(self, batch: FlowBatch, data: npt.NDArray[np.uint8], rows: IntArray) -> None:
        """First segments that start the stream: most need nothing more."""
        fs = batch.fs[rows]
        head = gather_rows(data, batch.column["payload_offset"][rows], FIRST_BYTES)
        self.first_bytes[fs] = head
        self.sides["first_length"][fs] = FIRST_BYTES
        handshake = (head[:, 0] == _HANDSHAKE) & (head[:, 1] == _MAJOR)
        alert = (head[:, 0] == _ALERT) & (head[:, 1] == _MAJOR)
        server = handshake & (head[:, 5] == _SERVER_HELLO)
        client = handshake & (head[:, 5] == _CLIENT_HELLO)
        self.sides["server_hello_frame"][fs[server]] = batch.column["frame"][rows[server]]
        # An alert may come before a ServerHello in the same stream; anything else that is no hello is settled.
        self.sides["state"][fs[~client & ~alert]] = _DONE
        whole = rows[client]
        columns = zip(
            batch.fs[whole].tolist(),
            batch.column["payload_offset"][whole].tolist(),
            batch.column["payload_captured"][whole].tolist(),
            batch.column["frame"][whole].tolist(),
            batch.column["time"][whole].tolist(),
            strict=True,
        )
        state, hellos = self.sides["state"], self.hellos
        fresh: list[tuple[int, int, int, int]] = []
        again: list[tuple[int, HelloFacts]] = []
        for side, offset, size, frame, time in columns:
            try:
                hello = parse_client_hello(data[offset : offset + size].tobytes())
            except ProtocolError:
                state[side] = _DONE
                continue
            if hello is None:
                continue
            facts = HelloFacts(hello, (frame,), 1, time, 1 + hello.length)
            if side >> 1 in hellos:
                again.append((side, facts))
                continue
            hellos[side >> 1] = facts
            fresh.append((side, frame, time, facts.end))
        if fresh:
            self._note_hellos(np.array(fresh, dtype=np.int64))
        for side, facts in again:
            self._learn(side, facts)

    def _note_hellos(self, fresh: IntArray) -> None:
        """Columns of the first hellos of flows: rows of (side, frame, time, end)."""
        side = fresh[:, 0]
        flow = side >> 1
        self.sides["state"][side] = _DONE
        self.flows["hello_frame"][flow] = fresh[:, 1]
        self.flows["hello_time"][flow] = fresh[:, 2]
        self.flows["hello_end"][flow] = fresh[:, 3]
        self.flows["hello_side"][flow] = side & 1

    def _learn(self, side: int, facts: HelloFacts) -> None:
        flow = side >> 1
        self.sides["state"][side] = _DONE
        other = self.hellos.get(flow)
        if other and other.frames[-1] < facts.frames[-1]:  # both ends say hello: the first to be whole counts
            return
        self.hellos[flow] = facts
        self.partial.discard(side)
        self.flows["hello_frame"][flow] = facts.frames[-1]
        self.flows["hello_time"][flow] = facts.time
        self.flows["hello_end"][flow] = facts.end
        self.flows["hello_side"][flow] = side & 1

    def _assemble(self, batch: FlowBatch, data: npt.NDArray[np.uint8], rows: IntArray) -> None:
        state = self.sides["state"]
        # a SYN stands before the data it carries (RFC 7413)
        place = batch.rel[rows] - 1 + ((batch.column["flags"][rows] & SYN) != 0)
        columns = zip(
            batch.fs[rows].tolist(),
            place.tolist(),
            batch.column["payload_offset"][rows].tolist(),
            batch.column["payload_captured"][rows].tolist(),
            batch.column["frame"][rows].tolist(),
            batch.column["time"][rows].tolist(),
            strict=True,
        )
        for side, begin, offset, size, frame, time in columns:
            if state[side] == _DONE:
                continue
            waiting = self.waiting.get(side)
            if waiting is None:
                waiting = self.waiting[side] = _Waiting()
                state[side] = _PENDING
            piece = data[offset : offset + min(size, _HEAD)].tobytes()
            waiting.head.add(begin, piece, frame)
            waiting.times[frame] = time
            held = min(waiting.size + len(piece), 2 * _HEAD)  # segments start below _HEAD and are no longer
            self.held += held - waiting.size
            waiting.size = held
            if self._settled(side, waiting) or len(waiting.times) >= _MOST_SEGMENTS:
                self._drop(side)
            while self.held > _PENDING_BYTES:
                self._drop(next(iter(self.waiting)))

    def _drop(self, side: int) -> None:
        waiting = self.waiting.pop(side)
        self.held -= waiting.size
        if waiting.head.conflict:
            self.conflicts.add(side)
        self.sides["state"][side] = _DONE

    def _settled(self, side: int, waiting: _Waiting) -> bool:
        """Whether the beginning of the stream needs no more bytes; learns what it shows."""
        head = waiting.head
        known = head.contiguous()
        have = int(self.sides["first_length"][side])
        if len(known) > have and have < FIRST_BYTES:
            first = np.frombuffer(known[:FIRST_BYTES], dtype=np.uint8)
            self.first_bytes[side, : len(first)] = first
            self.sides["first_length"][side] = len(first)
        if not known:
            return head.overflow
        if looks_like_tls_client(known):
            return self._client_settled(side, waiting, known)
        self.partial.discard(side)
        try:
            begin = parse_server_start(known)
        except ProtocolError:
            return len(known) >= FIRST_BYTES or head.overflow
        if begin is None:
            return head.overflow
        if begin.hello:
            self.sides["server_hello_frame"][side] = head.frames_for(1)[0]
        return begin.hello is not None or begin.complete or head.overflow

    def _client_settled(self, side: int, waiting: _Waiting, known: bytes) -> bool:
        head = waiting.head
        self.partial.add(side)
        try:
            hello = parse_client_hello(known)
        except ProtocolError:
            return True
        if hello is None:
            return head.overflow
        frames = tuple(head.frames_for(hello.length))
        time = waiting.times[frames[-1]]
        self._learn(side, HelloFacts(hello, frames, len(frames), time, 1 + hello.length))
        return True

    def finish(self, flows: IntArray) -> None:
        """No more packets of these flows will come."""
        for side in self.waiting.keys() & set(both_sides(flows).tolist()):
            self._drop(side)

    def clear(self, flows: IntArray) -> None:
        """Forget finished flows, whose numbers are used again."""
        self.flows.clear(flows)
        sides = both_sides(flows)
        self.sides.clear(sides)
        self.first_bytes[sides[sides < len(self.first_bytes)]] = 0
        for flow in flows.tolist():
            self.hellos.pop(flow, None)
        numbers = sides.tolist()
        self.partial.difference_update(numbers)
        self.conflicts.difference_update(numbers)

    def first_hex(self, sides: IntArray) -> pl.Series:
        """Hex of the first payload bytes of each side; null where the beginning of its stream was not captured."""
        length = self.sides["first_length"][sides]
        text = self.first_bytes[sides].tobytes().hex()
        width = 2 * FIRST_BYTES
        known = np.flatnonzero(length)
        values = [text[row * width : row * width + 2 * int(length[row])] for row in known.tolist()]
        return at_rows(len(sides), known, values, pl.String)
