from __future__ import annotations

import numpy as np
import pytest

from forensics.signatures import evaluate
from forensics.signatures.model import LEVELS
from forensics.signatures.score import level_numbers
from tests.signatures.tables import RST, flows, rules
from tests.signatures.test_load import GOOD


def test_an_explanation_that_stands_takes_points():
    (finding,) = evaluate(rules(GOOD), {"flow": flows(RST | {"server_local": True})}).findings
    assert (finding.score, finding.benign[0].outcome, finding.benign[0].points) == (-1, "stands", -2)


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
    assert [LEVELS[number] for number in level_numbers(np.array([score]))] == [level]
