"""What a rule is: plain data, as read from one YAML file and checked against the dictionary of observations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from forensics.errors import Place
    from forensics.observations.dictionary import Table
    from forensics.signatures.condition import Condition
    from forensics.signatures.statement import Statement

MATURITIES: Final = ("stable", "experimental")
"""``experimental``: no finding of the rule goes above suspected."""


@dataclass(frozen=True)
class EvidenceItem:
    """A reason that speaks for the mechanism when its condition holds."""

    id: str
    points: int
    because: Statement
    when: Condition | None
    """None for an item that counts ``distinct`` values instead."""
    distinct: str | None
    """Column whose different values are counted over all subjects alike (same app and feature, else same target)."""
    at_least: int
    frames: tuple[str, ...]
    group: str | None
    place: Place


@dataclass(frozen=True)
class BenignItem:
    """An innocent explanation: it ``stands`` when its condition holds, else it is ``excluded``."""

    id: str
    points: int
    because: Statement | None
    """Said when the explanation stands."""
    otherwise: Statement | None
    """Said when the explanation is excluded."""
    when: Condition | None
    """None for an explanation that no single capture can test; then only ``untested`` is there."""
    testable: Condition | None
    """When false or null the explanation could not be tested."""
    untested: Statement | None
    suppress: bool
    """If the explanation stands the rule does not match at all."""
    frames: tuple[str, ...]
    place: Place


@dataclass(frozen=True)
class Cap:
    """The level goes no higher when the condition holds (always, without a condition)."""

    when: Condition | None
    level: str
    because: Statement
    place: Place


@dataclass(frozen=True)
class RuleTest:
    """A capture of the corpus and how many subjects the rule must find in it."""

    capture: str
    expect: int
    place: Place


@dataclass(frozen=True)
class Rule:
    """One signature."""

    id: str
    title: str
    mechanism: str
    maturity: str
    table: Table
    requires: tuple[str, ...]
    has_data: Condition | None
    when: Condition
    prior: int
    evidence: tuple[EvidenceItem, ...]
    benign: tuple[BenignItem, ...]
    caps: tuple[Cap, ...]
    group_caps: tuple[tuple[str, int], ...]
    frames: tuple[str, ...]
    target: tuple[str, ...]
    yields_to: tuple[str, ...]
    """Rules that explain the same row better: where one of them matched, this one does not report."""
    references: tuple[str, ...]
    tests: tuple[RuleTest, ...]
    place: Place

    def conditions(self) -> tuple[Condition, ...]:
        """Every condition of the rule."""
        own = [
            self.when,
            self.has_data,
            *(item.when for item in self.evidence),
            *(cap.when for cap in self.caps),
        ]
        for item in self.benign:
            own += [item.when, item.testable]
        return tuple(condition for condition in own if condition is not None)

    def columns(self) -> tuple[str, ...]:
        """Every column that the rule looks at, names or shows, sorted."""
        names = {name for condition in self.conditions() for name in condition.columns}
        names.update(self.requires, self.frames, self.target)
        statements: list[Statement | None] = [item.because for item in self.evidence]
        statements += [cap.because for cap in self.caps]
        for item in self.benign:
            statements += [item.because, item.otherwise, item.untested]
        names.update(name for statement in statements if statement for name, _ in statement.units)
        for shown in (*(item.frames for item in self.evidence), *(item.frames for item in self.benign)):
            names.update(shown)
        names.update(item.distinct for item in self.evidence if item.distinct)
        return tuple(sorted(names & {column.name for column in self.table.columns}))
