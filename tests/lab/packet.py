"""A packet as the middlebox sees it, and packets that it makes up."""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass
from typing import Final, NamedTuple

IPV4, IPV6 = 4, 6
TCP, UDP = 6, 17
FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16
_ETHERNET: Final = 14


class Flow(NamedTuple):
    """Both ends of a conversation, seen from the client."""

    proto: int
    client: str
    client_port: int
    server: str
    server_port: int


@dataclass(frozen=True)
class Packet:
    """One IP packet on its way through the middlebox."""

    data: bytes
    """From the IP header on, as its sender sent it (but for the hops already passed)."""
    to_server: bool
    flow: Flow
    flags: int = 0
    seq: int = 0
    ack: int = 0
    window: int = 0
    payload: bytes = b""
    ttl: int = 0
    ipid: int = -1
    fragment: bool = False

    @property
    def to(self) -> str:
        """The side it is on its way to."""
        return "server" if self.to_server else "client"

    @property
    def segment(self) -> int:
        """Sequence space that it takes."""
        return len(self.payload) + bool(self.flags & SYN) + bool(self.flags & FIN)


def parse(frame: bytes, *, to_server: bool) -> Packet | None:
    """The packet in an Ethernet frame; None for anything but IPv4 and IPv6."""
    kind = frame[12:14]
    data = frame[_ETHERNET:]
    if kind == b"\x08\x00" and len(data) >= 20:
        header = (data[0] & 15) * 4
        total, ipid, offset = struct.unpack_from("!HHH", data, 2)
        data = data[:total]
        ttl, proto = data[8], data[9]
        source, target = (socket.inet_ntop(socket.AF_INET, data[at : at + 4]) for at in (12, 16))
        fragment = bool(offset & 0x3FFF)
        later = bool(offset & 0x1FFF)
    elif kind == b"\x86\xdd" and len(data) >= 40:
        header, ipid, fragment, later = 40, -1, False, False
        data = data[: 40 + int.from_bytes(data[4:6], "big")]
        proto, ttl = data[6], data[7]
        source, target = (socket.inet_ntop(socket.AF_INET6, data[at : at + 16]) for at in (8, 24))
    else:
        return None
    body = data[header:]
    ends = (0, 0)
    flags = seq = ack = window = 0
    payload = b""
    if proto == TCP and not later and len(body) >= 20:
        *ends, seq, ack = struct.unpack_from("!HHII", body)
        flags, window = body[13], int.from_bytes(body[14:16], "big")
        payload = body[(body[12] >> 4) * 4 :]
    elif proto == UDP and not later and len(body) >= 8:
        ends = struct.unpack_from("!HH", body)
        payload = body[8:]
    if not to_server:
        source, target, ends = target, source, (ends[1], ends[0])
    flow = Flow(proto, source, ends[0], target, ends[1])
    return Packet(data, to_server, flow, flags, seq, ack, window, payload, ttl, ipid, fragment)


def hopped(data: bytes, hops: int) -> bytes | None:
    """The packet after so many routers; None when its TTL does not last."""
    if data[0] >> 4 == IPV6:
        if data[7] <= hops:
            return None
        return data[:7] + bytes([data[7] - hops]) + data[8:]
    if data[8] <= hops:
        return None
    header = bytearray(data[: (data[0] & 15) * 4])
    header[8] -= hops
    header[10:12] = b"\0\0"
    header[10:12] = struct.pack("!H", checksum(bytes(header)))
    return bytes(header) + data[len(header) :]


def checksum(data: bytes) -> int:
    """The Internet checksum (RFC 1071)."""
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


@dataclass(frozen=True)
class Made:
    """A forged packet: who gets it, and every field that tells injectors apart."""

    flow: Flow
    to: str
    """client or server; the other one is the sender it claims."""
    flags: int = 0
    seq: int = 0
    ack: int = 0
    window: int = 0
    payload: bytes = b""
    ttl: int = 64
    """As the victim sees it."""
    ipid: int = 0
    df: bool = False

    def build(self) -> bytes:
        """The packet, from the IP header on."""
        from scapy.layers import inet, inet6  # noqa: PLC0415 - slow to import
        from scapy.packet import Raw  # noqa: PLC0415

        flow = self.flow
        ends = ((flow.client, flow.client_port), (flow.server, flow.server_port))
        (source, sport), (target, dport) = ends if self.to == "server" else ends[::-1]
        if ":" in source:
            network = inet6.IPv6(src=source, dst=target, hlim=self.ttl)
        else:
            network = inet.IP(
                src=source, dst=target, ttl=self.ttl, id=self.ipid, flags="DF" if self.df else 0
            )
        if flow.proto == TCP:
            transport = inet.TCP(
                sport=sport,
                dport=dport,
                flags=self.flags,
                seq=self.seq % 2**32,
                ack=self.ack % 2**32,
                window=self.window,
            )
        else:
            transport = inet.UDP(sport=sport, dport=dport)
        whole = network / transport
        if self.payload:
            whole /= Raw(self.payload)
        return bytes(whole)
