"""Why a rule did or did not match: each condition with the values it looked at. The near miss matters too."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from forensics.signatures.condition import KEYWORDS, Condition, tokens
from forensics.signatures.evaluate import complete, outcome_codes, outcome_of
from forensics.signatures.model import Outcome
from forensics.signatures.score import target_expr
from forensics.signatures.statement import show

if TYPE_CHECKING:
    from collections.abc import Mapping

    from forensics.signatures.rule import Rule


@dataclass(frozen=True)
class Step:
    """One condition and whether it held."""

    kind: str
    """``has-data``, ``gate``, ``when`` or ``benign``."""
    text: str
    held: bool
    """For ``benign``: the innocent explanation holds, so the rule stays silent."""
    values: tuple[tuple[str, str], ...]
    """Columns it looked at and their values as shown."""

    @property
    def passed(self) -> bool:
        """The step does not stand in the way of a match."""
        return self.held != (self.kind == "benign")


@dataclass(frozen=True)
class Explanation:
    """What a rule made of one row."""

    row: int
    stream: int
    target: str
    outcome: Outcome
    steps: tuple[Step, ...]
    frames: tuple[int, ...]


def explain(rule: Rule, frame: pl.DataFrame, limit: int = 100) -> list[Explanation]:
    """Explain the first ``limit`` rows of the rule's table that have the data it speaks of, matches first."""
    frame = complete(frame, rule.table)
    codes = pl.Series("code", outcome_codes([rule], frame)[0], dtype=pl.UInt8)
    order = [Outcome.MATCHED, Outcome.NOT_MATCHED, Outcome.UNINTERPRETABLE]
    outcomes = [outcome_of(code) for code in codes.to_list()]
    near = _nearness(rule, frame)
    candidates = [row for row, outcome in enumerate(outcomes) if outcome in order]
    candidates.sort(key=lambda row: (order.index(outcomes[row]), -near[row], row))
    return [_explain_row(rule, frame, row, outcomes[row]) for row in candidates[:limit]]


def _nearness(rule: Rule, frame: pl.DataFrame) -> list[int]:
    """How many of the joined conditions hold in each row."""
    held = [pl.sql_expr(part).fill_null(value=False).cast(pl.Int64) for part in rule.when.parts()]
    return frame.select(pl.sum_horizontal(held)).to_series().to_list()


def _explain_row(rule: Rule, frame: pl.DataFrame, row: int, outcome: Outcome) -> Explanation:
    one = frame[row : row + 1]
    values = one.row(0, named=True)
    steps: list[Step] = []
    if rule.has_data is not None:
        steps += _steps(rule, "has-data", rule.has_data, one, values)
    for gate in rule.requires:
        steps.append(Step("gate", gate, values[gate] is True, ((gate, show(values[gate], "")),)))
    steps += _steps(rule, "when", rule.when, one, values)
    for item in rule.benign:
        if item.suppress and item.when is not None:
            held = bool(one.select(item.when.holds().alias("held")).item())
            steps.append(
                Step("benign", f"{item.id}: {item.when.sql}", held, _values(rule, item.when.sql, values))
            )
    frames: set[int] = set()
    for name in rule.frames:
        value = values[name]
        frames.update(value if isinstance(value, list) else [] if value is None else [value])
    target = str(one.select(target_expr(rule).alias("target")).item())
    return Explanation(
        row, int(values.get("stream") or 0), target, outcome, tuple(steps), tuple(sorted(frames))
    )


def _steps(
    rule: Rule, kind: str, condition: Condition, one: pl.DataFrame, values: Mapping[str, object]
) -> list[Step]:
    steps = []
    for part in condition.parts():
        held = bool(one.select(pl.sql_expr(part).fill_null(value=False).alias("held")).item())
        steps.append(Step(kind, part, held, _values(rule, part, values)))
    return steps


def _values(rule: Rule, sql: str, values: Mapping[str, object]) -> tuple[tuple[str, str], ...]:
    schema = rule.table.schema()
    names = dict.fromkeys(
        text
        for kind, text in tokens(sql)
        if kind == "word" and text.upper() not in KEYWORDS and text in schema
    )
    return tuple((name, show(values[name], rule.table.column(name).unit)) for name in names)
