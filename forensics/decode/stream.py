"""From paths to packet tables, here or in a second process beside this one: the results are the same."""

from __future__ import annotations

import os
import sys
from stat import S_ISREG
from typing import TYPE_CHECKING, Final, Protocol, Self

from forensics.capture import BATCH_BYTES, BATCH_PACKETS, open_capture
from forensics.decode.packets import Decoder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

    from forensics.capture import Paths
    from forensics.capture.batch import CaptureNotes
    from forensics.decode.columns import Decoded

WORTH_A_PROCESS: Final = 24 << 20
"""Stored bytes from which a second process saves more than the tenth of a second that starting it takes."""


class PacketStream(Protocol):
    """The packet tables of a capture in order; a context manager.

    What is drawn stays valid until the next is drawn: its memory is used again.
    """

    decoder: Decoder
    """Its books know every id in the tables drawn so far; its counts and times are complete after the last table."""

    @property
    def notes(self) -> CaptureNotes:
        """Complete after the last table but for the hashes, which come with ``close``."""
        ...

    @property
    def position(self) -> int:
        """Stored bytes read so far."""
        ...

    @property
    def size(self) -> int | None:
        """Stored bytes in all; None when that cannot be known."""
        ...

    def __iter__(self) -> Iterator[Decoded]:
        """To be called once. Raises CaptureError where reading must end."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def close(self) -> None:
        """Let go of the files; after the last table this completes the notes."""
        ...


def open_packets(
    paths: Paths,
    *,
    batch_bytes: int = BATCH_BYTES,
    batch_packets: int = BATCH_PACKETS,
    aside: bool | None = None,
) -> PacketStream:
    """Read and decode a capture (one path, or several as one in the order of time; ``-`` is standard input).

    ``aside`` has a second process do it, so that decoding goes on while the last table is being worked on; left
    open, that is decided by what it would save. Raises CaptureError when there is no capture to read, at once or with
    the first table.
    """
    if aside is None:
        aside = _worth_a_process(paths)
    if aside:
        from forensics.decode.aside import PacketsAside  # noqa: PLC0415 - most captures are small

        return PacketsAside(paths, batch_bytes, batch_packets)
    return PacketsHere(paths, batch_bytes, batch_packets)


class PacketsHere:
    """Reads and decodes in this process; see PacketStream."""

    def __init__(self, paths: Paths, batch_bytes: int, batch_packets: int) -> None:
        self._reader = open_capture(paths, batch_bytes=batch_bytes, batch_packets=batch_packets)
        self.decoder = Decoder()

    @property
    def notes(self) -> CaptureNotes:
        """See PacketStream."""
        return self._reader.notes

    @property
    def position(self) -> int:
        """See PacketStream."""
        return self._reader.stored_position

    @property
    def size(self) -> int | None:
        """See PacketStream."""
        return self._reader.stored_size

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __iter__(self) -> Iterator[Decoded]:
        for batch in self._reader:
            decoded = self.decoder.decode(batch)
            yield decoded
            self._reader.release(batch)

    def close(self) -> None:
        """See PacketStream."""
        self._reader.close()


def _worth_a_process(paths: Paths) -> bool:
    """Whether there are two processors, and files (no pipes) large enough."""
    if not (hasattr(os, "memfd_create") and sys.executable and (os.cpu_count() or 1) > 1):
        return False
    total = 0
    for path in [paths] if isinstance(paths, str | os.PathLike) else paths:
        try:
            status = os.stat(path)  # noqa: PTH116 - a name of any kind
        except (OSError, ValueError):  # opening it here says what is wrong
            return False
        if not S_ISREG(status.st_mode):
            return False
        total += status.st_size
    return total >= WORTH_A_PROCESS
