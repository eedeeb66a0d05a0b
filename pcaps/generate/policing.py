"""Downloads that are policed, and downloads that are slow for other reasons."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pcaps.generate import tls
from pcaps.generate.bulk import Download, Path
from pcaps.generate.dns import lookup
from pcaps.generate.tcp import CLIENT, SERVER, Tcp

if TYPE_CHECKING:
    from collections.abc import Callable

    from pcaps.generate.world import Host, Packet, World

RULE = "tput.police.token-bucket"
IMAGES = "pbs.twimg.com"
IMAGES_ADDRESS = "104.244.42.72"
CONTROL = "cdn.kernel.org"
CONTROL_ADDRESS = "151.101.1.176"


@dataclass
class Transfer:
    """A finished download."""

    flow: Tcp
    hello: list[Packet]
    download: Download
    end: float


def fetch(  # noqa: PLR0913 - one argument a property of what is staged
    world: World, time: float, sni: str, server: Host, path: Path, size: int, most: int = 400
) -> Transfer:
    """A TLS connection with one download of about ``size`` bytes."""
    flow = Tcp(world, server, rtt=path.rtt)
    start = flow.open(time) + 0.001
    hello = flow.hello(start, sni)
    flow.server_hello(start + flow.rtt + 0.002)
    asked = start + flow.rtt + 0.006
    flow.send(CLIENT, asked, tls.client_finished(world.rng) + tls.data(world.rng, 400))
    download = Download(flow, path, size // flow.mss, most)
    end = download.run(asked + flow.rtt / 2)
    flow.close(end + 0.05)
    return Transfer(flow, hello, download, end)


def control(world: World, time: float, path: Path | None = None, size: int = 1_200_000) -> Transfer:
    """Another site at the same time."""
    server = world.host(CONTROL_ADDRESS, 56)
    lookup(world, time - 0.1, CONTROL, [CONTROL_ADDRESS])
    return fetch(world, time, CONTROL, server, path or Path(0.03, 20e6), size)


def police_with_control(w: World) -> None:
    """One flow is policed, one is not."""
    w.story(
        """A download from pbs.twimg.com passes 60 kB at line rate, then a token bucket lets 140 kbit/s
        through: losses in clusters, RTT flat. In the same minute cdn.kernel.org delivers at up to 20
        Mbit/s.""",
        "police-not-shaper",
    )
    lookup(w, 0.0, IMAGES, [IMAGES_ADDRESS])
    server = w.host(IMAGES_ADDRESS, 50)
    slow = fetch(w, 0.2, IMAGES, server, Path(0.05, 20e6, 140e3, 60e3), 560_000)
    fast = control(w, 12.0)
    losses = slow.download.repaired
    w.finding(
        RULE,
        "throttling-police",
        "suspected",
        [slow.flow],
        {"loss": [losses[0], losses[-1]], "control": [fast.flow.first]},
        app="twitter",
        feature="media",
        target=IMAGES,
    )


def police_two_flows(w: World) -> None:
    """Two flows of one app are held to the same rate."""
    w.story(
        """Two downloads of Twitter, from different addresses one after the other, are both policed to 240
        kbit/s after 30 kB; the control before and between them runs at up to 20 Mbit/s.""",
        "police-not-all-slow",
    )
    video = "video.twimg.com"
    lookup(w, 0.0, IMAGES, [IMAGES_ADDRESS])
    control(w, 0.5)
    one = fetch(w, 3.0, IMAGES, w.host(IMAGES_ADDRESS, 50), Path(0.06, 20e6, 240e3, 30e3), 500_000)
    lookup(w, one.end + 1, video, ["104.244.42.136"])
    control(w, one.end + 2)
    two = fetch(
        w, one.end + 4, video, w.host("104.244.42.136", 50, "zero"), Path(0.06, 20e6, 240e3, 30e3), 500_000
    )
    for slow, name in ((one, IMAGES), (two, video)):
        losses = slow.download.repaired
        w.finding(
            RULE,
            "throttling-police",
            "suspected",
            [slow.flow],
            {"loss": [losses[0], losses[-1]]},
            app="twitter",
            feature="media",
            target=name,
        )


def not_shaper(w: World) -> None:
    """A queue, not a policer."""
    w.story(
        """As police-140kbit-with-control, but the 140 kbit/s come from a queue: no loss, a smooth rate,
        RTT up to 2 s.""",
        "police-140kbit-with-control",
    )
    lookup(w, 0.0, IMAGES, [IMAGES_ADDRESS])
    fetch(w, 0.2, IMAGES, w.host(IMAGES_ADDRESS, 50), Path(0.05, 140e3), 480_000, most=23)
    control(w, 12.0)
    w.never(RULE)


def not_all_slow(w: World) -> None:
    """The access line polices everything."""
    w.story(
        """As police-two-flows-same-rate, but the control is policed to the same rate: the access plan, not
        the app.""",
        "police-two-flows-same-rate",
    )
    video = "video.twimg.com"
    lookup(w, 0.0, IMAGES, [IMAGES_ADDRESS])
    lookup(w, 0.1, video, ["104.244.42.136"])
    control(w, 0.5, Path(0.03, 20e6, 240e3, 30e3), 400_000)
    fetch(w, 3.0, IMAGES, w.host(IMAGES_ADDRESS, 50), Path(0.06, 20e6, 240e3, 30e3), 500_000)
    fetch(w, 9.0, video, w.host("104.244.42.136", 50, "zero"), Path(0.06, 20e6, 240e3, 30e3), 400_000)
    w.never(RULE, "suspected")


def not_chat(w: World) -> None:
    """Nothing is held back; there is little to say."""
    w.story(
        """A chat that sends 2 kbit/s for 20 minutes without loss beside a fast control: slow because
        nobody has more to say.""",
        "police-140kbit-with-control",
    )
    lookup(w, 0.0, "api.twitter.com", ["104.244.42.2"])
    flow = Tcp(w, w.host("104.244.42.2", 50), rtt=0.05)
    start = flow.open(0.2) + 0.001
    flow.hello(start, "api.twitter.com")
    flow.server_hello(start + flow.rtt + 0.002)
    flow.send(CLIENT, start + flow.rtt + 0.006, tls.client_finished(w.rng))
    for number in range(300):
        when = 1 + number * 4.0
        flow.send(CLIENT, when, tls.data(w.rng, 120))
        flow.send(SERVER, when + 0.4, tls.data(w.rng, 995))
    control(w, 60.0)
    w.never(RULE)


def not_random_loss(w: World) -> None:
    """A lossy path, but a fast one."""
    w.story(
        """A download with 1 % random loss, spread evenly, that still runs at several Mbit/s; the control
        is a little faster.""",
        "police-140kbit-with-control",
    )
    lookup(w, 0.0, IMAGES, [IMAGES_ADDRESS])
    fetch(w, 0.2, IMAGES, w.host(IMAGES_ADDRESS, 50), Path(0.03, 20e6, loss=0.01), 3_000_000)
    control(w, 1.0)
    w.never(RULE)


CASES: dict[str, Callable[[World], None]] = {
    "police-140kbit-with-control": police_with_control,
    "police-two-flows-same-rate": police_two_flows,
    "police-not-shaper": not_shaper,
    "police-not-all-slow": not_all_slow,
    "police-not-chat": not_chat,
    "police-not-random-loss": not_random_loss,
}
