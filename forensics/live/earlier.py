"""What was found in flows that are kept no more: findings and verdicts in compact form."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from forensics.report.json_format import json_finding
from forensics.report.times import rfc3339
from forensics.signatures.model import LEVELS

if TYPE_CHECKING:
    from forensics.analysis import Analysis
    from forensics.signatures.model import Finding

MOST: Final = 10_000
"""Findings that are kept; past it the weakest, and of those the oldest, go first."""
_SUBJECTS: Final = 5
"""Connections that are named for each."""

Key = tuple[str, str | None, str | None, str]


@dataclass
class Earlier:
    """Findings by signature, app, feature and target: of each the strongest, and between when it was seen."""

    flows: int = 0
    """Flows that were judged and dropped."""
    until: int | None = None
    """Time (ns) of the last packet before the last of them were."""
    forgotten: int = 0
    """Findings that were dropped because there were too many."""
    findings: dict[Key, dict[str, Any]] = field(default_factory=dict)
    verdicts: dict[tuple[str, str], Counter[str]] = field(default_factory=dict)
    """(app, feature) → status → times it was the verdict."""

    def add(self, analysis: Analysis) -> None:
        """Keep what was found."""
        self.until = analysis.last_time
        time = None if self.until is None else rfc3339(self.until)
        for finding in analysis.findings:
            key = _key(finding)
            known = self.findings.pop(key, None)
            told = {name: value for name, value in json_finding(finding).items() if name != "id"}
            told["subjects"] = told["subjects"][:_SUBJECTS]
            told["connections"] = len(finding.subjects)
            if known is not None and _rank(known) > _rank(told):
                told = known
            first = time if known is None else known["judged_first"]
            self.findings[key] = {**told, "judged_first": first, "judged_last": time}
        for verdict in analysis.verdicts:
            self.verdicts.setdefault((verdict.app, verdict.feature), Counter())[verdict.status] += 1
        self._bound()

    def _bound(self) -> None:
        excess = len(self.findings) - MOST
        if excess > 0:
            # sorting keeps the order of age among equals
            for key in sorted(self.findings, key=lambda key: _rank(self.findings[key]))[:excess]:
                del self.findings[key]
            self.forgotten += excess

    def report(self, analysis: Analysis) -> dict[str, Any] | None:
        """For the report, without what ``analysis`` still says; None where nothing was dropped."""
        if self.until is None:
            return None
        standing = {_key(finding) for finding in analysis.findings}
        return {
            "until": rfc3339(self.until),
            "flows": self.flows,
            "findings_forgotten": self.forgotten,
            "findings": [told for key, told in self.findings.items() if key not in standing],
            "verdicts": [
                {"app": app, "feature": feature, "times": dict(sorted(counts.items()))}
                for (app, feature), counts in sorted(self.verdicts.items())
            ],
        }


def _key(finding: Finding) -> Key:
    return finding.signature, finding.app, finding.feature, finding.target


def _rank(told: dict[str, Any]) -> tuple[int, int]:
    return LEVELS.index(told["level"]), told["score"]
