"""A download, event by event: slow start, SACK recovery and RTO over a path that polices, shapes or loses."""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pcaps.generate import tls
from pcaps.generate.tcp import CLIENT, SERVER, STACK_DELAY, Tcp

if TYPE_CHECKING:
    import random

    from pcaps.generate.world import Packet

HEADERS = 52
"""IPv4 and TCP with timestamps: what a policer counts beside the payload."""
CAPLEN = 96
REORDERING = 3
DELAYED_ACK = 0.04
LEAST_RTO = 0.2


@dataclass
class Path:
    """From server to client: a link with a queue, then perhaps a token bucket, then perhaps random loss."""

    rtt: float
    link_bps: float = 50e6
    police_bps: float = 0.0
    bucket: float = 0.0
    loss: float = 0.0
    _free: float = field(default=0.0, init=False)
    _tokens: float = field(default=-1.0, init=False)
    _filled: float = field(default=0.0, init=False)
    _last: float = field(default=0.0, init=False)

    def carry(self, time: float, size: int, rng: random.Random) -> float | None:
        """When a packet sent at ``time`` reaches the client; None when it is dropped."""
        depart = max(time, self._free) + size * 8 / self.link_bps
        self._free = depart
        if self.police_bps:
            if self._tokens < 0:
                self._tokens, self._filled = self.bucket, depart
            self._tokens = min(self.bucket, self._tokens + (depart - self._filled) * self.police_bps / 8)
            self._filled = depart
            if self._tokens < size:
                return None
            self._tokens -= size
        if self.loss and rng.random() < self.loss:
            return None
        # a fifth of a millisecond of jitter, never out of order
        self._last = max(self._last + 1e-6, depart + self.rtt / 2 + rng.random() * 0.0002)
        return self._last


class Download:
    """``count`` full segments from server to client over a path, put on the tape of a connection."""

    def __init__(self, flow: Tcp, path: Path, count: int, most: int = 400) -> None:
        self.flow, self.path, self.count, self.most = flow, path, count, most
        self.rng = flow.world.rng
        self.events: list[tuple[float, int, str, tuple[int, ...]]] = []
        self.order = 0
        # sender
        self.una = self.next = self.recover = 0
        self.cwnd, self.ssthresh = 10.0, 1e9
        self.sent: dict[int, tuple[float, int]] = {}
        self.again: set[int] = set()
        self.sacked: set[int] = set()
        self.lost: set[int] = set()
        self.delivered = 0
        self.srtt = path.rtt
        self.rttvar = path.rtt / 2
        self.backoff, self.timer = 1, 0
        # receiver
        self.have: set[int] = set()
        self.expected = self.unacked = 0
        self.ack_timer = 0
        # truth
        self.packets: list[Packet] = []
        self.repaired: list[Packet] = []
        """Retransmissions that the client can tell: they fill a hole below what it has."""
        body = tls.data(self.rng, count * flow.mss)[: count * flow.mss]
        self.body = body
        self.base = flow.ends[SERVER].next

    def run(self, time: float) -> float:
        """Simulate; returns when the client has everything."""
        self._send(time)
        now = time
        while self.events and self.una < self.count:
            now, _, kind, data = heapq.heappop(self.events)
            if kind == "data":
                self._receive(now, data[0])
            elif kind == "ack":
                self._acknowledged(now, data[0], set(data[1:]))
            elif kind == "delayed" and data[0] == self.ack_timer and self.unacked:
                self._ack(now)
            elif kind == "rto" and data[0] == self.timer:
                self._timeout(now)
        end = self.flow.ends
        end[SERVER].next = end[CLIENT].got = (self.base + self.count * self.flow.mss) & 0xFFFFFFFF
        return now

    def _at(self, time: float, kind: str, *data: int) -> None:
        self.order += 1
        heapq.heappush(self.events, (time, self.order, kind, data))

    # sender

    def _send(self, now: float) -> None:
        while True:
            flying = len(self.sent) - len(self.sacked) - len(self.lost)
            if flying >= min(int(self.cwnd), self.most):
                break
            if self.lost:
                segment = min(self.lost)
                self.lost.discard(segment)
                self.again.add(segment)
            elif self.next < self.count:
                segment = self.next
                self.next += 1
            else:
                break
            self.order += 1
            self.sent[segment] = (now, self.order)
            arrival = self.path.carry(now, self.flow.mss + HEADERS, self.rng)
            if arrival is not None:
                self._at(arrival, "data", segment)
        self._arm(now)

    def _arm(self, now: float) -> None:
        self.timer += 1
        if self.sent:
            rto = max(LEAST_RTO, self.srtt + max(4 * self.rttvar, LEAST_RTO)) * self.backoff
            self._at(now + rto, "rto", self.timer)

    def _acknowledged(self, now: float, upto: int, blocks: set[int]) -> None:
        fresh = [one for one in range(self.una, upto) if one in self.sent and one not in self.sacked]
        fresh += [one for one in sorted(blocks) if one in self.sent and one not in self.sacked]
        for one in fresh:
            when, order = self.sent[one]
            self.delivered = max(self.delivered, order)
            if one not in self.again:
                sample = now - when
                self.rttvar += (abs(sample - self.srtt) - self.rttvar) / 4
                self.srtt += (sample - self.srtt) / 8
            self.lost.discard(one)
        self.sacked |= {one for one in blocks if one in self.sent}
        for one in range(self.una, upto):
            self.sent.pop(one, None)
            self.sacked.discard(one)
        if upto > self.una:
            self.backoff = 1
        self.una = max(self.una, upto)
        missing = {
            one
            for one, (_, order) in self.sent.items()
            if one not in self.sacked and one not in self.lost and order + REORDERING <= self.delivered
        }
        recovering = self.una < self.recover
        if missing:
            self.lost |= missing
            if not recovering:
                self.recover = self.next
                self.ssthresh = max(2.0, self.cwnd * 0.7)
                self.cwnd = self.ssthresh
        elif not recovering and fresh:
            grow = len(fresh) if self.cwnd < self.ssthresh else len(fresh) / self.cwnd
            self.cwnd += grow
        if fresh:
            self._send(now)

    def _timeout(self, now: float) -> None:
        self.lost = {one for one in self.sent if one not in self.sacked}
        self.ssthresh = max(2.0, self.cwnd / 2)
        self.cwnd = 1.0
        self.recover = self.next
        self.backoff = min(self.backoff * 2, 64)
        self._send(now)

    # receiver: what the capture sees

    def _receive(self, now: float, segment: int) -> None:
        flow = self.flow
        data = self.body[segment * flow.mss : (segment + 1) * flow.mss]
        packet = flow.segment(SERVER, now, "A", data, seq=self.base + segment * flow.mss, caplen=CAPLEN)
        self.packets.append(packet)
        if segment in self.again and self.have and segment < max(self.have):
            self.repaired.append(packet)
        fills = bool(self.have)
        if segment >= self.expected:
            self.have.add(segment)
        while self.expected in self.have:
            self.have.discard(self.expected)
            self.expected += 1
        self.unacked += 1
        if self.have or fills or self.unacked > 1 or self.expected == self.count:
            self._ack(now)
        else:
            self.ack_timer += 1
            self._at(now + DELAYED_ACK, "delayed", self.ack_timer)

    def _ack(self, now: float) -> None:
        self.unacked = 0
        self.ack_timer += 1
        flow = self.flow
        blocks: list[list[int]] = []
        for one in sorted(self.have):
            if blocks and blocks[-1][1] == one:
                blocks[-1][1] = one + 1
            else:
                blocks.append([one, one + 1])
        edges = tuple((self.base + edge * flow.mss) & 0xFFFFFFFF for block in blocks[-3:] for edge in block)
        flow.segment(
            CLIENT,
            now + STACK_DELAY,
            "A",
            ack=self.base + self.expected * flow.mss,
            window=4096,
            sack=edges,
        )
        self._at(now + STACK_DELAY + flow.rtt / 2, "ack", self.expected, *sorted(self.have))
