"""The reset table."""

from __future__ import annotations

from typing import Final

import polars as pl

from forensics.observations.dictionary.entry import Table, entry

# One line an entry: a formatter would make five of each.
# fmt: off
RESET: Final = Table(
    "reset",
    "one TCP reset",
    (
        entry("flow", pl.Int64, "", "row of the flow table"),
        entry("stream", pl.Int64, "", "conversation number", "Wireshark tcp.stream"),
        entry("frame", pl.Int64, "frame", "frame of the reset", role="reset"),
        entry("time", pl.Int64, "ns", "since the epoch"),
        entry("direction", pl.String, "", "to_client or to_server"),
        entry("ack_flag", pl.Boolean, "", "RST+ACK rather than RST"),
        entry("ttl", pl.Int64, "", "TTL or hop limit"),
        entry("ttl_baseline", pl.Int64, "", "most frequent TTL of the same sender's packets that are no resets"),
        entry("ttl_baseline_packets", pl.Int64, "packets", "how many packets carry it"),
        entry("ipid", pl.Int64, "", "IP identification; null for IPv6"),
        entry("ipid_delta", pl.Int64, "", "ipid minus that of the packet before it of the same sender, modulo 65536; null without one"),
        entry("ipid_class", pl.String, "", "how the sender numbers its packets: zero, constant, counter, random, unknown"),
        entry("df", pl.Boolean, "", "don't fragment"),
        entry("df_baseline", pl.Boolean, "", "DF of most of the sender's other packets; null without any"),
        entry("seq_offset", pl.Int64, "bytes", "seq minus the next byte expected from this sender; null when it sent nothing before"),
        entry("ack", pl.Int64, "", "raw ACK field"),
        entry("window", pl.Int64, "", "raw window field"),
        entry("payload_bytes", pl.Int64, "bytes", "payload in the reset"),
        entry("delay_ms", pl.Float64, "ms", "since the last payload of the other side; null without one"),
        entry("delay_rtts", pl.Float64, "", "the same in handshake RTTs"),
        entry("packets_after", pl.Int64, "packets", "packets of the same sender after its first reset that are no resets"),
    ),
)
# fmt: on
