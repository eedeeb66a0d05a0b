"""The demonstration: WhatsApp text works, photos are reset, Facebook's name is poisoned (as in 2017)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pcaps.generate.dns import Query, lookup
from pcaps.generate.resets import MEDIA, RULE, reset_then_server_hello
from pcaps.generate.tcp import CLIENT, SERVER, Tcp, visit

if TYPE_CHECKING:
    from collections.abc import Callable

    from pcaps.generate.world import Packet, World

FACEBOOK = "157.240.22.35"


def chat(w: World, time: float, address: str, port: int, rounds: int) -> Tcp:
    """WhatsApp's chat connection: a clear prefix, then frames with a three-byte length, some rounds."""
    flow = Tcp(w, w.host(address, 48), port=port, rtt=0.17)
    at = flow.open(time) + 0.002
    rng = w.rng

    def frame(size: int) -> bytes:
        return size.to_bytes(3, "big") + rng.randbytes(size)

    flow.send(CLIENT, at, b"ED\0\1\0\0\4\x08" + rng.randbytes(4) + b"WA\6\3" + frame(36))
    flow.send(SERVER, at + 0.2, frame(350))
    flow.send(CLIENT, at + 0.23, frame(168))
    flow.send(SERVER, at + 0.45, frame(400))
    for number in range(rounds):
        when = at + 3 + number * 6
        flow.send(CLIENT, when, frame(180 + rng.randrange(160)))
        flow.send(SERVER, when + 0.21, frame(60 + rng.randrange(60)))
        flow.send(SERVER, when + 2.5, frame(140 + rng.randrange(300)))
    return flow


def poisoned(w: World, time: float, name: str, forged: tuple[str, str]) -> tuple[Query, list[Packet]]:
    """Two forged answers, unlike each other, race the resolver's true one."""
    query = Query(w, time, name)
    first = query.answer(time + 0.009, [forged[0]], ttl=92, ipid=0x1A2B, df=True, rr_ttl=180)
    second = query.answer(time + 0.0094, [forged[1]], ttl=86, ipid=0x0C41, df=False, rr_ttl=92)
    query.answer(time + 0.0331, [FACEBOOK])
    return query, [first, second]


def whatsapp_2017(w: World) -> None:
    """The pattern that users reported in July 2017."""
    w.story(
        """WhatsApp text works over a long connection (port 5222), photos do not: every TLS connection to
        mmg.whatsapp.net is reset 0.3 RTT after the ClientHello and the server's own answer comes too
        late. facebook.com and www.facebook.com are answered with addresses of Twitter and Dropbox
        before the true answer arrives; the client believes the first answer and its connection attempts
        there go nowhere. WeChat, e-mail and another HTTPS site work.""",
    )
    w.start = 1_500_000_000.0
    # controls
    lookup(w, 0.1, "short.weixin.qq.com", ["203.205.254.100"])
    wechat = w.host("203.205.254.100", 55)
    for when in (0.3, 40.0, 80.0):
        visit(w, when, "short.weixin.qq.com", wechat, rtt=0.035)
    lookup(w, 2.0, "imap.163.com", ["123.126.97.5"])
    mail = Tcp(w, w.host("123.126.97.5", 53, "zero"), port=993, rtt=0.028)
    mail.browse(2.2, "imap.163.com", down=12000)
    lookup(w, 5.0, "www.debian.org", ["130.89.148.77"])
    visit(w, 5.2, "www.debian.org", w.host("130.89.148.77", 46), rtt=0.21, down=30000)
    lookup(w, 60.0, "www.debian.org", ["130.89.148.77"])
    visit(w, 60.2, "www.debian.org", w.host("130.89.148.77", 46), rtt=0.21, down=20000)
    # text
    lookup(w, 7.9, "e5.whatsapp.net", ["157.240.22.53"])
    chat(w, 8.0, "157.240.22.53", 5222, 14)
    # photos
    media = w.host("157.240.22.60", 48)
    lookup(w, 20.0, MEDIA, ["157.240.22.60"])
    flows, hellos, resets, late = [], [], [], []
    for when in (20.2, 24.5, 33.0, 52.0):
        flow = Tcp(w, media, rtt=0.18)
        start = flow.open(when) + 0.001
        hello, copies, genuine = reset_then_server_hello(
            flow, start, MEDIA, copies=3, ttl=97, ipid=0x3C11, df=True
        )
        flows.append(flow)
        hellos += hello
        resets += copies
        late += genuine[:1]
    frames = {"client_hello": hellos, "reset": resets, "after_reset": late}
    w.finding(RULE, "sni-reset", "strong", flows, frames, app="whatsapp", feature="media", target=MEDIA)
    # Facebook
    for when, name, forged in (
        (28.0, "www.facebook.com", ("199.59.148.20", "108.160.166.9")),
        (44.0, "facebook.com", ("108.160.165.212", "199.59.149.136")),
    ):
        query, answers = poisoned(w, when, name, forged)
        # both rules see one and the same thing, and one look-up counts once: either may carry the finding
        w.finding(
            ["dns.inject.race", "dns.poison.known-pool"], "dns-injection", "likely", [query],
            {"query": query.queries, "forged_response": answers}, app="facebook", target=name,
        )  # fmt: skip
        dead = Tcp(w, w.host(forged[0], 50))
        for after in (0.0, 1.0, 3.0, 7.0, 15.0):
            dead.syn(when + 0.012 + after)
    w.never("ip.block.syn-blackhole", "suspected")
    w.verdict("wechat", "text", "ok")
    w.verdict("whatsapp", "text", "ok")
    w.verdict("whatsapp", "media", "blocked")
    w.verdict("facebook", "web", "blocked")


CASES: dict[str, Callable[[World], None]] = {"demo-whatsapp-2017": whatsapp_2017}
