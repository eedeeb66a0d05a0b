"""What is kept: everything, or the whole connections that findings speak of."""

from __future__ import annotations

import pytest

from forensics.analysis import Knowledge, analyze_capture
from forensics.capture.record import Recorder
from forensics.live.keep import KeepAll, KeepEvidence
from forensics.live.session import LiveSession
from tests.capture.read import read
from tests.conftest import REPO_ROOT
from tests.live.replay import Replay

DEMO = REPO_ROOT / "pcaps" / "demo-whatsapp-2017" / "capture.pcap"


def keep(tmp_path, make, look_every=3):
    path = tmp_path / "kept.pcapng"
    source = Replay(DEMO, packets=10)
    session = LiveSession("demo", source.notes, Knowledge.load())
    with path.open("wb") as stream:
        keeper = make(Recorder(stream, source.notes, "tests"), session)
        number = 0
        while (batch := source.read(0)) is not None:
            keeper.take(batch, session.add(batch))
            number += 1
            if number % look_every == 0:
                keeper.judged(session.look())
        analysis = session.finish()
        keeper.close(analysis)
    return path, keeper, analysis


def test_everything_gives_the_same_findings_again(tmp_path):
    path, _, analysis = keep(tmp_path, lambda writer, _: KeepAll(writer))
    again = analyze_capture(str(path))
    assert again.findings == analysis.findings
    assert again.verdicts == analysis.verdicts


def flows(path, wanted=None):
    """(proto, client, port, server, port) → packets, of all flows or those of findings."""
    analysis = analyze_capture(str(path))
    harmed = {(one.proto, one.stream) for finding in analysis.findings for one in finding.subjects}
    names = [
        "proto",
        "client",
        "client_port",
        "server",
        "server_port",
        "packets_to_server",
        "packets_to_client",
    ]
    return {
        row[1:6]: row[6] + row[7]
        for row in analysis.tables["flow"].columns(["stream", *names]).iter_rows()
        if wanted is None or (row[1], row[0]) in harmed
    }


def test_evidence_is_whole_connections_in_their_order(tmp_path):
    path, keeper, _ = keep(tmp_path, lambda writer, session: KeepEvidence(writer, session.decoder.book.find))
    assert flows(path) == flows(DEMO, "harmed")
    assert keeper.missed == 0
    times = [time for _, time, *_ in read(path)[0]]
    assert times == sorted(times)
    assert 0 < len(times) < 353


def test_what_came_too_long_before_its_finding_is_counted(tmp_path):
    path, keeper, _ = keep(
        tmp_path,
        lambda writer, session: KeepEvidence(writer, session.decoder.book.find, held_bytes=1),
        look_every=30,
    )
    assert keeper.missed > 0
    kept, whole = flows(path), flows(DEMO, "harmed")
    assert sum(kept.values()) < sum(whole.values())


@pytest.mark.parametrize("held", [1, 2_000, 50_000])
def test_memory_is_bounded(tmp_path, held):
    source = Replay(DEMO, packets=10)
    session = LiveSession("demo", source.notes, Knowledge.load())
    with (tmp_path / "x").open("wb") as stream:
        keeper = KeepEvidence(
            Recorder(stream, source.notes, "tests"), session.decoder.book.find, held_bytes=held
        )
        while (batch := source.read(0)) is not None:
            keeper.take(batch, session.add(batch))
            assert keeper.held <= max(held, batch.data.nbytes)
