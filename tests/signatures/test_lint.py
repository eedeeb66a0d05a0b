from __future__ import annotations

from pathlib import Path

import pytest

from forensics.signatures import SignatureSet
from forensics.signatures.lint import lint_files, lint_rule
from tests.signatures.test_load import FILES, GOOD, read


def test_the_shipped_rules_load_and_pass_lint():
    assert {rule.id for rule in SignatureSet.load().rules} >= {path.stem for path in FILES}
    assert [issue for issue in lint_files(FILES) if issue.severity == "error"] == []


@pytest.mark.parametrize(
    ("old", "new", "check"),
    [
        ("expect: 1", "expect: 0", "positive-test"),
        ("expect: 0", "expect: 3", "negative-test"),
        ("capture: two", "capture: three", "test-captures"),
        ("capture: two", "capture: one", "test-captures"),
        ("references: [X]\n", "", "references"),
        ("title: something", "title: Something", "title"),
        ("frames: [rst_to_client_frames]\ntarget", "frames: []\ntarget", "frames"),
        ('resets"', 'resets."', "sentences"),
        ("points: 5", "points: 0", "points"),
        ("points: 5", "points: 5\n    group: g", "group-cap"),
    ],
)
def test_lint_checks(old: str, new: str, check: str):
    cases = {"one", "two"}
    assert lint_rule(read(GOOD), cases) == []
    assert old in GOOD
    assert check in {issue.check for issue in lint_rule(read(GOOD.replace(old, new, 1)), cases)}


def test_lint_reports_an_unreadable_file_with_its_place(tmp_path: Path):
    file = tmp_path / "test.rule.yaml"
    file.write_text(GOOD.replace("points: 5", "points: x"))
    (issue,) = lint_files([file])
    assert (issue.severity, issue.place.line) == ("error", 12)
