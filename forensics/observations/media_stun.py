"""STUN and TURN on one flow: which questions were answered, and what the answers said."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeVar

from forensics.protocols.stun import ALLOCATE, ERROR, INDICATION, REQUEST, SUCCESS, WHATSAPP_TYPES

if TYPE_CHECKING:
    from forensics.protocols.stun import StunMessage

_T = TypeVar("_T")

KEPT: Final = 16
"""Frames, error codes and addresses listed of one kind."""
OPEN: Final = 4096
"""Transactions of one side that are remembered; past it the oldest is counted as it stands."""


@dataclass(slots=True)
class _Transaction:
    """One question; ``answered`` once there was a success or an error."""

    frame: int
    time: int
    answered: bool = False


@dataclass(slots=True)
class Asker:
    """What one side of the flow asked, and the answers it got."""

    requests: int = 0
    """Messages, those sent again included."""
    transactions: int = 0
    answered: int = 0
    """Transactions with a success or an error response."""
    first_time: int = -1
    last_time: int = -1
    last_answer_time: int = -1
    request_frames: list[int] = field(default_factory=list)
    answer_frames: list[int] = field(default_factory=list)
    error_frames: list[int] = field(default_factory=list)
    errors: list[int] = field(default_factory=list)
    """Codes, one an error response."""
    allocations: int = 0
    """Allocate requests that were granted."""
    allocate_frames: list[int] = field(default_factory=list)
    mapped: str | None = None
    """Where the other side saw this one: the first answer that says so."""
    relayed: str | None = None
    whatsapp: int = 0
    """Messages of WhatsApp's own make, requests and others."""
    whatsapp_frames: list[int] = field(default_factory=list)
    rtt: int = -1
    """ns, the shortest from a request that was sent once to its answer."""
    _open: dict[bytes, _Transaction] = field(default_factory=dict)

    def ask(self, message: StunMessage, frame: int, time: int) -> None:
        """A request of this side."""
        self.requests += 1
        if self.first_time < 0:
            self.first_time = time
        self.last_time = max(self.last_time, time)
        known = self._open.get(message.transaction)
        if known is not None:
            known.time = -1  # which of the two is answered cannot be told
            return
        keep(self.request_frames, frame)
        self.transactions += 1
        if len(self._open) >= OPEN:
            del self._open[next(iter(self._open))]
        self._open[message.transaction] = _Transaction(frame, time)

    def answer(self, message: StunMessage, frame: int, time: int) -> None:
        """A response of the other side; one to no known question counts for nothing."""
        known = self._open.get(message.transaction)
        if known is None:
            return
        self.last_answer_time = max(self.last_answer_time, time)
        if not known.answered:
            known.answered = True
            self.answered += 1
            keep(self.answer_frames, frame)
            if 0 <= known.time <= time and (self.rtt < 0 or time - known.time < self.rtt):
                self.rtt = time - known.time
            if message.message_class == ERROR:
                keep(self.error_frames, frame)
                keep(self.errors, message.error_code or 0)
            elif message.method == ALLOCATE:
                self.allocations += 1
                keep(self.allocate_frames, frame)
        if message.message_class == SUCCESS:
            self.mapped = self.mapped or (str(message.mapped) if message.mapped else None)
            self.relayed = self.relayed or (str(message.relayed) if message.relayed else None)

    def unanswered(self) -> list[int]:
        """First frames of the transactions that have no answer, those that are no longer remembered left out."""
        return [one.frame for one in self._open.values() if not one.answered]


@dataclass(slots=True)
class StunFlow:
    """One flow; ``askers`` by side, ``inside`` the same of what a relay carries between its two ends."""

    askers: tuple[Asker, Asker] = field(default_factory=lambda: (Asker(), Asker()))
    inside: tuple[Asker, Asker] | None = None
    messages: int = 0
    first_frame: int = -1
    first_time: int = 0
    last_frame: int = -1
    realm: str | None = None
    software: str | None = None
    peers: list[str] = field(default_factory=list)
    """Addresses beyond the relay."""
    wrong_fingerprints: int = 0

    def add(self, side: int, message: StunMessage, frame: int, time: int, *, inside: bool) -> None:
        """One message that ``side`` sent; ``inside``: it came within what a relay carries."""
        self.messages += 1
        if self.first_frame < 0:
            self.first_frame, self.first_time = frame, time
        self.last_frame = max(self.last_frame, frame)
        if inside and self.inside is None:
            self.inside = (Asker(), Asker())
        askers = self.inside if inside and self.inside is not None else self.askers
        self.wrong_fingerprints += message.fingerprint is False
        if message.whatsapp:
            askers[side].whatsapp += 1
            keep(askers[side].whatsapp_frames, frame)
        if not inside:
            self.realm = self.realm or message.realm
            self.software = self.software or message.software
            if message.peer and str(message.peer) not in self.peers:
                keep(self.peers, str(message.peer))
        if message.type in WHATSAPP_TYPES or message.message_class == INDICATION:
            return  # nothing is known to answer these
        if message.message_class == REQUEST:
            askers[side].ask(message, frame, time)
        else:
            askers[1 - side].answer(message, frame, time)


def keep(listed: list[_T], value: _T) -> None:
    """Append while there is room."""
    if len(listed) < KEPT:
        listed.append(value)
