"""Counting and choosing among flows that ran at the same time, without comparing every flow with every other.

All arrays are int64 and parallel. A *group* confines a question (one client, say); a *colour* is what a
question must avoid (its own server, its own name); numbers from 0 on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    Ints = npt.NDArray[np.int64]


class Spans(NamedTuple):
    """Stretches of time, both ends included, each with its group and its colour."""

    group: Ints
    colour: Ints
    low: Ints
    high: Ints


class Moments:
    """Points in time by group, sorted, for counting how many lie in a stretch."""

    def __init__(self, group: Ints, time: Ints) -> None:
        self.times = np.sort(time)
        self.keys = np.sort(self._key(group, np.searchsorted(self.times, time, side="left")))

    def before(self, group: Ints, time: Ints) -> Ints:
        """Position in the sorted list of the first moment of the group that is not before ``time``."""
        return np.searchsorted(self.keys, self._key(group, np.searchsorted(self.times, time, side="left")))

    def until(self, group: Ints, time: Ints) -> Ints:
        """Position in the sorted list just after the last moment of the group that is not after ``time``."""
        return np.searchsorted(self.keys, self._key(group, np.searchsorted(self.times, time, side="right")))

    def _key(self, group: Ints, rank: npt.NDArray[np.intp]) -> Ints:
        return group * (len(self.times) + 1) + rank


def count_inside(moments: Moments, group: Ints, low: Ints, high: Ints) -> Ints:
    """How many moments of the group lie in each stretch."""
    return moments.until(group, high) - moments.before(group, low)


def count_overlaps(spans: Spans, asked: Spans, *, by_colour: bool) -> Ints:
    """How many spans of the same group (and, ``by_colour``, of the same colour) overlap each asked one."""
    group, wanted = (spans.colour, asked.colour) if by_colour else (spans.group, asked.group)
    starts, ends = Moments(group, spans.low), Moments(group, spans.high)
    # Those that had begun, less those that were over. Both are counted from the start of the group.
    begun = starts.until(wanted, asked.high) - np.searchsorted(starts.keys, wanted * (len(group) + 1))
    over = ends.before(wanted, asked.low) - np.searchsorted(ends.keys, wanted * (len(group) + 1))
    return begun - over


def first_of_other_colour(group: Ints, colour: Ints, time: Ints, asked: Spans) -> Ints:
    """Index of the earliest moment inside each asked stretch with another colour; -1 when there is none.

    Of equal times the lower index counts as earlier.
    """
    count = len(group)
    if count == 0:
        return np.full(len(asked.group), -1, dtype=np.int64)
    moments = Moments(group, time)
    order = np.lexsort((time, group))
    sorted_colour = colour[order]
    # Where the next run of another colour starts, whatever its group.
    change = np.flatnonzero(sorted_colour[1:] != sorted_colour[:-1]) + 1
    next_run = np.append(change, count)[np.searchsorted(change, np.arange(count), side="right")]
    at = moments.before(asked.group, asked.low)
    end = moments.until(asked.group, asked.high)
    inside = at < end
    same = inside & (sorted_colour[np.minimum(at, count - 1)] == asked.colour)
    at = np.where(same, next_run[np.minimum(at, count - 1)], at)
    return np.where(at < end, order[np.minimum(at, count - 1)], -1)


def best_of_other_colour(spans: Spans, asked: Spans) -> Ints:
    """Lowest index among spans that overlap the asked one and have its group but another colour; -1: none.

    The caller sorts the spans by preference.
    """
    count = len(spans.group)
    asked_count = len(asked.group)
    if count == 0 or asked_count == 0:
        return np.full(asked_count, -1, dtype=np.int64)
    index = np.arange(count, dtype=np.int64)
    # Spans that start inside the asked stretch: a range of the spans in order of their start.
    starts = Moments(spans.group, spans.low)
    order = np.lexsort((spans.low, spans.group))
    leaf = np.empty(count, dtype=np.int64)
    leaf[order] = index
    tree = _Tree(count, spans.colour)
    tree.add(leaf, leaf + 1, index, climb=True)
    best = tree.ask(
        starts.before(asked.group, asked.low), starts.until(asked.group, asked.high), asked.colour
    )
    # Spans running when the asked stretch begins: each covers a range of the stretches in order of begin.
    begins = Moments(asked.group, asked.low)
    order = np.lexsort((asked.low, asked.group))
    leaf = np.empty(asked_count, dtype=np.int64)
    leaf[order] = np.arange(asked_count, dtype=np.int64)
    tree = _Tree(asked_count, spans.colour)
    tree.add(begins.before(spans.group, spans.low), begins.until(spans.group, spans.high), index, climb=False)
    best = np.minimum(best, tree.ask_leaf(leaf, asked.colour))
    return np.where(best < count, best, -1)


class _Tree:
    """A segment tree whose nodes keep the lowest index and the lowest of another colour than that."""

    def __init__(self, leaves: int, colour: Ints) -> None:
        self.size = 1 << max(leaves - 1, 1).bit_length()
        self.none = len(colour)
        self.colour = np.append(colour, -1)
        self.first = np.full(2 * self.size, self.none, dtype=np.int64)
        self.second = np.full(2 * self.size, self.none, dtype=np.int64)

    def add(self, low: Ints, high: Ints, index: Ints, *, climb: bool) -> None:
        """Enter each index at the nodes that cover ``low`` to ``high`` (excluded), or at all above a leaf."""
        nodes, entered = [], []
        left, right = low + self.size, np.maximum(high, low) + self.size
        while climb and left.any():
            nodes.append(left)
            entered.append(index)
            left = left >> 1
        while not climb and (left < right).any():
            for edge, node in ((left & 1, left), (right & 1, right - 1)):
                taken = (left < right) & (edge == 1)
                nodes.append(node[taken])
                entered.append(index[taken])
            left, right = (left + 1) >> 1, right >> 1
        if nodes:
            self._keep(np.concatenate(nodes), np.concatenate(entered))

    def ask(self, low: Ints, high: Ints, colour: Ints) -> Ints:
        """Lowest index entered at leaves ``low`` to ``high`` (excluded) with another colour."""
        best = np.full(len(low), self.none, dtype=np.int64)
        left, right = low + self.size, np.maximum(high, low) + self.size
        while (left < right).any():
            for edge, node in ((left & 1, left), (right & 1, right - 1)):
                taken = (left < right) & (edge == 1)
                best = np.where(taken, np.minimum(best, self._other(node, colour)), best)
            left, right = (left + 1) >> 1, right >> 1
        return best

    def ask_leaf(self, leaf: Ints, colour: Ints) -> Ints:
        """Lowest index entered at any node above the leaf with another colour than the given."""
        best = np.full(len(leaf), self.none, dtype=np.int64)
        node = leaf + self.size
        while node.any():
            best = np.minimum(best, self._other(node, colour))
            node = node >> 1
        return best

    def _other(self, node: Ints, colour: Ints) -> Ints:
        node = np.minimum(node, 2 * self.size - 1)
        first = self.first[node]
        return np.where(self.colour[first] != colour, first, self.second[node])

    def _keep(self, nodes: Ints, index: Ints) -> None:
        np.minimum.at(self.first, nodes, index)
        other = self.colour[self.first[nodes]] != self.colour[index]
        np.minimum.at(self.second, nodes[other], index[other])
