"""Silence after the TLS server name, staged and innocent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pcaps.generate.dns import lookup
from pcaps.generate.tcp import CLIENT, SERVER, Tcp, visit

if TYPE_CHECKING:
    from collections.abc import Callable

    from pcaps.generate.world import Packet, World

RULE = "tls.sni.drop"
NAME = "www.bbc.com"
ADDRESS = "151.101.0.81"
OTHER = "www.fastly-status.com"
BACKOFF = (0.3, 0.9, 2.1, 4.5, 9.3, 18.9)
"""Linux doubles its retransmission timer: intervals 0.3, 0.6, 1.2, 2.4, 4.8, 9.6 s."""


def hello_into_silence(
    flow: Tcp, time: float, sni: str, *, post_quantum: bool = False
) -> tuple[list[Packet], list[Packet]]:
    """A hello that nobody acknowledges, and the retransmissions of its first segment."""
    hello = flow.hello(time, sni, post_quantum=post_quantum, lost=True)
    payload = bytes(hello[0].layer.payload)
    again = [flow.segment(CLIENT, time + after, "PA", payload, seq=hello[0].seq) for after in BACKOFF]
    return hello, again


def controls(w: World, times: tuple[float, ...]) -> list[Tcp]:
    """Another name on the same address completes, and so does another site."""
    server = w.host(ADDRESS, 54)
    lookup(w, 0.0, NAME, [ADDRESS])
    out = [visit(w, time, OTHER, server, rtt=0.1) for time in times]
    visit(w, times[0] + 3, "www.debian.org", w.host("130.89.148.77", 47), rtt=0.05)
    return out


def hello_unacked(w: World) -> None:
    """The hello never arrives."""
    w.story(
        """The ClientHello for www.bbc.com is retransmitted at 0.3, 0.9, 2.1, 4.5, 9.3 and 18.9 s and never
        acknowledged; the server's address answers another name before and meanwhile.""",
        "sni-drop-not-capture-end",
    )
    others = controls(w, (0.2, 8.0, 25.0))
    flow = Tcp(w, w.host(ADDRESS, 54), rtt=0.1)
    hello, again = hello_into_silence(flow, flow.open(1.5) + 0.001, NAME)
    frames = {"client_hello": hello, "retransmission": again, "control": [others[0].answer]}
    w.finding(RULE, "sni-drop", "likely", [flow], frames, target=NAME)


def hello_cut_off(w: World) -> None:
    """The full-size first segment arrives, the short rest never does."""
    w.story(
        """The 1,800-byte ClientHello for www.bbc.com goes out in two segments; the full-size first one is acknowledged,
        the short second one is sent again at 0.3 to 18.9 s and never is. A path too narrow for full-size segments
        would lose the other one. The server's address answers another name before and meanwhile.""",
        "sni-drop-not-pmtu",
    )
    others = controls(w, (0.2, 8.0, 25.0))
    flow = Tcp(w, w.host(ADDRESS, 54), rtt=0.1)
    hello = flow.hello(flow.open(1.5) + 0.001, NAME, post_quantum=True, lost=True)
    rest = hello[-1]
    flow.segment(SERVER, hello[0].time + flow.rtt, "A", ack=rest.seq)
    payload = bytes(rest.layer.payload)
    again = [flow.segment(CLIENT, rest.time + after, "PA", payload, seq=rest.seq) for after in BACKOFF]
    frames = {"client_hello": hello, "retransmission": again, "control": [others[0].answer]}
    w.finding(RULE, "sni-drop", "likely", [flow], frames, target=NAME)


def acked_muted(w: World) -> None:
    """The hello arrives; then the server is not heard any more."""
    w.story(
        """The ClientHello is acknowledged, then 30 s of silence in which the client's keep-alives go
        unanswered; another name on the same address completes before and meanwhile.""",
        "sni-drop-not-slow-server",
    )
    controls(w, (0.2, 8.0, 33.0))
    flow = Tcp(w, w.host(ADDRESS, 54), rtt=0.1)
    hello = flow.hello(flow.open(1.5) + 0.001, NAME)
    when = hello[-1].time
    for after in (10.0, 15.0, 20.0, 25.0, 30.0):
        flow.segment(CLIENT, when + after, "A", seq=flow.ends[CLIENT].next - 1)
    w.finding(RULE, "sni-drop", "likely", [flow], {"client_hello": hello}, target=NAME)


def not_pmtu(w: World) -> None:
    """Only full-size segments are lost."""
    w.story(
        """As sni-drop-hello-unacked, but the hello is 1,800 bytes long: its short last segment is
        acknowledged (by SACK), its full-size first one never is. Full-size segments do not fit the path
        (PMTU black hole); the other name completes because its hello is short.""",
        "sni-drop-hello-unacked",
    )
    controls(w, (0.2, 8.0, 25.0))
    flow = Tcp(w, w.host(ADDRESS, 54), rtt=0.1)
    hello, _ = hello_into_silence(flow, flow.open(1.5) + 0.001, NAME, post_quantum=True)
    block = (hello[-1].seq, flow.ends[CLIENT].next)
    flow.segment(SERVER, hello[-1].time + flow.rtt, "A", ack=hello[0].seq, sack=block)
    w.never(RULE, "suspected")


def not_slow_server(w: World) -> None:
    """The server takes its time."""
    w.story(
        "As sni-drop-acked-muted, but the server answers after 6 s and the visit completes: a slow back end.",
        "sni-drop-acked-muted",
    )
    controls(w, (0.2, 9.0, 33.0))
    flow = Tcp(w, w.host(ADDRESS, 54), rtt=0.1)
    hello = flow.hello(flow.open(1.5) + 0.001, NAME)
    flow.server_hello(hello[-1].time + 6.0)
    flow.close(flow.transfer(hello[-1].time + 6.01, 500, 5000))
    w.never(RULE)


def not_zero_window(w: World) -> None:
    """The server's receive window is closed."""
    w.story(
        """As sni-drop-acked-muted, but the server acknowledges the hello with window 0 and answers every
        window probe in the same way: it is there, and busy.""",
        "sni-drop-acked-muted",
    )
    controls(w, (0.2, 8.0, 33.0))
    flow = Tcp(w, w.host(ADDRESS, 54), rtt=0.1)
    hello = flow.hello(flow.open(1.5) + 0.001, NAME, acked=False)
    when = hello[-1].time
    flow.segment(SERVER, when + flow.rtt, "A", window=0)
    for after in (0.4, 1.0, 2.2, 4.6, 9.4, 19.0, 30.0):
        flow.segment(CLIENT, when + after, "A", seq=flow.ends[CLIENT].next - 1)
        flow.segment(SERVER, when + after + flow.rtt, "A", window=0)
    w.never(RULE)


def not_capture_end(w: World) -> None:
    """The capture stops too early to tell."""
    w.story(
        """As sni-drop-hello-unacked, but the capture stops 300 ms after the hello: nobody can say what
        came later.""",
        "sni-drop-hello-unacked",
    )
    controls(w, (0.2,))
    flow = Tcp(w, w.host(ADDRESS, 54), rtt=0.1)
    hello = flow.hello(flow.open(4.0) + 0.001, NAME, lost=True)
    flow.segment(CLIENT, hello[0].time + 0.3, "PA", bytes(hello[0].layer.payload), seq=hello[0].seq)
    w.never(RULE)


CASES: dict[str, Callable[[World], None]] = {
    "sni-drop-hello-unacked": hello_unacked,
    "sni-drop-hello-cut-off": hello_cut_off,
    "sni-drop-acked-muted": acked_muted,
    "sni-drop-not-pmtu": not_pmtu,
    "sni-drop-not-slow-server": not_slow_server,
    "sni-drop-not-zero-window": not_zero_window,
    "sni-drop-not-capture-end": not_capture_end,
}
