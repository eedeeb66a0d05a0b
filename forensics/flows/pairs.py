"""Every address/port pair of a capture under a number, in about 60 bytes a pair."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Final

import numpy as np

from forensics.flows.arrays import BoolArray, GrowingColumns, IntArray, run_starts, stable_order

if TYPE_CHECKING:
    import numpy.typing as npt

_FREE: Final = -1
_MIX: Final = tuple(np.uint64(odd) for odd in (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9))
_FIRST_PLACES: Final = 1 << 12


class Pairs:
    """Numbers pairs 0, 1, … in the order in which they are first seen. Different pairs never share a number.

    What is known of a pair beyond its key is kept by others, in columns that run parallel to ``keys``.
    """

    def __init__(self) -> None:
        self.keys = GrowingColumns({"lo": (np.int64, 0), "hi": (np.int64, 0), "ports": (np.int64, 0)})
        # An open hash table of pair numbers: linear probing, at most half full. The multipliers are secret, so that
        # nobody can write a capture whose pairs all fall into one place. Numbers do not depend on them.
        self._places = np.full(_FIRST_PLACES, _FREE, dtype=np.int32)
        self._multipliers = tuple(np.uint64(secrets.randbits(64) | 1) for _ in range(3))

    def __len__(self) -> int:
        return self.keys.rows

    def numbers(self, lo: IntArray, hi: IntArray, ports: IntArray) -> tuple[IntArray, BoolArray]:
        """Number of every row's pair, and which rows are the first of a new one.

        ``lo`` and ``hi`` are address ids, ``ports`` holds both ports and the protocol.
        """
        first, which = distinct(lo, hi, ports)
        keys = {"lo": lo[first], "hi": hi[first], "ports": ports[first]}
        home = self._hash(keys)
        numbers = self._find(keys, home)
        fresh = np.flatnonzero(numbers == _FREE)
        first_row = np.zeros(len(lo), dtype=np.bool_)
        if len(fresh):
            begin = self.keys.rows
            numbers[fresh] = begin + np.arange(len(fresh))
            self.keys.grow_to(begin + len(fresh))
            for name, values in keys.items():
                self.keys[name][numbers[fresh]] = values[fresh]
            first_row[first[fresh]] = True
            self._place(numbers[fresh], home[fresh])
        return numbers[which], first_row

    def _hash(self, keys: dict[str, IntArray]) -> npt.NDArray[np.uint64]:
        """64 bits of every key; the upper ones are as good as random (multiply-shift hashing of a vector)."""
        total = np.zeros(len(keys["lo"]), dtype=np.uint64)
        for values, factor in zip(keys.values(), self._multipliers, strict=True):
            total += values.astype(np.uint64) * factor
        return total

    def _start(self, home: npt.NDArray[np.uint64]) -> IntArray:
        """Where the search for each key begins."""
        return (home >> np.uint64(65 - len(self._places).bit_length())).astype(np.int64)

    def _find(self, keys: dict[str, IntArray], home: npt.NDArray[np.uint64]) -> IntArray:
        """Number of each key, or _FREE."""
        numbers = np.full(len(home), _FREE, dtype=np.int64)
        rows = np.arange(len(home))
        place = self._start(home)
        last = len(self._places) - 1
        while len(rows):
            held = self._places[place]
            taken = held != _FREE
            rows, place, held = rows[taken], place[taken], held[taken]
            same = np.ones(len(rows), dtype=np.bool_)
            for name, values in keys.items():
                same &= self.keys[name][held] == values[rows]
            numbers[rows[same]] = held[same]
            rows, place = rows[~same], (place[~same] + 1) & last
        return numbers

    def _place(self, numbers: IntArray, home: npt.NDArray[np.uint64]) -> None:
        """Enter new pairs, which differ from each other and from all before."""
        if 2 * self.keys.rows > len(self._places):
            size = len(self._places)
            while 2 * self.keys.rows > size:
                size *= 2
            self._places = np.full(size, _FREE, dtype=np.int32)
            numbers = np.arange(self.keys.rows)
            home = self._hash({name: self.keys.column(name) for name in ("lo", "hi", "ports")})
        place = self._start(home)
        last = len(self._places) - 1
        while len(numbers):
            free = self._places[place] == _FREE
            self._places[place[free]] = numbers[free]
            lost = self._places[place] != numbers  # taken before, or by another of these
            numbers, place = numbers[lost], (place[lost] + 1) & last


def distinct(lo: IntArray, hi: IntArray, ports: IntArray) -> tuple[IntArray, IntArray]:
    """First row of every distinct (lo, hi, ports), in row order, and for every row the place of its own there."""
    # Rows are sorted by a 64-bit mix of the key, which is much faster than by the key; where two keys share a mix
    # (an attacker could arrange that) the rows are grouped by the key itself.
    mix = lo.astype(np.uint64) * _MIX[0] + hi.astype(np.uint64) * _MIX[1] + ports.astype(np.uint64) * _MIX[2]
    mix ^= mix >> np.uint64(29)
    first, which = _grouped((mix >> np.uint64(32)).astype(np.int64))
    if not _alike(first[which], lo, hi, ports):
        _, first, which = np.unique(mix, return_index=True, return_inverse=True)
    if not _alike(first[which], lo, hi, ports):
        _, first, which = np.unique(
            np.stack([lo, hi, ports], axis=1), axis=0, return_index=True, return_inverse=True
        )
        which = which.reshape(-1)
    order = np.argsort(first)
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    return first[order], rank[which]


def _alike(own: IntArray, *columns: IntArray) -> bool:
    """Whether every row equals the row that stands for it."""
    return all(np.array_equal(column[own], column) for column in columns)


def _grouped(keys: IntArray) -> tuple[IntArray, IntArray]:
    """First row of every distinct key, in the order of the keys, and for every row the place of its own there."""
    order = stable_order(keys)
    starts = run_starts(keys[order])
    which = np.empty(len(keys), dtype=np.int64)
    which[order] = np.repeat(np.arange(len(starts)), np.diff(np.append(starts, len(keys))))
    return order[starts], which
