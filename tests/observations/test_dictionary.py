from __future__ import annotations

import polars as pl
import pytest

from forensics.observations.dictionary import GATES, TABLES

UNITS = {"", "frame", "ns", "ms", "bytes", "packets", "flows", "bit/s"}
WHOLE = {pl.Int64, pl.List(pl.Int64)}


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_every_entry_is_whole(table):
    names = [column.name for column in table.columns]
    assert len(names) == len(set(names)), "a name stands twice"
    for column in table.columns:
        assert column.name.isidentifier()
        assert column.name == column.name.lower()
        assert column.unit in UNITS, column.name
        assert column.meaning, column.name
        assert not column.meaning.endswith("."), column.name


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_frames_are_numbers_and_say_what_they_show(table):
    for column in table.columns:
        assert bool(column.role) == (column.unit == "frame"), column.name
        if column.unit == "frame":
            assert column.dtype in WHOLE, column.name


def test_gates_are_truth_values_of_some_table():
    for gate in GATES:
        found = [table.column(gate) for table in TABLES.values() if gate in table.schema()]
        assert found, gate
        assert all(column.dtype == pl.Boolean for column in found)


def test_an_unknown_column_is_a_key_error():
    with pytest.raises(KeyError):
        TABLES["flow"].column("nonsense")
