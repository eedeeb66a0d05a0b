"""HTTP/1 as it shows in TCP streams: the http table, and what the flow table says of it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import polars as pl

from forensics.flows.arrays import NEVER
from forensics.observations.dictionary import HTTP
from forensics.observations.dictionary.http import FLOW_HTTP, FLOW_NAMES
from forensics.observations.http_reader import Answer, Exchange, HttpReader
from forensics.observations.readers import Opener
from forensics.observations.series import at_rows
from forensics.protocols.http import looks_like_http

if TYPE_CHECKING:
    from collections.abc import Mapping

    from forensics.flows.arrays import BoolArray, IntArray
    from forensics.flows.engine import FlowEngine
    from forensics.observations.collector import Arrived, Asked
    from forensics.observations.dictionary import Table
    from forensics.observations.readers import Heads, Opening
    from forensics.observations.sides import Sides
    from forensics.protocols.http_stream import Message

_MS: Final = 1e6
_PORT: Final = re.compile(r":\d{1,5}\Z")


class _Told(NamedTuple):
    """What is kept of a connection until its flow goes to the tables."""

    requests: int
    responses: int
    telling: dict[str, Any]
    """The row of the exchange that the flow table tells of."""
    rows: list[dict[str, Any]]
    """All rows, if somebody asks for the table."""


class HttpCollector:
    """Keeps what the readers of HTTP connections found until their flows go to the tables; see collector.Collector."""

    tables: tuple[Table, ...] = (HTTP,)

    def __init__(self, asked: Asked) -> None:
        self._asked = asked
        self._told: dict[int, _Told] = {}
        self._engine: FlowEngine | None = None
        self.openers = (Opener("http", _looks, self._make),)
        """For the StreamCollector that follows the connections."""

    def _make(self, opening: Opening) -> HttpReader:
        return HttpReader(opening, self._done)

    def add(self, arrived: Arrived) -> None:
        """The readers are fed by the StreamCollector."""
        self._engine = arrived.engine

    def _done(self, reader: HttpReader) -> None:
        exchanges = reader.exchanges
        if not exchanges:
            return
        for exchange in exchanges:
            for message in (exchange.request, *(answer.message for answer in exchange.answers[:1])):
                if message is not None:
                    self._reach(2 * reader.opening.flow, message)
        rows = []
        if self._asked.table(HTTP.name):
            rows = [_describe(exchange) for exchange in sorted(exchanges, key=lambda one: one.first_frame)]
        self._told[reader.opening.flow] = _Told(
            sum(exchange.request is not None for exchange in exchanges),
            sum(bool(exchange.answers) for exchange in exchanges),
            _describe(_telling(exchanges)),
            rows,
        )

    def _reach(self, fs: int, message: Message) -> None:
        """What was not looked at went by only as far as its sender came."""
        engine = self._engine
        if engine is None or not (message.until_close or message.end is not None):
            return
        side = fs + message.side
        fin = bool(engine.sides["first_F"][side] != NEVER)
        reached = int(engine.sequence.sides["highest"][side]) - 1 - fin
        if message.until_close:
            message.body_bytes = max(message.body_bytes, reached - message.body_place)
            message.whole = fin and not message.lost
        elif message.end is not None and message.end > reached:
            message.body_bytes = max(0, message.body_bytes - (message.end - max(reached, message.body_place)))
            message.whole = False

    def finish(self, flows: IntArray) -> None:
        """Readers are finished by the StreamCollector."""

    def clear(self, flows: IntArray) -> None:
        """Forget these flows."""
        for flow in flows.tolist():
            self._told.pop(flow, None)

    def _found(self, sides: Sides) -> list[tuple[int, _Told]]:
        if not self._told:
            return []
        return [(row, self._told[flow]) for row, flow in enumerate(sides.flow.tolist()) if flow in self._told]

    def flow_columns(self, sides: Sides) -> Mapping[str, Any]:
        """What the dictionary calls FLOW_HTTP; no column at all where nothing is HTTP."""
        found = self._found(sides)
        if not found:
            return {}
        rows = np.array([row for row, _ in found], dtype=np.int64)
        values = {
            "http_requests": [told.requests for _, told in found],
            "http_responses": [told.responses for _, told in found],
            "http_host": [_name(told.telling["host"]) for _, told in found],
            **{name: [told.telling[of_table] for _, told in found] for name, of_table in FLOW_NAMES.items()},
        }
        return {
            column.name: at_rows(len(sides), rows, values[column.name], column.dtype)  # type: ignore[arg-type]
            for column in FLOW_HTTP
        }

    def rows(self, table: str, sides: Sides) -> pl.DataFrame:
        """The http table: one row an exchange."""
        if table != HTTP.name:
            raise KeyError(table)
        schema = {c.name: c.dtype for c in HTTP.columns if c.name in _DESCRIBED}
        rows = [{"flow": row, **one} for row, told in self._found(sides) for one in told.rows]
        return pl.DataFrame(rows, schema=schema, orient="row")


def _looks(heads: Heads) -> BoolArray:
    return looks_like_http(heads.head, heads.length)


def _telling(exchanges: list[Exchange]) -> Exchange:
    """The exchange that the flow table tells of."""
    for exchange in exchanges:
        if len(exchange.answers) > 1:
            return exchange
    return exchanges[-1] if not exchanges[-1].answers else exchanges[0]


def _name(host: str | None) -> str | None:
    """A host as a name to compare: lower case, without port; null for what is none."""
    if not host:
        return None
    return _PORT.sub("", host.lower()).rstrip(".") or None


def _describe(exchange: Exchange) -> dict[str, Any]:
    """One row of the http table, apart from whose it is."""
    request, answers = exchange.request, exchange.answers
    row: dict[str, Any] = {
        "first_frame": exchange.first_frame,
        "request_frame": request.frames[0] if request else None,
        "request_frames": request.frames if request else None,
        "request_time": request.last_time if request else None,
        "method": request.head.method if request else None,
        "host": request.head.text("host") if request else None,
        "uri": request.head.target if request else None,
        "user_agent": request.head.text("user-agent") if request else None,
        "response_count": len(answers),
        "responses_differ": len(answers) > 1,
        "unsolicited": exchange.unsolicited,
        "interim_status": exchange.interim or None,
        "differing_frames": exchange.differing or None,
    }
    first = _answer(answers[0], request) if answers else {}
    other = _answer(answers[1], request) if len(answers) > 1 else {}
    row |= {
        _RESPONSE.get(name, name): first.get(name)
        for name in (*_RESPONSE, "status", "reason", "location", "http_server", "content_type", "content_length",
                     "content_encoding", "chunked", "body_bytes", "response_complete", "body_sha256", "body_start",
                     "title")
    }  # fmt: skip
    return row | {f"other_{name}": other.get(name) for name in _OTHER}


_RESPONSE: Final = {
    name: f"response_{name}" for name in ("frame", "frames", "delay_ms", "ttl", "ipid", "window", "flags")
}
_OTHER: Final = (
    "frame", "delay_ms", "status", "location", "http_server", "title", "body_sha256", "body_start", "ttl", "ipid",
    "window", "flags",
)  # fmt: skip


def _answer(answer: Answer, request: Message | None) -> dict[str, Any]:
    message, wire = answer.message, answer.wire
    length = message.head.fields.get("content-length", b"")
    return {
        **answer.tell(),
        "frame": message.frames[0],
        "frames": message.frames,
        "delay_ms": (message.time - request.last_time) / _MS if request else None,
        "content_length": int(length) if length.isdigit() and len(length) < 16 else None,  # noqa: PLR2004 - as framing
        "chunked": message.chunked,
        "body_bytes": message.body_bytes,
        "response_complete": message.whole,
        "ttl": wire.ttl,
        "ipid": wire.ipid if wire.ipid >= 0 else None,
        "window": wire.window,
        "flags": wire.flags,
    }


_DESCRIBED: Final = frozenset(column.name for column in HTTP.columns) - {
    "proto", "stream", "client", "client_port", "server", "server_port",
}  # fmt: skip
