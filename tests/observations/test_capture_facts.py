"""How fine the clock is and how long packets are, whatever the batches."""

from __future__ import annotations

import numpy as np
import pytest

from tests.flows.made import CLIENT, SERVER, Pkt, collect

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
