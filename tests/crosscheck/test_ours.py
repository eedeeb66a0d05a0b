from __future__ import annotations

import polars as pl
import pytest

from forensics.analysis import analyze_capture
from forensics.crosscheck.ours import ASKED, ours, sender_of, spelled
from forensics.crosscheck.seen import Subject
from tests.crosscheck.looking import PCAPS, our_view


@pytest.mark.parametrize("name", ["demo-whatsapp-2017", "police-not-random-loss", "quality-mirror-port"])
def test_single_frames_add_up_to_what_the_flow_table_counts(name):
    path = str(PCAPS / name / "capture.pcap")
    analysis = analyze_capture(path, asked=ASKED)
    seen = ours(analysis, path)
    flow = analysis.tables["flow"].frame().filter(pl.col("proto") == "tcp")
    for question, counted in (
        ("resets", ("rst",)),
        ("late_segments", ("retransmissions", "out_of_order")),
    ):
        columns = [f"{kind}_{way}" for kind in counted for way in ("to_server", "to_client")]
        assert sum(flow[column].sum() for column in columns) == len(seen.values[question])
        assert all(subject.frame > 0 for subject in seen.values[question])


def test_copies_are_known():
    assert our_view(str(PCAPS / "quality-mirror-port" / "capture.pcap")).copies
    assert our_view(str(PCAPS / "demo-whatsapp-2017" / "capture.pcap")).copies == set()


def test_every_response_is_an_answer_of_its_own():
    seen = our_view(str(PCAPS / "dns-race-early-three-answers" / "capture.pcap"))
    answers = {subject: value for subject, value in seen.values["dns_answers"].items() if value}
    assert len({subject.frame for subject in answers}) == len(answers) > 2
    assert any(len(set(answers.values())) > 1 for _ in answers)


def test_spelling():
    assert spelled(r"a\x00b\xffc\x1b") == "a\x00b\ufffdc\x1b"
    assert sender_of("2001:db8:0:0:0:0:0:1", 53) == "2001:db8::1 port 53"
    assert Subject("udp", 1).frame == -1
