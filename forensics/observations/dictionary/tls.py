"""The tls table."""

from __future__ import annotations

from typing import Final

import polars as pl

from forensics.observations.dictionary.entry import INTS, TEXTS, Column, Table, entry, identity

# One line an entry: a formatter would make five of each.
# fmt: off
TLS: Final = Table(
    "tls",
    "one TLS or DTLS connection of which a hello was seen",
    (
        *identity(),
        entry("dtls_from", pl.String, "", "of DTLS, which end of the flow sent the ClientHello: client or server. In calls either end may; in the columns below the client is the one that did"),
        # what the client said
        entry("client_hello", pl.Boolean, "", "a whole ClientHello was put together; the columns about it are null without one", "RFC 8446 4.1.2"),
        entry("client_hello_partial", pl.Boolean, "", "the client begins like a TLS handshake but its ClientHello is not whole in the capture"),
        entry("client_hello_frame", pl.Int64, "frame", "frame that completed it", role="client_hello"),
        entry("client_hello_frames", INTS, "frame", "all frames that carried it, retransmissions not counted", role="client_hello"),
        entry("client_hello_bytes", pl.Int64, "bytes", "its length with its record headers"),
        entry("client_hello_segments", pl.Int64, "packets", "TCP segments or datagrams it was cut into"),
        entry("client_hello_records", pl.Int64, "", "records it was cut into"),
        entry("sni", pl.String, "", "server name, lower case; null when the extension is absent", "RFC 6066 3"),
        entry("alpn", TEXTS, "", "protocols offered", "RFC 7301"),
        entry("versions", TEXTS, "", "versions offered, such as 1.3 and 1.2, or dtls1.2", "RFC 8446 4.2.1"),
        entry("legacy_version", pl.Int64, "", "version field of the message: 771 for TLS 1.2 and 1.3 alike", "Wireshark tls.handshake.version"),
        entry("cipher_suites", INTS, "", "cipher suites offered, in order, GREASE included", "RFC 8446 B.4"),
        entry("extensions", INTS, "", "types of the extensions, in order, GREASE included", "RFC 8446 4.2"),
        entry("groups", INTS, "", "groups offered", "RFC 8446 4.2.7"),
        entry("point_formats", INTS, "", "point formats offered", "RFC 8422 5.1.2"),
        entry("signature_algorithms", INTS, "", "signature algorithms offered", "RFC 8446 4.2.3"),
        entry("key_shares", INTS, "", "groups for which a key was sent", "RFC 8446 4.2.8"),
        entry("malformed_extensions", INTS, "", "types of extensions whose content is broken, or that came twice"),
        entry("padding", pl.Int64, "bytes", "length of the padding extension; null without one", "RFC 7685"),
        entry("pre_shared_key", pl.Boolean, "", "a session is resumed, in the way of TLS 1.3", "RFC 8446 4.2.11"),
        entry("early_data", pl.Boolean, "", "the client announces 0-RTT data", "RFC 8446 4.2.10"),
        entry("esni", pl.Boolean, "", "the extension encrypted_server_name (0xffce) is there", "BE20"),
        entry("ech", pl.String, "", "encrypted_client_hello in the hello: outer (may be real, may be GREASE), grease (cannot be real), inner, malformed; null without it", "RFC 9849 5"),
        entry("ech_config_id", pl.Int64, "", "number of its configuration: a real one repeats, GREASE draws it anew"),
        entry("ech_payload_bytes", pl.Int64, "bytes", "length of the encrypted inner hello"),
        entry("ja3", pl.String, "", "fingerprint of the hello, MD5", "Wireshark tls.handshake.ja3"),
        entry("ja4", pl.String, "", "fingerprint of the hello; begins with t, of DTLS with d", "JA4"),
        # what the server said
        entry("hello_verify_frame", pl.Int64, "frame", "first HelloVerifyRequest of DTLS", "RFC 6347 4.2.1", role="hello_verify"),
        entry("server_hello", pl.Boolean, "", "a ServerHello (or HelloRetryRequest) was seen; the columns about it are null where it is cut before them", "RFC 8446 4.1.3"),
        entry("server_hello_frame", pl.Int64, "frame", "its first frame", role="server_hello"),
        entry("hello_retry", pl.Boolean, "", "that was a HelloRetryRequest; null where too little of it was captured", "RFC 8446 4.1.4"),
        entry("version", pl.String, "", "version chosen: 1.3 with a cipher suite of TLS 1.3, else the version field of the message"),
        entry("cipher", pl.Int64, "", "cipher suite chosen", "RFC 8446 B.4"),
        entry("server_extensions", INTS, "", "types of the server's extensions, in order"),
        entry("server_alpn", pl.String, "", "protocol chosen; TLS 1.3 says it in secret", "RFC 7301"),
        entry("server_group", pl.Int64, "", "group of the server's key (in a HelloRetryRequest: the group it wants)", "RFC 8446 4.2.8"),
        entry("ja3s", pl.String, "", "fingerprint of that ServerHello or HelloRetryRequest, MD5", "Wireshark tls.handshake.ja3s"),
        # alerts and the rest
        entry("alert_to_client_frame", pl.Int64, "frame", "first alert record of the server", "RFC 8446 6", role="alert"),
        entry("alert_to_client", pl.String, "", "its description, such as handshake_failure; encrypted where it is; null without an alert, or where it is cut", "RFC 8446 6.2"),
        entry("alert_to_client_level", pl.String, "", "warning or fatal; null where the alert is encrypted or cut"),
        entry("alert_to_server_frame", pl.Int64, "frame", "first alert record of the client", role="alert_by_client"),
        entry("alert_to_server", pl.String, "", "its description, as above"),
        entry("alert_to_server_level", pl.String, "", "warning or fatal, as above"),
        entry("established", pl.Boolean, "", "ServerHello seen, and application data from both sides"),
    ),
)

FLOW_TLS: Final[tuple[Column, ...]] = (
    entry("tls_version", pl.String, "", "version that the server chose: 1.3 with a cipher suite of TLS 1.3, else the version field of its hello; null where it is cut before that", "RFC 8446 4.1.3"),
    entry("tls_cipher", pl.Int64, "", "cipher suite that the server chose", "RFC 8446 B.4"),
    entry("tls_hello_retry", pl.Boolean, "", "the server's first hello is a HelloRetryRequest; null where too little of it was captured", "RFC 8446 4.1.4"),
    entry("tls_alert_to_client", pl.String, "", "description of the server's first alert, such as handshake_failure; encrypted where it is; null without one, or where it is cut", "RFC 8446 6.2"),
    entry("tls_alert_to_server", pl.String, "", "the same of the client", "RFC 8446 6.2"),
    entry("tls_esni", pl.Boolean, "", "the hello carries the extension encrypted_server_name (0xffce); null without a whole hello", "BE20"),
    entry("tls_ech", pl.String, "", "encrypted_client_hello in the hello: outer (may be real, may be GREASE), grease (cannot be real), inner, malformed; null without it. Filled where a rule or the user asks for it", "RFC 9849 5"),
    entry("ja3", pl.String, "", "fingerprint of the hello, MD5; filled where a rule or the user asks for it", "Wireshark tls.handshake.ja3"),
    entry("ja4", pl.String, "", "fingerprint of the hello; begins with t, of QUIC with q, of DTLS with d; filled where a rule or the user asks for it", "JA4"),
    entry("ja3s", pl.String, "", "fingerprint of the ServerHello (or HelloRetryRequest), MD5; filled where a rule or the user asks for it", "Wireshark tls.handshake.ja3s"),
    entry("content_conflict", pl.Boolean, "", "TCP: two segments hold different bytes for one place at the beginning of a stream: within the first 16 bytes, or within an unfinished hello", "Ptacek and Newsham 1998"),
    entry("content_conflict_to_client_frames", INTS, "frame", "later segments of the server that differ (the first 8)", role="conflict"),
    entry("content_conflict_to_server_frames", INTS, "frame", "the same of the client", role="conflict_by_client"),
)
"""Columns of the flow table: what TLS and DTLS tell."""
# fmt: on
