"""Bytes in, batches of packets out: pcap and pcapng, plain or gzip, from a path or standard input."""

from __future__ import annotations

from typing import TYPE_CHECKING

from forensics.capture.batch import Batch, CaptureNotes, FileNotes, InterfaceNotes
from forensics.capture.reader import CaptureReader

if TYPE_CHECKING:
    import os

__all__ = ["Batch", "CaptureNotes", "CaptureReader", "FileNotes", "InterfaceNotes", "open_capture"]


def open_capture(
    path: str | os.PathLike[str], *, batch_bytes: int = 32 << 20, batch_packets: int = 1 << 18
) -> CaptureReader:
    """Open a capture for reading; ``-`` is standard input. The format is told by content, never by name.

    ``batch_bytes`` and ``batch_packets`` bound a batch (a single larger record still comes whole); no
    result depends on them. A damaged or cut file gives the packets before the damage and
    ``notes.damage``; raises CaptureError when there is no capture to begin with.
    """
    return CaptureReader(path, batch_bytes=batch_bytes, batch_packets=batch_packets)
