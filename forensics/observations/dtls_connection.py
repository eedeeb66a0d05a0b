"""What one conversation's DTLS datagrams said: hellos put together from fragments, tries, alerts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from forensics.flows.arrays import NEVER
from forensics.protocols.dtls import (
    HELLO_VERIFY_REQUEST,
    MAX_MESSAGE,
    parse_alert,
    parse_client_hello_body,
    parse_fragments,
    parse_records,
    parse_server_hello_body,
)
from forensics.protocols.errors import ProtocolError
from forensics.protocols.stream import HeadAssembler
from forensics.protocols.tls_wire import ALERT, CLIENT_HELLO, HANDSHAKE, SERVER_HELLO

if TYPE_CHECKING:
    from forensics.protocols.dtls import Fragment, Record
    from forensics.protocols.tls import ClientHello
    from forensics.protocols.tls_server import ServerHello

_MOST_FRAGMENTS: Final = 32
"""Handshake messages of one record that are looked at: a server's whole flight has six."""


class Alert(NamedTuple):
    """First alert of one side."""

    frame: int
    encrypted: bool
    told: tuple[int, int] | None
    """Level and description; None where it is encrypted or cut."""


class Message:
    """Puts one handshake message together, whatever the order in which its pieces come; the first copy counts."""

    __slots__ = ("_head", "length", "pieces", "sequence", "size")

    def __init__(self, fragment: Fragment) -> None:
        self._head = HeadAssembler()
        self.sequence = fragment.sequence
        self.length = fragment.length
        self.pieces = 0
        """Those that came, until the message was whole; retransmissions counted."""
        self.size = 0
        """Bytes that are held, at most."""

    def add(self, fragment: Fragment, frame: int) -> bytes:
        """Takes a piece; the body of the message as far as it is known without a gap."""
        if fragment.length == self.length:
            self._head.add(fragment.offset, fragment.data, frame)
            self.size = min(self.size + len(fragment.data), self.length)
            self.pieces += 1
        return self._head.contiguous()[: self.length]

    def frames(self) -> list[int]:
        """Frames that brought something of it, ascending."""
        return self._head.frames_for(self.length)


class Connection:
    """DTLS of one conversation. Feed it the chosen datagrams in frame order.

    A later handshake in the same conversation (after one that came to an end) counts among the tries; what is told
    of the hellos is that of the first ones.
    """

    __slots__ = (
        "_client_message",
        "_server_message",
        "alerts",
        "asker",
        "client_frames",
        "encrypted",
        "first_frame",
        "hello",
        "hello_frames",
        "hello_verify_frame",
        "partial",
        "server",
        "server_hello_frame",
        "server_whole",
        "tries",
    )

    def __init__(self) -> None:
        self.first_frame = NEVER
        self.asker = -1
        """Side of the DTLS client; -1 until a hello tells."""
        self.hello: ClientHello | None = None
        self.hello_frames: list[int] = []
        """Frames that carried it."""
        self.client_frames: list[int] = []
        """Of the beginning of each ClientHello sent, retransmissions counted."""
        self.tries = 0
        self.partial = False
        """(A piece of) a ClientHello was seen."""
        self.hello_verify_frame = NEVER
        self.server: ServerHello | None = None
        self.server_hello_frame = NEVER
        self.server_whole = False
        self.alerts: list[Alert | None] = [None, None]
        self.encrypted = [-1, -1]
        """Last frame of each side with an encrypted record, of those that were looked into."""
        self._client_message: Message | None = None
        self._server_message: Message | None = None

    def take(self, side: int, data: bytes, frame: int) -> None:
        """One datagram of ``side`` (0 or 1)."""
        try:
            records = parse_records(data)
        except ProtocolError:
            return
        self.first_frame = min(self.first_frame, frame)
        for record in records:
            if record.encrypted:
                self.encrypted[side] = frame
            if record.kind == ALERT and self.alerts[side] is None:
                self.alerts[side] = Alert(frame, record.encrypted, parse_alert(record))
            elif record.kind == HANDSHAKE and not record.encrypted:
                self._handshake(side, record, frame)

    def held(self) -> int:
        """Bytes held for messages that are not whole."""
        return sum(message.size for message in (self._client_message, self._server_message) if message)

    def let_go(self) -> None:
        """What is not whole by now will not be."""
        self._client_message = self._server_message = None

    def _handshake(self, side: int, record: Record, frame: int) -> None:
        try:
            fragments = parse_fragments(record)
        except ProtocolError:
            return
        for fragment in fragments[:_MOST_FRAGMENTS]:
            if not 1 < fragment.length <= MAX_MESSAGE:
                continue
            if fragment.kind == CLIENT_HELLO:
                self._of_client(side, fragment, frame)
            elif fragment.kind == HELLO_VERIFY_REQUEST and self._is_server(side):
                self.hello_verify_frame = min(self.hello_verify_frame, frame)
            elif fragment.kind == SERVER_HELLO and self._is_server(side):
                self._of_server(fragment, frame)

    def _is_server(self, side: int) -> bool:
        if self.asker < 0:
            self.asker = 1 - side
        return self.asker != side

    def _of_client(self, side: int, fragment: Fragment, frame: int) -> None:
        if self.asker < 0:
            self.asker = side
        if self.asker != side:
            return
        self.partial = True
        if fragment.offset == 0 and frame not in self.client_frames[-1:]:
            self.tries += 1
            self.client_frames.append(frame)
        if self.hello is not None:
            return
        message = self._client_message
        if message is None or fragment.sequence > message.sequence:
            message = self._client_message = Message(fragment)
        if fragment.sequence != message.sequence:
            return
        body = message.add(fragment, frame)
        if len(body) < message.length:
            return
        self._client_message = None
        try:
            self.hello = parse_client_hello_body(body, message.pieces)
        except ProtocolError:
            return
        self.hello_frames = message.frames()

    def _of_server(self, fragment: Fragment, frame: int) -> None:
        self.server_hello_frame = min(self.server_hello_frame, frame)
        if self.server_whole:
            return
        message = self._server_message
        if message is None:
            message = self._server_message = Message(fragment)
        if fragment.sequence != message.sequence:
            return
        body = message.add(fragment, frame)
        self.server_whole = len(body) >= message.length
        if body:
            self.server = parse_server_hello_body(body, whole=self.server_whole)
        if self.server_whole:
            self._server_message = None
