from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from forensics.cli.signatures_cmd import signatures
from forensics.errors import CaptureError
from forensics.signatures import SignatureSet, evaluate
from forensics.signatures.load import read_rule
from forensics.signatures.selftest import run_tests
from tests.signatures.tables import flows
from tests.signatures.test_load import GOOD


def test_list_names_every_rule():
    result = CliRunner().invoke(signatures, ["list"])
    assert result.exit_code == 0
    for rule in SignatureSet.load().rules:
        assert f"{rule.id} " in result.output
        assert rule.title in result.output


def test_show_prints_the_file():
    result = CliRunner().invoke(signatures, ["show", "tls.sni.reset"])
    assert result.exit_code == 0
    assert "id: tls.sni.reset\n" in result.output


@pytest.mark.parametrize(("change", "code"), [("", 0), ("points: 5", 1)])
def test_lint_exits_1_on_an_error_and_names_the_place(tmp_path: Path, change: str, code: int):
    file = tmp_path / "test.rule.yaml"
    text = GOOD.replace("capture: one", "capture: demo-whatsapp-2017").replace(
        "capture: two", "capture: midflow-start"
    )
    file.write_text(text.replace(change, "points: \x85x") if change else text)
    result = CliRunner().invoke(signatures, ["lint", str(file)])
    assert result.exit_code == code, result.output
    assert (f"{file}:" in result.output) == bool(code)


def test_rule_tests_count_the_subjects_of_the_rules_findings(tmp_path: Path):
    for case in ("one", "two"):
        (tmp_path / case).mkdir()
        (tmp_path / case / "capture.pcap").touch()
    rule = read_rule("r.yaml", GOOD.encode())
    hit = {"rst_to_client": 1, "rst_to_client_frames": [7]}
    found = evaluate(SignatureSet((rule,), ""), {"flow": flows(hit)}).findings
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
