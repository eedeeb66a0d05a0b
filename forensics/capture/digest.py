"""The SHA-256 of a file, computed beside everything else."""

from __future__ import annotations

import contextlib
import hashlib
import os
import sys
import threading
from typing import Final

_CHUNK: Final = 1 << 20
LAG: Final = 1 << 30
"""How far hashing may fall behind reading, so that it still finds its bytes in the page cache."""
_NICE: Final = 19
"""The thread only takes what the analysis leaves idle; whoever cannot wait for it lends it a hand."""


class FileDigest:
    """Hashes a regular file in a thread of its own, from the first byte on, with its own small buffer.

    Hashing takes about as long as reading and decoding. The thread therefore stands back behind them, and what it
    has not done is done by whoever needs it done, in his own thread: nobody waits for a thread that gets no turn.
    ``close`` before the file descriptor is closed.
    """

    def __init__(self, descriptor: int, size: int) -> None:
        """Begin at once; the file position of ``descriptor`` is neither used nor moved.

        ``size`` is that of the file when it was opened. What a program adds to it is only hashed once it was read.
        """
        self._descriptor = descriptor
        self._hash = hashlib.sha256()
        self._buffer = memoryview(bytearray(_CHUNK))
        self._position = 0
        self._known = size
        self._stopped = False
        self._ended = False
        self._turn = threading.Lock()
        """Held while a piece is read and hashed."""
        self._free = threading.Event()
        """Not set while another than the thread hashes, so that the thread does not take the next turn again."""
        self._free.set()
        self._thread = threading.Thread(target=self._run, name="capture-hash", daemon=True)
        self._thread.start()

    def follow(self, position: int) -> None:
        """The file was read up to ``position``; returns when no more than LAG bytes of that are still to be hashed."""
        self._known = max(self._known, position)
        if self._position < position - LAG:
            self._hash_here(position - LAG)

    def result(self, end: int | None = None) -> str:
        """Hex of the hash of the file up to ``end``, where reading met its end; None: wherever it ends now."""
        self._hash_here(end)
        self.close()
        return self._hash.hexdigest()

    def close(self) -> None:
        """Stop where it is."""
        self._stopped = True
        self._free.set()
        self._thread.join()

    def _hash_here(self, end: int | None) -> None:
        self._free.clear()
        try:
            with self._turn:
                while self._piece(end):
                    pass
        finally:
            self._free.set()

    def _run(self) -> None:
        if sys.platform == "linux":
            # Linux knows threads by number: only this one steps back behind the analysis.
            with contextlib.suppress(OSError):
                os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)
        more = True
        while more:
            with self._turn:
                more = self._piece(self._known)
            self._free.wait()

    def _piece(self, end: int | None) -> bool:
        """Hash one piece; False when there is none before ``end``."""
        room = _CHUNK if end is None else min(end - self._position, _CHUNK)
        if self._stopped or self._ended or room <= 0:
            return False
        try:
            count = os.preadv(self._descriptor, [self._buffer[:room]], self._position)
        except OSError:  # whoever reads the file meets the same error, and says so
            count = 0
        self._hash.update(self._buffer[:count])
        self._position += count
        self._ended = count == 0
        return not self._ended
