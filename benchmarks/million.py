"""Builds the benchmark's capture: one million packets of ordinary traffic, always the same bytes.

    python benchmarks/million.py build/bench/million.pcap

18,800 TLS 1.3 connections, each with its own server name and a Pareto-sized download, and 4,700 DNS look-ups
of some of those names, all interleaved in time as a busy link would show them. Sequence and acknowledgement
numbers are those of a working TCP; a few segments are sent twice. TCP checksums are left 0, as capture tools
see them where the network card fills them in.
"""

from __future__ import annotations

import struct
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

PACKETS: Final = 1_000_000
TLS_FLOWS: Final = 18_800
DNS_FLOWS: Final = 4_700
RETRANSMISSIONS: Final = 3_000
SECONDS: Final = 600
START: Final = 1_700_000_000
SEGMENT: Final = 1_400  # payload bytes of a full segment
LONGEST: Final = 12_000  # data segments of the longest download
BLOCK: Final = 50_000  # packets written at once

HEADERS: Final = 70  # pcap record header 16, Ethernet 14, IPv4 20, TCP 20
SYN_OPTIONS: Final = bytes.fromhex("020405b4 0402 01 030307 0101")
FIN, SYN, PSH, ACK = 1, 2, 8, 16

Int = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]


@dataclass
class Packets:
    """Packets in any order; all arrays have one element a packet."""

    time: npt.NDArray[np.float64]
    flow: Int
    from_client: npt.NDArray[np.bool_]
    flags: Int
    seq: Int
    """Relative to the sender's initial sequence number."""
    ack: Int
    size: Int
    """Bytes after the 20-byte TCP header."""
    content: Int
    """What the payload holds: an index into CONTENTS."""


CONTENTS: Final = ("none", "options", "client_hello", "server_hello", "records", "query", "answer")


def client_hellos(rng: np.random.Generator) -> Bytes:
    """One 517-byte ClientHello record a flow (RFC 8446 4.1.2); random fields and the name differ."""

    def extension(kind: int, body: bytes) -> bytes:
        return struct.pack(">HH", kind, len(body)) + body

    name = server_name(0)
    extensions = (
        extension(0, struct.pack(">HBH", len(name) + 3, 0, len(name)) + name)
        + extension(10, bytes.fromhex("0006001d00170018"))
        + extension(13, bytes.fromhex("0008040308040401 0501"))
        + extension(16, bytes.fromhex("000c02683208687474702f312e31"))
        + extension(43, bytes.fromhex("0403040303"))
        + extension(51, bytes.fromhex("0024001d0020") + bytes(32))
    )
    head = b"\x03\x03" + bytes(32) + b"\x20" + bytes(32) + bytes.fromhex("0006130113021303 0100")
    padding = 517 - 9 - len(head) - 2 - len(extensions) - 4
    extensions += extension(21, bytes(padding))
    body = head + struct.pack(">H", len(extensions)) + extensions
    record = (
        b"\x16\x03\x01" + struct.pack(">H", len(body) + 4) + b"\x01" + len(body).to_bytes(3, "big") + body
    )
    hellos = np.tile(np.frombuffer(record, np.uint8), (TLS_FLOWS, 1))
    hellos[:, 11:43] = rng.integers(0, 256, (TLS_FLOWS, 32), np.uint8)
    hellos[:, 44:76] = rng.integers(0, 256, (TLS_FLOWS, 32), np.uint8)
    key = record.index(bytes.fromhex("0024001d0020")) + 6
    hellos[:, key : key + 32] = rng.integers(0, 256, (TLS_FLOWS, 32), np.uint8)
    at = record.index(name)
    names = b"".join(server_name(flow) for flow in range(TLS_FLOWS))
    hellos[:, at : at + len(name)] = np.frombuffer(names, np.uint8).reshape(TLS_FLOWS, -1)
    return hellos


def server_hello(rng: np.random.Generator) -> bytes:
    """The server's first segment: ServerHello, ChangeCipherSpec, and an encrypted record that fills it."""
    body = b"\x03\x03" + rng.bytes(32) + b"\x20" + rng.bytes(32) + bytes.fromhex("130100")
    body += struct.pack(">H", 46) + bytes.fromhex("002b00020304 00330024001d0020") + rng.bytes(32)
    record = (
        b"\x16\x03\x03" + struct.pack(">H", len(body) + 4) + b"\x02" + len(body).to_bytes(3, "big") + body
    )
    record += bytes.fromhex("140303000101")
    rest = SEGMENT - len(record) - 5
    return record + b"\x17\x03\x03" + struct.pack(">H", rest) + rng.bytes(rest)


def server_name(flow: int) -> bytes:
    """As long for every flow, so that all hellos and look-ups have one size."""
    return b"cdn%05d.service%03d.com" % (flow, flow % 613)


def lookups(servers: Int) -> tuple[Bytes, Bytes]:
    """Queries and answers of the look-ups; look-up *i* asks for the name of TLS flow 4 *i*."""
    queries, answers = [], []
    for i in range(DNS_FLOWS):
        labels = b"".join(bytes([len(label)]) + label for label in server_name(4 * i).split(b"."))
        question = labels + b"\x00\x00\x01\x00\x01"
        queries.append(struct.pack(">HHHHHH", i * 13 & 0xFFFF, 0x0100, 1, 0, 0, 0) + question)
        address = struct.pack(">HHHIHI", 0xC00C, 1, 1, 300, 4, int(servers[4 * i]))
        answers.append(struct.pack(">HHHHHH", i * 13 & 0xFFFF, 0x8180, 1, 1, 0, 0) + question + address)
    return (
        np.frombuffer(b"".join(queries), np.uint8).reshape(DNS_FLOWS, -1),
        np.frombuffer(b"".join(answers), np.uint8).reshape(DNS_FLOWS, -1),
    )


def download_sizes(rng: np.random.Generator) -> Int:
    """Data segments of each connection, so that all packets together are exactly PACKETS."""
    draws = rng.pareto(1.2, TLS_FLOWS) + 1

    def segments(scale: float) -> Int:
        return np.clip(draws * scale, 1, LONGEST).astype(np.int64)

    def missing(sizes: Int) -> int:
        # Ten packets a connection besides data and one acknowledgement for two segments.
        return PACKETS - 2 * DNS_FLOWS - RETRANSMISSIONS - int((10 + sizes + sizes // 2).sum())

    low, high = 0.1, 100.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if missing(segments(middle)) >= 0 else (low, middle)
    sizes = segments(low)
    even = np.flatnonzero(sizes % 2 == 0)[: missing(sizes)]
    sizes[even] += 1  # a segment without an acknowledgement of its own
    return sizes


def conversation(rng: np.random.Generator, sizes: Int, start: npt.NDArray[np.float64]) -> Packets:
    """Every packet of the TLS connections."""
    flows = np.arange(TLS_FLOWS)
    rtt = rng.uniform(0.01, 0.15, TLS_FLOWS)
    gap = SEGMENT * 8 / rng.uniform(2e6, 50e6, TLS_FLOWS)
    second, request = 900, 300
    sent_hello, sent_all = 1 + 517, 1 + 517 + request
    got_hello, got_all = 1 + SEGMENT, 1 + SEGMENT + second
    data = start + 3 * rtt + 0.01
    end = data + (sizes + 1) * gap
    total = got_all + sizes * SEGMENT
    fixed: list[tuple[object, bool, int, object, object, int, str]] = [
        (start, True, SYN, 0, 0, 12, "options"),
        (start + rtt, False, SYN | ACK, 0, 1, 12, "options"),
        (start + rtt + 1e-4, True, ACK, 1, 1, 0, "none"),
        (start + rtt + 1e-3, True, ACK | PSH, 1, 1, 517, "client_hello"),
        (start + 2 * rtt + 2e-3, False, ACK, 1, sent_hello, SEGMENT, "server_hello"),
        (start + 2 * rtt + 2.2e-3, False, ACK | PSH, got_hello, sent_hello, second, "records"),
        (start + 2 * rtt + 4e-3, True, ACK | PSH, sent_hello, got_all, request, "records"),
        (end, False, ACK | FIN, total, sent_all, 0, "none"),
        (end + 1e-3, True, ACK | FIN, sent_all, total + 1, 0, "none"),
        (end + 1e-3 + rtt, False, ACK, total + 1, sent_all + 1, 0, "none"),
    ]
    parts = [
        packets(time, flows, from_client=up, flags=flags, seq=seq, ack=ack, size=size, content=content)
        for time, up, flags, seq, ack, size, content in fixed
    ]
    flow = np.repeat(flows, sizes)
    nth = np.arange(len(flow)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    time = data[flow] + nth * gap[flow]
    segment = packets(
        time,
        flow,
        from_client=False,
        flags=ACK,
        seq=got_all + nth * SEGMENT,
        ack=sent_all,
        size=SEGMENT,
        content="records",
    )
    again = np.sort(rng.choice(len(flow), RETRANSMISSIONS, replace=False))
    resent = Packets(**{name: values[again] for name, values in vars(segment).items()})
    resent.time = resent.time + 1.2 * rtt[flow[again]]
    odd = np.flatnonzero(nth % 2 == 1)
    acknowledged = got_all + (nth[odd] + 1) * SEGMENT
    replies = packets(
        time[odd] + 5e-5,
        flow[odd],
        from_client=True,
        flags=ACK,
        seq=sent_all,
        ack=acknowledged,
        size=0,
        content="none",
    )
    # A segment that comes after the FIN would be no working TCP: the resent ones come before it.
    resent.time = np.minimum(resent.time, end[resent.flow] - 1e-6)
    return joined([*parts, segment, resent, replies])


def packets(  # noqa: PLR0913 - a packet has these fields
    time: object,
    flow: Int,
    *,
    from_client: bool,
    flags: int,
    seq: object,
    ack: object,
    size: int,
    content: str,
) -> Packets:
    """Packets of one kind, one a row of ``flow``; single values stand for all of them."""

    def column(value: object, dtype: type) -> npt.NDArray[np.generic]:
        return np.broadcast_to(np.asarray(value, dtype), flow.shape)

    return Packets(
        time=column(time, np.float64),
        flow=flow,
        from_client=column(from_client, np.bool_),
        flags=column(flags, np.int64),
        seq=column(seq, np.int64),
        ack=column(ack, np.int64),
        size=column(size, np.int64),
        content=column(CONTENTS.index(content), np.int64),
    )


def joined(parts: list[Packets]) -> Packets:
    """All of them in one."""
    return Packets(**{name: np.concatenate([vars(part)[name] for part in parts]) for name in vars(parts[0])})


def big_endian(values: Int, width: int) -> Bytes:
    """Rows of ``width`` bytes."""
    return np.ascontiguousarray(values.astype(">u8")).view(np.uint8).reshape(-1, 8)[:, 8 - width :]


def headers(table: Packets, ends: dict[str, Int], ip_id: Int) -> Bytes:
    """pcap, Ethernet, IPv4 and TCP or UDP headers of each packet: 70 bytes, of which UDP uses 58."""
    udp = table.flow >= TLS_FLOWS
    length = np.where(udp, 28, 40) + table.size
    head = np.zeros((len(table.flow), HEADERS), np.uint8)
    micros = np.round(table.time * 1e6).astype(np.int64)
    pcap = np.stack([START + micros // 1_000_000, micros % 1_000_000, length + 14, length + 14], axis=1)
    head[:, :16] = np.ascontiguousarray(pcap.astype("<u4")).view(np.uint8).reshape(-1, 16)
    up = table.from_client
    client, server = ends["client"][table.flow], ends["server"][table.flow]
    cport, sport = ends["client_port"][table.flow], ends["server_port"][table.flow]
    head[:, 16:30] = np.frombuffer(bytes.fromhex("020000000001 020000000002 0800"), np.uint8)
    head[:, 30:32] = (0x45, 0)
    head[:, 32:34] = big_endian(length, 2)
    head[:, 34:36] = big_endian(ip_id, 2)
    head[:, 36] = 0x40  # don't fragment
    head[:, 38] = np.where(up, 64, ends["ttl"][table.flow])
    head[:, 39] = np.where(udp, 17, 6)
    head[:, 42:46] = big_endian(np.where(up, client, server), 4)
    head[:, 46:50] = big_endian(np.where(up, server, client), 4)
    words = head[:, 30:50].reshape(-1, 10, 2).astype(np.int64)
    total = (words[:, :, 0] * 256 + words[:, :, 1]).sum(axis=1)
    total = (total & 0xFFFF) + (total >> 16)
    head[:, 40:42] = big_endian(~((total & 0xFFFF) + (total >> 16)) & 0xFFFF, 2)
    head[:, 50:52] = big_endian(np.where(up, cport, sport), 2)
    head[:, 52:54] = big_endian(np.where(up, sport, cport), 2)
    own = np.where(up, ends["client_isn"][table.flow], ends["server_isn"][table.flow])
    other = np.where(up, ends["server_isn"][table.flow], ends["client_isn"][table.flow])
    head[:, 54:58] = big_endian((own + table.seq) & 0xFFFFFFFF, 4)
    acks = np.where(table.flags & ACK, other + table.ack, 0)
    head[:, 58:62] = big_endian(acks & 0xFFFFFFFF, 4)
    head[:, 62] = np.where(table.flags & SYN, 0x80, 0x50)
    head[:, 63] = table.flags
    head[:, 64:66] = (0xFA, 0xF0)
    head[udp, 54:56] = big_endian(table.size[udp] + 8, 2)
    head[udp, 56:58] = 0
    return head


def write(
    path: Path, table: Packets, ends: dict[str, Int], contents: dict[str, Bytes], rng: np.random.Generator
) -> None:
    """Writes the packets in the order of their time."""
    order = np.argsort(table.time, kind="stable")
    table = Packets(**{name: values[order] for name, values in vars(table).items()})
    sender = table.flow * 2 + table.from_client
    by_sender = np.argsort(sender, kind="stable")
    _, first, counts = np.unique(sender[by_sender], return_index=True, return_counts=True)
    ip_id = np.empty(len(order), np.int64)
    ip_id[by_sender] = np.arange(len(order)) - np.repeat(first, counts)
    ip_id = (ip_id + sender * 7919) & 0xFFFF
    noise = np.frombuffer(rng.bytes(BLOCK * (HEADERS + SEGMENT)), np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    with partial.open("wb") as file:
        file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65_535, 1))
        for at in range(0, len(order), BLOCK):
            part = Packets(**{name: values[at : at + BLOCK] for name, values in vars(table).items()})
            lengths = np.where(part.flow >= TLS_FLOWS, HEADERS - 12, HEADERS) + part.size
            starts = np.cumsum(lengths) - lengths
            block = noise[: lengths.sum()].copy()
            head = headers(part, ends, ip_id[at : at + BLOCK])
            udp = part.flow >= TLS_FLOWS
            block[starts[~udp, None] + np.arange(HEADERS)] = head[~udp]
            block[starts[udp, None] + np.arange(HEADERS - 12)] = head[udp, : HEADERS - 12]
            body = starts + lengths - part.size
            for name, rows in contents.items():
                chosen = np.flatnonzero(part.content == CONTENTS.index(name))
                picked = part.flow[chosen] % TLS_FLOWS % len(rows)
                block[body[chosen, None] + np.arange(rows.shape[1])] = rows[picked]
            records = np.flatnonzero(part.content == CONTENTS.index("records"))
            block[body[records, None] + np.arange(3)] = (0x17, 3, 3)
            block[body[records, None] + np.arange(3, 5)] = big_endian(part.size[records] - 5, 2)
            file.write(block)
    partial.replace(path)


def build(path: Path) -> None:
    """Writes the capture; a file of that name is replaced once the new one is whole."""
    rng = np.random.Generator(np.random.PCG64(2017))
    flows = TLS_FLOWS + DNS_FLOWS
    clients = 0x0A000100 + rng.integers(0, 250, TLS_FLOWS)
    servers = 0x17000000 + rng.integers(0, 1 << 22, TLS_FLOWS)
    asked = np.arange(DNS_FLOWS) * 4
    start = rng.uniform(1, SECONDS, TLS_FLOWS)
    ends = {
        "client": np.concatenate([clients, clients[asked]]),
        "server": np.concatenate([servers, np.full(DNS_FLOWS, 0x0A000035)]),
        "client_port": 1_024 + np.arange(flows) * 2 % 60_000,
        "server_port": np.repeat([443, 53], [TLS_FLOWS, DNS_FLOWS]),
        "client_isn": rng.integers(0, 1 << 32, flows),
        "server_isn": rng.integers(0, 1 << 32, flows),
        "ttl": np.concatenate([rng.integers(44, 58, TLS_FLOWS), np.full(DNS_FLOWS, 63)]),
    }
    queries, answers = lookups(servers)
    flow = np.arange(TLS_FLOWS, flows)
    before = start[asked] - 0.05
    table = joined(
        [
            conversation(rng, download_sizes(rng), start),
            packets(
                before, flow, from_client=True, flags=0, seq=0, ack=0, size=queries.shape[1], content="query"
            ),
            packets(
                before + rng.uniform(2e-3, 3e-2, DNS_FLOWS),
                flow,
                from_client=False,
                flags=0,
                seq=0,
                ack=0,
                size=answers.shape[1],
                content="answer",
            ),
        ]
    )
    contents = {
        "options": np.frombuffer(SYN_OPTIONS, np.uint8)[None, :],
        "client_hello": client_hellos(rng),
        "server_hello": np.frombuffer(server_hello(rng), np.uint8)[None, :],
        "query": queries,
        "answer": answers,
    }
    write(path, table, ends, contents, rng)


def main() -> None:
    """Builds the capture unless it is there and newer than this program."""
    path = Path(sys.argv[1])
    if path.is_file() and path.stat().st_mtime > Path(__file__).stat().st_mtime:
        return
    print(f"building {path} …", file=sys.stderr)
    build(path)


if __name__ == "__main__":
    main()
