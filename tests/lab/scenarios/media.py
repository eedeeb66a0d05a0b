"""Datagrams that vanish: QUIC, UDP as such, and the voice of a call."""

from __future__ import annotations

from tests.lab.interference import DropOn, both, port, starts
from tests.lab.middlebox import DROP, PASS, Box, Setup, Way
from tests.lab.packet import UDP, Packet
from tests.lab.scenario import Expect, Scenario, Session
from tests.lab.work_call import call, serve_calls
from tests.lab.work_chat import serve_whatsapp, whatsapp
from tests.lab.work_quic import quic, serve_quic
from tests.lab.work_vpn import serve_wireguard, wireguard
from tests.lab.work_web import https, look_up

WEB, RELAY, RESOLVER, VPN = "157.240.1.60", "157.240.1.62", "203.0.113.53", "198.51.100.77"
_NAMES = {"www.facebook.com": WEB, "g.whatsapp.net": WEB}
_QUIC = port(UDP, 443)


def _serve(session: Session) -> None:
    session.services.web(list(_NAMES), addresses=(WEB,))
    session.services.names(_NAMES, address=RESOLVER)
    serve_quic(session, WEB, names=list(_NAMES))
    serve_calls(session, RELAY)
    serve_whatsapp(session, WEB)
    serve_wireguard(session, VPN)


def _quic(session: Session) -> None:
    session.at_once(
        lambda: quic(session, "quic", "www.facebook.com", WEB, timeout=8),
        lambda: quic(session, "quic", "www.facebook.com", WEB, timeout=8),
        lambda: https(session, "tcp", "www.facebook.com", WEB),
        apart=0.3,
    )
    https(session, "tcp", "www.facebook.com", WEB)


def _udp(session: Session) -> None:
    look_up(session, "names", "www.facebook.com", RESOLVER)
    session.at_once(
        lambda: quic(session, "udp", "www.facebook.com", WEB, timeout=6),
        lambda: call(session, "udp", RELAY, seconds=6, tries=4),
        lambda: wireguard(session, "udp", VPN, timeout=11),
        lambda: https(session, "tcp", "www.facebook.com", WEB, "photo"),
        lambda: whatsapp(session, "tcp", WEB, seconds=8),
        apart=0.2,
    )
    look_up(session, "names", "g.whatsapp.net", RESOLVER)


def _calls(session: Session) -> None:
    session.at_once(
        lambda: whatsapp(session, "chat", WEB, seconds=12),
        lambda: call(session, "call", RELAY, seconds=10, tries=5),
        apart=0.5,
    )
    https(session, "web", "g.whatsapp.net", WEB, "page")


class Media:
    """Drops speech but no signalling: what is neither STUN nor too small, from a moment on."""

    def __init__(self, *, to_client: bool = True, to_server: bool = True, after_s: float = 0.0) -> None:
        self.directions = {True: to_server, False: to_client}
        self.after_s = after_s
        self.begun = 0.0

    def see(self, box: Box, packet: Packet) -> bool:
        """See Rule."""
        body = packet.payload
        if packet.flow.proto != UDP or packet.flow.server != RELAY or len(body) < 12 or body[0] >> 6 == 0:
            return PASS
        self.begun = self.begun or box.now
        if not self.directions[packet.to_server] or box.now - self.begun < self.after_s:
            return PASS
        box.note("dropped", packet, "media")
        return DROP


def _quic_drop(name: str, about: str, setup: Setup) -> Scenario:
    return Scenario(
        name,
        about,
        _quic,
        _serve,
        setup,
        (Expect("quic-drop", ("quic",), instead=("udp-block",)),),
        addresses=(WEB, RELAY, RESOLVER, VPN),
        works=("tcp",),
        fails=("quic",),
        seconds=11,
    )


def _udp_block(name: str, about: str, setup: Setup) -> Scenario:
    return Scenario(
        name,
        about,
        _udp,
        _serve,
        setup,
        (Expect("udp-block", ("udp",), instead=("quic-drop", "media-block", "protocol-block")),),
        addresses=(WEB, RELAY, RESOLVER, VPN),
        works=("tcp", "names"),
        fails=("udp",),
        seconds=15,
    )


def _media_block(name: str, about: str, setup: Setup) -> Scenario:
    return Scenario(
        name,
        about,
        _calls,
        _serve,
        setup,
        (Expect("media-block", ("call",)),),
        addresses=(WEB, RELAY, RESOLVER, VPN),
        works=("chat", "web"),
        fails=("call",),
        seconds=16,
    )


_NOT_NAMES = both(port(UDP), lambda packet: packet.flow.server_port != 53)

SCENARIOS = (
    _quic_drop("quic-drop-initial", "Initial packets vanish.", Setup(Way(), rules=(DropOn(_QUIC),))),
    _quic_drop(
        "quic-drop-after-initial",
        "The first Initial is answered; 100 ms later nothing of the client arrives any more.",
        Setup(
            Way(client_ms=5, server_ms=40),
            rules=(DropOn(both(_QUIC, lambda packet: packet.payload[0] & 0xF0 != 0xC0), to_client=False),),
        ),
    ),
    _quic_drop(
        "quic-drop-answers",
        "What the server answers vanishes, on a path of 160 ms.",
        Setup(Way(client_ms=20, server_ms=60), rules=(DropOn(_QUIC, to_server=False, trigger_too=False),)),
    ),
    _udp_block(
        "udp-block-all-but-names", "All UDP but DNS vanishes.", Setup(Way(), rules=(DropOn(_NOT_NAMES),))
    ),
    _udp_block(
        "udp-block-to-client",
        "The same on the way back.",
        Setup(
            Way(client_ms=10, server_ms=30), rules=(DropOn(_NOT_NAMES, to_server=False, trigger_too=False),)
        ),
    ),
    _udp_block(
        "udp-block-far",
        "The same on a path of 220 ms that loses one packet in a hundred.",
        Setup(Way(client_ms=20, server_ms=90, loss=0.01, seed=21), rules=(DropOn(_NOT_NAMES),)),
    ),
    _media_block(
        "media-block-both-ways",
        "The relay answers STUN, and speech vanishes both ways.",
        Setup(Way(), rules=(Media(),)),
    ),
    _media_block(
        "media-block-one-way",
        "Only the speech to the client vanishes, on a path of 140 ms.",
        Setup(Way(client_ms=15, server_ms=55), rules=(Media(to_server=False),)),
    ),
    _media_block(
        "media-block-later",
        "Speech passes for three seconds and then no more.",
        Setup(Way(), rules=(Media(after_s=3.0),)),
    ),
    _media_block(
        "media-block-stun",
        "STUN to the relay vanishes: no call begins, the chat goes on.",
        Setup(Way(), rules=(DropOn(both(port(UDP, 3478), starts(b"\x00"))),)),
    ),
    Scenario(
        "benign-calls",
        "A call that works, one on hold, one with comfort noise, on a path that loses two packets in a hundred.",
        lambda session: session.at_once(
            lambda: call(session, "call", RELAY, seconds=8),
            lambda: call(session, "call", RELAY, seconds=8, mute_after=3),
            lambda: call(session, "call", RELAY, seconds=8, dtx=True),
            lambda: call(session, "call", RELAY, seconds=5, hang_up=False),
            lambda: whatsapp(session, "chat", WEB, seconds=9),
            apart=0.3,
        ),
        _serve,
        Setup(Way(client_ms=20, server_ms=40, jitter_ms=10, loss=0.02, seed=31)),
        addresses=(WEB, RELAY, RESOLVER, VPN),
        works=("chat",),
        seconds=12,
    ),
    Scenario(
        "benign-call-on-hold",
        "The other one puts the call on hold: no media, but the relay answers; could be taken for blocked media.",
        lambda session: session.at_once(
            lambda: call(session, "call", RELAY, seconds=10),
            lambda: whatsapp(session, "chat", WEB, seconds=10),
            apart=0.3,
        ),
        lambda session: (serve_calls(session, RELAY, quiet_after=3), serve_whatsapp(session, WEB)),  # type: ignore[arg-type, return-value]
        addresses=(WEB, RELAY),
        works=("chat",),
        seconds=13,
    ),
    Scenario(
        "benign-relay-dies",
        "The relay itself dies in the midst of a call; could be taken for blocked media.",
        lambda session: session.at_once(
            lambda: call(session, "call", RELAY, seconds=9),
            lambda: whatsapp(session, "chat", WEB, seconds=9),
            apart=0.3,
        ),
        lambda session: (serve_calls(session, RELAY, dies_after=3), serve_whatsapp(session, WEB)),  # type: ignore[arg-type, return-value]
        addresses=(WEB, RELAY),
        works=("chat",),
        seconds=12,
    ),
    Scenario(
        "benign-quic-lossy",
        "QUIC over a path that loses three packets in a hundred and holds some back.",
        lambda session: session.at_once(
            *(lambda: quic(session, "quic", "www.facebook.com", WEB, timeout=12) for _ in range(3)), apart=0.2
        ),
        _serve,
        Setup(Way(client_ms=20, server_ms=60, jitter_ms=10, loss=0.03, reorder=0.02, seed=33)),
        addresses=(WEB, RELAY, RESOLVER, VPN),
        works=("quic",),
        seconds=9,
    ),
    Scenario(
        "benign-quic-no-server",
        "Nobody listens on UDP port 443, and the host says so by ICMP; could be taken for blocked QUIC.",
        lambda session: session.at_once(
            lambda: quic(session, "quic", "www.facebook.com", WEB, timeout=5),
            lambda: https(session, "tcp", "www.facebook.com", WEB),
            apart=0.3,
        ),
        lambda session: session.services.web(list(_NAMES), addresses=(WEB,)),
        addresses=(WEB,),
        works=("tcp",),
        fails=("quic",),
        seconds=7,
    ),
    Scenario(
        "benign-vpn-server-down",
        "A VPN server that is down, and says so by ICMP; could be taken for a blocked protocol.",
        lambda session: session.at_once(
            lambda: wireguard(session, "vpn", VPN, timeout=11),
            lambda: https(session, "tcp", "www.facebook.com", WEB),
            apart=0.3,
        ),
        lambda session: session.services.web(list(_NAMES), addresses=(WEB,)),
        addresses=(WEB, VPN),
        works=("tcp",),
        fails=("vpn",),
        seconds=13,
    ),
)
