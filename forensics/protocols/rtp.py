"""RTP and RTCP packets, and how they are told from what else may arrive at the same port.

RFC 3550 (RTP, RTCP), RFC 3551 (static payload types), RFC 5761 (both on one port), RFC 7983 (beside STUN, DTLS, TURN).
RTP has no magic number: one packet that looks like it proves nothing. What does is a run of packets with one SSRC and
sequence numbers that go on (observations/media_rtp.py). SRTP (RFC 3711) leaves the header of RTP readable, and the
first eight bytes of RTCP.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from forensics.protocols.errors import ProtocolError

if TYPE_CHECKING:
    import numpy.typing as npt

HEADER: Final = 12
VERSION: Final = 2

RTCP_TYPES: Final = range(192, 224)
"""Second byte of RTCP; as RTP that is a marked packet of a payload type which must not be used beside RTCP."""
SENDER_REPORT: Final = 200
RECEIVER_REPORT: Final = 201
BYE: Final = 203
_KNOWN_RTCP: Final = range(192, 214)

STATIC_TYPES: Final[dict[int, tuple[str, int]]] = {
    0: ("PCMU", 8000),
    3: ("GSM", 8000),
    4: ("G723", 8000),
    5: ("DVI4", 8000),
    6: ("DVI4", 16000),
    7: ("LPC", 8000),
    8: ("PCMA", 8000),
    9: ("G722", 8000),
    10: ("L16", 44100),
    11: ("L16", 44100),
    12: ("QCELP", 8000),
    13: ("CN", 8000),
    14: ("MPA", 90000),
    15: ("G728", 8000),
    16: ("DVI4", 11025),
    17: ("DVI4", 22050),
    18: ("G729", 8000),
    25: ("CelB", 90000),
    26: ("JPEG", 90000),
    28: ("nv", 90000),
    31: ("H261", 90000),
    32: ("MPV", 90000),
    33: ("MP2T", 90000),
    34: ("H263", 90000),
}
"""Payload type → encoding and clock rate (Hz), https://www.rfc-editor.org/rfc/rfc3551#section-6."""
CLOCK_RATES: Final = (8000, 16000, 32000, 48000, 90000)
"""What senders of dynamic payload types use: speech, music, and video."""

_DTLS_VERSIONS: Final = (0xFEFF, 0xFEFD)


class RtpPacket(NamedTuple):
    """The header of one packet, https://www.rfc-editor.org/rfc/rfc3550#section-5.1."""

    payload_type: int
    marker: bool
    sequence: int
    timestamp: int
    """In units of the payload type's clock."""
    ssrc: int
    csrcs: tuple[int, ...]
    extension: int | None
    """Profile of the header extension; None without one."""
    payload_offset: int
    padding: bool


class ReportBlock(NamedTuple):
    """How well one source is received, https://www.rfc-editor.org/rfc/rfc3550#section-6.4.1."""

    ssrc: int
    fraction_lost: float
    """Of the packets since the report before, 0 to 1."""
    lost: int
    """Since the beginning; negative with duplicates."""
    highest_sequence: int
    """Extended: wraps counted in the upper 16 bits."""
    jitter: int
    """In timestamp units."""


class RtcpPacket(NamedTuple):
    """One packet of a compound one."""

    packet_type: int
    ssrc: int | None
    """Of the sender; None in a BYE of nobody."""
    sent_packets: int | None = None
    """Of a sender report."""
    blocks: tuple[ReportBlock, ...] = ()
    leaving: tuple[int, ...] = ()
    """SSRCs that a BYE takes leave of."""


def parse_rtp(data: bytes) -> RtpPacket:
    """The header of an RTP packet; raises ProtocolError where there cannot be one."""
    if len(data) < HEADER or data[0] >> 6 != VERSION:
        raise ProtocolError("not the header of an RTP packet")
    first, second, sequence, timestamp, ssrc = struct.unpack_from("!BBHII", data)
    if second in RTCP_TYPES:
        raise ProtocolError("an RTCP packet, not an RTP one")
    at = HEADER + 4 * (first & 15)
    extension = None
    if first & 0x10:
        if len(data) < at + 4:
            raise ProtocolError("an RTP header shorter than it says")
        extension, words = struct.unpack_from("!HH", data, at)
        at += 4 + 4 * words
    if len(data) < at:
        raise ProtocolError("an RTP header shorter than it says")
    csrcs = struct.unpack_from(f"!{first & 15}I", data, HEADER)
    return RtpPacket(
        second & 127,
        second >= 128,  # noqa: PLR2004 - the upper bit
        sequence,
        timestamp,
        ssrc,
        csrcs,
        extension,
        at,
        bool(first & 0x20),
    )


def parse_rtcp(data: bytes) -> tuple[RtcpPacket, ...]:
    """The packets of a whole compound RTCP packet in the clear; raises ProtocolError when it is none.

    That of SRTCP is encrypted behind its eighth byte: its lengths do not come out even, and it is refused.
    """
    packets: list[RtcpPacket] = []
    at = 0
    while at < len(data):
        if len(data) - at < 4:  # noqa: PLR2004 - the common header
            raise ProtocolError("an RTCP packet shorter than its header")
        first, kind, words = struct.unpack_from("!BBH", data, at)
        end = at + 4 + 4 * words
        if first >> 6 != VERSION or kind not in _KNOWN_RTCP or end > len(data):
            raise ProtocolError("not an RTCP packet")
        packets.append(_rtcp(kind, first & 31, data[at + 4 : end]))
        at = end
    if not packets:
        raise ProtocolError("an empty RTCP packet")
    return tuple(packets)


def _rtcp(kind: int, count: int, body: bytes) -> RtcpPacket:
    words = struct.unpack(f"!{len(body) // 4}I", body)
    if kind == BYE:
        if count > len(words):
            raise ProtocolError("a BYE shorter than its list of sources")
        return RtcpPacket(kind, words[0] if count else None, leaving=words[:count])
    if not words:
        raise ProtocolError("an RTCP packet without a sender")
    if kind not in {SENDER_REPORT, RECEIVER_REPORT}:
        return RtcpPacket(kind, words[0])
    begin = 6 if kind == SENDER_REPORT else 1
    if len(words) < begin + 6 * count:
        raise ProtocolError("an RTCP report shorter than its blocks")
    blocks = []
    for at in range(begin, begin + 6 * count, 6):
        ssrc, loss, highest, jitter = words[at : at + 4]
        lost = (loss & 0xFFFFFF) - ((loss & 0x800000) << 1)
        blocks.append(ReportBlock(ssrc, (loss >> 24) / 256, lost, highest, jitter))
    return RtcpPacket(kind, words[0], words[4] if kind == SENDER_REPORT else None, tuple(blocks))


def looks_like_rtp(head: npt.NDArray[np.uint8], length: npt.NDArray[np.integer]) -> npt.NDArray[np.bool_]:
    """Which datagrams have a header that RTP could have: version 2, no RTCP, room for what the header announces.

    ``head`` is (n × 12 or more) uint8, ``length`` the payload on the wire. One random datagram in five passes.
    """
    second = head[:, 1] & 127
    # RFC 5761, section 4: 64 to 95 are not used beside RTCP
    payload_type = (second < 64) | (second >= 96)  # noqa: PLR2004
    room = HEADER + 4 * (head[:, 0] & 15).astype(np.int64) + np.where(head[:, 0] & 0x10, 4, 0)
    return np.asarray((head[:, 0] >> 6 == VERSION) & payload_type & (length >= room))


def looks_like_rtcp(head: npt.NDArray[np.uint8], length: npt.NDArray[np.integer]) -> npt.NDArray[np.bool_]:
    """Which datagrams begin as a compound RTCP or SRTCP packet does: version 2, its types, and a length that fits."""
    body = 4 + 4 * (head[:, 2].astype(np.int64) << 8 | head[:, 3])
    kind = (head[:, 1] >= _KNOWN_RTCP.start) & (head[:, 1] < _KNOWN_RTCP.stop)
    return np.asarray((head[:, 0] >> 6 == VERSION) & kind & (length >= 8) & (body <= length))  # noqa: PLR2004


def looks_like_dtls(head: npt.NDArray[np.uint8], length: npt.NDArray[np.integer]) -> npt.NDArray[np.bool_]:
    """Which datagrams begin with a record of DTLS 1.0 or 1.2 (those of 1.3 begin so until they are encrypted).

    https://www.rfc-editor.org/rfc/rfc7983#section-7, https://www.rfc-editor.org/rfc/rfc6347#section-4.1
    """
    kind = (head[:, 0] >= 20) & (head[:, 0] < 26)  # noqa: PLR2004 - content types
    version = np.isin(head[:, 1].astype(np.int32) << 8 | head[:, 2], _DTLS_VERSIONS)
    body = head[:, 11].astype(np.int64) << 8 | head[:, 12]
    return np.asarray(kind & version & (length >= 13) & (body + 13 <= length))  # noqa: PLR2004 - header of a record
