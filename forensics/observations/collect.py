"""From packet tables to fact tables: the collectors in the order in which they need each other."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np

from forensics.decode.flags import UDP
from forensics.decode.tunnels import TunnelBook
from forensics.flows.engine import FlowEngine
from forensics.observations.capture_facts import CaptureFacts
from forensics.observations.dns import DnsCollector
from forensics.observations.flows import Collected, build_flows
from forensics.observations.resets import ResetCollector
from forensics.observations.throughput import ThroughputCollector
from forensics.observations.tls import TlsCollector

if TYPE_CHECKING:
    import polars as pl

    from forensics.decode.addresses import AddressBook
    from forensics.decode.columns import Decoded

DNS_PORT: Final = 53


@dataclass
class Collectors:
    """Fed batch by batch in frame order; ``finish`` gives the tables. Nothing depends on where batches are cut."""

    book: AddressBook
    tunnels: TunnelBook = field(default_factory=TunnelBook)
    engine: FlowEngine = field(default_factory=FlowEngine)
    tls: TlsCollector = field(default_factory=TlsCollector)
    resets: ResetCollector = field(default_factory=ResetCollector)
    throughput: ThroughputCollector = field(default_factory=ThroughputCollector)
    dns: DnsCollector = field(default_factory=DnsCollector)
    facts: CaptureFacts = field(default_factory=CaptureFacts)
    backward_times: int = 0
    """Packets that carry an earlier time than one before them."""
    _clock: int = 0

    def add(self, decoded: Decoded) -> None:
        """Take in one decoded batch."""
        packets, data = decoded.packets, decoded.data
        if not len(packets):
            return
        time = packets["time"]
        clock = np.maximum(np.maximum.accumulate(time), self._clock)
        before = np.concatenate([[self._clock], clock[:-1]])
        self.backward_times += int(np.count_nonzero(time < before))
        self._clock = int(clock[-1])
        self.facts.add(packets, clock, before)
        batch = self.engine.add(packets)
        self.tls.add(batch, data)
        self.resets.add(batch, self.engine, self.tls)
        self.throughput.add(batch, self.engine)
        messages = (
            (packets["proto"] == UDP)
            & (packets["icmp_type"] < 0)
            & (packets["payload_captured"] > 0)
            & ((packets["sport"] == DNS_PORT) | (packets["dport"] == DNS_PORT))
        )
        if messages.any():
            stream = self.engine.conversations.flows["stream"][batch.flow_by_frame]
            rows = np.flatnonzero(messages)
            copies = np.isin(rows, batch.copies)
            self.dns.add(packets.where(rows), stream[rows], clock[rows], data, copies)

    def finish(self) -> dict[str, pl.DataFrame]:
        """The flow, reset and dns tables; app, name and control columns are filled by later rooms."""
        self.tls.finish()
        collected = Collected(
            self.engine,
            self.tls,
            self.resets,
            self.throughput,
            self.book,
            self.engine.ttl_habits(),
            self.tunnels,
        )
        flows, resets = build_flows(collected)
        return {"flow": flows, "reset": resets, "dns": self.dns.finish(self.book)}
