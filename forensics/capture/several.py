"""Several files read as one capture, in the order of time: what ``mergecap`` makes of them, without the copy.

``mergecap`` of Wireshark 4.0 takes, time and again, the earliest of the packets that come next in their files. Where
two are equally early it takes the one of the file named last; a packet without a time comes at once. Within a file the
order never changes, so a packet that is earlier than one before it in the same file comes right behind that one: it
stands where the latest time so far stands. That makes sorting by the latest time so far the same as merging, and whole
runs of packets are merged at once.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import replace
from operator import attrgetter
from typing import TYPE_CHECKING, Final, Self

from forensics.capture.member import Member
from forensics.capture.merging import Part, cut, merged
from forensics.capture.source import printable
from forensics.capture.together import Together
from forensics.capture.windows import Windows
from forensics.errors import CaptureError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import TracebackType

    from forensics.capture.batch import Batch, CaptureNotes

MOST_OPEN: Final = 128
"""Files that may overlap in time; more would take more memory and descriptors than a process should."""
_SMALLEST: Final = 1 << 18
_CLOSING: Final = 4
"""Files read to their end whose hash is not waited for yet."""


class SeveralReader:
    """Iterates over the batches of several files as if they were one; see CaptureReader, which it can stand in for.

    A file is open from shortly before its first packet is due until behind its last. Where only one is, its batches are
    passed on as they are. A file that is damaged gives its packets before the damage, and the others go on.
    """

    def __init__(
        self,
        paths: Sequence[str | os.PathLike[str]],
        *,
        batch_bytes: int,
        batch_packets: int,
        windows: Windows | None = None,
    ) -> None:
        """See open_capture; raises CaptureError when any of the files cannot be opened."""
        self._together = Together()
        self._batch_bytes = batch_bytes
        self._batch_packets = batch_packets
        self._windows = windows or Windows()
        self._active: list[Member] = []
        self._closing: list[Member] = []
        self._pending: list[Member] = []
        self._members: list[Member] = []
        self._ended = False
        self._behind = 0  # stored bytes of the files that are read
        try:
            self._look(paths)
        except BaseException:
            for member in self._members:
                member.close()
            raise
        self._batches = self._merge()

    @property
    def notes(self) -> CaptureNotes:
        """What reading showed; complete after the last batch but for the hashes, which come with ``close``."""
        return self._together.notes

    @property
    def stored_size(self) -> int | None:
        """Bytes of all files as stored; None when one is no regular file."""
        sizes = [member.size for member in self._members]
        return None if None in sizes else sum(size or 0 for size in sizes)

    @property
    def stored_position(self) -> int:
        """Bytes of the stored files that have been read so far."""
        return self._behind + sum(member.position for member in (*self._active, *self._pending[:1]))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __iter__(self) -> Iterator[Batch]:
        return self

    def __next__(self) -> Batch:
        """The next run of packets; none of the batches is empty."""
        return next(self._batches)

    def release(self, batch: Batch) -> None:
        """See CaptureReader.release."""
        self._windows.give_back(batch.data)

    def close(self) -> None:
        """Release all files; see CaptureReader.close."""
        self._batches = iter(())
        for member in self._members:
            member.close()
        if self._ended and not self.notes.sha256:
            self._together.finish()
            lines = "".join(f"{file.sha256}  {file.name}\n" for file in self.notes.files)
            self.notes.sha256 = hashlib.sha256(lines.encode()).hexdigest()
            self._warn_of_copies()

    def _look(self, paths: Sequence[str | os.PathLike[str]]) -> None:
        """Open every file once, to see that it is a capture and when it begins."""
        streams = 0
        given: set[str] = set()
        known: dict[tuple[int, int], str] = {}
        for index, path in enumerate(paths):
            # Before it is opened: a pipe has only one end to read from.
            if os.fspath(path) in given:
                raise CaptureError(f"{printable(os.fspath(path))}: is given twice: name every file once")
            given.add(os.fspath(path))
            member = Member(index, path, self._batch_packets, self._windows)
            self._members.append(member)
            if member.identity is not None:
                other = known.setdefault(member.identity, member.path)
                if other is not member.path:
                    raise CaptureError(f"{member.path}: is the same file as {other}: name every file once")
            streams += member.kept
            if streams > MOST_OPEN:
                raise CaptureError(f"more than {MOST_OPEN} streams at once: write them to files first")
        self._pending = sorted(self._members, key=attrgetter("first"))

    def _merge(self) -> Iterator[Batch]:
        while self._pending or self._active:
            self._refill()
            self._admit()
            if not self._active:
                continue
            if len(self._active) == 1 and not self._pending:
                until = None
            else:
                # Up to where it is known what comes next: the end of a batch at hand, or the next file's first packet.
                until = min(member.last for member in self._active)
                if self._pending:
                    until = min(until, self._pending[0].first)
            parts = [part for member in self._active if (part := member.take(until)) is not None]
            yield from self._emit(parts)
        self._ended = True
        self._together.finish()

    def _admit(self) -> None:
        """Open the files whose first packet is due."""
        while self._pending and (
            not self._active or self._pending[0].first < min(member.head for member in self._active)
        ):
            if len(self._active) >= MOST_OPEN:
                raise CaptureError(
                    f"more than {MOST_OPEN} of the files overlap in time: merge them with mergecap first"
                )
            member = self._pending.pop(0)
            # The more are open, the smaller their windows: all of them together take twice the first.
            member.start(max(self._batch_bytes >> len(self._active), min(self._batch_bytes, _SMALLEST)))
            self._together.begin(member)
            self._active.append(member)
            self._refill()

    def _refill(self) -> None:
        """Have rows at hand of every active file, and let go of those that have none left."""
        for member in list(self._active):
            if member.refill():
                continue
            self._active.remove(member)
            self._behind += member.position
            self._closing.append(member)
            self._together.end(member)
            if len(self._closing) > _CLOSING:
                self._closing.pop(0).close()
        if self._pending and all(member.all_read for member in self._active):
            # Nothing is left to read for those at work: read ahead for the one that comes after them.
            self._pending[0].start(self._batch_bytes)

    def _emit(self, parts: list[Part]) -> Iterator[Batch]:
        """The rows of all parts in order, in batches, and the notes that go with them."""
        order = None
        if len(parts) == 1:
            (part,) = parts
            batch = cut(part.batch, part.begin, part.end)
            self._windows.lend(batch.data)
        else:
            batch, order = merged(parts)
        batch = replace(
            batch, first_frame=self.notes.packets + 1, interface=self._together.interfaces(parts, order)
        )
        self._together.add(parts, batch, order)
        for member in self._active:
            member.give_back()
        for begin in range(0, len(batch), self._batch_packets):
            yield cut(batch, begin, min(begin + self._batch_packets, len(batch)))

    def _warn_of_copies(self) -> None:
        seen: dict[str, str] = {}
        for file in self.notes.files:
            other = seen.setdefault(file.sha256, file.name)
            if other is not file.name and file.packets:
                self.notes.warnings.append(
                    f"{file.name} holds the same bytes as {other}: every packet of theirs counts twice"
                )
