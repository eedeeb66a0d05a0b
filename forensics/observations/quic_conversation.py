"""Tells the QUIC connections of one conversation apart, and opens their Initial packets."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Final

from forensics.observations.quic_connection import MOST_IDS, Connection, Seen
from forensics.protocols.errors import ProtocolError
from forensics.protocols.quic import MIN_INITIAL, Q050, is_google, is_readable, parse_datagram
from forensics.protocols.quic_google import parse_google_frames, parse_google_long, parse_google_packet
from forensics.protocols.quic_keys import InitialKeys, retry_is_genuine

if TYPE_CHECKING:
    from forensics.protocols.quic import Packet
    from forensics.protocols.quic_google import GooglePacket

MOST_CONNECTIONS: Final = 8
"""Connections that are told apart in one conversation: a client takes a new port for each."""
MOST_OPENED: Final = 64
"""Attempts to open an Initial packet of one conversation."""

_MOST_KEYS: Final = 256
_HELD_BACK: Final = 3
_LONGEST_HELD_BACK: Final = 2048
_INITIAL_BITS: Final = 0x30
"""Of the first byte: zero in the Initial packets of all versions but 2."""


class KeyRing:
    """The keys that were made last: AES contexts are dear, and one connection uses few of them at a time."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[int, bytes, bool], InitialKeys] = OrderedDict()

    def get(self, version: int, dcid: bytes, *, client: bool) -> InitialKeys:
        """Keys of the Initial packets of one side."""
        name = (version, dcid, client)
        keys = self._kept.get(name)
        if keys is None:
            keys = self._kept[name] = InitialKeys(version, dcid, client=client)
            if len(self._kept) > _MOST_KEYS:
                self._kept.popitem(last=False)
        else:
            self._kept.move_to_end(name)
        return keys


class Conversation:
    """All connections of one flow. Feed it the chosen datagrams in frame order."""

    __slots__ = ("_attempts", "_ring", "connections", "google", "left_out", "waiting")

    def __init__(self, ring: KeyRing) -> None:
        self._ring = ring
        self._attempts = 0
        self.connections: list[Connection] = []
        self.google = False
        """Its headers are Google's own, up to Q046."""
        self.left_out = 0
        """Initials of connections beyond ``MOST_CONNECTIONS``."""
        self.waiting: list[tuple[Seen, Packet]] = []
        """Initials that came before the one their keys follow from."""

    def held(self) -> int:
        """Bytes held for what is not finished."""
        held = sum(len(seen.data) for seen, _ in self.waiting)
        return held + self.connections[-1].held() if self.connections else held

    def let_go(self) -> None:
        """Forget what is not finished."""
        self.waiting = []
        for connection in self.connections:
            for way in connection.ways:
                if way.stream is not None:
                    way.stream.forget_bytes()

    def take(self, seen: Seen) -> None:
        """Take in one datagram; what is none of QUIC changes nothing."""
        try:
            if not seen.data[0] & 0x80:
                self._google(seen, parse_google_packet(seen.data))
                return
            version = int.from_bytes(seen.data[1:5], "big")
            if is_google(version) and version < Q050:
                self._google(seen, parse_google_long(seen.data))
                return
            packets = parse_datagram(seen.data)
        except ProtocolError:
            return
        for packet in packets:
            self._packet(seen, packet)

    def _packet(self, seen: Seen, packet: Packet) -> None:
        if packet.kind == "vn":
            if self.connections:
                self._negotiation(self.connections[-1], seen, packet)
            return
        connection = self.connections[-1] if self.connections else self._begin(seen)
        way = connection.ways[seen.side]
        if packet.kind == "unknown" and not seen.data[0] & _INITIAL_BITS and seen.length >= MIN_INITIAL:
            packet = packet._replace(kind="initial")
        if packet.kind == "initial":
            self._initial(connection, seen, packet)
            return
        if packet.kind == "retry" and not self._retry(connection, seen, packet):
            return
        if packet.kind == "0rtt":
            way.zero_rtt += 1
            if connection.client < 0:
                connection.client = seen.side
        way.handshakes += packet.kind == "handshake"
        connection.note(seen, packet)

    def _begin(self, seen: Seen) -> Connection:
        connection = Connection(seen.frame)
        self.connections.append(connection)
        return connection

    def _negotiation(self, connection: Connection, seen: Seen, packet: Packet) -> None:
        # https://www.rfc-editor.org/rfc/rfc9000#section-17.2.1: it echoes the ids, exchanged
        asked = connection.ways[1 - seen.side]
        if connection.client != 1 - seen.side or packet.dcid != asked.scid or packet.scid != asked.dcid:
            return
        connection.offered = connection.offered or packet.versions
        connection.ways[seen.side].kinds.setdefault("vn", seen.frame)
        connection.again = True
        connection.start_over()

    def _retry(self, connection: Connection, seen: Seen, packet: Packet) -> bool:
        """Whether a Retry is believed: the first one, if it answers what the client sent."""
        # https://www.rfc-editor.org/rfc/rfc9000#section-17.2.5.2
        if seen.side == connection.client or connection.retry_genuine is not None:
            return False
        if connection.key_ids:
            genuine = retry_is_genuine(seen.data, packet, connection.key_ids[-1])
            connection.retry_genuine = genuine
            if genuine is False:
                connection.ways[seen.side].kinds.setdefault("false_retry", seen.frame)
                return False
            connection.start_over()
        return True

    def _initial(self, last: Connection, seen: Seen, packet: Packet) -> None:
        opened: bytes | None = None
        if not last.sure and seen.side != last.client:
            # nothing is known yet of who is the client
            opened = self._open(packet, seen.data, packet.dcid, client=True)
            if opened is not None:
                last.client, last.sure = seen.side, True
                last.key_ids = [packet.dcid]
            elif last.client < 0 and not is_readable(packet.version):
                last.client = seen.side  # nobody answers in a version that forces negotiation
        connection = last
        if seen.side == last.client:
            found, opened = self._whose(last, seen, packet, opened)
            if found is None:
                self.left_out += 1
                return
            connection = found
        elif opened is None:
            opened = self._of_server(last, seen, packet)
        way = connection.ways[seen.side]
        way.note_initial(seen, packet)
        connection.note(seen, packet)
        if opened is not None:
            connection.read(seen, packet, opened)
            if seen.side == connection.client and self.waiting:
                self._read_waiting(connection)
            return
        way.unread += 1
        if not connection.key_ids and len(self.waiting) < _HELD_BACK and len(seen.data) <= _LONGEST_HELD_BACK:
            self.waiting.append((seen, packet))

    def _read_waiting(self, connection: Connection) -> None:
        waiting, self.waiting = self.waiting, []
        for seen, packet in waiting:
            opened = self._of_server(connection, seen, packet)
            if opened is not None:
                connection.ways[seen.side].unread -= 1
                connection.read(seen, packet, opened)

    def _of_server(self, connection: Connection, seen: Seen, packet: Packet) -> bytes | None:
        for dcid in reversed(connection.key_ids):
            opened = self._open(packet, seen.data, dcid, client=False)
            if opened is not None:
                return opened
        return None

    def _whose(
        self, last: Connection, seen: Seen, packet: Packet, opened: bytes | None
    ) -> tuple[Connection | None, bytes | None]:
        """The connection of an Initial of the client, and its payload; None where there are too many of them."""
        if opened is not None:
            return last, opened
        for dcid in reversed(last.key_ids):
            opened = self._open(packet, seen.data, dcid, client=True)
            if opened is not None:
                # a client that starts over after a Version Negotiation may keep its ids
                last.again &= packet.version == last.ways[seen.side].version
                return last, opened
        if packet.dcid not in last.key_ids:
            opened = self._open(packet, seen.data, packet.dcid, client=True)
        if opened is None:
            return last, None
        if not _goes_on(last, seen.side, packet):
            if len(self.connections) == MOST_CONNECTIONS:
                return None, None
            for way in last.ways:
                way.stream = None
            last = self._begin(seen)
            last.client = seen.side
        last.sure, last.again = True, False
        last.key_ids = [*last.key_ids[1 - MOST_IDS :], packet.dcid]
        return last, opened

    def _open(self, packet: Packet, data: bytes, dcid: bytes, *, client: bool) -> bytes | None:
        if self._attempts >= MOST_OPENED or not is_readable(packet.version):
            return None
        self._attempts += 1
        try:
            opened = self._ring.get(packet.version, dcid, client=client).open(data, packet)
        except ProtocolError:
            return None
        return opened[1] if opened is not None else None

    def _google(self, seen: Seen, packet: GooglePacket) -> None:
        """A packet with Google's own header: its handshake is in clear."""
        if not self.connections and packet.kind == "version" and not packet.versions:
            begun = self._begin(seen)
            begun.client, begun.ways[seen.side].version = seen.side, packet.version
            begun.ways[seen.side].dcid = packet.cid
            self.google = True
        if not self.google:
            return
        connection = self.connections[-1]
        way = connection.ways[seen.side]
        if seen.side != connection.client and (packet.versions or packet.kind == "reset"):
            connection.offered = connection.offered or packet.versions
            way.kinds.setdefault("vn" if packet.versions else "reset", seen.frame)
            return
        if packet.kind != "version":
            return
        if packet.version not in connection.versions and len(connection.versions) < MOST_IDS:
            connection.versions.append(packet.version)
        way.note_initial(seen, None)
        way.kinds.setdefault("initial", seen.frame)
        try:
            pieces = parse_google_frames(seen.data, packet.frames_at, packet.version)
        except ProtocolError:
            way.unread += 1
            return
        if pieces:
            connection.take_pieces(seen, pieces, packet.version)


def _goes_on(last: Connection, side: int, packet: Packet) -> bool:
    """Whether an Initial with keys of its own belongs to the connection before it.

    It does after a Retry or a Version Negotiation, also after one that the capture does not hold.
    """
    mine, server = last.ways[side], last.ways[1 - side]
    return (
        not last.key_ids
        or last.again
        or packet.dcid in server.ids
        or (bool(packet.scid) and packet.scid == mine.scid)
        or (bool(packet.token) and not mine.token and not server.ids)
    )
