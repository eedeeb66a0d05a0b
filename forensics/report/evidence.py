"""The frames of all findings as a capture of their own, each with a comment that says what it shows."""

from __future__ import annotations

from typing import IO, TYPE_CHECKING

import numpy as np

from forensics.capture import open_capture
from forensics.capture.write import CommentedPacket, write_pcapng

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from forensics.analysis import Analysis


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

    The comments name the frames as the report does. Times are kept to the nanosecond, cut packets stay cut.
    """
    comments = frame_comments(analysis)
    # Interfaces stand before packets, so all packets are held; a report names few frames of even the largest capture.
    packets = list(_packets(paths, comments))
    return write_pcapng(stream, sorted({packet.linktype for packet in packets}), packets)


def _packets(paths: str | Sequence[str], comments: dict[int, str]) -> Iterator[CommentedPacket]:
    wanted = np.array(sorted(comments), dtype=np.int64)
    if not len(wanted):
        return
    with open_capture(paths) as reader:
        for batch in reader:
            first = batch.first_frame
            for frame in wanted[(wanted >= first) & (wanted < first + len(batch))].tolist():
                row = frame - first
                start, size = int(batch.offset[row]), int(batch.caplen[row])
                yield CommentedPacket(
                    linktype=int(batch.linktype[row]),
                    time=int(batch.time[row]),
                    wirelen=int(batch.wirelen[row]),
                    data=batch.data[start : start + size].tobytes(),
                    comment=comments[frame],
                )
            if wanted[-1] < first + len(batch):
                return
