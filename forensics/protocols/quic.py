"""QUIC packets as they lie in a datagram, before any of their protection is removed.

https://www.rfc-editor.org/rfc/rfc8999 (what holds for every version),
https://www.rfc-editor.org/rfc/rfc9000#section-17 (version 1 and the drafts since 22),
https://www.rfc-editor.org/rfc/rfc9369#section-3 (version 2).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from forensics.protocols.errors import ProtocolError

if TYPE_CHECKING:
    import numpy.typing as npt

# https://www.rfc-editor.org/rfc/rfc9000#section-15 and https://www.rfc-editor.org/rfc/rfc9369#section-3.1
V1: Final = 0x00000001
V2: Final = 0x6B3343CF
_DRAFT: Final = 0xFF000000
FIRST_DRAFT, LAST_DRAFT = 0xFF000017, 0xFF000022  # 23 and 34
Q050: Final = 0x51303530
# Facebook's own, from mvfst: quic/QuicConstants.h and quic/handshake/HandshakeLayer.cpp
MVFST: Final = frozenset({0xFACEB002, 0xFACEB00E, 0xFACEB010, 0xFACEB011, 0xFACEB013})
"""With the salt of draft 23."""
MVFST_V1: Final = 0xFACEB003
"""Version 1 by another number."""
_FACEBOOK: Final = 0xFACEB000
_READABLE: Final = MVFST | {V1, V2, Q050, MVFST_V1}
_GREASE_MASK, _GREASE = 0x0F0F0F0F, 0x0A0A0A0A

# https://www.rfc-editor.org/rfc/rfc9000#section-17.2
_LONG, _FIXED = 0x80, 0x40
MAX_CID: Final = 20
MIN_INITIAL: Final = 1200
"""Least payload of a datagram with an Initial packet of a client (RFC 9000 14.1)."""
RETRY_TAG: Final = 16
_RANDOM_CID: Final = 8
"""Least length of the destination id that a client makes up (RFC 9000 7.2)."""

MAX_PACKETS: Final = 16
"""Most packets that are told apart in one datagram: four are usual."""
MAX_VERSIONS: Final = 64
"""Most versions that are read from one Version Negotiation packet."""

_KINDS: Final = ("initial", "0rtt", "handshake", "retry")
# https://www.rfc-editor.org/rfc/rfc9369#section-3.2
_KINDS_V2: Final = ("retry", "initial", "0rtt", "handshake")


class Packet(NamedTuple):
    """One packet of a datagram."""

    kind: str
    """``initial``, ``0rtt``, ``handshake``, ``retry``, ``vn`` (Version Negotiation), ``short`` or ``unknown``.

    Of the version of an ``unknown`` packet nothing but the connection ids is read.
    """
    version: int
    """Version field; 0 in Version Negotiation packets and where the header is short."""
    dcid: bytes
    """Destination connection id; empty where the header is short: its length is not on the wire."""
    scid: bytes
    """Source connection id."""
    token: bytes
    """Of an Initial or Retry packet."""
    versions: tuple[int, ...]
    """Those that a Version Negotiation packet lists."""
    start: int
    """Where the packet begins in the datagram."""
    number_at: int
    """Where its (protected) packet number begins; of a Retry packet, its integrity tag; else ``end``."""
    end: int
    """Where it ends: beyond the bytes given where the capture cut it."""


class CutPacketError(ProtocolError):
    """The header is not whole in the bytes that are there."""


def version_text(version: int) -> str:
    """``1``, ``2``, ``draft-29``, ``Q046``, ``grease``; what is not known here as hexadecimal number."""
    if version in {V1, V2}:
        return "1" if version == V1 else "2"
    if version >> 8 == _DRAFT >> 8:
        return f"draft-{version & 0xFF}"
    if is_google(version):
        return version.to_bytes(4, "big").decode("ascii")
    return "grease" if is_reserved(version) else f"0x{version:08x}"


def is_reserved(version: int) -> bool:
    """Whether a version is one of those that exist to force Version Negotiation (RFC 9000 15)."""
    return version & _GREASE_MASK == _GREASE


def is_google(version: int) -> bool:
    """Whether a version is Google's: ``Q`` or ``T`` and three digits."""
    text = version.to_bytes(4, "big")
    return text[:1] in {b"Q", b"T"} and text[1:].isdigit()


def is_readable(version: int) -> bool:
    """Whether the Initial packets of a version can be read here: 1, 2, drafts 23 to 34, Q050 and Facebook's."""
    return version in _READABLE or FIRST_DRAFT <= version <= LAST_DRAFT


def read_varint(data: bytes, at: int) -> tuple[int, int]:
    """A variable-length integer and where it ends (RFC 9000 16)."""
    if at >= len(data):
        raise CutPacketError("a variable-length integer is cut short")
    first = data[at]
    end = at + (1 << (first >> 6))
    if end == at + 1:
        return first, end
    if end > len(data):
        raise CutPacketError("a variable-length integer is cut short")
    return int.from_bytes(data[at:end], "big") & ((1 << (8 * (end - at) - 2)) - 1), end


def parse_packet(data: bytes, at: int = 0) -> Packet:
    """The packet that begins at ``at`` of a datagram.

    ProtocolError where it is none; CutPacketError where its header reaches past the end. Nothing tells a packet
    with a short header from other bytes but that its first bit is 0.
    """
    if at >= len(data):
        raise CutPacketError("no byte of a packet is there")
    first = data[at]
    if not first & _LONG:
        return Packet("short", 0, b"", b"", b"", (), at, len(data), len(data))
    # https://www.rfc-editor.org/rfc/rfc8999#section-5.1
    version = int.from_bytes(data[at + 1 : at + 5], "big")
    dcid, here = _connection_id(data, at + 5)
    scid, here = _connection_id(data, here)
    if version == 0:
        return Packet("vn", 0, dcid, scid, b"", _versions(data, here), at, len(data), len(data))
    if not is_readable(version):
        return Packet("unknown", version, dcid, scid, b"", (), at, len(data), len(data))
    if max(len(dcid), len(scid)) > MAX_CID:
        raise ProtocolError(f"a connection id of {max(len(dcid), len(scid))} bytes is longer than {MAX_CID}")
    # the fixed bit may be 0 once both sides agreed to that (RFC 9287)
    kind = (_KINDS_V2 if version == V2 else _KINDS)[first >> 4 & 3]
    token = b""
    if kind == "retry":
        # https://www.rfc-editor.org/rfc/rfc9000#section-17.2.5
        tag = len(data) - RETRY_TAG
        if tag < here:
            raise CutPacketError("the Retry packet ends before its integrity tag")
        return Packet(kind, version, dcid, scid, data[here:tag], (), at, tag, len(data))
    if kind == "initial":
        # https://www.rfc-editor.org/rfc/rfc9000#section-17.2.2
        size, here = read_varint(data, here)
        token, here = data[here : here + size], here + size
    length, here = read_varint(data, here)
    return Packet(kind, version, dcid, scid, token, (), at, here, here + length)


def parse_datagram(data: bytes) -> list[Packet]:
    """The packets of one datagram, at least one.

    ProtocolError where the first is none. What follows the last packet with a length is a packet of the same
    connection or it is left out (RFC 9000 12.2), as is what comes after ``MAX_PACKETS``.
    """
    packets = [parse_packet(data)]
    while packets[-1].end < len(data) and len(packets) < MAX_PACKETS:
        try:
            packet = parse_packet(data, packets[-1].end)
        except ProtocolError:
            break
        # after the packets some senders leave zeros
        padding = packet.kind == "short" and not data[packet.start] & _FIXED
        foreign = packet.kind != "short" and packet.dcid != packets[0].dcid
        if padding or foreign or packet.kind in {"vn", "unknown"}:
            break
        packets.append(packet)
    return packets


def _connection_id(data: bytes, at: int) -> tuple[bytes, int]:
    if at >= len(data):
        raise CutPacketError("a connection id is cut short")
    end = at + 1 + data[at]
    if end > len(data):
        raise CutPacketError("a connection id is cut short")
    return data[at + 1 : end], end


def _versions(data: bytes, at: int) -> tuple[int, ...]:
    # https://www.rfc-editor.org/rfc/rfc9000#section-17.2.1
    count = (len(data) - at) // 4
    if count == 0:
        raise CutPacketError("a Version Negotiation packet without versions")
    return tuple(
        int.from_bytes(data[at + 4 * i : at + 4 * i + 4], "big") for i in range(min(count, MAX_VERSIONS))
    )


SHORT, LONG, RESERVED, OTHER = range(4)
"""What the first bytes of a datagram may be; RESERVED: a long header with a version that forces negotiation."""


def classify(head: npt.NDArray[np.uint8], length: npt.NDArray[np.int64]) -> npt.NDArray[np.int8]:
    """For each datagram (``head``: n x 32 bytes, zero padded; ``length``: of its payload) one of the words above.

    LONG is as good as certain: four bytes hold a known version. RESERVED may open a conversation too. SHORT says
    that the first bit is 0, OTHER that it is 1: both count in a conversation that is known to be QUIC.
    """
    found = np.where(head[:, 0] & _LONG, OTHER, SHORT).astype(np.int8)
    rows = np.flatnonzero(found)
    if not len(rows):
        return found
    mine = head[rows]
    size = length[rows]
    version = np.ascontiguousarray(mine[:, 1:5]).view(">u4").ravel().astype(np.int64)
    known = (version == V1) | (version == V2) | ((version >> 8) == _DRAFT >> 8)
    known |= (version >> 8) == _FACEBOOK >> 8
    digits = ((mine[:, 2:5] >= ord("0")) & (mine[:, 2:5] <= ord("9"))).all(axis=1)
    google = digits & ((mine[:, 1] == ord("Q")) | (mine[:, 1] == ord("T")))
    reserved = (version & _GREASE_MASK) == _GREASE
    rare = np.flatnonzero(known | google | reserved)
    fixed = (mine[rare, 0] & _FIXED) != 0
    cid = mine[rare, 5].astype(np.int64)
    ids = (cid <= MAX_CID) & (size[rare] >= cid + 7)
    opens = ids & (size[rare] >= MIN_INITIAL) & (cid >= _RANDOM_CID)
    sure = fixed & ((known[rare] & ids) | google[rare])
    found[rows[rare[fixed & opens & reserved[rare]]]] = RESERVED
    found[rows[rare[sure]]] = LONG
    return found
