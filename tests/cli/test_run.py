from __future__ import annotations

import fcntl
import io
import os
import signal
import subprocess
import sys
import termios
import time

import pytest

from forensics.cli.run import analyzed
from forensics.errors import CaptureError
from tests.conftest import REPO_ROOT
from tests.report.made import analysis, tables

CAPTURE = REPO_ROOT / "pcaps" / "fmt-sll" / "capture.pcap"
LONG = REPO_ROOT / "pcaps" / "demo-whatsapp-2017" / "capture.pcap"


def test_damage_is_a_warning_and_no_error(run):
    result = run(analysis(tables([]), damage="cut short at byte 99\x1b[2J"), "analyze", "x.pcap")
    assert result.exit_code == 0
    assert result.stderr == "forensics: warning: made.pcap: cut short at byte 99\\x1b[2J\n"


def test_many_warnings_are_counted_and_each_is_said_once(run):
    made = analysis(tables([]), warnings=["again", "again", *map(str, range(50))], damage="again")
    lines = run(made, "analyze", "x.pcap").stderr.splitlines()
    assert lines[0] == "forensics: warning: made.pcap: again"
    assert len(lines) == 21
    assert lines[-1] == "forensics: warning: made.pcap: and 31 more warnings"


def test_the_output_is_never_the_capture(run, bad, tmp_path):
    capture = tmp_path / "a.pcap"
    capture.write_bytes(b"precious")
    result = run(bad, "analyze", str(capture), "-o", str(capture))
    assert result.exit_code == 2
    assert capture.read_bytes() == b"precious"
    assert run(bad, "analyze", str(capture), "-o", str(tmp_path / "out.txt")).stdout == ""
    assert "The capture shows that" in (tmp_path / "out.txt").read_text()


def test_an_output_that_cannot_be_is_refused_before_the_capture_is_read(run, tmp_path):
    for option in ("--output", "--evidence"):
        for output in (tmp_path, tmp_path / "missing" / "report"):
            result = run(AssertionError("read"), "analyze", "x.pcap", option, str(output))
            assert result.exit_code == 2
            assert result.stderr.startswith(f"forensics: error: {output}: ")
            assert result.stderr.count("\n") == 1


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")  # noqa: PTH110
@pytest.mark.parametrize("how", [["analyze", "x"], ["show", "flows", "x", "--format", "parquet"]])
def test_a_full_disk_is_one_line_that_names_the_output(run, bad, how):
    result = run(bad, *how, "-o", "/dev/full")
    assert result.exit_code == 2
    assert result.stderr == (
        "forensics: error: /dev/full: cannot be written (No space left on device): name another output file\n"
    )


def test_a_terminal_is_no_capture(monkeypatch):
    monkeypatch.setattr("sys.stdin", Terminal())
    with pytest.raises(CaptureError, match="is a terminal"):
        analyzed("-", progress=False)


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize("stream", [0, 1, 2])
def test_a_process_without_a_standard_stream(stream):
    code = (
        f"import os; os.close({stream})\n"
        f"os.execv({sys.executable!r}, [{sys.executable!r}, '-m', 'forensics', 'analyze', "
        f"{'-' if stream == 0 else str(CAPTURE)!r}])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=REPO_ROOT
    )
    assert done.returncode == (0 if stream == 2 else 2), done.stderr
    assert done.stderr.count("\n") == (0 if stream == 2 else 1)
    assert ("Verdicts" in done.stdout) == (stream == 2)


@pytest.mark.parametrize(("given", "piped"), [(0, False), (100_000, False), (100_000, True)])
def test_ctrl_c_ends_a_read_from_a_silent_pipe(tmp_path, given, piped):
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    with subprocess.Popen(
        [sys.executable, "-m", "forensics", "analyze", "-" if piped else str(fifo)],
        stdin=subprocess.PIPE if piped else None,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        # a shell starts background jobs with the signal ignored
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 - no thread is running
    ) as process:
        try:
            # Both say that the command is past its start, where Python itself would answer, with a traceback.
            target = process.stdin.fileno() if piped else os.open(fifo, os.O_WRONLY)
            os.write(target, LONG.read_bytes()[:given])
            wait_until_all_is_taken(target)
            process.send_signal(signal.SIGINT)
            assert process.wait(timeout=30) == 130
        finally:
            process.kill()
        assert process.stderr.read() == b""
        assert process.stdout.read() == b""


def wait_until_all_is_taken(pipe):
    left = bytearray(4)
    for _ in range(600):
        fcntl.ioctl(pipe, termios.FIONREAD, left)
        time.sleep(0.1)  # now it waits for more
        if not any(left):
            return
    pytest.fail("the command does not read")
