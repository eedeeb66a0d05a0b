from __future__ import annotations

from forensics.verdicts import Limit, limits
from tests.report.made import finding, tables, works


def test_each_long_transfer_has_one_limit():
    made = tables(
        [
            works(goodput_bps=150e3, steady_rate_bps=140e3, burst_bytes=60_000, bytes_to_client=900_000),
            works(goodput_bps=2e6, bytes_to_client=900_000, zero_windows_to_server=3),
            works(goodput_bps=2e6, bytes_to_client=900_000, zero_windows_to_server=2),
            works(goodput_bps=50e3, bytes_to_client=120_000, duration_ms=15_000.0),
            works(goodput_bps=50e3, bytes_to_client=120_000, duration_ms=14_999.0),
            works(goodput_bps=None, bytes_to_client=900_000),
        ]
    )
    assert limits(made, (finding("throttling-police", "likely"),)) == (
        Limit("tcp", 0, "to_client", "policer", 140e3, 60_000, "likely"),
        Limit("tcp", 1, "to_client", "receiver-window", 2e6, None, "likely"),
        Limit("tcp", 2, "to_client", "undetermined", 2e6, None, "observed"),
        Limit("tcp", 3, "to_client", "undetermined", 50e3, None, "observed"),
    )
