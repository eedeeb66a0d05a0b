"""Packets written down by hand: as a packet table for our code, and as a capture file for tshark."""

from __future__ import annotations

import ipaddress
import struct
import subprocess
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from forensics.capture import open_capture
from forensics.decode import AddressBook, Decoded, Decoder, PacketTable
from forensics.flows.ending import Limits
from forensics.observations.collect import Collectors
from forensics.observations.table import fact_table

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

FIN, SYN, RST, PSH, ACK = 0x01, 0x02, 0x04, 0x08, 0x10
START = 1_700_000_000_000_000_000
MS = 1_000_000
CLIENT, SERVER = ("192.0.2.1", 40000), ("198.51.100.7", 443)


@dataclass(frozen=True)
class Pkt:
    """One packet; ``size`` is payload on the wire when it is more than the bytes given."""

    src: tuple[str, int] = CLIENT
    dst: tuple[str, int] = SERVER
    flags: int = ACK
    seq: int = 0
    ack: int = 0
    data: bytes = b""
    size: int = 0
    ms: float = 0.0
    ttl: int = 60
    ipid: int = 7
    df: bool = True
    window: int = 512
    proto: int = 6
    icmp: tuple[int, int] | None = None
    """Type and code of an ICMP error that quotes this packet."""

    @property
    def payload(self) -> int:
        return max(self.size, len(self.data))


@dataclass
class Talk:
    """A TCP conversation told packet by packet; every call stays ``gap`` ms behind the one before."""

    client: tuple[str, int] = CLIENT
    server: tuple[str, int] = SERVER
    isn: int = 1000
    server_isn: int = 5000
    ms: float = 0.0
    gap: float = 10.0
    packets: list[Pkt] = field(default_factory=list)

    def c(self, flags: int = ACK, rel: int = 1, ack: int = 1, **more: Any) -> Pkt:
        """The client sends; ``rel`` and ``ack`` are relative to the initial numbers."""
        return self._put(self.client, self.server, flags, self.isn + rel, self.server_isn + ack, more)

    def s(self, flags: int = ACK, rel: int = 1, ack: int = 1, **more: Any) -> Pkt:
        """The server sends."""
        return self._put(self.server, self.client, flags, self.server_isn + rel, self.isn + ack, more)

    def shake(self) -> Talk:
        """SYN, SYN/ACK, ACK."""
        self.c(SYN, 0, -self.server_isn)
        self.s(SYN | ACK, 0, 1)
        self.c(ACK, 1, 1)
        return self

    def _put(self, src: Any, dst: Any, flags: int, seq: int, ack: int, more: Any) -> Pkt:  # noqa: PLR0913 - a packet
        self.ms = more.pop("ms", self.ms + self.gap)
        packet = Pkt(src, dst, flags, seq % 2**32, ack % 2**32 if flags & ACK else 0, ms=self.ms, **more)
        self.packets.append(packet)
        return packet


def table(packets: Sequence[Pkt], book: AddressBook, first: int = 1) -> Decoded:
    """The packet table of consecutive frames from ``first`` on, and the bytes it points into."""
    data = b""
    rows = []
    v6 = {end[0] for p in packets for end in (p.src, p.dst) if ":" in end[0]}
    if v6:  # as decoding does: all new addresses of a batch at once
        book.intern_v6(np.frombuffer(b"".join(map(_packed, sorted(v6))), np.uint8).reshape(-1, 16))
    for frame, p in enumerate(packets, first):
        quoted = p.icmp is not None
        address = [_number(book, end[0]) for end in (p.src, p.dst)]
        tcp = p.proto == 6
        rows.append((
            frame, START + round(p.ms * MS), p.proto, *address, p.src[1], p.dst[1], p.ttl,
            -1 if ":" in p.src[0] else p.ipid, p.df, p.payload + 40, p.flags * tcp, p.seq * tcp,
            0 if quoted else p.ack * tcp, 0 if quoted else p.window * tcp, 0 if quoted else p.payload, len(data),
            0 if quoted else len(p.data), *(p.icmp or (-1, -1)), 1 if quoted else -1,
        ))  # fmt: skip
        data += b"" if quoted else p.data
    return Decoded(PacketTable.of_rows(rows), np.frombuffer(data, dtype=np.uint8))


def _packed(address: str) -> bytes:
    return ipaddress.ip_address(address).packed


def _number(book: AddressBook, address: str) -> int:
    parsed = ipaddress.ip_address(address)
    if isinstance(parsed, ipaddress.IPv4Address):
        return int(parsed)
    return int(book.intern_v6(np.frombuffer(parsed.packed, np.uint8).reshape(1, 16))[0])


def collect(packets: Sequence[Pkt], cuts: Iterable[int] = (), limits: Limits | None = None) -> Collectors:
    """Collectors that were fed all packets, in batches that end at ``cuts``."""
    book = AddressBook()
    collectors = Collectors(book, limits=limits or Limits())
    begin = 0
    for end in [*sorted(set(cuts)), len(packets)]:
        collectors.add(table(packets[begin:end], book, begin + 1))
        begin = end
    return collectors


def read(path: Path) -> Collectors:
    """Collectors that were fed a capture file, in small batches."""
    decoder = Decoder()
    collectors = Collectors(decoder.book, decoder.tunnels)
    with open_capture(str(path), batch_packets=1000) as reader:
        for batch in reader:
            collectors.add(decoder.decode(batch))
    return collectors


def tables(
    packets: Sequence[Pkt], cuts: Iterable[int] = (), limits: Limits | None = None
) -> dict[str, pl.DataFrame]:
    return frames(collect(packets, cuts, limits))


def frames(collectors: Collectors) -> dict[str, pl.DataFrame]:
    """All columns of all rows of the finished tables."""
    return {name: fact_table(name, rows).frame() for name, rows in collectors.finish().items()}


def flow(packets: Sequence[Pkt], cuts: Iterable[int] = ()) -> dict[str, Any]:
    """The only row of the flow table."""
    rows = tables(packets, cuts)["flow"].to_dicts()
    assert len(rows) == 1, [row["stream"] for row in rows]
    return rows[0]


def write_pcap(path: Path, packets: Sequence[Pkt]) -> Path:
    """The same packets as a capture file of raw IP packets."""
    out = [struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 262144, 101)]
    for p in packets:
        raw = _ip(p)
        if p.icmp is not None:
            body = struct.pack(">BBHI", *p.icmp, 0, 0) + raw
            outer = Pkt(("203.0.113.9", 0), p.src, ttl=p.ttl, proto=1)
            raw = _header(outer, len(body)) + body
        time = START + round(p.ms * MS)
        out.append(struct.pack("<IIII", time // 10**9, time % 10**9, len(raw), len(raw)) + raw)
    path.write_bytes(b"".join(out))
    return path


def _ip(p: Pkt) -> bytes:
    payload = p.data + bytes(p.payload - len(p.data))
    if p.proto == 6:
        body = struct.pack(">HHIIBBHHH", p.src[1], p.dst[1], p.seq, p.ack, 0x50, p.flags, p.window, 0, 0)
    else:
        body = struct.pack(">HHHH", p.src[1], p.dst[1], 8 + len(payload), 0)
    return _header(p, len(body) + len(payload)) + body + payload


def _header(p: Pkt, size: int) -> bytes:
    src, dst = (ipaddress.ip_address(end[0]).packed for end in (p.src, p.dst))
    if len(src) == 16:
        return struct.pack(">IHBB", 6 << 28, size, p.proto, p.ttl) + src + dst
    return struct.pack(">BBHHHBBH", 0x45, 0, 20 + size, p.ipid, p.df << 14, p.ttl, p.proto, 0) + src + dst


def ask_tshark(path: Path, *fields: str, where: str = "", prefs: Sequence[str] = ()) -> list[list[str]]:
    """The fields of every frame (that fulfils ``where``), as tshark prints them."""
    command = ["tshark", "-n", "-r", str(path), "-T", "fields", "-E", "occurrence=l"]
    for name in fields:
        command += ["-e", name]
    for pref in prefs:
        command += ["-o", pref]
    if where:
        command += ["-Y", where]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return [line.split("\t") for line in done.stdout.splitlines()]
