"""QUIC: the sample packets of RFC 9001 and RFC 9369, answered and not answered.

Their hello names example.com. What follows the Initials is encrypted with keys that nobody has: random bytes behind
true headers stand for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pcaps.generate.dns import lookup
from pcaps.generate.quic_samples import CLIENT_V1, CLIENT_V2, SCID, SERVER_V1, SERVER_V2
from pcaps.generate.tcp import visit
from pcaps.generate.world import UDP, Flow, Host, Packet, Raw, World

if TYPE_CHECKING:
    from collections.abc import Callable

NAME, ADDRESS = "example.com", "93.184.215.14"
PROBES = (0.0, 1.0, 3.0, 7.0, 15.0)
"""Seconds. A client that knows no round trip probes after 1 s, then after twice as long each time (RFC 9002 6.2)."""
_HANDSHAKE: dict[int, int] = {1: 0xE0, 2: 0xF0}
_VERSION: dict[int, bytes] = {1: CLIENT_V1[1:5], 2: CLIENT_V2[1:5]}


class Quic(Flow):
    """A QUIC conversation of the client."""

    def __init__(self, world: World, server: Host, version: int) -> None:
        super().__init__("udp")
        self.world, self.server, self.version = world, server, version
        self.port = world.port()
        self.initials: list[Packet] = []
        self.replies: list[Packet] = []
        row = {"flow": self, "version": str(version), "sni": NAME}
        world.expect.notes.setdefault("quic", []).append(row)

    def send(self, time: float, data: bytes) -> Packet:
        """A datagram of the client."""
        layer = UDP(sport=self.port, dport=443) / Raw(data)
        return self.world.add(Packet(time, self.world.client, self.server, self, layer))

    def reply(self, time: float, data: bytes) -> Packet:
        """A datagram of the server."""
        layer = UDP(sport=443, dport=self.port) / Raw(data)
        self.replies.append(self.world.add(Packet(time, self.server, self.world.client, self, layer)))
        return self.replies[-1]

    def hello(self, time: float) -> Packet:
        """The client's Initial, again and again the same."""
        self.initials.append(self.send(time, CLIENT_V1 if self.version == 1 else CLIENT_V2))
        return self.initials[-1]

    def handshake(self, dcid: bytes, scid: bytes, size: int) -> bytes:
        """A Handshake packet that nobody can read."""
        head = bytes([_HANDSHAKE[self.version]]) + _VERSION[self.version]
        ids = bytes([len(dcid)]) + dcid + bytes([len(scid)]) + scid
        return head + ids + (0x4000 | size).to_bytes(2, "big") + self.world.rng.randbytes(size)

    def short(self, dcid: bytes, size: int) -> bytes:
        """A packet with a short header."""
        return b"\x41" + dcid + self.world.rng.randbytes(size)

    def talk(self, time: float, rtt: float = 0.06) -> None:
        """Everything works: a handshake in one round trip, then data both ways."""
        self.hello(time)
        initial = SERVER_V1 if self.version == 1 else SERVER_V2
        self.reply(time + rtt, initial + self.handshake(b"", SCID, 900))
        self.reply(time + rtt + 0.001, self.handshake(b"", SCID, 1100))
        self.send(time + rtt + 0.003, self.handshake(SCID, b"", 60) + self.short(SCID, 90))
        for turn in range(8):
            self.reply(time + 2 * rtt + 0.004 + turn / 1000, self.short(b"", 1150))
        self.send(time + 2 * rtt + 0.02, self.short(SCID, 30))


def _server(w: World) -> Host:
    lookup(w, 0.0, NAME, [ADDRESS])
    return w.host(ADDRESS)


def silent(w: World) -> None:
    """Five Initials, and nothing comes back."""
    w.story(
        """The client's QUIC Initial (version 1, example.com) is sent five times within 15 seconds, and not one
        datagram comes back. TLS over TCP to the same server works, before and after."""
    )
    server = _server(w)
    visit(w, 0.1, NAME, server)
    flow = Quic(w, server, 1)
    for after in PROBES:
        flow.hello(2.0 + after)
    visit(w, 20.0, NAME, server)


def answered(w: World) -> None:
    """The first Initial is answered."""
    w.story(
        """As quic-silent-initial, but the server answers the first Initial, and data goes both ways.""",
        "quic-silent-initial",
    )
    server = _server(w)
    visit(w, 0.1, NAME, server)
    Quic(w, server, 1).talk(2.0)
    visit(w, 20.0, NAME, server)


def answered_in_version_2(w: World) -> None:
    """The other version."""
    w.story(
        """As quic-answered-initial, in QUIC version 2: other salt, other labels, other numbers of packet types.""",
        "quic-answered-initial",
    )
    server = _server(w)
    visit(w, 0.1, NAME, server)
    Quic(w, server, 2).talk(2.0)
    visit(w, 20.0, NAME, server)


CASES: dict[str, Callable[[World], None]] = {
    "quic-silent-initial": silent,
    "quic-answered-initial": answered,
    "quic-answered-version-2": answered_in_version_2,
}
