from __future__ import annotations

from forensics.observations.collector import Asked


def test_what_either_asks_for_is_asked_for():
    both = Asked(frozenset({"tls"}), frozenset({"ja4"})) | Asked(frozenset({"dns"}))
    assert both.table("tls")
    assert both.table("dns")
    assert not both.table("quic")
    assert both.column("ja4")
    assert not both.column("ja3")
