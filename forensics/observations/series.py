"""Building polars columns from arrays and from the few Python values that rows carry, at column speed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import polars as pl

from forensics.flows.arrays import NEVER, BoolArray, IntArray

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def known_frames(values: npt.NDArray[Any]) -> pl.Series:
    """Frame numbers, with "never" (NEVER or negative) as null."""
    return where_known(values, (values != NEVER) & (values >= 0))


def where_known(values: npt.NDArray[Any] | pl.Series, known: BoolArray) -> pl.Series:
    """The values, null where they are not known."""
    return pl.select(pl.when(pl.Series(known)).then(pl.Series(values))).to_series()


def int_lists(size: int, lists: Mapping[int, Sequence[int]]) -> pl.Series:
    """A List(Int64) column of ``size`` rows that holds ``lists[row]`` where there is one, else null."""
    rows = sorted(lists)
    lengths = [len(lists[row]) for row in rows]
    flat = [value for row in rows for value in lists[row]]
    found = (
        pl.DataFrame(
            {
                "row": np.repeat(np.array(rows, dtype=np.int64), lengths),
                "value": pl.Series(flat, dtype=pl.Int64),
            }
        )
        .group_by("row", maintain_order=True)
        .agg("value")
    )
    return (
        pl.DataFrame({"row": np.arange(size)})
        .join(found, on="row", how="left", maintain_order="left")["value"]
        .cast(pl.List(pl.Int64))
    )


def text_lists(size: int, rows: IntArray, values: Sequence[tuple[str, ...]]) -> pl.Series:
    """A List(String) column of ``size`` rows: ``values`` at ``rows``, null elsewhere. For few different values."""
    numbers: dict[tuple[str, ...], int] = {}
    codes = np.full(size, -1, dtype=np.int64)
    codes[rows] = [numbers.setdefault(value, len(numbers)) for value in values]
    words = pl.Series([list(value) for value in numbers] or [[]], dtype=pl.List(pl.String))
    return words.gather(where_known(codes, codes >= 0))


def at_rows(size: int, rows: IntArray, values: Sequence[Any], dtype: type[pl.DataType]) -> pl.Series:
    """A column of ``size`` rows with ``values`` at ``rows`` (ascending) and null elsewhere."""
    place = np.full(size, -1, dtype=np.int64)
    place[rows] = np.arange(len(rows))
    if not len(rows):
        return pl.Series([None] * size, dtype=dtype)
    return pl.Series(values, dtype=dtype, strict=False).gather(where_known(place, place >= 0))
