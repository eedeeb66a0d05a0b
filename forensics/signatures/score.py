"""Points and levels of the rows that a rule matches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl

from forensics.observations.dictionary import DNS
from forensics.signatures.model import LEVELS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from forensics.signatures.rule import Rule

_LEAST_POINTS: Final = (2, 5, 8, 12)
"""Fewest points for suspected, likely, strong and conclusive."""


_SUBJECT: Final = (
    "dns", "flow", "proto", "transport", "stream", "client", "client_port", "resolver", "resolver_port", "server",
    "server_port", "carrier",
)  # fmt: skip
"""What names the subject of a row, and its target where no other column does; and whether it is one at all."""


def level_numbers(scores: NDArray[np.int64]) -> NDArray[np.int64]:
    """The level of each score, as its place in LEVELS."""
    return np.searchsorted(_LEAST_POINTS, scores, side="right").astype(np.int64)


@dataclass(frozen=True)
class Match:
    """The rows of one table that one rule matched; all arrays run parallel, one entry a row."""

    rule: Rule
    rows: NDArray[np.int64]
    """Row numbers in the table."""
    values: pl.DataFrame
    """What the rows hold: at least ``match_columns`` of the rule."""
    scores: NDArray[np.int64]
    levels: NDArray[np.int64]
    """Place of the level in LEVELS, caps applied."""
    held: dict[str, NDArray[np.bool_]]
    """Evidence id → where it held."""
    counts: dict[str, NDArray[np.int64]]
    """Evidence id → how many different values were counted (items with ``distinct``)."""
    benign: dict[str, tuple[NDArray[np.bool_], NDArray[np.bool_]]]
    """Benign id → where it could be tested, where it stands."""
    capped: tuple[NDArray[np.bool_], ...]
    """For each cap of the rule, where it applies."""


def target_expr(rule: Rule) -> pl.Expr:
    """Name of the target: the first of the rule's columns that is not null, else address and port of the other side."""
    address, port = (
        ("resolver", "resolver_port") if rule.table.name == DNS.name else ("server", "server_port")
    )
    if address not in rule.table.schema():
        endpoint = pl.lit("unknown")
    else:
        shown = pl.when(pl.col(address).str.contains(":", literal=True))
        shown_address = shown.then(pl.format("[{}]", pl.col(address))).otherwise(pl.col(address))
        endpoint = pl.format("{}:{}", shown_address, pl.col(port))
    return pl.coalesce(*(pl.col(name).cast(pl.String) for name in rule.target), endpoint)


def word_expr(rule: Rule, name: str) -> pl.Expr:
    """A column of words, or nulls where the table has none."""
    return pl.col(name) if name in rule.table.schema() else pl.lit(None, dtype=pl.String)


def match_columns(rule: Rule) -> list[str]:
    """Columns that a finding of the rule needs of each matched row, in the order of the table."""
    shown = {*rule.columns(), *_SUBJECT, "app", "feature"}
    return [column.name for column in rule.table.columns if column.name in shown]


def score_rows(rule: Rule, matched: pl.DataFrame, rows: NDArray[np.int64]) -> Match:
    """Work out the reasons, points and level of each matched row: all of a capture, because they count each other.

    ``matched`` holds the rows, ``rows`` their numbers in the table.
    """
    facts = _facts(rule, matched)
    held: dict[str, NDArray[np.bool_]] = {}
    counts: dict[str, NDArray[np.int64]] = {}
    for item in rule.evidence:
        if item.distinct is not None:
            counts[item.id] = _distinct(rule, matched, item.distinct)
            held[item.id] = counts[item.id] >= item.at_least
        else:
            held[item.id] = facts[f"e.{item.id}"].to_numpy()
    benign: dict[str, tuple[NDArray[np.bool_], NDArray[np.bool_]]] = {}
    for explanation in rule.benign:
        testable = facts[f"t.{explanation.id}"].to_numpy()
        benign[explanation.id] = (testable, testable & facts[f"b.{explanation.id}"].to_numpy())
    scores = _scores(rule, held, benign, len(rows))
    levels = level_numbers(scores)
    capped = tuple(facts[f"c.{index}"].to_numpy() for index in range(len(rule.caps)))
    for cap, applies in zip(rule.caps, capped, strict=True):
        levels = np.where(applies, np.minimum(levels, LEVELS.index(cap.level)), levels)
    if rule.maturity == "experimental":
        levels = np.minimum(levels, LEVELS.index("suspected"))
    return Match(rule, rows, matched, scores, levels, held, counts, benign, capped)


def _facts(rule: Rule, matched: pl.DataFrame) -> pl.DataFrame:
    always = pl.repeat(value=True, n=pl.len(), dtype=pl.Boolean)
    never = pl.repeat(value=False, n=pl.len(), dtype=pl.Boolean)
    facts = [
        reason.when.holds().alias(f"e.{reason.id}") for reason in rule.evidence if reason.when is not None
    ]
    for item in rule.benign:
        facts.append((never if item.when is None else item.when.holds()).alias(f"b.{item.id}"))
        testable = always if item.testable is None else item.testable.holds()
        testable = never if item.when is None else testable
        facts.append(testable.alias(f"t.{item.id}"))
    for index, cap in enumerate(rule.caps):
        facts.append((always if cap.when is None else cap.when.holds()).alias(f"c.{index}"))
    return matched.select(facts)


def _distinct(rule: Rule, matched: pl.DataFrame, column: str) -> NDArray[np.int64]:
    """Different values of a column among the rows of the same app and feature, or without an app of the same target."""
    keyed = matched.select(
        word_expr(rule, "app").alias("app"),
        word_expr(rule, "feature").alias("feature"),
        pl.when(word_expr(rule, "app").is_null()).then(target_expr(rule)).alias("target"),
        pl.col(column).alias("value"),
    )
    return (
        keyed.select(pl.col("value").n_unique().over("app", "feature", "target"))
        .to_series()
        .to_numpy()
        .astype(np.int64)
    )


def _scores(
    rule: Rule,
    held: dict[str, NDArray[np.bool_]],
    benign: dict[str, tuple[NDArray[np.bool_], NDArray[np.bool_]]],
    rows: int,
) -> NDArray[np.int64]:
    groups: dict[str, NDArray[np.int64]] = {}
    scores = np.full(rows, rule.prior, np.int64)
    for item in rule.evidence:
        points = held[item.id] * np.int64(item.points)
        if item.group is None:
            scores += points
        else:
            groups[item.group] = groups.get(item.group, np.zeros(rows, np.int64)) + points
    limits = dict(rule.group_caps)
    for group, points in groups.items():
        scores += np.minimum(points, limits[group]) if group in limits else points
    for explanation in rule.benign:
        scores += benign[explanation.id][1] * np.int64(explanation.points)
    return scores
