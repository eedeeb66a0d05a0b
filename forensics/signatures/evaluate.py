"""Judging fact tables by rules: outcomes for every row, findings for the rows that match.

All rules on a table are one polars projection, so the cost of a rule is that of its columns. Rows are judged some at
a time; of those that match, the columns of the rule are kept, and their reasons are worked out when all are known.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl

from forensics.errors import RuleError
from forensics.observations.dictionary import DNS, FLOW, TABLES
from forensics.observations.table import FactTable, fact_table
from forensics.signatures.findings import build_findings
from forensics.signatures.forged import ANSWER_COLUMNS, FLOW_COLUMNS, forged_addresses
from forensics.signatures.model import Finding, Outcome
from forensics.signatures.score import Match, match_columns, score_rows

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from forensics.observations.table import Given
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
    tables: dict[str, FactTable]
    """The tables that were judged; ``flow.address_forged`` is filled."""
    outcomes: dict[str, dict[Outcome, int]]
    """Rule id → how many rows had each outcome."""
    closed: dict[str, dict[str, int]]
    """Rule id → gate → how many rows it made uninterpretable; a row may fail at several gates."""


def evaluate(signatures: SignatureSet, tables: Mapping[str, Given]) -> Evaluation:
    """Judge the tables (by name, columns as in the dictionary) by all rules, some rows at a time.

    Rules on DNS come first, because a forged answer explains what happens at the forged address; then
    ``address_forged`` of the flow table is filled and the rules on flows follow. Raises RuleError when a condition
    fails on a value (the checks at loading make that a fault of ours).
    """
    judged = {name: fact_table(name, given) for name, given in tables.items() if name in TABLES}
    tallies: list[_Tally] = []
    matches: list[Match] = []
    order = [name for name in (DNS.name, FLOW.name, *TABLES) if name in judged]
    for name in dict.fromkeys(order):
        rules = [rule for rule in signatures.rules if rule.table.name == name]
        counted = _judge(rules, judged[name])
        found = [tally.match() for tally in counted if tally.rows]
        if name == DNS.name and FLOW.name in judged:
            judged[FLOW.name] = _mark_forged(judged[FLOW.name], judged[DNS.name], found)
        tallies += counted
        matches += found
    outcomes = {rule.id: dict.fromkeys(Outcome, 0) for rule in signatures.rules}
    for tally in tallies:
        outcomes[tally.rule.id] = {outcome: int(tally.counts[code]) for code, outcome in enumerate(_CODES)}
    closed = {tally.rule.id: dict(+tally.closed) for tally in tallies if +tally.closed}
    return Evaluation(build_findings(matches), judged, outcomes, closed)


@dataclass
class _Tally:
    """What one rule said so far."""

    rule: Rule
    counts: NDArray[np.int64] = field(default_factory=lambda: np.zeros(len(_CODES), dtype=np.int64))
    """Rows with each outcome, in the order of _CODES."""
    closed: Counter[str] = field(default_factory=Counter)
    rows: list[NDArray[np.int64]] = field(default_factory=list)
    """Numbers of the rows that matched, and ``values`` what a finding needs of them."""
    values: list[pl.DataFrame] = field(default_factory=list)

    def add(self, codes: NDArray[np.uint8], chunk: pl.DataFrame, first: int) -> None:
        """Take in the outcomes of some rows, of which ``first`` is the number of the first."""
        self.counts += np.bincount(codes, minlength=len(_CODES))
        shut = np.flatnonzero(codes == _UNINTERPRETABLE)
        if len(shut):
            gates = chunk.select(self.rule.requires)[shut]
            self.closed.update(
                {gate: int((~gates[gate].fill_null(value=False)).sum()) for gate in gates.columns}
            )
        rows = np.flatnonzero(codes == _MATCHED).astype(np.int64)
        if len(rows):
            self.rows.append(rows + first)
            self.values.append(chunk.select(match_columns(self.rule))[rows])

    def match(self) -> Match:
        """All rows that matched, with their reasons."""
        return score_rows(self.rule, pl.concat(self.values, rechunk=True), np.concatenate(self.rows))


def _judge(rules: Sequence[Rule], table: FactTable) -> list[_Tally]:
    tallies = [_Tally(rule) for rule in rules]
    first = 0
    read = dict.fromkeys(name for rule in rules for name in judged_columns(rule))
    for chunk in table.chunks(columns=list(read)) if rules else ():
        for tally, codes in zip(tallies, outcome_codes(rules, chunk), strict=True):
            tally.add(codes, chunk, first)
        first += chunk.height
    return tallies


def _mark_forged(flows: FactTable, lookups: FactTable, found: Sequence[Match]) -> FactTable:
    """The flow table with ``address_forged`` filled from the look-ups that a rule matched."""
    rows = np.unique(np.concatenate([np.empty(0, np.int64), *(match.rows for match in found)]))
    if len(rows):
        poisoned = lookups.columns(ANSWER_COLUMNS)[rows]
        marks = forged_addresses(flows.columns(FLOW_COLUMNS), poisoned)
    else:
        marks = pl.repeat(value=False, n=flows.height, eager=True).alias("address_forged")
    return flows.fill(marks.to_frame())


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


def judged_columns(rule: Rule) -> list[str]:
    """Columns of its table that the outcome of a rule and its reasons rest on."""
    return list(dict.fromkeys([*match_columns(rule), *(["carrier"] if rule.table.name == FLOW.name else [])]))


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
    # A conversation that only carries others is no attempt of anybody: those have rows of their own.
    if rule.table.name == FLOW.name:
        result = pl.when(pl.col("carrier").fill_null(value=False)).then(2).otherwise(result)
    return result.cast(pl.UInt8)


def _name_the_failure(rules: Iterable[Rule], frame: pl.DataFrame) -> None:
    for rule in rules:
        for condition in rule.conditions():
            try:
                frame.select(condition.holds().alias("result"))
            except pl.exceptions.PolarsError:
                raise RuleError(condition.place, f"the condition fails on a value: {condition.sql}") from None
