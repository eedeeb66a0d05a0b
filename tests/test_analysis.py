"""Where batches are cut changes nothing: not a byte of the report, not a cell of a table."""

from __future__ import annotations

import io
import random

import pytest
from polars.testing import assert_frame_equal

from forensics.analysis import Analysis, analyze_capture
from forensics.errors import CaptureError
from forensics.report.json_format import dump_json
from tests.conftest import REPO_ROOT

CAPTURES = sorted((REPO_ROOT / "pcaps").glob("*/capture.*"))
SMALL, MIDDLE = 16_000, 100_000
"""Bytes: only captures below are read one packet, or a few packets, at a time."""
THOROUGH = {"midflow-start", "dns-race-early-three-answers", "sni-reset-split-hello", "hostile-lengths"}


def text(analysis: Analysis) -> str:
    out = io.StringIO()
    dump_json(analysis, out)
    return out.getvalue()


@pytest.mark.parametrize("path", CAPTURES, ids=lambda path: path.parent.name)
def test_batches_do_not_show(path):
    size = path.stat().st_size
    whole = analyze_capture(str(path))
    report = text(whole)
    some = (1, 7) if size < SMALL else (11,) if size < MIDDLE else (50,)
    for packets in (1, 2, 3, 7, 50) if path.parent.name in THOROUGH else some:
        cut = analyze_capture(str(path), batch_packets=packets)
        for name, table in whole.tables.items():
            assert_frame_equal(cut.tables[name].frame(), table.frame(), check_exact=True)
        assert text(cut) == report, packets


def frames_of(name: str) -> list[bytes]:
    """The records of a little-endian microsecond capture, headers included."""
    raw = (REPO_ROOT / "pcaps" / name / "capture.pcap").read_bytes()
    assert raw[:4] == b"\xd4\xc3\xb2\xa1"
    records, at = [], 24
    while at < len(raw):
        size = int.from_bytes(raw[at + 8 : at + 12], "little")
        records.append(raw[at : at + 16 + size])
        at += 16 + size
    return records


@pytest.mark.parametrize("seed", [1, 2])
def test_a_scrambled_capture_is_read_alike_in_any_batches(seed, tmp_path):
    """Packets of several cases, some twice, some missing, none where it belongs; the clock jumps all the time."""
    rng = random.Random(seed)  # noqa: S311 - reproducible packets
    names = [
        "sni-reset-split-hello",
        "dns-race-early-three-answers",
        "port-reuse-new-stream",
        "midflow-start",
    ]
    records = [record for name in names for record in frames_of(name)]
    records += rng.sample(records, 20)
    rng.shuffle(records)
    path = tmp_path / "scrambled.pcap"
    head = (REPO_ROOT / "pcaps" / names[0] / "capture.pcap").read_bytes()[:24]
    path.write_bytes(head + b"".join(records[:-9]))
    whole = analyze_capture(str(path))
    for packets in (1, 2, 3, 7, 50):
        cut = analyze_capture(str(path), batch_packets=packets)
        for name, table in whole.tables.items():
            assert_frame_equal(cut.tables[name].frame(), table.frame(), check_exact=True)
        assert text(cut) == text(whole)


def test_times_are_those_of_the_earliest_and_the_latest_packet():
    analysis = analyze_capture(str(REPO_ROOT / "pcaps" / "midflow-start" / "capture.pcap"), batch_packets=3)
    flows = analysis.tables["flow"].frame()
    assert (analysis.first_time, analysis.last_time) == (flows["first_time"].min(), flows["last_time"].max())
    assert analysis.name == "capture.pcap"


def test_progress_is_told_after_every_batch():
    path = REPO_ROOT / "pcaps" / "midflow-start" / "capture.pcap"
    told = []
    analysis = analyze_capture(
        str(path), batch_packets=20, progress=lambda done, size: told.append((done, size))
    )
    assert len(told) == -(-analysis.notes.packets // 20)
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    assert {size for _, size in told} == {path.stat().st_size}


def test_no_capture_is_one_error(tmp_path):
    with pytest.raises(CaptureError):
        analyze_capture(str(tmp_path / "missing.pcap"))
