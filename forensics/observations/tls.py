"""TLS as it shows at the beginning of every TCP stream: ClientHello, ServerHello, alerts, and first bytes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np

from forensics.capture.gather import gather_rows
from forensics.decode.flags import RST, SYN
from forensics.flows.arrays import NEVER, GrowingColumns, IntArray, both_sides, run_starts
from forensics.observations.collector import Asked
from forensics.observations.first_bytes import FIRST_BYTES, FirstBytes
from forensics.observations.tls_server import (
    ALERT_BYTES,
    CHOICE_BYTES,
    UNKNOWN,
    alert_codes,
    choice_of,
    choices,
)
from forensics.protocols.errors import ProtocolError
from forensics.protocols.stream import MAX_PIECES, HeadAssembler
from forensics.protocols.tls import ClientHello, looks_like_tls_client, parse_client_hello
from forensics.protocols.tls_details import HelloDetails, ech_kind, hello_details
from forensics.protocols.tls_server import ServerHello, parse_server_start

if TYPE_CHECKING:
    import numpy.typing as npt
    import polars as pl

    from forensics.flows.engine import FlowBatch

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
_ALERT_LENGTHS: Final = (2, 64)
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
    details: HelloDetails | None = None
    """Where somebody asks for them. The bytes they are read from are not kept."""
    ech: str | None = None
    """The kind of its encrypted_client_hello, where somebody asks for it."""


@dataclass(slots=True)
class _Waiting:
    """The beginning of a stream that is not whole yet."""

    head: HeadAssembler = field(default_factory=HeadAssembler)
    times: dict[int, int] = field(default_factory=dict)
    """Frame → time (ns) of every segment."""
    size: int = 0
    """Bytes held, at most."""
    cut: bool = False
    """The capture did not keep all of a segment: what it cut off will not come."""


class TlsCollector:
    """Watches the first bytes of every stream until it knows what they are.

    Per side (row 2 × flow + side): ``first`` (see first_bytes.py), ``server_hello_frame`` and what it chose (see
    tls_server.py), ``alert_frame`` and its code, ``app_data_frame``.
    Per flow: ``hellos``, and for the counters that start at the hello ``hello_frame``, ``hello_side``, ``hello_end``.
    Details of ClientHellos, and whole ServerHellos, are kept only where somebody asks for what is told from them.
    """

    def __init__(self, asked: Asked = Asked()) -> None:  # noqa: B008 - it never changes
        table = asked.table("tls")
        self._details = table
        self._ech = asked.column("tls_ech")
        self._whole_servers = table or asked.column("ja3s")
        self.sides = GrowingColumns(
            {
                "state": (np.int8, 0),
                "server_hello_frame": (np.int64, NEVER),
                "server_version": (np.int32, UNKNOWN),
                "server_cipher": (np.int32, UNKNOWN),
                "server_retry": (np.int8, UNKNOWN),
                "alert_frame": (np.int64, NEVER),
                "alert_code": (np.int32, UNKNOWN),
                "app_data_frame": (np.int64, NEVER),
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
        self.first = FirstBytes()
        self.hellos: dict[int, HelloFacts] = {}
        self.partial: set[int] = set()
        """Sides that began a ClientHello that is not whole."""
        self.servers: dict[int, ServerHello] = {}
        """Side → its ServerHello, as far as it is there; only where somebody asks."""
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
        self.first.grow_to(self.sides.rows)
        captured = batch.column["payload_captured"]
        carries = batch.tcp & (captured > 0) & ((batch.column["flags"] & RST) == 0)
        self._records(batch, data, np.flatnonzero(carries & (captured >= 5)))  # noqa: PLR2004 - a record header
        rel = batch.rel
        window = (rel > -_HEAD) & (rel < _HEAD)
        rows = np.flatnonzero(carries & window & (self.sides["state"][batch.fs] != _DONE))
        compared = self._heads(batch, data, rows) if len(rows) else []
        # One byte is a keep-alive, whose content means nothing (RFC 1122 4.2.3.6).
        begins = np.flatnonzero(carries & (rel == 1) & (captured > 1))
        if len(begins):
            fresh = begins[~np.isin(begins, compared)] if compared else begins
            self.first.compare(batch, data, fresh)

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
        alert = (kind == _ALERT) & (length >= _ALERT_LENGTHS[0]) & (length <= _ALERT_LENGTHS[1])
        for name, chosen in (("alert_frame", rows[alert]), ("app_data_frame", rows[kind == _DATA])):
            if len(chosen):
                firsts = chosen[run_starts(batch.fs[chosen])]
                column = self.sides[name]
                firsts = firsts[column[batch.fs[firsts]] == NEVER]
                column[batch.fs[firsts]] = batch.column["frame"][firsts]
                if name == "alert_frame":
                    head = gather_rows(data, batch.column["payload_offset"][firsts], ALERT_BYTES)
                    codes = alert_codes(head, batch.column["payload_captured"][firsts])
                    self.sides["alert_code"][batch.fs[firsts]] = codes

    def _heads(self, batch: FlowBatch, data: npt.NDArray[np.uint8], rows: IntArray) -> list[int]:
        """Look at segments of sides that are not settled; gives those that were compared with what is there."""
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
        if not len(rest):
            return []
        # In frame order, so that what is given up in a flood does not depend on where batches are cut.
        return self._assemble(batch, data, rest[np.argsort(batch.column["frame"][rest], kind="stable")])

    def _quick(self, batch: FlowBatch, data: npt.NDArray[np.uint8], rows: IntArray) -> None:
        """First segments that start the stream: most need nothing more."""
        fs = batch.fs[rows]
        head = gather_rows(data, batch.column["payload_offset"][rows], FIRST_BYTES)
        self.first.note(fs, head)
        handshake = (head[:, 0] == _HANDSHAKE) & (head[:, 1] == _MAJOR)
        alert = (head[:, 0] == _ALERT) & (head[:, 1] == _MAJOR)
        server = handshake & (head[:, 5] == _SERVER_HELLO)
        client = handshake & (head[:, 5] == _CLIENT_HELLO)
        # An alert may come before a ServerHello in the same stream; anything else that is no hello is settled.
        self.sides["state"][fs[~client & ~alert & ~server]] = _DONE
        self._servers(batch, data, rows[server])
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
            facts = self._facts(hello, (frame,), time)
            if side >> 1 in hellos:
                again.append((side, facts))
                continue
            hellos[side >> 1] = facts
            fresh.append((side, frame, time, facts.end))
        if fresh:
            self._note_hellos(np.array(fresh, dtype=np.int64))
        for side, facts in again:
            self._learn(side, facts)

    def _facts(self, hello: ClientHello, frames: tuple[int, ...], time: int) -> HelloFacts:
        details = hello_details(hello) if self._details else None
        # The bytes of the extensions, the last field, are most of a hello, and are not read again.
        kept = ClientHello._make((*hello[:-1], b""))
        ech = ech_kind(hello) if self._ech else None
        return HelloFacts(kept, frames, len(frames), time, 1 + hello.length, details, ech)

    def _servers(self, batch: FlowBatch, data: npt.NDArray[np.uint8], rows: IntArray) -> None:
        """First segments that begin with a ServerHello: settled where they hold as much as is wanted."""
        fs, captured = batch.fs[rows], batch.column["payload_captured"][rows]
        offset = batch.column["payload_offset"][rows]
        found = choices(gather_rows(data, offset, CHOICE_BYTES), captured)
        self.sides["server_hello_frame"][fs] = batch.column["frame"][rows]
        self.sides["server_version"][fs] = found.version
        self.sides["server_cipher"][fs] = found.cipher
        self.sides["server_retry"][fs] = found.retry
        settled = found.known
        if self._whole_servers:
            columns = zip(fs.tolist(), offset.tolist(), captured.tolist(), strict=True)
            whole = [self._read_server(side, data[at : at + size].tobytes()) for side, at, size in columns]
            settled &= np.array(whole, dtype=np.bool_)
        cut = captured < batch.column["payload_len"][rows]
        self.sides["state"][fs[settled | cut]] = _DONE

    def _read_server(self, side: int, known: bytes) -> bool:
        """Keep the ServerHello that a side begins with; whether more bytes would add nothing."""
        try:
            begin = parse_server_start(known)
        except ProtocolError:
            return True
        if begin is None or begin.hello is None:
            return False
        self.servers[side] = begin.hello
        return begin.hello.whole

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

    def _assemble(self, batch: FlowBatch, data: npt.NDArray[np.uint8], rows: IntArray) -> list[int]:
        state = self.sides["state"]
        taken: list[int] = []
        # a SYN stands before the data it carries (RFC 7413)
        place = batch.rel[rows] - 1 + ((batch.column["flags"][rows] & SYN) != 0)
        columns = zip(
            rows.tolist(),
            batch.fs[rows].tolist(),
            place.tolist(),
            batch.column["payload_offset"][rows].tolist(),
            batch.column["payload_captured"][rows].tolist(),
            batch.column["payload_len"][rows].tolist(),
            batch.column["frame"][rows].tolist(),
            batch.column["time"][rows].tolist(),
            strict=True,
        )
        for row, side, begin, offset, size, sent, frame, time in columns:
            if state[side] == _DONE:
                continue
            taken.append(row)
            waiting = self.waiting.get(side)
            if waiting is None:
                waiting = self.waiting[side] = _Waiting()
                state[side] = _PENDING
            piece = data[offset : offset + min(size, _HEAD)].tobytes()
            waiting.head.add(begin, piece, frame)
            waiting.times[frame] = time
            waiting.cut |= size < sent
            if waiting.head.conflict:
                waiting.head.conflict = False
                if sent > 1:  # no keep-alive
                    self.first.note_conflict(side, frame)
            held = min(waiting.size + len(piece), 2 * _HEAD)  # segments start below _HEAD and are no longer
            self.held += held - waiting.size
            waiting.size = held
            if self._settled(side, waiting) or len(waiting.times) >= _MOST_SEGMENTS:
                self._drop(side)
            while self.held > _PENDING_BYTES:
                self._drop(next(iter(self.waiting)))
        return taken

    def _drop(self, side: int) -> None:
        self.held -= self.waiting.pop(side).size
        self.sides["state"][side] = _DONE

    def _settled(self, side: int, waiting: _Waiting) -> bool:
        """Whether the beginning of the stream needs no more bytes; learns what it shows."""
        head = waiting.head
        known = head.contiguous()
        self.first.extend(side, known)
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
        if begin.hello is None:
            return begin.complete or head.overflow
        self.sides["server_hello_frame"][side] = _hello_frame(head, known)
        version, cipher, retry = choice_of(begin.hello)
        self.sides["server_version"][side] = version
        self.sides["server_cipher"][side] = cipher
        self.sides["server_retry"][side] = retry
        if self._whole_servers:
            self.servers[side] = begin.hello
        enough = begin.complete if self._whole_servers else cipher != UNKNOWN
        return enough or begin.complete or waiting.cut or head.overflow

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
        self._learn(side, self._facts(hello, frames, time))
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
        self.first.clear(sides)
        for flow in flows.tolist():
            self.hellos.pop(flow, None)
        numbers = sides.tolist()
        self.partial.difference_update(numbers)
        for side in numbers:
            self.servers.pop(side, None)

    def first_hex(self, sides: IntArray) -> pl.Series:
        """Hex of the first payload bytes of each side; null where the beginning of its stream was not captured."""
        return self.first.hex(sides)


def _hello_frame(head: HeadAssembler, known: bytes) -> int:
    """The frame in which a ServerHello begins; alerts may come before it (RFC 6066 3)."""
    at = 0
    while known[at] == _ALERT:
        at += 5 + (known[at + 3] << 8 | known[at + 4])
    before = head.frames_for(at)
    begun = set(head.frames_for(at + 1)) - set(before)
    return begun.pop() if begun else before[-1]  # the segment of the last alert may hold it too
