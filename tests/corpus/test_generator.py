"""The corpus is what its generator writes, and the generator knows nothing of the code under test."""

from __future__ import annotations

import ast

import pytest

from pcaps.generate.cases import CASES as GENERATED
from pcaps.generate.cases import make
from tests.corpus.cases import CASES, CORPUS, every_case

LARGEST_CORPUS = 12_000_000
MECHANISMS = {"sni-reset", "sni-drop", "dns-injection", "dns-tampering", "ip-block", "throttling-police"}
LEVELS = {"observed", "suspected", "likely", "strong", "conclusive"}


def test_every_generated_case_is_kept_and_no_other_claims_to_be():
    ours = {case.name for case in CASES if case.expect["source"] == "made by pcaps/generate"}
    assert ours == set(GENERATED)


@pytest.mark.parametrize("name", sorted(GENERATED))
def test_same_bytes_again(name):
    for file, data in make(name).items():
        kept = CORPUS / name / file
        assert kept.read_bytes() == data, f"{kept} is not what python -m pcaps.generate {name} writes"


def test_generator_does_not_import_the_code_under_test():
    for path in sorted((CORPUS / "generate").glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            assert not [name for name in names if name.split(".")[0] == "forensics"], path


def test_corpus_stays_small():
    assert sum(path.stat().st_size for path in CORPUS.glob("*/*") if path.is_file()) < LARGEST_CORPUS


@every_case
def test_expectation_has_the_agreed_shape(case):
    expect = case.expect
    assert len(expect["description"]) > 30
    assert expect["pair"] is None or expect["pair"] in {other.name for other in CASES}
    frames = range(1, expect["packets"] + 1)
    for row in expect["findings"]:
        assert row["mechanism"] in MECHANISMS
        assert row["min_level"] in LEVELS
        assert row["subjects"]
        assert row["frames_include"]
        assert all(one["frame"] in frames for one in row["frames_include"])
        assert all(subject["stream"] >= 0 for subject in row["subjects"])
    assert {"signature": "*", "level": "likely"} in expect["must_not"]
    assert all(row["level"] in LEVELS for row in expect["must_not"])
    assert all(row["status"] in {"ok", "degraded", "blocked", "undetermined"} for row in expect["verdicts"])
