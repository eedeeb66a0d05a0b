"""The quic table."""

from __future__ import annotations

from typing import Final

import polars as pl

from forensics.observations.dictionary.entry import INTS, TEXTS, Column, Table, entry, identity

# One line an entry: a formatter would make five of each.
# fmt: off
QUIC: Final = Table(
    "quic",
    "one QUIC connection",
    (
        *identity(),
        entry("connection", pl.Int64, "", "number of the connection within its conversation: 0, 1, …"),
        entry("first_time", pl.Int64, "ns", "of that frame, since the epoch"),
        entry("version", pl.String, "", "version of the Initial with the ClientHello, else of the client's first packet: 1, 2, draft-29, Q046, grease (reserved, to force Version Negotiation), or hexadecimal", "RFC 9000 15, Wireshark quic.version"),
        entry("versions", TEXTS, "", "all versions of its packets, in order of appearance"),
        entry("versions_offered", TEXTS, "", "what the server listed in Version Negotiation; null without one", "RFC 9000 17.2.1"),
        entry("dcid", pl.String, "", "hex of the first destination connection id of the client, from which the Initial keys follow", "Zeek quic.log client_initial_dcid"),
        entry("scid", pl.String, "", "hex of the id that the client named as its own; empty where it has none", "Zeek quic.log client_scid"),
        entry("server_cid", pl.String, "", "hex of the first id that the server named as its own in an Initial or Handshake packet", "Zeek quic.log server_scid"),
        entry("token", pl.Boolean, "", "the client's first Initial carries a token, from an earlier connection", "RFC 9000 8.1"),
        # the hello
        entry("client_hello", pl.Boolean, "", "a whole ClientHello (of Google's QUIC: CHLO) was put together", "RFC 9001 4.1"),
        entry("client_hello_frame", pl.Int64, "frame", "frame that completed it", role="client_hello"),
        entry("client_hello_frames", INTS, "frame", "all frames that carried it, retransmissions not counted", role="client_hello"),
        entry("client_hello_bytes", pl.Int64, "bytes", "its length"),
        entry("sni", pl.String, "", "server name, lower case; null when the extension is absent", "RFC 6066 3"),
        entry("alpn", TEXTS, "", "protocols offered", "RFC 7301"),
        entry("ja4", pl.String, "", "fingerprint of the hello; begins with q", "JA4"),
        entry("ech", pl.String, "", "encrypted_client_hello in the hello: outer (may be real, may be GREASE), grease (cannot be real), inner, malformed; null without it", "RFC 9849 5"),
        entry("user_agent", pl.String, "", "what the client of Google's QUIC calls itself (UAID)", "Wireshark gquic.tag.uaid"),
        entry("hello_differs", pl.Boolean, "", "Initial packets held different bytes for one place of a hello"),
        # what the client sent
        entry("initials_to_server", pl.Int64, "packets", "Initial packets of the client; up to Q046, packets with a version"),
        entry("initial_frames", INTS, "frame", "their frames (the first 16)", role="quic_initial"),
        entry("initial_tries", pl.Int64, "", "times the client sent Initials: those less than 100 ms apart are one try"),
        entry("initial_span_ms", pl.Float64, "ms", "from the client's first to its last Initial"),
        entry("initials_retransmitted", pl.Int64, "packets", "Initials of the client that hold handshake bytes, all of which it had sent before"),
        entry("initials_unread", pl.Int64, "packets", "Initials of both sides that could not be opened: another version, cut by the capture, or beyond the limit"),
        entry("datagrams_not_read", pl.Int64, "packets", "datagrams with a long header that were counted but not looked into: those after the first 64 of each side of the conversation, and Initials of a ninth connection in it"),
        entry("zero_rtt_packets", pl.Int64, "packets", "0-RTT packets of the client", "RFC 9001 4.6"),
        entry("handshakes_to_server", pl.Int64, "packets", "Handshake packets of the client"),
        entry("short_to_server", pl.Int64, "packets", "datagrams of the client that begin with a short header; up to Q043, those without a version"),
        # what came back
        entry("server_reply", TEXTS, "", "kinds of packets of the server, in order of appearance: initial, handshake, retry, vn (Version Negotiation), short, close, unknown; false_retry (its integrity tag is wrong); of Google's QUIC also rej, srej, shlo, reset"),
        entry("server_frame", pl.Int64, "frame", "first packet of the server", role="server_reply"),
        entry("initials_to_client", pl.Int64, "packets", "Initial packets of the server"),
        entry("handshakes_to_client", pl.Int64, "packets", "Handshake packets of the server"),
        entry("short_to_client", pl.Int64, "packets", "datagrams of the server that begin with a short header"),
        entry("server_hello", pl.Boolean, "", "a ServerHello was read; Initial packets of the server are opened too"),
        entry("server_hello_frame", pl.Int64, "frame", "its (last) frame", role="server_hello"),
        entry("cipher", pl.Int64, "", "cipher suite chosen", "RFC 8446 B.4"),
        entry("hello_retry", pl.Boolean, "", "a HelloRetryRequest came", "RFC 8446 4.1.4"),
        entry("retry_frame", pl.Int64, "frame", "first Retry packet that was believed", "RFC 9000 17.2.5", role="quic_retry"),
        entry("retry_genuine", pl.Boolean, "", "the first Retry packet that could be tested has the integrity tag of one who saw the Initial; null without one"),
        entry("vn_frame", pl.Int64, "frame", "first Version Negotiation packet", role="quic_vn"),
        entry("close_code", pl.String, "", "error of the first CONNECTION_CLOSE in an Initial packet: connection_refused, crypto_40 (TLS alert 40)…; null without one", "RFC 9000 20.1"),
        entry("close_by", pl.String, "", "client or server"),
        entry("close_reason", pl.String, "", "its reason phrase, made printable"),
        entry("close_frame", pl.Int64, "frame", "its frame", role="quic_close"),
        entry("established", pl.Boolean, "", "short headers from both sides, one of the server's after the client's first Handshake packet; up to Q046, a client that no longer sends its version"),
        # both ways
        entry("packets_to_server", pl.Int64, "packets", "datagrams of the client, from the connection's first packet on"),
        entry("packets_to_client", pl.Int64, "packets", "datagrams of the server"),
        entry("bytes_to_server", pl.Int64, "bytes", "their payload"),
        entry("bytes_to_client", pl.Int64, "bytes", "the same of the server"),
        entry("first_to_server_frame", pl.Int64, "frame", "first datagram of the client", role="first_of_client"),
        entry("last_to_server_frame", pl.Int64, "frame", "last datagram of the client", role="last_of_client"),
        entry("first_to_client_frame", pl.Int64, "frame", "first datagram of the server", role="first_of_server"),
        entry("last_to_client_frame", pl.Int64, "frame", "last datagram of the server", role="last_of_server"),
        entry("first_to_server_time", pl.Int64, "ns", "time of the client's first datagram"),
        entry("last_to_server_time", pl.Int64, "ns", "time of its last one"),
        entry("first_to_client_time", pl.Int64, "ns", "time of the server's first datagram"),
        entry("last_to_client_time", pl.Int64, "ns", "time of its last one"),
        entry("packets_to_client_after_hello", pl.Int64, "packets", "datagrams of the server after the frame that completed the hello"),
        entry("bytes_to_client_after_hello", pl.Int64, "bytes", "their payload"),
        entry("packets_to_server_after_hello", pl.Int64, "packets", "datagrams of the client after it"),
        entry("reply_ms", pl.Float64, "ms", "from the completed hello to the server's next datagram"),
        entry("server_repeats", pl.Int64, "packets", "datagrams of the server that begin with an Initial or Handshake packet, more than 200 ms (and twice the time of its first answer) after the client's first Handshake packet: what a server sends whom the client's answers do not reach"),
        entry("unanswered_to_server", pl.Int64, "packets", "datagrams of the client after the server's last one"),
        entry("unanswered_to_client", pl.Int64, "packets", "datagrams of the server after the client's last one"),
        entry("to_client_silent_ms", pl.Float64, "ms", "from the server's last datagram (without one: the client's first) to the connection's last"),
        entry("to_server_silent_ms", pl.Float64, "ms", "the same for the client"),
    ),
)

FLOW_QUIC: Final[tuple[Column, ...]] = (
    entry("quic_connections", pl.Int64, "", "QUIC connections in the conversation; null where it is no QUIC. The columns below tell of the first with a whole hello, else of the first"),
    entry("quic_version", pl.String, "", "version of the Initial with the ClientHello, else of the client's first packet: 1, 2, draft-29, Q046, grease, or hexadecimal", "RFC 9000 15"),
    entry("quic_client_hello", pl.Boolean, "", "a whole ClientHello (of Google's QUIC: CHLO) was put together from Initial packets", "RFC 9001 4.1"),
    entry("quic_client_hello_frame", pl.Int64, "frame", "frame that completed it", role="client_hello"),
    entry("quic_client_hello_frames", INTS, "frame", "all frames that carried it", role="client_hello"),
    entry("quic_initials_to_server", pl.Int64, "packets", "Initial packets of the client"),
    entry("quic_initial_frames", INTS, "frame", "their frames (the first 16)", role="quic_initial"),
    entry("quic_initial_tries", pl.Int64, "", "times the client sent Initials: those less than 100 ms apart are one try"),
    entry("quic_initial_span_ms", pl.Float64, "ms", "from the client's first to its last Initial"),
    entry("quic_server_reply", TEXTS, "", "kinds of packets of the server, in order of appearance: see the quic table; empty where nothing came"),
    entry("quic_server_frame", pl.Int64, "frame", "first packet of the server", role="server_reply"),
    entry("quic_server_hello", pl.Boolean, "", "a ServerHello was read"),
    entry("quic_server_hello_frame", pl.Int64, "frame", "its frame", role="server_hello"),
    entry("quic_close_code", pl.String, "", "error of the first CONNECTION_CLOSE in an Initial packet", "RFC 9000 20.1"),
    entry("quic_close_frame", pl.Int64, "frame", "its frame", role="quic_close"),
    entry("quic_established", pl.Boolean, "", "short headers from both sides, one of the server's after the client's first Handshake packet; up to Q046, a client that no longer sends its version"),
    entry("quic_packets_to_client", pl.Int64, "packets", "datagrams of the server, from the connection's first packet on"),
    entry("quic_packets_to_client_after_hello", pl.Int64, "packets", "datagrams of the server after the frame that completed the hello"),
    entry("quic_bytes_to_client_after_hello", pl.Int64, "bytes", "their payload"),
    entry("quic_packets_to_server_after_hello", pl.Int64, "packets", "datagrams of the client after it"),
    entry("quic_server_repeats", pl.Int64, "packets", "datagrams of the server that begin with an Initial or Handshake packet, more than 200 ms (and twice the time of its first answer) after the client's first Handshake packet"),
    entry("quic_unanswered_to_server", pl.Int64, "packets", "datagrams of the client after the server's last one"),
    entry("quic_last_to_client_frame", pl.Int64, "frame", "last datagram of the server", role="last_of_server"),
    entry("quic_to_client_silent_ms", pl.Float64, "ms", "from the server's last datagram (without one: the client's first) to the connection's last"),
)
"""Columns of the flow table: what QUIC tells."""
# fmt: on
