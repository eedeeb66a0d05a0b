"""Which protocol each flow speaks, and what told us: from the columns of all collectors, strongest first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import polars as pl

from forensics.protocols.known import PROTOCOLS
from forensics.protocols.tor import MADE_UP, WITH_DIGIT

if TYPE_CHECKING:
    from collections.abc import Mapping

_NEEDED: Final[dict[str, pl.DataType | type[pl.DataType]]] = {
    "proto": pl.String,
    "server_port": pl.Int64,
    "client_port": pl.Int64,
    "bytes_to_server": pl.Int64,
    "bytes_to_client": pl.Int64,
    "start_seen": pl.Boolean,
    "tls_client_hello": pl.Boolean,
    "tls_client_hello_partial": pl.Boolean,
    "tls_server_hello": pl.Boolean,
    "quic_client_hello": pl.Boolean,
    "quic_initials_to_server": pl.Int64,
    "quic_connections": pl.Int64,
    "dtls_client_hello": pl.Boolean,
    "dtls_server_hello": pl.Boolean,
    "carrier": pl.Boolean,
    "rtp_packets_to_server": pl.Int64,
    "rtp_packets_to_client": pl.Int64,
    "stun_requests": pl.Int64,
    "told_word": pl.String,
    "told_source": pl.String,
    "protocol_possible": pl.String,
    "sni": pl.String,
    "alpn": pl.List(pl.String),
}
"""Columns that are looked at; those that nobody fills count as null."""
_TUNNELS: Final = {port: known.word for known in PROTOCOLS if known.tunnel for port in known.udp_ports}
"""A UDP conversation is a carrier only where what it carries was opened."""
_PORTS: Final = ("server_port", "client_port")
_TCP: Final = {port: known.word for known in PROTOCOLS for port in known.tcp_ports}


def classify(columns: Mapping[str, Any]) -> dict[str, pl.Series]:
    """``protocol``, ``protocol_source`` and ``protocol_possible`` of flows with these columns, all of one length.

    ``first_packet_…`` columns keep their values only where nothing names the flow.
    The words are those of protocols/known.py. A port counts for TCP only where no payload was seen, or none of the
    beginning: bytes that nothing recognizes are not what the port promises.
    """
    size = len(columns["proto"])
    frame = pl.DataFrame(
        {
            name: pl.Series(name, columns[name], dtype=dtype)
            if name in columns
            else pl.Series(name, [None] * size, dtype=dtype)
            for name, dtype in _NEEDED.items()
        }
    )
    udp = pl.col("proto") == "udp"
    word, source = pl.col("told_word"), pl.col("told_source")
    told = word.is_not_null()
    tls = pl.when(udp).then(pl.lit("dtls")).otherwise(pl.lit("tls"))
    silent = (pl.col("bytes_to_server") + pl.col("bytes_to_client") == 0) | ~pl.col("start_seen")
    port = pl.col("server_port").replace_strict(_TCP, default=None, return_dtype=pl.String)
    carriers = [
        pl.col(name).replace_strict(_TUNNELS, default=None, return_dtype=pl.String) for name in _PORTS
    ]
    tunnel = pl.coalesce(*carriers, pl.lit("tunnel"))
    media = pl.col("rtp_packets_to_server").fill_null(0) + pl.col("rtp_packets_to_client").fill_null(0)
    evidence = (
        (pl.col("carrier"), tunnel, "tunnel"),
        (pl.col("tls_client_hello"), tls, "client_hello"),
        (
            pl.col("quic_client_hello") | (pl.col("quic_initials_to_server") > 0),
            pl.lit("quic"),
            "quic_initial",
        ),
        (told & (source == "handshake"), word, "handshake"),
        (pl.col("tls_server_hello"), tls, "server_hello"),
        (media > 0, pl.lit("rtp"), "behaviour"),
        (pl.col("dtls_client_hello"), pl.lit("dtls"), "client_hello"),
        (pl.col("dtls_server_hello"), pl.lit("dtls"), "server_hello"),
        (pl.col("stun_requests") > 0, pl.lit("stun"), "messages"),
        (told & (word == "tls") & ~pl.col("start_seen"), word, "records"),
        (told & (source == "first_bytes"), word, "first_bytes"),
        (pl.col("tls_client_hello_partial"), tls, "first_bytes"),
        (pl.col("quic_connections") > 0, pl.lit("quic"), "first_bytes"),
        (told, word, "port"),
        (~udp & silent & port.is_not_null(), port, "port"),
    )
    protocol: Any = pl
    reason: Any = pl
    for holds, name, why in evidence:
        protocol = protocol.when(holds).then(name)
        reason = reason.when(holds).then(pl.lit(why))
    no_alpn = pl.col("alpn").is_null() | (pl.col("alpn").list.len() == 0)
    tor = pl.col("sni").str.contains(MADE_UP) & pl.col("sni").str.contains(WITH_DIGIT) & no_alpn & ~udp
    found = frame.select(
        protocol=protocol.otherwise(None),
        protocol_source=reason.otherwise(None),
        protocol_possible=pl.coalesce("protocol_possible", pl.when(tor).then(pl.lit("tor"))),
    )
    named = found["protocol"].is_not_null()
    first = {name: pl.Series(name, columns[name]) for name in columns if name.startswith("first_packet_")}
    cleared = {name: pl.select(pl.when(~named).then(values)).to_series() for name, values in first.items()}
    return {name: found[name] for name in found.columns} | cleared
