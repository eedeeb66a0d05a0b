from __future__ import annotations

from forensics.signatures.condition import split_and


def test_conditions_split_at_their_outer_ands():
    assert split_and("a > 1 AND (b = 2 AND c) AND d BETWEEN 1 AND 3") == (
        "a > 1",
        "(b = 2 AND c)",
        "d BETWEEN 1 AND 3",
    )
    assert split_and("a OR b AND c") == ("a OR b AND c",)
