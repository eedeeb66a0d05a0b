"""QUIC: which conversations speak it, and what each of their connections shows."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import polars as pl

from forensics.flows.arrays import (
    FRAME_BITS,
    NEVER,
    BoolArray,
    GrowingColumns,
    IntArray,
    both_sides,
    run_starts,
)
from forensics.observations.dictionary import QUIC
from forensics.observations.quic_connection import Connection, Seen
from forensics.observations.quic_conversation import Conversation, KeyRing
from forensics.observations.quic_rows import FLOW_NAMES, Counted, facts, fingerprint
from forensics.observations.series import where_known
from forensics.protocols.quic import LONG, OTHER, RESERVED, SHORT, classify
from forensics.protocols.quic_google import looks_like_google, looks_like_google_reply

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

    from forensics.observations.collector import Arrived, Asked
    from forensics.observations.sides import Sides

MOST_LOOKED: Final = 64
"""Datagrams of each side of a conversation that are looked into: those with long headers, in order."""
_LONGEST: Final = 1 << 14
"""Bytes of a datagram that are looked into."""
_HELD: Final = 32 << 20
"""Most bytes held for all unfinished hellos together; the oldest goes first."""

_IETF, _GOOGLE = 1, 2

COUNTERS: Final[dict[str, tuple[type[np.generic], int]]] = {
    "packets": (np.int64, 0),
    "bytes": (np.int64, 0),
    "first_frame": (np.int64, NEVER),
    "last_frame": (np.int64, -1),
    "first_time": (np.int64, NEVER),
    "last_time": (np.int64, 0),
    "short": (np.int64, 0),  # datagrams that begin with a short header
    "first_short": (np.int64, NEVER),
    "last_short": (np.int64, -1),
    "after_hello": (np.int64, 0),
    "bytes_after_hello": (np.int64, 0),
    "first_after_hello": (np.int64, NEVER),  # its time
    "unanswered": (np.int64, 0),  # since the other side's last datagram
}
"""Kept for each side of each connection, in row 2 x its number + side."""


class QuicCollector:
    """Finds QUIC by its first long header; see Collector.

    A conversation is QUIC from there on: what it carried before (hole punching, another protocol) is not counted.
    """

    tables = (QUIC,)

    def __init__(self, asked: Asked) -> None:
        self._asked = asked
        self.flows = GrowingColumns(
            {"since": (np.int64, NEVER), "kind": (np.int8, 0), "current": (np.int64, -1)}
        )
        self.sides = GrowingColumns({"looked": (np.int64, 0)})
        self.counters = GrowingColumns(COUNTERS)
        self.hellos = GrowingColumns({"frame": (np.int64, NEVER)})
        self.conversations: dict[int, Conversation] = {}
        self._ring = KeyRing()
        self._free: list[int] = []
        self._held: OrderedDict[int, int] = OrderedDict()
        self._total = 0

    def add(self, arrived: Arrived) -> None:
        """Take in one batch."""
        batch, datagrams = arrived.flows, arrived.datagrams
        if not len(datagrams):
            return
        self.flows.grow_to(int(batch.flow[-1]) + 1)
        self.sides.grow_to(2 * int(batch.flow[-1]) + 2)
        code = classify(datagrams.head, datagrams.length)
        google = looks_like_google(datagrams.head, datagrams.length)
        opens = (code == LONG) | (code == RESERVED) | google
        flow, frame = batch.flow[datagrams.rows], batch.column["frame"][datagrams.rows].astype(np.int64)
        self._note_openers(np.flatnonzero(opens), flow, frame, google)
        mine = np.flatnonzero(frame >= self.flows["since"][flow])
        if not len(mine):
            return
        wanted = opens[mine] | (code[mine] == OTHER)
        spoken = self.flows["kind"][flow[mine]] == _GOOGLE
        if spoken.any():
            wanted |= spoken & looks_like_google_reply(datagrams.head[mine])
        begun = self._look(arrived, mine[self._first_of_side(wanted, batch.fs[datagrams.rows[mine]])])
        self._count(arrived, mine, code[mine] == SHORT, begun)

    def _note_openers(self, rows: IntArray, flow: IntArray, frame: IntArray, google: BoolArray) -> None:
        rows = rows[self.flows["kind"][flow[rows]] == 0]
        if not len(rows):
            return
        np.minimum.at(self.flows["since"], flow[rows], frame[rows])
        first = rows[frame[rows] == self.flows["since"][flow[rows]]]
        self.flows["kind"][flow[first]] = np.where(google[first], _GOOGLE, _IETF)

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

    def _look(self, arrived: Arrived, rows: IntArray) -> list[tuple[int, int, int]]:
        """Read datagrams; gives (flow, frame, number) of the connections that begin with one of them."""
        batch, datagrams = arrived.flows, arrived.datagrams
        begun: list[tuple[int, int, int]] = []
        frame = batch.column["frame"][datagrams.rows[rows]]
        rows = rows[np.argsort(frame, kind="stable")]
        place = datagrams.rows[rows]
        columns = zip(
            batch.flow[place].tolist(),
            batch.side[place].tolist(),
            batch.column["payload_offset"][place].tolist(),
            datagrams.captured[rows].tolist(),
            datagrams.length[rows].tolist(),
            batch.column["frame"][place].tolist(),
            batch.column["time"][place].tolist(),
            strict=True,
        )
        data = arrived.data
        for flow, side, offset, captured, length, number, time in columns:
            conversation = self.conversations.get(flow)
            if conversation is None:
                conversation = self.conversations[flow] = Conversation(self._ring)
            known = len(conversation.connections)
            piece = data[offset : offset + min(captured, _LONGEST)].tobytes()
            conversation.take(Seen(side, piece, length, number, time))
            for connection in conversation.connections[known:]:
                connection.number = self._number()
                begun.append((flow, number, connection.number))
            if conversation.connections:
                connection = conversation.connections[-1]
                if connection.hello_frames:
                    self.hellos["frame"][connection.number] = connection.hello_frames[-1]
            self._hold(flow, conversation.held())
        return begun

    def _number(self) -> int:
        if self._free:
            return self._free.pop()
        number = self.hellos.rows
        self.hellos.grow_to(number + 1)
        self.counters.grow_to(2 * number + 2)
        return number

    def _hold(self, flow: int, size: int) -> None:
        """Keep account of what unfinished hellos take, and let the oldest go where it is too much."""
        before = self._held.pop(flow, 0) if not size else self._held.get(flow, 0)
        if size:
            self._held[flow] = size
        self._total += size - before
        while self._total > _HELD:
            oldest, freed = self._held.popitem(last=False)
            self.conversations[oldest].let_go()
            self._total -= freed

    def _count(
        self, arrived: Arrived, mine: IntArray, short: BoolArray, begun: list[tuple[int, int, int]]
    ) -> None:
        """Counters of the datagrams ``mine``, by the connection that each belongs to."""
        batch, datagrams = arrived.flows, arrived.datagrams
        rows = datagrams.rows[mine]
        flow, frame = batch.flow[rows], batch.column["frame"][rows].astype(np.int64)
        owner = self.flows["current"][flow]
        if begun:
            starts = np.array(begun, dtype=np.int64)
            starts = starts[np.lexsort((starts[:, 1], starts[:, 0]))]
            place = np.searchsorted(
                starts[:, 0] << FRAME_BITS | starts[:, 1], flow << FRAME_BITS | frame, "right"
            )
            place = np.maximum(place - 1, 0)
            fits = (starts[place, 0] == flow) & (starts[place, 1] <= frame)
            owner = np.where(fits, starts[place, 2], owner)
            for number, _, connection in starts.tolist():
                self.flows["current"][number] = connection
        kept = np.flatnonzero(owner >= 0)
        if not len(kept):
            return
        owner, frame, short = owner[kept], frame[kept], short[kept]
        side = 2 * owner + batch.side[rows[kept]].astype(np.int64)
        size, time = datagrams.length[mine[kept]], batch.column["time"][rows[kept]].astype(np.int64)
        self._sum(side, frame, time, size, short)

    def _sum(self, side: IntArray, frame: IntArray, time: IntArray, size: IntArray, short: BoolArray) -> None:
        """Every side of a connection is one run of equal ``side``, in frame order."""
        starts = run_starts(side)
        ends = np.append(starts[1:], len(side)) - 1
        mine = side[starts]
        table = self.counters

        def total(values: npt.NDArray[Any]) -> IntArray:
            return np.add.reduceat(values, starts, dtype=np.int64)

        def least(values: IntArray, chosen: BoolArray) -> IntArray:
            return np.minimum.reduceat(np.where(chosen, values, NEVER), starts)

        table["packets"][mine] += ends - starts + 1
        table["bytes"][mine] += total(size)
        fresh = mine[table["first_frame"][mine] == NEVER]
        table["first_time"][fresh] = time[starts[table["first_frame"][mine] == NEVER]]
        table["first_frame"][mine] = np.minimum(table["first_frame"][mine], frame[starts])
        table["last_frame"][mine] = frame[ends]
        table["last_time"][mine] = time[ends]
        table["short"][mine] += total(short)
        table["first_short"][mine] = np.minimum(table["first_short"][mine], least(frame, short))
        latest = np.maximum.reduceat(np.where(short, frame, -1), starts)
        table["last_short"][mine] = np.maximum(table["last_short"][mine], latest)
        after = frame > self.hellos["frame"][side >> 1]
        table["after_hello"][mine] += total(after)
        table["bytes_after_hello"][mine] += total(np.where(after, size, 0))
        # the first one in order of frames, whatever the clock says
        place = np.arange(len(side), dtype=np.int64)
        first = least(place, after)
        fresh = (first != NEVER) & (table["first_after_hello"][mine] == NEVER)
        table["first_after_hello"][mine[fresh]] = time[first[fresh]]
        table["unanswered"][mine ^ 1] = 0
        table["unanswered"][mine] += total(frame > table["last_frame"][side ^ 1])

    def finish(self, flows: IntArray) -> None:
        """No more packets of these flows will come."""
        for flow in self._of(flows):
            self.conversations[flow].let_go()
            self._total -= self._held.pop(flow, 0)

    def clear(self, flows: IntArray) -> None:
        """Forget finished flows, whose numbers are used again."""
        for flow in self._of(flows):
            numbers = [connection.number for connection in self.conversations.pop(flow).connections]
            self._free += numbers
            rows = np.array(numbers, dtype=np.int64)
            self.hellos.clear(rows)
            self.counters.clear(both_sides(rows))
        self.flows.clear(flows)
        self.sides.clear(both_sides(flows))

    def _of(self, flows: IntArray) -> list[int]:
        """Those of the flows that are, or seem, QUIC."""
        flows = flows[flows < self.flows.rows]
        return [flow for flow in flows[self.flows["kind"][flows] != 0].tolist() if flow in self.conversations]

    def flow_columns(self, sides: Sides) -> Mapping[str, Any]:
        """What the dictionary calls FLOW_QUIC, and ``quic_sni``, ``quic_alpn`` and perhaps ``quic_ja4``.

        These three are null where no hello was read, so that the flow table can put those of TLS beside them. No
        column at all where nothing is QUIC.
        """
        size = len(sides)
        rows = self._rows(sides)
        if not rows:
            return {}
        told = [_teller(self.conversations[flow].connections) for _, flow in rows]
        described = self._describe(sides, rows, told)
        columns: dict[str, Any] = {}
        where = np.array([row for row, _ in rows], dtype=np.int64)
        for name, of_table in FLOW_NAMES.items():
            columns[name] = _spread(
                size, where, [one[of_table] for one in described], QUIC.column(of_table).dtype
            )
        columns["quic_connections"] = _spread(
            size, where, [len(self.conversations[flow].connections) for _, flow in rows], pl.Int64
        )
        if self._asked.column("ja4"):
            columns["quic_ja4"] = _spread(size, where, [fingerprint(one) for one in told], pl.String)
        return columns

    def rows(self, table: str, sides: Sides) -> pl.DataFrame:
        """The quic table: one row a connection."""
        if table != QUIC.name:
            raise KeyError(table)
        rows: list[tuple[int, int]] = []
        connections: list[Connection] = []
        places: list[int] = []
        for row, flow in self._rows(sides):
            for place, connection in enumerate(self.conversations[flow].connections):
                rows.append((row, flow))
                connections.append(connection)
                places.append(place)
        described = [
            {
                **facts_of,
                "flow": row,
                "connection": place,
                "ja4": fingerprint(connection),
                "datagrams_not_read": self._not_read(flow),
            }
            for facts_of, (row, flow), place, connection in zip(
                self._describe(sides, rows, connections), rows, places, connections, strict=True
            )
        ]
        left_out = {"proto", "stream", "client", "client_port", "server", "server_port"}
        schema = {column.name: column.dtype for column in QUIC.columns if column.name not in left_out}
        return pl.DataFrame(described, schema=schema, orient="row")

    def client_sides(self, flows: IntArray) -> IntArray:
        """Side of the QUIC client of each of the flows (numbers of the engine); -1 where nothing tells."""
        found = np.full(len(flows), -1, dtype=np.int64)
        if self.conversations:
            for place, flow in enumerate(flows.tolist()):
                conversation = self.conversations.get(flow)
                if conversation is not None and conversation.connections:
                    found[place] = _teller(conversation.connections).client
        return found

    def _not_read(self, flow: int) -> int:
        looked = self.sides["looked"][2 * flow : 2 * flow + 2]
        return int(np.maximum(looked - MOST_LOOKED, 0).sum()) + self.conversations[flow].left_out

    def _rows(self, sides: Sides) -> list[tuple[int, int]]:
        """Rows of ``sides`` with a connection, and the flows they are."""
        if not self.conversations:
            return []
        return [
            (row, flow)
            for row, flow in enumerate(sides.flow.tolist())
            if flow in self.conversations and self.conversations[flow].connections
        ]

    def _describe(
        self, sides: Sides, rows: list[tuple[int, int]], connections: list[Connection]
    ) -> list[dict[str, Any]]:
        """Facts of connections; where nothing tells who is the client of one, it is that of the flow."""
        by_flow = sides.client[[row for row, _ in rows]] & 1 if rows else np.empty(0, dtype=np.int64)
        client = [
            one.client if one.client >= 0 else side
            for one, side in zip(connections, by_flow.tolist(), strict=True)
        ]
        number = np.array([one.number for one in connections], dtype=np.int64)
        mine = 2 * number + np.array(client, dtype=np.int64)
        counted = [self._counted(chosen) for chosen in (mine, mine ^ 1)]
        return [
            facts(one, side, of_client, of_server, google=self.conversations[flow].google)
            for one, side, of_client, of_server, (_, flow) in zip(
                connections, client, *counted, rows, strict=True
            )
        ]

    def _counted(self, side: IntArray) -> list[Counted]:
        columns = [self.counters[name][side].tolist() for name in COUNTERS]
        return [Counted(*values) for values in zip(*columns, strict=True)]


def _teller(connections: list[Connection]) -> Connection:
    """The connection that the flow table tells of."""
    return next((one for one in connections if one.hello_bytes), connections[0])


def _spread(
    size: int, rows: IntArray, values: list[Any], dtype: pl.DataType | type[pl.DataType]
) -> pl.Series:
    """A column of ``size`` rows with ``values`` at ``rows``, at least one, and null elsewhere."""
    place = np.full(size, -1, dtype=np.int64)
    place[rows] = np.arange(len(rows))
    return pl.Series(values, dtype=dtype).gather(where_known(place, place >= 0))
