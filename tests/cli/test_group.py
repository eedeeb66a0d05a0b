from __future__ import annotations

import io
import json
import subprocess
import sys

import polars as pl
import pytest
from click.testing import CliRunner

import forensics.analysis
from forensics.cli import main
from forensics.errors import CaptureError
from tests.report.made import HOSTILE, analysis, finding, reset, tables, works

BAD = analysis(tables([reset(sni="=cmd()", server_name="+x\x1b[31m"), works()]), finding())


@pytest.fixture
def run(monkeypatch):
    """Run the command line over an Analysis (or an exception) in place of a capture."""

    def runner(result, *args):
        def analyze_capture(_path, **_):
            if isinstance(result, BaseException):
                raise result
            return result

        monkeypatch.setattr(forensics.analysis, "analyze_capture", analyze_capture)
        return CliRunner().invoke(main, list(args))

    return runner


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


def test_analyze_json_and_exit_code(run):
    result = run(BAD, "analyze", "x.pcap", "--format", "json")
    assert result.exit_code == 0
    assert json.loads(result.stdout)["verdicts"][0]["app"] == "whatsapp"
    assert run(BAD, "analyze", "x.pcap", "--exit-code").exit_code == 1
    assert run(analysis(tables([works()])), "analyze", "x.pcap", "--exit-code").exit_code == 0
    weak = analysis(tables([reset()]), finding(level="suspected"))
    assert run(weak, "analyze", "x.pcap", "--exit-code").exit_code == 0


def test_damage_is_a_warning_and_no_error(run):
    result = run(analysis(tables([]), damage="cut short at byte 99\x1b[2J"), "analyze", "x.pcap")
    assert result.exit_code == 0
    assert result.stderr == "forensics: warning: made.pcap: cut short at byte 99\\x1b[2J\n"


def test_errors_are_one_line(run):
    result = run(CaptureError("x.pcap: no\ncapture " + HOSTILE), "analyze", "x.pcap")
    assert result.exit_code == 2
    assert result.stderr.count("\n") == 1
    assert result.stderr.startswith("forensics: error: x.pcap: no capture \\x1b]0;owned")
    for args in (["analyze"], ["nonsense"], ["show", "nonsense", "x"], ["analyze", "x", "--format", "xml"]):
        result = run(BAD, *args)
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


def test_the_output_is_never_the_capture(run, tmp_path):
    capture = tmp_path / "a.pcap"
    capture.write_bytes(b"precious")
    result = run(BAD, "analyze", str(capture), "-o", str(capture))
    assert result.exit_code == 2
    assert capture.read_bytes() == b"precious"
    assert run(BAD, "analyze", str(capture), "-o", str(tmp_path / "out.txt")).stdout == ""
    assert "The capture shows that" in (tmp_path / "out.txt").read_text()


def test_show_in_every_format(run, tmp_path):
    csv = run(BAD, "show", "flows", "x.pcap", "--format", "csv", "--columns", "stream,sni,server_name").stdout
    assert csv.splitlines()[:2] == ["stream,sni,server_name", "0,'=cmd(),'+x\\x1b[31m"]
    lines = run(BAD, "show", "flows", "x.pcap", "--format", "ndjson").stdout.splitlines()
    assert [json.loads(line)["stream"] for line in lines] == [0, 1]
    assert json.loads(lines[0])["server_name"] == "+x\x1b[31m"
    assert all(line.isascii() and line.isprintable() for line in lines)
    text = run(BAD, "show", "flows", "x.pcap").stdout
    assert "\\x1b[31m" in text
    assert "\x1b" not in text
    target = tmp_path / "flows.parquet"
    run(BAD, "show", "flows", "x.pcap", "--format", "parquet", "-o", str(target))
    assert pl.read_parquet(target).equals(BAD.tables["flow"])
    direct = run(BAD, "show", "flows", "x.pcap", "--format", "parquet").stdout_bytes
    assert pl.read_parquet(io.BytesIO(direct)).height == 2
    for table in ("resets", "dns"):
        assert run(BAD, "show", table, "x.pcap").exit_code == 0


def test_an_unknown_column_names_its_neighbours(run):
    result = run(BAD, "show", "flows", "x.pcap", "--columns", "server_nam")
    assert result.exit_code == 2
    assert "server_name" in result.stderr


def test_the_dictionary_is_printed_whole():
    for form in ("text", "markdown"):
        result = CliRunner().invoke(main, ["docs", "observations", "--format", form])
        assert result.exit_code == 0
        assert "rst_ttl_delta" in result.output


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
