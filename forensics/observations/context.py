"""Columns that compare a flow with the client's other flows: attempts, controls, what else was answered.

Works on the columns of the dictionary only, after names and apps are filled. Every step sorts; none compares
all flows with all others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl

from forensics.observations.dictionary import DNS, FLOW
from forensics.observations.dns_names import bogon_kind, is_ordinary
from forensics.observations.intervals import (
    Moments,
    Spans,
    best_of_other_colour,
    count_inside,
    count_overlaps,
    first_of_other_colour,
)
from forensics.observations.table import fact_table

if TYPE_CHECKING:
    from forensics.observations.intervals import Ints
    from forensics.observations.table import FactTable

ANSWER_MARGIN_NS: Final = 10_000_000_000
"""Other servers' answers count from this long before the flow's first packet until as long after its last."""
CONTROL_MARGIN_NS: Final = 120_000_000_000
"""A control transfer may lie this far away in time."""

_PORTS: Final = 1 << 16

_COMPARED: Final = ("client", "server", "server_name", "sni")
"""Columns of the flow table by which flows are compared: those of all flows, one after the other."""
_TELLING: Final = (
    "server_port", "proto", "first_frame", "last_frame", "first_time", "last_time",
    "start_seen", "syn_ack_frame", "syn_span_ms", "syn_rtt_ms", "packets_to_client", "bytes_to_client",
    "first_data_to_client_frame", "rst_to_client", "rst_to_client_frames", "tls_client_hello",
    "tls_client_hello_partial", "tls_client_hello_frame", "tls_hello_bytes", "tls_server_hello",
    "tls_server_hello_frame", "to_client_bytes_after_hello", "goodput_bps",
    "quic_client_hello", "quic_server_hello", "quic_established",
    "handshake_rtt_ms", "rst_after_hello_ms", "rst_after_hello_rtts",
)  # fmt: skip
"""Columns that tell how a flow went: they are read of some flows at a time."""
FLOW_FILLED: Final = (
    "control_goodput_bps", "control_frame", "control_ratio",
    "name_attempts", "name_ok", "name_reset", "name_silent",
    "endpoint_other_names_ok", "endpoint_control_frame", "endpoint_control_hello_bytes",
    "others_answered", "others_answered_frame", "others_failed",
    "endpoint_answered", "endpoint_answered_frame",
    "capture_after_ms", "server_private", "server_rtt_ms", "rst_after_hello_rtts",
)  # fmt: skip
"""Columns that are filled here."""


def add_context(flows: pl.DataFrame, dns: pl.DataFrame, last_time: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The flow table and the dns table with their cross-flow columns filled: see context_columns."""
    filled, dns = context_columns(fact_table(FLOW.name, flows), dns, last_time)
    return flows.with_columns(filled), dns


def context_columns(flows: FactTable, dns: pl.DataFrame, last_time: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """FLOW_FILLED of all flows, and the dns table with its cross-flow column filled.

    ``last_time`` is the time of the capture's last packet (ns since the epoch).
    *Answered* means: TCP, a SYN/ACK or payload of the server was seen; UDP, a packet of the server was seen.
    """
    facts = _facts(flows)
    columns = {
        **_control(facts),
        **_names(facts),
        **_endpoint_names(facts),
        **_round_trips(facts),
        **_others(facts),
        **_endpoint(facts),
        "capture_after_ms": (last_time - facts["last_time"]) / 1e6,
        "server_private": _server_private(flows.columns(["server"])),
    }
    filled = pl.DataFrame([columns[name].cast(FLOW.column(name).dtype).alias(name) for name in FLOW_FILLED])
    del facts, columns
    seen = flows.columns(["tls_server_hello", "sni", "client", "server"])
    return filled, dns.with_columns(_answers_tls_ok(seen, dns))


def _facts(flows: FactTable) -> pl.DataFrame:
    """How each flow went: no more columns than are needed here, with numbers in place of names and addresses."""
    client, server, name, sni = (_numbers(flows.columns([column]).to_series()) for column in _COMPARED)
    parts = [_went(chunk) for chunk in flows.chunks(columns=_TELLING)]
    # Client and server as one number, so that "same client, same server" is one group too.
    pairs = client.cast(pl.Int64) * flows.height + server
    return pl.concat(parts, rechunk=True).with_columns(
        row=pl.int_range(pl.len(), dtype=pl.Int32),
        client_id=client,
        server_id=server,
        name_id=name,
        sni_id=sni,
        pair_id=_numbers(pairs).cast(pl.Int64),
    )


def _went(flows: pl.DataFrame) -> pl.DataFrame:
    """How each of some flows went."""
    frames = (
        flows.select(
            pl.int_range(pl.len()).alias("row"),
            pl.col("rst_to_client_frames").alias("frame"),
            "tls_client_hello_frame",
        )
        .filter(pl.col("frame").list.len() > 0)
        .explode("frame")
        .filter(pl.col("frame") > pl.col("tls_client_hello_frame"))
        .group_by("row")
        .agg(pl.col("frame").min().alias("reset_frame"))
    )
    tls = pl.col("tls_client_hello").fill_null(value=False)
    partial = pl.col("tls_client_hello_partial").fill_null(value=False)
    hello = pl.col("tls_server_hello").fill_null(value=False)
    tcp = pl.col("proto") == "tcp"
    got_data = pl.col("first_data_to_client_frame").is_not_null() | (
        pl.col("bytes_to_client").fill_null(0) > 0
    )
    after_hello = pl.coalesce("to_client_bytes_after_hello", "bytes_to_client").fill_null(0)
    reset = pl.col("reset_frame").is_not_null()
    hello_first = (pl.col("tls_server_hello_frame") < pl.col("reset_frame")).fill_null(value=False)
    # What arrives after a reset reaches a connection that is gone.
    first_reset = pl.col("rst_to_client_frames").list.min()
    never_reset = first_reset.is_null() & (pl.col("rst_to_client").fill_null(0) == 0)
    hello_in_time = never_reset | (pl.col("tls_server_hello_frame") < first_reset).fill_null(value=False)
    data_in_time = never_reset | (pl.col("first_data_to_client_frame") < first_reset).fill_null(value=False)
    return (
        flows.with_columns(reset_frame=_at_rows(flows.height, frames))
        .with_columns(
            answer_frame=pl.min_horizontal("syn_ack_frame", "first_data_to_client_frame"),
        )
        .select(
            "first_frame",
            "first_time",
            "last_time",
            "answer_frame",
            "goodput_bps",
            "tls_hello_bytes",
            "server_port",
            "handshake_rtt_ms",
            "rst_after_hello_ms",
            "rst_after_hello_rtts",
            hello_frame="tls_server_hello_frame",
            answer_time=_answer_time(),
            tried=tcp & pl.col("start_seen").fill_null(value=False),
            answered=pl.when(tcp)
            .then(pl.col("syn_ack_frame").is_not_null() | got_data)
            .otherwise(pl.col("packets_to_client").fill_null(0) > 0),
            hello_ok=hello & hello_in_time,
            went_ok=pl.when(pl.col("quic_client_hello").fill_null(value=False))
            .then(pl.any_horizontal("quic_server_hello", "quic_established").fill_null(value=False))
            .otherwise((hello & hello_in_time) | (~hello & ~tls & ~partial & got_data & data_in_time)),
            tcp=tcp,
            went_reset=tls & reset & ~hello_first,
            went_silent=tls & ~reset & (after_hello == 0),
        )
    )


def _at_rows(height: int, frames: pl.DataFrame) -> pl.Series:
    """``reset_frame`` at the numbers ``row``, null in all other rows."""
    found = np.full(height, -1, dtype=np.int64)
    found[frames["row"].to_numpy()] = frames["reset_frame"].to_numpy()
    values = pl.Series(found)
    return pl.select(pl.when(values >= 0).then(values)).to_series()


def _numbers(values: pl.Series) -> pl.Series:
    """Equal values as equal numbers from 0 on, in the order in which they come; null becomes -1."""
    known = values.unique(maintain_order=True).drop_nulls().alias("value").to_frame().with_row_index("number")
    found = values.alias("value").to_frame().join(known, on="value", how="left", maintain_order="left")
    return found["number"].cast(pl.Int32).fill_null(-1)


def _answer_time() -> pl.Expr:
    """When a flow was answered: exact after a captured SYN, else by the share of its frames before."""
    milliseconds = pl.col("syn_span_ms").fill_null(0.0) + pl.col("syn_rtt_ms")
    exact = pl.col("first_time") + (milliseconds * 1e6).round().cast(pl.Int64)
    frames = (pl.col("last_frame") - pl.col("first_frame")).clip(lower_bound=1)
    share = ((pl.col("answer_frame") - pl.col("first_frame")) / frames).fill_null(0.0).clip(0.0, 1.0)
    lasted = pl.col("last_time") - pl.col("first_time")
    guess = pl.col("first_time") + (share * lasted).round().cast(pl.Int64)
    return pl.min_horizontal(pl.coalesce(exact, guess), "last_time")


def _control(facts: pl.DataFrame) -> dict[str, pl.Series]:
    """The client's fastest other transfer to another name; where a name is missing, to another server."""
    transfers = facts.filter(pl.col("goodput_bps").is_not_null()).sort(
        ["goodput_bps", "first_frame"], descending=[True, False], maintain_order=True
    )
    named, unnamed = (pl.col("name_id") >= 0), (pl.col("name_id") < 0)
    best = np.full(len(facts), -1, dtype=np.int64)
    rank = np.full(len(facts), len(transfers), dtype=np.int64)
    for questions, candidates, colour in (
        (named, named, "name_id"),
        (named, unnamed, "server_id"),
        (unnamed, pl.lit(value=True), "server_id"),
    ):
        asked = facts.filter(questions)
        held = transfers.with_row_index("place").filter(candidates)
        found = best_of_other_colour(_spans(held, colour), _spans(asked, colour, CONTROL_MARGIN_NS))
        place = np.append(_ints(held, "place"), len(transfers))[found]
        rows = _ints(asked, "row")
        rank[rows] = np.minimum(rank[rows], np.where(found >= 0, place, len(transfers)))
    best = np.where(rank < len(transfers), rank, -1)
    goodput = _pick(transfers["goodput_bps"], best)
    own = facts["goodput_bps"]
    ratio = pl.select(pl.when(own > 0).then(goodput / own)).to_series()
    return {
        "control_goodput_bps": goodput,
        "control_frame": _pick(transfers["first_frame"], best),
        "control_ratio": ratio,
    }


def _names(facts: pl.DataFrame) -> dict[str, pl.Series]:
    """Attempts of the client at the same name, and how they went."""
    # A name may be blocked over TCP and not over QUIC, or the other way round.
    over = ["client_id", "name_id", "tcp"]
    known = pl.col("name_id") >= 0
    counts = facts.select(
        pl.when(known).then(pl.len().over(over)).alias("name_attempts"),
        pl.when(known).then(pl.col("went_ok").sum().over(over)).alias("name_ok"),
        pl.when(known).then(pl.col("went_reset").sum().over(over)).alias("name_reset"),
        pl.when(known).then(pl.col("went_silent").sum().over(over)).alias("name_silent"),
    )
    return counts.to_dict(as_series=True)


def _round_trips(facts: pl.DataFrame) -> dict[str, pl.Series]:
    """The shortest round trip to the server, and the reset measured by it: a single handshake may have been held up."""
    shortest = pl.col("handshake_rtt_ms").min().over("pair_id")
    known = pl.col("rst_after_hello_rtts").is_not_null()
    columns = facts.select(
        shortest.alias("server_rtt_ms"),
        pl.when(known).then(pl.col("rst_after_hello_ms") / shortest).alias("rst_after_hello_rtts"),
    )
    return columns.to_dict(as_series=True)


def _endpoint_names(facts: pl.DataFrame) -> dict[str, pl.Series]:
    """Handshakes of the client with the same server address and port that succeeded under another SNI."""
    asked = facts.select(
        (pl.col("pair_id") * _PORTS + pl.col("server_port")).alias("end"),
        "sni_id",
        "hello_ok",
        "hello_frame",
        "tls_hello_bytes",
    )
    good = (
        asked.filter(pl.col("hello_ok"), pl.col("sni_id") >= 0)
        .group_by("end", "sni_id")
        .agg(
            pl.len().cast(pl.Int64).alias("same"),
            pl.col("hello_frame").min().alias("frame"),
            pl.col("tls_hello_bytes").max().alias("bytes"),
        )
        .sort("frame", "sni_id", nulls_last=True)
    )
    ends_of = good.group_by("end", maintain_order=True).agg(
        pl.col("same").sum().alias("total"),
        pl.col("sni_id").first().alias("first_sni"),
        pl.col("frame").first().alias("first_frame_of"),
        pl.col("frame").get(1, null_on_oob=True).alias("second_frame_of"),
    )
    # The same once more in order of size: the largest of another name is the first or the second.
    sizes = (
        good.drop_nulls("bytes")
        .sort(["bytes", "sni_id"], descending=[True, False])
        .group_by("end", maintain_order=True)
        .agg(
            pl.col("sni_id").first().alias("largest_sni"),
            pl.col("bytes").first().alias("largest"),
            pl.col("bytes").get(1, null_on_oob=True).alias("second_largest"),
        )
    )
    joined = (
        asked.select("end", "sni_id")
        .join(ends_of.join(sizes, on="end", how="left"), on="end", how="left", maintain_order="left")
        .join(good.select("end", "sni_id", "same"), on=["end", "sni_id"], how="left", maintain_order="left")
    )
    # a flow without a name is equal to none: every name is another one
    result = joined.select(
        (pl.col("total").fill_null(0) - pl.col("same").fill_null(0)).alias("endpoint_other_names_ok"),
        pl.when(pl.col("first_sni") == pl.col("sni_id"))
        .then("second_frame_of")
        .otherwise("first_frame_of")
        .alias("endpoint_control_frame"),
        pl.when(pl.col("largest_sni") == pl.col("sni_id"))
        .then("second_largest")
        .otherwise("largest")
        .alias("endpoint_control_hello_bytes"),
    )
    return result.to_dict(as_series=True)


def _others(facts: pl.DataFrame) -> dict[str, pl.Series]:
    """What the client's flows to other servers met while this one ran."""
    asked = _spans(facts, "pair_id", ANSWER_MARGIN_NS)
    good = facts.filter("answered").sort("answer_time", "answer_frame", "first_frame", nulls_last=True)
    time = _ints(good, "answer_time")
    clients, pairs = _ints(good, "client_id"), _ints(good, "pair_id")
    answered = count_inside(Moments(clients, time), asked.group, asked.low, asked.high)
    answered -= count_inside(Moments(pairs, time), asked.colour, asked.low, asked.high)
    bad = facts.filter("tried", ~pl.col("answered"))
    tried = _spans(bad, "pair_id")
    failed = count_overlaps(tried, asked, by_colour=False) - count_overlaps(tried, asked, by_colour=True)
    first = first_of_other_colour(clients, pairs, time, asked)
    return {
        "others_answered": pl.Series(answered),
        "others_answered_frame": _pick(good["answer_frame"], first),
        "others_failed": pl.Series(failed),
    }


def _endpoint(facts: pl.DataFrame) -> dict[str, pl.Series]:
    """Answered flows to the same server address, of any client, to any port."""
    counts = facts.select(
        pl.col("answered").sum().over("server_id").alias("endpoint_answered"),
        pl.when("answered").then("answer_frame").min().over("server_id").alias("endpoint_answered_frame"),
    )
    return counts.to_dict(as_series=True)


def _server_private(flows: pl.DataFrame) -> pl.Series:
    """Whether the server's address is special-purpose; documentation addresses stand for public ones in captures."""
    servers = flows["server"].unique().drop_nulls().to_list()
    special = [
        server
        for server in servers
        # the long look at every network is for the few that are left
        if not is_ordinary(server) and bogon_kind(server) not in {None, "documentation"}
    ]
    return flows["server"].is_in(pl.Series(special, dtype=pl.String).implode())


def _answers_tls_ok(flows: pl.DataFrame, dns: pl.DataFrame) -> pl.Series:
    """ServerHellos that the client got for this name from one of the answers."""
    good = (
        flows.lazy()
        .filter(pl.col("tls_server_hello").fill_null(value=False), pl.col("sni").is_not_null())
        .select("client", "sni", "server")
        .collect()
        .group_by("client", "sni", "server")
        .agg(pl.len().cast(pl.Int64).alias("count"))
    )
    counts = (
        dns.select(pl.int_range(pl.len()).alias("row"), "client", pl.col("qname").alias("sni"), "answers")
        .filter(pl.col("answers").list.len() > 0)
        .with_columns(server=pl.col("answers").list.unique())
        .explode("server")
        .join(good, on=["client", "sni", "server"], how="inner")
        .group_by("row")
        .agg(pl.col("count").sum())
    )
    rows = dns.select(pl.int_range(pl.len()).alias("row")).join(
        counts, on="row", how="left", maintain_order="left"
    )
    return rows["count"].fill_null(0).cast(DNS.column("answers_tls_ok").dtype).alias("answers_tls_ok")


def _spans(facts: pl.DataFrame, colour: str, margin: int = 0) -> Spans:
    low, high = _ints(facts, "first_time") - margin, _ints(facts, "last_time") + margin
    return Spans(_ints(facts, "client_id"), _ints(facts, colour), low, high)


def _ints(facts: pl.DataFrame, column: str) -> Ints:
    return facts[column].cast(pl.Int64).to_numpy()


def _pick(values: pl.Series, index: Ints) -> pl.Series:
    """The values at the indices; null where the index is -1."""
    return values.gather(pl.select(pl.when(pl.Series(index) >= 0).then(pl.Series(index))).to_series())
