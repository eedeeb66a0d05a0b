"""Forged resets: after a TLS name, after a Host header, to a SYN, and for a while afterwards."""

from __future__ import annotations

from tests.lab.interference import DropOn, Reset, ResetOn, SynReset, holds, sni
from tests.lab.middlebox import Setup, Way
from tests.lab.scenario import CLIENT, SERVER, Expect, Scenario, Session
from tests.lab.work_web import http, https, look_up

MEDIA, TEXT, OTHER, RESOLVER = "157.240.1.60", "157.240.1.61", "104.16.132.229", "203.0.113.53"
MEDIA6 = "2a03:2880:f258:cd::60"
_NAMES = {"mmg.whatsapp.net": MEDIA, "g.whatsapp.net": MEDIA, "news.example": OTHER}
_BOTH = (CLIENT, SERVER)
_VOLLEY = tuple(
    Reset(to=to, ttl=130, ipid=4711, df=True, after_ms=1.0 + n * 0.1) for to in _BOTH for n in range(3)
)


def _serve(session: Session) -> None:
    session.services.web(list(_NAMES))
    session.services.names(_NAMES, address=RESOLVER)


def _photos(session: Session) -> None:
    look_up(session, "names", "mmg.whatsapp.net", RESOLVER)
    https(session, "text", "g.whatsapp.net", MEDIA, "small")
    for tls in ("1.3", "1.2", "1.3"):
        https(session, "photo", "mmg.whatsapp.net", MEDIA, "photo", tls=tls)
    https(session, "other", "news.example", OTHER, "page")


def _photos6(session: Session) -> None:
    https(session, "text", "g.whatsapp.net", MEDIA6, "small")
    https(session, "photo", "mmg.whatsapp.net", MEDIA6, "photo")
    https(session, "photo", "mmg.whatsapp.net", MEDIA6, "photo")


def _pages(session: Session) -> None:
    http(session, "other", "news.example", OTHER)
    for _ in range(2):
        http(session, "page", "banned.example", OTHER)


def _two_addresses(session: Session) -> None:
    https(session, "other", "news.example", OTHER)
    for _ in range(3):
        https(session, "photo", "mmg.whatsapp.net", MEDIA, timeout=5)


def _trigger_and_after(session: Session) -> None:
    https(session, "before", "g.whatsapp.net", MEDIA, "small")
    https(session, "photo", "mmg.whatsapp.net", MEDIA, "photo", timeout=4)
    for _ in range(3):
        https(session, "after", "g.whatsapp.net", MEDIA, "small", timeout=4)
    https(session, "elsewhere", "g.whatsapp.net", TEXT, "small")
    session.wait(11)
    https(session, "later", "g.whatsapp.net", MEDIA, "small")


def _residual(name: str, about: str, setup: Setup) -> Scenario:
    return Scenario(
        name,
        about,
        _trigger_and_after,
        _serve,
        setup,
        (Expect("residual-block", ("after",), forged=False),),
        may=(
            Expect("sni-reset", ("photo", "after")),
            Expect("sni-drop", ("photo", "after")),
            Expect("ip-block", ("after",)),
        ),
        addresses=(MEDIA, TEXT, OTHER, RESOLVER),
        works=("before", "elsewhere", "later"),
        fails=("photo", "after"),
        seconds=32,
    )


_HTTPS = {
    "work": _photos, "serve": _serve, "addresses": (MEDIA, OTHER, RESOLVER), "works": ("names", "text", "other"),
    "fails": ("photo",), "seconds": 4,
}  # fmt: skip
_HTTP = {
    "work": _pages, "serve": _serve, "addresses": (OTHER,), "works": ("other",), "fails": ("page",), "seconds": 4,
}  # fmt: skip
_SYN = {
    "work": _two_addresses, "serve": _serve, "addresses": (MEDIA, OTHER), "works": ("other",), "fails": ("photo",),
    "seconds": 5,
}  # fmt: skip

SCENARIOS = (
    Scenario(
        "sni-reset-three-copies-far",
        "Three equal resets with DF each way, on a path of 240 ms that loses one packet in a hundred.",
        setup=Setup(
            Way(client_ms=12, server_ms=108, client_hops=6, server_hops=12, loss=0.01, seed=5),
            rules=(ResetOn(sni("mmg.whatsapp.net"), _VOLLEY),),
        ),
        expect=(Expect("sni-reset", ("photo",), _BOTH),),
        **_HTTPS,
    ),
    Scenario(
        "sni-reset-client-only-payload",
        "One reset to the client alone, with ten bytes of payload, IP-ID 1, and close to the client's network.",
        setup=Setup(
            Way(client_ms=2, server_ms=30, client_hops=3),
            rules=(
                ResetOn(
                    sni("mmg.whatsapp.net"),
                    (Reset(ttl=58, ipid=1, payload=bytes([1, 2, 3, 4, 5, 6, 7, 8, 9, 0]), after_ms=0.3),),
                ),
            ),
        ),
        expect=(Expect("sni-reset", ("photo",)),),
        **_HTTPS,
    ),
    Scenario(
        "sni-reset-in-path",
        "A box in the path drops the hello and resets the client with a TTL like that of the server.",
        setup=Setup(
            Way(), rules=(ResetOn(sni("mmg.whatsapp.net"), (Reset(ttl=51, after_ms=0.2),), drop=True),)
        ),
        expect=(Expect("sni-reset", ("photo",)),),
        **_HTTPS,
    ),
    Scenario(
        "sni-reset-ipv6",
        "Resets without ACK both ways over IPv6.",
        work=_photos6,
        serve=_serve,
        setup=Setup(
            Way(client_ms=6, server_ms=45),
            rules=(
                ResetOn(
                    sni("mmg.whatsapp.net"), (Reset(ack=False, ttl=200), Reset(to=SERVER, ack=False, ttl=200))
                ),
            ),
        ),
        expect=(Expect("sni-reset", ("photo",), _BOTH),),
        addresses=(MEDIA6,),
        works=("text",),
        fails=("photo",),
        seconds=3,
    ),
    Scenario(
        "http-reset-host",
        "Resets both ways after a request with one Host header.",
        setup=Setup(Way(), rules=(ResetOn(holds(b"Host: banned.example"), (Reset(), Reset(to=SERVER))),)),
        expect=(Expect("http-reset", ("page",), _BOTH),),
        **_HTTP,
    ),
    Scenario(
        "http-reset-three-copies",
        "Three equal resets to the client on a slow path.",
        setup=Setup(
            Way(client_ms=20, server_ms=90), rules=(ResetOn(holds(b"Host: banned.example"), _VOLLEY),)
        ),
        expect=(Expect("http-reset", ("page",), _BOTH),),
        **_HTTP,
    ),
    Scenario(
        "http-reset-in-path",
        "The request is dropped and the client reset.",
        setup=Setup(Way(), rules=(ResetOn(holds(b"Host: banned.example"), (Reset(ack=False),), drop=True),)),
        expect=(Expect("http-reset", ("page",)),),
        **_HTTP,
    ),
    Scenario(
        "handshake-reset-rst-ack",
        "Every SYN to one address is answered with RST+ACK and goes no further.",
        setup=Setup(Way(), rules=(SynReset((MEDIA,)),)),
        expect=(Expect("handshake-reset", ("photo",)),),
        **_SYN,
    ),
    Scenario(
        "handshake-reset-beside-path",
        "A reset to the SYN while the SYN goes on: the server's SYN/ACK comes after it.",
        setup=Setup(Way(client_ms=4, server_ms=60), rules=(SynReset((MEDIA,), drop=False),)),
        expect=(Expect("handshake-reset", ("photo",)),),
        **_SYN,
    ),
    Scenario(
        "handshake-reset-near-ttl",
        "The reset comes from a device two hops away, and at once.",
        setup=Setup(Way(client_ms=1, server_ms=90, client_hops=2), rules=(SynReset((MEDIA,), ttl=253),)),
        expect=(Expect("handshake-reset", ("photo",)),),
        **_SYN,
    ),
    _residual(
        "residual-block-reset",
        "After a forbidden name all connections to the same address and port are reset for some seconds.",
        Setup(
            Way(),
            rules=(ResetOn(sni("mmg.whatsapp.net"), (Reset(), Reset(to=SERVER)), residual_s=8),),
        ),
    ),
    _residual(
        "residual-block-drop",
        "After a forbidden name nothing passes to the same address and port for some seconds.",
        Setup(Way(client_ms=8, server_ms=30), rules=(DropOn(sni("mmg.whatsapp.net"), residual_s=20),)),
    ),
    _residual(
        "residual-block-reset-far",
        "The same as the first on a path of 200 ms, with three equal resets.",
        Setup(
            Way(client_ms=15, server_ms=85),
            rules=(ResetOn(sni("mmg.whatsapp.net"), _VOLLEY, residual_s=9),),
        ),
    ),
)
