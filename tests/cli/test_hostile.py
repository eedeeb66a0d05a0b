"""Files that lie, whole commands: one line or a report, never a traceback, and nothing that steers a terminal."""

from __future__ import annotations

import json
import os
import random
import threading

import pytest
from click.testing import CliRunner

from forensics.cli import main
from tests.capture.build import pcap
from tests.conftest import REPO_ROOT

CORPUS = REPO_ROOT / "pcaps"
TABLES = [
    ["show", table, "--format", form] for table in ("flows", "resets", "dns") for form in ("text", "csv")
]
COMMANDS = [["analyze"], ["analyze", "--format", "json"]]
EVERY = [*COMMANDS, *TABLES, ["signatures", "explain", "tls.sni.reset"]]
MUTANTS = 12
"""Of each capture."""


def reject(constant):
    raise ValueError(constant)


def check(path, commands=COMMANDS):
    """Run the commands on the file; return what they said on stderr."""
    said = []
    for command in commands:
        result = CliRunner().invoke(main, [*command, str(path)])
        assert result.exit_code in {0, 2}, result.stderr
        assert "Traceback" not in result.output
        for text in (result.stdout, result.stderr):
            assert all(char == "\n" or char.isprintable() for char in text)
        lines = result.stderr.splitlines()
        if result.exit_code == 2:
            assert result.stdout == ""
            assert len(lines) == 1
            assert lines[0].startswith("forensics: error: ")
        else:
            assert all(line.startswith("forensics: warning: ") for line in lines)
            if "json" in command:
                json.loads(result.stdout, parse_constant=reject)
        said.append(result.stderr)
    return said


@pytest.mark.parametrize("case", ["hostile-dns-loop", "hostile-lengths", "fmt-truncated"])
def test_hostile_captures_of_the_corpus(case):
    check(CORPUS / case / "capture.pcap")


def test_hostile_names_in_every_command():
    check(CORPUS / "hostile-sni-escapes" / "capture.pcap", EVERY)


def test_malformed_captures_of_other_projects(shared_captures):
    paths = sorted((shared_captures / "malformed").glob("*.pcap*"))
    assert paths
    for path in paths:
        check(path)


def mutant(content, dice):
    """One capture with some bits flipped, numbers replaced, bytes inserted or cut out."""
    made = bytearray(content)
    for _ in range(dice.choice((1, 1, 3, 10, 40))):
        at = dice.randrange(len(made))
        kind = dice.randrange(4)
        if kind == 0:
            made[at] ^= 1 << dice.randrange(8)
        elif kind == 1:
            made[at : at + 4] = dice.choice(
                (b"\xff\xff\xff\xff", bytes(4), b"\x7f\xff\xff\xff", b"\x80\0\0\0")
            )
        elif kind == 2:
            made[at:at] = dice.randbytes(dice.randrange(1, 60))
        elif len(made) > 100:
            del made[at : at + dice.randrange(1, 60)]
    if dice.random() < 0.2:
        del made[dice.randrange(len(made)) :]
    return bytes(made)


@pytest.mark.parametrize(
    "case",
    [
        "dns-race-early-three-answers",
        "fmt-gzip",
        "fmt-pcapng-two-interfaces",
        "ipv6-sni-reset",
        "sni-reset-split-hello",
    ],
)
def test_mutants(tmp_path, case):
    (source,) = CORPUS.glob(f"{case}/capture.*")
    content = source.read_bytes()
    for seed in range(MUTANTS):
        path = tmp_path / f"{seed}.pcap"  # a failing one is found in the temporary folder
        path.write_bytes(mutant(content, random.Random(f"{case} {seed}")))  # noqa: S311 - no secret
        check(path, COMMANDS[seed % 2 :][:1])


def one_line(path):
    first, second = check(path)
    assert first == second
    assert str(path) in first
    assert first.count(": ") >= 3  # forensics: error: where: what (and what to do)
    return first


def test_what_is_no_file_with_packets(tmp_path):
    assert "is empty" in one_line("/dev/null")
    assert "Is a directory" in one_line(tmp_path)
    assert "No such file" in one_line(tmp_path / "missing.pcap")
    for name, content in (
        ("empty", b""),
        ("text", b"hello world\n" * 9),
        ("picture", b"\x89PNG\r\n\x1a\n" * 9),
    ):
        path = tmp_path / name
        path.write_bytes(content)
        assert "name a" in one_line(path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_a_file_that_may_not_be_read(tmp_path):
    path = tmp_path / "secret.pcap"
    path.write_bytes(pcap([]))
    path.chmod(0)
    assert "Permission denied" in one_line(path)


def test_a_capture_without_packets_is_a_capture(tmp_path):
    path = tmp_path / "c.pcap"
    path.write_bytes(pcap([]))
    assert set(check(path, EVERY)) == {""}
    report = json.loads(CliRunner().invoke(main, ["analyze", str(path), "--format", "json"]).stdout)
    assert (report["capture"]["packets"], report["capture"]["first_time"]) == (0, None)
    assert (report["verdicts"], report["findings"]) == ([], [])


def test_a_named_pipe_and_standard_input_are_read_as_files_are(tmp_path):
    (source,) = CORPUS.glob("fmt-sll/capture.*")
    content = source.read_bytes()

    def report(path, **how):
        result = CliRunner().invoke(main, ["analyze", "--format", "json", str(path)], **how)
        assert result.exit_code == 0
        made = json.loads(result.stdout)
        del made["capture"]["name"]
        del made["capture"]["files"][0]["name"]
        return made

    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    writer = threading.Thread(target=fifo.write_bytes, args=(content,))
    writer.start()
    through_a_pipe = report(fifo)
    writer.join()
    assert through_a_pipe == report(source) == report("-", input=content)


def test_a_name_cannot_steer_a_terminal(tmp_path):
    name = "a\x1b[31mb\u202e\n.pcap"
    check(tmp_path / name)
    (tmp_path / name).write_bytes(pcap([(1, 0, bytes(60))])[:-7])
    (warning, _) = check(tmp_path / name)
    assert "\\x1b[31m" in warning
