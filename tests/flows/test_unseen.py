"""Bytes acknowledged and never captured, as Wireshark's tcp.analysis.ack_lost_segment tells them."""

from __future__ import annotations

import shutil
from collections import Counter

import pytest

from tests.conftest import NO_SHARED, SHARED_CAPTURES
from tests.flows.made import ACK, Talk, ask_tshark, collect, flow, frames, read, tables, write_pcap

needs_tshark = pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed")


def download(holes=(), count=40, size=1000):
    """The server sends segments, each acknowledged; those in ``holes`` were not captured."""
    talk = Talk().shake()
    for n in range(count):
        packet = talk.s(ACK, 1 + n * size, size=size)
        if n in holes:
            talk.packets.remove(packet)
        talk.c(ACK, 1, 1 + (n + 1) * size)
    return talk.packets


def test_whole():
    row = flow(download())
    assert (row["unseen_segments"], row["complete_capture"]) == (0, True)


@pytest.mark.parametrize("cuts", [(), (7,), range(1, 80)])
def test_holes(cuts):
    packets = download({5, 6, 20})
    row = flow(packets, cuts)
    assert (row["unseen_segments"], row["complete_capture"]) == (3, False)
    engine = collect(packets, cuts).engine
    assert (engine.unseen_segments, engine.unseen_bytes) == (3, 3000)


def test_a_small_hole_leaves_the_gate_open():
    row = flow(download({50}, count=400))
    assert (row["unseen_segments"], row["complete_capture"]) == (1, True)


def test_written_in_another_order():
    """Two queues of a capturing card: acknowledgements before what they acknowledge."""
    packets = download()
    for n in range(3, len(packets) - 1, 2):
        packets[n], packets[n + 1] = packets[n + 1], packets[n]
    row = flow(packets)
    assert row["unseen_segments"] > 0
    assert row["complete_capture"]


def test_an_acknowledgement_of_nothing_is_none():
    talk = Talk().shake()
    talk.c(ACK, 1, 1 + (1 << 31) - 5)
    assert flow(talk.packets)["unseen_segments"] == 0


@needs_tshark
@pytest.mark.parametrize("holes", [set(), {5}, {5, 6, 20}, {10, 20, 30, 39}])
def test_as_tshark_counts(tmp_path, holes):
    """But for a quirk of Wireshark 4.0: it sometimes marks the next acknowledgement after a hole as well."""
    packets = download(holes)
    path = write_pcap(tmp_path / "holes.pcap", packets)
    theirs = ask_tshark(path, "frame.number", where="tcp.analysis.ack_lost_segment")
    assert tables(packets)["flow"]["unseen_segments"].to_list() == [len(holes)]
    assert len(holes) <= len(theirs) <= 2 * len(holes)


@needs_tshark
@pytest.mark.parametrize("name", ["ndpi_wa_voice.pcap", "ja4_tls-handshake.pcapng", "ja4_latest.pcapng"])
def test_real_captures(name):
    found = sorted(SHARED_CAPTURES.glob(f"*/{name}"))
    if not found:
        pytest.skip(NO_SHARED)
    rows = ask_tshark(found[0], "tcp.stream", where="tcp.analysis.ack_lost_segment")
    theirs = Counter(int(row[0]) for row in rows)
    table = frames(read(found[0]))["flow"]
    ours = {
        row["stream"]: row["unseen_segments"]
        for row in table.iter_rows(named=True)
        if row["proto"] == "tcp" and row["unseen_segments"]
    }
    assert ours == dict(theirs)
    assert ours
