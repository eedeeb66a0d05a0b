"""Ends that misbehave by themselves, and paths that are bad for everybody: what interference is mistaken for."""

# ruff: noqa: PLR0913 - what differs between scenarios is given one by one

from __future__ import annotations

from dataclasses import dataclass

from tests.lab.interference import ALL, DropOn
from tests.lab.middlebox import Box, Setup, Way
from tests.lab.packet import TCP, Packet
from tests.lab.scenario import Scenario, Session
from tests.lab.work_chat import mmtls, serve_mmtls, serve_ssh, serve_whatsapp, ssh, whatsapp
from tests.lab.work_mail import imap, serve_mail, smtp
from tests.lab.work_odd import plain, refused, serve_oddly, tls_leave
from tests.lab.work_vpn import ike, openvpn, serve_ike, serve_openvpn, serve_wireguard, wireguard
from tests.lab.work_web import https, openssl

ODD, WEB, MAIL, CHAT = "157.240.1.60", "104.16.132.229", "203.0.113.25", "157.240.1.61"
_REQUEST = b"GET / HTTP/1.1\r\nHost: mmg.whatsapp.net\r\n\r\n"
_NAMES = ("mmg.whatsapp.net", "news.example")


def _odd(
    name: str, about: str, behaviour: str, *, port: int = 443, way: Way | None = None, tls: bool = True
) -> Scenario:
    def work(session: Session) -> None:
        https(session, "web", "news.example", WEB)
        for _ in range(3):
            if tls:
                https(session, "odd", "mmg.whatsapp.net", ODD, timeout=6, port=port)
            else:
                plain(session, "odd", ODD, port, _REQUEST, name="mmg.whatsapp.net", timeout=10)
        https(session, "web", "news.example", WEB)

    def serve(session: Session) -> None:
        session.services.web(_NAMES, addresses=(WEB,))
        serve_oddly(session, ODD, port, behaviour)

    return Scenario(
        f"benign-server-{name}",
        about,
        work,
        serve,
        Setup(way or Way()),
        addresses=(ODD, WEB),
        works=("web",),
        seconds=20,
    )


def _leaving(when: str, how: str, way: Way) -> Scenario:
    def work(session: Session) -> None:
        for _ in range(3):
            tls_leave(session, "left", "mmg.whatsapp.net", ODD, when=when, how=how)
        https(session, "web", "mmg.whatsapp.net", ODD)

    return Scenario(
        f"benign-client-leaves-{when}-{how}",
        f"A client that leaves by {how} ({when}); could be taken for interference.",
        work,
        lambda session: session.services.web(_NAMES),
        Setup(way),
        addresses=(ODD, WEB),
        works=("web",),
        seconds=4,
    )


@dataclass
class _Narrow:
    """A link that carries no packet above its MTU and does not say so: a black hole for large packets."""

    mtu: int

    def admit(self, box: Box, packet: Packet) -> float | None:
        """See Limit."""
        if len(packet.data) <= self.mtu or packet.flow.proto != TCP:
            return 0.0
        box.note("limited", packet, "too large")
        return None


def _everything(session: Session) -> None:
    session.at_once(
        lambda: https(session, "web", "mmg.whatsapp.net", WEB, "photo"),
        lambda: openssl(session, "web", "news.example", WEB, tls="1.2"),
        lambda: smtp(session, "mail", "mail.example", MAIL),
        lambda: imap(session, "mail", "mail.example", MAIL),
        lambda: whatsapp(session, "chat", CHAT),
        lambda: mmtls(session, "chat", CHAT, 8080),
        lambda: ssh(session, "ssh", MAIL),
        apart=0.1,
    )
    session.at_once(
        lambda: wireguard(session, "vpn", MAIL, seconds=3),
        lambda: openvpn(session, "vpn", MAIL, seconds=3),
        lambda: ike(session, "vpn", MAIL, seconds=3),
        apart=0.1,
    )


def _serve_everything(session: Session) -> None:
    session.services.web(_NAMES, addresses=(WEB,))
    serve_mail(session, MAIL, ["mail.example"])
    serve_whatsapp(session, CHAT)
    serve_mmtls(session, CHAT, 8080)
    serve_ssh(session, MAIL)
    serve_wireguard(session, MAIL)
    serve_openvpn(session, MAIL)
    serve_ike(session, MAIL)


def _all_well(name: str, about: str, way: Way) -> Scenario:
    return Scenario(
        f"benign-everything-{name}",
        about,
        _everything,
        _serve_everything,
        Setup(way),
        addresses=(WEB, MAIL, CHAT),
        seconds=14,
    )


def _dead(session: Session) -> None:
    session.at_once(
        *(
            lambda name=name, at=at: https(session, "web", name, at, timeout=8)
            for name, at in zip(_NAMES, (ODD, WEB), strict=True)
        ),
        lambda: whatsapp(session, "chat", CHAT),
        apart=0.2,
    )


SCENARIOS = (
    _odd("resets-on-hello", "A server that resets each connection at its first data.", "reset-on-hello"),
    _odd(
        "resets-late",
        "A server that resets a second after the hello.",
        "reset-late",
        way=Way(client_ms=20, server_ms=70),
    ),
    _odd("alert", "A server that refuses the name by an alert.", "alert"),
    _odd("alert-reset", "A server that refuses the name by an alert and a reset.", "alert-reset"),
    _odd("closes", "A server that closes after the hello.", "fin"),
    _odd("silent", "A server that reads and never answers.", "silent"),
    _odd("deaf", "A server whose program hangs: the kernel takes data until its buffer is full.", "deaf"),
    _odd(
        "close-unread",
        "A server that answers and closes while data wait unread: its kernel resets.",
        "close-unread",
        port=80,
        tls=False,
    ),
    _odd("slow-page", "A page that takes eight seconds.", "http-slow", port=80, tls=False),
    _odd("stalls", "A server that stalls after 16,000 bytes.", "stall-16000", port=80, tls=False),
    _odd("dies", "A server whose program dies after 5,000 bytes.", "reset-after-5000", port=80, tls=False),
    _leaving("hello", "reset", Way()),
    _leaving("hello", "fin", Way(client_ms=10, server_ms=60)),
    _leaving("established", "reset", Way(client_ms=10, server_ms=30)),
    _leaving("data", "reset", Way(loss=0.01, seed=51)),
    Scenario(
        "benign-port-closed",
        "Nobody listens at two of the ports: the kernel answers RST+ACK.",
        lambda session: [
            https(session, "web", "news.example", WEB),
            *(refused(session, "closed", ODD, port) for port in (443, 5222, 443)),
        ],  # type: ignore[arg-type, return-value]
        lambda session: session.services.web(_NAMES, addresses=(WEB,)),
        addresses=(ODD, WEB),
        works=("web",),
        seconds=3,
    ),
    Scenario(
        "benign-large-packets-lost",
        "A link drops packets above 1,400 bytes without a word: small transfers work, large ones hang.",
        lambda session: [
            https(session, "web", name, WEB, path, timeout=6) for name in _NAMES for path in ("small", "page")
        ],  # type: ignore[arg-type, return-value]
        lambda session: session.services.web(_NAMES),
        Setup(Way(), limits=(_Narrow(1400),)),
        addresses=(ODD, WEB),
        seconds=26,
    ),
    Scenario(
        "benign-network-dead",
        "The whole network is down.",
        _dead,
        _serve_everything,
        Setup(Way(), rules=(DropOn(ALL),)),
        addresses=(ODD, WEB, MAIL, CHAT),
        fails=("web", "chat"),
        seconds=10,
    ),
    _all_well("near", "Web, mail, chats and tunnels that all work.", Way(client_ms=1, server_ms=1.5)),
    _all_well(
        "lossy",
        "The same where three packets in a hundred are lost.",
        Way(client_ms=15, server_ms=35, loss=0.03, seed=61),
    ),
    _all_well(
        "far",
        "The same on a path of 250 ms with jitter and reordering.",
        Way(client_ms=25, server_ms=100, jitter_ms=6, reorder=0.01, seed=62),
    ),
)
