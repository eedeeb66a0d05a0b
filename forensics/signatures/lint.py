"""Checks of rules beyond what loading demands: one small class each, found by itself when it is defined here."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Final

from forensics.errors import Place, RuleError
from forensics.signatures.load import SignatureSet

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence
    from pathlib import Path

    from forensics.signatures.rule import Rule

ERROR: Final = "error"
WARNING: Final = "warning"


@dataclass(frozen=True)
class Issue:
    """Something that a rule's author should mend."""

    severity: str
    """``error`` or ``warning``; only errors make ``lint`` fail."""
    place: Place
    check: str
    message: str
    recommendation: str


class Check(ABC):
    """One check; a subclass in this module takes part by being defined."""

    name: ClassVar[str]
    severity: ClassVar[str] = ERROR
    recommendation: ClassVar[str]
    known: ClassVar[list[type[Check]]] = []

    def __init_subclass__(cls) -> None:
        """Take part."""
        Check.known.append(cls)

    @abstractmethod
    def problems(self, rule: Rule, cases: Collection[str] | None) -> Iterator[tuple[Place, str]]:
        """Places and sentences; ``cases`` are the names in the corpus, None without a corpus."""


class PositiveTest(Check):
    """A rule that never fired on anything is a guess."""

    name = "positive-test"
    recommendation = "add a test with a capture on which the rule must match"

    def problems(self, rule: Rule, cases: Collection[str] | None) -> Iterator[tuple[Place, str]]:  # noqa: D102, ARG002
        if not any(test.expect > 0 for test in rule.tests):
            yield rule.place, "no test expects the rule to match"


class NegativeTest(Check):
    """A rule that was never seen to stay silent may fire on anything."""

    name = "negative-test"
    recommendation = "add a test with a capture that differs in one respect and must not match"

    def problems(self, rule: Rule, cases: Collection[str] | None) -> Iterator[tuple[Place, str]]:  # noqa: D102, ARG002
        if not any(test.expect == 0 for test in rule.tests):
            yield rule.place, "no test expects the rule not to match"


class TestCaptures(Check):
    """A test must name a capture that is there, once."""

    __test__ = False  # not a pytest class
    name = "test-captures"
    recommendation = "name a folder of pcaps/, each one once"

    def problems(self, rule: Rule, cases: Collection[str] | None) -> Iterator[tuple[Place, str]]:  # noqa: D102
        seen: set[str] = set()
        for test in rule.tests:
            if cases is not None and test.capture not in cases:
                yield test.place, f"the corpus has no case {test.capture}"
            if test.capture in seen:
                yield test.place, f"{test.capture} is tested twice"
            seen.add(test.capture)


class References(Check):
    """Readers must be able to check where a pattern was described."""

    name = "references"
    recommendation = "name the studies or reports that describe the pattern"

    def problems(self, rule: Rule, cases: Collection[str] | None) -> Iterator[tuple[Place, str]]:  # noqa: D102, ARG002
        if not rule.references:
            yield rule.place, "no reference says where the pattern was described"


class InnocentExplanations(Check):
    """Every pattern has innocent look-alikes."""

    name = "benign"
    recommendation = "list the innocent explanations, also those that cannot be tested"

    def problems(self, rule: Rule, cases: Collection[str] | None) -> Iterator[tuple[Place, str]]:  # noqa: D102, ARG002
        if not rule.benign:
            yield rule.place, "no innocent explanation is listed"


class Evidence(Check):
    """A finding must be able to say why."""

    name = "evidence"
    recommendation = "list at least one reason, with points and frames"

    def problems(self, rule: Rule, cases: Collection[str] | None) -> Iterator[tuple[Place, str]]:  # noqa: D102, ARG002
        if not rule.evidence:
            yield rule.place, "no evidence is listed"
        if rule.evidence and not any(item.frames for item in rule.evidence):
            yield rule.place, "no reason names frames"


class FramesShown(Check):
    """A finding without frames cannot be checked in Wireshark."""

    name = "frames"
    recommendation = "name the frame columns that show the pattern"

    def problems(self, rule: Rule, cases: Collection[str] | None) -> Iterator[tuple[Place, str]]:  # noqa: D102, ARG002
        if not rule.frames:
            yield rule.place, "a finding of this rule would name no frames"


class Title(Check):
    """Reports print `the capture shows that …`."""

    name = "title"
    recommendation = "complete the sentence `the capture shows that ...`: lower case, no full stop"

    def problems(self, rule: Rule, cases: Collection[str] | None) -> Iterator[tuple[Place, str]]:  # noqa: D102, ARG002
        if not re.match(r"[a-z]", rule.title) or rule.title.endswith("."):
            yield rule.place, "the title does not complete a sentence"


class Sentences(Check):
    """Statements are printed one per line, after a dash."""

    name = "sentences"
    severity = WARNING
    recommendation = "write the statement as one clause without a full stop"

    def problems(self, rule: Rule, cases: Collection[str] | None) -> Iterator[tuple[Place, str]]:  # noqa: D102, ARG002
        spoken = [(item.place, item.because) for item in rule.evidence]
        spoken += [(item.place, item.because) for item in rule.caps]
        for item in rule.benign:
            said = (item.because, item.otherwise, item.untested)
            spoken += [(item.place, statement) for statement in said if statement]
        for place, statement in spoken:
            if statement.text.endswith("."):
                yield place, "a statement ends with a full stop"


class EmptyPoints(Check):
    """Evidence that changes nothing is no evidence."""

    name = "points"
    severity = WARNING
    recommendation = "give the reason points, or drop it"

    def problems(self, rule: Rule, cases: Collection[str] | None) -> Iterator[tuple[Place, str]]:  # noqa: D102, ARG002
        for item in rule.evidence:
            if item.points == 0:
                yield item.place, f"the evidence {item.id} has no points"


class Uncapped(Check):
    """Correlated reasons must not add up as if they were independent."""

    name = "group-cap"
    recommendation = "give the group a limit in group_caps"

    def problems(self, rule: Rule, cases: Collection[str] | None) -> Iterator[tuple[Place, str]]:  # noqa: D102, ARG002
        capped = {name for name, _ in rule.group_caps}
        for item in rule.evidence:
            if item.group is not None and item.group not in capped:
                yield item.place, f"the group {item.group} has no limit"


def lint_rule(rule: Rule, cases: Collection[str] | None = None) -> list[Issue]:
    """All issues of one rule, in order of their place."""
    issues = [
        Issue(check.severity, place, check.name, message, check.recommendation)
        for check in Check.known
        for place, message in check().problems(rule, cases)
    ]
    return sorted(
        issues, key=lambda issue: (issue.place.line, issue.place.column, issue.check, issue.message)
    )


def lint_files(files: Sequence[Path], corpus: Path | None = None) -> list[Issue]:
    """Read and check rule files, each on its own; what makes a file unreadable is an issue like the others.

    ``corpus`` is the folder of captures; None: names of captures are not checked.
    """
    cases = None if corpus is None else {case.name for case in corpus.iterdir() if case.is_dir()}
    issues: list[Issue] = []
    places: dict[str, Place] = {}
    for file in files:
        try:
            (rule,) = SignatureSet.read([file]).rules
        except RuleError as error:
            issues.append(Issue(ERROR, error.place, "readable", error.message, "mend the file"))
            continue
        if rule.id in places:
            twice = f"the id {rule.id} is already that of {places[rule.id].file}"
            issues.append(Issue(ERROR, rule.place, "unique-id", twice, "choose another id"))
        places.setdefault(rule.id, rule.place)
        issues += lint_rule(rule, cases)
    return issues


def errors(issues: Iterable[Issue]) -> int:
    """How many of the issues are errors."""
    return sum(issue.severity == ERROR for issue in issues)
