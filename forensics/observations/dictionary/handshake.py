"""Columns of the flow table: which protocol a flow speaks, and the handshakes of messengers and VPNs."""

from __future__ import annotations

from typing import Final

import polars as pl

from forensics.observations.dictionary.entry import INTS, Column, entry

# One line an entry: a formatter would make five of each.
# fmt: off
FLOW_HANDSHAKE: Final[tuple[Column, ...]] = (
    entry("protocol", pl.String, "", "protocol that the flow speaks, in one word (the list is printed by forensics docs protocols); null when nothing tells"),
    entry("protocol_source", pl.String, "", "what told us: client_hello, quic_initial, handshake, server_hello, records, first_bytes, tunnel, or port, the weakest: nothing of the flow's beginning was seen"),
    entry("protocol_possible", pl.String, "", "protocol that the first bytes allow but do not prove: every fully encrypted stream looks like obfuscated mtproto, every name of letters and digits without ALPN like tor"),
    entry("handshake_protocol", pl.String, "", "messenger or VPN whose handshake the flow begins with, one of the words of protocol; null when there is none"),
    entry("handshake_detail", pl.String, "", "what the handshake says of itself: versions, transport, software; after a semicolon what answered it"),
    entry("handshake_frame", pl.Int64, "frame", "first message of the handshake", role="handshake"),
    entry("handshake_frames", INTS, "frame", "that message and its repetitions until the first answer (the first 16)", role="handshake"),
    entry("handshake_tries", pl.Int64, "packets", "how often the handshake was begun until its first answer; over TCP how often its first bytes were sent"),
    entry("handshake_answered", pl.Boolean, "", "an answer that belongs to it was seen; false only where the other end sent no payload at all, null where it sent something else"),
    entry("handshake_answer_frame", pl.Int64, "frame", "first such answer", role="handshake_answer"),
    entry("handshake_answer_ms", pl.Float64, "ms", "from the last try before it to that answer; over TCP from the first"),
    entry("handshake_open_tries", pl.Int64, "packets", "handshakes begun since the last answer: those of a session that is not renewed any more"),
    entry("handshake_open_frames", INTS, "frame", "their frames (the first 16)", role="handshake_unanswered"),
    entry("first_packet_bytes", pl.Int64, "bytes", "payload of the client's first packet; this and the next six only for TCP flows whose protocol nothing names", "WU23"),
    entry("first_packet_bits", pl.Float64, "", "its bits that are set, a byte: 4 in random bytes; up to 3.4 and from 4.6 on it is exempt", "WU23 Ex1"),
    entry("first_packet_printable_prefix", pl.Boolean, "", "its first six bytes are printable ASCII", "WU23 Ex2"),
    entry("first_packet_printable_share", pl.Float64, "", "part of its bytes that is printable; above 0.5 it is exempt", "WU23 Ex3"),
    entry("first_packet_printable_run", pl.Int64, "bytes", "its longest run of printable bytes; above 20 it is exempt", "WU23 Ex4"),
    entry("first_packet_known_prefix", pl.Boolean, "", "it begins as TLS or HTTP does", "WU23 Ex5"),
    entry("first_packet_exempt", pl.Boolean, "", "any of the five holds: a filter of fully encrypted traffic lets it pass", "WU23"),
)
"""Columns of the flow table: protocol, and handshakes of messengers and VPNs."""
# fmt: on
