"""Why a rule did or did not match: each condition with the values it looked at. The near miss matters too."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from forensics.observations.dictionary import DNS
from forensics.observations.table import fact_table
from forensics.signatures.condition import KEYWORDS, Condition, tokens
from forensics.signatures.evaluate import judged_columns, outcome_codes, outcome_of
from forensics.signatures.model import LEVELS, Outcome
from forensics.signatures.score import Match, score_rows, target_expr
from forensics.signatures.statement import show

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from forensics.observations.table import Given
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
class Reason:
    """One reason of a row that matched."""

    kind: str
    """``evidence``, ``benign`` or ``cap``."""
    text: str
    points: int | None
    """Points it gave; None when it did not hold."""
    values: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Explanation:
    """What a rule made of one row."""

    row: int
    stream: int
    where: str
    """The conversation as Wireshark numbers it, and its two ends."""
    target: str
    outcome: Outcome
    steps: tuple[Step, ...]
    frames: tuple[int, ...]
    level: str | None = None
    """Level, score and reasons are there only when the row matched."""
    score: int | None = None
    reasons: tuple[Reason, ...] = ()


def told(explanations: Sequence[Explanation]) -> Iterator[str]:
    """The explanations as lines for people; the caller makes them safe to print."""
    for item in explanations:
        grade = f", {item.level} (score {item.score})" if item.level is not None else ""
        yield f"{item.where}, {item.target}: {item.outcome}{grade}"
        for step in item.steps:
            # every row shown has the data, and the innocent explanations of a match stand among its reasons
            if step.kind == "has-data" or (step.kind == "benign" and item.reasons):
                continue
            words = ("out", "STANDS") if step.kind == "benign" else ("holds", "FAILS")
            yield _line(words[not step.passed], step.kind, step.text, step.values)
        for reason in item.reasons:
            mark = "-" if reason.points is None else f"{reason.points:+d}"
            yield _line(mark, reason.kind, reason.text, reason.values)
        if item.frames:
            numbers = ",".join(str(number) for number in item.frames[:MAX_SHOWN])
            yield f"  frame.number in {{{numbers}}}"


MAX_SHOWN = 32
"""Frames of one row that the filter names."""


def _line(mark: str, kind: str, text: str, values: Sequence[tuple[str, str]]) -> str:
    # a truth value says itself: "tls_client_hello (tls_client_hello = yes)" would be said twice
    seen = ", ".join(f"{name} = {value}" for name, value in values if text != name or mark == "FAILS")
    return f"  {mark:>6}  {kind:<8}  {text}" + (f"   [{seen}]" if seen else "")


def explain(rule: Rule, rows: Given, limit: int = 100) -> list[Explanation]:
    """Explain the first ``limit`` rows of the rule's table that have the data it speaks of, matches first."""
    frame = fact_table(rule.table.name, rows).columns(judged_columns(rule))
    codes = pl.Series("code", outcome_codes([rule], frame)[0], dtype=pl.UInt8)
    order = [Outcome.MATCHED, Outcome.NOT_MATCHED, Outcome.UNINTERPRETABLE]
    outcomes = [outcome_of(code) for code in codes.to_list()]
    matched = [row for row, outcome in enumerate(outcomes) if outcome == Outcome.MATCHED]
    match = score_rows(rule, frame[matched], np.array(matched, dtype=np.int64)) if matched else None
    places = {row: place for place, row in enumerate(matched)}
    near = _nearness(rule, frame)
    candidates = [row for row, outcome in enumerate(outcomes) if outcome in order]
    candidates.sort(key=lambda row: (order.index(outcomes[row]), -near[row], row))
    return [
        _explain_row(
            rule, frame, row, outcomes[row], (match, places[row]) if match and row in places else None
        )
        for row in candidates[:limit]
    ]


def _nearness(rule: Rule, frame: pl.DataFrame) -> list[int]:
    """How many of the joined conditions hold in each row."""
    held = [pl.sql_expr(part).fill_null(value=False).cast(pl.Int64) for part in rule.when.parts()]
    return frame.select(pl.sum_horizontal(held)).to_series().to_list()


def _explain_row(
    rule: Rule, frame: pl.DataFrame, row: int, outcome: Outcome, scored: tuple[Match, int] | None
) -> Explanation:
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
    stream = int(values.get("stream") or 0)
    where = _where(rule, values, stream)
    shown = tuple(sorted(frames))
    if scored is None:
        return Explanation(row, stream, where, target, outcome, tuple(steps), shown)
    match, place = scored
    level, score = LEVELS[int(match.levels[place])], int(match.scores[place])
    reasons = tuple(_reasons(match, place, values))
    return Explanation(row, stream, where, target, outcome, tuple(steps), shown, level, score, reasons)


def _where(rule: Rule, values: Mapping[str, object], stream: int) -> str:
    if rule.table.name == DNS.name:
        proto, other = "udp", "resolver"
    else:
        proto, other = str(values.get("proto") or "tcp"), "server"
    name = f"{proto}.stream {stream}"
    if "client_port" not in values:
        return name
    ends = [(values[side], values[f"{side}_port"]) for side in ("client", other)]
    first, second = (f"[{host}]:{port}" if ":" in str(host) else f"{host}:{port}" for host, port in ends)
    return f"{name}, {first} to {second}"


def _reasons(match: Match, place: int, values: Mapping[str, object]) -> Iterator[Reason]:
    """Every reason of the rule, held or not, before the limits of groups and caps."""
    rule = match.rule
    counted: tuple[tuple[str, str], ...]
    for item in rule.evidence:
        if item.distinct is not None:
            text = f"{item.id}: at least {item.at_least} different {item.distinct}"
            counted = (("different", str(match.counts[item.id][place])),)
        else:
            sql = item.when.sql if item.when is not None else ""
            text, counted = f"{item.id}: {sql}", _values(rule, sql, values)
        yield Reason("evidence", text, item.points if match.held[item.id][place] else None, counted)
    for benign in rule.benign:
        testable, stands = (bool(one[place]) for one in match.benign[benign.id])
        word = ("stands" if stands else "excluded") if testable else "not testable"
        sql = benign.when.sql if benign.when is not None else ""
        text = f"{benign.id} {word}: {sql}" if sql else f"{benign.id} {word}"
        yield Reason("benign", text, benign.points if stands else None, _values(rule, sql, values))
    for cap, applies in zip(rule.caps, match.capped, strict=True):
        if applies[place]:
            sql = cap.when.sql if cap.when is not None else ""
            yield Reason("cap", f"not above {cap.level}: {sql or 'always'}", None, _values(rule, sql, values))


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
    return tuple((name, _exact(values[name], rule.table.column(name).unit)) for name in names)


def _exact(value: object, unit: str) -> str:
    """As ``show``, but a number is not rounded: it may have missed a limit by little."""
    if isinstance(value, float):
        return f"{value:.6g} {unit}".rstrip()
    return show(value, unit)
