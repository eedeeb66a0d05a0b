"""Voice calls through a relay: one that goes well, and one whose media stops one way."""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING, Any

from pcaps.generate.dns import lookup
from pcaps.generate.world import UDP, Flow, Host, Packet, Raw

if TYPE_CHECKING:
    from collections.abc import Callable

    from pcaps.generate.world import World

COOKIE = 0x2112A442
NAME, ADDRESS = "turn.voice.example", "198.51.100.40"
PEER = "203.0.113.77"
STEP = 0.02
"""One packet every 20 ms, 960 ticks of a clock of 48 kHz: Opus (RFC 7587)."""


def xored(address: str, port: int) -> bytes:
    """An XOR-…-ADDRESS of IPv4, RFC 8489 section 14.2."""
    packed = int.from_bytes(bytes(map(int, address.split("."))), "big")
    return struct.pack("!BBHI", 0, 1, port ^ (COOKIE >> 16), packed ^ COOKIE)


def stun(kind: int, transaction: bytes, *attributes: tuple[int, bytes]) -> bytes:
    """A message with its FINGERPRINT, RFC 8489 section 5."""
    body = b"".join(
        struct.pack("!HH", number, len(value)) + value + bytes(-len(value) % 4)
        for number, value in attributes
    )
    head = struct.pack("!HHI", kind, len(body) + 8, COOKIE) + transaction + body
    return head + struct.pack("!HHI", 0x8028, 4, zlib.crc32(head) ^ 0x5354554E)


class Call(Flow):
    """The client and a relay; times are those at the client."""

    def __init__(self, world: World, relay: Host, rtt: float = 0.05) -> None:
        super().__init__("udp")
        self.world, self.relay, self.rtt = world, relay, rtt
        self.port = world.port()
        self.asked: list[Packet] = []
        self.answered: list[Packet] = []
        self.media: dict[str, list[Packet]] = {"to_server": [], "to_client": []}

    def send(self, time: float, data: bytes, *, back: bool = False) -> Packet:
        """One datagram."""
        client, relay = self.world.client, self.relay
        src, dst = (relay, client) if back else (client, relay)
        ports = (3478, self.port) if back else (self.port, 3478)
        layer = UDP(sport=ports[0], dport=ports[1]) / Raw(data)
        return self.world.add(Packet(time, src, dst, self, layer))

    def ask(self, time: float, kind: int, *attributes: tuple[int, bytes], answer: tuple[int, bytes]) -> float:
        """A request, and its success response with one attribute; gives the time of the response."""
        transaction = self.world.rng.randbytes(12)
        self.asked.append(self.send(time, stun(kind, transaction, *attributes)))
        self.answered.append(self.send(time + self.rtt, stun(kind | 0x0100, transaction, answer), back=True))
        return time + self.rtt

    def set_up(self, time: float) -> float:
        """Allocate, permission and channel; gives when the last is there."""
        peer = (0x0012, xored(PEER, 50000))
        time = self.ask(time, 0x0003, (0x0019, b"\x11\0\0\0"), answer=(0x0016, xored(ADDRESS, 49160)))
        time = self.ask(time + 0.01, 0x0008, peer, answer=(0x8022, b"relay"))
        return self.ask(time + 0.01, 0x0009, (0x000C, b"\x40\0\0\0"), peer, answer=(0x8022, b"relay"))

    def talk(self, begin: float, end: float, *, back: bool = False) -> None:
        """SRTP of one side in the channel, 20 ms apart, with the jitter of a good line."""
        rng = self.world.rng
        ssrc, first, clock = rng.getrandbits(32), rng.getrandbits(16), rng.getrandbits(32)
        for number in range(round((end - begin) / STEP)):
            header = struct.pack(
                "!BBHII", 0x80, 111, (first + number) & 0xFFFF, (clock + 960 * number) & 0xFFFFFFFF, ssrc
            )
            data = header + rng.randbytes(60 + rng.randrange(40))
            late = rng.randrange(4000) / 1e6 if back else 0
            packet = self.send(begin + number * STEP + late, channel(data), back=back)
            self.media["to_client" if back else "to_server"].append(packet)

    def told(self) -> dict[str, Any]:
        """What the call table must say, once frames have numbers."""
        out: dict[str, Any] = {"asked": [one.frame for one in self.asked]}
        out["answered"] = [one.frame for one in self.answered]
        for way, packets in self.media.items():
            frames = sorted(one.frame for one in packets)
            out[way] = {"packets": len(frames), "first": frames[0], "last": frames[-1]}
        return out

    def expect(self, ended: str) -> None:
        """The call table must have this row."""
        row = {"flow": self, "ended": ended, "relayed_address": f"{ADDRESS}:49160"}
        self.world.expect.notes.setdefault("calls", []).append(row)


def channel(data: bytes) -> bytes:
    """ChannelData, RFC 8656 section 12.4."""
    return struct.pack("!HH", 0x4000, len(data)) + data


def placed(w: World) -> tuple[Call, float]:
    """A call that is set up, and when its media begins."""
    lookup(w, 0.0, NAME, [ADDRESS])
    call = Call(w, w.host(ADDRESS, 49))
    return call, call.set_up(0.1) + 0.05


def healthy(w: World) -> None:
    """Both are heard to the end."""
    w.story(
        """A voice call through a TURN relay: Allocate, CreatePermission and ChannelBind are answered, then both sides
        send 50 packets a second for 12 s, to the end of the capture.""",
        "call-one-way-stops",
    )
    call, begin = placed(w)
    call.talk(begin, begin + 12)
    call.talk(begin + 0.03, begin + 12, back=True)
    call.ask(begin + 10, 0x0004, (0x000D, struct.pack("!I", 600)), answer=(0x000D, struct.pack("!I", 600)))
    call.expect("still-running-at-end")


def one_way(w: World) -> None:
    """The other side is not heard any more."""
    w.story(
        """The same call, but after 4 s nothing of the other side's voice arrives, while the client goes on for 8 s
        and its Refresh is still answered by the relay.""",
        "call-healthy",
    )
    call, begin = placed(w)
    call.talk(begin, begin + 12)
    call.talk(begin + 0.03, begin + 4, back=True)
    call.ask(begin + 10, 0x0004, (0x000D, struct.pack("!I", 600)), answer=(0x000D, struct.pack("!I", 600)))
    call.expect("one-way-stopped")


CASES: dict[str, Callable[[World], None]] = {"call-healthy": healthy, "call-one-way-stops": one_way}
