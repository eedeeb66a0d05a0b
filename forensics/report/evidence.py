"""The frames of all findings as a capture of their own, each with a comment that says what it shows."""

from __future__ import annotations

from typing import IO, TYPE_CHECKING

import numpy as np

from forensics import __version__
from forensics.capture import open_capture
from forensics.capture.write import PcapngWriter, WrittenInterface, WrittenPacket

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from forensics.analysis import Analysis
    from forensics.capture import Batch, CaptureNotes


def frame_comments(analysis: Analysis) -> dict[int, str]:
    """Frame number → what the findings say of it, such as ``frame 138 of x.pcap: reset (F1 tls.sni.reset)``."""
    said: dict[int, list[str]] = {}
    for finding in analysis.findings:
        roles: dict[int, list[str]] = {number: [] for number in finding.frame_numbers()}
        for item in finding.frames:
            roles[item.frame].append(item.role.replace("_", " "))
        for number, words in roles.items():
            shown = ", ".join(dict.fromkeys(words)) or "evidence"
            said.setdefault(number, []).append(f"{shown} ({finding.id} {finding.signature})")
    return {
        number: f"frame {number} of {analysis.name}: {'; '.join(said[number])}" for number in sorted(said)
    }


def write_evidence(analysis: Analysis, paths: str | Sequence[str], stream: IO[bytes]) -> int:
    """Read the capture, one file or several, again and write the frames of all findings as pcapng; returns how many.

    The comments name the frames as the report does. Times are kept to the nanosecond, cut packets stay cut, and
    interfaces keep their names.
    """
    writer = PcapngWriter(stream, f"forensics {__version__}")
    count = 0
    for packet in _packets(paths, frame_comments(analysis)):
        writer.write(packet)
        count += 1
    return count


def _packets(paths: str | Sequence[str], comments: dict[int, str]) -> Iterator[WrittenPacket]:
    wanted = np.array(sorted(comments), dtype=np.int64)
    if not len(wanted):
        return
    with open_capture(paths) as reader:
        for batch in reader:
            first = batch.first_frame
            for frame in wanted[(wanted >= first) & (wanted < first + len(batch))].tolist():
                row = frame - first
                start, size = int(batch.offset[row]), int(batch.caplen[row])
                yield WrittenPacket(
                    interface=_interface(reader.notes, batch, row),
                    time=int(batch.time[row]),
                    wirelen=int(batch.wirelen[row]),
                    data=batch.data[start : start + size].tobytes(),
                    comment=comments[frame],
                    direction=0 if batch.direction is None else int(batch.direction[row]),
                )
            if wanted[-1] < first + len(batch):
                return


def _interface(notes: CaptureNotes, batch: Batch, row: int) -> WrittenInterface:
    linktype, number = int(batch.linktype[row]), int(batch.interface[row])
    if number < 0:
        return WrittenInterface(linktype)
    described = notes.interface_list[number]
    return WrittenInterface(linktype, described.name, described.description, described.snaplen)
