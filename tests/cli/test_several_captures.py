"""Captures that come in pieces, through pipes or packed: the report is that of the one file they were made of."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
import threading

import jsonschema
import lz4.frame
import pytest
import zstandard
from click.testing import CliRunner

from forensics.capture import open_capture
from forensics.cli import main
from forensics.report.json_format import report_schema
from tests.conftest import REPO_ROOT
from tests.report.made import analysis, tables

CAPTURE = REPO_ROOT / "pcaps" / "demo-whatsapp-2017" / "capture.pcap"
PACK = [bytes, gzip.compress, zstandard.compress, lz4.frame.compress]


def records():
    """The file header, and each record with its own."""
    raw = CAPTURE.read_bytes()
    yield raw[:24]
    at = 24
    while at < len(raw):
        end = at + 16 + int.from_bytes(raw[at + 8 : at + 12], "little")
        yield raw[at:end]
        at = end


@pytest.fixture(scope="module")
def pieces(tmp_path_factory):
    """A rotated set of four files, each packed in its own way, named so that no order of names is that of time."""
    folder = tmp_path_factory.mktemp("pieces")
    header, *packets = records()
    paths = []
    for number, (pack, name) in enumerate(zip(PACK, "cadb", strict=True)):
        share = packets[90 * number : 90 * number + 90]
        paths.append(folder / f"{name}.cap")
        paths[-1].write_bytes(pack(header + b"".join(share)))
    return sorted(map(str, paths))


def report(*arguments, **how):
    result = CliRunner().invoke(main, ["analyze", "--format", "json", *map(str, arguments)], **how)
    assert result.exit_code == 0, result.stderr
    made = json.loads(result.stdout)
    jsonschema.Draft202012Validator(report_schema()).validate(made)
    return made


def facts(made):
    """What a report says of the traffic."""
    kept = {key: made[key] for key in ("verdicts", "findings", "limits", "signatures", "tables")}
    return kept, [made["capture"][key] for key in ("packets", "first_time", "last_time")]


def test_a_rotated_set_has_the_report_of_the_whole(pieces):
    whole, parts = report(CAPTURE), report(*pieces)
    assert facts(parts) == facts(whole)
    assert parts["findings"]
    assert parts["capture"]["name"] == "a.cap, b.cap, c.cap and 1 more"
    assert parts["capture"]["file_type"] == "pcap, pcap+gzip, pcap+zstd and 1 more"
    files = parts["capture"]["files"]
    assert [(file["name"], file["first_frame"], file["packets"]) for file in files] == [
        ("c.cap", 1, 90),
        ("a.cap", 91, 90),
        ("d.cap", 181, 90),
        ("b.cap", 271, 83),
    ]
    assert [file["file_type"] for file in files] == ["pcap", "pcap+gzip", "pcap+zstd", "pcap+lz4"]


def test_the_text_report_says_of_how_many_files(pieces):
    out = CliRunner().invoke(main, ["analyze", *pieces]).stdout
    assert out.startswith("a.cap, b.cap, c.cap and 1 more: 353 packets\n")
    assert "\n4 files, pcap, pcap+gzip, pcap+zstd and 1 more, sha256 " in out


def test_tables_of_a_rotated_set_are_those_of_the_whole(pieces):
    def shown(*captures):
        return CliRunner().invoke(main, ["show", "flows", *captures, "--format", "csv"]).stdout

    assert shown(*pieces) == shown(str(CAPTURE))


def test_evidence_is_taken_from_the_right_file(pieces, tmp_path):
    evidence = {}
    for name, captures in (("whole", [str(CAPTURE)]), ("parts", pieces)):
        target = tmp_path / name
        CliRunner().invoke(main, ["analyze", *captures, "--evidence", str(target)])
        with open_capture(target) as reader:
            evidence[name] = [
                (int(batch.time[i]), bytes(batch.data[batch.offset[i] : batch.offset[i] + batch.caplen[i]]))
                for batch in reader
                for i in range(len(batch))
            ]
    assert evidence["whole"] == evidence["parts"]
    assert len(evidence["whole"]) > 10


def test_damage_of_one_file_is_said_once_and_names_it(pieces, tmp_path):
    broken = tmp_path / "broken\x1b[31m.cap"
    broken.write_bytes(CAPTURE.read_bytes()[:-7])
    result = CliRunner().invoke(main, ["analyze", str(pieces[0]), str(broken)])
    assert result.exit_code == 0
    (line,) = result.stderr.splitlines()
    assert line.startswith("forensics: warning: broken\\x1b[31m.cap: the file ends inside the record")


def test_an_output_or_evidence_is_never_one_of_the_captures(run, bad, pieces):
    for option in ("--output", "--evidence"):
        result = run(bad, "analyze", *pieces, option, pieces[2])
        assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
        assert "this is the capture itself" in result.stderr


@pytest.mark.parametrize("captures", [["-"], ["x.pcap", "-"]])
def test_standard_input_cannot_be_read_twice(run, tmp_path, captures):
    result = run(analysis(tables([])), "analyze", *captures, "--evidence", str(tmp_path / "e"))
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == (
        "forensics: error: standard input: only a file can be read twice: name one to use --evidence\n"
    )


def test_a_named_pipe_cannot_either(run, tmp_path):
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    result = run(analysis(tables([])), "analyze", str(fifo), "--evidence", str(tmp_path / "e"))
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    assert "only a file can be read twice" in result.stderr


def test_no_capture_is_an_error_of_one_line():
    for command in (["analyze"], ["show", "flows"]):
        result = CliRunner().invoke(main, command)
        assert (result.exit_code, result.stderr) == (2, "forensics: error: Missing argument 'CAPTURE...'.\n")


def test_process_substitution_and_descriptors(pieces):
    """``forensics analyze <(zstd -dc a.zst) <(cat b)``, which names /dev/fd/N."""
    reads = []
    writers = []
    for path in pieces:
        read, write = os.pipe()
        with open(path, "rb") as stream:  # noqa: PTH123 - a name
            content = stream.read()
        writers.append(threading.Thread(target=pour, args=(write, content)))
        reads.append(read)
    for writer in writers:
        writer.start()
    command = [sys.executable, "-m", "forensics", "analyze", "--format", "json"]
    done = subprocess.run(
        [*command, *(f"/dev/fd/{read}" for read in reads)], pass_fds=reads, capture_output=True, check=True
    )
    for writer in writers:
        writer.join()
    for read in reads:
        os.close(read)
    assert done.stderr == b""
    assert facts(json.loads(done.stdout)) == facts(report(CAPTURE))


def pour(descriptor, content):
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(content)
