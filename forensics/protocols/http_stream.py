"""One side of an HTTP/1 connection, message by message, with as few of the bytes as that takes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from forensics.protocols.errors import ProtocolError
from forensics.protocols.http import BODY, MAX_HEAD, Head, begins_message, chunk_size, framing, parse_head

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_LINE: Final = 1024
"""A chunk's first line is no longer; nor are trailers read beyond it."""
SEARCHES: Final = 512
"""So many pieces are looked at, after a loss, for the beginning of the next message."""
FRAMES: Final = 16

_HEAD, _BODY, _CLOSE, _SIZE, _CHUNK, _CHUNK_END, _TRAILER, _SEARCH, _OPAQUE = range(9)


@dataclass(slots=True)
class Message:
    """One message as far as it has come."""

    head: Head
    place: int
    """Of its first byte in the stream."""
    body_place: int
    frames: list[int]
    """That carried its head, then those of the body's beginning; at most ``FRAMES``."""
    time: int
    """Of the first frame, ns."""
    last_frame: int
    """That completed the head."""
    last_time: int
    body: bytearray = field(default_factory=bytearray)
    """Its first ``BODY`` bytes, without the chunks' sizes."""
    body_bytes: int = 0
    """Of the whole body, so far as it is known to have gone by; complete where ``whole``."""
    end: int | None = None
    """Place after its last byte, as far as that is known: the body's, or that of the chunk that is being sent."""
    until_close: bool = False
    chunked: bool = False
    whole: bool = False
    """All of it went by."""
    lost: int = 0
    """Bytes of it that are missing."""
    side: int = 0
    """Which side sent it; for the one who reads both."""


class MessageStream:
    """Give it the bytes of one side; it tells of each head, and from which place on it needs more.

    ``asked`` gives the method of the request that a response answers. ``wants`` is None for nothing more.
    """

    def __init__(self, told: Callable[[Message], str | None], place: int = 0) -> None:
        """``told`` is called with each message whose head is read, and gives the method of its request.

        It may answer None instead: no more HTTP comes on this side after this message.
        """
        self._told = told
        self._state = _HEAD
        self._held = bytearray()  # of a head or a line that is not whole
        self._frames: list[tuple[int, int]] = []
        self.at = place
        """Place of the next byte that is needed; those before are dealt with."""
        self.message: Message | None = None
        """The one that goes on."""
        self._searched = 0
        self._left = 0
        self._last = False

    @property
    def idle(self) -> bool:
        """Between two messages."""
        return self._state == _HEAD and not self._held

    @property
    def opaque(self) -> bool:
        """What comes is no HTTP."""
        return self._state == _OPAQUE

    def stop(self) -> None:
        """What comes from now on is no HTTP."""
        self._state = _OPAQUE
        self._held.clear()

    def feed(self, place: int, data: bytes, frame: int, time: int) -> int | None:
        """The bytes from ``place`` on (``self.at``, or after a loss); the place from which on more is needed."""
        at = 0
        while at < len(data) and self._state != _OPAQUE:
            self.at = place + at
            at += self._step(data, at, frame, time)
            self.at = max(self.at, place + at)
            if self.at > place + at:
                return self.at
        if self._state == _OPAQUE:
            return None
        self.at = max(self.at, place + len(data))
        return None if self._state == _CLOSE and self._full() else self.at

    def _full(self) -> bool:
        return self.message is not None and len(self.message.body) >= BODY

    def _step(self, data: bytes, at: int, frame: int, time: int) -> int:
        """Uses some of ``data[at:]``; how many."""
        state = self._state
        if state == _HEAD:
            return self._head(data, at, frame, time)
        if state in {_BODY, _CHUNK, _CLOSE}:
            return self._bytes(data, at, frame)
        if state == _SEARCH:
            self._searched += 1
            if at == 0 and begins_message(data):
                self._state, self._searched = _HEAD, 0
                return 0
            if self._searched > SEARCHES:
                self.stop()
            return len(data) - at
        return self._line(data, at)

    def _head(self, data: bytes, at: int, frame: int, time: int) -> int:
        if not self._held:
            self._frames.clear()
            if data[at] in b"\r\n":  # RFC 9112 2.2: empty lines before a message are ignored
                return 1
        known = len(self._held)
        self._held += data[at:]
        if len(self._frames) < FRAMES:
            self._frames.append((frame, time))
        begin = self.at - known
        if known and len(self._held) < MAX_HEAD and b"\n" not in data[at:]:
            return len(data) - at
        try:
            head = parse_head(bytes(self._held))
        except ProtocolError:
            self.stop()
            return len(data) - at
        if head is None:
            return len(data) - at
        self._held.clear()
        self._begin(head, begin, frame, time)
        return head.length - known

    def _begin(self, head: Head, place: int, frame: int, time: int) -> None:
        body = place + head.length
        self._frames.sort()  # what fills a hole comes before what waited behind it
        frames = [number for number, _ in self._frames]
        message = Message(head, place, body, frames, self._frames[0][1], frame, time)
        self.message = message
        method = self._told(message)
        if method is None:
            message.whole, message.end = True, body
            self.stop()
            return
        size = framing(head, method)
        if size.chunked:
            message.chunked = True
            self._state = _SIZE
        elif size.length is None:
            message.until_close = True
            self._state = _CLOSE
        else:
            message.end = body + size.length
            self._state, self._left = _BODY, size.length
            if not size.length:
                self._done()

    def _done(self) -> None:
        if self.message is not None:
            self.message.whole = not self.message.lost
        self._state = _HEAD

    def _bytes(self, data: bytes, at: int, frame: int) -> int:
        """Bytes of a body: the first ones are kept, of the rest only the end matters."""
        message = self.message
        assert message is not None  # noqa: S101 - a body follows a head
        here = len(data) - at if self._state == _CLOSE else min(len(data) - at, self._left)
        room = BODY - len(message.body)
        if room > 0:
            message.body += data[at : at + min(here, room)]
            if message.frames[-1] != frame and len(message.frames) < FRAMES:
                message.frames.append(frame)
        message.body_bytes += here
        if self._state == _CLOSE:
            return here
        self._left -= here
        if not self._left:
            self._ended()
        elif len(message.body) >= BODY or not message.head.status:
            self.at += here + self._left
            self._skipped()
        return here

    def _skipped(self) -> None:
        """The rest of the body, or of a chunk, is not looked at."""
        if self.message is not None:
            self.message.body_bytes += self._left
            self.message.end = self.at
        self._left = 0
        self._ended()

    def _ended(self) -> None:
        if self._state == _CHUNK:
            self._state = _CHUNK_END
        else:
            self._done()

    def _line(self, data: bytes, at: int) -> int:
        """Lines of the chunked coding (RFC 9112 7.1)."""
        end = data.find(b"\n", at)
        upto = len(data) if end < 0 else end + 1
        self._held += data[at:upto]
        if len(self._held) > MAX_LINE:
            self._search()
        elif end >= 0:
            line = bytes(self._held).strip()
            self._held.clear()
            self._end_of_line(line)
        return upto - at

    def _end_of_line(self, line: bytes) -> None:
        if self._state == _TRAILER:
            if not line:
                self._done()
        elif self._state == _CHUNK_END:
            if line:
                self._search()
            else:
                self._state = _SIZE
        else:
            try:
                self._left = chunk_size(line)
            except ProtocolError:
                self._search()
            else:
                self._state = _CHUNK if self._left else _TRAILER

    def _search(self) -> None:
        self._held.clear()
        self._state = _SEARCH

    def lose(self, place: int, until: int) -> int | None:
        """The bytes ``[place, until)`` will not come; the place from which on more is needed.

        Nothing lost (``place == until``) says that a stream begins in its middle.
        """
        missing = until - place
        message = self.message
        if self._state in {_BODY, _CHUNK} and message is not None:
            here = min(missing, self._left)
            message.lost += here
            self._left -= here
            if not self._left:
                self._ended()
            if here < missing:
                self._search()
        elif self._state == _CLOSE and message is not None:
            message.lost += missing
        elif self._state != _OPAQUE:
            self.cut_head()
            if message is not None and self._state != _HEAD:
                message.lost += missing
            self._search()
        self.at = until
        return None if self._state == _OPAQUE else until

    def cut_head(self) -> None:
        """No more of a head will come: tell of it as far as it is known."""
        if self._state != _HEAD or not self._held:
            return
        try:
            head = parse_head(bytes(self._held), final=True)
        except ProtocolError:
            head = None
        begin = self.at - len(self._held)
        self._held.clear()
        if head is not None:
            self._frames.sort()
            frames = [number for number, _ in self._frames]
            first, last = self._frames[0][1], self._frames[-1][1]
            self.message = Message(head, begin, begin + head.length, frames, first, frames[-1], last)
            self._told(self.message)
