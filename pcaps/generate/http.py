"""HTTP/1 without TLS: an ordinary visit, and one in which a block page is faster than the server."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pcaps.generate.dns import lookup
from pcaps.generate.tcp import CLIENT, SERVER, STACK_DELAY, Tcp

if TYPE_CHECKING:
    from collections.abc import Callable

    from pcaps.generate.world import Packet, World

NAME, ADDRESS = "news.example.org", "93.184.215.20"
NOTICE = "http://notice.example.net/blocked?id=7"
AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"


def request(path: str) -> bytes:
    """What a browser asks."""
    lines = (f"GET {path} HTTP/1.1", f"Host: {NAME}", f"User-Agent: {AGENT}", "Accept: */*", "", "")
    return "\r\n".join(lines).encode()


def response(body: bytes, *fields: str, status: str = "200 OK") -> bytes:
    """What a server answers, with the length of its body."""
    lines = (f"HTTP/1.1 {status}", "Server: nginx", *fields, f"Content-Length: {len(body)}", "", "")
    return "\r\n".join(lines).encode() + body


def page(title: str, size: int) -> bytes:
    """A page of so many bytes."""
    begin = f"<!doctype html><html><head><title>{title}</title></head><body><p>".encode()
    return begin + b"news " * ((size - len(begin)) // 5)


NEWS = response(page("The news", 3000), "Content-Type: text/html")


def file(w: World, size: int) -> bytes:
    """A response with bytes that are no text."""
    return response(w.rng.randbytes(size), "Content-Type: application/octet-stream")


def note(w: World, flow: Tcp, uri: str, asked: list[Packet], answered: list[Packet], **more: object) -> None:
    """One exchange, for the expectation."""
    w.expect.notes.setdefault("http", []).append(
        {
            "flow": flow,
            "host": NAME,
            "uri": uri,
            "request_frames": asked,
            "response_frames": answered[:1],
            **more,
        }
    )


def ordinary_exchange(w: World, flow: Tcp, time: float, uri: str, answer: bytes, **more: object) -> float:
    """A request, its response one round trip later; returns the end."""
    asked = flow.send(CLIENT, time, request(uri))
    answered = flow.send(SERVER, time + flow.rtt + 0.004, answer)
    note(w, flow, uri, asked, answered, status=200, **more)
    return answered[-1].time + 0.01


def plain(w: World) -> None:
    """Two requests on one connection."""
    w.story(
        """A page and a file are fetched over HTTP/1.1 without TLS, on one connection that is kept open: each
        request has one response.""",
        "http-injected-redirect",
    )
    lookup(w, 0.0, NAME, [ADDRESS])
    flow = Tcp(w, w.host(ADDRESS, 53), port=80)
    at = flow.open(0.3) + 0.001
    at = ordinary_exchange(w, flow, at, "/", NEWS, title="The news")
    at = ordinary_exchange(w, flow, at, "/update.bin", file(w, 9000), title=None)
    flow.close(at + 1.0)


def injected(w: World) -> None:
    """A redirect to a notice, then the true page for the same bytes of the stream."""
    w.story(
        """As http-plain, but 0.3 round trips after the first request a redirect to a notice arrives: one segment with
        FIN and PSH, TTL 58 where the server's is 53, IP-ID 0, no TCP options. The server's own page comes one round
        trip after the request, from the same sequence number on. The client has taken the redirect and
        acknowledges what it had already.""",
        "http-plain",
    )
    lookup(w, 0.0, NAME, [ADDRESS])
    server = w.host(ADDRESS, 53)
    flow = Tcp(w, server, port=80)
    start = flow.open(0.3) + 0.001
    asked = flow.send(CLIENT, start, request("/"), ack=False)
    client, far = flow.ends[CLIENT], flow.ends[SERVER]
    lines = ("HTTP/1.1 302 Found", f"Location: {NOTICE}", "Connection: close", "Content-Length: 0", "", "")
    forged = "\r\n".join(lines).encode()
    when = start + 0.3 * flow.rtt
    fake = flow.segment(
        SERVER,
        when,
        "FPA",
        forged,
        seq=far.next,
        ack=client.next,
        window=229,
        ttl=58,
        ipid=0,
        df=False,
        bare=True,
    )
    client.got = (far.next + len(forged) + 1) & 0xFFFFFFFF
    flow.segment(CLIENT, when + STACK_DELAY, "FA")
    client.next = (client.next + 1) & 0xFFFFFFFF
    arrives = start + flow.rtt + 0.004
    genuine = []
    for index, at in enumerate(range(0, len(NEWS), flow.mss)):
        piece = NEWS[at : at + flow.mss]
        moment = arrives + index * 0.00015
        sent = flow.segment(SERVER, moment, "PA", piece, seq=far.next + at, ack=client.next - 1)
        flow.segment(CLIENT, sent.time + STACK_DELAY, "A")
        genuine.append(sent)
    note(
        w, flow, "/", asked, [fake], status=302, title=None, location=NOTICE,
        other_frames=genuine[:1], other_status=200, other_title="The news",
    )  # fmt: skip
    again = Tcp(w, server, port=80)
    at = again.open(4.0) + 0.001
    again.close(ordinary_exchange(w, again, at, "/update.bin", file(w, 4000), title=None) + 0.5)


CASES: dict[str, Callable[[World], None]] = {
    "http-plain": plain,
    "http-injected-redirect": injected,
}
