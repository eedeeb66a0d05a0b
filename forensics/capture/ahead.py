"""Drawing from an iterator in a second thread, so that reading goes on while the last batch is being worked on."""

from __future__ import annotations

import queue
import threading
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

Item = TypeVar("Item")


class _End:
    """Comes after the last item; carries the error that ended the iteration, if one did."""

    def __init__(self, error: BaseException | None) -> None:
        self.error = error


def read_ahead(items: Iterable[Item]) -> Iterator[Item]:
    """The same items in the same order, one of them always drawn ahead in a thread of its own.

    Reading and hashing release the interpreter, so they run beside the array code of the consumer. At most two items
    are held besides the consumer's. An error of ``items`` is raised here, after the items before it. When the
    consumer stops early the thread ends with the item it is at.
    """
    line: queue.Queue[Item | _End] = queue.Queue(maxsize=1)
    stopped = threading.Event()

    def draw() -> None:
        error: BaseException | None = None
        try:
            for item in items:
                line.put(item)
                if stopped.is_set():
                    return
        except BaseException as caught:  # noqa: BLE001 - raised again in the consumer's thread
            error = caught
        line.put(_End(error))

    thread = threading.Thread(target=draw, name="read-ahead", daemon=True)
    thread.start()
    try:
        while not isinstance(item := line.get(), _End):
            yield item
        if item.error is not None:
            raise item.error
    finally:
        stopped.set()
        while thread.is_alive():
            try:
                line.get(timeout=0.01)
            except queue.Empty:
                thread.join(timeout=0.01)
