from __future__ import annotations

import io
import subprocess
from pathlib import Path

import pytest

from forensics.analysis import analyze_capture
from forensics.report.evidence import frame_comments, write_evidence


@pytest.mark.parametrize(
    "case", ["demo-whatsapp-2017", "fmt-pcap-bigendian-ns", "fmt-gzip", "police-140kbit-with-control"]
)
def test_the_frames_of_the_findings_and_no_others(
    repo_root: Path, tshark: str, tmp_path: Path, case: str
) -> None:
    (path,) = (repo_root / "pcaps" / case).glob("capture.*")
    analysis = analyze_capture(str(path))
    out = tmp_path / "evidence.pcapng"
    with out.open("wb") as stream:
        count = write_evidence(analysis, str(path), stream)
    named = sorted({frame for finding in analysis.findings for frame in finding.frame_numbers()})
    assert named
    assert count == len(named)

    def rows(file: Path, *extra: str) -> list[str]:
        command = [tshark, "-r", str(file), "-n", "-T", "fields", "-e", "frame.time_epoch", "-e", "frame.len"]
        command += ["-e", "frame.cap_len", "-e", "ip.id", "-e", "tcp.seq_raw", *extra]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()

    frames = ",".join(map(str, named))
    assert rows(out) == rows(path, "-Y", f"frame.number in {{{frames}}}")
    comments = [line.rsplit("\t", 1)[1] for line in rows(out, "-e", "frame.comment")]
    assert [comment.split(" ")[1] for comment in comments] == [str(frame) for frame in named]
    assert comments == list(frame_comments(analysis).values())


def test_without_findings_the_file_is_an_empty_capture(repo_root: Path) -> None:
    path = str(repo_root / "pcaps" / "sni-reset-not-client-abort" / "capture.pcap")
    stream = io.BytesIO()
    assert write_evidence(analyze_capture(path), path, stream) == 0
    assert stream.getvalue()[:4] == b"\x0a\x0d\x0d\x0a"


def test_interfaces_keep_their_names_and_packets_their_direction(
    repo_root: Path, tshark: str, tmp_path: Path
) -> None:
    path = repo_root / "pcaps" / "phone-pcapng-root" / "capture.pcapng"
    analysis = analyze_capture(str(path))
    out = tmp_path / "evidence.pcapng"
    with out.open("wb") as stream:
        write_evidence(analysis, str(path), stream)
    named = ",".join(str(n) for n in sorted({n for one in analysis.findings for n in one.frame_numbers()}))

    def rows(file: Path, where: str) -> list[str]:
        command = [tshark, "-r", str(file), "-n", "-Y", where, "-T", "fields", "-e", "frame.interface_name"]
        command += ["-e", "frame.packet_flags_direction", "-e", "frame.encap_type", "-e", "frame.time_epoch"]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()

    assert rows(out, "ip") == rows(path, f"frame.number in {{{named}}}")
    assert {line.split("\t")[0] for line in rows(out, "ip")} == {"wlan0"}
