"""The tests that rules carry: analyse the named capture and count what the rule found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from forensics.errors import ForensicsError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from forensics.signatures.model import Finding
    from forensics.signatures.rule import Rule


@dataclass(frozen=True)
class TestResult:
    """One test of one rule."""

    __test__ = False  # not a pytest class

    rule: str
    capture: str
    passed: bool
    sentence: str


def run_tests(
    rules: Iterable[Rule], corpus: Path, find: Callable[[Path], tuple[Finding, ...]]
) -> Iterator[TestResult]:
    """Run the tests of the rules over ``corpus/<case>/capture.pcap*``; each capture is analysed once.

    ``find`` gives the findings of a capture file: the whole analysis, which is a room further on.
    """
    known: dict[str, tuple[Finding, ...]] = {}
    for rule in rules:
        for test in rule.tests:
            # the name was checked when the rule was read: one folder, no path
            files = sorted((corpus / test.capture).glob("capture.pcap*"))
            if not files:
                yield TestResult(
                    rule.id, test.capture, passed=False, sentence="the corpus has no such capture"
                )
                continue
            try:
                if test.capture not in known:
                    known[test.capture] = find(files[0])
            except ForensicsError as error:
                yield TestResult(rule.id, test.capture, passed=False, sentence=str(error))
                continue
            found = sum(len(item.subjects) for item in known[test.capture] if item.signature == rule.id)
            sentence = f"expected {test.expect}, found {found}"
            yield TestResult(rule.id, test.capture, passed=found == test.expect, sentence=sentence)
