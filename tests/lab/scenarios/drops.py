"""Packets that vanish: after a TLS name, after so many bytes, to an address, of a protocol."""

# ruff: noqa: PLR0913 - what differs between scenarios is given one by one

from __future__ import annotations

from tests.lab.interference import DropOn, Reset, ResetOn, address, both, port, sni, starts
from tests.lab.middlebox import Setup, Way
from tests.lab.packet import TCP, UDP
from tests.lab.scenario import CLIENT, SERVER, Expect, Scenario, Session
from tests.lab.work_chat import random_stream, serve_random, serve_whatsapp, whatsapp
from tests.lab.work_vpn import openvpn, serve_openvpn, serve_wireguard, wireguard
from tests.lab.work_web import https, look_up

MEDIA, OTHER, RESOLVER, VPN = "157.240.1.60", "104.16.132.229", "203.0.113.53", "198.51.100.77"
_NAMES = {"mmg.whatsapp.net": MEDIA, "g.whatsapp.net": MEDIA, "news.example": OTHER, "vpn.example": VPN}


def _serve(session: Session) -> None:
    session.services.web(list(_NAMES), addresses=(MEDIA, OTHER))
    session.services.names(_NAMES, address=RESOLVER)


def _photos(session: Session) -> None:
    https(session, "text", "g.whatsapp.net", MEDIA, "small")
    session.at_once(
        lambda: https(session, "photo", "mmg.whatsapp.net", MEDIA, "photo", timeout=9),
        lambda: https(session, "photo", "mmg.whatsapp.net", MEDIA, "photo", timeout=9),
        lambda: https(session, "text", "g.whatsapp.net", MEDIA, "small"),
        apart=0.4,
    )
    https(session, "other", "news.example", OTHER, "page")


def _large(session: Session) -> None:
    session.at_once(
        *(lambda: https(session, "photo", "mmg.whatsapp.net", MEDIA, "photo", timeout=10) for _ in range(3)),
        lambda: https(session, "other", "news.example", OTHER, "photo"),
        lambda: https(session, "small", "g.whatsapp.net", MEDIA, "small"),
        apart=0.3,
    )


def _blackhole(session: Session) -> None:
    look_up(session, "names", "mmg.whatsapp.net", RESOLVER)
    session.at_once(
        lambda: https(session, "photo", "mmg.whatsapp.net", MEDIA, timeout=12),
        lambda: https(session, "photo", "g.whatsapp.net", MEDIA, timeout=12),
        lambda: https(session, "other", "news.example", OTHER),
        apart=1.0,
    )
    https(session, "other", "news.example", OTHER)


def _serve_vpn(session: Session) -> None:
    _serve(session)
    serve_wireguard(session, VPN)
    serve_openvpn(session, VPN)
    serve_openvpn(session, VPN, 443, tcp=True)
    serve_random(session, VPN, 8388)
    serve_whatsapp(session, MEDIA)


def _with_web(*works: object) -> object:
    def work(session: Session) -> None:
        https(session, "other", "news.example", OTHER)
        session.at_once(*(lambda one=one: one(session) for one in works), apart=0.2)  # type: ignore[operator, misc]
        https(session, "other", "news.example", OTHER)

    return work


def _protocol(
    name: str, about: str, rule: object, works: object, labels: tuple[str, ...], way: Way
) -> Scenario:
    return Scenario(
        name,
        about,
        works,  # type: ignore[arg-type]
        _serve_vpn,
        Setup(way, rules=(rule,)),  # type: ignore[arg-type]
        (Expect("protocol-block", labels, instead=("udp-block",)),),
        addresses=(MEDIA, OTHER, RESOLVER, VPN),
        works=("other",),
        fails=labels,
        seconds=20,
    )


_SNI = {
    "work": _photos, "serve": _serve, "addresses": (MEDIA, OTHER, RESOLVER), "works": ("text", "other"),
    "fails": ("photo",), "seconds": 13,
}  # fmt: skip
_FREEZE = {
    "work": _large, "serve": _serve, "addresses": (MEDIA, OTHER, RESOLVER), "works": ("other", "small"),
    "fails": ("photo",), "seconds": 14,
}  # fmt: skip
_IP = {
    "work": _blackhole, "serve": _serve, "addresses": (MEDIA, OTHER, RESOLVER), "works": ("names", "other"),
    "fails": ("photo",), "seconds": 18,
}  # fmt: skip

SCENARIOS = (
    Scenario(
        "sni-drop-hello",
        "The hello with one name and all that follows vanish both ways.",
        setup=Setup(Way(), rules=(DropOn(sni("mmg.whatsapp.net")),)),
        expect=(Expect("sni-drop", ("photo",)),),
        **_SNI,
    ),
    Scenario(
        "sni-drop-muted",
        "The hello arrives and is acknowledged, but no data of the server come back.",
        setup=Setup(
            Way(client_ms=10, server_ms=40),
            rules=(DropOn(sni("mmg.whatsapp.net"), to_server=False, trigger_too=False),),
        ),
        expect=(Expect("sni-drop", ("photo",)),),
        **_SNI,
    ),
    Scenario(
        "sni-drop-one-way-far",
        "Only what goes to the server vanishes, on a path of 180 ms.",
        setup=Setup(
            Way(client_ms=15, server_ms=75, loss=0.01, seed=4),
            rules=(DropOn(sni("mmg.whatsapp.net"), to_client=False),),
        ),
        expect=(Expect("sni-drop", ("photo",), (CLIENT, SERVER)),),
        **_SNI,
    ),
    Scenario(
        "freeze-after-bytes-16k",
        "Transfers of one name stop for good after 16 kB from the server.",
        setup=Setup(Way(), rules=(DropOn(sni("mmg.whatsapp.net"), after_bytes=16_000),)),
        expect=(Expect("freeze-after-bytes", ("photo",), forged=False),),
        **_FREEZE,
    ),
    Scenario(
        "freeze-after-bytes-to-client",
        "The same in one direction: what the server sends vanishes after 20 kB.",
        setup=Setup(
            Way(client_ms=10, server_ms=50),
            rules=(DropOn(sni("mmg.whatsapp.net"), to_server=False, after_bytes=20_000),),
        ),
        expect=(Expect("freeze-after-bytes", ("photo",), forged=False),),
        **_FREEZE,
    ),
    Scenario(
        "freeze-after-bytes-far",
        "After 32 kB, on a path of 160 ms that loses one packet in a hundred.",
        setup=Setup(
            Way(client_ms=20, server_ms=60, loss=0.01, seed=6),
            rules=(DropOn(sni("mmg.whatsapp.net"), after_bytes=32_000),),
        ),
        expect=(Expect("freeze-after-bytes", ("photo",), forged=False),),
        **_FREEZE,
    ),
    Scenario(
        "ip-block-syn",
        "SYNs to one address vanish.",
        setup=Setup(Way(), rules=(DropOn(both(address(MEDIA), port(TCP))),)),
        expect=(Expect("ip-block", ("photo",), level="suspected"),),
        **_IP,
    ),
    Scenario(
        "ip-block-answers",
        "The address is blocked on the way back: its SYN/ACKs vanish.",
        setup=Setup(
            Way(client_ms=5, server_ms=60),
            rules=(DropOn(both(address(MEDIA), port(TCP)), to_server=False, trigger_too=False),),
        ),
        expect=(Expect("ip-block", ("photo",), level="suspected"),),
        **_IP,
    ),
    Scenario(
        "ip-block-far",
        "SYNs to one address vanish; the rest of the path has 200 ms.",
        setup=Setup(Way(client_ms=20, server_ms=80, jitter_ms=5), rules=(DropOn(address(MEDIA)),)),
        expect=(Expect("ip-block", ("photo",), level="suspected"),),
        **_IP,
    ),
    _protocol(
        "protocol-block-wireguard",
        "WireGuard's first message vanishes; everything else works.",
        DropOn(both(port(UDP), starts(b"\x01\0\0\0"))),
        _with_web(lambda session: wireguard(session, "vpn", VPN, timeout=12)),
        ("vpn",),
        Way(),
    ),
    _protocol(
        "protocol-block-openvpn-udp",
        "OpenVPN over UDP is cut at its first message.",
        DropOn(both(port(UDP), starts(b"\x38"))),
        _with_web(lambda session: openvpn(session, "vpn", VPN, timeout=10)),
        ("vpn",),
        Way(client_ms=8, server_ms=45),
    ),
    _protocol(
        "protocol-block-openvpn-tcp",
        "OpenVPN over TCP on port 443 is reset after its first message.",
        ResetOn(
            lambda packet: packet.to_server and packet.payload[2:3] == b"\x38", (Reset(), Reset(to=SERVER))
        ),
        _with_web(lambda session: openvpn(session, "vpn", VPN, 443, tcp=True)),
        ("vpn",),
        Way(client_ms=8, server_ms=30),
    ),
    _protocol(
        "protocol-block-fully-encrypted",
        "A stream of random bytes is cut after its first packet, as in China since 2021.",
        DropOn(
            both(port(TCP, 8388), lambda packet: len(packet.payload) > 50), to_client=False, residual_s=20
        ),
        _with_web(*(lambda session: random_stream(session, "vpn", VPN, 8388, timeout=9) for _ in range(3))),
        ("vpn",),
        Way(),
    ),
    _protocol(
        "protocol-block-whatsapp-chat",
        "The chat's hello vanishes; names of the same owner work.",
        DropOn(both(port(TCP, 5222), lambda packet: packet.payload[:2] in {b"ED", b"WA"})),
        _with_web(*(lambda session: whatsapp(session, "chat", MEDIA, timeout=8) for _ in range(2))),
        ("chat",),
        Way(),
    ),
)
