"""One QUIC connection as an observer sees it: what its long headers and its Initial packets tell."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from forensics.protocols.errors import ProtocolError
from forensics.protocols.quic import Q050, is_google
from forensics.protocols.quic_frames import Close, CryptoStream, error_text, parse_frames
from forensics.protocols.quic_google import Message, parse_google_frames, parse_google_message
from forensics.protocols.tls import ClientHello, parse_client_hello_message
from forensics.protocols.tls_details import ech_kind
from forensics.protocols.tls_server import parse_server_start

if TYPE_CHECKING:
    from forensics.protocols.quic import Packet

MOST_FRAMES: Final = 16
"""Frame numbers kept in one list."""
MOST_IDS: Final = 8
"""Connection ids and versions kept of one side."""
TRY_AFTER: Final = 100_000_000
"""ns. Initials that follow each other faster belong to one try: the first probe comes after 1 s, or three times the
round trip that the client remembers (RFC 9002 6.2.2)."""
REPEAT_AFTER: Final = 200_000_000
"""ns (and twice what the first answer took). A handshake packet that comes so long after the other side's is no part
of the flight that was under way then."""

_MOST_PIECES: Final = 1024
"""Pieces of handshake messages that are taken from one side. Those who scatter a hello on purpose send some 50."""
_RECORD: Final = 1 << 14
_SERVER_HELLO: Final = 2
_REPLIES: Final = frozenset({"REJ", "SREJ", "SHLO"})
"""Messages with which a server answers a hello of Google's."""


@dataclass(slots=True)
class Seen:
    """One datagram: which side sent it (as in FlowBatch), its bytes, and how many it had on the wire."""

    side: int
    data: bytes
    length: int
    frame: int
    time: int


@dataclass(slots=True)
class Way:
    """What one side sent."""

    version: int = 0
    """Of its first Initial."""
    dcid: bytes | None = None
    scid: bytes | None = None
    ids: list[bytes] = field(default_factory=list)
    """All that it named as its own."""
    token: bool = False
    """Its first Initial carried a token."""
    initials: int = 0
    handshakes: int = 0
    zero_rtt: int = 0
    unread: int = 0
    """Initial packets that were not opened."""
    tries: int = 0
    retransmitted: int = 0
    initial_frames: list[int] = field(default_factory=list)
    initial_times: list[int] = field(default_factory=list)
    """Time of the first and the last Initial."""
    kinds: dict[str, int] = field(default_factory=dict)
    """Kinds of packets, each with the first frame."""
    first_time: int = -1
    """ns, of its first packet with a long header."""
    moved_on: int = -1
    """Frame of the first Handshake packet, or short header behind another packet: it has read the other's hello."""
    moved_on_time: int = 0
    last_short: int = -1
    """Frame of the last short header behind another packet."""
    repeats: int = 0
    """Datagrams that begin with an Initial or Handshake packet, sent long after the other side moved on."""
    stream: CryptoStream | None = None
    pieces: int = 0
    """How many it has taken, or left out."""

    def note_initial(self, seen: Seen, packet: Packet | None) -> None:
        """An Initial packet; without one, a packet of Google's that stands for it."""
        if not self.initials and packet is not None:
            self.version, self.dcid, self.scid = packet.version, packet.dcid, packet.scid
            self.token = bool(packet.token)
        self.initials += 1
        if len(self.initial_frames) < MOST_FRAMES and seen.frame not in self.initial_frames[-1:]:
            self.initial_frames.append(seen.frame)
        if not self.initial_times:
            self.initial_times = [seen.time, seen.time]
            self.tries = 1
        else:
            self.tries += seen.time - self.initial_times[1] >= TRY_AFTER
            self.initial_times[1] = max(self.initial_times[1], seen.time)


@dataclass(slots=True)
class Connection:
    """What was learnt of one connection."""

    first_frame: int
    number: int = -1
    """Row of its counters."""
    ways: tuple[Way, Way] = field(default_factory=lambda: (Way(), Way()))
    """By side."""
    client: int = -1
    """Side of the client; -1 unknown."""
    sure: bool = False
    """An Initial packet of that side was opened with a client's keys, or shows a client's hello."""
    version: int = 0
    """In which the client's hello was read."""
    versions: list[int] = field(default_factory=list)
    """All versions of its packets, in order of appearance."""
    offered: tuple[int, ...] = ()
    """What a Version Negotiation packet listed."""
    key_ids: list[bytes] = field(default_factory=list)
    """Destination ids that keys were made from, the last one accepted last."""
    again: bool = False
    """A Version Negotiation came: the client starts over, perhaps with other ids."""
    hello: ClientHello | None = None
    message: Message | None = None
    """Google's hello, where it is that."""
    ech: str | None = None
    """What its encrypted_client_hello extension is; see tls_details.py."""
    hello_frames: tuple[int, ...] = ()
    hello_time: int = 0
    hello_bytes: int = 0
    server_hello: str | None = None
    """TLS version chosen."""
    cipher: int | None = None
    server_hello_frame: int = -1
    hello_retry: bool = False
    retry_genuine: bool | None = None
    close: Close | None = None
    close_side: int = -1
    close_frame: int = -1
    pieces: dict[int, int] = field(default_factory=dict)
    """Each frame with new bytes of the client's handshake, and the first place of theirs."""
    conflict: bool = False
    """Initials held different bytes for one place of a hello."""

    def close_code(self) -> str | None:
        """The name of the error the connection was closed with."""
        if self.close is None:
            return None
        return f"application_0x{self.close.code:x}" if self.close.application else error_text(self.close.code)

    def held(self) -> int:
        """Bytes that unfinished hellos take."""
        return sum(way.stream.held for way in self.ways if way.stream is not None)

    def note(self, seen: Seen, packet: Packet) -> None:
        """What every packet tells: versions, ids, and how far its sender has come."""
        way, other = self.ways[seen.side], self.ways[1 - seen.side]
        if packet.version and packet.version not in self.versions and len(self.versions) < MOST_IDS:
            self.versions.append(packet.version)
        kind = packet.kind
        way.kinds.setdefault(kind, seen.frame)
        if way.first_time < 0:
            way.first_time = seen.time
        if kind in {"handshake", "short"} and way.moved_on < 0:
            way.moved_on, way.moved_on_time = seen.frame, seen.time
        if kind == "short":
            way.last_short = seen.frame
        if kind in {"initial", "handshake"} and packet.start == 0 and 0 <= other.moved_on < seen.frame:
            answered = max(way.first_time - self.hello_time, 0) if self.hello_bytes else 0
            way.repeats += seen.time - other.moved_on_time > max(REPEAT_AFTER, 2 * answered)
        if kind != "short" and packet.scid not in way.ids and len(way.ids) < MOST_IDS:
            way.ids.append(packet.scid)

    def start_over(self) -> None:
        """A Retry or Version Negotiation: the client sends its hello once more, from the beginning."""
        self.ways[self.client].stream = None
        self.pieces = {}

    def read(self, seen: Seen, packet: Packet, payload: bytes) -> None:
        """The frames of an opened Initial packet."""
        close = None
        google = packet.version == Q050
        try:
            if google:
                pieces = parse_google_frames(payload, 0, Q050)
            else:
                frames = parse_frames(payload)
                pieces, close = frames.crypto, frames.close
        except ProtocolError:
            return
        if close is not None and self.close is None:
            self.close, self.close_side, self.close_frame = close, seen.side, seen.frame
            self.ways[seen.side].kinds.setdefault("close", seen.frame)
        if pieces:
            self.take_pieces(seen, pieces, packet.version)

    def take_pieces(self, seen: Seen, pieces: tuple[tuple[int, bytes], ...], version: int) -> None:
        """Pieces of the handshake messages of one side."""
        way = self.ways[seen.side]
        of_client = seen.side == self.client
        if way.stream is None:
            way.stream = CryptoStream()
            if of_client and self.hello_bytes:
                way.stream.forget_bytes()  # it is the same hello once more, after a Retry
        fresh = False
        room = max(_MOST_PIECES - way.pieces, 0)
        way.pieces += len(pieces)
        for offset, piece in pieces[:room]:
            if way.stream.add(offset, piece):
                fresh = True
                if of_client and not self.hello_bytes:
                    self.pieces[seen.frame] = min(offset, self.pieces.get(seen.frame, offset))
        self.conflict |= way.stream.conflict
        way.retransmitted += not fresh
        if not fresh:
            return
        google = is_google(version)
        if not of_client:
            self._read_server(way, way.stream, seen.frame, google=google)
        elif not self.hello_bytes:
            self._read_client(way.stream, seen.time, google=google)
            self.version = version

    def _read_client(self, stream: CryptoStream, time: int, *, google: bool) -> None:
        known = stream.contiguous()
        try:
            if google:
                message = parse_google_message(known)
                if message is not None and message.tag != "CHLO":
                    stream.forget_bytes()
                    return
                self.message = message
                self.hello_bytes = len(known) if message is not None else 0
            else:
                hello = parse_client_hello_message(known)
                if hello is not None:
                    self.ech = ech_kind(hello)
                    self.hello = hello._replace(block=b"")  # a hello may be kept for long
                    self.hello_bytes = hello.length
        except ProtocolError:
            stream.forget_bytes()
            return
        if self.hello_bytes:
            end = self.hello_bytes
            self.hello_frames = tuple(sorted(frame for frame, place in self.pieces.items() if place < end))
            self.hello_time = time
            self.pieces = {}
            stream.forget_bytes()

    def _read_server(self, way: Way, stream: CryptoStream, frame: int, *, google: bool) -> None:
        known = stream.contiguous()
        try:
            if google:
                message = parse_google_message(known)
                if message is not None:
                    if message.tag in _REPLIES:
                        way.kinds.setdefault(message.tag.lower(), frame)
                    stream.forget_bytes()
                return
            at = 0
            while len(known) >= at + 4:
                end = at + 4 + int.from_bytes(known[at + 1 : at + 4], "big")
                if known[at] != _SERVER_HELLO or end - at > _RECORD:
                    stream.forget_bytes()
                    return
                if end > len(known):
                    return
                # the parser of TCP streams wants the record that QUIC leaves out
                start = parse_server_start(b"\x16\x03\x03" + (end - at).to_bytes(2, "big") + known[at:end])
                if start is None or not start.hello_retry_request:
                    if start is not None and start.server_hello:
                        self.server_hello, self.cipher = start.version, start.cipher
                        self.server_hello_frame = frame
                    stream.forget_bytes()
                    return
                self.hello_retry = True
                at = end
        except ProtocolError:
            stream.forget_bytes()
