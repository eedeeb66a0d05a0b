"""One story in every container and on every link: the reader must not change the judgement."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pcaps.generate.dns import lookup
from pcaps.generate.resets import MEDIA, RULE, reset_then_server_hello
from pcaps.generate.tcp import Tcp, visit
from pcaps.generate.world import Flow, Host, World

if TYPE_CHECKING:
    from collections.abc import Callable


def reset_story(w: World, address: str, what: str) -> Flow:
    """The story of sni-reset-late-server-hello, with a visit at the end."""
    w.story(f"The story of sni-reset-late-server-hello {what}", "sni-reset-late-server-hello")
    server = w.host(address, 52)
    lookup(w, 0.0, MEDIA, [address], "AAAA" if ":" in address else "A")
    control = visit(w, 0.2, "static.whatsapp.net", server)
    flow = Tcp(w, server)
    start = flow.open(1.5) + 0.001
    hello, resets, genuine = reset_then_server_hello(flow, start, MEDIA, ttl=120, ipid=7, df=False)
    visit(w, 3.0, "static.whatsapp.net", server)
    frames = {"client_hello": hello, "reset": resets, "after_reset": genuine[:1], "control": [control.answer]}
    w.finding(RULE, "sni-reset", "strong", [flow], frames, app="whatsapp", feature="media", target=MEDIA)
    w.verdict("whatsapp", "media", "blocked")
    return flow


def _container(container: str, what: str) -> Callable[[World], None]:
    def case(w: World) -> None:
        w.container = container
        reset_story(w, "157.240.22.60", what)

    return case


def _link(link: str, what: str) -> Callable[[World], None]:
    def case(w: World) -> None:
        w.link = link
        reset_story(w, "157.240.22.60", what)

    return case


def truncated(w: World) -> None:
    """The file ends in the middle of its last record."""
    w.container = "truncated"
    reset_story(w, "157.240.22.60", "in a file that ends in the middle of its last packet.")
    w.expect.notes["packets"] = len(w.packets) - 1
    w.expect.notes["damaged"] = True


def two_interfaces(w: World) -> None:
    """DNS on one interface, TCP on another."""
    w.container = "pcapng"
    reset_story(
        w,
        "157.240.22.60",
        "in a pcapng: UDP on one interface (microseconds), TCP on another (nanoseconds), an unknown block.",
    )
    for packet in w.packets:
        packet.interface = 1 if packet.flow is not None and packet.flow.proto == "tcp" else 0


def ipv6(w: World) -> None:
    """No IP-ID, hop limits instead of TTLs."""
    w.client = Host("2a02:908:1964:a0::23", 64)
    w.resolver = Host("2001:4860:4860::8888", 117)
    reset_story(w, "2a03:2880:f26e:c7:face:b00c:0:167", "over IPv6.")


CASES: dict[str, Callable[[World], None]] = {
    "fmt-pcapng-two-interfaces": two_interfaces,
    "fmt-pcap-bigendian-ns": _container("pcap-be-ns", "in a big-endian file with nanoseconds."),
    "fmt-gzip": _container("gzip", "in a gzip-compressed file."),
    "fmt-truncated": truncated,
    "fmt-vlan": _link("vlan", "on Ethernet with 802.1Q tags."),
    "fmt-sll": _link("sll", "on a Linux cooked capture (SLL)."),
    "ipv6-sni-reset": ipv6,
}
