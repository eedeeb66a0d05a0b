"""Judging fact tables by rules: outcomes for every row, findings for the rows that match.

All rules on a table are one polars projection, so the cost of a rule is that of its columns. Reasons are worked out
only for rows that match.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl

from forensics.errors import RuleError
from forensics.observations.dictionary import DNS, FLOW, TABLES, Table
from forensics.signatures.findings import build_findings
from forensics.signatures.forged import mark_forged_addresses
from forensics.signatures.model import Finding, Outcome
from forensics.signatures.score import Match, score_rows

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from forensics.signatures.load import SignatureSet
    from forensics.signatures.rule import Rule

_CODES: Final = (Outcome.NOT_MATCHED, Outcome.MATCHED, Outcome.NO_DATA, Outcome.UNINTERPRETABLE)
"""Outcome of each code that the projection gives."""
_MATCHED: Final = _CODES.index(Outcome.MATCHED)
_UNINTERPRETABLE: Final = _CODES.index(Outcome.UNINTERPRETABLE)


@dataclass(frozen=True)
class Evaluation:
    """What all rules said of one capture."""

    findings: tuple[Finding, ...]
    """In order of their first frame, ids F1, F2…"""
    tables: dict[str, pl.DataFrame]
    """The tables that were judged; ``flow.address_forged`` is filled."""
    outcomes: dict[str, dict[Outcome, int]]
    """Rule id → how many rows had each outcome."""
    closed: dict[str, dict[str, int]]
    """Rule id → gate → how many rows it made uninterpretable; a row may fail at several gates."""


def evaluate(signatures: SignatureSet, tables: Mapping[str, pl.DataFrame]) -> Evaluation:
    """Judge the tables (by name, columns as in the dictionary) by all rules.

    Rules on DNS come first, because a forged answer explains what happens at the forged address; then
    ``address_forged`` of the flow table is filled and the rules on flows follow. Raises RuleError when a condition
    fails on a value (the checks at loading make that a fault of ours).
    """
    judged = {name: complete(frame, TABLES[name]) for name, frame in tables.items() if name in TABLES}
    outcomes: dict[str, dict[Outcome, int]] = {}
    closed: dict[str, dict[str, int]] = {}
    matches: list[Match] = []
    order = [name for name in (DNS.name, FLOW.name, *TABLES) if name in judged]
    for name in dict.fromkeys(order):
        rules = [rule for rule in signatures.rules if rule.table.name == name]
        found = _judge(rules, judged[name], outcomes, closed)
        if name == DNS.name and FLOW.name in judged:
            rows = np.unique(np.concatenate([np.empty(0, np.int64), *(match.rows for match in found)]))
            judged[FLOW.name] = mark_forged_addresses(judged[FLOW.name], judged[DNS.name][rows])
        matches += found
    for rule in signatures.rules:
        outcomes.setdefault(rule.id, dict.fromkeys(Outcome, 0))
    return Evaluation(build_findings(matches, judged), {**tables, **judged}, outcomes, closed)


def complete(frame: pl.DataFrame, table: Table) -> pl.DataFrame:
    """Add the columns of the dictionary that the frame lacks, as nulls."""
    missing = [
        pl.lit(None, dtype=dtype).alias(name)
        for name, dtype in table.schema().items()
        if name not in frame.columns
    ]
    return frame.with_columns(missing) if missing else frame


def _judge(
    rules: Sequence[Rule],
    frame: pl.DataFrame,
    outcomes: dict[str, dict[Outcome, int]],
    closed: dict[str, dict[str, int]],
) -> list[Match]:
    found: list[Match] = []
    for rule, codes in zip(rules, outcome_codes(rules, frame), strict=True):
        counts = np.bincount(codes, minlength=len(_CODES))
        outcomes[rule.id] = {outcome: int(counts[code]) for code, outcome in enumerate(_CODES)}
        if outcomes[rule.id][Outcome.UNINTERPRETABLE]:
            shut = frame.select(rule.requires).filter(pl.Series(codes == _UNINTERPRETABLE))
            counted = {gate: int((~shut[gate].fill_null(value=False)).sum()) for gate in rule.requires}
            closed[rule.id] = {gate: count for gate, count in counted.items() if count}
        rows = np.flatnonzero(codes == _MATCHED).astype(np.int64)
        if len(rows):
            found.append(score_rows(rule, frame, rows))
    return found


def outcome_codes(rules: Sequence[Rule], frame: pl.DataFrame) -> list[NDArray[np.uint8]]:
    """Judge every row by every rule.

    One uint8 array of shape (rows,) per rule: 0 not-matched, 1 matched, 2 no-data, 3 uninterpretable (``outcome_of``).
    """
    if not rules:
        return []
    projection = [_outcome(rule).alias(f"r{index}") for index, rule in enumerate(rules)]
    try:
        judged = frame.select(projection)
    except pl.exceptions.PolarsError:
        _name_the_failure(rules, frame)
        raise
    return [judged[f"r{index}"].to_numpy() for index in range(len(rules))]


def outcome_of(code: int) -> Outcome:
    """The outcome that a code of ``outcome_codes`` stands for."""
    return _CODES[code]


def _outcome(rule: Rule) -> pl.Expr:
    matched = rule.when.holds()
    for item in rule.benign:
        if item.suppress and item.when is not None:
            matched = matched & ~item.when.holds()
    result = pl.when(matched).then(1).otherwise(0)
    for gate in rule.requires:
        result = pl.when(~pl.col(gate).fill_null(value=False)).then(3).otherwise(result)
    # without the thing the rule speaks of there is nothing to interpret, so this comes before the gates
    if rule.has_data is not None:
        result = pl.when(~rule.has_data.holds()).then(2).otherwise(result)
    return result.cast(pl.UInt8)


def _name_the_failure(rules: Iterable[Rule], frame: pl.DataFrame) -> None:
    for rule in rules:
        for condition in rule.conditions():
            try:
                frame.select(condition.holds().alias("result"))
            except pl.exceptions.PolarsError:
                raise RuleError(condition.place, f"the condition fails on a value: {condition.sql}") from None
