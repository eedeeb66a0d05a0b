"""Rates and losses of transfers towards the client."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl

from forensics.observations.throughput import BIN_NS, MIN_BYTES

if TYPE_CHECKING:
    from forensics.flows.engine import FlowEngine
    from forensics.observations.sides import Sides
    from forensics.observations.throughput import ThroughputCollector

MIN_WINDOWS: Final = 4
_MS: Final = 1e6
_SECOND: Final = 1_000_000_000

_SCHEMA: Final = {
    "flow": pl.Int64,
    "goodput_bps": pl.Float64,
    "loss_ratio": pl.Float64,
    "burst_bytes": pl.Int64,
    "first_loss_frame": pl.Int64,
    "last_loss_frame": pl.Int64,
    "loss_span_ms": pl.Float64,
    "steady_rate_bps": pl.Float64,
    "steady_spread": pl.Float64,
    "loss_windows": pl.Float64,
    "rate_before_loss_bps": pl.Float64,
}


def rate_columns(collector: ThroughputCollector, engine: FlowEngine, sides: Sides) -> pl.DataFrame:
    """Throughput columns of the flow table, one row a flow whose server sent at least MIN_BYTES new bytes."""
    table = collector.sides
    rows = np.flatnonzero(table["progress"][sides.server] >= MIN_BYTES)
    if not len(rows):
        return pl.DataFrame(schema=_SCHEMA)
    fs = sides.server[rows]
    rtt = engine.handshake_rtt(fs >> 1)
    frame = pl.DataFrame(
        {
            "flow": rows,
            "fs": fs,
            "origin": engine.flows["origin"][fs >> 1],
            "width": np.maximum(_SECOND, 10 * np.maximum(rtt, 0)) // BIN_NS,
            **{
                name: table[name][fs]
                for name in (
                    "first_time",
                    "last_time",
                    "segments",
                    "losses",
                    "progress",
                    "carried",
                    "repeated",
                    "first_loss_frame",
                    "first_loss_time",
                    "first_loss_carried",
                    "first_loss_repeated",
                    "last_loss_frame",
                    "last_loss_time",
                    "last_loss_carried",
                    "last_loss_repeated",
                )
            },
        }
    ).with_columns(
        # Near the server the lost original was captured too, so a retransmission brings nothing new; near the client
        # it fills a hole. Which of the two: whether more was carried than the sequence numbers account for.
        (pl.col("carried") - pl.col("progress") > pl.col("repeated") * 0.5).alias("originals_seen")
    )
    lost = pl.col("first_loss_frame") >= 0
    span = pl.col("last_loss_time") - pl.col("first_loss_time")

    def rate(amount: pl.Expr, time: pl.Expr) -> pl.Expr:
        return pl.when(time > 0).then(amount * 8 * _SECOND / time)

    frame = frame.with_columns(
        rate(pl.col("progress"), pl.col("last_time") - pl.col("first_time")).alias("goodput_bps"),
        (pl.col("losses") / pl.col("segments")).alias("loss_ratio"),
        pl.when(lost).then(_delivered("first_loss_carried", "first_loss_repeated")).alias("burst_bytes"),
        pl.when(lost).then("first_loss_frame").alias("first_loss_frame"),
        pl.when(lost).then("last_loss_frame").alias("last_loss_frame"),
        pl.when(lost).then(span / _MS).alias("loss_span_ms"),
        pl.when(lost)
        .then(
            rate(
                _delivered("last_loss_carried", "last_loss_repeated")
                - _delivered("first_loss_carried", "first_loss_repeated"),
                span,
            )
        )
        .alias("steady_rate_bps"),
        pl.when(lost)
        .then(
            rate(
                _delivered("first_loss_carried", "first_loss_repeated"),
                pl.col("first_loss_time") - pl.col("first_time"),
            )
        )
        .alias("rate_before_loss_bps"),
    )
    steady = _windows(collector, frame.filter(lost))
    return frame.join(steady, on="fs", how="left", maintain_order="left").select(
        pl.col(name).cast(dtype) for name, dtype in _SCHEMA.items()
    )


def _delivered(carried: str, repeated: str) -> pl.Expr:
    """Bytes that were new to the receiver, as far as the vantage point tells."""
    return pl.col(carried) - pl.when("originals_seen").then(pl.col(repeated)).otherwise(0)


def _windows(collector: ThroughputCollector, frame: pl.DataFrame) -> pl.DataFrame:
    """Spread of goodput, and share of windows with a loss, over whole windows between first and last loss."""
    whole = frame.select(
        "fs",
        "width",
        "originals_seen",
        ((pl.col("first_loss_time") - pl.col("origin")) // BIN_NS).alias("begin"),
        ((pl.col("last_loss_time") - pl.col("origin")) // BIN_NS).alias("end"),
    ).with_columns(((pl.col("end") - pl.col("begin")) // pl.col("width")).alias("count"))
    whole = whole.filter(pl.col("count") >= MIN_WINDOWS)
    if not whole.height:
        return pl.DataFrame(schema={"fs": pl.Int64, "steady_spread": pl.Float64, "loss_windows": pl.Float64})
    sums = (
        collector.bins(whole["fs"])
        .join(whole, on="fs", how="inner")
        .with_columns(((pl.col("bin") - pl.col("begin")) // pl.col("width")).alias("window"))
        .filter((pl.col("window") >= 0) & (pl.col("window") < pl.col("count")))
        .group_by("fs", "window")
        .agg(_delivered("carried", "repeated").sum().alias("bytes"), pl.col("losses").sum())
    )
    # A window without data is a window at rate 0: stop-and-go is not steady. Such windows are counted, not listed,
    # for where the clock jumps by decades there are billions of them.
    full = (
        sums.sort("fs", "bytes")
        .group_by("fs", maintain_order=True)
        .agg(pl.col("bytes"), (pl.col("losses") > 0).sum().alias("hit"))
        .join(whole.select("fs", "count"), on="fs")
        .with_columns((pl.col("count") - pl.col("bytes").list.len().cast(pl.Int64)).alias("empty"))
    )
    spread = (_quantile(0.9) - _quantile(0.1)) / _quantile(0.5)
    return full.select(
        "fs",
        pl.when(spread.is_finite()).then(spread).alias("steady_spread"),
        (pl.col("hit") / pl.col("count")).alias("loss_windows"),
    )


def _quantile(share: float) -> pl.Expr:
    """Linear quantile of ``empty`` zeros followed by the sorted list ``bytes``, ``count`` values in all."""
    place = (pl.col("count") - 1) * share
    below = place.floor().cast(pl.Int64)

    def value(index: pl.Expr) -> pl.Expr:
        held = index - pl.col("empty")
        return pl.when(held < 0).then(0).otherwise(pl.col("bytes").list.get(held.clip(0), null_on_oob=True))

    low = value(below)
    return low + (value(below + 1) - low) * (place - below)
