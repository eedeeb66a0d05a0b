"""How fine the clock is and how long packets are, whatever the batches."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest

from pcaps.generate.tls import client_hello
from tests.flows.made import ACK, CLIENT, RST, SERVER, SYN, Pkt, Talk, collect, flow

HELLO = client_hello(random.Random(3), b"example.org")  # noqa: S311 - reproducible bytes

MS = 1_000_000


def facts(packets, cuts=()):
    return collect(packets, cuts).facts


@pytest.mark.parametrize(
    ("times", "tick"),
    [
        ([n * 1000 for n in range(10)], 1000 * MS),
        ([n * 100 for n in range(10)], 100 * MS),
        ([n * 20 for n in range(10)], 10 * MS),
        ([n * 3 for n in range(10)], MS),
        ([n * 3 for n in range(9)], None),  # too few to say
        ([n * 3 for n in range(10)] + [31.001], None),
    ],
)
@pytest.mark.parametrize("cuts", [(), range(1, 9)])
def test_coarse_clocks(times, tick, cuts):
    assert facts([Pkt(ms=ms) for ms in times], cuts).tick_ns == tick


def test_longest_gap():
    packets = [Pkt(ms=ms) for ms in (5, 4, 6, 300, 301)]
    for cuts in ((), (1,), (3,), (1, 2, 3, 4)):
        assert facts(packets, cuts).longest_gap == 294 * MS
    assert facts([Pkt(ms=7)]).longest_gap == 0


def test_long_packets():
    packets = [
        Pkt(CLIENT, SERVER, size=size - 40, ms=n) for n, size in enumerate((1500, 1501, 9216, 9217, 64000))
    ]
    for cuts in ((), (2,), (1, 2, 3, 4)):
        found = facts(packets, cuts)
        assert (found.over_mtu, found.over_jumbo, found.longest_ip) == (4, 2, 64000)
    assert facts(packets[:1]).longest_ip == 0


def test_nothing_from_nothing():
    found = facts([])
    assert (found.packets, found.tick_ns, found.longest_gap) == (0, None, 0)
    assert np.isfinite(found.longest_gap)


@pytest.mark.parametrize(("tick", "kept"), [(0, True), (1, True), (3, True), (10, False), (100, False)])
def test_delays_are_not_compared_with_what_the_clock_cannot_show(tick, kept):
    """A reset 4 ms after the hello, a round trip of 20 ms: with steps of 10 ms it may be anything."""
    talk = Talk(ms=0.25 if not tick else 0, gap=20)
    talk.c(SYN, 0, -talk.server_isn)
    talk.s(SYN | ACK, 0, 1)
    talk.c(ACK, 1, 1, ms=talk.ms)
    talk.c(ACK, 1, 1, data=HELLO, ms=talk.ms)
    talk.s(RST, 1, 1, ms=talk.ms + (4 if tick < 10 else 0))
    for _ in range(8):
        talk.c(ACK, 1 + len(HELLO), 1)
    packets = [replace(p, ms=p.ms // tick * tick if tick else p.ms) for p in talk.packets]
    row = flow(packets)
    assert row["rst_after_hello_ms"] is not None
    assert (row["rst_after_hello_rtts"] is not None) == kept
