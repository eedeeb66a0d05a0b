"""Memory for the windows on a capture, used again once nobody looks at it."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

SPARE: Final = 3
"""Windows kept for later use; more are not needed at once."""


def _make(size: int) -> npt.NDArray[np.uint8]:
    return np.empty(size, dtype=np.uint8)


class Windows:
    """Lends buffers; safe to use from two threads.

    A window may back several batches. It is free when the reader has moved on from it (``retire``) and every batch
    cut from it has come back (``give_back``). Windows that never come back are simply collected by Python.
    """

    def __init__(self, make: Callable[[int], npt.NDArray[np.uint8]] = _make) -> None:
        """``make`` gives fresh memory of a size."""
        self._make = make
        self._lock = threading.Lock()
        self._lent: dict[int, int] = {}
        self._retired: set[int] = set()
        self._spare: list[npt.NDArray[np.uint8]] = []

    def take(self, size: int) -> npt.NDArray[np.uint8]:
        """A buffer of exactly ``size`` bytes with any content."""
        with self._lock:
            for place, window in enumerate(self._spare):
                if len(window) == size:
                    return self._spare.pop(place)
        return self._make(size)

    def lend(self, window: npt.NDArray[np.uint8]) -> None:
        """One more batch looks at the window."""
        with self._lock:
            self._lent[id(window)] = self._lent.get(id(window), 0) + 1

    def give_back(self, window: npt.NDArray[np.uint8]) -> None:
        """One batch less does."""
        with self._lock:
            left = self._lent.get(id(window), 0) - 1
            if left > 0:
                self._lent[id(window)] = left
                return
            self._lent.pop(id(window), None)
            if id(window) in self._retired:
                self._keep(window)

    def retire(self, window: npt.NDArray[np.uint8]) -> None:
        """The reader will cut no more batches from the window."""
        with self._lock:
            if id(window) in self._lent:
                self._retired.add(id(window))
            else:
                self._keep(window)

    def _keep(self, window: npt.NDArray[np.uint8]) -> None:
        self._retired.discard(id(window))
        if any(window is other for other in self._spare):
            return
        self._spare.append(window)
        if len(self._spare) > SPARE:
            # Readers that share this may have windows of several sizes: the last one used is asked for next.
            self._spare.pop(0)
