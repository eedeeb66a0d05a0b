"""Queries and what answers them, while more may come."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

from forensics.protocols.dns import TRUNCATED_FLAG

if TYPE_CHECKING:
    from collections.abc import Callable

    from forensics.protocols.dns import DnsMessage

DNS, MDNS, LLMNR = "dns", "mdns", "llmnr"
PORTS: Final[dict[int, str]] = {53: DNS, 5353: MDNS, 5355: LLMNR}
"""Port of who is asked → service. https://www.rfc-editor.org/rfc/rfc6762 and rfc4795"""
UDP, TCP = "udp", "tcp"
KEPT: Final = 16
"""Frames and responses listed per row; what comes after them is counted only."""
_KEPT_ADDRESSES: Final = 256
_KEPT_SETS: Final = 1024

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

_Sockets: TypeAlias = tuple[int, int, int, int, int]  # client, port, resolver, port, transaction id
_Key: TypeAlias = tuple[int, int, int, int, int, str, str]  # and name and type asked for
_GROUP: Final = 0
"""Stands in keys for the resolver of a query that was sent to a multicast group: anybody may answer."""


class Carried(NamedTuple):
    """The packet that carried a message (over TCP: the one that completed it)."""

    frame: int
    time: int
    clock: int
    """Latest time (ns) of the capture so far; over TCP of the connection."""
    stream: int
    src: int
    dst: int
    sport: int
    dport: int
    ttl: int
    ipid: int
    df: bool
    payload_len: int
    """Of the message, in bytes on the wire."""
    payload_offset: int
    payload_captured: int
    copied: bool
    """The capture holds the packet a second time."""


class _Response:
    """What is kept of one response."""

    __slots__ = (
        "addresses", "df", "flags", "frame", "ipid", "length", "min_ttl", "rcode", "text", "time", "trailing", "ttl"
    )  # fmt: skip

    def __init__(self, packet: Carried, message: DnsMessage) -> None:
        self.frame = packet.frame
        self.time = packet.time
        self.ttl = packet.ttl
        self.ipid = packet.ipid
        self.df = packet.df
        self.length = packet.payload_len
        self.flags = message.flags
        self.rcode = message.rcode
        self.trailing = message.trailing
        self.min_ttl = message.min_ttl
        self.addresses = tuple(sorted(set(message.addresses)))
        self.text = " ".join(self.addresses)
        if not self.addresses:
            hints = dict.fromkeys(hint for service in message.services for hint in service.hints)
            self.text = " ".join(sorted(hints)) or (message.cnames[-1] if message.cnames else "")


class _Extras:
    """What only some look-ups have; made when there is something to keep."""

    __slots__ = ("alpn", "astray", "ech", "errors", "hints", "others", "services", "truncated")

    def __init__(self) -> None:
        self.truncated = False
        self.errors: set[int] = set()
        self.services: dict[str, None] = {}
        self.hints: dict[str, None] = {}
        self.alpn: dict[str, None] = {}
        self.ech: bool | None = None
        self.others: dict[str, None] = {}
        self.astray: dict[str, None] = {}

    def add(self, message: DnsMessage) -> None:
        self.truncated |= bool(message.flags & TRUNCATED_FLAG)
        if message.edns is not None and len(self.errors) < KEPT:
            self.errors.update(message.edns.extended_errors)
        for service in message.services:
            if len(self.services) < KEPT:
                self.services[service.text] = None
            if len(self.hints) < _KEPT_ADDRESSES:
                self.hints.update(dict.fromkeys(service.hints))
            if len(self.alpn) < KEPT:
                self.alpn.update(dict.fromkeys(service.alpn))
            if service.priority:  # an alias (0) carries no parameters
                self.ech = bool(self.ech) or service.ech
        for kept, found in ((self.others, message.others), (self.astray, message.astray)):
            if len(kept) < _KEPT_ADDRESSES:
                kept.update(dict.fromkeys(found))


_NOTHING: Final = _Extras()


class _Transaction:
    """One row while it is open."""

    __slots__ = (
        "addresses", "all_identical", "answers_differ", "cnames", "edns", "extras", "first_bytes", "first_delay",
        "first_frame", "key", "last_clock", "last_query_clock", "last_query_time", "malformed", "outcomes", "queries",
        "query_flags", "query_frames", "query_time", "questions", "resolver", "response_count", "responses", "sets",
        "stream",
    )  # fmt: skip

    def __init__(self, key: _Key, frame: int, stream: int, resolver: int) -> None:
        self.key = key
        self.first_frame = frame
        self.stream = stream
        self.resolver = resolver
        self.queries = 0
        self.query_frames: list[int] = []
        self.query_time = 0
        self.query_flags: int | None = None
        self.questions: int | None = None
        self.edns: tuple[int, bool, bool] | None = None
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
        self.extras = _NOTHING
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

    def add_query(self, packet: Carried, message: DnsMessage) -> None:
        copied = packet.copied and self.queries > 0
        if not self.queries:
            self.query_time = packet.time
            self.query_flags = message.flags
            self.questions = message.questions
            edns = message.edns
            if edns is not None:
                self.edns = edns.udp_size, edns.dnssec_ok, edns.client_subnet
        self.queries += not copied
        if len(self.query_frames) < KEPT:
            self.query_frames.append(packet.frame)
        if copied:  # one transmission, captured twice
            return
        self.last_query_time = packet.time
        self.last_query_clock = self.last_clock = packet.clock
        self._compare()

    def add_response(self, packet: Carried, message: DnsMessage, payload: bytes, *, whole: bool) -> None:
        response = _Response(packet, message)
        self.last_clock = packet.clock
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
        self._keep(response, message)
        self._compare()

    def _keep(self, response: _Response, message: DnsMessage) -> None:
        """What the answers of all responses hold together."""
        if len(self.addresses) < _KEPT_ADDRESSES:
            self.addresses.update(dict.fromkeys(response.addresses))
        if message.cnames and len(self.cnames) < _KEPT_ADDRESSES:
            self.cnames.update(dict.fromkeys(message.cnames))
        edns = message.edns
        told = message.services or message.others or message.astray or message.flags & TRUNCATED_FLAG
        if told or (edns is not None and edns.extended_errors):
            if self.extras is _NOTHING:
                self.extras = _Extras()
            self.extras.add(message)
        if len(self.outcomes) < _KEPT_SETS:
            self.outcomes.add(response.addresses or message.rcode)
            if response.addresses:
                self.sets.add(response.addresses)

    def _compare(self) -> None:
        # A resolver may answer each transmission of the query with another part of a round-robin set. As
        # soon as there are more different sets than queries so far, two of them answered one transmission.
        # A multicast query is answered by all hosts that have the name, each in its own words.
        if 0 < self.queries < len(self.sets) and self.key[2] != _GROUP:
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

    def row(self, transport: str) -> tuple[Any, ...]:
        """The finished row, in the order of ``dns_summary.TRANSACTION``; addresses of hosts are still ids."""
        client, client_port, _, resolver_port, txid, qname, qtype = self.key
        start = self.query_time if self.queries else None
        extras, responses = self.extras, self.responses
        return (
            self.first_frame,
            self.stream,
            transport,
            PORTS[resolver_port],
            client,
            client_port,
            self.resolver,
            resolver_port,
            txid,
            qname,
            qtype,
            self.questions,
            self.queries > 0,
            self.query_frames,
            self.query_time if self.queries else responses[0].time,
            self.query_flags,
            *(self.edns or (None, None, None)),
            self.queries,
            self.response_count,
            [r.frame for r in responses],
            [None if start is None else (r.time - start) / 1e6 for r in responses],
            [r.ttl for r in responses],
            [r.ipid for r in responses],
            [r.df for r in responses],
            [r.flags for r in responses],
            [r.rcode for r in responses],
            [r.length for r in responses],
            [r.trailing for r in responses],
            [r.min_ttl for r in responses],
            [r.text for r in responses],
            sorted(self.addresses),
            list(self.cnames),
            list(extras.astray),
            list(extras.others),
            list(extras.services),
            list(extras.hints),
            list(extras.alpn),
            extras.ech,
            sorted(extras.errors),
            extras.truncated if self.response_count else None,
            self.malformed,
            len(self.outcomes),
            self.response_count > 1 and self.all_identical,
            self.answers_differ,
            self.wire_facts_differ(),
            self.first_delay,
        )


class Transactions:
    """The transactions that are open: those of all UDP, or those of one TCP connection."""

    def __init__(self, transport: str, most: int, done: Callable[[tuple[Any, ...]], None]) -> None:
        """At most ``most`` are open, past it the oldest is closed; ``done`` gets the row of each that is closed."""
        self._transport = transport
        self._most = most
        self._done = done
        # a plain dict walks over all that was deleted when it is asked for its first key
        self._open: OrderedDict[_Key, _Transaction] = OrderedDict()
        self._last: dict[_Sockets, _Key] = {}
        self._swept = 0

    def add(self, packet: Carried, message: DnsMessage, payload: bytes, *, whole: bool) -> bool:
        """Takes in one message; False when it cannot belong to a look-up, by its ports.

        ``whole``: the capture holds all of it.
        """
        self._sweep(packet.clock)
        if message.is_response:
            return self._response(packet, message, payload, whole=whole)
        return self._query(packet, message)

    def _query(self, packet: Carried, message: DnsMessage) -> bool:
        service = PORTS.get(packet.dport)
        if service is None:  # a query sent by port 53 to another port reaches no resolver
            return False
        resolver = packet.dst if service == DNS else _GROUP
        sockets: _Sockets = (packet.src, packet.sport, resolver, packet.dport, message.txid)
        key = (*sockets, message.qname, message.qtype)
        transaction = self._open.get(key)
        if transaction is None or not transaction.takes_query(packet.clock):
            transaction = self._start(key, packet, packet.dst)
        transaction.add_query(packet, message)
        self._last[sockets] = key
        return True

    def _response(self, packet: Carried, message: DnsMessage, payload: bytes, *, whole: bool) -> bool:
        service = PORTS.get(packet.sport)
        if service is None:
            return False
        sockets: _Sockets = (packet.dst, packet.dport, packet.src, packet.sport, message.txid)
        key = (*sockets, message.qname, message.qtype)
        if service != DNS:
            asked: _Key = (*sockets[:2], _GROUP, *sockets[3:], message.qname, message.qtype)
            if asked in self._open:
                key = asked
        elif not message.questions:
            key = self._last.get(sockets, key)
        transaction = self._open.get(key)
        if transaction is None or not transaction.takes_response(packet.clock):
            transaction = self._start(key, packet, packet.src)
        transaction.add_response(packet, message, payload, whole=whole)
        return True

    def _start(self, key: _Key, packet: Carried, resolver: int) -> _Transaction:
        """Opens a transaction in place of one that is over."""
        self._close(key)
        if len(self._open) >= self._most:
            self._close(next(iter(self._open)))
        transaction = self._open[key] = _Transaction(key, packet.frame, packet.stream, resolver)
        return transaction

    def _close(self, key: _Key) -> None:
        transaction = self._open.pop(key, None)
        if transaction is not None:
            self._done(transaction.row(self._transport))
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

    def rows(self) -> list[tuple[Any, ...]]:
        """Of those that are open; they stay open."""
        return [transaction.row(self._transport) for transaction in self._open.values()]

    def close(self) -> None:
        """Closes all."""
        for key in list(self._open):
            self._close(key)
