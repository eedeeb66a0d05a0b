"""From packet tables to fact tables: the collectors in the order in which they need each other."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl

from forensics.decode.flags import UDP
from forensics.decode.tunnels import TunnelBook
from forensics.flows.ending import Limits, finished
from forensics.flows.engine import FlowEngine
from forensics.observations.capture_facts import CaptureFacts, measured
from forensics.observations.certificates import CertificateCollector
from forensics.observations.collector import Arrived, Asked, ReadsStreams
from forensics.observations.datagrams import datagrams
from forensics.observations.dictionary import CALL, FLOW, RESET
from forensics.observations.dns import DnsCollector, asks_for_names
from forensics.observations.dtls import DtlsCollector
from forensics.observations.flows import Collected, both_directions, build_flows
from forensics.observations.handshakes import HandshakeCollector
from forensics.observations.http import HttpCollector
from forensics.observations.media import MediaCollector
from forensics.observations.media_sessions import with_sessions
from forensics.observations.quic import QuicCollector
from forensics.observations.resets import ResetCollector
from forensics.observations.store import TableStore
from forensics.observations.streams import StreamCollector
from forensics.observations.throughput import ThroughputCollector
from forensics.observations.tls import TlsCollector
from forensics.observations.tls_rows import TlsTable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy.typing as npt

    from forensics.decode.addresses import AddressBook
    from forensics.decode.columns import Decoded, PacketTable
    from forensics.flows.arrays import IntArray
    from forensics.observations.collector import Collector
    from forensics.observations.dictionary import Table
    from forensics.observations.flows import Built

DNS_PORT: Final = 53

PROTOCOLS: Final[tuple[Callable[[Asked], Collector], ...]] = (
    QuicCollector,
    DtlsCollector,
    HttpCollector,
    MediaCollector,
    HandshakeCollector,
    CertificateCollector,
)
"""Makers of the collectors of protocols. The columns of one are computed after those of the ones before it."""
_OF_FLOW: Final = ("proto", "stream", "client", "client_port", "server", "server_port")
"""Columns of the flow table that stand in tables whose rows belong to flows."""


@dataclass
class Collectors:
    """Fed batch by batch in frame order; ``finish`` gives the tables. Nothing depends on where batches are cut."""

    book: AddressBook
    tunnels: TunnelBook = field(default_factory=TunnelBook)
    engine: FlowEngine = field(default_factory=FlowEngine)
    tls: TlsCollector = field(init=False)
    resets: ResetCollector = field(default_factory=ResetCollector)
    throughput: ThroughputCollector = field(default_factory=ThroughputCollector)
    dns: DnsCollector = field(default_factory=DnsCollector)
    facts: CaptureFacts = field(default_factory=CaptureFacts)
    backward_times: int = 0
    """Packets that carry an earlier time than one before them."""
    flows_ended_early: int = 0
    """Flows that were ended because there were too many, not because they had been idle for long."""
    limits: Limits = field(default_factory=Limits)
    asked: Asked = field(default_factory=Asked)
    protocols: Sequence[Collector] = field(init=False)
    streams: StreamCollector = field(init=False)
    stores: dict[str, TableStore] = field(init=False)
    """Tables of protocols that are asked for."""
    flows: TableStore = field(default_factory=lambda: TableStore(FLOW.schema(), number="flow"))
    flow_resets: TableStore = field(default_factory=lambda: TableStore(RESET.schema()))
    _clock: int = 0
    _until: int = 0
    _since: int = 0
    _times: list[npt.NDArray[np.int64]] = field(default_factory=list)

    def __post_init__(self) -> None:
        """The first look at finished flows comes after that many frames."""
        self._until = self.limits.frames
        self.tls = TlsCollector(self.asked)
        tables = TlsTable(self.tls, self.engine, self.asked)
        self.protocols = [tables, *(make(self.asked) for make in PROTOCOLS)]
        readers = [collector for collector in self.protocols if isinstance(collector, ReadsStreams)]
        openers = [opener for collector in readers for opener in collector.openers]
        self.streams = StreamCollector(self.engine, [self.dns.opener(self.engine), *openers])
        self.stores = {
            table.name: TableStore(table.schema())
            for collector in self.protocols
            for table in collector.tables
            if self.asked.table(table.name)
        }

    def add(self, decoded: Decoded) -> None:
        """Take in one decoded batch."""
        # Flows end at fixed frames, so that nothing depends on where batches are cut.
        frames = decoded.packets["frame"]
        begin = 0
        while begin < len(frames):
            end = int(np.searchsorted(frames, self._until, side="right"))
            if end == len(frames) and begin == 0:
                self._take(decoded.packets, decoded.data)
            elif end > begin:
                self._take(decoded.packets.where(np.arange(begin, end)), decoded.data)
            begin = end
            if begin < len(frames):
                self._look()
                self._since = self._until
                self._until += (
                    (int(frames[begin]) - 1 - self._until) // self.limits.frames * self.limits.frames
                )
                self._until += self.limits.frames

    def _take(self, packets: PacketTable, data: npt.NDArray[np.uint8]) -> None:
        time = packets["time"]
        clock = np.maximum(np.maximum.accumulate(time), self._clock)
        before = np.concatenate([[self._clock], clock[:-1]])
        self.backward_times += int(np.count_nonzero(time < before))
        self._clock = int(clock[-1])
        self._times.append(time.copy())  # the memory of a batch is used again
        self.facts.add(packets, clock, before)
        batch = self.engine.add(packets)
        self.tls.add(batch, data)
        self.resets.add(batch, self.engine, self.tls)
        self.throughput.add(batch, self.engine)
        if len(batch):
            arrived = Arrived(
                batch, data, self.engine, datagrams(batch, data), frames=packets["frame"], clock=clock
            )
            self.streams.add(arrived)
            for collector in self.protocols:
                collector.add(arrived)
        messages = (
            (packets["proto"] == UDP)
            & (packets["icmp_type"] < 0)
            & (packets["payload_captured"] > 0)
            & asks_for_names(packets["sport"], packets["dport"])
        )
        if messages.any():
            stream = self.engine.conversations.flows["stream"][batch.flow_by_frame]
            rows = np.flatnonzero(messages)
            copies = np.isin(rows, batch.copies)
            self.dns.add(packets.where(rows), stream[rows], clock[rows], data, copies)

    def _look(self) -> None:
        """Take out what has ended by now."""
        # The middle one of many times: a packet with a wild clock ends nothing.
        times = np.concatenate(self._times)
        now = int(np.partition(times, len(times) // 2)[len(times) // 2])
        self._times = []
        ended, early = finished(self.engine, self.limits, now, self._since)
        self.flows_ended_early += early
        if len(ended):
            self._clear(*self._build(ended))

    def _build(self, numbers: IntArray) -> tuple[IntArray, IntArray]:
        """Rows of the flows with these numbers go to the tables; gives the numbers and who is the client of each."""
        self.tls.finish(numbers)
        self.streams.finish(numbers)
        for collector in self.protocols:
            collector.finish(numbers)
        habits = self.engine.ttl_habits(numbers)
        built = build_flows(
            Collected(
                self.engine,
                self.tls,
                self.resets,
                self.throughput,
                self.book,
                habits,
                self.tunnels,
                self.protocols,
            ),
            numbers,
        )
        above = self.flows.height
        keys = self.engine.conversations.flows
        self.flows.append(built.flows.with_columns(pl.col("flow") + above), keys["serial"][built.engine_rows])
        self.flow_resets.append(
            built.resets.with_columns(pl.col("flow") + above),
            keys["serial"][built.engine_rows[built.resets["flow"].to_numpy()]],
        )
        for collector in self.protocols:
            for table in collector.tables:
                if table.name in self.stores:
                    self._keep(table, collector.rows(table.name, built.sides), built, above)
        client = keys["client"].astype(np.int64)
        client[built.engine_rows] = built.client
        return numbers, client[numbers]

    def _keep(self, table: Table, rows: pl.DataFrame, built: Built, above: int) -> None:
        """Rows of a protocol's table, with what the flow table says of whose they are."""
        if not rows.height:
            return
        owner = rows["flow"].to_numpy()
        whole = rows.with_columns(built.flows.select(pl.col(_OF_FLOW).gather(owner))).with_columns(
            pl.col("flow").cast(pl.Int64) + above
        )
        missing = [
            pl.lit(None, dtype=column.dtype).alias(column.name)
            for column in table.columns
            if column.name not in whole.columns
        ]
        whole = whole.with_columns(missing).select(
            pl.col(column.name).cast(column.dtype) for column in table.columns
        )
        self.stores[table.name].append(
            whole, self.engine.conversations.flows["serial"][built.engine_rows[owner]]
        )

    def _clear(self, numbers: IntArray, client: IntArray) -> None:
        """Everything that is kept of flows under their numbers is forgotten here."""
        for kept in (self.tls, self.resets, self.throughput):
            kept.clear(numbers)
        self.streams.clear(numbers)
        for collector in self.protocols:
            collector.clear(numbers)
        self.engine.clear(numbers, client)

    def forget(self) -> int:
        """Drop the rows of flows that have ended, which must have been judged, and tell how many.

        Flows that go on stay as they are; a later packet of one that has ended begins a stream of its own.
        """
        dropped = self.flows.height
        self.flows.close()
        self.flow_resets.close()
        self.flows = TableStore(FLOW.schema(), number="flow")
        self.flow_resets = TableStore(RESET.schema())
        for name, store in self.stores.items():
            store.close()
            self.stores[name] = TableStore(store.schema)
        self.dns.forget()
        self.engine.conversations.forget()
        return dropped

    def finish(self) -> dict[str, TableStore | pl.DataFrame]:
        """The flow, reset and dns tables, and those that were asked for; later rooms fill apps, names and controls.

        No more packets can be added.
        """
        self._build(np.flatnonzero(self.engine.conversations.flows.column("pair") >= 0))
        self.flows.seal("first_frame")
        self.flow_resets.seal("frame", renumber={"flow": self.flows.rank})
        for store in self.stores.values():
            store.seal("first_frame", renumber={"flow": self.flows.rank})
        self.flows.replace(both_directions(self.flows.columns(["client", "both_directions"])))
        dns = self.dns.finish(self.book)
        if self.facts.tick_ns is not None:
            dns = dns.with_columns(measured("early_ratio", "resolver_rtt_ms", self.facts.tick_ns))
            ratio = measured("rst_after_hello_rtts", "handshake_rtt_ms", self.facts.tick_ns)
            known = self.flows.columns(["rst_after_hello_rtts", "handshake_rtt_ms"])
            self.flows.replace(known.select(ratio).to_series())
        tables: dict[str, TableStore | pl.DataFrame] = {
            "flow": self.flows,
            "reset": self.flow_resets,
            "dns": dns,
        }
        tables |= self.stores
        if CALL.name in self.stores:
            tables[CALL.name] = with_sessions(self.stores[CALL.name].columns(CALL.schema().names()))
        return tables
