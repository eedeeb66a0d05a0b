from __future__ import annotations

import dataclasses
import struct
import subprocess
import sys

import polars as pl
import pyshark.config
import pytest

from forensics.analysis import analyze_capture
from forensics.crosscheck import compare as module
from forensics.crosscheck.compare import (
    FRAMES,
    QUESTIONS,
    Check,
    Difference,
    Seen,
    Subject,
    compare,
    ours,
    tshark,
)
from forensics.errors import ForensicsError
from forensics.observations.table import fact_table
from tests.capture import build
from tests.conftest import REPO_ROOT

PCAPS = REPO_ROOT / "pcaps"
EQUAL = {
    "demo-whatsapp-2017": "capture.pcap",
    "dns-race-early-three-answers": "capture.pcap",
    "fmt-gzip": "capture.pcap.gz",
    "fmt-pcapng-two-interfaces": "capture.pcapng",
    "ipv6-sni-reset": "capture.pcap",
    "police-140kbit-with-control": "capture.pcap",
    "port-reuse-new-stream": "capture.pcap",
    "sni-reset-split-hello": "capture.pcap",
}


def both(name, file="capture.pcap"):
    path = str(PCAPS / name / file)
    return ours(analyze_capture(path)), tshark(path)


def fields(program, name, display_filter, *names):
    """The same question put to tshark without pyshark."""
    command = [program, "-n", "-r", str(PCAPS / name / "capture.pcap"), "-Y", display_filter, "-T", "fields"]
    for field in names:
        command += ["-e", field]
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return [tuple(line.split("\t")) for line in out.splitlines()]


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
    assert checks["resets"] == Check("resets", 0, ())


def test_only_the_first_frames_are_kept():
    seen = Seen()
    for frame in range(1, 100):
        seen.count("resets", Subject("tcp", 0), frame)
    assert seen.values["resets"] == {Subject("tcp", 0): 99}
    assert seen.frames["resets"] == {Subject("tcp", 0): list(range(1, FRAMES + 1))}


@pytest.mark.parametrize("name", EQUAL)
@pytest.mark.usefixtures("tshark")
def test_made_captures_look_the_same_to_both(name):
    checks = compare(*both(name, EQUAL[name]))
    assert [check for check in checks if check.differences] == []
    assert {check.question: check.same for check in checks}["packets"] == 1
    assert sum(check.same for check in checks) > 2


def test_pyshark_brings_what_tshark_prints(request):
    program = request.getfixturevalue("tshark")
    seen = tshark(str(PCAPS / "demo-whatsapp-2017" / "capture.pcap"))
    name = "demo-whatsapp-2017"
    hellos = fields(
        program,
        name,
        "tls.handshake.extensions_server_name",
        "tcp.stream",
        "tls.handshake.extensions_server_name",
    )
    assert hellos
    assert seen.values["server_names"] == {Subject("tcp", int(stream)): sni for stream, sni in hellos}
    resets: dict[Subject, list[int]] = {}
    for frame, stream, source, port in fields(
        program, name, "tcp.flags.reset == 1", "frame.number", "tcp.stream", "ip.src", "tcp.srcport"
    ):
        resets.setdefault(Subject("tcp", int(stream), f"{source} port {port}"), []).append(int(frame))
    assert resets
    assert seen.frames["resets"] == {subject: frames[:FRAMES] for subject, frames in resets.items()}
    assert seen.values["resets"] == {subject: len(frames) for subject, frames in resets.items()}
    late = fields(program, name, "tcp.analysis.retransmission || tcp.analysis.out_of_order", "tcp.stream")
    assert sum(seen.values["late_segments"].values()) == len(late) > 0


@pytest.mark.usefixtures("tshark")
def test_a_wrong_table_of_ours_is_found():
    path = str(PCAPS / "sni-reset-same-ttl" / "capture.pcap")
    analysis = analyze_capture(path)
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
        check.question: check.differences for check in compare(ours(wrong), tshark(path)) if check.differences
    }
    assert {question: [row.subject.stream for row in rows] for question, rows in found.items()} == {
        "server_names": [stream],
        "resets": [stream],
    }
    assert found["resets"][0].frames
    assert found["server_names"][0].ours == "other.example"


@pytest.mark.usefixtures("tshark")
def test_lying_lengths_are_judged_differently_and_named():
    """Each of the two believes another of the lengths that contradict one another; frames by Wireshark."""
    checks = compare(*both("hostile-lengths"))
    different = {check.question: [row.frames for row in check.differences] for check in checks}
    assert {key: value for key, value in different.items() if value} == {
        "tcp_streams": [(64,), (65,)],
    }


@pytest.mark.usefixtures("tshark")
def test_a_damaged_file_is_no_error_and_is_mentioned():
    mine, theirs = both("fmt-truncated")
    assert mine.values == theirs.values
    assert "cut short" in theirs.message


@pytest.mark.usefixtures("tshark")
def test_packets_without_a_time_are_compared_too(tmp_path):
    whole = (PCAPS / "sni-reset-same-ttl" / "capture.pcap").read_bytes()
    out, at = build.section() + build.interface(snaplen=65535), 24
    while at < len(whole):
        [length] = struct.unpack_from("<I", whole, at + 8)
        out += build.simple(whole[at + 16 : at + 16 + length])
        at += 16 + length
    path = tmp_path / "untimed.pcapng"
    path.write_bytes(out)
    theirs = tshark(str(path))
    assert theirs.values["packets"][Subject()] > 5
    facts = ("packets", "tcp_streams", "udp_streams", "server_names", "dns_names", "resets")
    mine = ours(analyze_capture(str(path)))
    assert {name: mine.values[name] for name in facts} == {name: theirs.values[name] for name in facts}


@pytest.mark.usefixtures("tshark")
def test_hostile_names_are_compared_byte_for_byte():
    [names] = [check for check in compare(*both("hostile-sni-escapes")) if check.question == "server_names"]
    # tshark ends a name at a zero byte.
    assert [(row.subject.stream, "\x00" in str(row.ours)) for row in names.differences] == [(4, True)]
    assert names.same == 4


@pytest.mark.usefixtures("tshark")
def test_the_event_loop_is_closed_and_nothing_is_left_behind():
    code = (
        "import gc, sys; from forensics.crosscheck.compare import tshark\n"
        "for _ in range(2): assert tshark(sys.argv[1]).values['packets']\n"
        "gc.collect()"
    )
    command = [sys.executable, "-X", "dev", "-W", "error::ResourceWarning", "-c", code]
    for case in ("fmt-truncated", "fmt-sll"):
        done = subprocess.run(
            [*command, str(PCAPS / case / "capture.pcap")], capture_output=True, text=True, check=True
        )
        wrong = [
            word for word in ("Event loop", "never awaited", "unclosed", "Exception") if word in done.stderr
        ]
        assert wrong == []


@pytest.mark.usefixtures("tshark")
def test_an_error_while_reading_ends_tshark(monkeypatch):
    def fail(_seen, _packet):
        raise ValueError("no number")

    monkeypatch.setattr(module, "_take", fail)
    with pytest.raises(ForensicsError, match="pyshark cannot read"):
        tshark(str(PCAPS / "demo-whatsapp-2017" / "capture.pcap"))


def test_what_is_missing_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ForensicsError, match="apt-get install tshark"):
        tshark("any.pcap")
    monkeypatch.setitem(sys.modules, "pyshark", None)
    with pytest.raises(ForensicsError, match="pip install 'pyshark"):
        tshark("any.pcap")


@pytest.mark.usefixtures("tshark")
def test_somebody_elses_config_file_is_one_error(monkeypatch, tmp_path):
    (tmp_path / "config.ini").write_text("[other]\n")
    monkeypatch.setattr(pyshark.config, "fp_config_path", tmp_path / "config.ini")
    with pytest.raises(ForensicsError, match=r"config\.ini"):
        tshark(str(PCAPS / "fmt-sll" / "capture.pcap"))


def test_something_else_named_tshark_is_refused(monkeypatch, tmp_path):
    fake = tmp_path / "tshark"
    fake.write_text("#!/bin/sh\necho something else\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    with pytest.raises(ForensicsError, match="no tshark that pyshark knows"):
        tshark(str(PCAPS / "fmt-sll" / "capture.pcap"))
