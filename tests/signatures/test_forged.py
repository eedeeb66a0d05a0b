from __future__ import annotations

from typing import Any

from forensics.signatures import evaluate
from forensics.signatures.forged import forged_answers
from tests.signatures.tables import SECOND, flows, lookups
from tests.signatures.test_rules import RACE, RULES, SYNS


def test_what_a_forged_answer_explains_is_no_address_block():
    dns = lookups(RACE)
    syns = SYNS | {"server": "198.51.100.9", "server_name": "www.example.com", "first_time": 5 * SECOND}
    found = evaluate(RULES, {"dns": dns, "flow": flows(syns)})
    assert [item.signature for item in found.findings] == ["dns.inject.race"]
    assert found.tables["flow"].frame()["address_forged"].to_list() == [True]
    for change in (
        {"server": "93.184.216.34"},
        {"first_time": 0},
        {"server_name": "other.example"},
        {"client": "192.0.2.9"},
    ):
        again = evaluate(RULES, {"dns": dns, "flow": flows(syns | change)})
        assert again.tables["flow"].frame()["address_forged"].to_list() == [False]
        assert "ip.block.syn-blackhole" in {item.signature for item in again.findings}


def forged(row: dict[str, Any]) -> set[str]:
    return set(forged_answers(lookups({"query_time": SECOND} | row))["address"])


def test_the_true_answer_of_a_race_is_never_called_forged():
    three = RACE | {
        "responses": 3,
        "response_frames": [2, 3, 4],
        "response_delays_ms": [7.0, 8.0, 31.0],
        "response_answers": ["108.160.166.9", "198.51.100.9", "157.240.22.35"],
    }
    listed = {"pool": "gfw-2025", "pool_answers": ["108.160.166.9"], "pool_frames": [2]}
    assert forged(three) == {"108.160.166.9", "198.51.100.9"}
    assert forged(three | listed) == {"108.160.166.9", "198.51.100.9"}
    # the listed answer comes last here: which of the others is true cannot be told
    assert forged(
        three | listed | {"response_answers": ["157.240.22.35", "198.51.100.9", "108.160.166.9"]}
    ) == {"108.160.166.9"}
    # answers to different transmissions are no race
    assert forged(three | listed | {"answers_differ": False}) == {"108.160.166.9"}
    # a last response without addresses is no true answer to compare with
    assert forged(three | {"response_answers": ["157.240.22.35", "198.51.100.9", ""]}) == set()
