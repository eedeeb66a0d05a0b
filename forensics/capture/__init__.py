"""Bytes in, batches of packets out: capture files of several formats, plain or compressed, one or many, or a pipe."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from forensics.capture.batch import Batch, CaptureNotes, FileNotes, InterfaceNotes
from forensics.capture.reader import CaptureReader
from forensics.capture.several import SeveralReader
from forensics.capture.source import base_name, printable
from forensics.capture.together import joined

if TYPE_CHECKING:
    from collections.abc import Sequence

    from forensics.capture.windows import Windows

    Paths = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]

BATCH_BYTES: Final = 24 << 20
BATCH_PACKETS: Final = 1 << 18

__all__ = [
    "BATCH_BYTES",
    "BATCH_PACKETS",
    "Batch",
    "CaptureNotes",
    "CaptureReader",
    "FileNotes",
    "InterfaceNotes",
    "SeveralReader",
    "capture_name",
    "open_capture",
]


def open_capture(
    paths: Paths,
    *,
    batch_bytes: int = BATCH_BYTES,
    batch_packets: int = BATCH_PACKETS,
    windows: Windows | None = None,
) -> CaptureReader | SeveralReader:
    """Open a capture for reading: one path, or several files that are read as one in the order of time.

    ``-`` is standard input. The format is told by content, never by name; ``forensics.capture.formats`` lists what
    is known. ``windows`` lends memory for the batches.
    ``batch_bytes`` and ``batch_packets`` bound a batch (a single larger record still comes whole, and where
    several files overlap in time a batch may take twice the bytes); no result depends on them. A damaged or cut file
    gives the packets before the damage and ``notes.damage``. Raises CaptureError when one of the files cannot be
    opened or is no capture, and, while batches are drawn, for decompression bombs.
    """
    several = _listed(paths)
    if len(several) == 1:
        reader = CaptureReader(
            several[0], batch_bytes=batch_bytes, batch_packets=batch_packets, windows=windows
        )
        return reader.start()
    return SeveralReader(several, batch_bytes=batch_bytes, batch_packets=batch_packets, windows=windows)


def capture_name(paths: Paths) -> str:
    """What to call the capture: the names of its files without directories; the first three of many."""
    return joined([base_name(printable(os.fspath(path))) for path in _listed(paths)])


def _listed(paths: Paths) -> list[str | os.PathLike[str]]:
    if isinstance(paths, str | os.PathLike):
        return [paths]
    several = list(paths)
    if not several:
        raise ValueError("a capture has at least one file")
    return several
