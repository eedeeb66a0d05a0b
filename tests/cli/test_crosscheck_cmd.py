from __future__ import annotations

import json
import sys

import pytest
from click.testing import CliRunner

from forensics.cli import main
from forensics.crosscheck import theirs
from forensics.crosscheck.seen import QUESTIONS, Seen, Subject
from tests.conftest import REPO_ROOT

EQUAL = REPO_ROOT / "pcaps" / "demo-whatsapp-2017" / "capture.pcap"
EXPLAINED = REPO_ROOT / "pcaps" / "hostile-sni-escapes" / "capture.pcap"


def run(*args):
    return CliRunner().invoke(main, ["crosscheck", *map(str, args)])


def seen(question, rows, message=""):
    result = Seen(version="4.0.0\x1b[2J", message=message)
    result.values[question] = dict(rows)
    return result


@pytest.mark.usefixtures("tshark")
def test_equal_is_zero():
    result = run(EQUAL)
    assert result.exit_code == 0
    table = {line[:58].strip(): line.split()[-3:] for line in result.stdout.splitlines() if line[-1:] == "0"}
    assert table["packets in the capture"] == ["1", "0", "0"]
    assert len(table) == len(QUESTIONS)
    assert "xplained," not in result.stdout


@pytest.mark.usefixtures("tshark")
def test_a_documented_difference_is_zero_and_hostile_names_are_escaped():
    result = run(EXPLAINED)
    assert result.exit_code == 0
    assert "Explained, 1 times (zero-byte): a server name with a zero byte" in result.stdout
    assert r"[bold]rich[/bold].example.com\x00" in result.stdout
    assert "frame 64" in result.stdout
    assert "\x1b" not in result.stdout
    assert "\x00" not in result.stdout


@pytest.mark.usefixtures("tshark")
def test_json(tmp_path):
    target = tmp_path / "out.json"
    assert run(EXPLAINED, "--format", "json", "-o", target).exit_code == 0
    text = target.read_text()
    assert text.isascii()
    report = json.loads(text)
    assert report["schema"] == "forensics-crosscheck/1"
    assert (report["equal"], report["explained"]) == (False, True)
    assert [check["check"] for check in report["checks"]] == list(QUESTIONS)
    [row] = next(check for check in report["checks"] if check["check"] == "server_names")["differences"]
    assert (row["proto"], row["stream"], row["frame"], row["frames"]) == ("tcp", 4, 64, [64])
    assert row["tshark"] == "[bold]rich[/bold].example.com"
    assert row["explanation"] == "zero-byte"


def test_any_other_difference_is_one(monkeypatch):
    monkeypatch.setattr(theirs, "tshark", lambda _: seen("resets", {}))
    result = run(EQUAL)
    assert result.exit_code == 1
    assert "Different: resets, frame by frame\n  tcp.stream " in result.stdout


def test_a_long_list_is_cut_and_every_word_of_it_is_safe(monkeypatch):
    rows = {Subject("udp", n, name="\x1b]0;owned\x07" + "a" * 99): 1 for n in range(25)}
    monkeypatch.setattr(theirs, "tshark", lambda _: seen("dns_names", rows, "bad\nnews\x1b[1m"))
    result = run(EQUAL)
    assert result.exit_code == 1
    assert "and 23 more" in result.stdout  # 25 of these and the 8 real ones, 10 of them shown
    assert "\x1b" not in result.stdout
    assert "tshark says: bad\\x0anews\\x1b[1m\n" in result.stdout


def test_what_cannot_be_compared_is_one_line(tmp_path, monkeypatch):
    other = tmp_path / "notes.txt"
    other.write_text("no capture, but long enough to hold the magic number of one")
    for name in ("-", tmp_path / "missing.pcap", tmp_path, other):
        result = run(name)
        assert result.exit_code == 2
        assert result.stdout == ""
        assert result.stderr.startswith("forensics: error: ")
        assert result.stderr.count("\n") == 1
    monkeypatch.setitem(sys.modules, "pyshark", None)
    result = run(EQUAL)
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    assert "pip install" in result.stderr
