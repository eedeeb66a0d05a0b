from __future__ import annotations

import subprocess
import sys

from click.testing import CliRunner

from forensics.cli import main
from forensics.errors import CaptureError
from tests.report.made import HOSTILE


def test_help_and_version_import_nothing_heavy():
    code = (
        "import sys; from forensics.cli import main\n"
        "try: main(['--help'])\n"
        "except SystemExit as e: assert e.code == 0\n"
        "print(sorted({'numpy', 'polars', 'rich', 'yaml', 'scapy', 'dpkt'} & set(sys.modules)))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.splitlines()[-1] == "[]"
    assert "analyze" in out
    assert CliRunner().invoke(main, ["--version"]).output.startswith("forensics ")


def test_errors_are_one_line(run, bad):
    result = run(CaptureError("x.pcap: no\ncapture " + HOSTILE), "analyze", "x.pcap")
    assert result.exit_code == 2
    assert result.stderr.count("\n") == 1
    assert result.stderr.startswith("forensics: error: x.pcap: no capture \\x1b]0;owned")
    for args in (["analyze"], ["nonsense"], ["show", "nonsense", "x"], ["analyze", "x", "--format", "xml"]):
        result = run(bad, *args)
        assert result.exit_code == 2
        assert result.stderr.startswith("forensics: error: ")
        assert result.stderr.count("\n") == 1


def test_unexpected_errors_hide_the_traceback_until_asked(run):
    result = run(ZeroDivisionError("oops"), "analyze", "x.pcap")
    assert result.exit_code == 70
    assert "Traceback" not in result.stderr
    assert "--debug" in result.stderr
    assert "Traceback" in run(ZeroDivisionError("oops"), "--debug", "analyze", "x.pcap").stderr


def test_interrupt_and_closed_pipe_are_quiet(run):
    for error, code in ((KeyboardInterrupt(), 130), (BrokenPipeError(32, "Broken pipe"), 141)):
        result = run(error, "analyze", "x.pcap")
        assert (result.exit_code, result.stderr) == (code, "")


def test_a_real_process_with_a_missing_file():
    done = subprocess.run(
        [sys.executable, "-m", "forensics", "analyze", "no-such-file.pcap"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("forensics: error: ")
    assert "Traceback" not in done.stderr


def test_a_reader_that_leaves_early_hears_nothing():
    process = subprocess.Popen(
        [sys.executable, "-m", "forensics", "docs", "observations"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait() == 141
