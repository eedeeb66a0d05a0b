"""Resets held against what their claimed sender otherwise sends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import polars as pl

from forensics.flows.arrays import NEVER, IntArray
from forensics.observations.dictionary import RESET
from forensics.observations.series import int_lists

if TYPE_CHECKING:
    from forensics.flows.engine import FlowEngine
    from forensics.observations.resets import ResetCollector
    from forensics.observations.sides import Sides

_MS: Final = 1e6
_MIN_NUMBERED: Final = 3
"""Packets needed before anything is said of how a sender numbers them."""


def ipid_classes(engine: FlowEngine, side: IntArray) -> pl.Series:
    """How each side numbers its packets: zero, constant, counter, random or unknown."""
    table = engine.sides
    count, steps = table["ipids"][side], table["ipid_steps"][side]
    words = np.select(
        [
            count < _MIN_NUMBERED,
            table["ipid_zero"][side] == count,
            table["ipid_same"][side] == steps,
            table["ipid_near"][side] * 5 >= steps * 4,
        ],
        ["unknown", "zero", "constant", "counter"],
        "random",
    )
    return pl.Series(words.tolist(), dtype=pl.String)


def reset_table(
    kept: tuple[ResetCollector, FlowEngine, pl.DataFrame], sides: Sides, handshake_rtt_ms: pl.Series
) -> pl.DataFrame:
    """The reset table of the dictionary, in frame order; ``kept`` ends with FlowEngine.ttl_habits()."""
    resets, engine, ttl_habits = kept
    rows = np.arange(len(sides.flow))
    owners = pl.concat(
        [
            pl.DataFrame(
                {
                    "fs": mine,
                    "flow": rows,
                    "stream": engine.conversations.flows["stream"][sides.flow],
                    "rtt": handshake_rtt_ms,
                    "packets_after": resets.sides["after_any"][mine],
                    "ipid_class": ipid_classes(engine, mine),
                }
            ).with_columns(pl.lit(word).alias("direction"))
            for word, mine in (("to_server", sides.client), ("to_client", sides.server))
        ]
    )
    habits = ttl_habits.select(
        "fs",
        pl.col("ttl").alias("ttl_baseline"),
        pl.col("ttl_packets").alias("ttl_baseline_packets"),
        pl.col("df").alias("df_baseline"),
    )
    delay = pl.when(pl.col("data_before") >= 0).then((pl.col("time") - pl.col("data_before")) / _MS)
    v4 = pl.col("ipid") >= 0
    kept_resets = resets.table(sides.flow)
    return (
        kept_resets.join(owners, on="fs", how="left", maintain_order="left")
        .join(habits, on="fs", how="left", maintain_order="left")
        .with_columns(
            delay.alias("delay_ms"),
            pl.when(v4 & (pl.col("ipid_before") >= 0))
            .then((pl.col("ipid") - pl.col("ipid_before")) % 65536)
            .alias("ipid_delta"),
            pl.when(v4).then("ipid").alias("ipid"),
        )
        .with_columns((pl.col("delay_ms") / pl.col("rtt")).alias("delay_rtts"))
        .select(pl.col(c.name).cast(c.dtype) for c in RESET.columns)
        .with_columns(kept_resets["seq"].alias("_seq"))
    )


def flow_reset_columns(
    kept: tuple[ResetCollector, FlowEngine, pl.DataFrame],
    sides: Sides,
    table: pl.DataFrame,
    columns: dict[str, Any],
    hello_time: IntArray,
) -> pl.DataFrame:
    """The reset columns of the flow table, one row a flow; ``hello_time`` in ns, one a row."""
    resets, engine, ttl_habits = kept
    rows = np.arange(len(sides.flow))
    first = {word: engine.sides["first_R"][mine] for word, mine in (("s", sides.client), ("c", sides.server))}
    hit = first["c"] != NEVER
    base = pl.DataFrame(
        {
            "flow": rows,
            "_first": pl.Series(first["c"]).set(pl.Series(~hit), None),
            "_own": first["s"],
            "_fin_s": engine.sides["first_F"][sides.client],
            "_fin_c": engine.sides["first_F"][sides.server],
            "_syn_ack": engine.flows["syn_ack_frame"][sides.flow],
            "_hello_frame": columns["tls_client_hello_frame"],
            "_hello_time": hello_time,
            "_alert": pl.DataFrame(
                {
                    "a": columns["tls_alert_to_client_frame"],
                    "b": columns["tls_alert_to_server_frame"],
                }
            )
            .select(pl.min_horizontal("a", "b"))
            .to_series(),
            "_rtt": columns["handshake_rtt_ms"],
            "rst_ack_to_client": engine.sides["rst_ack_count"][sides.server],
            "server_ipid_class": ipid_classes(engine, sides.server),
            "to_client_packets_after_rst": resets.sides["after_packets"][sides.server],
            "to_client_data_after_rst": resets.sides["after_data"][sides.server],
            "after_rst_frames": int_lists(
                len(rows),
                {
                    row: resets.after_frames[s]
                    for row, s in enumerate(sides.server.tolist())
                    if s in resets.after_frames
                },
            ),
            "_fs": sides.server,
        }
    ).join(
        ttl_habits.select(
            "fs", pl.col("ttl").alias("server_ttl"), pl.col("ttl_packets").alias("server_ttl_packets")
        ),
        left_on="_fs",
        right_on="fs",
        how="left",
        maintain_order="left",
    )
    return (
        base.join(_to_client(table), on="flow", how="left")
        .join(_to_server(table), on="flow", how="left")
        .select(
            "flow",
            "rst_to_client_frames",
            "rst_to_server_frames",
            "rst_ack_to_client",
            pl.col("rst_identical_to_client").fill_null(0),
            pl.col("rst_seq_change").fill_null(value=False),
            "rst_after_data_ms",
            _after_hello().alias("rst_after_hello_ms"),
            (_after_hello() / pl.col("_rtt")).alias("rst_after_hello_rtts"),
            (pl.col("_first") < pl.col("_syn_ack")).fill_null(value=False).alias("rst_before_syn_ack"),
            "rst_ttl",
            "server_ttl",
            "server_ttl_packets",
            (pl.col("rst_ttl") - pl.col("server_ttl")).alias("rst_ttl_delta"),
            "server_ipid_class",
            pl.when(pl.col("server_ipid_class") == "counter").then("rst_ipid_delta").alias("rst_ipid_delta"),
            pl.col("rst_df_differs").fill_null(value=False),
            "rst_payload_bytes",
            (pl.col("_fin_c") < pl.col("_first")).fill_null(value=False).alias("fin_to_client_before_rst"),
            ((pl.col("_own") < pl.col("_first")) | (pl.col("_fin_s") < pl.col("_first")))
            .fill_null(value=False)
            .alias("rst_to_server_before_rst"),
            (pl.col("_alert") < pl.col("_first")).fill_null(value=False).alias("tls_alert_before_rst"),
            "to_client_packets_after_rst",
            "to_client_data_after_rst",
            "after_rst_frames",
        )
    )


def _after_hello() -> pl.Expr:
    return pl.when(pl.col("_first") > pl.col("_hello_frame")).then(
        (pl.col("_first_time") - pl.col("_hello_time")) / _MS
    )


def _to_client(table: pl.DataFrame) -> pl.DataFrame:
    """Facts of all kept resets to the client of each flow."""
    mine = table.filter(pl.col("direction") == "to_client")
    circular = pl.min_horizontal(pl.col("ipid_delta"), 65536 - pl.col("ipid_delta"))
    strange = (pl.col("ttl") - pl.col("ttl_baseline")).abs().fill_null(0)
    copies = mine.group_by("flow", "ack_flag", "_seq", "ack").len().group_by("flow").agg(pl.col("len").max())
    previous = pl.col("seq_offset").shift(1).over("flow")
    rising = pl.col("time") - pl.col("time").shift(1).over("flow") <= 2_000_000_000  # noqa: PLR2004 - 2 s, WE09
    return (
        mine.with_columns(
            ((pl.col("seq_offset") > previous + 2) & (pl.col("seq_offset") > 0) & rising).alias("_change"),
            strange.alias("_strange"),
            circular.alias("_circular"),
        )
        .group_by("flow", maintain_order=True)
        .agg(
            pl.col("frame").alias("rst_to_client_frames"),
            pl.col("time").first().alias("_first_time"),
            pl.col("_change").any().alias("rst_seq_change"),
            pl.col("delay_ms").first().alias("rst_after_data_ms"),
            pl.col("ttl").sort_by("_strange", descending=True, maintain_order=True).first().alias("rst_ttl"),
            pl.col("_circular").max().alias("rst_ipid_delta"),
            (pl.col("df") != pl.col("df_baseline")).any().alias("rst_df_differs"),
            pl.col("payload_bytes").max().alias("rst_payload_bytes"),
        )
        .join(copies.rename({"len": "rst_identical_to_client"}), on="flow", how="left")
    )


def _to_server(table: pl.DataFrame) -> pl.DataFrame:
    return (
        table.filter(pl.col("direction") == "to_server")
        .group_by("flow", maintain_order=True)
        .agg(pl.col("frame").alias("rst_to_server_frames"))
    )
