"""A live capture says at any time what a file with its packets so far says, and at the end what the file says."""

from __future__ import annotations

from dataclasses import replace

import pytest

from forensics.analysis import Knowledge, analyze_capture
from forensics.capture import open_capture
from forensics.capture.batch import CaptureNotes
from forensics.capture.record import Recorder
from forensics.live.session import LiveSession
from tests.conftest import REPO_ROOT
from tests.live.flood import flood

CASES = sorted(path for path in (REPO_ROOT / "pcaps").glob("*/capture.*") if path.stat().st_size < 200_000)
"""All that can be open in a flow is open somewhere in them: every collector must bear to be copied in the middle."""


def capture(case):
    return str(next((REPO_ROOT / "pcaps" / case).glob("capture.*")))


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.parent.name)
def test_looking_changes_nothing(path):
    file = analyze_capture(str(path))
    size = max(1, file.notes.packets // 2)
    with open_capture(str(path), batch_packets=size) as reader:
        session = LiveSession(path.name, reader.notes, Knowledge.load())
        for batch in reader:
            session.add(batch)
            if batch.first_frame == 1:
                session.look()
    live = session.finish()
    assert live.findings == file.findings
    assert live.verdicts == file.verdicts
    assert live.limits == file.limits
    assert live.outcomes == file.outcomes
    for name, table in file.tables.items():
        assert live.tables[name].frame().equals(table.frame()), name


def test_a_look_says_what_a_file_of_the_packets_so_far_says(tmp_path):
    path, part = capture("demo-whatsapp-2017"), tmp_path / "part.pcapng"
    with open_capture(path, batch_packets=60) as reader, part.open("wb") as stream:
        session = LiveSession("x", reader.notes, Knowledge.load())
        recorder = Recorder(stream, reader.notes, "tests")
        seen = 0
        for batch in reader:
            session.add(batch)
            recorder.write(batch)
            recorder.flush()
            looked, file = session.look(), analyze_capture(str(part))
            assert looked.findings == file.findings
            assert looked.verdicts == file.verdicts
            seen += len(looked.findings)
    assert seen > 3


def played(horizon, batches, pairs, **options):
    """A flood through a session; the largest sizes that were met."""
    notes = CaptureNotes(file_type="live")
    session = LiveSession("flood", notes, Knowledge.load(), horizon=horizon, **options)
    frame, most = 1, dict.fromkeys(("flows", "pairs", "dns"), 0)
    for number in range(batches):
        part = flood(frame, pairs, names=number % 4 == 3)
        frame += len(part)
        session.add(part)
        if session.full:
            session.trim()
        collectors = session.collectors
        sizes = {
            "flows": collectors.flows.height,
            "pairs": collectors.engine.conversations.pairs,
            "dns": collectors.dns.height,
        }
        most = {name: max(most[name], size) for name, size in sizes.items()}
    return session, most, frame - 1


def test_memory_does_not_grow_with_time():
    """As many flows again change no size of what is kept."""
    short, most, _ = played(25_000, 10, 10_000)
    longer, most_longer, frames = played(25_000, 18, 10_000)
    assert short.earlier.flows > 0
    assert longer.earlier.flows >= 3 * short.earlier.flows // 2
    for name, size in most.items():
        assert most_longer[name] <= max(size, 25_000 + (1 << 16)), name
    kept = longer.finish().tables["flow"].height
    assert kept + longer.earlier.flows == frames // 2, "each flow is judged once, or dropped after it was"


def test_a_flow_that_goes_on_outlives_what_is_dropped():
    notes = CaptureNotes(file_type="live")
    session = LiveSession("flood", notes, Knowledge.load(), horizon=10_000)
    session.add(flood(1, 1))
    frame = 3
    while not session.earlier.flows:
        session.add(flood(frame, 20_000, step=20_000_000))
        frame += 40_000
        again = flood(1, 1, begin=1_700_000_000 * 10**9 + frame * 20_000_000)
        session.add(replace(again, first_frame=frame))
        frame += 2
        if session.full:
            session.trim()
    session.add(replace(flood(1, 1, begin=1_700_000_000 * 10**9 + frame * 20_000_000), first_frame=frame))
    flows = session.finish().tables["flow"].frame()
    mine = flows.filter((flows["client"] == "10.0.0.0") & (flows["client_port"] == 1024))
    assert mine["stream"].to_list() == [0]
    assert mine["first_frame"].to_list() == [1]
    assert mine["last_frame"].to_list() == [frame + 1]


def test_too_many_addresses_begin_anew():
    notes = CaptureNotes(file_type="live")
    session = LiveSession("x", notes, Knowledge.load(), ids=100)
    book = session.decoder.book
    book.extend([number.to_bytes(16, "big") for number in range(101)])
    session.add(flood(1, 5))
    assert session.full
    session.trim()
    assert session.earlier.flows == 5
    assert not session.full
    session.add(flood(11, 5))
    assert session.finish().tables["flow"].height == 5
