"""Look-ups that are more than a query and an answer over UDP: truncated and asked again over TCP, or of neighbours."""

from __future__ import annotations

import ipaddress
import struct
from typing import TYPE_CHECKING

from pcaps.generate.names import RACE, baseline
from pcaps.generate.tcp import CLIENT, SERVER, Tcp
from pcaps.generate.world import UDP, Flow, Host, Packet, Raw, World

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

A, TXT, OPT, HTTPS = 1, 16, 41, 65
NAMES = {A: "A", TXT: "TXT", HTTPS: "HTTPS"}
ASK, TELL, CUT = 0x0100, 0x8180, 0x8380
EDNS = b"\0" + struct.pack("!HHIH", OPT, 1232, 0, 0)
ASK_MDNS, ASK_LLMNR = ("224.0.0.251", 5353), ("224.0.0.252", 5355)


def record(kind: int, data: bytes, ttl: int = 300) -> bytes:
    """A record of the name asked for."""
    return b"\xc0\x0c" + struct.pack("!HHIH", kind, 1, ttl, len(data)) + data


def address(text: str, ttl: int = 300) -> bytes:
    """An A record of the name asked for."""
    return record(A, ipaddress.ip_address(text).packed, ttl)


class LookUp:
    """One query with all its answers, whatever carries them."""

    def __init__(self, world: World, txid: int, qname: str, kind: int) -> None:
        self.txid, self.qname, self.kind = txid, qname, kind
        self.qtype = NAMES[kind]
        self.flow = Flow("udp")
        self.queries: list[Packet] = []
        self.responses: list[Packet] = []
        world.expect.dns.append({"query": self})

    @property
    def stream(self) -> int:
        """Number of the conversation."""
        return self.flow.stream

    def message(self, flags: int, answers: Sequence[bytes] = (), additional: Sequence[bytes] = ()) -> bytes:
        """A message about the name."""
        name = b"".join(bytes([len(label)]) + label.encode() for label in self.qname.split(".")) + b"\0"
        head = struct.pack("!6H", self.txid, flags, 1, len(answers), 0, len(additional))
        return head + name + struct.pack("!HH", self.kind, 1) + b"".join((*answers, *additional))

    def datagram(  # noqa: PLR0913 - one argument a property of what is staged
        self,
        w: World,
        time: float,
        ends: tuple[Host, Host],
        ports: tuple[int, int],
        data: bytes,
        flow: Flow | None = None,
    ) -> None:
        """A message over UDP."""
        layer = UDP(sport=ports[0], dport=ports[1]) / Raw(data)
        packet = Packet(time, *ends, flow or self.flow, layer)
        w.add(packet)
        (self.queries if ends[0] is w.client else self.responses).append(packet)


def framed(data: bytes) -> bytes:
    """A message as it stands in a TCP stream."""
    return struct.pack("!H", len(data)) + data


def truncated(w: World) -> None:
    """UDP is too small, TCP is not."""
    w.story(
        """The TXT records of www.example.net do not fit into UDP: the resolver answers with TC set, and the client
        asks again over TCP. In the same connection it asks for the HTTPS and the A records of www.debian.org before
        anything is answered; queries and answers are cut anywhere, and the last query is answered first. The client
        then goes to the address that the HTTPS record hints at."""
    )
    baseline(w)
    cut = LookUp(w, 0x5A01, "www.example.net", TXT)
    ports = 30411, 53
    cut.datagram(w, 3.0, (w.client, w.resolver), ports, cut.message(ASK, (), (EDNS,)))
    cut.datagram(w, 3.031, (w.resolver, w.client), ports[::-1], cut.message(CUT, (), (EDNS,)))
    flow = Tcp(w, w.resolver, port=53, rtt=0.03)
    start = flow.open(3.032)
    again = LookUp(w, 0x5A02, "www.example.net", TXT)
    https = LookUp(w, 0x5A03, "www.debian.org", HTTPS)
    plain = LookUp(w, 0x5A04, "www.debian.org", A)
    over_tcp = (again, https, plain)
    for one in over_tcp:
        one.flow = flow
    asked = [framed(one.message(ASK, (), (EDNS,))) for one in over_tcp]
    # the length alone, then the rest with the length of the next, and so on: one query is whole in each later segment
    flow.send(CLIENT, start, asked[0][:1])
    again.queries += flow.send(CLIENT, start + 0.001, asked[0][1:] + asked[1][:1])
    https.queries += flow.send(CLIENT, start + 0.002, asked[1][1:] + asked[2][:20])
    plain.queries += flow.send(CLIENT, start + 0.003, asked[2][20:])
    text = bytes([255]) + b"x" * 255
    hint = b"\0\1\0" + b"\0\1\0\6\2h3\2h2" + b"\0\4\0\4" + ipaddress.ip_address("151.101.194.132").packed
    told = (
        framed(plain.message(TELL, (address("130.89.148.77"), address("128.31.0.62")))),
        framed(again.message(TELL, [record(TXT, text * 4)] * 3, (EDNS,))),
        framed(https.message(TELL, (record(HTTPS, hint, 60),), (EDNS,))),
    )
    answered = start + flow.rtt + 0.004
    plain.responses += flow.send(SERVER, answered, told[0] + told[1][:2])
    long = told[1][2:] + told[2][:30]
    again.responses += flow.send(SERVER, answered + 0.002, long)[-1:]
    https.responses += flow.send(SERVER, answered + 0.005, told[2][30:])
    flow.close(answered + 1.0)
    server = w.host("151.101.194.132", 57)
    Tcp(w, server).browse(answered + 0.01, "www.debian.org")
    silent = Tcp(w, w.host("128.31.0.62", 49), port=873)  # a protocol that names no server
    silent.send(CLIENT, silent.open(answered + 0.2), b"@RSYNCD: 31.0\n")
    w.expect.notes["truncated"] = [{"query": cut, "retry": again}]
    w.expect.notes["named"] = [{"flow": silent, "name": plain.qname, "answer": plain}]
    w.never(RACE)


def neighbours(w: World) -> None:
    """Two hosts at home answer, each with its own address."""
    w.story(
        """As dns-race-df-differs, but it is the neighbours that are asked, by multicast DNS and by LLMNR: two of them
        answer to each query, with different addresses, TTLs and DF.""",
        "dns-race-df-differs",
    )
    baseline(w)
    hosts = Host("192.168.1.40", 255, "zero", df=True), Host("192.168.1.41", 64, "random", df=False)
    for number, (group, port) in enumerate((ASK_MDNS, ASK_LLMNR)):
        own = 40500 + number
        name = ("scanner.local", "scanner")[number]
        one = LookUp(w, 0x6B01 + number, name, A)
        when = 3.0 + number
        one.datagram(w, when, (w.client, Host(group, 255)), (own, port), one.message(0))
        for late, host in enumerate(hosts):
            # an answer comes from another address than that of the group: it is a conversation of its own
            reply = one.message(0x8000, (address(host.addr, 10),))
            ends, ports = (host, w.client), (port, own)
            one.datagram(w, when + 0.02 * (late + 1), ends, ports, reply, Flow("udp"))
    w.never(RACE)


CASES: dict[str, Callable[[World], None]] = {
    "dns-tcp-after-truncation": truncated,
    "dns-race-not-neighbours": neighbours,
}
