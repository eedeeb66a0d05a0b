from __future__ import annotations

from dataclasses import replace

from forensics.report.scope import closed_gates, looked_at, unapplied, untested_benign
from tests.report.made import analysis, finding, reset, tables, works

COUNTS = {"matched": 0, "not-matched": 0, "no-data": 4, "uninterpretable": 1}


def test_one_is_one():
    assert looked_at(analysis(tables([reset()], [{}]))) == "1 connection and 1 DNS look-up, by 7 signatures"


def test_only_gates_that_are_closed_are_told():
    made = analysis(tables([reset(), works(both_directions=False)]))
    assert "1 of 2 connections: only one direction was captured." in closed_gates(made)


def test_a_signature_is_told_only_where_something_kept_it_from_judging():
    made = replace(
        analysis(tables([reset()])),
        outcomes={"a.b": COUNTS, "c.d": {**COUNTS, "uninterpretable": 0}},
        closed_gates={"a.b": {"start_seen": 1}},
    )
    assert unapplied(made) == [
        "a.b could not judge its only candidate: the beginning of the flow is not in the capture."
    ]


def test_findings_with_open_explanations_are_named():
    assert untested_benign(analysis(tables([reset()]), finding())) == [
        "An innocent explanation that this capture cannot test: F1."
    ]
    assert untested_benign(analysis(tables([reset()]), finding(benign=()))) == []
