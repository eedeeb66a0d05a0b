"""Reads one HTTP/1 connection: requests, what answered each, and what else claimed to."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from functools import partial
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

from forensics.flows.arrays import NEVER
from forensics.protocols.http import decoded, readable, title_of
from forensics.protocols.http_stream import MessageStream

if TYPE_CHECKING:
    from collections.abc import Callable

    from forensics.flows.reassembly import Wire
    from forensics.observations.readers import Opening
    from forensics.protocols.http_stream import Message

EXCHANGES: Final = 4096
"""Most exchanges told of one connection."""
_FRESH: Final = 8
"""The last exchanges keep their bodies; of earlier ones the facts are drawn up."""
_OTHERS: Final = 2
"""Most other responses told of one request."""
_SAME: Final = 256
"""Bytes by which a repetition of another response is known again."""
_SHOWN: Final = 1024
_SWITCHING, _OK, _MULTIPLE = 101, 200, 300


@dataclass(slots=True)
class Answer:
    """One response and how its first segment came."""

    message: Message
    wire: Wire
    begin: bytes = b""
    """Of another response: its first bytes."""
    facts: dict[str, Any] | None = None

    def tell(self) -> dict[str, Any]:
        """What the tables show of it; its body is let go."""
        if self.facts is None:
            head, message = self.message.head, self.message
            body = decoded(bytes(message.body), head.fields.get("content-encoding", b""))
            kind = head.fields.get("content-type", b"")
            text = (
                not kind
                or kind[:5].lower() == b"text/"
                or b"html" in kind
                or b"json" in kind
                or b"xml" in kind
            )
            self.facts = {
                "status": head.status,
                "reason": head.reason,
                "location": head.text("location", 1024),
                "title": title_of(body, kind),
                "http_server": head.text("server"),
                "content_type": head.text("content-type"),
                "content_encoding": head.text("content-encoding"),
                "body_sha256": sha256(message.body).hexdigest() if message.body else None,
                "body_start": (readable(body[: 4 * _SHOWN], _SHOWN) if text and body else None),
            }
            message.body.clear()
        return self.facts


@dataclass(slots=True)
class Exchange:
    """One request and what answered it; either may be missing."""

    request: Message | None = None
    answers: list[Answer] = field(default_factory=list)
    """The one whose bytes came first, then others for the same places of the stream."""
    interim: list[int] = field(default_factory=list)
    """Status of the 1xx responses before it."""
    differing: list[int] = field(default_factory=list)
    """Frames that held other bytes for places of the response."""
    unsolicited: bool = False

    @property
    def first_frame(self) -> int:
        """Of the request or, without one, the response."""
        return self.request.frames[0] if self.request else self.answers[0].message.frames[0]


class HttpReader:
    """One connection; see readers.StreamReader. ``done`` gets it when no more will come."""

    def __init__(self, opening: Opening, done: Callable[[HttpReader], None]) -> None:
        self.opening = opening
        self.exchanges: list[Exchange] = []
        self.dropped = 0
        """Exchanges beyond ``EXCHANGES``."""
        self.tunnel = False
        """The connection went over to another protocol (CONNECT, 101)."""
        self._done = done
        self._streams = [MessageStream(partial(self._told, side)) for side in (0, 1)]
        self._wires = [opening.wire, opening.wire]
        self._open: deque[Exchange] = deque()  # requests that wait for their response
        self._orphans: list[Exchange] = []
        self._recent: deque[tuple[Exchange, int]] = deque(maxlen=_FRESH)  # and the side that answered
        self._other: tuple[MessageStream, Exchange] | None = None
        self._gap = False  # responses may have been lost
        self._lost = [False, False]

    def take(self, side: int, place: int, piece: bytes, frame: int, time: int) -> int:
        """See StreamReader."""
        stream = self._streams[side]
        other = self._other
        if other is not None and other[0].at == place and self._answers(side):
            message = stream.message
            if stream.idle or (message is not None and message.until_close):
                # What came first is over: the other response goes on, and what follows it.
                stream = self._streams[side] = other[0]
                self._other = None
            else:
                other[0].feed(place, piece, frame, time)
        if stream.idle:
            self._wires[side] = self.opening.wire
        wanted = stream.feed(place, piece, frame, time)
        return NEVER if wanted is None else wanted

    def lost(self, side: int, place: int, until: int) -> int:
        """See StreamReader."""
        self._lost[side] = True
        self._gap |= self._answers(side)
        wanted = self._streams[side].lose(place, until)
        return NEVER if wanted is None else wanted

    def _answers(self, side: int) -> bool:
        """Whether this is the side of the responses, as far as that is known."""
        if self._recent:
            return self._recent[-1][1] == side
        return self.opening.first.startswith(b"HTTP/") == (self.opening.side == side)

    def _told(self, side: int, message: Message) -> str | None:
        wire, self._wires[side] = self._wires[side], self.opening.wire
        message.side = side
        if not message.head.status:
            return self._asked(message)
        status = message.head.status
        if status < _OK and status != _SWITCHING:
            if self._open:
                self._open[0].interim.append(status)
            return ""
        exchange = self._take_open(side, message)
        exchange.answers.append(Answer(message, wire))
        self._recent.append((exchange, side))
        method = exchange.request.head.method if exchange.request else ""
        if status == _SWITCHING or (method == "CONNECT" and _OK <= status < _MULTIPLE):
            self.tunnel = True
            self._streams[1 - side].stop()
            return None
        return method

    def _asked(self, message: Message) -> str:
        for exchange in self._orphans:
            if exchange.answers[0].message.frames[0] > message.frames[0]:
                # The response was handed out first: the request waited behind a hole.
                self._orphans.remove(exchange)
                exchange.request, exchange.unsolicited = message, False
                return ""
        exchange = Exchange(request=message)
        self._open.append(exchange)
        if len(self._open) > EXCHANGES:
            self._open.popleft()
        self._add(exchange)
        return ""

    def _take_open(self, side: int, message: Message) -> Exchange:
        """The exchange that a response belongs to."""
        waiting = self._open
        if self._gap:  # responses were missed: without pipelining it answers the last request before it
            self._gap = False
            while len(waiting) > 1 and waiting[1].first_frame < message.frames[0]:
                waiting.popleft()
        if waiting and waiting[0].first_frame <= message.frames[0]:
            return waiting.popleft()
        exchange = Exchange(unsolicited=not self._lost[1 - side])
        self._orphans.append(exchange)
        del self._orphans[:-_FRESH]
        self._add(exchange)
        return exchange

    def _add(self, exchange: Exchange) -> None:
        if len(self.exchanges) >= EXCHANGES:
            self.dropped += 1
            return
        self.exchanges.append(exchange)
        if len(self.exchanges) > _FRESH:
            for answer in self.exchanges[-_FRESH - 1].answers:
                answer.tell()

    def differs(self, side: int, place: int, piece: bytes, frame: int, time: int) -> None:
        """See StreamReader."""
        other, end = self._other, place + len(piece)
        if other is not None and place <= other[0].at < end and self._again(other[1], place, piece) is None:
            other[0].feed(other[0].at, piece[other[0].at - place :], frame, time)
        for exchange, answering in reversed(self._recent):
            if answering != side or not exchange.answers:
                continue
            message = exchange.answers[0].message
            if place <= message.place < end:
                self._note(exchange, frame)
                self._second(exchange, message.place, piece[message.place - place :], frame, time)
                return
            if message.place < place:
                self._note(exchange, frame)
                return

    def _again(self, exchange: Exchange, place: int, piece: bytes) -> Answer | None:
        """The other response that this piece repeats from its beginning."""
        start = exchange.answers[0].message.place
        if not place <= start < place + len(piece):
            return None
        begin = piece[start - place :][:_SAME]
        for answer in exchange.answers[1:]:
            length = min(len(begin), len(answer.begin))
            if answer.begin[:length] == begin[:length]:
                return answer
        return None

    def _note(self, exchange: Exchange, frame: int) -> None:
        if len(exchange.differing) < 16 and frame not in exchange.differing:  # noqa: PLR2004 - frames of a list
            exchange.differing.append(frame)

    def _second(self, exchange: Exchange, place: int, piece: bytes, frame: int, time: int) -> None:
        """Other bytes from the first byte of a response on."""
        if len(exchange.answers) > _OTHERS or self._again(exchange, place, piece) is not None:
            return
        wire, told = self.opening.wire, False

        def tell(message: Message) -> str | None:
            nonlocal told
            if told:
                return self._told(self._recent[-1][1], message)
            told = True
            message.side = exchange.answers[0].message.side
            exchange.answers.append(Answer(message, wire, piece[:_SAME]))
            return exchange.request.head.method if exchange.request else ""

        stream = MessageStream(tell, place)
        stream.feed(place, piece, frame, time)
        if not stream.opaque:
            self._other = (stream, exchange)

    def finish(self) -> None:
        """See StreamReader."""
        for stream in (*self._streams, *([self._other[0]] if self._other else [])):
            stream.cut_head()
        self._streams, self._other = (
            [],
            None,
        )  # they know this reader: without them it goes when nobody needs it
        self._done(self)
