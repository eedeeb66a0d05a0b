"""Whether a scenario was what it says: every packet that was captured at one end, or not, accounted for.

Packets are read by tshark and known by the digest that the middlebox writes, so that nothing of the code under test has
a part in it.
"""

from __future__ import annotations

import struct
import subprocess
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

from tests.lab.middlebox import digest
from tests.lab.network import CLIENT_ADDRESSES

CARRIED_AWAY: Final = frozenset({"dropped", "lost", "limited"})
_PCAP_HEADER: Final = 24
_ETHERNET: Final = 14
_SHORTEST: Final = 20
_NEIGHBOURS: Final = "ff02:"
"""Multicast on the cable: nothing that a router carries."""
_FLIGHT_NS: Final = 3_000_000_000
"""What was sent so shortly before the middlebox ended need not have arrived."""
_MOST_PROBLEMS: Final = 5

Key = tuple[str, str, int, str, int]
"""proto, client, client port, server, server port."""


class Frame(NamedTuple):
    """One packet of a capture."""

    number: int
    time_ns: int
    from_client: bool
    digest: str
    """Empty for what does not travel."""
    key: Key | None
    """None without ports: ICMP."""
    stream: int


@dataclass(frozen=True)
class Capture:
    """What tshark sees in one capture."""

    frames: tuple[Frame, ...]

    def numbers(self) -> Mapping[str, list[int]]:
        """Frames by digest."""
        found: dict[str, list[int]] = defaultdict(list)
        for frame in self.frames:
            found[frame.digest].append(frame.number)
        return found

    def streams(self) -> Mapping[tuple[str, int], Key]:
        """Conversations by protocol and Wireshark's stream number."""
        return {(frame.key[0], frame.stream): frame.key for frame in self.frames if frame.key is not None}


def read(path: Path) -> Capture:
    """Read one end's capture, by tshark."""
    fields = (
        "frame.time_epoch", "ip.proto", "ipv6.nxt", "tcp.stream", "udp.stream", "ip.src", "ip.dst", "ipv6.src",
        "ipv6.dst", "tcp.srcport", "tcp.dstport", "udp.srcport", "udp.dstport",
    )  # fmt: skip
    words = [word for field in fields for word in ("-e", field)]
    told = _tshark(path, "-T", "fields", "-E", "occurrence=f", *words).decode().splitlines()
    packets = _records(_tshark(path, "-F", "nsecpcap", "-w", "-"))
    return Capture(
        tuple(
            _frame(number, line.split("\t"), packet)
            for number, (line, packet) in enumerate(zip(told, packets, strict=True), 1)
        )
    )


def _tshark(path: Path, *words: str) -> bytes:
    return subprocess.run(["tshark", "-n", "-r", str(path), *words], capture_output=True, check=True).stdout


def _records(pcap: bytes) -> list[bytes]:
    packets = []
    at = _PCAP_HEADER
    while at < len(pcap):
        length = struct.unpack_from("<I", pcap, at + 8)[0]
        packets.append(pcap[at + 16 : at + 16 + length])
        at += 16 + length
    return packets


def _frame(number: int, words: Sequence[str], packet: bytes) -> Frame:
    when, *number_of, tcp_stream, udp_stream = words[:5]
    addresses, ports = words[5:9], words[9:]
    source, target = addresses[0] or addresses[2], addresses[1] or addresses[3]
    from_client = source in CLIENT_ADDRESSES
    # not what ICMP quotes: tshark numbers that too
    proto = {"6": "tcp", "17": "udp"}.get(number_of[0] or number_of[1], "")
    ports = ports[:2] if proto == "tcp" else ports[2:]
    key: Key | None = None
    if proto and ports[0]:
        sport, dport = int(ports[0]), int(ports[1])
        key = (proto, source, sport, target, dport) if from_client else (proto, target, dport, source, sport)
    seconds, _, fraction = when.partition(".")
    time_ns = int(seconds) * 10**9 + int(fraction.ljust(9, "0")[:9])
    data = packet[_ETHERNET:]
    travels = len(data) >= _SHORTEST and not target.startswith(_NEIGHBOURS)
    known = digest(_whole(data)) if travels else ""
    return Frame(number, time_ns, from_client, known, key, int(tcp_stream or udp_stream or -1))


def _whole(data: bytes) -> bytes:
    """Without the padding of a short Ethernet frame."""
    length = 40 + int.from_bytes(data[4:6], "big") if data[0] >> 4 == 6 else int.from_bytes(data[2:4], "big")
    return data[:length]


def check(ends: Mapping[str, Capture], events: Iterable[Mapping[str, Any]], stopped_ns: int) -> list[str]:
    """What does not add up, in a few sentences; nothing when the truth file tells all that happened.

    For every packet: as often as it arrived at one end, it was sent at the other and neither dropped, lost nor limited,
    or was forged. ``stopped_ns``: when the middlebox ended.
    """
    told: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    last: dict[str, int] = {}
    for event in events:
        if event["client" if event["to"] == "client" else "server"].startswith(_NEIGHBOURS):
            continue
        what = "forged" if event["event"] == "forged" else "away"
        told[event["to"], what][event["packet"]] += 1
        last[event["packet"]] = event["time"]
    for frame in (frame for capture in ends.values() for frame in capture.frames):
        last[frame.digest] = max(last.get(frame.digest, 0), frame.time_ns)
    late = {packet for packet, time_ns in last.items() if time_ns > stopped_ns - _FLIGHT_NS}
    problems: list[str] = []
    for to, origin in (("server", "client"), ("client", "server")):
        sent, arrived = (_counted(ends[end], to_server=to == "server") for end in (origin, to))
        problems += _one_way(ends, (origin, to), sent, arrived, told[to, "away"], told[to, "forged"], late)
    return problems[:_MOST_PROBLEMS]


def _counted(capture: Capture, *, to_server: bool) -> Counter[str]:
    return Counter(
        frame.digest for frame in capture.frames if frame.from_client is to_server and frame.digest
    )


def _one_way(  # noqa: PLR0913 - the two sides of one account
    ends: Mapping[str, Capture], way: tuple[str, str], sent: Counter[str], arrived: Counter[str],
    away: Counter[str], forged: Counter[str], late: set[str],
) -> Iterator[str]:  # fmt: skip
    origin, to = way
    for packet in sorted(sent.keys() | arrived.keys() | forged.keys() | away.keys()):
        should = sent[packet] - away[packet] + forged[packet]
        if away[packet] > sent[packet]:
            yield f"a packet to the {to} was dropped that the {origin} never sent"
        elif arrived[packet] > should:
            yield _sentence(ends[to], packet, f"arrived at the {to} and was neither sent nor forged")
        elif arrived[packet] < should and packet not in late:
            if sent[packet]:
                yield _sentence(ends[origin], packet, f"never arrived at the {to}, and nobody dropped it")
            else:
                yield f"a forged packet never arrived at the {to}"


def _sentence(capture: Capture, packet: str, what: str) -> str:
    numbers = capture.numbers()[packet]
    return f"frame {numbers[0]} {what}" if numbers else f"a packet {what}"
