"""The captures that are measured are what their programs say; the table is not built on sand."""

from __future__ import annotations

import struct
import sys

import dpkt
import pytest

from tests.conftest import REPO_ROOT

FLOWS, LOOKUPS = 40, 10


@pytest.fixture
def programs(monkeypatch):
    """The modules of the benchmark, which is a folder of programs and no package."""
    monkeypatch.syspath_prepend(str(REPO_ROOT / "benchmarks"))
    import big  # noqa: PLC0415 - found only now
    import measure  # noqa: PLC0415 - the same
    import million  # noqa: PLC0415 - the same

    small = {"PACKETS": 3_000, "TLS_FLOWS": FLOWS, "DNS_FLOWS": LOOKUPS, "RETRANSMISSIONS": 20, "BLOCK": 700}
    for name, value in small.items():
        monkeypatch.setattr(million, name, value)
    monkeypatch.setattr(big, "BLOCK", 100_000)
    yield big, million, measure
    for name in ("big", "million", "measure"):
        sys.modules.pop(name, None)


def packets(path):
    with path.open("rb") as file:
        return [(time, dpkt.ethernet.Ethernet(data)) for time, data in dpkt.pcap.Reader(file)]


def conversations(frames):
    ends = (frozenset({(f.ip.src, f.ip.data.sport), (f.ip.dst, f.ip.data.dport)}) for _, f in frames)
    return set(ends)


def test_a_capture_has_what_it_says(programs, tmp_path):
    _, million, _ = programs
    path = tmp_path / "million.pcap"
    million.build(path)
    frames = packets(path)
    assert len(frames) == 3_000
    assert len(conversations(frames)) == FLOWS + LOOKUPS
    again = tmp_path / "again.pcap"
    million.build(again)
    assert again.read_bytes() == path.read_bytes()


def test_copies_are_new_flows_at_later_times(programs, tmp_path):
    big, million, _ = programs
    source, path = tmp_path / "million.pcap", tmp_path / "big.pcap"
    million.build(source)
    size = source.stat().st_size * 2.5
    count = big.build(source, path, size / 1e9)
    frames, original = packets(path), packets(source)
    assert path.stat().st_size <= size < path.stat().st_size + 2_000
    assert count == len(frames)
    assert [bytes(f) for _, f in frames[:3_000]] == [bytes(f) for _, f in original]
    copies = [conversations(frames[at : at + 3_000]) for at in (0, 3_000)]
    assert [len(copy) for copy in copies] == [FLOWS + LOOKUPS] * 2
    assert not copies[0] & copies[1]
    times = [time for time, _ in frames]
    assert times == sorted(times)
    for _, frame in frames[2_990:6_010]:
        words = struct.unpack(">10H", bytes(frame.ip)[:20])
        total = sum(words)
        assert (total & 0xFFFF) + (total >> 16) == 0xFFFF  # RFC 1071


def test_names_of_a_copy_lead_to_its_servers(programs, tmp_path):
    big, million, _ = programs
    source, path = tmp_path / "million.pcap", tmp_path / "big.pcap"
    million.build(source)
    big.build(source, path, source.stat().st_size * 2 / 1e9)
    second = packets(path)[3_000:]
    servers = {f.ip.src for _, f in second if f.ip.p == 6 and f.ip.data.sport == 443}
    answers = {bytes(f.ip.data.data)[-4:] for _, f in second if f.ip.p == 17 and f.ip.data.sport == 53}
    assert len(answers) == LOOKUPS
    assert answers <= servers


def test_memory_is_that_of_the_whole_tree(programs):
    """64 MB in a child of a child, which the program itself never holds."""
    _, _, measure = programs
    child = "import time; b = bytearray(b'x') * 64_000_000; time.sleep(.5)"
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}], check=True)"
    assert measure.run([sys.executable, "-c", parent], memory=True).peak > 64
    with pytest.raises(measure.FailedError, match="exit status 3"):
        measure.run([sys.executable, "-c", "raise SystemExit(3)"], memory=False)


def test_cpu_time_of_children_counts(programs):
    _, _, measure = programs
    child = "import time\nwhile time.process_time() < .3: pass"
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}], check=True)"
    one = measure.run([sys.executable, "-c", parent], memory=False, watch=False)
    assert one.peak == 0
    assert one.cpu >= 0.3
