from __future__ import annotations

from forensics.observations.dictionary import FLOW
from forensics.signatures.load import read_rule
from tests.signatures.test_load import GOOD


def test_a_rule_knows_every_column_it_needs():
    text = (
        GOOD
        + """caps: [{when: others_failed > 3, level: likely, because: "of {name_attempts}"}]
"""
    )
    wide = "{id: wide, distinct: server, at_least: 2, points: 1, because: '{distinct} of {stream}'}"
    text = text.replace("points: 5", "points: 5\n    group: g").replace("benign:", f"  - {wide}\nbenign:")
    rule = read_rule("r.yaml", text.encode())
    assert rule.columns() == (
        "name_attempts", "others_failed", "rst_seq_change", "rst_to_client", "rst_to_client_frames", "server",
        "server_local", "sni", "start_seen", "stream", "tls_client_hello",
    )  # fmt: skip
    assert set(rule.columns()) <= set(FLOW.schema())
    assert [condition.sql for condition in rule.conditions()] == [
        "rst_to_client > 0", "tls_client_hello", "rst_seq_change", "others_failed > 3", "server_local",
    ]  # fmt: skip
