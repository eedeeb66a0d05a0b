from __future__ import annotations

from typing import Any

import pytest

from forensics.signatures import SignatureSet, evaluate
from forensics.signatures.model import Outcome
from tests.signatures.tables import RST, flows, lookups, rules
from tests.signatures.test_load import GOOD


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


def test_tables_may_be_empty_or_missing():
    shipped = SignatureSet.load()
    assert evaluate(shipped, {}).findings == ()
    empty = evaluate(shipped, {"flow": flows(), "dns": lookups()})
    assert empty.findings == ()
    assert set(empty.outcomes) == {rule.id for rule in shipped.rules}


def test_a_conversation_that_only_carries_others_is_not_judged():
    found = evaluate(rules(GOOD), {"flow": flows(RST | {"carrier": True}, RST | {"carrier": None})})
    assert found.outcomes["test.rule"][Outcome.NO_DATA] == 1
    assert found.outcomes["test.rule"][Outcome.MATCHED] == 1
