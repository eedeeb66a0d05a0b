"""The staged world of one case: hosts, packets in time order, and what must be found in them.

Packets are written down with the time at which the capturing machine (the client) sees them. Only when a
case is finished are they sorted, numbered, given IP-IDs in the order in which their sender sent them, and
built with scapy. Expectations hold packets, not numbers: a frame number in ``expect.yaml`` always comes
from the staging.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import CookedLinux, Dot1Q, Ether
from scapy.packet import Packet as Layer
from scapy.packet import Raw

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

START = 1_760_000_000.0
"""Start of every capture unless a case says otherwise: 2025-10-09 08:53:20 UTC."""
CLIENT_MAC = "02:00:5e:10:00:01"
GATEWAY_MAC = "02:00:5e:10:00:fe"


@dataclass(eq=False)
class Host:
    """One machine as the capture point sees it: ``ttl`` is what is left of its TTL there."""

    addr: str
    ttl: int
    ipid: str = "counter"
    """How it numbers packets: counter, zero or random."""
    df: bool = True
    last_ipid: int = 0


@dataclass(eq=False)
class Flow:
    """One conversation; ``stream`` is set when the case is finished."""

    proto: str
    stream: int = -1
    uid: int = -1
    """Of the phone app that owns it; -1 where nobody asks."""


@dataclass(eq=False)
class Packet:
    """One packet on the wire; the overrides are those of a forger who pretends to be ``src``."""

    time: float
    """Seconds after the start of the capture."""
    src: Host
    dst: Host
    flow: Flow | None
    layer: Layer
    ttl: int | None = None
    ipid: int | None = None
    df: bool | None = None
    caplen: int | None = None
    mangle: Callable[[bytes], bytes] | None = None
    """Applied to the built bytes, link header included: lengths that lie."""
    interface: int = 0
    frame: int = 0
    data: bytes = b""

    @property
    def seq(self) -> int:
        """Sequence number of a TCP segment."""
        return int(self.layer.seq)


@dataclass
class Expectation:
    """What the analysis of the finished capture must say."""

    description: str = ""
    pair: str | None = None
    findings: list[dict[str, Any]] = field(default_factory=list)
    verdicts: list[dict[str, str]] = field(default_factory=list)
    must_not: list[dict[str, str]] = field(default_factory=lambda: [{"signature": "*", "level": "likely"}])
    hellos: list[tuple[Packet, str]] = field(default_factory=list)
    dns: list[dict[str, Any]] = field(default_factory=list)
    phone: list[Flow] = field(default_factory=list)
    """Flows of which the capture tells the phone app."""
    notes: dict[str, Any] = field(default_factory=dict)


class World:
    """Everything that happens in one case."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.rng = random.Random(name)  # noqa: S311 - reproducible bytes are the point
        self.start = START
        self.packets: list[Packet] = []
        self.expect = Expectation()
        self.link = "ether"
        self.container = "pcap"
        self.phone_apps: dict[int, tuple[str, str]] = {}
        """UID → package and app, in captures made by PCAPdroid."""
        self.client = Host("192.168.1.23", 64, last_ipid=self.rng.randrange(1000, 60000))
        self.resolver = Host("8.8.8.8", 117, "random", df=False)
        self._port = 40000 + self.rng.randrange(9000)
        self._hosts: dict[str, Host] = {}

    def host(self, addr: str, ttl: int = 52, ipid: str = "counter", *, df: bool = True) -> Host:
        """A server, one for each address; its IP-ID counter starts anywhere."""
        if addr not in self._hosts:
            self._hosts[addr] = Host(addr, ttl, ipid, df, self.rng.randrange(1000, 50000))
        return self._hosts[addr]

    def port(self) -> int:
        """The client's next ephemeral port."""
        self._port += 2
        return self._port

    def add(self, packet: Packet) -> Packet:
        """Put a packet on the tape."""
        self.packets.append(packet)
        return packet

    # expectations

    def story(self, description: str, pair: str | None = None) -> None:
        """What is staged, and which case differs from it in one respect."""
        self.expect.description = " ".join(description.split())
        self.expect.pair = pair

    def finding(  # noqa: PLR0913 - one argument a property of what is staged
        self,
        signature: str | list[str],
        mechanism: str,
        level: str,
        subjects: Sequence[Flow],
        frames: Mapping[str, Sequence[Packet]],
        *,
        app: str | None = None,
        feature: str | None = None,
        target: str | None = None,
        max_level: str | None = None,
    ) -> None:
        """Demand a finding, by any of these signatures, of at least this level that names these frames."""
        row: dict[str, Any] = {"signature": signature, "mechanism": mechanism, "min_level": level}
        named = {"max_level": max_level, "app": app, "feature": feature, "target": target}
        row.update({key: value for key, value in named.items() if value is not None})
        row["subjects"] = list(subjects)
        row["frames_include"] = frames
        self.expect.findings.append(row)

    def verdict(self, app: str, feature: str, status: str) -> None:
        """Demand this status of an app feature."""
        self.expect.verdicts.append({"app": app, "feature": feature, "status": status})

    def never(self, signature: str, level: str = "observed") -> None:
        """Demand that this rule has no finding at or above this level (``observed``: no match at all)."""
        self.expect.must_not.append({"signature": signature, "level": level})

    # finishing

    def finish(self) -> None:
        """Sort, number and build all packets."""
        ordered = sorted(self.packets, key=lambda packet: packet.time)
        streams = {"tcp": 0, "udp": 0}
        owners: set[int] = set()
        for number, packet in enumerate(ordered, 1):
            flow = packet.flow
            if flow is not None and self.container.startswith("pcapdroid-pcapng"):
                owners.add(flow.uid)  # the block that names it stands before it and has a frame number
            packet.frame = number + len(owners)
            if flow is not None and flow.stream < 0:
                flow.stream = streams[flow.proto]
                streams[flow.proto] += 1
            packet.data = self._build(packet)
        self.packets = ordered

    def _next_ipid(self, host: Host) -> int:
        if host.ipid == "zero":
            return 0
        if host.ipid == "random":
            return self.rng.randrange(1, 65536)
        host.last_ipid = (host.last_ipid + 1) & 0xFFFF
        return host.last_ipid

    def _build(self, packet: Packet) -> bytes:
        src, dst = packet.src, packet.dst
        ttl = src.ttl if packet.ttl is None else packet.ttl
        version6 = ":" in src.addr
        net: Layer
        if version6:
            net = IPv6(src=src.addr, dst=dst.addr, hlim=ttl, fl=0, tc=0)
        else:
            ipid = self._next_ipid(src) if packet.ipid is None else packet.ipid
            df = src.df if packet.df is None else packet.df
            net = IP(src=src.addr, dst=dst.addr, ttl=ttl, id=ipid, flags="DF" if df else 0, tos=0)
        outgoing = src is self.client
        macs = (CLIENT_MAC, GATEWAY_MAC) if outgoing else (GATEWAY_MAC, CLIENT_MAC)
        ethertype = 0x86DD if version6 else 0x0800
        head: Layer
        if self.link == "sll":
            head = CookedLinux(
                pkttype=4 if outgoing else 0,
                lladdrtype=1,
                lladdrlen=6,
                src=bytes.fromhex(macs[0].replace(":", "")) + b"\0\0",
                proto=ethertype,
            )
        elif self.link == "vlan":
            head = Ether(src=macs[0], dst=macs[1], type=0x8100) / Dot1Q(vlan=7, prio=0, type=ethertype)
        else:
            head = Ether(src=macs[0], dst=macs[1], type=ethertype)
        data = bytes(net / packet.layer if self.link == "raw" else head / net / packet.layer)
        return data if packet.mangle is None else packet.mangle(data)


__all__ = ["ICMP", "IP", "TCP", "UDP", "Flow", "Host", "Packet", "Raw", "World"]
