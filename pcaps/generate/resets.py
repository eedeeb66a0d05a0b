"""Resets after the TLS server name, forged and genuine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pcaps.generate import tls
from pcaps.generate.dns import lookup
from pcaps.generate.tcp import CLIENT, SERVER, Tcp, visit

if TYPE_CHECKING:
    from collections.abc import Callable

    from pcaps.generate.world import Packet, World

RULE = "tls.sni.reset"
MEDIA = "mmg.whatsapp.net"


def forged_reset(
    flow: Tcp, time: float, *, ttl: int | None = None, ipid: int | None = None, df: bool | None = None
) -> Packet:
    """A RST+ACK with the sequence numbers that the client expects, and a forger's IP header."""
    client = flow.ends[CLIENT]
    return flow.segment(
        SERVER,
        time,
        "RA",
        seq=client.got,
        ack=client.next,
        window=0,
        bare=True,
        ttl=ttl,
        ipid=ipid,
        df=df,
    )


def reset_then_server_hello(  # noqa: PLR0913 - one argument a property of what is staged
    flow: Tcp, time: float, sni: str, *, ttl: int, ipid: int, df: bool, copies: int = 1
) -> tuple[list[Packet], list[Packet], list[Packet]]:
    """Hello, RST+ACK at 0.3 RTT, and the genuine answer to the hello at 1 RTT; nobody ACKs it."""
    hello = flow.hello(time, sni, acked=False)
    first = hello[-1].time + 0.3 * flow.rtt
    resets = [
        forged_reset(flow, first + 0.00003 * number, ttl=ttl, ipid=ipid, df=df) for number in range(copies)
    ]
    when = hello[-1].time + flow.rtt
    ack = flow.segment(SERVER, when, "A")
    genuine = flow.send(SERVER, when + 0.002, tls.server_flight(flow.world.rng, 1200), ack=False)
    closed(flow, [ack, *genuine])
    return hello, resets, genuine


def closed(flow: Tcp, arriving: list[Packet]) -> None:
    """The client has no such socket any more: a bare RST for each arriving segment (RFC 9293 3.10.7)."""
    for packet in arriving:
        seq = int(packet.layer.ack)
        flow.segment(CLIENT, packet.time + 0.00003, "R", seq=seq, window=0, bare=True, ipid=0)


def sni_reset_late_server_hello(w: World) -> None:
    """RST+ACK with a foreign TTL, then the genuine answer."""
    w.story(
        """A RST+ACK with TTL 120 arrives 0.3 RTT after the ClientHello for mmg.whatsapp.net; the server's own
        ServerHello (TTL 52) still comes after it. Another name on the same address completes.""",
        "sni-reset-not-after-alert",
    )
    server = w.host("157.240.22.60")
    lookup(w, 0.0, MEDIA, ["157.240.22.60"])
    control = visit(w, 0.2, "static.whatsapp.net", server)
    flow = Tcp(w, server)
    start = flow.open(1.5) + 0.001
    hello, resets, genuine = reset_then_server_hello(flow, start, MEDIA, ttl=120, ipid=7, df=False)
    frames = {"client_hello": hello, "reset": resets, "after_reset": genuine[:1], "control": [control.answer]}
    w.finding(RULE, "sni-reset", "strong", [flow], frames, app="whatsapp", feature="media", target=MEDIA)
    w.verdict("whatsapp", "media", "blocked")


def sni_reset_triple(w: World) -> None:
    """Three identical RST+ACK with DF and an odd TTL."""
    w.story(
        """Three identical RST+ACK (DF set, TTL 183) arrive within 0.2 RTT of the ClientHello, on two
        attempts; nothing of the server follows. Another name on the same server address completes
        before and after.""",
        "benign-server-refuses",
    )
    server = w.host("151.101.1.84", 55, "zero", df=True)
    name = "www.pinterest.com"
    lookup(w, 0.0, name, ["151.101.1.84"])
    visit(w, 0.3, "assets.fastly-static.com", server, rtt=0.09)
    flows, hellos, all_resets = [], [], []
    for when in (2.0, 5.0):
        flow = Tcp(w, server, rtt=0.09)
        hello = flow.hello(flow.open(when) + 0.001, name, acked=False)
        resets = [
            forged_reset(
                flow, hello[-1].time + 0.016 + 0.00002 * i, ttl=183, ipid=0x5A31 + round(when), df=True
            )
            for i in range(3)
        ]
        flows.append(flow)
        hellos += hello
        all_resets += resets
    visit(w, 7.0, "assets.fastly-static.com", server, rtt=0.09)
    w.finding(RULE, "sni-reset", "likely", flows, {"client_hello": hellos, "reset": all_resets}, target=name)


def sni_reset_split_hello(w: World) -> None:
    """The hello spans two segments, out of order, one of them sent twice."""
    w.story(
        """A ClientHello with a post-quantum key share needs two segments; the second leaves first and the
        first is sent again 20 ms later. Then RST+ACK as in sni-reset-late-server-hello and the late
        genuine ServerHello.""",
        "sni-reset-not-client-abort",
    )
    server = w.host("157.240.22.35", 51)
    name = "www.facebook.com"
    control = visit(w, 0.0, "static.xx.fbcdn.net", server, rtt=0.1)
    flow = Tcp(w, server, rtt=0.1)
    at = flow.open(1.2) + 0.001
    data = tls.client_hello(w.rng, name.encode(), post_quantum=True)
    end = flow.ends[CLIENT]
    base = end.next
    second = flow.segment(CLIENT, at, "PA", data[flow.mss :], seq=base + flow.mss)
    first = flow.segment(CLIENT, at + 0.0004, "A", data[: flow.mss], seq=base)
    again = flow.segment(CLIENT, at + 0.0204, "A", data[: flow.mss], seq=base)
    w.expect.hellos.append((first, name))
    end.next = flow.ends[SERVER].got = base + len(data)
    reset = forged_reset(flow, again.time + 0.3 * flow.rtt, ttl=121, ipid=0x9920, df=False)
    genuine = flow.send(SERVER, again.time + flow.rtt, tls.server_flight(w.rng, 1200), ack=False)
    closed(flow, genuine)
    frames = {
        "client_hello": [second, first],
        "reset": [reset],
        "after_reset": genuine[:1],
        "control": [control.answer],
    }
    w.finding(RULE, "sni-reset", "strong", [flow], frames, app="facebook", target=name)
    w.verdict("facebook", "web", "blocked")


def sni_reset_same_ttl(w: World) -> None:
    """The forger copies the server's TTL."""
    w.story(
        """Three RSTs carry exactly the server's TTL, so TTL shows nothing; but the server's own data
        arrive after them.""",
        "sni-reset-not-after-fin",
    )
    server = w.host("208.80.154.224", 49, "zero")
    name = "zh.wikipedia.org"
    lookup(w, 0.0, name, ["208.80.154.224"])
    flow = Tcp(w, server, rtt=0.19)
    hello = flow.hello(flow.open(0.1) + 0.001, name, acked=False)
    when = hello[-1].time
    client = flow.ends[CLIENT]
    resets = [
        flow.segment(SERVER, when + 0.07 + 0.001 * i, "R", seq=client.got, window=0, bare=True, ipid=0)
        for i in range(3)
    ]
    ack = flow.segment(SERVER, when + flow.rtt, "A")
    genuine = flow.send(SERVER, when + flow.rtt + 0.003, tls.server_flight(w.rng, 1200), ack=False)
    closed(flow, [ack, *genuine])
    visit(w, 1.4, "commons.wikimedia.org", server, rtt=0.19)
    frames = {"client_hello": hello, "reset": resets, "after_reset": genuine[:1]}
    w.finding(RULE, "sni-reset", "likely", [flow], frames, target=name)


def not_after_alert(w: World) -> None:
    """The server refuses the name as TLS says it should."""
    w.story(
        """As sni-reset-late-server-hello, but the RST+ACK comes at 1.0 RTT with the server's TTL and IP-ID
        series, after a TLS alert (unrecognized_name), and nothing follows it: the server refuses.""",
        "sni-reset-late-server-hello",
    )
    server = w.host("157.240.22.60")
    lookup(w, 0.0, MEDIA, ["157.240.22.60"])
    visit(w, 0.2, "static.whatsapp.net", server)
    flow = Tcp(w, server)
    hello = flow.hello(flow.open(1.5) + 0.001, MEDIA, acked=False)
    when = hello[-1].time + flow.rtt
    flow.send(SERVER, when, tls.alert(112))
    forged_reset(flow, when + 0.0004)
    w.never(RULE, "suspected")


def not_client_abort(w: World) -> None:
    """The client itself resets."""
    w.story(
        """As sni-reset-split-hello, but it is the client that resets 0.3 RTT after its hello (a closed
        tab); the server's answer, already on its way, arrives afterwards.""",
        "sni-reset-split-hello",
    )
    server = w.host("157.240.22.35", 51)
    visit(w, 0.0, "static.xx.fbcdn.net", server, rtt=0.1)
    flow = Tcp(w, server, rtt=0.1)
    hello = flow.hello(flow.open(1.2) + 0.001, "www.facebook.com", post_quantum=True, acked=False)
    when = hello[-1].time
    flow.segment(CLIENT, when + 0.3 * flow.rtt, "RA", window=0)
    closed(flow, flow.send(SERVER, when + flow.rtt, tls.server_flight(w.rng, 1200), ack=False))
    w.never(RULE)


def server_refuses(w: World) -> None:
    """The server resets whatever name it is asked for."""
    w.story(
        """A server resets every name, one RTT after the hello, with its own TTL and the next IP-ID of its
        counter, and sends nothing afterwards. Other sites work. It is the server's own doing.""",
        "sni-reset-triple-rst-ack",
    )
    server = w.host("203.0.113.80", 55)
    for number, name in enumerate(("www.pinterest.com", "shop.hypatia-books.net", "mail.hypatia-books.net")):
        flow = Tcp(w, server, rtt=0.09)
        hello = flow.hello(flow.open(1.0 + 2 * number) + 0.001, name, acked=False)
        forged_reset(flow, hello[-1].time + flow.rtt)
    visit(w, 0.2, "www.python.org", w.host("151.101.0.223", 57), rtt=0.02)
    visit(w, 8.0, "www.python.org", w.host("151.101.0.223", 57), rtt=0.02)
    w.never(RULE, "suspected")


def not_after_fin(w: World) -> None:
    """A reset after the connection was closed."""
    w.story(
        """As sni-reset-same-ttl, but the server closed with FIN before its resets: it dropped the idle
        connection while the hello was on its way, and each RST answers the hello it no longer has a
        socket for.""",
        "sni-reset-same-ttl",
    )
    server = w.host("208.80.154.224", 49, "zero")
    name = "zh.wikipedia.org"
    lookup(w, 0.0, name, ["208.80.154.224"])
    flow = Tcp(w, server, rtt=0.19)
    at = flow.open(0.1) + 0.001
    end = flow.ends[SERVER]
    hello = flow.hello(at, name, acked=False)
    end.got = flow.ends[CLIENT].isn + 1
    flow.segment(SERVER, at + 0.05, "FA")
    end.next = flow.ends[CLIENT].got = end.next + 1
    last = flow.segment(CLIENT, at + 0.05004, "A")
    # RFC 9293 3.10.7: the SEQ of each is the ACK of the segment that it answers
    for answered in (*hello, last):
        seq = int(answered.layer.ack)
        flow.segment(SERVER, answered.time + flow.rtt, "R", seq=seq, window=0, bare=True, ipid=0)
    visit(w, 1.4, "commons.wikimedia.org", server, rtt=0.19)
    w.never(RULE, "suspected")


CASES: dict[str, Callable[[World], None]] = {
    "sni-reset-late-server-hello": sni_reset_late_server_hello,
    "sni-reset-triple-rst-ack": sni_reset_triple,
    "sni-reset-split-hello": sni_reset_split_hello,
    "sni-reset-same-ttl": sni_reset_same_ttl,
    "sni-reset-not-after-alert": not_after_alert,
    "sni-reset-not-client-abort": not_client_abort,
    "benign-server-refuses": server_refuses,
    "sni-reset-not-after-fin": not_after_fin,
}
