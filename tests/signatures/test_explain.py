from __future__ import annotations

from forensics.signatures.explain import explain, told
from forensics.signatures.load import read_rule
from forensics.signatures.model import Outcome
from tests.signatures.tables import RST, flows
from tests.signatures.test_load import GOOD


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
