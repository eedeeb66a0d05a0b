"""Transfers that are slow: by a policer or a shaper for one name, or for honest reasons."""

# ruff: noqa: PLR0913 - what differs between scenarios is given one by one

from __future__ import annotations

from collections.abc import Callable

from tests.lab.interference import ALL, Policer, Shaper, sni
from tests.lab.middlebox import Limit, Setup, Way
from tests.lab.scenario import Expect, Scenario, Session
from tests.lab.work_web import https

SLOW, FAST = "104.244.42.1", "104.16.132.229"
_NAMES = ("abs.twimg.com", "news.example")
_TWITTER = sni("abs.twimg.com")


def _serve(session: Session) -> None:
    session.services.web(_NAMES)


def _transfers(path: str, control: str, timeout: float) -> Callable[[Session], None]:
    def work(session: Session) -> None:
        for _ in range(2):
            session.at_once(
                lambda: https(session, "slow", "abs.twimg.com", SLOW, path, timeout=timeout),
                lambda: https(session, "fast", "news.example", FAST, control, timeout=timeout),
                apart=0.5,
            )

    return work


def _limited(
    mechanism: str, name: str, about: str, way: Way, limit: Limit, path: str = "large", timeout: float = 12
) -> Scenario:
    return Scenario(
        f"{mechanism}-{name}",
        about,
        _transfers(path, "large", timeout),
        _serve,
        Setup(way, limits=(limit,)),
        (Expect(mechanism, ("slow",), forged=False),),
        addresses=(SLOW, FAST),
        works=("fast",),
        seconds=2 * timeout + 2,
        alone=True,
        snaplen=800,
    )


def _benign(name: str, about: str, setup: Setup, extra: dict[str, str] | None = None) -> Scenario:
    return Scenario(
        f"benign-speed-{name}",
        about,
        _transfers("large", "large", 14),
        lambda session: session.services.web(_NAMES, extra=extra),
        setup,
        addresses=(SLOW, FAST),
        seconds=20,
        alone=True,
        snaplen=800,
    )


SCENARIOS = (
    _limited(
        "throttling-police",
        "140-kbit",
        "One name is policed to 140 kbit/s, as Twitter in Russia in 2021.",
        Way(client_ms=5, server_ms=25),
        Policer(_TWITTER, 140_000, 20_000),
        "photo",
        15,
    ),
    _limited(
        "throttling-police",
        "1-mbit-far",
        "One name is policed to 1 Mbit/s, on a path of 120 ms.",
        Way(client_ms=10, server_ms=50),
        Policer(_TWITTER, 1_000_000, 60_000),
    ),
    _limited(
        "throttling-police",
        "500-kbit-shared",
        "All connections of one name share a policer of 500 kbit/s.",
        Way(client_ms=5, server_ms=30),
        Policer(_TWITTER, 500_000, 40_000, shared=True),
    ),
    _limited(
        "throttling-shape",
        "300-kbit",
        "One name waits in a queue of 300 kbit/s.",
        Way(client_ms=5, server_ms=25),
        Shaper(_TWITTER, 300_000, 60_000),
        "photo",
        15,
    ),
    _limited(
        "throttling-shape",
        "1-mbit-far",
        "One name waits in a queue of 1 Mbit/s, on a path of 120 ms.",
        Way(client_ms=10, server_ms=50),
        Shaper(_TWITTER, 1_000_000, 120_000),
    ),
    _limited(
        "throttling-shape",
        "600-kbit-deep-queue",
        "A deep queue of 600 kbit/s that drops nothing.",
        Way(client_ms=5, server_ms=30),
        Shaper(_TWITTER, 600_000, 2_000_000),
    ),
    _benign(
        "plan-policed",
        "Everything is policed to the rate of the access plan; could be taken for throttling.",
        Setup(Way(), limits=(Policer(ALL, 2_000_000, 60_000, shared=True),)),
    ),
    _benign(
        "plan-shaped",
        "Everything waits in one queue of 2 Mbit/s.",
        Setup(Way(client_ms=8, server_ms=30), limits=(Shaper(ALL, 2_000_000, 150_000, shared=True),)),
    ),
    _benign(
        "server-paces",
        "The server of one name sends at its own pace; could be taken for shaping.",
        Setup(Way(client_ms=5, server_ms=30)),
        {"abs.twimg.com": "limit_rate 60k;"},
    ),
    _benign(
        "lossy",
        "Two packets in a hundred are lost for everybody.",
        Setup(Way(client_ms=10, server_ms=40, loss=0.02, seed=41)),
    ),
    _benign(
        "far", "A path of 250 ms with jitter.", Setup(Way(client_ms=25, server_ms=100, jitter_ms=8, seed=42))
    ),
    Scenario(
        "benign-speed-slow-reader",
        "A client that reads slowly: its window closes; could be taken for throttling.",
        lambda session: session.at_once(
            lambda: https(session, "slow", "abs.twimg.com", SLOW, "large", rate="100k", timeout=12),
            lambda: https(session, "fast", "news.example", FAST, "large", timeout=12),
            apart=0.3,
        ),
        _serve,
        Setup(Way(client_ms=5, server_ms=25)),
        addresses=(SLOW, FAST),
        works=("fast",),
        seconds=14,
        alone=True,
        snaplen=800,
    ),
)
