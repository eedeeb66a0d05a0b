"""One shape for what two programs say of a capture: for each question a table from subject to value."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, NamedTuple


class Subject(NamedTuple):
    """What a value speaks of; empty parts do not apply."""

    proto: str = ""
    stream: int = -1
    frame: int = -1
    """1-based; where the value speaks of one frame."""
    sender: str = ""
    """Address and port of the side that sent, as ``192.0.2.1 port 443``."""
    name: str = ""
    """DNS name in lower case; hostile text."""


QUESTIONS: Final = {
    "packets": "packets in the capture",
    "tcp_streams": "packets of each TCP stream",
    "udp_streams": "packets of each UDP stream",
    "server_names": "server name of each TLS or DTLS connection",
    "ja3": "JA3 of each TLS or DTLS connection",
    "quic_names": "server name of each QUIC connection",
    "dns_names": "DNS messages (port 53) for each name and stream",
    "dns_answers": "addresses in each DNS response (port 53)",
    "http_hosts": "method and host of each HTTP request",
    "http_status": "status of each HTTP response",
    "resets": "resets, frame by frame",
    "late_segments": "retransmitted or reordered segments, frame by frame",
}
"""Question → what it compares, in the order of the report. A hello belongs to the frame that completes it,
an HTTP message to the one with which it begins."""

FRAMES: Final = 8
"""At most so many frames are named for a difference."""

NO_NAME: Final = "(no name)"
"""Value for a hello, or a request, in which no name is sent: another thing than no hello."""
RETRANSMISSION: Final = "retransmission"
OUT_OF_ORDER: Final = "out of order"
SHORT_HEADER: Final = "short header"
"""Remark on a TCP header whose length is below that of the shortest one, or beyond the packet."""

Value = int | str


def _tables() -> dict[str, dict[Subject, Value]]:
    return {name: {} for name in QUESTIONS}


@dataclass
class Seen:
    """What one program saw. A subject that is missing from a table was not seen: zero, or no name."""

    values: dict[str, dict[Subject, Value]] = field(default_factory=_tables)
    """Question → subject → value: a count, or a word."""
    frames: dict[str, dict[Subject, list[int]]] = field(
        default_factory=lambda: {name: {} for name in QUESTIONS}
    )
    """Question → subject → the first frames, where known and where the subject does not name its own."""
    version: str = ""
    """Of tshark; empty for us."""
    message: str = ""
    """Last line that tshark wrote to stderr, such as where the file is damaged; hostile text."""
    layers: dict[int, str] = field(default_factory=dict)
    """Frame → protocols that tshark dissected in it, as ``eth:ethertype:ip:udp:dns``; empty for us."""
    remarks: dict[int, frozenset[str]] = field(default_factory=dict)
    """Frame → what tshark remarks on its TCP (``retransmission``, ``keep_alive``…), where it does; empty for us."""
    quic_versions: dict[int, set[str]] = field(default_factory=dict)
    """UDP stream → QUIC versions that tshark found in it, as it writes them; empty for us."""
    damaged: set[int] = field(default_factory=set)
    """Frames in which tshark met a malformed packet, or DNS that no resolver would send; empty for us."""
    gaps: dict[int, list[int]] = field(default_factory=dict)
    """TCP stream → frames before which tshark misses bytes; empty for us."""
    copies: set[int] = field(default_factory=set)
    """Frames that we take for packets that the capture holds a second time; empty for tshark."""
    first: set[int] = field(default_factory=set)
    """Frames with the first segment of a side of a TCP stream; empty for tshark."""
    unfinished: set[Subject] = field(default_factory=set)
    """HTTP responses of which the capture does not hold the whole body; empty for tshark."""
    partial: set[Subject] = field(default_factory=set)
    """Protocol, stream and name of DNS look-ups of which our table names only the first responses."""

    def count(self, question: str, subject: Subject, frame: int) -> None:
        """One more packet."""
        table = self.values[question]
        table[subject] = int(table.get(subject, 0)) + 1
        self.note(question, subject, frame)

    def join(self, question: str, subject: Subject, value: str) -> None:
        """One more value for a subject that can have several: sorted, ``|`` between them."""
        table = self.values[question]
        table[subject] = (
            "|".join(sorted([*str(table[subject]).split("|"), value])) if subject in table else value
        )

    def note(self, question: str, subject: Subject, *frames: int) -> None:
        """Remember the first frames of a subject; of DNS, where they explain a count, all."""
        known = self.frames[question].setdefault(subject, [])
        known.extend(frames if question == "dns_names" else frames[: FRAMES - len(known)])
