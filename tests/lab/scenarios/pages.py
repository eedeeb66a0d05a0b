"""Content that is not the server's: block pages, redirects, and certificates of somebody else."""

from __future__ import annotations

from tests.lab.interference import BlockPage, holds
from tests.lab.middlebox import Setup, Way
from tests.lab.scenario import CLIENT, Expect, Scenario, Session
from tests.lab.work_web import http, https, openssl

WEB, OTHER = "104.16.132.229", "151.101.1.140"
_PAGE = (
    b"HTTP/1.1 403 Forbidden\r\nContent-Type: text/html\r\nConnection: close\r\nContent-Length: 97\r\n\r\n"
    b"<html><head><title>Access denied</title></head><body>Blocked by order of the ministry.</body></html>"
)
_REDIRECT = (
    b"HTTP/1.1 302 Found\r\nLocation: http://warning.operator.example/blocked?site=banned.example\r\n"
    b"Content-Length: 0\r\nConnection: close\r\n\r\n"
)


def _serve(session: Session) -> None:
    session.services.web(["banned.example", "news.example"])


def _pages(session: Session) -> None:
    http(session, "other", "news.example", OTHER)
    for _ in range(2):
        http(session, "page", "banned.example", WEB)


def _scenario(name: str, about: str, way: Way, response: bytes, *, drop: bool) -> Scenario:
    rule = BlockPage(holds(b"Host: banned.example"), response, drop=drop)
    return Scenario(
        name,
        about,
        _pages,
        _serve,
        Setup(way, rules=(rule,)),
        (Expect("blockpage-injection", ("page",)),),
        may=(Expect("http-reset", ("page",)),),
        addresses=(WEB, OTHER),
        works=("other",),
        seconds=3,
    )


def _secrets(session: Session) -> None:
    openssl(session, "other", "news.example", OTHER, tls="1.2")
    https(session, "watched", "mmg.whatsapp.net", WEB, "small", tls="1.2", secure=True)
    https(session, "watched", "mmg.whatsapp.net", WEB, "small", tls="1.2", secure=True)


def _mitm(name: str, about: str, way: Way) -> Scenario:
    # to the client the box that answers in the server's place is the server
    return Scenario(
        name,
        about,
        _secrets,
        lambda session: session.services.web(["mmg.whatsapp.net", "news.example"], versions="TLSv1.2"),
        Setup(way),
        (Expect("tls-mitm", ("watched",), (CLIENT,), forged=False),),
        addresses=(WEB, OTHER),
        fails=("watched",),
        seconds=3,
    )


SCENARIOS = (
    _scenario("blockpage-injection-race", "A block page overtakes the page.", Way(), _PAGE, drop=False),
    _scenario(
        "blockpage-injection-in-path",
        "The request goes no further; a block page comes in the server's name.",
        Way(client_ms=10, server_ms=40),
        _PAGE,
        drop=True,
    ),
    _scenario(
        "blockpage-injection-redirect",
        "A redirect to a warning overtakes the page, on a path of 200 ms.",
        Way(client_ms=20, server_ms=80, loss=0.005, seed=12),
        _REDIRECT,
        drop=False,
    ),
    _mitm("tls-mitm-self-signed", "A name of Meta is shown with a certificate that it signed itself.", Way()),
    _mitm("tls-mitm-far", "The same on a path of 180 ms.", Way(client_ms=20, server_ms=70)),
    _mitm("tls-mitm-lossy", "The same where one packet in a hundred is lost.", Way(loss=0.01, seed=2)),
    Scenario(
        "benign-pages-moved",
        "A server that redirects and one that says 404; could be taken for block pages.",
        lambda session: [http(session, "page", name, WEB, "missing") for name in ("a.example", "b.example")],  # type: ignore[arg-type, return-value]
        _serve,
        addresses=(WEB, OTHER),
        seconds=2,
    ),
)
