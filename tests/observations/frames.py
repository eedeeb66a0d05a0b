"""Hand-made fact tables: the columns a test names, and an uneventful default in every other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl

from forensics.observations.dictionary import TABLES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_COUNTS = {"packets", "bytes", "flows"}


def table(name: str, rows: Iterable[Mapping[str, Any]]) -> pl.DataFrame:
    """The table ``name`` of the dictionary: counts default to 0, truth values to False, all else to null."""
    columns = TABLES[name].columns
    defaults: dict[str, Any] = {column.name: None for column in columns}
    for column in columns:
        if column.dtype == pl.Int64 and column.unit in _COUNTS:
            defaults[column.name] = 0
        elif column.dtype == pl.Boolean:
            defaults[column.name] = False
    full = []
    for i, row in enumerate(rows):
        unknown = set(row) - set(defaults)
        assert not unknown, f"no such columns in the dictionary: {sorted(unknown)}"
        full.append({**defaults, name: i, **row})
    return pl.DataFrame(full, schema=TABLES[name].schema(), orient="row")
