"""Captures made on a phone by PCAPdroid, with and without root, in both of its formats."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pcaps.generate.dns import Query, lookup
from pcaps.generate.names import HONEST, POOL
from pcaps.generate.resets import MEDIA, RULE, forged_reset
from pcaps.generate.tcp import SERVER, Tcp, visit
from pcaps.generate.world import Flow, Host, World

if TYPE_CHECKING:
    from collections.abc import Callable

NETD, WHATSAPP = 1051, 10234
NAMES = {NETD: ("netd", "netd"), WHATSAPP: ("com.whatsapp", "WhatsApp")}
ADDRESS = "157.240.22.60"


def _owned(w: World, flows: list[Flow]) -> None:
    """Give each flow its owner, and say so in the expectation."""
    for flow in flows:
        flow.uid = NETD if isinstance(flow, Query) else WHATSAPP
    w.expect.phone = flows


def proxied(w: World) -> None:
    """The app talks to a proxy in the phone: it acknowledges at once, and all its headers look alike."""
    w.story(
        f"""PCAPdroid without root ({w.container}): the phone's address is that of its VPN service, and a proxy in the
        app answers for the servers with TTL 64, IP-ID 0 and DF. It acknowledges each ClientHello at once; when the
        server resets, it sends a RST+ACK of its own 0.3 RTT later. Another name completes. Nothing in these headers was
        on the wire, so no rule may speak of them.""",
        w.name.replace("proxied", "root"),
    )
    w.client = Host("10.215.173.1", 64, "random")
    w.resolver = Host("10.215.173.2", 64, "zero")
    server = w.host(ADDRESS, 64, "zero")
    query = lookup(w, 0.0, MEDIA, [ADDRESS])
    flows: list[Flow] = [query, visit(w, 0.2, "static.whatsapp.net", server)]
    for when in (1.5, 4.0, 7.0):
        flow = Tcp(w, server, options=False)
        hello = flow.hello(flow.open(when) + 0.001, MEDIA, acked=False)
        flow.segment(SERVER, hello[-1].time + 0.0004, "A")
        forged_reset(flow, hello[-1].time + 0.3 * flow.rtt)
        flows.append(flow)
    _owned(w, flows)
    w.never("*", "observed")
    w.expect.notes["uninterpretable"] = {RULE: sum(flow.proto == "tcp" for flow in flows)}
    w.expect.notes["proxied"] = True


def proxied_dns(w: World) -> None:
    """A name's answer is not the proxy's work: it is judged as in any capture."""
    w.story(
        """PCAPdroid without root, as phone-trailer-proxied; twitter.com is answered with 31.13.95.17, an address of
        Facebook's that forgers use. The headers are the app's own, the answer is not.""",
        "dns-pool-twitter-facebook-range",
    )
    w.client = Host("10.215.173.1", 64, "random")
    w.resolver = Host("10.215.173.2", 64, "zero")
    flows: list[Flow] = [
        lookup(w, 0.1 + number, name, [address]) for number, (name, address) in enumerate(HONEST)
    ]
    query = Query(w, 5.0, "twitter.com")
    query.answer(5.009, ["31.13.95.17"])
    flows += [query, visit(w, 6.0, "www.python.org", w.host(HONEST[1][1], 64, "zero"))]
    _owned(w, flows)
    frames = {"query": query.queries, "forged_response": query.responses}
    w.finding(POOL, "dns-injection", "observed", [query], frames, app="twitter", target="twitter.com")
    w.expect.notes["proxied"] = True


def rooted(w: World) -> None:
    """The same attempts with the headers of the wire."""
    w.story(
        f"""PCAPdroid with root ({w.container}): the attempts of {w.name.replace("root", "proxied")} with the headers of
        the wire. The RST+ACK carries TTL 120 and comes 0.3 RTT after each ClientHello; the server's TTL is 52.""",
        w.name.replace("root", "proxied"),
    )
    server = w.host(ADDRESS)
    query = lookup(w, 0.0, MEDIA, [ADDRESS])
    control = visit(w, 0.2, "static.whatsapp.net", server)
    attempts, hellos, resets = [], [], []
    for when in (1.5, 4.0, 7.0):
        flow = Tcp(w, server)
        hellos += flow.hello(flow.open(when) + 0.001, MEDIA, acked=False)
        resets.append(forged_reset(flow, hellos[-1].time + 0.3 * flow.rtt, ttl=120, ipid=7, df=False))
        attempts.append(flow)
    _owned(w, [query, control, *attempts])
    frames = {"client_hello": hellos, "reset": resets, "control": [control.answer]}
    w.finding(RULE, "sni-reset", "likely", attempts, frames, app="whatsapp", feature="media", target=MEDIA)
    w.verdict("whatsapp", "media", "blocked")


def _case(container: str, story: Callable[[World], None]) -> Callable[[World], None]:
    def case(w: World) -> None:
        w.link = "raw"
        w.container = container
        w.phone_apps = NAMES
        story(w)

    return case


CASES: dict[str, Callable[[World], None]] = {
    "phone-trailer-proxied": _case("pcapdroid-trailer", proxied),
    "phone-trailer-proxied-dns": _case("pcapdroid-trailer", proxied_dns),
    "phone-trailer-root": _case("pcapdroid-trailer", rooted),
    "phone-pcapng-proxied": _case("pcapdroid-pcapng", proxied),
    "phone-pcapng-root": _case("pcapdroid-pcapng-root", rooted),
}
