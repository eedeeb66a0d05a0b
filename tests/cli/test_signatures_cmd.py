from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from forensics.cli.signatures_cmd import signatures
from forensics.signatures import SignatureSet
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


def test_explain_tells_matches_first_and_then_the_near_misses(repo_root: Path):
    capture = repo_root / "pcaps" / "sni-reset-same-ttl" / "capture.pcap"
    result = CliRunner().invoke(signatures, ["explain", "tls.sni.reset", str(capture), "--limit", "2"])
    assert result.exit_code == 0, result.output
    first, second = result.output.split("\n\n")[1:3]
    assert "zh.wikipedia.org: matched" in first
    assert "evidence  late-real: to_client_packets_after_rst > 0" in first
    assert "frame.number in {" in first
    assert ": not-matched" in second
    assert "FAILS  when      rst_to_client > 0   [rst_to_client = 0]" in second
