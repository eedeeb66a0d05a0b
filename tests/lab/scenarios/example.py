"""Resets after a TLS name, and the same traffic left alone."""

from __future__ import annotations

from tests.lab.interference import Reset, ResetOn, sni
from tests.lab.middlebox import Setup, Way
from tests.lab.scenario import CLIENT, SERVER, Expect, Scenario, Session
from tests.lab.work_web import https, look_up

WEB, RESOLVER = "157.240.1.60", "203.0.113.53"


def _serve(session: Session) -> None:
    session.services.web(["mmg.whatsapp.net", "g.whatsapp.net"])
    session.services.names({"mmg.whatsapp.net": WEB, "g.whatsapp.net": WEB}, address=RESOLVER)


def _photo_and_text(session: Session) -> None:
    look_up(session, "names", "mmg.whatsapp.net", RESOLVER)
    https(session, "text", "g.whatsapp.net", WEB, "small")
    https(session, "photo", "mmg.whatsapp.net", WEB, "photo")
    https(session, "photo", "mmg.whatsapp.net", WEB, "photo", tls="1.2")


SCENARIOS = (
    Scenario(
        "sni-reset-both-sides",
        "A box beside the path resets both sides after one name; another name at the same address works.",
        _photo_and_text,
        _serve,
        Setup(
            Way(),
            rules=(ResetOn(sni("mmg.whatsapp.net"), (Reset(), Reset(after_ms=1.0), Reset(to="server"))),),
        ),
        (Expect("sni-reset", ("photo",), (CLIENT, SERVER)),),
        addresses=(WEB, RESOLVER),
        works=("names", "text"),
        fails=("photo",),
        seconds=2,
    ),
    Scenario(
        "benign-web-lossy",
        "The same names over a path that loses and jitters: nothing is done to anybody.",
        _photo_and_text,
        _serve,
        Setup(Way(client_ms=15, server_ms=40, jitter_ms=8, loss=0.01, seed=3)),
        addresses=(WEB, RESOLVER),
        works=("text", "photo"),
        seconds=5,
    ),
)
