"""What a rule says about a subject: findings with their reasons. Plain data, read by verdicts and report."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

MECHANISMS: Final = (
    "dns-injection",
    "dns-tampering",
    "dns-drop",
    "ip-block",
    "handshake-reset",
    "sni-reset",
    "sni-drop",
    "http-reset",
    "blockpage-injection",
    "tls-mitm",
    "quic-drop",
    "udp-block",
    "media-block",
    "throttling-police",
    "throttling-shape",
    "freeze-after-bytes",
    "residual-block",
    "protocol-block",
)
"""The closed list of mechanism words."""

LEVELS: Final = ("observed", "suspected", "likely", "strong", "conclusive")
"""From weak to strong; index with ``LEVELS.index``."""


class Outcome(StrEnum):
    """What a rule may say of one subject; the last three are three different kinds of nothing."""

    MATCHED = "matched"
    NOT_MATCHED = "not-matched"
    NO_DATA = "no-data"
    UNINTERPRETABLE = "uninterpretable"


@dataclass(frozen=True)
class Subject:
    """A connection that a finding speaks of."""

    proto: str
    stream: int
    client: str
    client_port: int
    server: str
    server_port: int
    row: int
    """Row of the table the rule is on: flow.flow or dns.dns."""


@dataclass(frozen=True)
class Evidence:
    """One reason that held, with the points it gave."""

    id: str
    points: int
    statement: str
    frames: tuple[int, ...] = ()


@dataclass(frozen=True)
class Benign:
    """One innocent explanation and what testing it gave: ``excluded``, ``stands`` or ``not-testable``."""

    id: str
    outcome: str
    statement: str
    points: int = 0
    frames: tuple[int, ...] = ()


@dataclass(frozen=True)
class FrameRole:
    """A frame and what it shows."""

    frame: int
    role: str


@dataclass(frozen=True)
class Finding:
    """One mechanism seen on one target, with everything that speaks for and against it."""

    id: str
    signature: str
    mechanism: str
    level: str
    score: int
    title: str
    app: str | None
    feature: str | None
    target: str
    """Server name, else query name, else address:port."""
    subjects: tuple[Subject, ...]
    evidence: tuple[Evidence, ...]
    benign: tuple[Benign, ...]
    frames: tuple[FrameRole, ...]
    notes: tuple[str, ...] = field(default=())
    """Sentences a reader must know, such as why the level was capped."""

    def frame_numbers(self) -> list[int]:
        """Every frame named by the finding, ascending, each once."""
        named = {item.frame for item in self.frames}
        reasons: tuple[Evidence | Benign, ...] = (*self.evidence, *self.benign)
        for reason in reasons:
            named.update(reason.frames)
        return sorted(named)

    def display_filter(self) -> str:
        """A Wireshark display filter that shows exactly the frames of the finding."""
        return "frame.number in {" + ",".join(str(n) for n in self.frame_numbers()) + "}"
