"""What was seen of one feature of one app, before it is judged."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from forensics.signatures.model import LEVELS

if TYPE_CHECKING:
    from forensics.signatures.model import Finding


@dataclass(frozen=True)
class TargetCounts:
    """Flows of one feature to one server name (or address and port)."""

    target: str
    named: bool
    success: int = 0
    failed: int = 0
    neutral: int = 0
    last_success: int = 0
    last_failure: int = 0

    @property
    def flows(self) -> int:
        """All of them."""
        return self.success + self.failed + self.neutral


@dataclass
class Case:
    """All that was seen of one feature of one app."""

    app: str
    feature: str
    targets: dict[str, TargetCounts] = field(default_factory=dict)
    lookups: int = 0
    findings: list[Finding] = field(default_factory=list)
    hit: dict[str, list[str]] = field(default_factory=dict)
    """Finding id → targets of the flows (or names of the look-ups) it speaks of."""

    def count(self, outcome: str) -> int:
        """Flows with this outcome."""
        return sum(int(getattr(target, outcome)) for target in self.targets.values())

    def at_least(self, level: int) -> list[Finding]:
        """Findings of this level or stronger."""
        return [finding for finding in self.findings if LEVELS.index(finding.level) >= level]
