"""Timestamps of pcapng in integer nanoseconds, exactly: no floating point touches them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

_NANO: Final = 1_000_000_000
_NANO_ODD: Final = 5**9  # 10⁹ = 2⁹ · 5⁹
_MAX_SECONDS: Final = (2**63 - 1) // _NANO - 1
_MAX_TEN: Final = 19  # the largest power of ten in 64 bits


class Clock(NamedTuple):
    """How an interface counts time."""

    resolution: int
    """``if_tsresol``: n for 10⁻ⁿ s a tick, 128 + n for 2⁻ⁿ s."""
    offset: int
    """``if_tsoffset``: seconds to add."""


def block_times(
    ticks: npt.NDArray[np.uint64], interface: npt.NDArray[np.int64], clocks: Sequence[Clock]
) -> npt.NDArray[np.int64]:
    """Nanoseconds since the epoch, rounded down, of ``ticks`` counted by ``clocks[interface]``.

    Times beyond what 64 bits of nanoseconds hold (years 1677 to 2262) are held at that bound.
    """
    resolution = np.array([clock.resolution for clock in clocks], dtype=np.int64)
    offset = np.array([_clamp(clock.offset) for clock in clocks], dtype=np.int64)
    mine = resolution[interface]
    seconds = np.zeros(len(ticks), dtype=np.int64)
    nanos = np.zeros(len(ticks), dtype=np.int64)
    for code in np.unique(mine).tolist():  # at most 256 of them
        rows = mine == code
        split = _split_binary if code & 0x80 else _split_decimal
        seconds[rows], nanos[rows] = split(ticks[rows], code & 0x7F)
    held: npt.NDArray[np.int64] = np.clip(seconds + offset[interface], -_MAX_SECONDS, _MAX_SECONDS)
    return held * _NANO + nanos


def _clamp(seconds: int) -> int:
    # Twice the range, so that a huge offset and a huge count may still cancel out.
    return max(-2 * _MAX_SECONDS, min(2 * _MAX_SECONDS, seconds))


def _whole(seconds: npt.NDArray[np.uint64]) -> npt.NDArray[np.int64]:
    return np.minimum(seconds, np.uint64(3 * _MAX_SECONDS)).astype(np.int64)


def _split_decimal(
    ticks: npt.NDArray[np.uint64], power: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    if power > _MAX_TEN:  # a second has more ticks than fit: none is ever full
        scale = power - 9
        nanos = ticks // np.uint64(10**scale) if scale <= _MAX_TEN else ticks * np.uint64(0)
        return np.zeros(len(ticks), dtype=np.int64), nanos.astype(np.int64)
    unit = np.uint64(10**power)
    seconds, rest = ticks // unit, ticks % unit
    nanos = rest * np.uint64(10 ** (9 - power)) if power <= 9 else rest // np.uint64(10 ** (power - 9))  # noqa: PLR2004
    return _whole(seconds), nanos.astype(np.int64)


def _split_binary(
    ticks: npt.NDArray[np.uint64], power: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    if power < 64:  # noqa: PLR2004 - bits of the counter
        seconds, rest = ticks >> np.uint64(power), ticks & np.uint64((1 << power) - 1)
    else:
        seconds, rest = np.zeros_like(ticks), ticks
    # rest · 10⁹ / 2ⁿ = rest · 5⁹ / 2ⁿ⁻⁹; the product has up to 85 bits, so it is kept in two halves.
    low = (rest & np.uint64(0xFFFF_FFFF)) * np.uint64(_NANO_ODD)
    high = (rest >> np.uint64(32)) * np.uint64(_NANO_ODD) + (low >> np.uint64(32))
    low &= np.uint64(0xFFFF_FFFF)
    shift = power - 9
    if shift < 0:
        nanos = low << np.uint64(-shift)  # fewer than 9 bits of fraction: the high half is 0
    elif shift < 32:  # noqa: PLR2004 - width of a half
        nanos = (high << np.uint64(32 - shift)) | (low >> np.uint64(shift))
    else:
        nanos = high >> np.uint64(min(shift - 32, 63))
    return _whole(seconds), nanos.astype(np.int64)
