"""What all followed connections keep together, and what is forgotten when."""

from __future__ import annotations

import numpy as np

from forensics.observations import connections
from forensics.observations.streams import StreamCollector
from tests.flows.made import ACK, PSH, Talk
from tests.observations.following import feed, follow, opener


def test_all_together_keep_no_more_than_the_limit(monkeypatch):
    monkeypatch.setattr(connections, "TOTAL_BYTES", 20_000)
    packets = []
    for n in range(30):
        told = Talk(client=("192.0.2.9", 20000 + n), ms=n).shake()
        told.c(ACK, 1, 1, data=b"HELO")
        told.s(ACK, 1001, 5, data=bytes(1000))
        packets += told.packets
    kept = []
    made = feed(
        packets, range(0, len(packets), 7), lambda engine: StreamCollector(engine, [opener(b"HELO", kept)])
    )
    assert made.given_up > 10
    assert all(notes.text(1).endswith(bytes(1000)) for notes in kept)
    calls = [notes.calls for notes in kept]
    kept.clear()
    feed(packets, (), lambda engine: StreamCollector(engine, [opener(b"HELO", kept)]))
    assert [notes.calls for notes in kept] == calls


def test_a_connection_is_gone_when_its_flow_ends():
    packets = Talk().shake()
    packets.c(ACK | PSH, 1, 1, data=b"HELO")
    packets.c(ACK | PSH, 9, 1, data=b"late")
    kept = []
    made = feed(packets.packets, (), lambda engine: StreamCollector(engine, [opener(b"HELO", kept)]))
    assert 0 not in made.connections
    assert made.connections.holes() == []
    assert (kept[0].text(0), kept[0].done) == (b"HELO....late", 1)
    made.clear(np.array([0]))


def test_what_follows_a_turned_away_beginning_is_read_once_the_other_side_opens():
    """Both sides begin out of order; the client's beginning is nobody's, the server's is."""
    packets = Talk().shake()
    packets.s(ACK, 6, 1, data=b"there")
    packets.c(ACK, 3, 1, data=b"nk")
    packets.c(ACK, 1, 1, data=b"ju")
    packets.s(ACK, 1, 1, data=b"HELO ")
    packets.c(ACK, 3, 1, data=b"nk")
    packets.c(ACK, 5, 1, data=b"tail")
    for cuts in ((), range(9)):
        (notes,) = follow(packets.packets, cuts, b"HELO")
        assert (notes.text(0), notes.text(1)) == (b"....tail", b"HELO there")


def test_what_went_by_before_is_lost_once():
    """In mid-flow too: no second word for the bytes before the first captured one."""
    packets = Talk()
    packets.c(ACK, 1, 1, data=b"junk")
    packets.s(ACK, 1, 1, data=b"HELO")
    packets.c(ACK, 5, 1, data=b"tail")
    (notes,) = follow(packets.packets, (), b"HELO")
    assert [call[:4] for call in notes.calls] == [
        ("lost", 1, 0, 0), ("take", 1, 0, b"HELO"), ("lost", 0, 0, 4), ("take", 0, 4, b"tail"),
    ]  # fmt: skip
