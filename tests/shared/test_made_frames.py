"""Link layers and tunnels of which no real capture is at hand, made from their standards: we read what tshark reads."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.capture.build import pcap
from tests.fuzz.frames import LINKS, TUNNELS, link_seeds, outer, tunnel_seeds
from tests.shared.compare import both, differences

DIFFERENT: dict[str, tuple[set[str], str]] = {
    "tunnel-icmp": (
        {"tcp_stream"},
        "an ICMP error that quotes fewer than 16 bytes of TCP takes no stream number from tshark, and one from us",
    ),
    "tunnel-gre": (
        {"ip_headers"},
        "PPP announces IPv4 and IPv6 follows: tshark names both, we what is there",
    ),
    "tunnel-l2tp": ({"ip_headers"}, "the same"),
}
"""Target → checks that differ, and why."""


def check(name: str, frames: list[bytes], linktype: int, folder: Path) -> None:
    path = folder / "made.pcap"
    path.write_bytes(pcap([(1, number, frame) for number, frame in enumerate(frames)], linktype=linktype))
    mine, other = both(path)
    assert len(other.times) == len(frames)
    assert other.layers["tcp"] > 0, "tshark finds nothing inside: the frames are made wrongly"
    found = differences(mine, other)
    assert set(found) == DIFFERENT.get(name, (set(), ""))[0], found


@pytest.mark.usefixtures("tshark")
@pytest.mark.parametrize("linktype", LINKS)
def test_links(linktype: int, tmp_path: Path) -> None:
    name = f"link-{linktype}"
    check(name, link_seeds(linktype), linktype, tmp_path)


@pytest.mark.usefixtures("tshark")
@pytest.mark.parametrize("kind", TUNNELS)
def test_tunnels(kind: str, tmp_path: Path) -> None:
    frames = [frame for seed in tunnel_seeds(kind) for frame in outer(kind, seed)]
    check(f"tunnel-{kind}", frames, 1, tmp_path)
