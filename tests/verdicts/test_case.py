from __future__ import annotations

from forensics.signatures.model import LEVELS, Finding
from forensics.verdicts.case import Case, TargetCounts


def finding(level: str) -> Finding:
    return Finding(
        id="F1",
        signature="a.b",
        mechanism="sni-reset",
        level=level,
        score=0,
        title="t",
        app="x",
        feature="y",
        target="z",
        subjects=(),
        evidence=(),
        benign=(),
        frames=(),
    )


def test_counts_go_over_all_targets():
    one = TargetCounts("a.example", named=True, success=1, failed=2, neutral=4)
    two = TargetCounts("b.example", named=True, failed=8)
    case = Case("x", "y", targets={"a.example": one, "b.example": two})
    assert (one.flows, two.flows) == (7, 8)
    assert [case.count(word) for word in ("success", "failed", "neutral")] == [1, 10, 4]


def test_at_least_keeps_the_order_of_levels():
    case = Case("x", "y", findings=[finding(level) for level in reversed(LEVELS)])
    assert [found.level for found in case.at_least(LEVELS.index("likely"))] == [
        "conclusive",
        "strong",
        "likely",
    ]
    assert len(case.at_least(0)) == len(LEVELS)
