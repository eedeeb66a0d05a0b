"""What held back each transfer that was long enough to judge.

The words told apart so far are ``policer``, ``receiver-window`` and ``undetermined``; the other words of the
report contract (``congestion``, ``application``, ``pacing``…) come with the detectors that can show them.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import polars as pl

from forensics.observations.table import fact_table
from forensics.signatures.model import LEVELS
from forensics.verdicts.model import Limit

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from forensics.observations.table import Given
    from forensics.signatures.model import Finding

ENOUGH_BYTES: Final = 200_000
ENOUGH_MS: Final = 15_000.0
ZERO_WINDOWS: Final = 3
"""One or two zero windows are a hiccup of the receiver; three say that it could not keep up."""
_SHOWN: Final = ("stream", "goodput_bps", "steady_rate_bps", "burst_bytes", "zero_windows_to_server")


def limits(tables: Mapping[str, Given], findings: Sequence[Finding]) -> tuple[Limit, ...]:
    """One limit for each TCP transfer to the client of at least 200 kB or 15 s, in order of the stream."""
    policed: dict[int, str] = {}
    for finding in findings:
        if finding.mechanism == "throttling-police":
            for subject in finding.subjects:
                if subject.proto == "tcp":
                    known = policed.get(subject.stream, LEVELS[0])
                    policed[subject.stream] = max(known, finding.level, key=LEVELS.index)
    long_enough = (pl.col("bytes_to_client") >= ENOUGH_BYTES) | (pl.col("duration_ms") >= ENOUGH_MS)
    rows = (
        fact_table("flow", tables.get("flow"))
        .columns([*_SHOWN, "proto", "bytes_to_client", "duration_ms"])
        .filter((pl.col("proto") == "tcp") & pl.col("goodput_bps").is_not_null() & long_enough)
        .sort("stream")
        .select(_SHOWN)
    )
    return tuple(_limit(*row, level=policed.get(row[0])) for row in rows.iter_rows())


def _limit(  # noqa: PLR0913 - the columns of one row
    stream: int,
    goodput: float,
    steady: float | None,
    burst: int | None,
    zero_windows: int | None,
    *,
    level: str | None,
) -> Limit:
    def made(limit: str, rate: float | None, burst_bytes: int | None, level: str) -> Limit:
        finite = rate if rate is not None and math.isfinite(rate) else None
        return Limit("tcp", stream, "to_client", limit, finite, burst_bytes, level)

    if level is not None:
        return made("policer", goodput if steady is None else steady, burst, level)
    if (zero_windows or 0) >= ZERO_WINDOWS:
        return made("receiver-window", goodput, None, "likely")
    return made("undetermined", goodput, None, "observed")
