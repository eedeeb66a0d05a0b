"""Addresses that do not answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scapy.layers.inet import ICMP, IP

from pcaps.generate.dns import Query, lookup
from pcaps.generate.tcp import Tcp, visit
from pcaps.generate.world import Packet, World

if TYPE_CHECKING:
    from collections.abc import Callable

RULE = "ip.block.syn-blackhole"
BACKOFF = (0.0, 1.0, 3.0, 7.0, 15.0)
NAME, ADDRESS = "web.whatsapp.com", "157.240.22.55"


def knock(
    w: World, time: float, address: str, port: int = 443, times: tuple[float, ...] = BACKOFF
) -> tuple[Tcp, list[Packet]]:
    """SYNs as Linux repeats them."""
    flow = Tcp(w, w.host(address, 50), port=port)
    return flow, [flow.syn(time + after) for after in times]


def others(w: World) -> list[Tcp]:
    """Other sites answer all the while."""
    out = []
    for when, name, address in (
        (0.4, "www.debian.org", "130.89.148.77"),
        (6.0, "www.python.org", "151.101.0.223"),
        (14.0, "www.kernel.org", "145.40.73.55"),
        (19.0, "www.debian.org", "130.89.148.77"),
    ):
        lookup(w, when - 0.2, name, [address])
        out.append(visit(w, when, name, w.host(address, 50), rtt=0.04))
    return out


def four_syns(w: World) -> None:
    """One address, five SYNs."""
    w.story(
        """After a clean DNS answer, the SYN to web.whatsapp.com and its repetitions at 1, 3, 7 and 15 s
        get no answer, while other sites answer before, during and after.""",
        "ip-blackhole-not-host-answers-late",
    )
    lookup(w, 0.0, NAME, [ADDRESS])
    others(w)
    flow, syns = knock(w, 3.0, ADDRESS)
    w.finding(
        RULE, "ip-block", "suspected", [flow], {"syn": [syns[0], syns[-1]]}, app="whatsapp", feature="web"
    )


def two_addresses(w: World) -> None:
    """All addresses of a name, on two ports."""
    w.story(
        """e3.whatsapp.net resolves to two addresses; neither answers on port 443 or 5222. Other sites
        answer.""",
        "ip-blackhole-not-dead-network",
    )
    addresses = ["157.240.22.53", "31.13.95.50"]
    lookup(w, 0.0, "e3.whatsapp.net", addresses)
    others(w)
    for number, address in enumerate(addresses):
        for port in (443, 5222):
            flow, syns = knock(w, 2.0 + number + port / 10000, address, port, BACKOFF[:4])
            w.finding(
                RULE,
                "ip-block",
                "suspected",
                [flow],
                {"syn": [syns[0], syns[-1]]},
                app="whatsapp",
                feature="text",
            )


def not_poisoned(w: World) -> None:
    """The address was never the site's."""
    w.story(
        """As ip-blackhole-four-syns, but the address came from a forged DNS answer that raced the true
        one: the DNS explains the silence, and the address is not reported again.""",
        "ip-blackhole-four-syns",
    )
    query = Query(w, 0.0, NAME)
    query.answer(0.006, ["185.45.7.97"], ttl=92, ipid=0x51AC, df=True)
    query.answer(0.0312, [ADDRESS])
    others(w)
    knock(w, 3.0, "185.45.7.97")
    w.finding(
        "dns.inject.race", "dns-injection", "likely", [query],
        {"query": query.queries, "response": query.responses}, app="whatsapp", target=NAME,
    )  # fmt: skip
    w.never(RULE, "suspected")


def not_late(w: World) -> None:
    """Slow to answer is not blocked."""
    w.story(
        """As ip-blackhole-four-syns, but the third SYN is answered and the visit completes: loss, not a
        block.""",
        "ip-blackhole-four-syns",
    )
    lookup(w, 0.0, NAME, [ADDRESS])
    others(w)
    flow, _ = knock(w, 3.0, ADDRESS, times=(0.0, 1.0, 3.0))
    start = flow.accept(6.06) + 0.001
    flow.hello(start, NAME)
    flow.server_hello(start + 0.062)
    flow.close(flow.transfer(start + 0.066, 400, 5000))
    w.never(RULE)


def not_dead(w: World) -> None:
    """Nothing works."""
    w.story(
        """As ip-blackhole-two-addresses, but nothing at all answers any more after the first seconds, the
        resolver included: the network is down.""",
        "ip-blackhole-two-addresses",
    )
    lookup(w, 0.0, "e3.whatsapp.net", ["157.240.22.53", "31.13.95.50"])
    lookup(w, 0.2, "www.debian.org", ["130.89.148.77"])
    for when, address in (
        (20.0, "157.240.22.53"),
        (20.3, "31.13.95.50"),
        (21.0, "130.89.148.77"),
        (24.0, "151.101.0.223"),
    ):
        knock(w, when, address)
    for when, name in ((22.0, "www.python.org"), (30.0, "www.kernel.org")):
        query = Query(w, when, name)
        query.ask(when + 5)
    w.never(RULE, "suspected")


def not_icmp(w: World) -> None:
    """A router says no, and says so."""
    w.story(
        """As ip-blackhole-four-syns, but a router answers every SYN with ICMP "administratively
        prohibited" (type 3, code 13): a refusal in the open, not a black hole.""",
        "ip-blackhole-four-syns",
    )
    lookup(w, 0.0, NAME, [ADDRESS])
    others(w)
    _flow, syns = knock(w, 3.0, ADDRESS)
    router = w.host("203.0.113.1", 253, "zero", df=False)
    for syn in syns:
        quoted = IP(src=w.client.addr, dst=ADDRESS, ttl=62, id=0, flags="DF", tos=0) / syn.layer
        quoted = IP(bytes(quoted)[:40] + bytes(quoted)[40:60])
        w.add(Packet(syn.time + 0.011, router, w.client, None, ICMP(type=3, code=13) / quoted))
    w.never(RULE, "suspected")


CASES: dict[str, Callable[[World], None]] = {
    "ip-blackhole-four-syns": four_syns,
    "ip-blackhole-two-addresses": two_addresses,
    "ip-blackhole-not-poisoned-address": not_poisoned,
    "ip-blackhole-not-host-answers-late": not_late,
    "ip-blackhole-not-dead-network": not_dead,
    "ip-blackhole-not-icmp": not_icmp,
}
