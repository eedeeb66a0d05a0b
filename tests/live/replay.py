"""A capture file played as if it came from an interface."""

from __future__ import annotations

import itertools
from dataclasses import replace

from forensics.capture import open_capture


class Replay:
    """Gives the packets of a file a few at a time; see watch.Packets."""

    def __init__(self, path, packets=20):
        self._reader = open_capture(str(path), batch_packets=packets)
        self._batches = iter(self._reader)
        self.notes = self._reader.notes
        self.ended = ""
        self.stopped = False
        self.lost = 0
        self.reads = 0

    def read(self, timeout):
        assert timeout <= 1
        self.reads += 1
        batch = next(self._batches, None)
        if batch is None:
            self._reader.close()
            return None
        # Batches of files are views of a window; those of an interface have memory of their own.
        first = int(batch.offset.min())
        last = int((batch.offset + batch.caplen).max())
        return replace(batch, data=batch.data[first:last].copy(), offset=batch.offset - first)

    def stop(self):
        self.stopped = True

    def count_lost(self):
        return self.lost


def ticking(step=1.0):
    """A clock that goes on by that much at each look."""
    times = itertools.count(0.0, step)
    return lambda: next(times)
