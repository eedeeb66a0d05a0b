"""The certificates of a TLS connection up to version 1.2: the plaintext messages of one side, read as they come.

TLS 1.3 sends certificates in secret (https://www.rfc-editor.org/rfc/rfc8446#section-2), so nothing is read there
after the ServerHello. Every byte is looked at once, however records and segments cut the messages.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import Final, NamedTuple, TypeAlias

from forensics.protocols.errors import ProtocolError
from forensics.protocols.tls_server import server_hello
from forensics.protocols.tls_wire import (
    ALERT,
    CLIENT_HELLO,
    HANDSHAKE,
    HELLO_REQUEST,
    MESSAGE_HEADER,
    RECORD_HEADER,
    SERVER_HELLO,
    record_header,
)

# https://www.rfc-editor.org/rfc/rfc5246#section-7.4
CERTIFICATE: Final = 11
SERVER_KEY_EXCHANGE: Final = 12
CERTIFICATE_REQUEST: Final = 13
SERVER_HELLO_DONE: Final = 14
CERTIFICATE_VERIFY: Final = 15
CLIENT_KEY_EXCHANGE: Final = 16
NEW_SESSION_TICKET: Final = 4
CERTIFICATE_STATUS: Final = 22
SUPPLEMENTAL_DATA: Final = 23

MAX_MESSAGE: Final = 1 << 19
"""Longest message that is kept; a chain of certificates has some kB, one with very many names some hundred."""
MAX_FLIGHT: Final = 1 << 20
"""Bytes after which a flight is given up."""
MAX_PIECES: Final = 4096
"""Pieces of one message after which a flight is given up."""
MAX_CERTIFICATES: Final = 16
_KEPT: Final = frozenset({SERVER_HELLO, CERTIFICATE})
_SKIPPED: Final = frozenset({
    HELLO_REQUEST, CLIENT_HELLO, NEW_SESSION_TICKET, SERVER_KEY_EXCHANGE, CERTIFICATE_REQUEST, CERTIFICATE_STATUS,
    SUPPLEMENTAL_DATA,
})  # fmt: skip
_LAST: Final = frozenset({SERVER_HELLO_DONE, CERTIFICATE_VERIFY, CLIENT_KEY_EXCHANGE})
_WIDTH: Final = 3
SECRET_SUITES: Final = 0x13
"""First byte of the cipher suites of TLS 1.3: https://www.rfc-editor.org/rfc/rfc8446#appendix-B.4."""


Mark: TypeAlias = tuple[int, int]
"""Frame that carried a piece, and its time (ns)."""


class Shown(NamedTuple):
    """A certificate as it was sent."""

    der: bytes
    marks: tuple[Mark, ...]
    """The marks of the pieces that carried it, in the order of its bytes, each once."""


class Flight:
    """Reads the messages of one side until what follows is secret, broken, too long or of no interest.

    A piece may be cut anywhere. What is kept is one message of at most ``MAX_MESSAGE`` bytes.
    """

    def __init__(self) -> None:
        self.over = False
        """Nothing more is wanted."""
        self.certificates: list[Shown] = []
        """Those read so far, the sender's own first: https://www.rfc-editor.org/rfc/rfc5246#section-7.4.2."""
        self.whole = False
        """The message that carries them went by to its end, and all that it holds are among ``certificates``."""
        self.server: bool | None = None
        """Whose side it is, as its hello says; None while there was none."""
        self.asks = False
        """The server wants a certificate of the client."""
        self._taken = 0
        self._header = bytearray()  # of the record that is being read, until it is there
        self._kind = 0
        self._left = 0  # bytes of this record still to come
        self._message = bytearray()  # header and, where it is kept, body of the message that is being read
        self._skip = 0  # bytes of it still to come that are not kept
        self._starts: list[int] = []  # places within the message where another piece begins
        self._marks: list[Mark] = []  # and the marks of these pieces

    @property
    def held(self) -> int:
        """Bytes that are kept until they are a whole message."""
        return len(self._message)

    def feed(self, piece: bytes, mark: Mark) -> None:
        """Takes the next bytes; ``mark`` is told again with the certificates that lie in them.

        Raises ProtocolError where this is no TLS; what was read before stands.
        """
        at = 0
        while at < len(piece) and not self.over:
            if not self._left:
                at = self._record(piece, at)
                continue
            fragment = piece[at : at + self._left]
            at += len(fragment)
            self._left -= len(fragment)
            if self._kind == HANDSHAKE:
                self._messages(fragment, mark)
        self._taken += len(piece)
        if self._taken > MAX_FLIGHT:
            self.cut()

    def cut(self) -> None:
        """No more will come: a message of certificates that is not whole tells of those that are."""
        if not self.over:
            self.over = True
            self._certificates()
            self._forget()

    def _record(self, piece: bytes, at: int) -> int:
        """Reads the header of a record, or as much of it as is there; gives the place after it."""
        # https://www.rfc-editor.org/rfc/rfc5246#section-6.2.1
        header = self._header
        upto = at + RECORD_HEADER - len(header)
        header += piece[at:upto]
        try:
            kind, size = record_header(bytes(header), 0)
        except ProtocolError:
            self.cut()
            raise
        if size >= 0:
            header.clear()
            if kind not in {HANDSHAKE, ALERT}:  # after ChangeCipherSpec all is secret
                self.cut()
            self._kind, self._left = kind, size
        return min(upto, len(piece))

    def _messages(self, fragment: bytes, mark: Mark) -> None:
        at = 0
        while at < len(fragment) and not self.over:
            if self._skip:
                step = min(self._skip, len(fragment) - at)
                self._skip -= step
                at += step
                continue
            message = self._message
            have = len(message)
            need = MESSAGE_HEADER
            if have >= MESSAGE_HEADER:
                need += int.from_bytes(message[1:MESSAGE_HEADER], "big")
            if not self._marks or self._marks[-1] != mark:
                self._starts.append(have)
                self._marks.append(mark)
                if len(self._marks) > MAX_PIECES:
                    self.cut()
                    return
            message += fragment[at : at + need - have]
            at += len(message) - have
            if len(message) == need:
                if have < MESSAGE_HEADER and self._begun():
                    continue
                self._done()

    def _begun(self) -> bool:
        """Looks at the header of a message; whether its body is waited for."""
        kind, size = self._message[0], int.from_bytes(self._message[1:MESSAGE_HEADER], "big")
        if self.server is None and kind in {CLIENT_HELLO, SERVER_HELLO}:
            self.server = kind == SERVER_HELLO
        if kind in _KEPT:
            if size > MAX_MESSAGE:
                self.over = True
                self._forget()
            return size > 0
        if kind not in _SKIPPED:
            self.over = True
            self._forget()
            if kind not in _LAST:
                raise ProtocolError(f"handshake message of type {kind} where certificates were expected")
            return True
        self.asks |= kind == CERTIFICATE_REQUEST
        self._skip = size
        self._forget()
        return True

    def _done(self) -> None:
        """A message that is kept is whole."""
        if self._message[0] == CERTIFICATE:
            self._certificates(whole=True)
        elif self._secret():
            self.over = True
        self._forget()

    def _secret(self) -> bool:
        """Whether the ServerHello chooses TLS 1.3."""
        hello = server_hello(bytes(self._message[MESSAGE_HEADER:]))
        return hello.version == "1.3" or (hello.cipher is not None and hello.cipher >> 8 == SECRET_SUITES)

    def _certificates(self, *, whole: bool = False) -> None:
        # https://www.rfc-editor.org/rfc/rfc5246#section-7.4.2
        message = self._message
        if len(message) <= MESSAGE_HEADER + _WIDTH or message[0] != CERTIFICATE or self.certificates:
            return
        at = MESSAGE_HEADER + _WIDTH
        end = at + int.from_bytes(message[MESSAGE_HEADER:at], "big")
        fits = end == MESSAGE_HEADER + int.from_bytes(message[1:MESSAGE_HEADER], "big")
        end = min(end, len(message))
        while at + _WIDTH <= end and len(self.certificates) < MAX_CERTIFICATES:
            start = at + _WIDTH
            stop = start + int.from_bytes(message[at:start], "big")
            if stop > end or stop == start:
                break
            self.certificates.append(Shown(bytes(message[start:stop]), self._carried(start, stop)))
            at = stop
        self.whole = whole and fits and at == end

    def _carried(self, begin: int, end: int) -> tuple[Mark, ...]:
        """Marks of the pieces that hold the bytes from ``begin`` to ``end`` of the message."""
        first = bisect_right(self._starts, begin) - 1
        last = bisect_right(self._starts, end - 1)
        return tuple(dict.fromkeys(self._marks[first:last]))

    def _forget(self) -> None:
        self._message.clear()
        self._starts.clear()
        self._marks.clear()
