from __future__ import annotations

import io
import json

import polars as pl
import pytest


def test_show_in_every_format(run, bad, tmp_path):
    csv = run(bad, "show", "flows", "x.pcap", "--format", "csv", "--columns", "stream,sni,server_name").stdout
    assert csv.splitlines()[:2] == ["stream,sni,server_name", "0,'=cmd(),'+x\\x1b[31m"]
    lines = run(bad, "show", "flows", "x.pcap", "--format", "ndjson").stdout.splitlines()
    assert [json.loads(line)["stream"] for line in lines] == [0, 1]
    assert json.loads(lines[0])["server_name"] == "+x\x1b[31m"
    assert all(line.isascii() and line.isprintable() for line in lines)
    text = run(bad, "show", "flows", "x.pcap").stdout
    assert "\\x1b[31m" in text
    assert "\x1b" not in text
    target = tmp_path / "flows.parquet"
    run(bad, "show", "flows", "x.pcap", "--format", "parquet", "-o", str(target))
    assert pl.read_parquet(target).equals(bad.tables["flow"].frame())
    direct = run(bad, "show", "flows", "x.pcap", "--format", "parquet").stdout_bytes
    assert pl.read_parquet(io.BytesIO(direct)).height == 2
    for table in ("resets", "dns"):
        assert run(bad, "show", table, "x.pcap").exit_code == 0


def test_an_unknown_column_names_its_neighbours(run, bad):
    result = run(bad, "show", "flows", "x.pcap", "--columns", "server_nam")
    assert result.exit_code == 2
    assert "server_name" in result.stderr


def test_columns_come_in_the_order_asked_for_each_once(run, bad):
    for form in ("csv", "text"):
        out = run(bad, "show", "flows", "x", "--format", form, "--columns", "sni,stream,,sni").stdout
        assert out.replace(",", " ").split()[:2] == ["sni", "stream"]


def test_all_columns_are_those_of_the_dictionary(run, bad):
    every = run(bad, "show", "flows", "x.pcap", "--columns", "all").stdout.split("\n")[0].split()
    assert every == bad.tables["flow"].frame().columns
    brief = run(bad, "show", "flows", "x.pcap").stdout.split("\n")[0].split()
    assert set(brief) < set(every)


@pytest.mark.parametrize("columns", ["", ",", "stream,nonsense", "STREAM"])
def test_columns_that_are_none_are_refused_before_the_capture_is_read(run, columns):
    result = run(AssertionError("read"), "show", "flows", "x.pcap", "--columns", columns)
    assert result.exit_code == 2
    assert result.stderr.count("\n") == 1
    assert "column" in result.stderr


def test_parquet_needs_a_place_to_go(run, bad, monkeypatch):
    monkeypatch.setattr("forensics.cli.show_cmd.sys", pretending_a_terminal())
    result = run(bad, "show", "flows", "x.pcap", "--format", "parquet")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "--output" in result.stderr


def pretending_a_terminal():
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    class Sys:
        stdout = Terminal()

    return Sys
