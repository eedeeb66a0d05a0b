"""Conditions of rules: SQL over the columns of one table, each row judged by itself.

The words of a condition are checked before polars sees them, so that an error points at its place and so that nothing
but per-row expressions gets through: no aggregate, window, sub-query, cast or file function.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import polars as pl

from forensics.errors import Place, RuleError
from forensics.observations.dictionary import TABLES
from forensics.yamlfile import clean, nearest, quote

if TYPE_CHECKING:
    from forensics.observations.dictionary import Table
    from forensics.yamlfile import Item

FUNCTIONS: Final = (
    "ABS",
    "ARRAY_CONTAINS",
    "ARRAY_GET",
    "ARRAY_LENGTH",
    "COALESCE",
    "ENDS_WITH",
    "GREATEST",
    "LEAST",
    "LENGTH",
    "LOWER",
    "ROUND",
    "STARTS_WITH",
)
"""The functions a condition may call; each looks at one row only and cannot fail on a value."""

KEYWORDS: Final = frozenset(
    {"AND", "OR", "NOT", "IS", "NULL", "TRUE", "FALSE", "IN", "BETWEEN", "LIKE", "ILIKE"}
)
"""The other words of a condition; everything else is a column."""

_TOKEN: Final = re.compile(
    r"""(?P<space>\s+)|(?P<string>'(?:[^']|'')*')|(?P<number>\d+(?:\.\d+)?)|(?P<word>[A-Za-z_][A-Za-z0-9_]*)
    |(?P<operator><=|>=|<>|!=|=|<|>|\+|-|\*|/|%|\(|\)|,|~)""",
    re.VERBOSE,
)
_MAX_TERMS: Final = 400


@dataclass(frozen=True)
class Condition:
    """A compiled condition; a null counts as false."""

    sql: str
    columns: tuple[str, ...]
    place: Place
    expr: pl.Expr = field(compare=False, repr=False)

    def holds(self) -> pl.Expr:
        """Boolean expression without nulls."""
        return self.expr.fill_null(value=False)

    def parts(self) -> tuple[str, ...]:
        """The conditions that its top-level ANDs join, for explaining which of them failed."""
        return split_and(self.sql)


def tokens(sql: str) -> list[tuple[str, str]]:
    """Kind and text of each token, blanks left out; ValueError with a sentence at the first foreign character."""
    found: list[tuple[str, str]] = []
    at = 0
    while at < len(sql):
        match = _TOKEN.match(sql, at)
        if match is None:
            raise ValueError(f"{quote(sql[at : at + 1])} cannot stand in a condition")
        if sql[at : at + 2] in {"--", "/*"}:
            raise ValueError("comments cannot stand in a condition")
        kind = match.lastgroup or ""
        if kind != "space":
            found.append((kind, match.group()))
        at = match.end()
    return found


def split_and(sql: str) -> tuple[str, ...]:
    """Split at the ANDs outside parentheses; an AND that belongs to BETWEEN does not split."""
    parts: list[list[str]] = [[]]
    depth = 0
    between = False
    for kind, text in tokens(sql):
        word = text.upper() if kind == "word" else ""
        depth += {"(": 1, ")": -1}.get(text, 0) if kind == "operator" else 0
        if word == "OR" and depth == 0:
            return (sql,)
        if word == "BETWEEN" and depth == 0:
            between = True
        elif word == "AND" and depth == 0 and between:
            between = False
        elif word == "AND" and depth == 0:
            parts.append([])
            continue
        parts[-1].append(text)
    return tuple(_spaced(part) for part in parts)


def _spaced(words: list[str]) -> str:
    """The words as people write them: no blank before a call's parenthesis."""
    text = " ".join(words).replace("( ", "(").replace(" )", ")").replace(" ,", ",")
    return re.sub(rf"\b({'|'.join(FUNCTIONS)}) \(", r"\1(", text, flags=re.IGNORECASE)


def _columns(item: Item, sql: str, table: Table, what: str) -> tuple[str, ...]:
    try:
        found = tokens(sql)
    except ValueError as error:
        raise RuleError(item.place, f"{what}: {error}") from None
    if len(found) > _MAX_TERMS:
        raise RuleError(item.place, f"{what} has more than {_MAX_TERMS} words")
    known = {column.name for column in table.columns}
    columns: dict[str, None] = {}
    for index, (kind, text) in enumerate(found):
        if kind != "word" or text.upper() in KEYWORDS:
            continue
        called = index + 1 < len(found) and found[index + 1][1] == "("
        if called and text.upper() not in FUNCTIONS:
            hint = nearest(text.upper(), FUNCTIONS)
            raise RuleError(item.place_of(text), f"{what}: unknown function {quote(text)}{hint}")
        if not called and text not in known:
            hint = nearest(text, known)
            message = f"{what}: the table {table.name} has no column {quote(text)}{hint}"
            raise RuleError(item.place_of(text), message)
        if not called:
            columns[text] = None
    if not columns:
        raise RuleError(item.place, f"{what} looks at no column of the table {table.name}")
    return tuple(columns)


def compile_condition(item: Item, table: Table, what: str) -> Condition:
    """Read, check and compile one condition.

    Raises RuleError at the word that is wrong: unknown column or function, a result that is no truth value, types that
    cannot be compared.
    """
    sql = item.expression()
    place = item.place
    columns = _columns(item, sql, table, what)
    try:
        expr = pl.sql_expr(sql)
        dtype = probe_frame(table).select(expr.alias("result"))["result"].dtype
        if dtype != pl.Boolean:
            raise RuleError(place, f"{what} must be true or false for each row; this gives {dtype}")
    except pl.exceptions.PolarsError as error:
        first = (str(error).splitlines() or ["unreadable"])[0]
        raise RuleError(place, f"{what} does not compute: {clean(first, 160)}") from None
    return Condition(sql, columns, place, expr)


def probe_frame(table: Table) -> pl.DataFrame:
    """Two rows of the table, one without and one with a value in each column: enough to meet every type error."""
    return _shipped_probe(table.name) if TABLES.get(table.name) is table else _probe(table)


@functools.cache
def _shipped_probe(name: str) -> pl.DataFrame:
    return _probe(TABLES[name])


def _probe(table: Table) -> pl.DataFrame:
    values: dict[str, list[object]] = {}
    for name, dtype in table.schema().items():
        values[name] = [None, _sample(dtype)]
    return pl.DataFrame(values, schema=table.schema())


def _sample(dtype: pl.DataType) -> object:
    if isinstance(dtype, pl.List):
        inner = dtype.inner
        return [_sample(inner() if isinstance(inner, type) else inner)]
    if dtype == pl.String:
        return "x"
    return dtype == pl.Boolean or (1.5 if dtype == pl.Float64 else 1)
