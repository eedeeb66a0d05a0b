"""Scripted TCP as a Linux client and ordinary servers speak it, seen at the client."""

from __future__ import annotations

from dataclasses import dataclass

from pcaps.generate import tls
from pcaps.generate.world import TCP, Flow, Host, Packet, Raw, World

CLIENT, SERVER = "client", "server"
STACK_DELAY = 0.00004
"""Seconds between a packet's arrival and the client's own answer to it."""


@dataclass(eq=False)
class End:
    """One side of a connection."""

    host: Host
    port: int
    isn: int
    next: int
    """Next sequence number to send."""
    clock: int
    """Base of its timestamp option."""
    got: int = 0
    """Next byte expected from the other side."""
    recent: int = 0
    """Timestamp last received."""
    window: int = 502


class Tcp(Flow):
    """One connection. Times are those of the capture point, which is the client."""

    def __init__(  # noqa: PLR0913 - one argument a property of what is staged
        self,
        world: World,
        server: Host,
        *,
        port: int = 443,
        client_port: int | None = None,
        rtt: float = 0.06,
        options: bool = True,
        mss: int = 1460,
    ) -> None:
        super().__init__("tcp")
        rng = world.rng
        self.world, self.rtt, self.options = world, rtt, options
        self.mss = mss - 12 if options else mss
        self.announced_mss = mss
        isns = rng.getrandbits(32), rng.getrandbits(32)
        self.ends = {
            CLIENT: End(world.client, client_port or world.port(), isns[0], isns[0], rng.getrandbits(30)),
            SERVER: End(server, port, isns[1], isns[1], rng.getrandbits(30), window=501),
        }

    def segment(  # noqa: PLR0913 - one argument a property of what is staged
        self,
        side: str,
        time: float,
        flags: str,
        payload: bytes = b"",
        *,
        seq: int | None = None,
        ack: int | None = None,
        window: int | None = None,
        ttl: int | None = None,
        ipid: int | None = None,
        df: bool | None = None,
        caplen: int | None = None,
        bare: bool = False,
        sack: tuple[int, ...] = (),
    ) -> Packet:
        """Put one segment on the tape; the state of the connection stays as it is."""
        me, peer = self.ends[side], self.ends[SERVER if side == CLIENT else CLIENT]
        sent = time if side == CLIENT else time - self.rtt / 2
        stamp = (me.clock + round(sent * 1000)) & 0xFFFFFFFF
        opts: list[tuple[str, object]] = []
        if "S" in flags:
            opts = [("MSS", self.announced_mss), ("SAckOK", b"")]
            opts += [("Timestamp", (stamp, me.recent))] if self.options else [("NOP", None), ("NOP", None)]
            opts += [("NOP", None), ("WScale", 7)]
        elif self.options and not bare:
            opts = [("NOP", None), ("NOP", None), ("Timestamp", (stamp, me.recent))]
            if sack:
                opts += [("NOP", None), ("NOP", None), ("SAck", sack)]
        if not bare and "R" not in flags:
            peer.recent = stamp
        layer = TCP(
            sport=me.port,
            dport=peer.port,
            seq=(me.next if seq is None else seq) & 0xFFFFFFFF,
            ack=((me.got if ack is None else ack) & 0xFFFFFFFF) if "A" in flags else 0,
            flags=flags,
            window=(64240 if "S" in flags else me.window) if window is None else window,
            options=opts,
        )
        if payload:
            layer = layer / Raw(payload)
        packet = Packet(time, me.host, peer.host, self, layer, ttl, ipid, df, caplen)
        return self.world.add(packet)

    def syn(self, time: float) -> Packet:
        """The client's SYN (or its retransmission)."""
        end = self.ends[CLIENT]
        end.next = (end.isn + 1) & 0xFFFFFFFF
        packet = self.segment(CLIENT, time, "S", seq=end.isn)
        self.first = getattr(self, "first", packet)
        return packet

    def accept(self, time: float) -> float:
        """SYN/ACK at ``time`` and the client's ACK; returns the time of that ACK."""
        client, server = self.ends[CLIENT], self.ends[SERVER]
        server.got, server.next = client.next, (server.isn + 1) & 0xFFFFFFFF
        self.syn_ack = self.segment(SERVER, time, "SA", seq=server.isn, window=65160)
        client.got = server.next
        self.segment(CLIENT, time + STACK_DELAY, "A")
        return time + STACK_DELAY

    def open(self, time: float) -> float:
        """The whole handshake; returns its end."""
        self.syn(time)
        return self.accept(time + self.rtt)

    def send(  # noqa: PLR0913 - one argument a property of what is staged
        self,
        side: str,
        time: float,
        data: bytes,
        *,
        gap: float = 0.00015,
        lost: bool = False,
        ack: bool = True,
    ) -> list[Packet]:
        """Cut data into segments, send them; unless lost, they arrive and (by ``ack``) are acknowledged."""
        me, peer = self.ends[side], self.ends[SERVER if side == CLIENT else CLIENT]
        out = []
        pieces = [data[at : at + self.mss] for at in range(0, len(data), self.mss)]
        for index, piece in enumerate(pieces):
            last = index == len(pieces) - 1
            when = time + index * gap
            out.append(self.segment(side, when, "PA" if last else "A", piece))
            me.next = (me.next + len(piece)) & 0xFFFFFFFF
            if lost:
                continue
            peer.got = me.next
            if ack and side == SERVER and (last or index % 2):
                self.segment(CLIENT, when + STACK_DELAY, "A")
        if ack and not lost and side == CLIENT:
            self.segment(SERVER, time + (len(pieces) - 1) * gap + self.rtt, "A")
        return out

    def hello(  # noqa: PLR0913 - one argument a property of what is staged
        self,
        time: float,
        sni: str,
        *,
        post_quantum: bool = False,
        acked: bool = True,
        lost: bool = False,
        raw: bytes | None = None,
    ) -> list[Packet]:
        """Send a ClientHello and note its name for the truth."""
        data = tls.client_hello(self.world.rng, raw or sni.encode(), post_quantum=post_quantum)
        packets = self.send(CLIENT, time, data, lost=lost, ack=acked)
        self.world.expect.hellos.append((packets[-1], sni))
        return packets

    def server_hello(self, time: float, size: int = 2800) -> Packet:
        """The server's first flight, acknowledged; returns its first packet."""
        return self.send(SERVER, time, tls.server_flight(self.world.rng, size))[0]

    def transfer(self, time: float, up: int, down: int) -> float:
        """Client's Finished and request, then the response in windows of ten segments; returns the end."""
        rng = self.world.rng
        self.send(CLIENT, time, tls.client_finished(rng) + tls.data(rng, up))
        body = tls.data(rng, down)
        when = time + self.rtt + 0.008
        for at in range(0, len(body), 10 * self.mss):
            self.send(SERVER, when, body[at : at + 10 * self.mss])
            when += self.rtt
        return when

    def close(self, time: float) -> float:
        """An ordinary close by the client."""
        client, server = self.ends[CLIENT], self.ends[SERVER]
        self.segment(CLIENT, time, "FA")
        client.next = server.got = (client.next + 1) & 0xFFFFFFFF
        self.segment(SERVER, time + self.rtt, "FA")
        server.next = client.got = (server.next + 1) & 0xFFFFFFFF
        self.segment(CLIENT, time + self.rtt + STACK_DELAY, "A")
        return time + self.rtt + STACK_DELAY

    def browse(
        self, time: float, sni: str, *, up: int = 600, down: int = 8000, post_quantum: bool = False
    ) -> float:
        """A whole healthy TLS visit; returns its end. ``answer`` is the ServerHello for use as a control."""
        start = self.open(time) + 0.001
        self.opening = self.hello(start, sni, post_quantum=post_quantum)
        self.answer = self.server_hello(start + self.rtt + 0.002)
        done = self.transfer(start + self.rtt + 0.006, up, down)
        return self.close(done + 0.02)


def visit(world: World, time: float, sni: str, server: Host, *, rtt: float = 0.06, down: int = 8000) -> Tcp:  # noqa: PLR0913 - one argument a property of what is staged
    """A healthy visit to a server: the control in most cases."""
    flow = Tcp(world, server, rtt=rtt)
    flow.browse(time, sni, down=down)
    return flow
