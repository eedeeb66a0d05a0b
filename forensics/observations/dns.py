"""The dns table: one row per transaction, which is a query and all that answered it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import polars as pl

from forensics.observations.dns_summary import add_cross_row_columns, transactions
from forensics.protocols.dns import DnsMessage, parse_message
from forensics.protocols.errors import ProtocolError

if TYPE_CHECKING:
    import numpy.typing as npt

    from forensics.decode.addresses import AddressBook
    from forensics.decode.columns import PacketTable

DNS_PORT: Final = 53
KEPT: Final = 16
"""Frames and responses listed per row; what comes after them is counted only."""
_KEPT_ADDRESSES: Final = 256
_KEPT_SETS: Final = 1024
_ROWS_A_FRAME: Final = 4096
"""Finished rows that are kept as Python values, which take ten times the memory of a table."""

_SECOND: Final = 1_000_000_000
RETRY_NS: Final = 30 * _SECOND
"""A query with the same key belongs to the transaction when it comes this soon after the last query."""
LATE_NS: Final = 60 * _SECOND
"""A response is taken as one to the query when it comes this soon after the last packet of the transaction.

No stub resolver waits that long; ports and ids are used again after it."""
ORPHAN_NS: Final = 30 * _SECOND
"""The same for a transaction whose query was not captured."""
REORDER_NS: Final = 1 * _SECOND
"""A query may stand this much after its response in the capture: two queues, written out of order."""
MAX_OPEN: Final = 1 << 16
"""Transactions kept open; past it the oldest is closed."""

_COLUMNS: Final = (
    "frame",
    "time",
    "clock",
    "stream",
    "src",
    "dst",
    "sport",
    "dport",
    "ttl",
    "ipid",
    "df",
    "payload_len",
    "payload_offset",
    "payload_captured",
    "copied",
)
_Sockets = tuple[int, int, int, int, int]  # client, port, resolver, port, transaction id
_Key = tuple[int, int, int, int, int, str, str]  # and name and type asked for


class _Response:
    """What is kept of one response."""

    __slots__ = ("addresses", "cname", "df", "flags", "frame", "ipid", "time", "ttl")

    def __init__(self, row: tuple[Any, ...], message: DnsMessage) -> None:
        self.frame: int = row[0]
        self.time: int = row[1]
        self.ttl: int = row[8]
        self.ipid: int = row[9]
        self.df: bool = row[10]
        self.flags = message.flags
        self.addresses = tuple(sorted(set(message.addresses)))
        self.cname = message.cnames[-1] if message.cnames else ""


class _Transaction:
    """One row while it is open."""

    __slots__ = (
        "addresses",
        "all_identical",
        "answers_differ",
        "cnames",
        "first_bytes",
        "first_delay",
        "first_frame",
        "key",
        "last_clock",
        "last_query_clock",
        "last_query_time",
        "malformed",
        "outcomes",
        "queries",
        "query_frames",
        "query_time",
        "response_count",
        "responses",
        "sets",
        "stream",
    )

    def __init__(self, key: _Key, frame: int, stream: int) -> None:
        self.key = key
        self.first_frame = frame
        self.stream = stream
        self.queries = 0
        self.query_frames: list[int] = []
        self.query_time = 0
        self.last_query_time = 0
        self.last_query_clock = 0
        self.last_clock = 0
        self.response_count = 0
        self.responses: list[_Response] = []
        self.first_bytes = b""
        self.first_delay: float | None = None
        self.all_identical = True
        self.malformed = 0
        self.addresses: dict[str, None] = {}
        self.cnames: dict[str, None] = {}
        self.sets: set[tuple[str, ...]] = set()
        self.outcomes: set[tuple[str, ...] | int] = set()
        self.answers_differ = False

    def takes_query(self, clock: int) -> bool:
        """Whether one more query of the same key belongs here."""
        if self.queries:
            return clock - self.last_query_clock <= RETRY_NS
        return clock - self.last_clock <= REORDER_NS

    def takes_response(self, clock: int) -> bool:
        """Whether one more response to the same key belongs here."""
        return clock - self.last_clock <= (LATE_NS if self.queries else ORPHAN_NS)

    def add_query(self, row: tuple[Any, ...]) -> None:
        copied = row[14] and self.queries > 0
        if not self.queries:
            self.query_time = row[1]
        self.queries += not copied
        if len(self.query_frames) < KEPT:
            self.query_frames.append(row[0])
        if copied:  # one transmission, captured twice
            return
        self.last_query_time = row[1]
        self.last_query_clock = self.last_clock = row[2]
        self._compare()

    def add_response(self, row: tuple[Any, ...], message: DnsMessage, payload: bytes, *, whole: bool) -> None:
        response = _Response(row, message)
        self.last_clock = row[2]
        if not self.response_count:
            self.first_bytes = payload
            if self.queries:
                self.first_delay = (response.time - self.last_query_time) / 1e6
        elif payload != self.first_bytes:
            self.all_identical = False
        self.response_count += 1
        if len(self.responses) < KEPT:
            self.responses.append(response)
        if message.malformed and whole:
            self.malformed += 1
        if len(self.addresses) < _KEPT_ADDRESSES:
            self.addresses.update(dict.fromkeys(response.addresses))
        if len(self.cnames) < _KEPT_ADDRESSES:
            self.cnames.update(dict.fromkeys(message.cnames))
        if len(self.outcomes) < _KEPT_SETS:
            self.outcomes.add(response.addresses or message.rcode)
            if response.addresses:
                self.sets.add(response.addresses)
        self._compare()

    def _compare(self) -> None:
        # A resolver may answer each transmission of the query with another part of a round-robin set. As
        # soon as there are more different sets than queries so far, two of them answered one transmission.
        if 0 < self.queries < len(self.sets):
            self.answers_differ = True

    def wire_facts_differ(self) -> bool:
        """Whether responses with different addresses also differ in TTL (by more than 1), DF or flags."""
        for i, one in enumerate(self.responses):
            for other in self.responses[:i]:
                if one.addresses == other.addresses:
                    continue
                flags = one.flags ^ other.flags
                if not (one.addresses and other.addresses):
                    flags = 0  # an error has other flags than an answer, whoever sends it
                if abs(one.ttl - other.ttl) > 1 or one.df != other.df or flags:
                    return True
        return False

    def row(self) -> tuple[Any, ...]:
        """The finished row, in the order of ``dns_summary.TRANSACTION``; addresses of hosts are still ids."""
        client, client_port, resolver, resolver_port, txid, qname, qtype = self.key
        start = self.query_time if self.queries else None
        return (
            self.first_frame,
            self.stream,
            client,
            client_port,
            resolver,
            resolver_port,
            txid,
            qname,
            qtype,
            self.queries > 0,
            self.query_frames,
            self.query_time if self.queries else self.responses[0].time,
            self.queries,
            self.response_count,
            [r.frame for r in self.responses],
            [None if start is None else (r.time - start) / 1e6 for r in self.responses],
            [r.ttl for r in self.responses],
            [r.ipid for r in self.responses],
            [r.df for r in self.responses],
            [r.flags for r in self.responses],
            [r.flags & 0xF for r in self.responses],
            [" ".join(r.addresses) or r.cname for r in self.responses],
            sorted(self.addresses),
            list(self.cnames),
            self.malformed,
            len(self.outcomes),
            self.response_count > 1 and self.all_identical,
            self.answers_differ,
            self.wire_facts_differ(),
            self.first_delay,
        )


class DnsCollector:
    """Follows DNS over UDP through a capture; how that is cut into batches makes no difference."""

    def __init__(self) -> None:
        self.not_dns = 0
        """Datagrams on port 53 that are not DNS."""
        self.cut = 0
        """Datagrams whose question the capture did not keep."""
        self._open: dict[_Key, _Transaction] = {}
        self._last: dict[_Sockets, _Key] = {}
        self._frames: list[pl.DataFrame] = []
        self._closed: list[tuple[Any, ...]] = []
        self._swept = 0

    def add(
        self,
        packets: PacketTable,
        stream: npt.NDArray[np.int64],
        clock: npt.NDArray[np.int64],
        data: npt.NDArray[np.uint8],
        copied: npt.NDArray[np.bool_] | None = None,
    ) -> None:
        """Takes the next packets, in frame order: only UDP packets of port 53 with payload.

        Of each: ``stream`` (Wireshark's udp.stream), ``clock`` (ns: the running maximum of ``time``), and whether the
        capture holds it a second time. ``data`` is the uint8 array that ``payload_offset`` points into.
        """
        twice = np.zeros(len(stream), dtype=np.bool_) if copied is None else copied
        given: dict[str, npt.NDArray[Any]] = {"stream": stream, "clock": clock, "copied": twice}
        columns = [(given[name] if name in given else packets[name]).tolist() for name in _COLUMNS]
        for row in zip(*columns, strict=True):
            captured: int = row[13]
            offset: int = row[12]
            payload = data[offset : offset + captured].tobytes()
            whole = captured >= row[11]
            try:
                message = parse_message(payload)
            except ProtocolError:
                if whole:
                    self.not_dns += 1
                else:
                    self.cut += 1
                continue
            self._sweep(row[2])
            if message.is_response:
                self._response(row, message, payload, whole=whole)
            else:
                self._query(row, message)

    def _query(self, row: tuple[Any, ...], message: DnsMessage) -> None:
        sockets: _Sockets = (row[4], row[6], row[5], row[7], message.txid)
        if sockets[3] != DNS_PORT:  # a query sent by port 53 to another port reaches no resolver
            self.not_dns += 1
            return
        key = (*sockets, message.qname, message.qtype)
        transaction = self._open.get(key)
        if transaction is None or not transaction.takes_query(row[2]):
            transaction = self._start(key, row)
        transaction.add_query(row)
        self._last[sockets] = key

    def _response(self, row: tuple[Any, ...], message: DnsMessage, payload: bytes, *, whole: bool) -> None:
        sockets: _Sockets = (row[5], row[7], row[4], row[6], message.txid)
        if sockets[3] != DNS_PORT:
            self.not_dns += 1
            return
        key = (*sockets, message.qname, message.qtype)
        if not message.questions:
            key = self._last.get(sockets, key)
        transaction = self._open.get(key)
        if transaction is None or not transaction.takes_response(row[2]):
            transaction = self._start(key, row)
        transaction.add_response(row, message, payload, whole=whole)

    def _start(self, key: _Key, row: tuple[Any, ...]) -> _Transaction:
        """Opens a transaction in place of one that is over."""
        self._close(key)
        if len(self._open) >= MAX_OPEN:
            self._close(next(iter(self._open)))
        transaction = self._open[key] = _Transaction(key, row[0], row[3])
        return transaction

    def _close(self, key: _Key) -> None:
        transaction = self._open.pop(key, None)
        if transaction is not None:
            self._closed.append(transaction.row())
            if len(self._closed) >= _ROWS_A_FRAME:
                self._frames.append(transactions(self._closed))
                self._closed.clear()
            sockets: _Sockets = key[:5]
            if self._last.get(sockets) == key:
                del self._last[sockets]

    def _sweep(self, clock: int) -> None:
        """Closes what nothing can join any more; when it runs changes memory, never results."""
        if clock - self._swept < LATE_NS:
            return
        self._swept = clock
        for key in [key for key, t in self._open.items() if clock - t.last_clock > LATE_NS]:
            self._close(key)

    def finish(self, book: AddressBook) -> pl.DataFrame:
        """The table so far, with the schema of ``dictionary.DNS``; more packets may be added afterwards.

        Columns from ``pool`` on are null (lists: empty): later rooms fill them.
        """
        rows = [*self._closed, *(transaction.row() for transaction in self._open.values())]
        frames = [*self._frames, transactions(rows)]
        whole = pl.concat(frames).sort("first_frame", maintain_order=True)
        return add_cross_row_columns(whole, book)
