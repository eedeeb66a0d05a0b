"""Calls: STUN, TURN and RTP, over UDP and in TCP streams, and what they add up to."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import polars as pl

from forensics.capture.gather import gather_rows
from forensics.flows.arrays import NEVER, GrowingColumns, IntArray, both_sides
from forensics.observations.datagrams import HEAD_BYTES
from forensics.observations.dictionary import CALL, FLOW
from forensics.observations.dictionary.call import FLOW_CALL
from forensics.observations.media_facts import Side, call_facts, flow_facts
from forensics.observations.media_pace import Paces
from forensics.observations.media_rtp import Candidates, RtpStreams
from forensics.observations.media_stun import StunFlow
from forensics.observations.media_tcp import TurnReader, Unit, begins_plain, begins_prefixed
from forensics.observations.readers import Opener
from forensics.observations.series import where_known
from forensics.protocols.errors import ProtocolError
from forensics.protocols.rtp import looks_like_dtls, looks_like_rtcp, looks_like_rtp, parse_rtcp
from forensics.protocols.stun import (
    DATA_INDICATION,
    HEADER,
    SEND_INDICATION,
    looks_like_channel,
    looks_like_stun,
    parse_message,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

    from forensics.flows.arrays import BoolArray
    from forensics.observations.collector import Arrived, Asked
    from forensics.observations.sides import Sides

PORTS: Final = (3478, 5349, 19302)
"""Of STUN; the last one is Google's."""
READ: Final = 8192
"""Messages of one flow that are read whole: three hours of checks; those after them are not looked into."""
_INDICATIONS: Final = 64
"""Of one flow that are read for who is at the other end; media in them is counted all the same."""
_DATA: Final = 0x0013
_ATTRIBUTES: Final = 4
"""Attributes of an indication among which its data is looked for."""


@dataclass
class _Batch:
    """The datagrams of a batch with what relays carry unpacked; arrays of one length."""

    fs: IntArray
    frame: IntArray
    time: IntArray
    offset: IntArray
    head: npt.NDArray[np.uint8]
    length: IntArray
    captured: IntArray
    inside: BoolArray

    def where(self, rows: IntArray) -> _Batch:
        """Copies of some of them."""
        return _Batch(*(getattr(self, name)[rows] for name in self.__dataclass_fields__))


class MediaCollector:
    """Finds calls; see dictionary/call.py for what it tells of them."""

    tables = (CALL,)

    def __init__(self, asked: Asked | None = None) -> None:
        """Nothing here costs more when it is ``asked`` for."""
        self._asked = asked
        self.stun: dict[int, StunFlow] = {}
        self.rtp = RtpStreams()
        self.paces = Paces()
        self.sides = GrowingColumns(
            {
                "dtls": (np.int64, NEVER),  # first frame
                "rtcp": (np.int64, 0),
                "bye": (np.int64, -1),  # last frame
                "reported": (np.int64, -1),  # largest fraction lost × 256 that this side reports of the other
                "carried": (np.int64, 0),  # packets like RTP inside TURN
            }
        )
        self._clock = 0
        self._units: list[Unit] = []
        self.openers = (
            Opener("turn", begins_plain, lambda one: TurnReader(one, self._units.append, prefixed=False)),
            Opener(
                "ice-tcp", begins_prefixed, lambda one: TurnReader(one, self._units.append, prefixed=True)
            ),
        )
        """For the StreamCollector that follows the connections."""

    def add(self, arrived: Arrived) -> None:
        """Take in one batch."""
        if len(arrived.clock):
            self._clock = int(arrived.clock[-1])
        self._streams()
        self.paces.add(arrived.flows, arrived.engine)
        given = arrived.datagrams
        if not len(given):
            return
        column = arrived.flows.column
        batch = _Batch(
            arrived.flows.fs[given.rows],
            column["frame"][given.rows],
            column["time"][given.rows],
            column["payload_offset"][given.rows].astype(np.int64),
            given.head,
            given.length,
            given.captured,
            np.zeros(len(given), dtype=np.bool_),
        )
        ends = arrived.engine.conversations.flows
        port = np.isin(ends["lo_port"][batch.fs >> 1], PORTS) | np.isin(ends["hi_port"][batch.fs >> 1], PORTS)
        self._take(batch, arrived.data, port)

    def _streams(self) -> None:
        """The messages that came in TCP streams since the last time, each as if it were a datagram."""
        units, self._units[:] = list(self._units), []
        if not units:
            return
        units.sort(key=lambda unit: unit.fs)
        data = np.frombuffer(b"".join(unit.data for unit in units), np.uint8)
        captured = np.array([len(unit.data) for unit in units], dtype=np.int64)
        offset = np.cumsum(captured) - captured
        head = gather_rows(data, offset, HEAD_BYTES)
        head[np.arange(HEAD_BYTES) >= captured[:, None]] = 0
        fs, frame, time, length = (
            np.array([getattr(unit, name) for unit in units], dtype=np.int64)
            for name in ("fs", "frame", "time", "length")
        )
        nowhere = np.zeros(len(units), dtype=np.bool_)
        self._take(_Batch(fs, frame, time, offset, head, length, captured, nowhere.copy()), data, nowhere)

    def _take(self, batch: _Batch, data: npt.NDArray[np.uint8], port: BoolArray) -> None:
        """STUN, what relays carry, and media; ``port`` says what came from or to a port of STUN."""
        self.sides.grow_to(2 * (int(batch.fs.max()) // 2 + 1))
        self.rtp.sides.grow_to(self.sides.rows)
        stun = looks_like_stun(batch.head, batch.length, stun_port=port)
        channel = looks_like_channel(batch.head, batch.length)
        if stun.any() or channel.any():
            messages = batch.where(np.flatnonzero(stun))
            inner = self._unpack(batch, stun, channel, data)
            self._read(messages, batch.where(inner), data)
        self._beside(batch, data)
        self.rtp.add(Candidates(batch.fs, batch.frame, batch.time, batch.head, batch.length))

    def _read(self, outer: _Batch, inner: _Batch, data: npt.NDArray[np.uint8]) -> None:
        """Parse messages, one after the other in the order of the capture: questions before their answers."""
        both = [
            row
            for one in (outer, inner)
            for row in zip(
                one.frame.tolist(),
                one.inside.tolist(),
                *(values.tolist() for values in (one.fs, one.time, one.offset, one.length, one.captured)),
                (one.head[:, 0].astype(np.int64) << 8 | one.head[:, 1]).tolist(),
                strict=True,
            )
        ]
        for frame, inside, fs, time, offset, length, captured, kind in sorted(both):
            flow = self.stun.get(fs >> 1)
            if flow is not None and (
                flow.messages >= READ
                or (kind in {SEND_INDICATION, DATA_INDICATION} and flow.messages >= _INDICATIONS)
            ):
                continue
            with suppress(ProtocolError):
                message = parse_message(data[offset : offset + captured].tobytes(), length)
                if flow is None:
                    flow = self.stun[fs >> 1] = StunFlow()
                flow.add(fs & 1, message, frame, time, inside=inside)

    def _unpack(
        self, batch: _Batch, stun: BoolArray, channel: BoolArray, data: npt.NDArray[np.uint8]
    ) -> IntArray:
        """Put what channels and indications carry in their place; gives the rows where that may be STUN."""
        kind = batch.head[:, 0].astype(np.int64) << 8 | batch.head[:, 1]
        rows = np.flatnonzero(stun & ((kind == SEND_INDICATION) | (kind == DATA_INDICATION)))
        begin = np.zeros(len(batch.fs), dtype=np.int64)
        size = np.zeros(len(batch.fs), dtype=np.int64)
        begin[channel] = 4
        size[channel] = (batch.head[channel, 2].astype(np.int64) << 8) | batch.head[channel, 3]
        at = np.full(len(rows), HEADER, dtype=np.int64)
        for _ in range(_ATTRIBUTES):
            there = at + 4 <= batch.captured[rows]
            rows, at = rows[there], at[there]
            four = gather_rows(data, batch.offset[rows] + at, 4).astype(np.int64)
            length = four[:, 2] << 8 | four[:, 3]
            found = (four[:, 0] << 8 | four[:, 1]) == _DATA
            begin[rows[found]], size[rows[found]] = at[found] + 4, length[found]
            rows, at = rows[~found], (at + 4 + (length + 3) // 4 * 4)[~found]
        inner = np.flatnonzero((begin > 0) & (begin < batch.captured) & (size > 0))
        if not len(inner):
            return inner
        captured = np.minimum(batch.captured[inner] - begin[inner], size[inner])
        head = gather_rows(data, batch.offset[inner] + begin[inner], batch.head.shape[1])
        head[np.arange(head.shape[1]) >= captured[:, None]] = 0
        batch.head = batch.head.copy()
        batch.length, batch.captured = batch.length.copy(), batch.captured.copy()
        batch.head[inner], batch.length[inner], batch.captured[inner] = head, size[inner], captured
        batch.offset[inner] += begin[inner]
        batch.inside[inner] = True
        carried = inner[looks_like_rtp(head, size[inner])]
        np.add.at(self.sides["carried"], batch.fs[carried], 1)
        return inner[looks_like_stun(head, size[inner], stun_port=np.zeros(len(inner), dtype=np.bool_))]

    def _beside(self, batch: _Batch, data: npt.NDArray[np.uint8]) -> None:
        """DTLS and RTCP, which share the ports with media."""
        dtls = looks_like_dtls(batch.head, batch.length)
        if dtls.any():
            np.minimum.at(self.sides["dtls"], batch.fs[dtls], batch.frame[dtls])
        rows = np.flatnonzero(looks_like_rtcp(batch.head, batch.length))
        if not len(rows):
            return
        np.add.at(self.sides["rtcp"], batch.fs[rows], 1)
        columns = (batch.fs, batch.frame, batch.offset, batch.captured)
        for fs, frame, offset, captured in zip(*(values[rows].tolist() for values in columns), strict=True):
            with suppress(ProtocolError):
                for packet in parse_rtcp(data[offset : offset + captured].tobytes()):
                    if packet.leaving:
                        self.sides["bye"][fs] = frame
                    for block in packet.blocks:
                        worst = round(block.fraction_lost * 256)
                        self.sides["reported"][fs] = max(int(self.sides["reported"][fs]), worst)

    def finish(self, flows: IntArray) -> None:
        """What the streams of these flows still held has come by now."""
        del flows
        self._streams()

    def flow_columns(self, sides: Sides) -> Mapping[str, Any]:
        """What the dictionary calls FLOW_CALL; columns that would be null in all rows are left out."""
        columns = self.paces.columns(sides)
        found = self._found(sides)
        if not found:
            return columns
        where = np.full(len(sides), -1, dtype=np.int64)
        where[[row for row, *_ in found]] = np.arange(len(found))
        place = where_known(where, where >= 0)
        told = [flow_facts(stun, ways, self._clock) for _, stun, ways in found]
        of_calls = {
            column.name: pl.Series(
                [one.get(column.name) for one in told], dtype=FLOW.column(column.name).dtype
            ).gather(place)
            for column in FLOW_CALL
        }
        return {**of_calls, **columns}

    def rows(self, table: str, sides: Sides) -> pl.DataFrame:
        """The call table: one row a conversation with STUN or RTP."""
        if table != CALL.name:
            raise KeyError(table)
        left_out = {"proto", "stream", "client", "client_port", "server", "server_port"}
        schema = {column.name: column.dtype for column in CALL.columns if column.name not in left_out}
        told = [
            {"flow": row, **call_facts(stun, ways, self._clock)} for row, stun, ways in self._found(sides)
        ]
        return pl.DataFrame(told, schema=schema, orient="row")

    def _found(self, sides: Sides) -> list[tuple[int, StunFlow | None, tuple[Side, Side]]]:
        """Rows of ``sides`` with STUN or RTP: what STUN said, and the media of client and server."""
        known = sides.client < self.sides.rows
        dtls = np.zeros(len(sides), dtype=np.bool_)
        first = np.minimum(self.sides["dtls"][sides.client[known]], self.sides["dtls"][sides.server[known]])
        dtls[known] = first < NEVER
        spoken = np.array([flow in self.stun for flow in sides.flow.tolist()], dtype=np.bool_)
        streams = self.rtp.media(sides.flow, dtls | spoken)
        if not len(streams) and not spoken.any():
            return []
        by_side: dict[int, list[int]] = {}
        for stream, fs in zip(streams.tolist(), self.rtp.table["fs"][streams].tolist(), strict=True):
            by_side.setdefault(fs, []).append(stream)
        media = {fs >> 1 for fs in by_side}
        return [
            (row, self.stun.get(flow), (self._side(client, by_side), self._side(server, by_side)))
            for row, (flow, client, server) in enumerate(
                zip(sides.flow.tolist(), sides.client.tolist(), sides.server.tolist(), strict=True)
            )
            if flow in media or flow in self.stun
        ]

    def _side(self, fs: int, by_side: dict[int, list[int]]) -> Side:
        return Side(fs & 1, self.sides, self.rtp, fs, by_side.get(fs, []))

    def clear(self, flows: IntArray) -> None:
        """Forget these flows."""
        for flow in flows.tolist():
            self.stun.pop(flow, None)
        self.rtp.clear(flows)
        self.paces.clear(flows)
        self.sides.clear(both_sides(flows))
