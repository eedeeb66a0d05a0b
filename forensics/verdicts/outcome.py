"""What became of each flow: it worked, it failed, or nothing can be said of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import polars as pl

if TYPE_CHECKING:
    from collections.abc import Iterable

    from forensics.signatures.model import Finding

SUCCESS: Final = "success"
FAILED: Final = "failed"
NEUTRAL: Final = "neutral"

PATIENCE_MS: Final = 3000.0
"""A client that left sooner may simply have given up: three seconds hold two retransmissions (RFC 6298)."""

UNNAMED: Final = "other"
"""Feature of a flow whose app is known and whose feature is not."""


FLOW_COLUMNS: Final = (
    "proto", "stream", "ip_version", "client", "server", "server_port", "server_name", "app", "feature",
    "address_forged", "start_seen", "both_directions", "first_time", "duration_ms", "waited_ms", "syn_count",
    "icmp_error_frame", "packets_to_server", "packets_to_client", "bytes_to_server", "bytes_to_client",
    "first_data_to_client_frame", "rst_to_client", "rst_to_client_frames", "rst_to_server_before_rst",
    "fin_to_client_before_rst", "tls_client_hello", "tls_client_hello_partial", "tls_server_hello", "tls_established",
    "to_client_bytes_after_hello", "rst_after_hello_ms", "steady_rate_bps",
    "media_ended",
)  # fmt: skip
"""All that verdicts look at in the flow table: of all flows at once, so they are few."""
DNS_COLUMNS: Final = ("dns", "client", "qname", "bogon_answers", "pool_answers", "app", "feature")
"""The same of the dns table."""


def _n(column: str) -> pl.Expr:
    return pl.col(column).fill_null(0)


def _is(column: str) -> pl.Expr:
    return pl.col(column).fill_null(value=False)


def _tcp_success() -> pl.Expr:
    hello = _is("tls_client_hello") | _is("tls_client_hello_partial") | _is("tls_server_hello")
    answered = _n("bytes_to_client") > 0
    # What comes after a reset comes too late for anybody.
    in_time = (_n("rst_to_client") == 0) | (
        pl.col("first_data_to_client_frame") < pl.col("rst_to_client_frames").list.min()
    ).fill_null(value=False)
    tls = _is("tls_server_hello") & (_is("tls_established") | (answered & (_n("rst_to_client") == 0)))
    plain = answered & in_time & (_n("bytes_to_server") > 0)
    return pl.when(hello).then(tls).otherwise(plain)


def _tcp_failed() -> pl.Expr:
    # A reset is the other side's doing only where the client had not closed before it.
    reset = (_n("rst_to_client") > 0) & ~_is("rst_to_server_before_rst") & ~_is("fin_to_client_before_rst")
    # Without a ClientHello, waited_ms counts from the first SYN.
    unanswered = (
        (_n("to_client_bytes_after_hello") == 0)
        & (_n("bytes_to_client") == 0)
        & (_n("waited_ms") >= PATIENCE_MS)
    )
    asked = (_n("bytes_to_server") > 0) | (_n("syn_count") > 0)
    refused = pl.col("icmp_error_frame").is_not_null() & (_n("bytes_to_client") == 0)
    return _is("start_seen") & _is("both_directions") & asked & (reset | unanswered | refused)


def _udp_success() -> pl.Expr:
    # A call of which only one side was heard, or heard to the end, is not known to have worked (nor to have failed).
    one_way = pl.col("media_ended").is_in(["one-way-only", "one-way-stopped"]).fill_null(value=False)
    both = (_n("packets_to_server") >= 2) & (_n("packets_to_client") >= 2)  # noqa: PLR2004 - one may be stray
    return both & ~one_way


def _udp_failed() -> pl.Expr:
    silent = (_n("packets_to_server") >= 3) & (_n("duration_ms") >= PATIENCE_MS)  # noqa: PLR2004 - asked and repeated
    return (
        _is("both_directions")
        & (_n("packets_to_client") == 0)
        & (silent | pl.col("icmp_error_frame").is_not_null())
    )


def app_flows(flows: pl.DataFrame, harmed: Iterable[tuple[str, int]], forged: pl.DataFrame) -> pl.DataFrame:
    """Flows of known apps with ``target`` (name, else address:port) and ``outcome``.

    ``harmed`` are the ``(proto, stream)`` that a likely finding speaks of: these did not work.
    ``forged`` has the columns ``client``, ``server_name`` and ``server``: what a flow to such an address
    brings is not the service's own answer, so it counts for nothing unless it failed.
    """
    marks = pl.DataFrame(
        sorted(set(harmed)), schema={"proto": pl.String, "stream": pl.Int64}, orient="row"
    ).with_columns(pl.lit(value=True).alias("harmed"))
    known = (
        flows.filter(pl.col("app").is_not_null())
        .with_columns(pl.col("feature").fill_null(UNNAMED))
        .join(marks, on=["proto", "stream"], how="left", maintain_order="left")
        .join(
            forged.unique().with_columns(pl.lit(value=True).alias("to_forged")),
            on=["client", "server_name", "server"],
            how="left",
            maintain_order="left",
        )
    )
    tcp = pl.col("proto") == "tcp"
    address = pl.when(pl.col("ip_version") == 6).then(pl.format("[{}]", "server")).otherwise(pl.col("server"))  # noqa: PLR2004
    lied_to = _is("to_forged") | _is("address_forged")
    success = pl.when(tcp).then(_tcp_success()).otherwise(_udp_success())
    failed = pl.when(tcp).then(_tcp_failed()).otherwise(_udp_failed())
    return known.with_columns(
        pl.coalesce("server_name", pl.format("{}:{}", address, "server_port")).alias("target"),
        pl.when(_is("harmed"))
        .then(pl.lit(FAILED))
        .when(success & ~lied_to)
        .then(pl.lit(SUCCESS))
        .when(failed & ~success)
        .then(pl.lit(FAILED))
        .otherwise(pl.lit(NEUTRAL))
        .alias("outcome"),
    )


def forged_addresses(lookups: pl.DataFrame, findings: Iterable[Finding]) -> pl.DataFrame:
    """``client``, ``server_name``, ``server`` of every answer that a DNS finding calls forged."""
    rows = sorted({s.row for f in findings if f.mechanism.startswith("dns-") for s in f.subjects})
    bad = pl.concat_list(pl.col("bogon_answers").fill_null([]), pl.col("pool_answers").fill_null([]))
    return (
        lookups.filter(pl.col("dns").is_in(rows))
        .select("client", pl.col("qname").alias("server_name"), bad.alias("server"))
        .explode("server")
        .drop_nulls()
    )
