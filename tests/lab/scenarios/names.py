"""Names: answers that race the true one, resolvers that lie, and queries that vanish."""

from __future__ import annotations

from tests.lab.interference import DnsAnswer, DnsDrop
from tests.lab.middlebox import Setup, Way
from tests.lab.scenario import Expect, Scenario, Session
from tests.lab.work_web import https, look_up

WEB, RESOLVER, SECOND = "157.240.1.35", "9.9.9.9", "149.112.112.112"
_TRUE = {
    "www.facebook.com": (WEB, "2a03:2880:f1ff:83::25"),
    "twitter.com": "104.244.42.1",
    "news.example": "104.16.132.229",
}
_ADDRESSES = (WEB, RESOLVER, SECOND, "104.244.42.1")


def _serve(session: Session) -> None:
    session.services.web(["www.facebook.com", "twitter.com"])
    for resolver in (RESOLVER, SECOND):
        session.services.names(_TRUE, address=resolver)


def _ask(session: Session) -> None:
    for _ in range(4):
        look_up(session, "other", "news.example", RESOLVER)
    for _ in range(2):
        look_up(session, "facebook", "www.facebook.com", RESOLVER)
    look_up(session, "facebook-aaaa", "www.facebook.com", RESOLVER, "AAAA")
    look_up(session, "twitter", "twitter.com", RESOLVER)


def _ask_twice(session: Session) -> None:
    for _ in range(4):
        look_up(session, "other", "news.example", RESOLVER)
    for resolver in (RESOLVER, SECOND):
        look_up(session, "facebook", "www.facebook.com", resolver, timeout=2, tries=3)
    https(session, "web", "www.facebook.com", WEB, "small")


def _lies(known: dict[str, str | tuple[str, ...]], *extra: str) -> object:
    def serve(session: Session) -> None:
        session.services.web(["www.facebook.com"])
        session.services.names(_TRUE, address=SECOND)
        session.services.names(known, address=RESOLVER, extra=extra)

    return serve


def _ask_both(session: Session) -> None:
    for name in ("news.example", "www.facebook.com", "twitter.com"):
        for resolver in (RESOLVER, SECOND):
            label = ("other" if name == "news.example" else "lie") if resolver == RESOLVER else "true"
            look_up(session, label, name, resolver)


def _injected(
    name: str,
    about: str,
    setup: Setup,
    labels: tuple[str, ...],
    *,
    instead: tuple[str, ...] = (),
) -> Scenario:
    return Scenario(
        name,
        about,
        _ask,
        _serve,
        setup,
        (Expect("dns-injection", labels, instead=instead),),
        addresses=_ADDRESSES,
        works=("other",),
        seconds=4,
    )


def _tampered(name: str, about: str, known: dict[str, str | tuple[str, ...]], *extra: str) -> Scenario:
    return Scenario(
        name,
        about,
        _ask_both,
        _lies({"news.example": "104.16.132.229", **known}, *extra),  # type: ignore[arg-type]
        Setup(Way(client_ms=3, server_ms=6)),
        (Expect("dns-tampering", ("lie",), instead=("dns-injection",)),),
        addresses=_ADDRESSES,
        works=("other", "true"),
        seconds=3,
    )


SCENARIOS = (
    _injected(
        "dns-injection-race",
        "One false answer overtakes the true one, from an address pool of the injector.",
        Setup(
            Way(), rules=(DnsAnswer(("www.facebook.com", "twitter.com"), ("31.13.94.41", "2001::6ca0:a76f")),)
        ),
        ("facebook", "facebook-aaaa", "twitter"),
    ),
    _injected(
        "dns-injection-two-answers",
        "Two different false answers for each query, on a path of 180 ms.",
        Setup(
            Way(client_ms=20, server_ms=70),
            rules=(
                DnsAnswer(("www.facebook.com",), ("31.13.94.41",), ttl=55, ipid=0),
                DnsAnswer(
                    ("www.facebook.com",),
                    ("69.171.247.32",),
                    ttl=140,
                    df=True,
                    after_ms=1.6,
                    flags=0x8180,
                    seed=3,
                ),
            ),
        ),
        ("facebook",),
    ),
    _injected(
        "dns-injection-in-path",
        "The query goes no further; a false answer with a private address comes instead.",
        Setup(
            Way(),
            rules=(
                DnsAnswer(("www.facebook.com", "twitter.com"), ("10.10.34.35", "::1"), drop=True, ttl=60),
            ),
        ),
        ("facebook", "facebook-aaaa", "twitter"),
        # without the true answer it looks like a resolver that lies
        instead=("dns-tampering",),
    ),
    _tampered(
        "dns-tampering-bogon",
        "The resolver itself answers with a private address.",
        {"www.facebook.com": "10.10.34.36", "twitter.com": "10.10.34.36"},
    ),
    _tampered(
        "dns-tampering-same-address",
        "The resolver itself sends two unrelated names to one other address.",
        {"www.facebook.com": "212.47.236.80", "twitter.com": "212.47.236.80"},
    ),
    _tampered(
        "dns-tampering-nxdomain",
        "The resolver says that the names do not exist.",
        {},
        "--address=/facebook.com/",
        "--address=/twitter.com/",
    ),
    Scenario(
        "dns-drop-one-name",
        "Queries for one name vanish, whoever is asked.",
        _ask_twice,
        _serve,
        Setup(Way(), rules=(DnsDrop(("www.facebook.com",)),)),
        (Expect("dns-drop", ("facebook",)),),
        addresses=_ADDRESSES,
        works=("other", "web"),
        fails=("facebook",),
        seconds=15,
    ),
    Scenario(
        "dns-drop-far",
        "The same on a path of 160 ms that loses one packet in a hundred.",
        _ask_twice,
        _serve,
        Setup(Way(client_ms=20, server_ms=60, loss=0.01, seed=8), rules=(DnsDrop(("www.facebook.com",)),)),
        (Expect("dns-drop", ("facebook",)),),
        addresses=_ADDRESSES,
        works=("web",),
        fails=("facebook",),
        seconds=15,
    ),
    Scenario(
        "dns-drop-two-names",
        "Queries for two names vanish.",
        lambda session: (_ask_twice(session), look_up(session, "facebook", "twitter.com", RESOLVER, tries=3)),  # type: ignore[arg-type, return-value]
        _serve,
        Setup(Way(client_ms=2, server_ms=10), rules=(DnsDrop(("www.facebook.com", "twitter.com")),)),
        (Expect("dns-drop", ("facebook",)),),
        addresses=_ADDRESSES,
        works=("other", "web"),
        fails=("facebook",),
        seconds=20,
    ),
    Scenario(
        "benign-names-lossy",
        "Look-ups over a path that loses three packets in a hundred and holds some back.",
        _ask_twice,
        _serve,
        Setup(Way(client_ms=20, server_ms=60, jitter_ms=20, loss=0.03, reorder=0.02, seed=9)),
        addresses=_ADDRESSES,
        seconds=12,
    ),
    Scenario(
        "benign-names-round-robin",
        "A resolver that answers with several addresses in turn; could be taken for answers that disagree.",
        lambda session: [look_up(session, "names", "pool.example", RESOLVER) for _ in range(6)],  # type: ignore[arg-type, return-value]
        lambda session: session.services.names(
            {"pool.example": ("104.16.1.1", "104.16.1.2", "104.16.1.3")}, address=RESOLVER
        ),
        addresses=(RESOLVER,),
        works=("names",),
        seconds=2,
    ),
    Scenario(
        "benign-names-no-such-name",
        "Names that do not exist, here and elsewhere.",
        lambda session: [
            look_up(session, "nothing", name, RESOLVER)
            for name in ("nonsense.example", "printer.lan", "wpad")
        ],  # type: ignore[arg-type, return-value]
        lambda session: session.services.names(
            _TRUE, address=RESOLVER, extra=("--address=/example/", "--address=/lan/", "--address=/wpad/")
        ),
        addresses=(RESOLVER,),
        fails=("nothing",),
        seconds=2,
    ),
    Scenario(
        "benign-names-dead-resolver",
        "One of two resolvers is down for every name; could be taken for queries that are dropped.",
        lambda session: [
            look_up(session, "first" if resolver == SECOND else "second", name, resolver, tries=2)
            for name in ("www.facebook.com", "twitter.com", "news.example")
            for resolver in (SECOND, RESOLVER)
        ],  # type: ignore[arg-type, return-value]
        lambda session: session.services.names(_TRUE, address=RESOLVER),
        Setup(Way(), rules=(DnsDrop(()),)),
        addresses=(RESOLVER, "149.112.112.113"),
        works=("second",),
        fails=("first",),
        seconds=16,
    ),
)
