"""Input that means harm, and conversations with an unusual beginning."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from pcaps.generate import tls
from pcaps.generate.dns import Query, lookup
from pcaps.generate.formats import reset_story
from pcaps.generate.resets import MEDIA, RULE, forged_reset, reset_then_server_hello
from pcaps.generate.tcp import CLIENT, SERVER, Tcp, visit
from pcaps.generate.world import TCP, UDP, Packet, Raw, World

if TYPE_CHECKING:
    from collections.abc import Callable

ETHERNET, IPV4 = 14, 20
NAMES = (
    b"\x1b[31mred\x1b[0m.example.com\nF1 nothing to see",
    b"<script>alert(1)</script>.example.com",
    b"=cmd|' /C calc'!A0.example.com",
    b"../../etc/passwd",
    b"[bold]rich[/bold].example.com\x00\xff\xfe",
)


def sni_escapes(w: World) -> None:
    """Server names that attack whoever prints them."""
    w.story(
        """Server names that hold terminal escapes, a newline, markup, a spreadsheet formula, a path and
        bytes that are no UTF-8. The first is reset like sni-reset-late-server-hello, so its name gets
        into a finding.""",
    )
    server = w.host("203.0.113.66")
    for number, name in enumerate(NAMES):
        flow = Tcp(w, server)
        start = flow.open(0.5 + number) + 0.001
        data = tls.client_hello(w.rng, name)
        hello = flow.send(CLIENT, start, data, ack=bool(number))
        if number == 0:
            reset = forged_reset(flow, start + 0.3 * flow.rtt, ttl=120, ipid=7, df=False)
            genuine = flow.send(SERVER, start + flow.rtt, tls.server_flight(w.rng, 1200), ack=False)
            frames = {"client_hello": hello, "reset": [reset], "after_reset": genuine[:1]}
            w.finding(RULE, "sni-reset", "likely", [flow], frames)
        else:
            flow.server_hello(start + flow.rtt + 0.002)
            flow.close(flow.transfer(start + flow.rtt + 0.006, 300, 2000))
        row = {"frame": hello[-1], "flow": flow, "hex": name.hex()}
        w.expect.notes.setdefault("hostile_sni", []).append(row)


def dns_loop(w: World) -> None:
    """A name that points at itself."""
    w.story(
        """Responses whose compression pointers point at themselves, at each other and past the end; a
        clean look-up around them.""",
    )
    lookup(w, 0.0, "www.debian.org", ["130.89.148.77"])
    answers = (
        b"\xc0\x2c\x00\x01\x00\x01\x00\x00\x01\x2c\x00\x04\x01\x02\x03\x04",  # points at itself
        b"\xc0\x2e\xc0\x2c\x00\x01\x00\x01\x00\x00\x01\x2c\x00\x04\x01\x02\x03\x04",  # two in a circle
        b"\xc3\xff\x00\x01\x00\x01\x00\x00\x01\x2c\x00\x04\x01\x02\x03\x04",  # past the end
    )
    name = "loop.hypatia-books.net"
    question = b"".join(bytes((len(part),)) + part.encode() for part in name.split(".")) + b"\0" + b"\0\1\0\1"
    for number, answer in enumerate(answers):
        when = 1.0 + number
        query = Query(w, when, name)
        head = struct.pack("!HHHHHH", query.txid, 0x8180, 1, 1, 0, 0)
        at = len(head) + len(question)
        moved = answer.replace(b"\xc0\x2c", struct.pack("!H", 0xC000 | at)).replace(
            b"\xc0\x2e", struct.pack("!H", 0xC000 | (at + 2))
        )
        layer = UDP(sport=53, dport=query.port) / Raw(head + question + moved)
        query.responses.append(w.add(Packet(when + 0.03, w.resolver, w.client, query, layer)))
    lookup(w, 5.0, "www.python.org", ["151.101.0.223"])
    w.expect.notes["malformed"] = True


def lengths(w: World) -> None:
    """Lengths that lie."""
    w.story(
        """The story of sni-reset-late-server-hello, followed by packets whose IP, TCP and UDP lengths lie:
        too long, too short, zero, a header longer than the packet, and a bare Ethernet header.""",
    )
    reset_story(w, "157.240.22.60", "")
    w.story(
        """The story of sni-reset-late-server-hello, followed by packets whose IP, TCP and UDP lengths lie:
        too long, too short, zero, a header longer than the packet, and a bare Ethernet header.""",
    )
    evil = w.host("203.0.113.13")

    def put(offset: int, value: bytes) -> Callable[[bytes], bytes]:
        return lambda data: data[:offset] + value + data[offset + len(value) :]

    tcp_lies: tuple[Callable[[bytes], bytes], ...] = (
        put(ETHERNET + 2, b"\xff\xff"),  # total length beyond the packet
        put(ETHERNET + 2, b"\x00\x0a"),  # total length below the header
        put(ETHERNET, b"\x4f"),  # header of 60 bytes
        put(ETHERNET, b"\x41"),  # header of 4 bytes
        put(ETHERNET + IPV4 + 12, b"\xf0"),  # data offset of 60 bytes
        put(ETHERNET + IPV4 + 12, b"\x10"),  # data offset of 4 bytes
        lambda data: data[: ETHERNET + IPV4 + 7],
        lambda data: data[: ETHERNET + 9],
        lambda data: data[:ETHERNET],
        lambda data: data[:5],
    )
    udp_lies: tuple[Callable[[bytes], bytes], ...] = (
        put(ETHERNET + IPV4 + 4, b"\x00\x03"),
        put(ETHERNET + IPV4 + 4, b"\xff\xff"),
        put(ETHERNET + IPV4 + 4, b"\x00\x00"),
        lambda data: data[: ETHERNET + IPV4 + 5],
    )
    for number, lie in enumerate(tcp_lies):
        layer = TCP(sport=443, dport=50000 + number, seq=1000, ack=1, flags="PA", window=500) / Raw(
            b"\x16\x03\x01\x02\x00"
        )
        w.add(Packet(5.0 + number / 10, evil, w.client, None, layer, mangle=lie))
    for number, lie in enumerate(udp_lies):
        datagram = UDP(sport=53, dport=30000 + number) / Raw(bytes(range(12)))
        w.add(Packet(7.0 + number / 10, evil, w.client, None, datagram, mangle=lie))
    w.expect.notes["malformed"] = True


def mid_flow(w: World) -> None:
    """The capture starts in the middle of a connection that ends with a reset."""
    w.story(
        """The capture starts in the middle of a connection, which the server resets later with its own
        TTL, and holds the middle of a handshake: a hello whose SYN is not there. Nothing can be said.""",
    )
    server = w.host("157.240.22.60")
    flow = Tcp(w, server)
    for end in flow.ends.values():
        end.next = (end.isn + 90000) & 0xFFFFFFFF
    flow.ends[CLIENT].got, flow.ends[SERVER].got = flow.ends[SERVER].next, flow.ends[CLIENT].next
    for number in range(6):
        flow.send(CLIENT, 0.1 + number, tls.data(w.rng, 200))
        flow.send(SERVER, 0.2 + number, tls.data(w.rng, 900))
    forged_reset(flow, 7.0)
    late = Tcp(w, server)
    late.open(-1.0)
    w.packets = [packet for packet in w.packets if packet.time >= 0]
    late.hello(0.05, "static.whatsapp.net")
    late.server_hello(0.115)
    late.close(late.transfer(0.12, 300, 3000))


def port_reuse(w: World) -> None:
    """One pair of ports, two connections."""
    w.story(
        """A healthy connection closes; 20 s later the client uses the same port again with a new initial
        sequence number, and this second connection is reset like sni-reset-late-server-hello. They are
        two streams.""",
        "sni-reset-late-server-hello",
    )
    server = w.host("157.240.22.60")
    lookup(w, 0.0, MEDIA, ["157.240.22.60"])
    port = w.port()
    old = Tcp(w, server, client_port=port)
    old.browse(0.2, "static.whatsapp.net")
    new = Tcp(w, server, client_port=port)
    hello, resets, genuine = reset_then_server_hello(
        new, new.open(20.0) + 0.001, MEDIA, ttl=120, ipid=7, df=False
    )
    visit(w, 23.0, "static.whatsapp.net", server)
    frames = {"client_hello": hello, "reset": resets, "after_reset": genuine[:1], "control": [old.answer]}
    w.finding(RULE, "sni-reset", "strong", [new], frames, app="whatsapp", feature="media", target=MEDIA)
    w.verdict("whatsapp", "media", "blocked")


CASES: dict[str, Callable[[World], None]] = {
    "hostile-sni-escapes": sni_escapes,
    "hostile-dns-loop": dns_loop,
    "hostile-lengths": lengths,
    "midflow-start": mid_flow,
    "port-reuse-new-stream": port_reuse,
}
