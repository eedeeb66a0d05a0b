"""What the middlebox can do to traffic: rules that trigger, forge and drop, and limits that slow down."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from tests.lab.middlebox import DROP, PASS, Box
from tests.lab.packet import ACK, FIN, RST, SYN, TCP, UDP, Flow, Made, Packet

Trigger = Callable[[Packet], bool]
"""Whether a packet is one that the box was told to look for."""


def sni(*names: str) -> Trigger:
    """A segment to the server that holds a TLS handshake record with one of these names."""
    wanted = [name.encode() for name in names]

    def looks(packet: Packet) -> bool:
        return (
            packet.to_server
            and packet.payload[:2] == b"\x16\x03"
            and any(name in packet.payload for name in wanted)
        )

    return looks


def holds(*pieces: bytes) -> Trigger:
    """A segment to the server that holds one of these bytes: a Host header, a prefix."""

    def looks(packet: Packet) -> bool:
        return packet.to_server and any(piece in packet.payload for piece in pieces)

    return looks


def starts(*prefixes: bytes) -> Trigger:
    """A segment or datagram to the server that begins so."""

    def looks(packet: Packet) -> bool:
        return packet.to_server and packet.payload.startswith(prefixes)

    return looks


def address(*addresses: str) -> Trigger:
    """Everything to one of these servers."""

    def looks(packet: Packet) -> bool:
        return packet.to_server and packet.flow.server in addresses

    return looks


def port(proto: int, *ports: int) -> Trigger:
    """Everything to one of these ports (all, without any) over TCP or UDP."""

    def looks(packet: Packet) -> bool:
        return (
            packet.to_server
            and packet.flow.proto == proto
            and (not ports or packet.flow.server_port in ports)
        )

    return looks


def both(*triggers: Trigger) -> Trigger:
    """All of these at once."""
    return lambda packet: all(trigger(packet) for trigger in triggers)


@dataclass(frozen=True)
class Reset:
    """The shape of one forged reset; several make a volley."""

    to: str = "client"
    ack: bool = True
    """RST+ACK rather than RST."""
    ttl: int = 97
    ipid: int | None = None
    """None for a random one."""
    df: bool = False
    window: int | None = None
    """None for a random one."""
    seq_offset: int = 0
    """Past the exact place."""
    payload: bytes = b""
    after_ms: float = 0.5


@dataclass
class ResetOn:
    """Resets both ways (or one) when the trigger is seen; the packet itself passes (an injector beside the path)."""

    trigger: Trigger
    resets: tuple[Reset, ...] = (Reset(),)
    drop: bool = False
    """Drop the trigger and what follows it: an injector in the path."""
    residual_s: float = 0.0
    """So long, new connections of the client to the same server and port are reset at any data."""
    once: bool = True
    """Once a connection."""
    seed: int = 7
    _done: set[Flow] = field(default_factory=set)
    _until: dict[tuple[str, str, int], float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)  # noqa: S311 - chance, not secrets

    def see(self, box: Box, packet: Packet) -> bool:
        """See Rule."""
        flow = packet.flow
        if self.drop and flow in self._done:
            box.note("dropped", packet, "after a reset")
            return DROP
        threes = (flow.client, flow.server, flow.server_port)
        residual = box.now < self._until.get(threes, 0.0) and packet.to_server and bool(packet.payload)
        if flow.proto != TCP or packet.flags & RST or not (residual or self.trigger(packet)):
            return PASS
        if self.once and flow in self._done:
            return PASS
        self._done.add(flow)
        if self.residual_s:
            self._until[threes] = box.now + self.residual_s
        for reset in self.resets:
            box.inject(
                self._made(packet, reset), after_ms=reset.after_ms, why="residual" if residual else "reset"
            )
        if self.drop:
            box.note("dropped", packet, "reset")
            return DROP
        return PASS

    def _made(self, packet: Packet, reset: Reset) -> Made:
        onward = reset.to == packet.to
        # to the side the trigger goes to: right after it; back to its sender: what that one expects next
        seq = packet.seq + (packet.segment if onward else 0) if onward else packet.ack
        ack = packet.ack if onward else packet.seq + packet.segment
        return Made(
            packet.flow,
            reset.to,
            flags=RST | (ACK if reset.ack else 0),
            seq=seq + reset.seq_offset,
            ack=ack if reset.ack else 0,
            window=self._random.randrange(1 << 16) if reset.window is None else reset.window,
            payload=reset.payload,
            ttl=reset.ttl,
            ipid=self._random.randrange(1, 1 << 16) if reset.ipid is None else reset.ipid,
            df=reset.df,
        )


@dataclass
class DropOn:
    """From the trigger on, packets of the conversation vanish."""

    trigger: Trigger
    to_server: bool = True
    """What goes to the server vanishes…"""
    to_client: bool = True
    """… and what goes to the client."""
    trigger_too: bool = True
    residual_s: float = 0.0
    """So long, all packets of the client to the same server and port vanish."""
    after_bytes: int = 0
    """Only after the server has sent so many bytes since the trigger."""
    _hit: dict[Flow, int] = field(default_factory=dict)
    _until: dict[tuple[int, str, str, int], float] = field(default_factory=dict)

    def see(self, box: Box, packet: Packet) -> bool:
        """See Rule."""
        flow = packet.flow
        fours = (flow.proto, flow.client, flow.server, flow.server_port)
        if box.now < self._until.get(fours, 0.0):
            box.note("dropped", packet, "residual")
            return DROP
        fresh = flow not in self._hit and self.trigger(packet)
        if fresh:
            self._hit[flow] = 0
            if self.residual_s:
                self._until[fours] = box.now + self.residual_s
        if flow not in self._hit:
            return PASS
        if not packet.to_server and self._hit[flow] < self.after_bytes:
            self._hit[flow] += len(packet.payload)
        if self._hit[flow] < self.after_bytes or (fresh and not self.trigger_too):
            return PASS
        if self.to_server if packet.to_server else self.to_client:
            box.note("dropped", packet, "drop")
            return DROP
        return PASS


@dataclass
class DnsAnswer:
    """Forged answers to queries for some names."""

    names: tuple[str, ...]
    addresses: tuple[str, ...]
    """One answer packet for each; IPv6 addresses answer AAAA queries, IPv4 ones A queries."""
    after_ms: float = 1.0
    ttl: int = 101
    ipid: int | None = None
    df: bool = False
    flags: int = 0x8580
    record_ttl: int = 60
    drop: bool = False
    """The query does not reach the resolver."""
    seed: int = 11

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)  # noqa: S311 - chance, not secrets

    def see(self, box: Box, packet: Packet) -> bool:
        """See Rule."""
        question = dns_question(packet)
        if question is None or question[0] not in self.names:
            return PASS
        _, qtype, raw = question
        for number, text in enumerate(self.addresses):
            kind = 28 if ":" in text else 1
            if kind != qtype:
                continue
            answer = packet.payload[:2] + struct.pack("!HHHHH", self.flags, 1, 1, 0, 0) + raw
            data = _address_bytes(text)
            answer += struct.pack("!HHHIH", 0xC00C, kind, 1, self.record_ttl, len(data)) + data
            made = Made(
                packet.flow,
                "client",
                payload=answer,
                ttl=self.ttl,
                ipid=self._random.randrange(1, 1 << 16) if self.ipid is None else self.ipid,
                df=self.df,
            )
            box.inject(made, after_ms=self.after_ms + number * 0.3, why="dns")
        if self.drop:
            box.note("dropped", packet, "dns query")
            return DROP
        return PASS


@dataclass
class DnsDrop:
    """Queries for some names vanish."""

    names: tuple[str, ...]

    def see(self, box: Box, packet: Packet) -> bool:
        """See Rule."""
        question = dns_question(packet)
        if question is None or question[0] not in self.names:
            return PASS
        box.note("dropped", packet, "dns query")
        return DROP


def dns_question(packet: Packet) -> tuple[str, int, bytes] | None:
    """Name, type and raw question of a DNS query over UDP."""
    body = packet.payload
    if not packet.to_server or packet.flow.proto != UDP or packet.flow.server_port != 53 or len(body) < 17:
        return None
    labels = []
    at = 12
    while at < len(body) and body[at]:
        labels.append(body[at + 1 : at + 1 + body[at]].decode("latin-1").lower())
        at += 1 + body[at]
    if at + 5 > len(body):
        return None
    return ".".join(labels), int.from_bytes(body[at + 1 : at + 3], "big"), body[12 : at + 5]


def _address_bytes(text: str) -> bytes:
    import socket  # noqa: PLC0415 - the module's name would hide nothing else here

    return socket.inet_pton(socket.AF_INET6 if ":" in text else socket.AF_INET, text)


@dataclass
class BlockPage:
    """A forged HTTP response to a request that the trigger matches, perhaps followed by FIN, perhaps racing."""

    trigger: Trigger
    response: bytes
    fin: bool = True
    drop: bool = False
    """The request does not reach the server."""
    ttl: int = 97
    after_ms: float = 0.5
    _done: set[Flow] = field(default_factory=set)

    def see(self, box: Box, packet: Packet) -> bool:
        """See Rule."""
        flow = packet.flow
        if self.drop and flow in self._done and packet.to_server:
            box.note("dropped", packet, "after a block page")
            return DROP
        if flow.proto != TCP or flow in self._done or not self.trigger(packet):
            return PASS
        self._done.add(flow)
        flags = 0x18 | (FIN if self.fin else 0)
        made = Made(
            flow,
            "client",
            flags,
            packet.ack,
            packet.seq + packet.segment,
            8192,
            self.response,
            self.ttl,
            ipid=1,
        )
        box.inject(made, after_ms=self.after_ms, why="block page")
        if self.drop:
            box.note("dropped", packet, "block page")
            return DROP
        return PASS


@dataclass
class SynReset:
    """Resets (or nothing, see DropOn) to a SYN: a handshake that a third party ends."""

    addresses: tuple[str, ...]
    ttl: int = 97
    ack: bool = True
    drop: bool = True

    def see(self, box: Box, packet: Packet) -> bool:
        """See Rule."""
        if packet.flow.server not in self.addresses or not packet.to_server or packet.flow.proto != TCP:
            return PASS
        if packet.flags & (SYN | ACK) == SYN:
            flags = RST | (ACK if self.ack else 0)
            made = Made(packet.flow, "client", flags, 0, packet.seq + 1, 0, b"", self.ttl, ipid=0)
            box.inject(made, after_ms=0.5, why="reset")
        if self.drop:
            box.note("dropped", packet, "after a reset")
            return DROP
        return PASS


@dataclass
class Policer:
    """A token bucket that drops what does not conform; one for each conversation that matches, or one for all."""

    trigger: Trigger
    rate_bps: float
    burst_bytes: int
    shared: bool = False
    to_client: bool = True
    """The direction that is limited."""
    _buckets: dict[object, tuple[float, float]] = field(default_factory=dict)
    _chosen: set[Flow] = field(default_factory=set)

    def admit(self, box: Box, packet: Packet) -> float | None:
        """See Limit."""
        flow = packet.flow
        if flow not in self._chosen and self.trigger(packet):
            self._chosen.add(flow)
        if flow not in self._chosen or packet.to_server is self.to_client:
            return 0.0
        key = None if self.shared else flow
        tokens, then = self._buckets.get(key, (float(self.burst_bytes), box.now))
        tokens = min(tokens + (box.now - then) * self.rate_bps / 8, float(self.burst_bytes))
        passes = tokens >= len(packet.data)
        self._buckets[key] = (tokens - len(packet.data) * passes, box.now)
        if passes:
            return 0.0
        box.note("limited", packet, "policer")
        return None


@dataclass
class Shaper:
    """A queue with a rate and a limit: packets wait, and are dropped only when it is full."""

    trigger: Trigger
    rate_bps: float
    queue_bytes: int
    shared: bool = False
    to_client: bool = True
    burst_bytes: int = 3000
    _free: dict[object, float] = field(default_factory=dict)
    _chosen: set[Flow] = field(default_factory=set)

    def admit(self, box: Box, packet: Packet) -> float | None:
        """See Limit."""
        flow = packet.flow
        if flow not in self._chosen and self.trigger(packet):
            self._chosen.add(flow)
        if flow not in self._chosen or packet.to_server is self.to_client:
            return 0.0
        key = None if self.shared else flow
        slack = self.burst_bytes * 8 / self.rate_bps
        free = max(self._free.get(key, 0.0), box.now - slack)
        wait = max(free - box.now, 0.0)
        if wait * self.rate_bps / 8 > self.queue_bytes:
            box.note("limited", packet, "shaper queue full")
            return None
        self._free[key] = free + len(packet.data) * 8 / self.rate_bps
        return wait


ALL: Final[Trigger] = lambda _packet: True  # noqa: E731 - a trigger like the others, only simpler
"""Every packet."""
