"""Every case of the corpus is analysed; the analysis says what expect.yaml demands and nothing more."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
import yaml

from forensics import analysis
from forensics.data import signature_root
from forensics.signatures.model import LEVELS
from tests.corpus.cases import CASES, Case, accepted, every_case


@cache
def analysed(case: Case) -> analysis.Analysis:
    return analysis.analyze_capture(case.capture)


def streams(finding: Any) -> set[tuple[str, int]]:
    return {(subject.proto, subject.stream) for subject in finding.subjects}


def wanted_streams(row: dict[str, Any]) -> set[tuple[str, int]]:
    return {(subject["proto"], subject["stream"]) for subject in row["subjects"]}


def told(case: Case) -> str:
    """What the analysis said, for the message of a failing test."""
    lines = [f"{case.name}: {case.expect['description']}", "findings:"]
    for one in analysed(case).findings:
        lines.append(f"  {one.signature} {one.level} ({one.score}) {one.target} {sorted(streams(one))}")
        lines += [f"    {reason.id} {reason.points:+}: {reason.statement}" for reason in one.evidence]
        lines += [f"    {reason.id} {reason.outcome}: {reason.statement}" for reason in one.benign]
        lines.append(f"    frames {one.frame_numbers()}")
    lines.append("verdicts:")
    lines += [f"  {one.app} {one.feature} {one.status}: {one.summary}" for one in analysed(case).verdicts]
    return "\n".join(lines)


@every_case
def test_packets_are_all_read(case):
    result = analysed(case)
    assert result.notes.packets == case.expect["packets"]
    assert bool(result.notes.damage) == case.expect.get("damaged", False)


EXPECTED = [
    pytest.param(case, row, id=f"{case.name}-{number}")
    for case in CASES
    for number, row in enumerate(case.expect["findings"])
]


@pytest.mark.parametrize(("case", "row"), EXPECTED)
def test_finding_is_there(case, row):
    found = [
        one
        for one in analysed(case).findings
        if one.signature in accepted(row) and wanted_streams(row) <= streams(one)
    ]
    assert found, f"no finding of {accepted(row)} on {sorted(wanted_streams(row))}\n{told(case)}"
    finding = max(found, key=lambda one: LEVELS.index(one.level))
    level = LEVELS.index(finding.level)
    assert level >= LEVELS.index(row["min_level"]), f"below {row['min_level']}\n{told(case)}"
    assert level <= LEVELS.index(row.get("max_level", LEVELS[-1])), f"above {row['max_level']}\n{told(case)}"
    assert finding.mechanism == row["mechanism"]
    for key in ("app", "feature", "target"):
        if key in row:
            assert getattr(finding, key) == row[key], told(case)
    missing = [one for one in row["frames_include"] if one["frame"] not in finding.frame_numbers()]
    assert not missing, f"frames not named: {missing}\n{told(case)}"


@every_case
def test_nothing_else_is_found(case):
    expected = [(accepted(row), wanted_streams(row)) for row in case.expect["findings"]]
    for row in case.expect["must_not"]:
        for finding in analysed(case).findings:
            if row["signature"] not in {"*", finding.signature}:
                continue
            if LEVELS.index(finding.level) < LEVELS.index(row["level"]):
                continue
            known = any(finding.signature in names and streams(finding) & flows for names, flows in expected)
            assert known, f"{finding.signature} must not reach {row['level']}\n{told(case)}"


@every_case
def test_verdicts(case):
    said = {(one.app, one.feature): one.status for one in analysed(case).verdicts}
    for row in case.expect["verdicts"]:
        assert said.get((row["app"], row["feature"])) == row["status"], told(case)


@every_case
def test_nothing_is_blocked_without_a_finding(case):
    if not case.expect["findings"]:
        said = [one for one in analysed(case).verdicts if one.status == "blocked"]
        assert not said, told(case)


@every_case
def test_server_names(case):
    table = analysed(case).tables["flow"].frame()
    rows = table.filter(table["sni"].is_not_null() & (table["proto"] == "tcp")).sort("tls_client_hello_frame")
    said = rows.select("tls_client_hello_frame", "stream", "sni").rows()
    hostile = {(row["frame"], row["stream"]) for row in case.expect.get("hostile_sni", [])}
    assert hostile <= {row[:2] for row in said}
    clean = [row for row in said if row[:2] not in hostile]
    assert clean == [(row["frame"], row["stream"], row["sni"]) for row in case.expect["sni"]]


@every_case
def test_dns_look_ups(case):
    table = analysed(case).tables["dns"].frame()
    columns = ("qname", "qtype", "stream", "query_frames", "response_frames")
    said = sorted(table.select(columns).rows(), key=lambda row: row[3])
    assert said == [tuple(row[column] for column in columns) for row in case.expect["dns"]]


@every_case
def test_quality(case):
    wanted = case.expect.get("quality", {})
    assert {name: analysed(case).quality[name] for name in wanted} == wanted


def test_every_rule_has_two_positives_and_two_negatives():
    rules = sorted(
        yaml.safe_load(path.read_text("utf-8"))["id"]
        for path in (signature_root() / "interference").glob("**/*.yaml")
    )
    assert rules, "no rules in signatures/interference"
    for rule in rules:
        positive = [
            case.name for case in CASES if any(rule in accepted(row) for row in case.expect["findings"])
        ]
        negative = [
            case.name for case in CASES if any(row["signature"] == rule for row in case.expect["must_not"])
        ]
        assert len(positive) >= 2, f"{rule}: a rule needs two captures on which it fires, has {positive}"
        assert len(negative) >= 2, f"{rule}: a rule needs two captures on which it must not, has {negative}"
