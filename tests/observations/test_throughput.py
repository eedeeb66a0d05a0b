"""What the collector of transfers keeps, against a plain loop over hand-made packets."""

from __future__ import annotations

import random
from collections import defaultdict

import polars as pl
import pytest

from forensics.observations import throughput
from forensics.observations.throughput import BIN_NS
from tests.flows.made import ACK, CLIENT, FIN, MS, RST, SERVER, SYN, Pkt, Talk, collect

SENDER = 1 if CLIENT < SERVER else 0
"""The server's row in the only flow."""


def kept(collectors, *names):
    return [int(collectors.throughput.sides[name][SENDER]) for name in names]


def bins(collectors, sides=(0, 1)):
    return collectors.throughput.bins(pl.Series(sides, dtype=pl.Int64)).rows()


@pytest.mark.parametrize("cuts", [[], [5], range(12)])
def test_sums_of_a_short_transfer(cuts):
    talk = Talk(gap=10).shake()
    talk.s(ACK, 1, 1, size=1000)  # 40 ms
    talk.s(ACK, 1001, 1, size=1000)
    talk.s(ACK, 4001, 1, size=500)  # a hole of 2,000 bytes, 60 ms
    talk.c(ACK, 1, 2001)
    talk.s(ACK, 2001, 1, size=1000, ms=150)  # the hole is filled: a loss
    talk.s(ACK, 3001, 1, size=1000, ms=250)  # another
    talk.s(RST, 9001, 1, size=700, ms=260)
    talk.s(FIN | ACK, 4501, 1, ms=270)
    collectors = collect(talk.packets, cuts)
    assert kept(collectors, "progress", "carried", "repeated") == [4500, 4500, 2000]
    assert kept(collectors, "segments", "losses") == [5, 2]
    assert kept(collectors, "first_loss_frame", "first_loss_carried", "first_loss_repeated") == [
        8,
        3500,
        1000,
    ]
    assert kept(collectors, "last_loss_frame", "last_loss_carried", "last_loss_repeated") == [9, 4500, 2000]
    first, last = kept(collectors, "first_time", "last_time")
    assert last - first == 210 * MS
    # bins of 100 ms count from the SYN at 10 ms
    assert bins(collectors) == [
        (SENDER, 0, 2500, 0, 0),
        (SENDER, 1, 1000, 1000, 1),
        (SENDER, 2, 1000, 1000, 1),
    ]


def test_where_the_originals_were_seen_repetitions_bring_no_progress():
    talk = Talk(gap=10).shake()
    for rel in (1, 1001, 2001):
        talk.s(ACK, rel, 1, size=1000)
    talk.s(ACK, 1001, 1, size=1000, ms=400)
    assert kept(collect(talk.packets), "progress", "carried", "repeated") == [3000, 4000, 1000]


def test_a_repetition_that_goes_on_with_new_bytes():
    talk = Talk(gap=10).shake()
    talk.s(ACK, 1, 1, size=1000)
    talk.s(ACK, 501, 1, size=1000, ms=400)
    assert kept(collect(talk.packets), "progress", "carried", "repeated", "losses") == [1500, 2000, 1000, 1]


def test_late_segments_are_no_losses():
    talk = Talk(gap=1).shake()
    for rel in (1, 2001, 1001, 3001):
        talk.s(ACK, rel, 1, size=1000)
    assert kept(collect(talk.packets), "progress", "carried", "repeated", "losses") == [4000, 4000, 0, 0]


def test_udp_is_no_tcp_transfer():
    collectors = collect([Pkt(proto=17, size=1000), Pkt(SERVER, CLIENT, proto=17, size=1000)])
    assert collectors.throughput.sides.column("carried").sum() == 0
    assert bins(collectors) == []


@pytest.mark.parametrize("seed", range(5))
def test_bins_agree_with_a_loop_however_often_they_are_merged(seed, monkeypatch):
    rng = random.Random(seed)  # noqa: S311 - reproducible packets
    packets, expected = [], defaultdict(int)
    ports = range(1, 6)
    begun, reached = {}, {}
    for i in range(400):
        port = rng.choice(ports)
        ms = i * 20 + rng.choice([0, 0, -3000])  # the clock steps back now and then
        if port not in begun:
            begun[port], reached[port] = ms, 0
            packets.append(Pkt(("192.0.2.1", port), SERVER, SYN, 0, ms=ms))
            continue
        packets.append(Pkt(("192.0.2.1", port), SERVER, ACK, 1 + reached[port], 1, size=100, ms=ms))
        reached[port] += 100
        bin_ = (round(ms * MS) - round(begun[port] * MS)) // BIN_NS
        expected[list(begun).index(port), bin_] += 100
    side = 0 if CLIENT < SERVER else 1
    truth = sorted((2 * flow + side, bin_, carried, 0, 0) for (flow, bin_), carried in expected.items())
    sides = range(10)
    assert bins(collect(packets), sides) == truth
    monkeypatch.setattr(throughput, "_COMPACT_ROWS", 10)
    for cuts in (range(400), range(0, 400, 7)):
        collectors = collect(packets, cuts)
        assert bins(collectors, sides) == truth
        assert bins(collectors, [side, 2 + side]) == [row for row in truth if row[0] in {side, 2 + side}]
