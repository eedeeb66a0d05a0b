"""DTLS: which conversations speak it, and what their handshakes show."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from forensics.flows.arrays import NEVER, BoolArray, GrowingColumns, IntArray, both_sides, run_starts
from forensics.observations.dictionary import TLS
from forensics.observations.dtls_connection import Connection
from forensics.observations.dtls_rows import Counted, flow_columns, table_rows
from forensics.protocols.dtls import APPLICATION_DATA, begins_handshake, looks_like_dtls
from forensics.protocols.tls_wire import HANDSHAKE

if TYPE_CHECKING:
    from collections.abc import Mapping

    import polars as pl

    from forensics.observations.collector import Arrived, Asked
    from forensics.observations.sides import Sides

MOST_LOOKED: Final = 64
"""Datagrams of each side of a conversation that are looked into: those that begin with no application data."""
_LONGEST: Final = 1 << 14
"""Bytes of a datagram that are looked into."""
_HELD: Final = 32 << 20
"""Most bytes held for all unfinished hellos together; the oldest go first."""
_MAJOR: Final = 0xFE
"""First byte of the version of every record but OpenSSL's from before there was a standard."""
_UNIFIED: Final = 1
"""The three high bits of an encrypted record of DTLS 1.3 (RFC 9147 4)."""


class DtlsCollector:
    """Finds DTLS by its first hello; see Collector.

    Other protocols may share the conversation, as those of calls do (RFC 7983); what came before is not counted.
    """

    tables = (TLS,)

    def __init__(self, asked: Asked) -> None:
        self._asked = asked
        self.flows = GrowingColumns(
            {
                "since": (np.int64, NEVER),  # the first hello
                "hello": (np.int64, NEVER),  # frame that completed the first whole ClientHello
                "server_hello": (np.int64, NEVER),
            }
        )
        self.sides = GrowingColumns(
            {
                "looked": (np.int64, 0),
                "packets": (np.int64, 0),
                "last_frame": (np.int64, -1),
                "encrypted": (np.int64, -1),  # last datagram that begins with an encrypted record
                "after_hello": (np.int64, 0),
                "after_server_hello": (np.int64, 0),
            }
        )
        self.connections: dict[int, Connection] = {}
        self._held: OrderedDict[int, int] = OrderedDict()
        self._total = 0
        self._engine: Any = None

    def add(self, arrived: Arrived) -> None:
        """Take in one batch."""
        batch, grams = arrived.flows, arrived.datagrams
        self._engine = arrived.engine
        if not len(grams):
            return
        self.flows.grow_to(int(batch.flow[-1]) + 1)
        self.sides.grow_to(2 * int(batch.flow[-1]) + 2)
        flow, frame = batch.flow[grams.rows], batch.column["frame"][grams.rows].astype(np.int64)
        first = grams.head[:, 0]
        near = np.flatnonzero((first >= 20) & (first < 64))  # noqa: PLR2004 - RFC 7983 7: what DTLS may begin with
        if not len(near):
            return
        opens = near[(first[near] == HANDSHAKE) & (grams.head[near, 1] == _MAJOR)]
        if len(opens):
            opens = opens[begins_handshake(grams.head[opens], grams.length[opens])]
            np.minimum.at(self.flows["since"], flow[opens], frame[opens])
        mine = near[frame[near] >= self.flows["since"][flow[near]]]
        if not len(mine):
            return
        head = grams.head[mine]
        full, unified = looks_like_dtls(head, grams.length[mine]), head[:, 0] >> 5 == _UNIFIED
        spoken = full | unified
        mine, full, unified, head = mine[spoken], full[spoken], unified[spoken], head[spoken]
        if not len(mine):
            return
        data = unified | (head[:, 0] >= APPLICATION_DATA)
        encrypted = data | (head[:, 3] > 0) | (head[:, 4] > 0)
        self._look(arrived, mine[self._first_of_side(~data, batch.fs[grams.rows[mine]])])
        self._count(batch.fs[grams.rows[mine]], frame[mine], encrypted)

    def _first_of_side(self, wanted: BoolArray, fs: IntArray) -> IntArray:
        """Places of those that are looked into: of each side the first, up to a limit."""
        rows = np.flatnonzero(wanted)
        if not len(rows):
            return rows
        mine = fs[rows]
        starts = run_starts(mine)
        lengths = np.diff(np.append(starts, len(rows)))
        rank: IntArray = np.arange(len(rows)) - np.repeat(starts, lengths) + self.sides["looked"][mine]
        self.sides["looked"][mine[starts]] += lengths
        first: IntArray = rows[rank < MOST_LOOKED]
        return first

    def _look(self, arrived: Arrived, rows: IntArray) -> None:
        """Read datagrams, in frame order."""
        batch, grams = arrived.flows, arrived.datagrams
        rows = rows[np.argsort(batch.column["frame"][grams.rows[rows]], kind="stable")]
        place = grams.rows[rows]
        columns = zip(
            batch.flow[place].tolist(),
            batch.side[place].tolist(),
            batch.column["payload_offset"][place].tolist(),
            grams.captured[rows].tolist(),
            batch.column["frame"][place].tolist(),
            strict=True,
        )
        for flow, side, offset, captured, frame in columns:
            connection = self.connections.get(flow)
            if connection is None:
                connection = self.connections[flow] = Connection()
            connection.take(side, arrived.data[offset : offset + min(captured, _LONGEST)].tobytes(), frame)
            if connection.hello_frames:
                self.flows["hello"][flow] = connection.hello_frames[-1]
            self.flows["server_hello"][flow] = connection.server_hello_frame
            self._hold(flow, connection.held())

    def _hold(self, flow: int, size: int) -> None:
        """Keep account of what unfinished hellos take, and let the oldest go where it is too much."""
        before = self._held.pop(flow, 0) if not size else self._held.get(flow, 0)
        if size:
            self._held[flow] = size
        self._total += size - before
        while self._total > _HELD:
            oldest, freed = self._held.popitem(last=False)
            self.connections[oldest].let_go()
            self._total -= freed

    def _count(self, fs: IntArray, frame: IntArray, encrypted: BoolArray) -> None:
        """Counters of DTLS datagrams: each side is one run of equal ``fs``, in frame order."""
        starts = run_starts(fs)
        ends = np.append(starts[1:], len(fs)) - 1
        mine, table = fs[starts], self.sides
        table["packets"][mine] += ends - starts + 1
        table["last_frame"][mine] = frame[ends]
        latest = np.maximum.reduceat(np.where(encrypted, frame, -1), starts)
        table["encrypted"][mine] = np.maximum(table["encrypted"][mine], latest)
        for name in ("hello", "server_hello"):
            after = frame > self.flows[name][fs >> 1]
            table[f"after_{name}"][mine] += np.add.reduceat(after, starts, dtype=np.int64)

    def finish(self, flows: IntArray) -> None:
        """No more packets of these flows will come."""
        for flow in self._of(flows):
            self.connections[flow].let_go()
            self._total -= self._held.pop(flow, 0)

    def clear(self, flows: IntArray) -> None:
        """Forget finished flows, whose numbers are used again."""
        for flow in self._of(flows):
            self._total -= self._held.pop(flow, 0)
            del self.connections[flow]
        self.flows.clear(flows)
        self.sides.clear(both_sides(flows))

    def _of(self, flows: IntArray) -> list[int]:
        """Those of the flows that speak DTLS."""
        flows = flows[flows < self.flows.rows]
        return [
            flow for flow in flows[self.flows["since"][flows] != NEVER].tolist() if flow in self.connections
        ]

    def client_sides(self, flows: IntArray) -> IntArray:
        """Side of the DTLS client of each flow that begins with DTLS; -1 of others.

        In a call either end may be the DTLS client: what came before the hello (STUN) tells more.
        """
        found = np.full(len(flows), -1, dtype=np.int64)
        if self.connections:
            for place, flow in enumerate(flows.tolist()):
                connection = self.connections.get(flow)
                if (
                    connection is not None
                    and connection.first_frame == self._engine.flows["first_frame"][flow]
                ):
                    found[place] = connection.asker
        return found

    def flow_columns(self, sides: Sides) -> Mapping[str, Any]:
        """What the dictionary calls FLOW_DTLS, and ``dtls_sni``, ``dtls_alpn`` and fingerprints that are asked for.

        The latter are null where no hello was read, so that the flow table can put those of TLS beside them. No
        column at all where nothing is DTLS.
        """
        rows = self._rows(sides)
        if not rows:
            return {}
        counted = [self._counted(row, flow, sides) for row, flow in rows]
        wanted = [name for name in ("ja3", "ja4", "ja3s") if self._asked.column(name)]
        return flow_columns(len(sides), counted, wanted)

    def rows(self, table: str, sides: Sides) -> pl.DataFrame:
        """Rows of the tls table."""
        if table != TLS.name:
            raise KeyError(table)
        return table_rows([self._counted(row, flow, sides) for row, flow in self._rows(sides)])

    def _rows(self, sides: Sides) -> list[tuple[int, int]]:
        """Row and number of each flow with a hello."""
        if not self.connections:
            return []
        found = [
            (row, flow)
            for row, flow in enumerate(sides.flow.tolist())
            if (connection := self.connections.get(flow)) is not None and connection.asker >= 0
        ]
        if found:
            self.sides.grow_to(2 * int(sides.flow.max()) + 2)
        return found

    def _counted(self, row: int, flow: int, sides: Sides) -> Counted:
        connection, table = self.connections[flow], self.sides
        client = 2 * flow + connection.asker
        server = client ^ 1
        return Counted(
            row=row,
            connection=connection,
            by_client=client == int(sides.client[row]),
            to_server=int(table["packets"][client]),
            to_client=int(table["packets"][server]),
            last_to_client=int(table["last_frame"][server]),
            to_client_after_hello=int(table["after_hello"][server]),
            to_server_after_server_hello=int(table["after_server_hello"][client]),
            to_client_after_server_hello=int(table["after_server_hello"][server]),
            encrypted=min(
                max(int(table["encrypted"][side]), connection.encrypted[side & 1])
                for side in (client, server)
            ),
        )
