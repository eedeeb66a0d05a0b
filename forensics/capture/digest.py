"""The SHA-256 of a file, computed beside everything else."""

from __future__ import annotations

import contextlib
import hashlib
import os
import sys
import threading
from typing import Final

_CHUNK: Final = 1 << 20
LAG: Final = 512 << 20
"""How far hashing may fall behind reading, so that it still finds its bytes in the page cache."""
_NICE: Final = 3
"""Enough to yield to the analysis; not so much that a busy machine never gets to the hash."""


class FileDigest:
    """Hashes a regular file in a thread of its own, from the first byte to the last, with its own small buffer.

    Hashing takes as long as the analysis itself, and runs on whatever processor that leaves idle. ``close`` before the
    file descriptor is closed.
    """

    def __init__(self, descriptor: int) -> None:
        """Begin at once; the file position of ``descriptor`` is neither used nor moved."""
        self._descriptor = descriptor
        self._hash = hashlib.sha256()
        self._position = 0
        self._stopped = False
        self._moved = threading.Condition()
        self._done = False
        self._thread = threading.Thread(target=self._run, name="capture-hash", daemon=True)
        self._thread.start()

    def wait_near(self, position: int) -> None:
        """Wait until no more than ``LAG`` bytes before ``position`` are still to be hashed."""
        with self._moved:
            self._moved.wait_for(lambda: self._done or self._position >= position - LAG)

    def result(self) -> str:
        """Wait for the end of the file; hex of the hash."""
        self._thread.join()
        return self._hash.hexdigest()

    def close(self) -> None:
        """Stop where it is."""
        self._stopped = True
        self._thread.join()

    def _run(self) -> None:
        if sys.platform == "linux":
            # Linux knows threads by number: only this one steps back behind the analysis.
            with contextlib.suppress(OSError):
                os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)
        buffer = memoryview(bytearray(_CHUNK))
        try:
            while not self._stopped and (count := os.preadv(self._descriptor, [buffer], self._position)):
                self._hash.update(buffer[:count])
                with self._moved:
                    self._position += count
                    self._moved.notify_all()
        except OSError:
            pass  # whoever reads the file meets the same error, and says so
        finally:
            with self._moved:
                self._done = True
                self._moved.notify_all()
