"""Drawing from an iterator in a second thread, so that reading goes on while the last batch is being worked on."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from typing import TYPE_CHECKING, Final, Generic, Self, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

Item = TypeVar("Item")

DEPTH: Final = 1
"""Items that wait for the consumer; one more is being made meanwhile."""


PATIENCE_S: Final = 1.0
"""How long the item at hand is waited for when the iteration is left early: a silent pipe may never give it."""


class _End:
    """Comes after the last item; carries the error that ended the iteration, if one did."""

    def __init__(self, error: BaseException | None) -> None:
        self.error = error


class ReadAhead(Generic[Item]):
    """The same items in the same order, drawn ahead in a thread of its own.

    Drawing begins at once. Reading and unpacking release the interpreter, so they run beside the array code of the
    consumer. At most ``DEPTH`` + 1 items are held besides the consumer's. An error of ``items`` is raised to the
    consumer, after the items before it. Use as a context manager, or close: when it is left early, the thread ends
    with the item it is at, which is waited for, but not for ever.
    """

    def __init__(self, items: Iterable[Item]) -> None:
        self._items = items
        self._line: queue.Queue[Item | _End] = queue.Queue(maxsize=DEPTH)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._draw, name="read-ahead", daemon=True)
        self._thread.start()

    def _draw(self) -> None:
        error: BaseException | None = None
        try:
            for item in self._items:
                self._line.put(item)
                if self._stopped.is_set():
                    return
        except BaseException as caught:  # noqa: BLE001 - raised again in the consumer's thread
            error = caught
        if not self._stopped.is_set():
            self._line.put(_End(error))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> bool:
        """Stop; True when the thread has ended, False when the item it is at does not come."""
        self._stopped.set()
        until = time.monotonic() + PATIENCE_S
        while self._thread.is_alive() and time.monotonic() < until:
            # the thread may be waiting for room in the line
            with contextlib.suppress(queue.Empty):
                self._line.get(timeout=0.01)
            self._thread.join(timeout=0.01)
        return not self._thread.is_alive()

    def __iter__(self) -> Iterator[Item]:
        while not isinstance(item := self._line.get(), _End):
            yield item
        if item.error is not None:
            raise item.error
