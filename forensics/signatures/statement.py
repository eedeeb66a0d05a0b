"""Sentences of rules: ``{column}`` is filled with the row's value, and nothing else is interpreted."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from forensics.errors import RuleError
from forensics.yamlfile import clean, nearest, quote

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from forensics.observations.dictionary import Table
    from forensics.yamlfile import Item

_HOLE: Final = re.compile(r"\{([^{}]*)\}")
_MAX_ITEMS: Final = 8
_MAX_VALUE: Final = 200
_LONG_MS: Final = 10_000
_SHORT_MS: Final = 100
_MEGA: Final = 1_000_000


@dataclass(frozen=True)
class Statement:
    """A sentence with holes; each hole has the unit of its column."""

    text: str
    units: tuple[tuple[str, str], ...]

    def fill(self, *rows: Mapping[str, object]) -> str:
        """Put the values of the rows into the holes; where they differ, the range or the first few."""
        units = dict(self.units)
        return _HOLE.sub(
            lambda hole: show_all([row.get(hole[1]) for row in rows], units.get(hole[1], "")), self.text
        )


def read_statement(item: Item, table: Table, what: str, extra: Mapping[str, str] | None = None) -> Statement:
    """Read a sentence and check that each hole names a column (or one of ``extra``: name to unit)."""
    text = item.text()
    known = {column.name: column.unit for column in table.columns} | dict(extra or {})
    units: dict[str, str] = {}
    for hole in _HOLE.finditer(text):
        name = hole[1]
        if name not in known:
            message = f"{what}: {quote(name)} is no column of the table {table.name}{nearest(name, known)}"
            raise RuleError(item.place_of(name) if name else item.place, message)
        units[name] = known[name]
    if "{" in (rest := _HOLE.sub("", text)) or "}" in rest:
        raise RuleError(item.place, f"{what}: a brace stands alone; write {{column}}")
    return Statement(text, tuple(units.items()))


def show(value: object, unit: str) -> str:
    """One value as people write it; times and rates carry their unit."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        shown = [show(item, unit) for item in value[:_MAX_ITEMS]]
        return (", ".join(shown) or "none") + (", …" if len(value) > _MAX_ITEMS else "")
    if isinstance(value, int | float):
        return _number(value, unit)
    return clean(str(value), _MAX_VALUE)


def show_all(values: Sequence[object], unit: str) -> str:
    """What several rows hold, so that the sentence is true of each: ``54 to 61 ms``, ``a, b``."""
    known = [value for value in values if value is not None]
    numbers = [value for value in known if isinstance(value, int | float) and not isinstance(value, bool)]
    if numbers and len(numbers) == len(values):
        low, high = show(min(numbers), unit), show(max(numbers), unit)
        return low if low == high else f"{low} to {high}"
    if known and all(isinstance(value, list) for value in known):
        merged = dict.fromkeys(item for value in known if isinstance(value, list) for item in value)
        same = all(value == known[0] for value in known)
        return show(known[0] if same else list(merged), unit)
    shown = list(dict.fromkeys(show(value, unit) for value in values))
    return ", ".join(shown[:_MAX_ITEMS]) + (", …" if len(shown) > _MAX_ITEMS else "")


def _number(value: float, unit: str) -> str:
    if unit == "ms":
        if abs(value) >= _LONG_MS:
            return f"{value / 1000:.1f} s"
        return f"{value:.0f} ms" if abs(value) >= _SHORT_MS else f"{value:.1f} ms"
    if unit == "bit/s":
        return f"{value / _MEGA:.1f} Mbit/s" if abs(value) >= _MEGA else f"{value / 1000:.0f} kbit/s"
    return f"{value:d}" if isinstance(value, int) else f"{value:.2f}".rstrip("0").rstrip(".")
