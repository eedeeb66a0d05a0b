from __future__ import annotations

from pathlib import Path

from forensics.errors import CaptureError
from forensics.signatures import SignatureSet, evaluate
from forensics.signatures.load import read_rule
from forensics.signatures.selftest import run_tests
from tests.signatures.tables import flows
from tests.signatures.test_load import GOOD


def test_rule_tests_count_the_subjects_of_the_rules_findings(tmp_path: Path):
    for case in ("one", "two"):
        (tmp_path / case).mkdir()
        (tmp_path / case / "capture.pcap").touch()
    rule = read_rule("r.yaml", GOOD.encode())
    hit = {"rst_to_client": 1, "rst_to_client_frames": [7]}
    found = evaluate(SignatureSet((rule,)), {"flow": flows(hit)}).findings
    quiet = list(run_tests([rule], tmp_path, lambda file: found if file.parent.name == "one" else ()))
    assert [result.passed for result in quiet] == [True, True]
    loud = list(run_tests([rule], tmp_path, lambda _: found))
    assert [result.passed for result in loud] == [True, False]
    assert loud[1].sentence == "expected 0, found 1"


def test_a_missing_or_damaged_capture_fails_its_test(tmp_path: Path):
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "capture.pcap").touch()

    def broken(_: Path) -> tuple[()]:
        raise CaptureError("no capture")

    rule = read_rule("r.yaml", GOOD.encode())
    sentences = [result.sentence for result in run_tests([rule], tmp_path, broken) if not result.passed]
    assert sentences == ["no capture", "the corpus has no such capture"]
