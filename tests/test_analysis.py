"""Where batches are cut changes nothing: not a byte of the report, not a cell of a table."""

from __future__ import annotations

import io
import random
from collections.abc import Iterator

import pytest
from polars.testing import assert_frame_equal
from rich.console import Console

from forensics.analysis import Analysis, analyze_capture
from forensics.errors import CaptureError
from forensics.observations.collect import Collectors
from forensics.observations.store import TableStore
from forensics.observations.table import FactTable, fact_table
from forensics.report import rows
from forensics.report.json_format import dump_json
from forensics.report.text import text_report
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


STORED = [path for path in CAPTURES if path.stat().st_size < MIDDLE]


@pytest.mark.parametrize("path", STORED, ids=lambda path: path.parent.name)
def test_where_rows_are_kept_and_how_many_are_looked_at_does_not_show(path, monkeypatch):
    whole = analyze_capture(str(path))
    cut = text(analyze_capture(str(path), chunk_rows=1))
    monkeypatch.setattr(Collectors, "finish", lambda self: spilled(FINISH(self)))
    stored = analyze_capture(str(path), chunk_rows=3)
    assert {cut, text(stored)} == {text(whole)}
    assert people(stored) == people(whole)
    for name, table in whole.tables.items():
        assert_frame_equal(stored.tables[name].frame(), table.frame(), check_exact=True)
        assert list(shown(stored.tables[name])) == list(shown(table)), name


FINISH = Collectors.finish


def spilled(tables):
    """The flow and reset tables in stores that had to go to a file, as if flows had ended in another order."""
    for name in ("flow", "reset"):
        frame = fact_table(name, tables[name]).frame()
        store = TableStore(frame.schema, number=name if name == "flow" else None)
        for part in range(3):
            store.append(frame[list(range(part, frame.height, 3))[::-1]])
        store.seal("first_frame" if name == "flow" else "frame")
        tables[name] = store
    return tables


def people(analysis: Analysis) -> str:
    out = io.StringIO()
    text_report(analysis, Console(file=out, width=120))
    return out.getvalue()


def shown(table: FactTable) -> Iterator[str | bytes]:
    """What ``forensics show`` writes in each of its formats."""
    columns = [column.name for column in table.table.columns]
    for write in (rows.write_text, rows.write_csv, rows.write_ndjson):
        stream = io.StringIO()
        write(table, columns, stream)
        yield stream.getvalue()
    binary = io.BytesIO()
    rows.write_parquet(table, columns, binary)
    yield binary.getvalue()


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
