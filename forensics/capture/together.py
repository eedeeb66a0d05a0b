"""The notes of several files as those of one capture."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

import numpy as np

from forensics.capture.batch import Batch, CaptureNotes, FileNotes, InterfaceNotes
from forensics.capture.source import base_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from forensics.capture.member import Member
    from forensics.capture.merging import Part

Key = TypeVar("Key", int, str)

_NEW: Final = -2
_MOST_INTERFACES: Final = 1 << 16
_MOST_COMMENTS: Final = 1000
_MOST_NAMES: Final = 100_000
_MOST_SECRETS: Final = 16 << 20
_MOST_PHONE_APPS: Final = 10_000
_SUMMED: Final = (
    "bytes_read",
    "interfaces",
    "sections",
    "truncated_packets",
    "untimed_packets",
    "comments_total",
    "names_total",
    "secrets",
)
_FIRST: Final = ("hardware", "os", "application", "proxied")
"""Texts of which that of the first file that has one counts."""
_NAMED: Final = 3
"""Files whose damage, type or name is told one by one."""


def joined(words: Sequence[str], separator: str = ", ") -> str:
    """The first few words, and how many more there are."""
    more = len(words) - _NAMED
    return separator.join(words[:_NAMED]) + (f" and {more} more" if more > 0 else "")


class Together:
    """Collects what the files' own notes say, in the order in which the files are read.

    Frames and interfaces get the numbers they have in the whole capture: an interface that of its first packet, those
    without packets come last.
    """

    def __init__(self) -> None:
        self.notes = CaptureNotes()
        self._begun: list[Member] = []
        self._ended: set[int] = set()
        self._absorbed = 0
        self._used: list[InterfaceNotes] = []
        self._unused: list[InterfaceNotes] = []
        self._secrets = 0

    def begin(self, member: Member) -> None:
        """The file is read from now on."""
        self._begun.append(member)

    def end(self, member: Member) -> None:
        """The file has no more packets: what its notes say is final, but for the hash."""
        self._ended.add(member.index)
        while self._absorbed < len(self._begun) and self._begun[self._absorbed].index in self._ended:
            self._absorb(self._begun[self._absorbed])
            self._absorbed += 1

    def interfaces(self, parts: Sequence[Part], order: npt.NDArray[np.int64] | None) -> npt.NDArray[np.int32]:
        """The column ``interface`` of the rows of ``parts`` (in ``order``) with the numbers of the whole capture."""
        members = {member.index: member for member in self._begun[self._absorbed :]}
        found: list[tuple[int, Member, int]] = []
        base = 0
        turned = None if order is None else _inverse(order)
        for part in parts:
            member = members[part.index]
            local = part.batch.interface[part.begin : part.end]
            member.interfaces = _grown(member.interfaces, len(member.notes.interface_list))
            fresh = np.flatnonzero(member.interfaces[local] == _NEW)
            for number in np.unique(local[fresh]).tolist():
                row = base + int(fresh[local[fresh] == number][0])
                found.append((row if turned is None else int(turned[row]), member, number))
            base += len(part)
        for _, member, number in sorted(found, key=lambda item: item[0]):
            known = len(self._used) < _MOST_INTERFACES
            member.interfaces[number] = len(self._used) if known else -1
            if known:
                self._used.append(member.notes.interface_list[number])
        columns = [
            members[part.index].interfaces[part.batch.interface[part.begin : part.end]] for part in parts
        ]
        if found:
            self.notes.interface_list = list(self._used)
        return columns[0] if order is None else np.concatenate(columns)[order]

    def add(self, parts: Sequence[Part], batch: Batch, order: npt.NDArray[np.int64] | None) -> None:
        """Note the packets of ``batch``, which has the rows of ``parts`` (in ``order``) and its frame numbers."""
        members = {member.index: member for member in self._begun[self._absorbed :]}
        said: dict[int, str] = {}
        base = 0
        turned = None if order is None else _inverse(order)
        for part in parts:
            member = members[part.index]
            member.first_frame = member.first_frame or batch.first_frame + (
                base if turned is None else int(turned[base])
            )
            # Frame numbers of the file itself.
            begin, end = part.batch.first_frame + part.begin, part.batch.first_frame + part.end
            for frame, comment in member.notes.comments.items():
                if begin <= frame < end:
                    row = base + frame - begin
                    said[batch.first_frame + (row if turned is None else int(turned[row]))] = comment
            base += len(part)
        room = _MOST_COMMENTS - len(self.notes.comments)
        self.notes.comments.update((frame, said[frame]) for frame in sorted(said)[:room])
        self.notes.packets += len(batch)

    def finish(self) -> None:
        """All files are read, or closed: complete the notes."""
        notes = self.notes
        notes.interface_list = (self._used + self._unused)[:_MOST_INTERFACES]
        notes.files = [
            FileNotes(
                name=base_name(member.path),
                sha256=member.notes.sha256,
                packets=member.notes.packets,
                file_type=member.notes.file_type,
                damage=member.notes.damage,
                first_frame=member.first_frame,
            )
            for member in self._begun
        ]
        notes.file_type = joined(
            list(dict.fromkeys(file.file_type for file in notes.files if file.file_type))
        )
        notes.damage = joined([f"{file.name}: {file.damage}" for file in notes.files if file.damage], "; ")
        notes.warnings = [
            f"{base_name(member.path)}: {warning}"
            for member in self._begun
            for warning in member.notes.warnings
        ]

    def _absorb(self, member: Member) -> None:
        mine, theirs = self.notes, member.notes
        for name in _SUMMED:
            setattr(mine, name, getattr(mine, name) + getattr(theirs, name))
        for name in _FIRST:
            setattr(mine, name, getattr(mine, name) or getattr(theirs, name))
        if theirs.lost_between_packets is not None:
            mine.lost_between_packets = (mine.lost_between_packets or 0) + theirs.lost_between_packets
        if theirs.snaplen:
            mine.snaplen = min(theirs.snaplen, mine.snaplen or theirs.snaplen)
        for kind, count in theirs.skipped_blocks.items():
            mine.skipped_blocks[kind] = mine.skipped_blocks.get(kind, 0) + count
        _fill(mine.names, theirs.names, _MOST_NAMES)
        _fill(mine.phone_apps, theirs.phone_apps, _MOST_PHONE_APPS)
        for secret_type, secret in theirs.secrets_bytes:
            if self._secrets + len(secret) <= _MOST_SECRETS:
                self._secrets += len(secret)
                mine.secrets_bytes.append((secret_type, secret))
        self._number(member)
        # A rotated set may have thousands of files.
        theirs.names, theirs.secrets_bytes, theirs.comments, theirs.interface_list = {}, [], {}, []

    def _number(self, member: Member) -> None:
        """Keep what is now known of the interfaces of a file, and those that no packet came from."""
        listed = member.notes.interface_list
        member.interfaces = _grown(member.interfaces, len(listed))
        for number, interface in zip(member.interfaces.tolist(), listed, strict=False):
            if number >= 0:
                self._used[number] = interface
            else:
                self._unused.append(interface)


def _fill(mine: dict[Key, str], theirs: dict[Key, str], most: int) -> None:
    """Add what is new, as long as there is room."""
    for key, text in theirs.items():
        if len(mine) >= most:
            break
        mine.setdefault(key, text)


def _grown(numbers: npt.NDArray[np.int32], count: int) -> npt.NDArray[np.int32]:
    """Room for ``count`` interfaces before the last item."""
    missing = count + 1 - len(numbers)
    return np.insert(numbers, -1, [_NEW] * missing) if missing > 0 else numbers


def _inverse(order: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    turned = np.empty_like(order)
    turned[order] = np.arange(len(order))
    return turned
