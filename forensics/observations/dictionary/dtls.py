"""What DTLS tells of flows; its connections are rows of the tls table."""

from __future__ import annotations

from typing import Final

import polars as pl

from forensics.observations.dictionary.entry import INTS, Column, entry

# One line an entry: a formatter would make five of each.
# fmt: off
FLOW_DTLS: Final[tuple[Column, ...]] = (
    entry("dtls_client_hello", pl.Boolean, "", "a whole ClientHello was put together; null where no hello of DTLS was seen, as are all columns below", "RFC 6347 4.2.1"),
    entry("dtls_from", pl.String, "", "which end of the flow sent the ClientHello: client or server. In calls either end may; in the columns below the client is the one that did"),
    entry("dtls_client_hello_frame", pl.Int64, "frame", "frame that completed the first whole ClientHello", role="client_hello"),
    entry("dtls_client_hello_frames", INTS, "frame", "all frames that carried it, retransmissions not counted", role="client_hello"),
    entry("dtls_client_hello_tries", pl.Int64, "", "ClientHellos sent: retransmissions counted, and those that bring the cookie of a HelloVerifyRequest"),
    entry("dtls_open_tries", pl.Int64, "", "how many of them no DTLS datagram of the server followed"),
    entry("dtls_open_frames", INTS, "frame", "their frames (the first 16); null without any", role="client_hello"),
    entry("dtls_hello_verify_frame", pl.Int64, "frame", "first HelloVerifyRequest", "RFC 6347 4.2.1", role="hello_verify"),
    entry("dtls_server_hello", pl.Boolean, "", "a ServerHello (or HelloRetryRequest) was seen"),
    entry("dtls_server_hello_frame", pl.Int64, "frame", "its first frame", role="server_hello"),
    entry("dtls_version", pl.String, "", "version that the server chose, such as dtls1.2; null where its hello is cut before that", "RFC 9147 5.3"),
    entry("dtls_cipher", pl.Int64, "", "cipher suite that the server chose", "RFC 8446 B.4"),
    entry("dtls_packets_to_server", pl.Int64, "packets", "DTLS datagrams of the client, from the first hello on"),
    entry("dtls_packets_to_client", pl.Int64, "packets", "the same of the server"),
    entry("dtls_packets_to_client_after_hello", pl.Int64, "packets", "DTLS datagrams of the server after the first whole ClientHello"),
    entry("dtls_packets_to_server_after_server_hello", pl.Int64, "packets", "DTLS datagrams of the client after the ServerHello"),
    entry("dtls_packets_to_client_after_server_hello", pl.Int64, "packets", "DTLS datagrams of the server after it"),
    entry("dtls_last_to_client_frame", pl.Int64, "frame", "last DTLS datagram of the server", role="last_of_server"),
    entry("dtls_alert_to_client_frame", pl.Int64, "frame", "first alert record of the server", "RFC 8446 6", role="alert"),
    entry("dtls_alert_to_client", pl.String, "", "its description, such as handshake_failure; encrypted where it is; null without one, or where it is cut", "RFC 8446 6.2"),
    entry("dtls_alert_to_server_frame", pl.Int64, "frame", "first alert record of the client", "RFC 8446 6", role="alert_by_client"),
    entry("dtls_alert_to_server", pl.String, "", "its description, as above", "RFC 8446 6.2"),
    entry("dtls_established", pl.Boolean, "", "a ServerHello, and encrypted records from both sides after it"),
)
"""Columns of the flow table."""
# fmt: on
