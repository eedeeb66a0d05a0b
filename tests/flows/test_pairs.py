"""Pairs are numbered in the order in which they come, and never confused."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from forensics.flows import pairs as module
from forensics.flows.pairs import Pairs

KEY = st.tuples(st.integers(0, 3), st.sampled_from([0, 1, 2**32, 2**32 + 7]), st.integers(0, 5))


def numbers(pairs, keys):
    lo, hi, ports = np.array(keys, dtype=np.int64).reshape(-1, 3).T
    found, first = pairs.numbers(lo, hi, ports)
    return found.tolist(), first.tolist()


@settings(max_examples=100, deadline=None)
@given(st.lists(st.lists(KEY, max_size=20), max_size=5))
def test_numbers_are_those_of_a_dictionary(batches):
    pairs, known = Pairs(), {}
    for keys in batches:
        expected, first = [], []
        for key in keys:
            first.append(key not in known)
            expected.append(known.setdefault(key, len(known)))
        assert numbers(pairs, keys) == (expected, first)
    assert len(pairs) == len(known)


def test_many_pairs_outgrow_the_first_table():
    pairs = Pairs()
    for begin in range(0, 30_000, 7000):
        keys = [(at, 2**31 - at, at % 7) for at in range(begin, begin + 7000)]
        assert numbers(pairs, keys)[0] == list(range(begin, begin + 7000))
    assert numbers(pairs, [(9999, 2**31 - 9999, 9999 % 7), (5, 5, 5)]) == ([9999, 35_000], [False, True])


def test_keys_that_fall_into_one_place_stay_apart(monkeypatch):
    monkeypatch.setattr(Pairs, "_hash", lambda _, keys: np.zeros(len(keys["lo"]), dtype=np.uint64))
    pairs = Pairs()
    keys = [(at % 5, at, 6) for at in range(300)]
    assert numbers(pairs, keys)[0] == list(range(300))
    assert numbers(pairs, keys[::-1]) == (list(range(299, -1, -1)), [False] * 300)


def test_keys_of_one_mix_stay_apart(monkeypatch):
    monkeypatch.setattr(module, "_MIX", (np.uint64(1), np.uint64(1), np.uint64(1)))
    assert numbers(Pairs(), [(1, 2, 3), (3, 2, 1), (2, 2, 2), (1, 2, 3)]) == (
        [0, 1, 2, 0],
        [True, True, True, False],
    )


def test_a_pair_costs_little():
    pairs = Pairs()
    count = 1 << 17
    pairs.numbers(np.arange(count), np.arange(count), np.full(count, 6 << 32))
    held = sum(pairs.keys[name].nbytes for name in ("lo", "hi", "ports")) + pairs._places.nbytes  # noqa: SLF001
    assert held / count <= 32
