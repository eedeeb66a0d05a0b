from __future__ import annotations

import dataclasses

import polars as pl
import pytest

from forensics.analysis import analyze_capture
from forensics.crosscheck.compare import Check, Difference, compare
from forensics.crosscheck.ours import ASKED, ours
from forensics.crosscheck.seen import OUT_OF_ORDER, QUESTIONS, RETRANSMISSION, Seen, Subject
from forensics.crosscheck.theirs import tshark
from forensics.observations.table import fact_table
from tests.crosscheck.looking import PCAPS, checked

EQUAL = {
    "demo-whatsapp-2017": "capture.pcap",
    "dns-race-early-three-answers": "capture.pcap",
    "fmt-gzip": "capture.pcap.gz",
    "fmt-pcapng-two-interfaces": "capture.pcapng",
    "http-plain": "capture.pcap",
    "ipv6-sni-reset": "capture.pcap",
    "police-140kbit-with-control": "capture.pcap",
    "port-reuse-new-stream": "capture.pcap",
    "quic-answered-version-2": "capture.pcap",
    "sni-reset-split-hello": "capture.pcap",
}
ANSWERED = {
    "demo-whatsapp-2017": {
        "tcp_streams",
        "udp_streams",
        "server_names",
        "dns_names",
        "dns_answers",
        "resets",
    },
    "http-plain": {"http_hosts", "http_status"},
    "police-140kbit-with-control": {"late_segments"},
    "quic-answered-version-2": {"quic_names"},
}
"""Capture → questions to which it has answers: two views that are both empty agree, too."""


def test_what_agrees_what_differs_and_what_only_one_side_has():
    left, right = Seen(), Seen()
    one, two, three = (Subject("tcp", stream) for stream in (1, 2, 3))
    left.values["tcp_streams"] = {one: 5, two: 3}
    right.values["tcp_streams"] = {one: 5, two: 4, three: 1}
    left.note("tcp_streams", two, 7)
    right.note("tcp_streams", two, 9, 7)
    right.note("tcp_streams", three, 12)
    checks = {check.question: check for check in compare(left, right)}
    assert list(checks) == list(QUESTIONS)
    assert checks["tcp_streams"] == Check(
        "tcp_streams", 1, (Difference(two, 3, 4, (7, 9)), Difference(three, None, 1, (12,)))
    )
    assert checks["tcp_streams"].unexplained == checks["tcp_streams"].differences
    assert checks["resets"] == Check("resets", 0, ())


def test_documented_differences_are_kept_apart():
    left, right = Seen(), Seen()
    one, two = (Subject("tcp", 0, frame, "192.0.2.1 port 443") for frame in (8, 9))
    left.values["late_segments"] = {one: RETRANSMISSION}
    right.values["late_segments"] = {one: OUT_OF_ORDER, two: OUT_OF_ORDER}
    [check] = [check for check in compare(left, right) if check.differences]
    assert [(row.frames, row.explanation) for row in check.differences] == [((8,), "late-kind"), ((9,), "")]
    assert [row.subject for row in check.unexplained] == [two]


@pytest.mark.parametrize("name", EQUAL)
@pytest.mark.usefixtures("tshark")
def test_made_captures_look_the_same_to_both(name):
    checks = checked(name, EQUAL[name])
    assert [check for check in checks.values() if check.differences] == []
    assert checks["packets"].same == 1
    assert {question for question in ANSWERED.get(name, ()) if not checks[question].same} == set()


@pytest.mark.usefixtures("tshark")
def test_a_wrong_table_of_ours_is_found():
    path = str(PCAPS / "sni-reset-same-ttl" / "capture.pcap")
    analysis = analyze_capture(path, asked=ASKED)
    stream = analysis.tables["flow"].frame().filter(pl.col("rst_to_client") > 0)["stream"].item(0)
    here = pl.col("stream") == stream
    flow = (
        analysis.tables["flow"]
        .frame()
        .with_columns(
            sni=pl.when(here).then(pl.lit("other.example")).otherwise(pl.col("sni")),
            rst_to_client=pl.when(here).then(pl.col("rst_to_client") - 1).otherwise(pl.col("rst_to_client")),
        )
    )
    wrong = dataclasses.replace(analysis, tables={**analysis.tables, "flow": fact_table("flow", flow)})
    found = {
        check.question: check.unexplained
        for check in compare(ours(wrong, path), tshark(path))
        if check.differences
    }
    assert {question: [row.subject.stream for row in rows] for question, rows in found.items()} == {
        "server_names": [stream],
        "resets": [stream],
    }
    assert found["server_names"][0].frames
    assert found["server_names"][0].ours == "other.example"
    assert "-1 resets" in str(found["resets"][0].ours)
