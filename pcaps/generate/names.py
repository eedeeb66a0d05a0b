"""DNS answers, forged and honest."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pcaps.generate.dns import Query, lookup
from pcaps.generate.tcp import visit
from pcaps.generate.world import Host, World

if TYPE_CHECKING:
    from collections.abc import Callable

RACE, BOGON, POOL = "dns.inject.race", "dns.poison.bogon", "dns.poison.known-pool"
UNSPECIFIED = "0.0.0.0"  # noqa: S104 - a DNS answer, no socket
HONEST = (
    ("www.debian.org", "130.89.148.77"),
    ("www.python.org", "151.101.0.223"),
    ("www.iana.org", "192.0.46.8"),
    ("www.kernel.org", "145.40.73.55"),
)


def baseline(w: World, resolver: Host | None = None) -> None:
    """Honest look-ups before and after, which show the resolver's usual TTL and delay; one site is seen."""
    for number, (name, address) in enumerate(HONEST):
        lookup(w, 0.1 + number * 2, name, [address], resolver=resolver)
    visit(w, 2.3, "www.python.org", w.host("151.101.0.223", 57), rtt=0.02)


def race_df(w: World) -> None:
    """Two answers, one of them forged."""
    w.story(
        """One query for www.torproject.org, two answers: the first after 7 ms with DF set and TTL 92, the
        second from the resolver after 31 ms as all its others, with another address.""",
        "dns-race-not-identical-copies",
    )
    baseline(w)
    query = Query(w, 3.0, "www.torproject.org")
    query.answer(3.007, ["185.45.7.97"], ttl=92, ipid=0x51AC, df=True)
    query.answer(3.0312, ["116.202.120.165"])
    w.finding(
        RACE, "dns-injection", "likely", [query],
        {"query": query.queries, "response": query.responses}, target="www.torproject.org",
    )  # fmt: skip


def race_three(w: World) -> None:
    """Two forgers and the resolver."""
    w.story(
        """Three answers to one query: two forged ones after 4 ms (AA set, TTL mirrored from the query; AA
        clear, TTL 71), each with an address of its own, and the true one after 31 ms. Twice, for two
        names.""",
        "dns-race-not-retransmitted-query",
    )
    w.client = Host("10.43.7.2", 128, "counter", last_ipid=4000)
    baseline(w)
    for when, name, truth in ((3.0, "www.hrw.org", "104.21.27.140"), (5.0, "www.rfa.org", "104.18.21.226")):
        query = Query(w, when, name)
        query.answer(when + 0.0041, [f"185.45.{6 + round(when) % 2}.103"], ttl=128, ipid=0, df=False, aa=1)
        query.answer(when + 0.0046, [f"93.123.23.{round(when)}"], ttl=71, ipid=0x77F0, df=True)
        query.answer(when + 0.0318, [truth])
        w.finding(
            RACE, "dns-injection", "likely", [query],
            {"query": query.queries, "response": query.responses}, target=name,
        )  # fmt: skip


def race_not_copies(w: World) -> None:
    """A mirror port shows each answer twice."""
    w.story(
        """As dns-race-df-differs, but the two answers are byte-identical, IP-ID included: a mirror port
        doubled the packet.""",
        "dns-race-df-differs",
    )
    baseline(w)
    query = Query(w, 3.0, "www.torproject.org")
    for when in (3.0312, 3.0313):
        query.answer(when, ["116.202.120.165"], ipid=0x51AC)
    w.never(RACE)


def race_not_retransmitted(w: World) -> None:
    """Two queries, two answers."""
    w.story(
        """As dns-race-early-three-answers, but the client asks twice, with one transaction id, and a
        content network answers each time with another of its addresses, at the usual delay.""",
        "dns-race-early-three-answers",
    )
    w.client = Host("10.43.7.2", 128, "counter", last_ipid=4000)
    baseline(w)
    query = Query(w, 3.0, "www.hrw.org")
    query.ask(4.0)
    query.answer(4.0315, ["104.21.27.140"])
    query.answer(4.0412, ["172.67.142.93"])
    w.never(RACE)


def bogon_notice(w: World) -> None:
    """A national notice address."""
    w.story(
        """www.bbc.com and www.dw.com are answered with 10.10.34.35 by something that copies the query's
        TTL; other names get their own addresses from the same resolver.""",
        "dns-bogon-not-home-arpa",
    )
    baseline(w)
    for when, name in ((3.0, "www.bbc.com"), (5.0, "www.dw.com")):
        query = Query(w, when, name)
        answer = query.answer(when + 0.012, ["10.10.34.35"], ttl=64, ipid=0, df=False)
        w.finding(
            BOGON, "dns-tampering", "suspected", [query],
            {"query": query.queries, "response": [answer]}, target=name,
        )  # fmt: skip


def bogon_loopback(w: World) -> None:
    """The client is sent to itself."""
    w.story(
        """www.twitter.com is answered with ::1 (AAAA) and 127.0.0.1 (A), after 9 ms and with another TTL
        than the resolver's; other names get their own addresses.""",
        "dns-bogon-not-blocker",
    )
    baseline(w)
    for when, qtype, address in ((3.0, "AAAA", "::1"), (3.2, "A", "127.0.0.1")):
        query = Query(w, when, "www.twitter.com", qtype)
        answer = query.answer(when + 0.009, [address], ttl=59, ipid=0x0101, df=False)
        w.finding(
            BOGON, "dns-tampering", "suspected", [query],
            {"query": query.queries, "response": [answer]}, app="twitter", target="www.twitter.com",
        )  # fmt: skip


def bogon_not_home(w: World) -> None:
    """A name that belongs at home."""
    w.story(
        """As dns-bogon-10.10.34.35, but the name is nas.home.arpa (RFC 8375) and its address 10.0.0.5: a
        home network.""",
        "dns-bogon-10.10.34.35",
    )
    router = Host("192.168.1.1", 64, "zero")
    baseline(w, router)
    lookup(w, 3.0, "nas.home.arpa", ["10.0.0.5"], resolver=router)
    lookup(w, 5.0, "printer.local.lan", ["192.168.1.9"], resolver=router)
    w.never(BOGON)


def bogon_not_blocker(w: World) -> None:
    """An ad blocker at home."""
    w.story(
        """As dns-bogon-loopback-aaaa, but it is the household's own resolver at 192.168.1.1 that answers
        0.0.0.0, and for names of advertising only: the user's ad blocker.""",
        "dns-bogon-loopback-aaaa",
    )
    router = Host("192.168.1.1", 64, "zero")
    baseline(w, router)
    for number, name in enumerate(("ad.doubleclick.net", "pagead2.googlesyndication.com", "ads.adnxs.com")):
        lookup(w, 3.0 + number / 4, name, [UNSPECIFIED], resolver=router, delay=0.0004)
    w.never(BOGON, "suspected")


def pool_twitter(w: World) -> None:
    """Twitter's name, Facebook's address."""
    w.story(
        """twitter.com is answered with 31.13.95.17, an address of Facebook's that forgers use; no second
        answer comes.""",
        "dns-pool-not-facebook-itself",
    )
    baseline(w)
    query = Query(w, 3.0, "twitter.com")
    answer = query.answer(3.006, ["31.13.95.17"], ttl=88, ipid=0x22B1, df=True)
    w.finding(
        POOL, "dns-injection", "suspected", [query],
        {"query": query.queries, "forged_response": [answer]}, app="twitter", target="twitter.com",
    )  # fmt: skip


def pool_aaaa(w: World) -> None:
    """The same over AAAA."""
    w.story(
        """The AAAA answers for twitter.com and api.twitter.com are Facebook addresses of the family
        2a03:2880:f1xx::face:b00c:0:25de.""",
        "dns-pool-not-other-address",
    )
    baseline(w)
    for when, name, address in (
        (3.0, "twitter.com", "2a03:2880:f10c:83:face:b00c:0:25de"),
        (5.0, "api.twitter.com", "2a03:2880:f11b:83:face:b00c:0:25de"),
    ):
        query = Query(w, when, name, "AAAA")
        answer = query.answer(when + 0.0055, [address], ttl=81, ipid=0x0D10, df=False)
        w.finding(
            POOL, "dns-injection", "suspected", [query],
            {"query": query.queries, "forged_response": [answer]}, app="twitter", target=name,
        )  # fmt: skip


def pool_not_facebook(w: World) -> None:
    """Facebook's name, Facebook's address."""
    w.story(
        """As dns-pool-twitter-facebook-range, but the name is facebook.com, whose address this is; the
        site then works.""",
        "dns-pool-twitter-facebook-range",
    )
    baseline(w)
    for when, name in ((3.0, "facebook.com"), (3.5, "www.facebook.com")):
        lookup(w, when, name, ["31.13.95.17"])
        visit(w, when + 0.1, name, w.host("31.13.95.17", 53))
    w.never(POOL)
    w.verdict("facebook", "web", "ok")


def pool_not_other(w: World) -> None:
    """Twitter's name, Twitter's address."""
    w.story(
        "As dns-pool-aaaa-face-b00c, but twitter.com has its own address 104.244.42.1, and the site works.",
        "dns-pool-aaaa-face-b00c",
    )
    baseline(w)
    for when, name in ((3.0, "twitter.com"), (3.5, "api.twitter.com")):
        lookup(w, when, name, ["104.244.42.1"])
        visit(w, when + 0.1, name, w.host("104.244.42.1", 53))
    w.never(POOL)
    w.verdict("twitter", "web", "ok")


CASES: dict[str, Callable[[World], None]] = {
    "dns-race-df-differs": race_df,
    "dns-race-early-three-answers": race_three,
    "dns-race-not-identical-copies": race_not_copies,
    "dns-race-not-retransmitted-query": race_not_retransmitted,
    "dns-bogon-10.10.34.35": bogon_notice,
    "dns-bogon-loopback-aaaa": bogon_loopback,
    "dns-bogon-not-home-arpa": bogon_not_home,
    "dns-bogon-not-blocker": bogon_not_blocker,
    "dns-pool-twitter-facebook-range": pool_twitter,
    "dns-pool-aaaa-face-b00c": pool_aaaa,
    "dns-pool-not-facebook-itself": pool_not_facebook,
    "dns-pool-not-other-address": pool_not_other,
}
