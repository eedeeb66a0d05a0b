"""A live capture says at any time what a file with its packets so far says, and at the end what the file says."""

from __future__ import annotations

import pytest

from forensics.analysis import Knowledge, analyze_capture
from forensics.capture import open_capture
from forensics.capture.record import Recorder
from forensics.live.session import LiveSession
from tests.conftest import REPO_ROOT

CASES = ["demo-whatsapp-2017", "sni-reset-split-hello", "dns-race-early-three-answers", "midflow-start"]
QUIC = sorted(path.parent.name for path in (REPO_ROOT / "pcaps").glob("*quic*/capture.*"))[:2]


def capture(case):
    return str(next((REPO_ROOT / "pcaps" / case).glob("capture.*")))


@pytest.mark.parametrize("case", CASES + QUIC)
def test_looking_changes_nothing(case):
    path = capture(case)
    with open_capture(path, batch_packets=25) as reader:
        session = LiveSession("capture.pcap", reader.notes, Knowledge.load())
        for number, batch in enumerate(reader):
            session.add(batch)
            if number % 4 == 0:
                session.look()
    live, file = session.finish(), analyze_capture(path)
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
