from __future__ import annotations

from typing import Any

import pytest

from forensics.signatures import SignatureSet, evaluate
from forensics.signatures.condition import split_and
from forensics.signatures.explain import explain, told
from forensics.signatures.findings import MAX_FRAMES
from forensics.signatures.load import read_rule
from forensics.signatures.model import Outcome
from forensics.signatures.score import level_of
from forensics.signatures.statement import show, show_all
from tests.signatures.tables import flows, lookups
from tests.signatures.test_load import GOOD


def rules(*texts: str) -> SignatureSet:
    made = [read_rule("r.yaml", text.encode()) for text in texts]
    return SignatureSet(tuple(sorted(made, key=lambda rule: rule.id)), "0")


RST = {"rst_to_client": 1, "rst_to_client_frames": [7]}


@pytest.mark.parametrize(
    ("row", "outcome"),
    [
        (RST, Outcome.MATCHED),
        ({}, Outcome.NOT_MATCHED),
        (RST | {"tls_client_hello": None}, Outcome.NO_DATA),
        (RST | {"tls_client_hello": False, "start_seen": False}, Outcome.NO_DATA),
        (RST | {"start_seen": False}, Outcome.UNINTERPRETABLE),
        (RST | {"start_seen": None}, Outcome.UNINTERPRETABLE),
        ({"rst_to_client": None}, Outcome.NOT_MATCHED),
    ],
)
def test_the_four_outcomes(row: dict[str, Any], outcome: Outcome):
    counts = evaluate(rules(GOOD), {"flow": flows(row)}).outcomes["test.rule"]
    assert counts == {other: int(other == outcome) for other in Outcome}


def test_closed_gates_are_counted_for_each_rule():
    both = GOOD.replace("requires: [start_seen]", "requires: [start_seen, both_directions]")
    shut = {"start_seen": False}
    found = evaluate(rules(both), {"flow": flows(RST, RST | shut, shut | {"both_directions": None})})
    assert found.closed == {"test.rule": {"start_seen": 2, "both_directions": 1}}
    assert evaluate(rules(both), {"flow": flows(RST)}).closed == {}


def test_rows_of_one_target_are_one_finding():
    rows = (
        RST,
        RST | {"rst_to_client": 2, "rst_to_client_frames": [9, 11], "rst_seq_change": True},
        RST | {"sni": "b.example", "rst_to_client_frames": [50]},
    )
    one, two = evaluate(rules(GOOD), {"flow": flows(*rows)}).findings
    assert (one.id, one.score, one.level) == ("F1", 6, "likely")
    assert [subject.row for subject in one.subjects] == [0, 1]
    assert [item.statement for item in one.evidence] == ["2 resets, in 1 of 2 connections"]
    assert one.evidence[0].frames == (9, 11)
    assert [item.frame for item in one.frames] == [7, 9, 11]
    assert (two.target, two.score, two.level) == ("b.example", 1, "observed")
    assert [(item.id, item.outcome) for item in one.benign] == [("other", "excluded")]


def test_a_statement_is_true_of_every_row_it_names():
    change = RST | {"rst_seq_change": True}
    rows = (change, change | {"rst_to_client": 3}, change | {"rst_to_client": 2, "server_local": True}, RST)
    (finding,) = evaluate(rules(GOOD), {"flow": flows(*rows)}).findings
    assert [item.statement for item in finding.evidence] == ["1 to 3 resets, in 3 of 4 connections"]
    assert [(item.outcome, item.statement) for item in finding.benign] == [
        ("excluded", "it is not local, not so in 1 of 4 connections")
    ]


@pytest.mark.parametrize(
    ("values", "unit", "shown"),
    [
        ([54.0, 61.04], "ms", "54.0 ms to 61.0 ms"),
        ([54.01, 54.02], "ms", "54.0 ms"),
        (["a", "b", "a"], "", "a, b"),
        ([None, 3], "", "none, 3"),
        ([True, False], "", "yes, no"),
        ([["a", "b"], ["b", "c"]], "", "a, b, c"),
        ([[9, 9], [9, 9]], "", "9, 9"),
        ([list(range(20)), [1]], "", "0, 1, 2, 3, 4, 5, 6, 7, …"),
    ],
)
def test_values_of_several_rows(values: list[object], unit: str, shown: str):
    assert show_all(values, unit) == shown


def test_an_explanation_that_stands_takes_points():
    (finding,) = evaluate(rules(GOOD), {"flow": flows(RST | {"server_local": True})}).findings
    assert (finding.score, finding.benign[0].outcome, finding.benign[0].points) == (-1, "stands", -2)


def test_one_row_has_one_finding_per_mechanism():
    better = GOOD.replace("test.rule", "test.better").replace(
        "maturity: stable", "maturity: stable\nprior: 3"
    )
    other = GOOD.replace("test.rule", "test.other").replace("sni-reset", "tls-mitm")
    found = evaluate(rules(GOOD, better, other), {"flow": flows(RST)}).findings
    assert {finding.signature for finding in found} == {"test.better", "test.other"}
    lower = evaluate(rules(GOOD, better + "yields_to: [test.rule]\n"), {"flow": flows(RST)}).findings
    assert [finding.signature for finding in lower] == ["test.rule"]


def test_caps_and_experimental_rules():
    strong = RST | {"rst_seq_change": True}
    capped = GOOD + "caps:\n  - {when: name_ok = 0, level: observed, because: 'of {name_attempts}'}\n"
    (finding,) = evaluate(rules(capped), {"flow": flows(strong)}).findings
    assert (finding.level, finding.score, finding.notes) == ("observed", 6, ("not above observed: of 1",))
    (finding,) = evaluate(rules(GOOD.replace("stable", "experimental")), {"flow": flows(strong)}).findings
    assert finding.level == "suspected"
    assert len(finding.notes) == 1


def test_an_explanation_that_cannot_be_tested_says_so():
    text = GOOD.replace(
        'otherwise: "it is not local"}',
        'otherwise: "no", testable: server_local IS NOT NULL, untested: "unknown"}',
    )
    text = text.replace("frames: [rst_to_client_frames]\ntarget", "frames: []\ntarget")
    (finding,) = evaluate(rules(text), {"flow": flows(RST | {"server_local": None})}).findings
    assert (finding.benign[0].outcome, finding.benign[0].statement) == ("not-testable", "unknown")
    only = (
        GOOD[: GOOD.index("  - {id: other")]
        + '  - {id: other, untested: "unknown"}\n'
        + GOOD[GOOD.index("frames: [rst_to_client_frames]\ntarget") :]
    )
    (finding,) = evaluate(rules(only), {"flow": flows(RST)}).findings
    assert finding.benign[0].outcome == "not-testable"


def test_frames_are_bounded():
    many = [RST | {"rst_to_client_frames": [frame]} for frame in range(100, 300)]
    (finding,) = evaluate(rules(GOOD), {"flow": flows(*many)}).findings
    assert len(finding.subjects) == 200
    assert len(finding.frames) == MAX_FRAMES


def test_tables_may_be_empty_or_missing():
    shipped = SignatureSet.load()
    assert evaluate(shipped, {}).findings == ()
    empty = evaluate(shipped, {"flow": flows(), "dns": lookups()})
    assert empty.findings == ()
    assert set(empty.outcomes) == {rule.id for rule in shipped.rules}


@pytest.mark.parametrize(
    ("score", "level"),
    [
        (-9, "observed"),
        (1, "observed"),
        (2, "suspected"),
        (4, "suspected"),
        (5, "likely"),
        (7, "likely"),
        (8, "strong"),
        (11, "strong"),
        (12, "conclusive"),
        (99, "conclusive"),
    ],
)
def test_levels(score: int, level: str):
    assert level_of(score) == level


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (None, "", "none"), (4.93, "ms", "4.9 ms"), (222.4, "ms", "222 ms"), (30_000.0, "ms", "30.0 s"),
        (140_000.0, "bit/s", "140 kbit/s"), (15_200_000.0, "bit/s", "15.2 Mbit/s"), (3, "packets", "3"),
        (0.045, "", "0.04"), (100.0, "", "100"), ([1, 2], "", "1, 2"), ([], "", "none"), (True, "", "yes"),
        ("a\x1b[31m", "", "a\\x1b[31m"),
    ],
)  # fmt: skip
def test_values_as_people_write_them(value: object, unit: str, text: str):
    assert show(value, unit) == text


def test_conditions_split_at_their_outer_ands():
    assert split_and("a > 1 AND (b = 2 AND c) AND d BETWEEN 1 AND 3") == (
        "a > 1",
        "(b = 2 AND c)",
        "d BETWEEN 1 AND 3",
    )
    assert split_and("a OR b AND c") == ("a OR b AND c",)


def test_only_the_lowest_cap_is_told():
    caps = "".join(
        f"  - {{level: {level}, because: '{said}'}}\n"
        for level, said in (("likely", "a"), ("observed", "b"), ("observed", "c"), ("suspected", "d"))
    )
    (finding,) = evaluate(rules(GOOD + "caps:\n" + caps), {"flow": flows(RST)}).findings
    assert finding.notes == ("not above observed: b", "not above observed: c")


def test_explain_tells_a_match_with_all_its_reasons():
    rule = read_rule("r.yaml", GOOD.encode())
    match, miss = explain(rule, flows(RST | {"rst_seq_change": True}, {}))
    assert (match.level, match.score) == ("likely", 6)
    assert [(item.kind, item.text, item.points) for item in match.reasons] == [
        ("evidence", "some: rst_seq_change", 5),
        ("benign", "other excluded: server_local", None),
    ]
    assert (miss.level, miss.reasons) == (None, ())
    assert list(told([match, miss])) == [
        "tcp.stream 0, 192.0.2.1:50000 to 203.0.113.5:443, blocked.example: matched, likely (score 6)",
        "   holds  gate      start_seen",
        "   holds  when      rst_to_client > 0   [rst_to_client = 1]",
        "      +5  evidence  some: rst_seq_change   [rst_seq_change = yes]",
        "       -  benign    other excluded: server_local   [server_local = no]",
        "  frame.number in {7}",
        "tcp.stream 1, 192.0.2.1:50001 to 203.0.113.5:443, blocked.example: not-matched",
        "   holds  gate      start_seen",
        "   FAILS  when      rst_to_client > 0   [rst_to_client = 0]",
    ]


def test_explain_does_not_round_a_value_to_its_limit():
    rule = read_rule("r.yaml", GOOD.replace("rst_to_client > 0", "waited_ms > 0.3").encode())
    (miss,) = explain(rule, flows({"waited_ms": 0.2998}))
    assert ("waited_ms", "0.2998 ms") in {value for step in miss.steps for value in step.values}


def test_explain_shows_the_near_miss():
    rule = read_rule("r.yaml", GOOD.encode())
    match, miss, closed = explain(
        rule, flows(RST, {}, RST | {"start_seen": False}, {"tls_client_hello": False})
    )
    assert (match.outcome, match.row, match.frames) == (Outcome.MATCHED, 0, (7,))
    assert all(step.passed for step in match.steps)
    (failed,) = [step for step in miss.steps if not step.passed]
    assert (failed.text, failed.values) == ("rst_to_client > 0", (("rst_to_client", "0"),))
    assert closed.outcome == Outcome.UNINTERPRETABLE
