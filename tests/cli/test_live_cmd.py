"""The command as users call it; capturing needs the right to open packet sockets and to make interfaces."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from forensics.analysis import analyze_capture
from forensics.cli import main
from tests.capture.read import read
from tests.conftest import REPO_ROOT

DEMO = REPO_ROOT / "pcaps" / "demo-whatsapp-2017" / "capture.pcap"
HERE, THERE = "fortest3", "fortest4"
RUN = [sys.executable, "-m", "forensics", "live"]


@pytest.fixture
def wire(may_capture):
    """Two ends of a cable: what is sent into one comes out of the other."""
    del may_capture
    if shutil.which("ip") is None:
        pytest.skip("the command 'ip' is missing: install iproute2")
    words = ["ip", "link", "add", HERE, "type", "veth", "peer", "name", THERE]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"no interface can be made here: {done.stderr.strip()}")
    try:
        for name in (HERE, THERE):
            Path(f"/proc/sys/net/ipv6/conf/{name}/disable_ipv6").write_text("1", encoding="ascii")
            subprocess.run(["ip", "link", "set", name, "up"], check=True)
        yield
    finally:
        subprocess.run(["ip", "link", "del", HERE], check=False)


def replay(path, seconds):
    """Send the frames of a capture with their gaps, so that all of it takes that long."""
    packets, _ = read(path)
    first, last = packets[0][1], packets[-1][1]
    scale = seconds / (last - first)
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as sender:
        sender.bind((HERE, 0))
        begun = time.monotonic()
        for _, at, _, _, raw in packets:
            time.sleep(max(0.0, begun + (at - first) * scale - time.monotonic()))
            sender.send(raw)


def started(*words, **options):
    """The running command, once it captures."""
    process = subprocess.Popen(
        [*RUN, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=REPO_ROOT, **options
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line, process.communicate()[1]
    return process, json.loads(line)


def rest(process, seconds=60):
    out, err = process.communicate(timeout=seconds)
    return [json.loads(line) for line in out.splitlines()], err


@pytest.mark.usefixtures("wire")
def test_findings_arise_and_the_end_says_what_the_file_says(tmp_path):
    written, report = tmp_path / "live.pcapng", tmp_path / "report.json"
    words = ["-i", THERE, "--filter", "ip", "--write", str(written), "--report", str(report)]
    process, start = started(*words)
    assert (start["event"], start["interface"]) == ("start", THERE)
    replay(DEMO, 6.0)
    time.sleep(1)
    process.send_signal(signal.SIGINT)
    events, err = rest(process)
    assert process.returncode == 0, err
    assert err == ""

    end = events[-1]
    assert end["event"] == "end"
    assert end["report"]["live"]["ended"] == "interrupted"
    assert json.loads(report.read_text()) == end["report"]
    assert end["report"]["capture"]["quality"]["dropped_by_kernel"] == 0
    assert end["report"]["capture"]["packets"] == 353
    targets = {event["target"] for event in events if event["event"] == "finding"}
    assert {"mmg.whatsapp.net", "www.facebook.com"} <= targets

    file = CliRunner().invoke(main, ["analyze", str(written), "--format", "json"])
    again = json.loads(file.stdout)
    for part in ("findings", "verdicts", "limits", "signatures", "tables"):
        assert again[part] == end["report"][part], part
    assert len(again["findings"]) == len(analyze_capture(str(DEMO)).findings)


@pytest.mark.usefixtures("wire")
def test_findings_come_within_two_seconds_of_the_packet():
    process, _ = started("-i", THERE, "--filter", "ip", "--duration", "8")
    begun = time.monotonic()
    packets, _ = read(DEMO)
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as sender:
        sender.bind((HERE, 0))
        for frame, _, _, _, raw in packets:
            if frame in range(
                161, 169
            ):  # a look-up of Facebook's name, and the answers that contradict each other
                sender.send(raw)
    assert process.stdout is not None
    event = json.loads(process.stdout.readline())
    waited = time.monotonic() - begun
    rest(process)
    assert event["event"] == "finding"
    assert event["mechanism"] == "dns-injection"
    assert waited < 8, "the machine may be busy; the loop itself is tested without a clock of its own"


@pytest.mark.usefixtures("wire")
def test_only_evidence_is_kept_in_a_set_of_files(tmp_path):
    process, _ = started(
        "-i",
        THERE,
        "--filter",
        "ip",
        "--write",
        str(tmp_path / "e.pcapng"),
        "--keep",
        "evidence",
        "--ring",
        "10MB",
    )
    replay(DEMO, 2.0)
    time.sleep(0.5)
    process.send_signal(signal.SIGTERM)
    events, err = rest(process)
    assert process.returncode == 0, err
    files = sorted(path.name for path in tmp_path.iterdir())
    assert files == [f"e-{number}.pcapng" for number in range(1, 9)]
    packets, _ = read([tmp_path / name for name in files], batch_packets=100)
    harmed = {
        (one["proto"], one["stream"])
        for finding in events[-1]["report"]["findings"]
        for one in finding["subjects"]
    }
    assert harmed
    assert 0 < len(packets) < 353
    assert events[-1]["report"]["live"]["findings_with_packets_missing"] == 0


COMMAND = """
import socket, sys
s = socket.create_server(("127.0.0.1", 0))
c = socket.create_connection(s.getsockname()); p, _ = s.accept()
c.sendall(b"x" * 1000); p.recv(2000); p.sendall(b"y" * 50); c.recv(100)
print("said by the command")
import time; time.sleep(0.3)
sys.exit(7)
"""


@pytest.mark.usefixtures("may_capture")
def test_a_command_is_judged_by_its_own_flows():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        stranger.bind(("127.0.0.1", 0))
        process, _ = started("-i", "lo", "--", sys.executable, "-c", COMMAND)
        while process.poll() is None:
            stranger.sendto(b"not theirs", ("127.0.0.1", 9))
            time.sleep(0.05)
        events, err = rest(process)
    assert process.returncode == 0
    assert "said by the command" in err
    live = events[-1]["report"]["live"]
    assert live["ended"] == "command"
    assert live["command"]["exit_status"] == 7
    assert [(flow["proto"], flow["basis"]) for flow in live["command"]["flows"]] == [("tcp", "pid")]
    assert events[-1]["report"]["tables"]["flow"] > 1


def test_bad_arguments_are_one_line_each(tmp_path):
    for words, said in (
        ([], "name an interface"),
        (["-i", "nosuch0"], "there is no such interface"),
        (["-i", "lo", "--filter", "tcp prt"], "capture filter 'tcp prt'"),
        (["-i", "lo", "--duration", "soon"], "'soon' is no time"),
        (["-i", "lo", "--duration", "0"], "'0' is no time"),
        (["-i", "lo", "--write", str(tmp_path / "a"), "--ring", "5"], "is no size"),
        (["-i", "lo", "--ring", "5MB"], "name a file with --write"),
        (["-i", "lo", "--keep", "evidence"], "name a file with --write"),
        (["-i", "lo", "--write", str(tmp_path)], "is a folder"),
        (["-i", "lo", "--write", str(tmp_path / "x"), "--report", str(tmp_path / "x")], "the same file"),
    ):
        done = CliRunner().invoke(main, ["live", *words])
        assert done.exit_code == 2, words
        assert said in done.stderr, words
        assert len(done.stderr.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_without_the_right_one_line_names_the_command():
    as_nobody = "import os; os.setgroups([]); os.setgid(65534); os.setuid(65534)"
    drop = as_nobody if os.geteuid() == 0 else ""
    # the program may be readable by root only, so everything is loaded before
    code = f"""
import forensics.live.run, forensics.cli.live_cmd, forensics.report.printable, sys
{drop}
from forensics.cli import main
sys.argv = ["forensics", "live", "-i", "lo", "--duration", "1"]
main()
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=REPO_ROOT, check=False
    )
    if done.returncode == 0:
        pytest.skip("everybody may capture here")
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert "run 'sudo setcap cap_net_raw=ep " in done.stderr
