"""Where the records of a pcap begin: many stretches of a window are walked at once, with array code.

A record only tells where the next one begins, so finding all of them is a walk of as many steps as there are packets.
Here a window is cut into stretches, a place that looks like a record header is guessed in each, and all stretches are
walked side by side. Nothing rests on the guesses: each record found must end where the next one found begins, from the
first on, and wherever one does not, a plain loop walks on until it comes to a place that was found. The result is
that of the plain loop, whatever the bytes are; they only decide how long it takes.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from forensics.capture.scan import MAX_CAPLEN

if TYPE_CHECKING:
    import numpy.typing as npt

    Positions = npt.NDArray[np.int64]

LEAST: Final = 1 << 20
"""Bytes of a window from which this pays."""
SAMPLE: Final = 64
"""Records that are walked first, to learn how long records are here."""
_WIDE: Final = 2
"""A stretch is made to hold about so many times as many."""
_SHORTEST, _LONGEST = 1536, 1 << 15
"""At least and at most so many bytes at the beginning of a stretch are searched for a record."""
_SEARCHED: Final = 4
"""A stretch is at least so many times as long as what is searched of it."""
_TRIES: Final = 4
"""Places of a stretch that are tried before it is left to the stretch before it."""
_MOST: Final = 4096
"""Stretches of a window; more would take more memory than time they save."""
_STEPS: Final = 8 * _WIDE * SAMPLE
"""Records of a stretch that are walked; the plain loop walks the rest."""
_ASKED: Final = 16
"""Steps between two looks at whether all stretches are through."""
_TIME, _FRACTION, _CAPLEN, _WIRELEN = range(0, 16, 4)
"""Where in a record header its fields begin; each has four bytes."""
_FRACTION_TOP: Final = 999_999_999 >> 24


@dataclass(frozen=True)
class Layout:
    """How the records of a file are laid out."""

    order: str
    """Byte order: ``<`` or ``>``."""
    header: int
    """Bytes of a record header, at least 16; the third of its 32-bit fields is the length of what follows it."""


def walk(
    data: npt.NDArray[np.uint8], start: int, end: int, limit: int, layout: Layout
) -> tuple[Positions, int]:
    """Where the first ``limit`` records of ``data[start:end]`` begin, and the position after the last of them.

    All record headers are whole. The last record may reach beyond ``end``. One of more than MAX_CAPLEN bytes ends the
    walk, and the position is then its own.
    """
    last = end - layout.header
    sample, position = _plain(data, start, last, min(limit, SAMPLE), layout)
    guessed = heads = np.empty(0, dtype=np.int64)
    if len(sample) == SAMPLE and position > sample[-1]:
        # No further than the limit is likely to reach: the next walk begins there and would find it all again.
        reach = min(last, position + (limit - SAMPLE) * (position - start) // SAMPLE)
        if reach - position >= LEAST:
            guessed, heads = _guess(data, [*sample, position], reach, end, layout)
    walked = _Proof(data, last, limit, layout, sample, position)
    walked.follow(guessed, heads)
    return walked.result()


def _plain(
    data: npt.NDArray[np.uint8], position: int, last: int, limit: int, layout: Layout
) -> tuple[list[int], int]:
    """At most ``limit`` records that begin at ``last`` or before; see walk."""
    found: list[int] = []
    append = found.append
    view, header = data.data, layout.header
    captured = struct.Struct(layout.order + "8xI").unpack_from
    for _ in range(limit):
        if position > last:
            break
        (caplen,) = captured(view, position)
        append(position)
        if caplen > MAX_CAPLEN:
            break
        position += header + caplen
    return found, position


class _Proof:
    """The records that are known to be there, from the first on without a gap."""

    def __init__(  # noqa: PLR0913 - what a walk is given and has found so far
        self,
        data: npt.NDArray[np.uint8],
        last: int,
        limit: int,
        layout: Layout,
        found: list[int],
        position: int,
    ) -> None:
        self._data = data
        self._last = last
        self._limit = limit
        self._layout = layout
        self._pieces: list[Positions] = []
        self._position = position
        self._left = limit
        self._ended = False
        self._add(found)

    def follow(self, guessed: Positions, heads: Positions) -> None:
        """Go on to the end: by ``guessed`` as far as that holds, plainly from there to the next of ``heads``.

        Both ascend; ``guessed`` holds all of ``heads``, and both begin with the present position unless they are
        empty.
        """
        if self._ended:
            return
        if len(guessed):
            caplen = _fields(self._data, _CAPLEN, self._layout)[guessed]
            holds = caplen[:-1] <= MAX_CAPLEN
            holds &= guessed[:-1] + (caplen[:-1] + np.int64(self._layout.header)) == guessed[1:]
            at = 0
            for broken in [*np.flatnonzero(~holds).tolist(), len(guessed) - 1]:
                if broken < at:
                    continue
                self._pieces.append(guessed[at:broken])
                self._left -= broken - at
                self._position = int(guessed[broken])
                self._walk_to_any(heads)
                if self._ended:
                    return
                at = int(np.searchsorted(guessed, self._position))
        else:
            self._walk_to_any(heads)

    def result(self) -> tuple[Positions, int]:
        """See walk."""
        found = np.concatenate(self._pieces)
        if len(found) > self._limit:
            return found[: self._limit], int(found[self._limit])
        return found, self._position

    def _walk_to_any(self, heads: Positions) -> None:
        """Walk plainly from the present position to one of ``heads`` behind it, or to the end."""
        behind = int(np.searchsorted(heads, self._position, side="right"))
        while True:
            goal = int(heads[behind]) if behind < len(heads) else self._last + 1
            last = min(self._last, goal - 1)
            found, self._position = _plain(self._data, self._position, last, max(self._left, 0), self._layout)
            self._add(found)
            if self._ended or self._position > self._last:
                self._ended = True
                return
            behind = int(np.searchsorted(heads, self._position))
            if behind < len(heads) and heads[behind] == self._position:
                return

    def _add(self, found: list[int]) -> None:
        self._pieces.append(np.array(found, dtype=np.int64))
        self._left -= len(found)
        self._ended = self._left <= 0 or bool(found and found[-1] == self._position)


def _guess(
    data: npt.NDArray[np.uint8], sample: list[int], reach: int, end: int, layout: Layout
) -> tuple[Positions, Positions]:
    """Places before ``reach`` where records seem to begin, and those of them that were not found by walking.

    The last of ``sample`` is the first of both.
    """
    start = sample[-1]
    lengths = np.diff(sample)
    searched = min(max(int(lengths.max()), _SHORTEST), _LONGEST)
    stretch = max(_WIDE * (start - sample[0]), _SEARCHED * searched, (reach - start) // _MOST)
    begins = np.arange(start + stretch, reach - stretch, stretch)
    if not len(begins):
        return np.array([start]), np.array([start])
    time = int(_fields(data, _TIME, layout)[sample[-2]])
    heads = np.insert(_likely_heads(data, begins, searched, end, layout, time >> 24), 0, start)
    stops = np.append(heads[1:], reach)
    caplen = _fields(data, _CAPLEN, layout)
    at, steps = heads, []
    for step in range(_STEPS):
        steps.append(at)
        at = np.minimum(at + (caplen[at] + np.int64(layout.header)), stops)
        if step % _ASKED == 0 and np.array_equal(at, stops):
            break
    table = np.stack(steps, axis=1)
    return table[table < stops[:, None]], heads


def _likely_heads(  # noqa: PLR0913 - where to look and what for
    data: npt.NDArray[np.uint8],
    begins: Positions,
    searched: int,
    end: int,
    layout: Layout,
    time_top: int,
) -> Positions:
    """At most one place in each ``searched`` bytes after ``begins`` that looks like a record of about that time."""
    likely = _tops(data, _TIME, begins, searched, layout) == time_top
    likely &= _tops(data, _FRACTION, begins, searched, layout) <= _FRACTION_TOP
    likely &= _tops(data, _CAPLEN, begins, searched, layout) == 0
    likely &= _tops(data, _WIRELEN, begins, searched, layout) == 0
    rows = np.arange(len(begins))
    places = np.full(len(begins), -1)
    for _ in range(_TRIES):
        first = likely[rows].argmax(axis=1)
        there = likely[rows, first]
        rows, first = rows[there], first[there]
        good = _looks_like_two(data, begins[rows] + first, end - layout.header, layout, time_top)
        places[rows[good]] = first[good]
        rows, first = rows[~good], first[~good]
        likely[rows, first] = False
        if not len(rows):
            break
    heads: Positions = (begins + places)[places >= 0]
    return heads


def _looks_like_two(
    data: npt.NDArray[np.uint8], at: Positions, last: int, layout: Layout, time_top: int
) -> npt.NDArray[np.bool_]:
    """Whether a record that makes sense begins at ``at``, and another one where it ends."""
    good = np.ones(len(at), dtype=np.bool_)
    for _ in range(2):
        time, fraction, caplen, wirelen = (
            _fields(data, field, layout)[at] for field in (_TIME, _FRACTION, _CAPLEN, _WIRELEN)
        )
        good &= (time >> 24 == time_top) & (fraction >> 24 <= _FRACTION_TOP)
        good &= (caplen <= MAX_CAPLEN) & (caplen <= wirelen)
        after = at + (caplen + np.int64(layout.header))
        good &= after <= last
        at = np.where(good, after, at)
    return good


def _fields(data: npt.NDArray[np.uint8], field: int, layout: Layout) -> npt.NDArray[Any]:
    """The 32-bit number at ``field`` bytes after any position."""
    return np.ndarray((len(data) - field - 3,), layout.order + "u4", buffer=data, offset=field, strides=(1,))


def _tops(
    data: npt.NDArray[np.uint8], field: int, begins: Positions, searched: int, layout: Layout
) -> npt.NDArray[np.uint8]:
    """The highest byte of that number, for ``searched`` positions from each of ``begins``, evenly spaced, on."""
    top = field + (3 if layout.order == "<" else 0)
    stretch = int(begins[1] - begins[0]) if len(begins) > 1 else 1
    return np.lib.stride_tricks.as_strided(
        data[int(begins[0]) + top :], (len(begins), searched), (stretch, 1)
    )
