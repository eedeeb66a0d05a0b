"""TTL habits counted by hand: the most frequent TTL, how many kinds, and what is forgotten."""

from __future__ import annotations

import numpy as np
import pytest

from forensics.flows.habits import TtlHabits


def habits_of(batches, sides, cleared=()):
    habits = TtlHabits()
    for packets in batches:
        fs, ttl, df = (np.array(values) for values in zip(*packets, strict=True))
        habits.add(fs.astype(np.int64), ttl.astype(np.uint8), df.astype(np.bool_))
    if len(cleared):
        habits.clear(np.array(cleared))
    return habits.of(np.array(sides, dtype=np.int64)).to_dicts()


PACKETS = [
    (2, 64, True), (2, 64, True), (2, 63, True), (3, 50, False), (3, 51, True), (3, 255, True), (3, 255, False),
    (9, 1, True),
]  # fmt: skip


@pytest.mark.parametrize("size", [1, 2, 8])
def test_the_most_frequent_ttl_of_each_sender_wherever_batches_are_cut(size):
    batches = [PACKETS[at : at + size] for at in range(0, len(PACKETS), size)]
    assert habits_of(batches, [3, 2]) == [
        {"fs": 2, "ttl": 64, "ttl_packets": 2, "ttl_kinds": 2, "df": True},
        {"fs": 3, "ttl": 255, "ttl_packets": 2, "ttl_kinds": 3, "df": False},
    ]


def test_many_batches_are_summed_up_on_the_way():
    assert habits_of([[(5, 60, False)]] * 40 + [[(5, 59, True)]] * 41, [5]) == [
        {"fs": 5, "ttl": 59, "ttl_packets": 41, "ttl_kinds": 2, "df": True}
    ]


def test_of_equally_frequent_ttls_the_smaller_counts():
    assert habits_of([[(0, 70, True), (0, 40, True)]], [0])[0]["ttl"] == 40


def test_cleared_senders_are_forgotten():
    assert [row["fs"] for row in habits_of([PACKETS], [2, 3, 9], cleared=[2, 700])] == [3, 9]


def test_nobody_has_no_habits():
    assert habits_of([], [0, 1]) == []
    assert habits_of([PACKETS], []) == []
