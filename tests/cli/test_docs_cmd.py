from __future__ import annotations

from click.testing import CliRunner

from forensics.capture.formats import COMPRESSIONS, CONTAINERS
from forensics.cli import main
from forensics.decode.link_types import LINKTYPES
from forensics.decode.tunnels import TUNNELS
from forensics.observations.dictionary import TABLES
from forensics.protocols.known import PROTOCOLS, SOURCES


def printed(form):
    result = CliRunner().invoke(main, ["docs", "observations", "--format", form])
    assert result.exit_code == 0
    assert all(char == "\n" or char.isprintable() for char in result.output)
    return result.output.splitlines()


def test_every_format_is_one_row_of_a_markdown_table():
    result = CliRunner().invoke(main, ["docs", "formats"])
    assert result.exit_code == 0
    rows = [line for line in result.output.splitlines() if line.startswith("| ")]
    assert all(row.count("|") == rows[0].count("|") for row in rows)
    names = [row.split("|")[1].strip() for row in rows]
    for known in (*CONTAINERS, *COMPRESSIONS):
        assert known.name in names
    assert set(LINKTYPES.values()) <= set(names)
    assert set(TUNNELS) <= set(names)
    assert "| raw IP | `RAW` | 12, 14, 101 |" in rows


def test_every_protocol_is_one_row_of_a_markdown_table():
    result = CliRunner().invoke(main, ["docs", "protocols"])
    assert result.exit_code == 0
    table, sources = result.output.split("\n\n")
    rows = table.splitlines()
    assert all(row.count("|") == rows[0].count("|") for row in rows)
    assert [row.split("`")[1] for row in rows[2:]] == [known.word for known in PROTOCOLS]
    assert [row.split("`")[1] for row in sources.splitlines()[2:]] == list(SOURCES)


def test_every_column_is_one_line_of_text():
    lines = printed("text")
    for table in TABLES.values():
        start = lines.index(f"{table.name}: {table.row}") + 2
        shown = lines[start : start + len(table.columns)]
        assert [line.split()[0] for line in shown] == [column.name for column in table.columns]
        assert all(column.meaning in line for line, column in zip(shown, table.columns, strict=True))
        assert all(column.source in line for line, column in zip(shown, table.columns, strict=True))


def test_every_column_is_one_row_of_markdown():
    lines = printed("markdown")
    for table in TABLES.values():
        start = lines.index(f"## {table.name}")
        body = lines[start + 6 : start + 6 + len(table.columns)]
        assert [line.split("`")[1] for line in body] == [column.name for column in table.columns]
        # a bar inside a cell would shift the columns
        assert {line.replace("\\|", "").count("|") for line in lines[start + 4 : start + 6] + body} == {6}
