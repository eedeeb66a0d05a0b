from __future__ import annotations

import io
import json
import subprocess
import sys

import dpkt

from tests.conftest import REPO_ROOT
from tests.report.made import analysis, finding, reset, tables, works

CAPTURE = REPO_ROOT / "pcaps" / "sni-reset-triple-rst-ack" / "capture.pcap"


def test_analyze_json_and_exit_code(run, bad):
    result = run(bad, "analyze", "x.pcap", "--format", "json")
    assert result.exit_code == 0
    assert json.loads(result.stdout)["verdicts"][0]["app"] == "whatsapp"
    assert run(bad, "analyze", "x.pcap", "--exit-code").exit_code == 1
    assert run(analysis(tables([works()])), "analyze", "x.pcap", "--exit-code").exit_code == 0
    weak = analysis(tables([reset()]), finding(level="suspected"))
    assert run(weak, "analyze", "x.pcap", "--exit-code").exit_code == 0


def test_exit_code_counts_what_is_at_least_likely(run):
    for level, code in (("observed", 0), ("suspected", 0), ("likely", 1), ("strong", 1), ("conclusive", 1)):
        # without an app there is no verdict: the finding alone decides
        found = analysis(tables([{}]), finding(level=level, app=None, feature=None))
        assert run(found, "analyze", "x.pcap", "--exit-code").exit_code == code, level
        assert run(found, "analyze", "x.pcap").exit_code == 0, level


def test_the_frames_of_findings_are_written_only_when_asked_for(tmp_path):
    target = tmp_path / "evidence.pcapng"
    command = [sys.executable, "-m", "forensics", "analyze", str(CAPTURE), "--format", "json"]
    done = subprocess.run([*command, "--evidence", str(target)], capture_output=True, text=True, check=True)
    named = {item["frame"] for found in json.loads(done.stdout)["findings"] for item in found["frames"]}
    packets = [packet for _, packet in dpkt.pcap.UniversalReader(io.BytesIO(target.read_bytes()))]
    original = [packet for _, packet in dpkt.pcap.UniversalReader(io.BytesIO(CAPTURE.read_bytes()))]
    assert named
    assert {original[frame - 1] for frame in named} <= set(packets)
    assert len(packets) < len(original)


def test_a_reader_that_leaves_early_ends_the_report_as_a_pipe_does():
    process = subprocess.Popen(
        [sys.executable, "-m", "forensics", "analyze", str(CAPTURE), "--exit-code"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait() == 141
