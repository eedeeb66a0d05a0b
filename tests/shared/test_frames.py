"""Every frame of the real captures and of the corpus, as tshark sees it; see compare.py."""

from __future__ import annotations

import lzma
from pathlib import Path

import pytest

from tests.conftest import NO_SHARED, REPO_ROOT, SHARED_CAPTURES
from tests.shared.compare import (
    KNOWN,
    SUFFIXES,
    Frames,
    both,
    counted,
    differences,
    load_known,
    ranges,
    verdict,
)

CORPUS = REPO_ROOT / "pcaps"
REAL = {
    str(path.relative_to(SHARED_CAPTURES)): path
    for path in sorted(SHARED_CAPTURES.rglob("*"))
    if path.suffix in SUFFIXES
}
MADE = {str(path.relative_to(CORPUS)): path for path in sorted(CORPUS.rglob("*")) if path.suffix in SUFFIXES}


def check(name: str, path: Path) -> None:
    line, good = verdict(name, *both(path))
    assert good, line


@pytest.mark.usefixtures("tshark")
@pytest.mark.parametrize("name", REAL or ["(none)"])
def test_real_frames(name: str) -> None:
    if not REAL:
        pytest.skip(NO_SHARED)
    check(name, REAL[name])


@pytest.mark.usefixtures("tshark")
@pytest.mark.parametrize("name", MADE)
def test_frames_of_the_corpus(name: str) -> None:
    check(name, MADE[name])


def test_known_differences_speak_of_captures_that_exist() -> None:
    if not REAL:
        pytest.skip(NO_SHARED)
    assert set(load_known()) <= {*REAL, *MADE}


def one_frame() -> Frames:
    frames = Frames(times=[7, 8])
    frames.streams["tcp"] = {1: [0], 2: [0, 1]}
    frames.layers["tcp"] = 3
    return frames


def test_equal_views_have_no_difference() -> None:
    assert differences(one_frame(), one_frame()) == {}


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda view: view.times.pop(), {"frames": {"ours": 1, "tshark": 2}}),
        (lambda view: view.times.__setitem__(1, 9), {"time": {"frames": "2"}}),
        (lambda view: view.streams["tcp"][2].reverse(), {"tcp_stream": {"frames": "2"}}),
        (lambda view: view.streams["udp"].update({1: [0]}), {"udp_stream": {"frames": "1"}}),
        (lambda view: view.layers.update(["tcp"]), {"tcp_headers": {"ours": 4, "tshark": 3}}),
        (lambda view: setattr(view, "refused", "no"), {"refused": {"ours": True, "tshark": False}}),
    ],
)
def test_a_difference_is_found(change, found):
    view = one_frame()
    change(view)
    assert differences(view, one_frame()) == found


def test_what_differs_no_more_is_an_error(monkeypatch, tmp_path: Path) -> None:
    listed = tmp_path / KNOWN.name
    listed.write_text("[{capture: a.pcap, check: time, reason: because, frames: '2'}]")
    monkeypatch.setattr("tests.shared.compare.KNOWN", listed)
    late = one_frame()
    late.times[1] = 9
    assert verdict("a.pcap", late, one_frame()) == ("a.pcap: 2 frames: time: because", True)
    assert verdict("a.pcap", one_frame(), one_frame())[1] is False
    late.times[0] = 9
    assert verdict("a.pcap", late, one_frame())[1] is False


def test_ranges_of_frames() -> None:
    assert ranges([7, 1, 2, 3, 9, 10]) == "1-3, 7, 9-10"


@pytest.mark.usefixtures("tshark")
def test_xz_is_unpacked_for_both(tmp_path: Path) -> None:

    path = tmp_path / "capture.pcap.xz"
    path.write_bytes(lzma.compress((CORPUS / "fmt-vlan" / "capture.pcap").read_bytes()))
    mine, other = both(path)
    assert len(mine.times) == len(other.times) > 0


@pytest.mark.parametrize(
    ("layers", "found"),
    [
        ("eth:ethertype:ip:tcp:http", ["ip", "tcp"]),
        ("eth:ethertype:ip:udp:vxlan:eth:ethertype:ipv6:tcp", ["ip", "ipv6", "udp", "tcp"]),
        ("eth:ethertype:ip:icmp:ip:udp:dns", ["ip", "icmp", "udp"]),
        ("raw:ipv6:icmpv6:ipv6:icmpv6", ["ipv6", "icmp"]),
    ],
)
def test_what_is_counted_of_a_frame(layers: str, found: list[str]) -> None:
    assert counted(layers.split(":")) == found
