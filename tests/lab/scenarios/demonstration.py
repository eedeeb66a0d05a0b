"""All at once, as in WhatsApp's case: what a user of a censored network meets within half a minute."""

from __future__ import annotations

from tests.lab.interference import DnsAnswer, DropOn, Reset, ResetOn, both, port, sni, starts
from tests.lab.middlebox import Setup, Way
from tests.lab.packet import UDP
from tests.lab.scenario import SERVER, Expect, Scenario, Session
from tests.lab.scenarios.media import RELAY, Media
from tests.lab.work_call import call, serve_calls
from tests.lab.work_chat import mmtls, serve_mmtls, serve_whatsapp, whatsapp
from tests.lab.work_mail import imap, serve_mail, smtp
from tests.lab.work_vpn import openvpn, serve_openvpn
from tests.lab.work_web import https, look_up

PHOTOS, CHAT, FACEBOOK, WECHAT = "157.240.1.60", "157.240.1.61", "157.240.1.35", "203.205.254.62"
NEWS, MAIL, VPN, RESOLVER = "104.16.132.229", "203.0.113.25", "198.51.100.77", "9.9.9.9"
_NAMES: dict[str, str | tuple[str, ...]] = {
    "mmg.whatsapp.net": PHOTOS,
    "g.whatsapp.net": CHAT,
    "news.example": NEWS,
    "www.facebook.com": FACEBOOK,
}


def _serve(session: Session) -> None:
    session.services.web(["mmg.whatsapp.net", "g.whatsapp.net", "news.example"])
    session.services.names(_NAMES, address=RESOLVER)
    serve_whatsapp(session, CHAT)
    serve_mmtls(session, WECHAT, 8080)
    serve_calls(session, RELAY)
    serve_mail(session, MAIL, ["mail.example"])
    serve_openvpn(session, VPN)


def _day(session: Session) -> None:
    for name in ("g.whatsapp.net", "mmg.whatsapp.net", "news.example"):
        look_up(session, "names", name, RESOLVER)
    for _ in range(2):
        look_up(session, "facebook", "www.facebook.com", RESOLVER)
    session.at_once(
        lambda: whatsapp(session, "chat", CHAT, seconds=16),
        lambda: _photos(session),
        lambda: call(session, "call", RELAY, seconds=10),
        lambda: openvpn(session, "vpn", VPN, timeout=10),
        lambda: smtp(session, "mail", "mail.example", MAIL),
        lambda: imap(session, "mail", "mail.example", MAIL),
        lambda: mmtls(session, "wechat", WECHAT, 8080),
        apart=0.5,
    )
    https(session, "web", "news.example", NEWS, "page")


def _photos(session: Session) -> None:
    https(session, "web", "g.whatsapp.net", PHOTOS, "small")
    for _ in range(3):
        https(session, "photo", "mmg.whatsapp.net", PHOTOS, "photo")


DEMONSTRATION = Scenario(
    "sni-reset-demonstration",
    "Chat, mail and WeChat work; photos are reset by name, calls lose their media, a VPN is cut, a name is poisoned.",
    _day,
    _serve,
    Setup(
        Way(client_ms=8, server_ms=35),
        rules=(
            ResetOn(sni("mmg.whatsapp.net"), (Reset(), Reset(after_ms=1.0), Reset(to=SERVER))),
            DnsAnswer(("www.facebook.com",), ("31.13.94.41",)),
            DropOn(both(port(UDP), starts(b"\x38"))),
            Media(),
        ),
    ),
    (
        Expect("sni-reset", ("photo",)),
        Expect("dns-injection", ("facebook",)),
        Expect("media-block", ("call",)),
        Expect("protocol-block", ("vpn",), instead=("udp-block",)),
    ),
    addresses=(PHOTOS, CHAT, FACEBOOK, WECHAT, RELAY, NEWS, MAIL, VPN, RESOLVER),
    works=("names", "chat", "mail", "wechat", "web"),
    fails=("photo", "call", "vpn"),
    seconds=22,
)
SCENARIOS = (DEMONSTRATION,)
