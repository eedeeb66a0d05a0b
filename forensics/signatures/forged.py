"""Which flows go to an address that a forged DNS answer gave."""

from __future__ import annotations

from typing import Final

import numpy as np
import polars as pl

ANSWER_COLUMNS: Final = (
    "client", "qname", "query_time", "pool_answers", "bogon_answers", "response_answers", "response_delays_ms",
    "answers_differ",
)  # fmt: skip
"""Columns of the dns table that tell a forged answer."""
FLOW_COLUMNS: Final = ("client", "server", "server_name", "first_time")
"""Columns of the flow table that tell who goes where."""


def forged_answers(poisoned: pl.DataFrame) -> pl.DataFrame:
    """Client, name, address and time (ns) of each forged answer in the dns rows that a rule matched.

    Forged are the answers in a pool (the name's own owner's addresses are never among them) or in bogon space.
    Where responses to one query contradict each other, all that differ from the last are: an injector must win the
    race, so what comes last is the resolver's. If even the last holds a listed address, that says nothing of the rest.
    """
    if poisoned.is_empty():
        return pl.DataFrame(
            schema={"client": pl.String, "name": pl.String, "address": pl.String, "time": pl.Int64}
        )
    nothing = pl.lit([], dtype=pl.List(pl.String))
    listed = pl.concat_list(
        pl.col("pool_answers").fill_null(nothing), pl.col("bogon_answers").fill_null(nothing)
    )
    texts = pl.col("response_answers").fill_null(nothing)
    early = texts.list.head(texts.list.len().cast(pl.Int64) - 1).list.join(" ").str.split(" ")
    last = texts.list.get(-1, null_on_oob=True).fill_null("").str.split(" ")
    race = (
        pl.col("answers_differ").fill_null(value=False)
        & (texts.list.len() > 1)
        & (last.list.set_intersection(listed).list.len() == 0)
        & (last.list.join("") != "")
    )
    lost = pl.when(race).then(early.list.set_difference(last)).otherwise(nothing)
    first_delay = pl.col("response_delays_ms").list.min().fill_null(0.0)
    return (
        poisoned.select(
            "client",
            pl.col("qname").alias("name"),
            pl.concat_list(listed, lost).list.unique(maintain_order=True).alias("address"),
            (pl.col("query_time") + (first_delay * 1e6).cast(pl.Int64)).alias("time"),
        )
        .explode("address")
        .filter(pl.col("address").is_not_null() & (pl.col("address") != ""))
    )


def forged_addresses(flow: pl.DataFrame, poisoned: pl.DataFrame) -> pl.Series:
    """``address_forged`` of each flow: a forged answer gave the client the server's address before the flow began.

    ``flow`` holds FLOW_COLUMNS of all flows, ``poisoned`` ANSWER_COLUMNS of the dns rows that a rule matched. An
    address may be forged for one name and right for another, so a flow that names its server counts only when the
    name is the one that was poisoned.
    """
    forged = (
        forged_answers(poisoned)
        .group_by("client", "name", "address", maintain_order=True)
        .agg(pl.col("time").min())
    )
    keys = flow.with_row_index("row")
    joined = keys.join(forged, left_on=["client", "server"], right_on=["client", "address"], how="inner")
    hits = joined.filter(
        (pl.col("time") <= pl.col("first_time"))
        & (pl.col("server_name").is_null() | (pl.col("server_name") == pl.col("name")))
    )
    marked = np.zeros(flow.height, dtype=np.bool_)
    marked[hits["row"].to_numpy()] = True
    return pl.Series("address_forged", marked)
