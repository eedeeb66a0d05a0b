"""What is new between two looks at the same capture: findings that arise, change or do not stand any more."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from forensics.report.json_format import json_finding, json_verdict
from forensics.signatures.model import LEVELS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from forensics.analysis import Analysis
    from forensics.signatures.model import Finding

MOST: Final = 10_000
"""Findings that are remembered; past it the oldest is forgotten, and told again should it come back."""


class _Key(NamedTuple):
    """What makes two findings of two looks the same one."""

    signature: str
    app: str | None
    feature: str | None
    target: str
    place: int
    """Among those of one look that agree in the rest."""


class _Told(NamedTuple):
    """What was said of a finding last."""

    id: str
    level: str
    score: int
    subjects: int
    title: str


class Ledger:
    """Remembers what was told, so that each thing is told once, and nothing is silently taken back.

    ``update`` gives events, plain dicts with ``event`` and ``time``: see docs/live.md.
    """

    def __init__(self) -> None:
        self.findings: dict[_Key, _Told] = {}
        self.verdicts: dict[tuple[str, str], tuple[Any, ...]] = {}
        self._old_findings: dict[_Key, _Told] = {}
        self._old_verdicts: dict[tuple[str, str], tuple[Any, ...]] = {}
        self._dropped: int | None = None
        self._count = 0

    def update(self, analysis: Analysis, time: str) -> list[dict[str, Any]]:
        """What has to be said after this look; ``time`` (RFC 3339) is put into every event."""
        keyed = dict(_keyed(analysis.findings))
        events = [*self._new_findings(keyed), *self._withdrawn(keyed)]
        events += self._verdict_changes(analysis, keyed)
        dropped = analysis.quality.get("dropped_by_kernel")
        if dropped and dropped != self._dropped:
            events.append({"event": "quality", "dropped_by_kernel": dropped})
            self._dropped = dropped
        return [{"event": event.pop("event"), "time": time, **event} for event in events]

    def dropped(self) -> None:
        """The flows that were told of may be dropped by now: what is not said any more is not withdrawn."""
        old = self._old_findings
        for key, told in self.findings.items():
            old.pop(key, None)
            old[key] = told
        while len(old) > MOST:
            del old[next(iter(old))]
        self._old_verdicts |= self.verdicts
        self.findings = {}
        self.verdicts = {}

    def _new_findings(self, findings: Mapping[_Key, Finding]) -> list[dict[str, Any]]:
        events = []
        for key, finding in findings.items():
            before = self.findings.get(key) or self._old_findings.pop(key, None)
            if before is None:
                self._count += 1
                change, number = "new", f"L{self._count}"
                while len(self.findings) >= MOST:
                    del self.findings[next(iter(self.findings))]
            else:
                number = before.id
                change = _change(before, finding)
            self.findings[key] = _Told(
                number, finding.level, finding.score, len(finding.subjects), finding.title
            )
            if change:
                told = {name: value for name, value in json_finding(finding).items() if name != "id"}
                events.append({"event": "finding", "change": change, "id": number, **told})
        return events

    def _withdrawn(self, findings: Mapping[_Key, Finding]) -> list[dict[str, Any]]:
        events = []
        for key, told in [item for item in self.findings.items() if item[0] not in findings]:
            del self.findings[key]
            events.append(
                {
                    "event": "withdrawn",
                    "id": told.id,
                    "signature": key.signature,
                    "app": key.app,
                    "feature": key.feature,
                    "target": key.target,
                    "level": told.level,
                    "title": told.title,
                    "because": "what was captured since does not support it",
                }
            )
        return events

    def _verdict_changes(self, analysis: Analysis, findings: Mapping[_Key, Finding]) -> list[dict[str, Any]]:
        numbers = {one.id: self.findings[key].id for key, one in findings.items() if key in self.findings}
        events = []
        standing = set()
        for verdict in analysis.verdicts:
            key = verdict.app, verdict.feature
            standing.add(key)
            said = verdict.status, verdict.level, verdict.mechanisms
            if (self.verdicts.get(key) or self._old_verdicts.pop(key, None)) != said:
                ids = [numbers[number] for number in verdict.findings if number in numbers]
                events.append({"event": "verdict", **json_verdict(verdict), "findings": ids})
            self.verdicts[key] = said
        for key in [key for key in self.verdicts if key not in standing]:
            del self.verdicts[key]
            events.append({"event": "verdict", "app": key[0], "feature": key[1], "status": None})
        return events


def _keyed(findings: Iterable[Finding]) -> Iterator[tuple[_Key, Finding]]:
    places: Counter[tuple[Any, ...]] = Counter()
    for finding in findings:
        same = finding.signature, finding.app, finding.feature, finding.target
        yield _Key(*same, places[same]), finding
        places[same] += 1


def _change(before: _Told, now: Finding) -> str:
    """In a word; empty where nothing is worth saying."""
    if now.level != before.level:
        return "upgraded" if LEVELS.index(now.level) > LEVELS.index(before.level) else "downgraded"
    # One more connection to a name that is reset each time is no news; twice as many are.
    return "more" if len(now.subjects) >= 2 * before.subjects else ""
