"""The certificate table."""

from __future__ import annotations

from typing import Final

import polars as pl

from forensics.observations.dictionary.entry import INTS, TEXTS, Column, Table, entry, identity

# One line an entry: a formatter would make five of each.
# fmt: off
CERTIFICATE: Final = Table(
    "certificate",
    "one certificate shown in the clear in TLS up to version 1.2; nothing is verified, a certificate is what its sender says of itself",
    (
        *identity(),
        entry("frames", INTS, "frame", "frames that carried it, retransmissions not counted (the first 16)", "Wireshark tls.handshake.certificate", role="certificate"),
        entry("time", pl.Int64, "ns", "of the frame that completed it, since the epoch"),
        entry("sender", pl.String, "", "server or client: who showed it"),
        entry("place", pl.Int64, "", "0 for the sender's own, then those that vouch for it as sent", "RFC 5246 7.4.2"),
        entry("chain_length", pl.Int64, "", "certificates read of the same message (at most 16)"),
        entry("chain_whole", pl.Boolean, "", "that message is whole in the capture, and these are all that it holds"),
        entry("length", pl.Int64, "bytes", "of the certificate"),
        entry("sha256", pl.String, "", "its fingerprint: hex of the SHA-256", "Zeek x509.log fingerprint"),
        entry("sha1", pl.String, "", "hex of the SHA-1"),
        entry("subject", pl.String, "", "whose it is: distinguished name, the most special part first", "RFC 4514, Zeek certificate.subject"),
        entry("subject_cn", pl.String, "", "its common name"),
        entry("issuer", pl.String, "", "who signed it, by its own words", "RFC 4514, Zeek certificate.issuer"),
        entry("issuer_cn", pl.String, "", "the common name of the issuer"),
        entry("self_issued", pl.Boolean, "", "subject and issuer are the same name", "RFC 5280 3.2"),
        entry("serial", pl.String, "", "serial number in hex", "Zeek certificate.serial"),
        entry("not_before", pl.String, "", "begin of its validity (UTC)", "RFC 5280 4.1.2.5, Zeek certificate.not_valid_before"),
        entry("not_after", pl.String, "", "end of its validity (UTC)", "RFC 5280 4.1.2.5, Zeek certificate.not_valid_after"),
        entry("valid_when_seen", pl.Boolean, "", "the time of the capture, which may be wrong, lies within its validity"),
        entry("names", TEXTS, "", "DNS names (lower case) and IP addresses that it is for (the first 64)", "RFC 5280 4.2.1.6, Zeek san.dns"),
        entry("ca", pl.Boolean, "", "it says that it is of a certification authority; null when it does not say", "RFC 5280 4.2.1.9"),
        entry("key", pl.String, "", "kind of the public key, and its bits or curve: rsa 2048, ec secp256r1", "Zeek certificate.key_type"),
        entry("signature_algorithm", pl.String, "", "with what it is signed", "Zeek certificate.sig_alg"),
        entry("malformed", TEXTS, "", "fields that cannot be read; certificate where it is none at all (or a bare key, RFC 7250); null when there is none"),
    ),
)

FLOW_CERTIFICATE: Final[tuple[Column, ...]] = (
    entry("certificate_frames", INTS, "frame", "frames that carried the server's own certificate; null when none was sent in the clear, which TLS 1.3 never does. This column and those below are worked out on request only", role="certificate"),
    entry("certificate_subject", pl.String, "", "whose it is: distinguished name", "RFC 4514"),
    entry("certificate_issuer", pl.String, "", "who signed it, by its own words", "RFC 4514"),
    entry("certificate_names", TEXTS, "", "DNS names and IP addresses that it is for", "RFC 5280 4.2.1.6"),
    entry("certificate_sha256", pl.String, "", "its fingerprint"),
    entry("certificate_self_issued", pl.Boolean, "", "subject and issuer are the same name"),
    entry("certificate_not_before", pl.String, "", "begin of its validity (UTC)", "RFC 5280 4.1.2.5"),
    entry("certificate_not_after", pl.String, "", "end of its validity (UTC)", "RFC 5280 4.1.2.5"),
    entry("certificate_valid_when_seen", pl.Boolean, "", "the time of the capture, which may be wrong, lies within its validity"),
    entry("certificate_covers_sni", pl.Boolean, "", "it is for the server name that the client asked for (only a certificate without alternative names is asked for its common name); null without a server name or certificate", "RFC 9525 6.3"),
    entry("client_certificate_frames", INTS, "frame", "frames that carried the client's own certificate", role="client_certificate"),
)
"""Columns of the flow table: what certificates tell."""
# fmt: on
