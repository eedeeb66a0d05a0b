"""The packet table: one row per TCP or UDP packet of a batch, and one per ICMP error that quotes one."""

from __future__ import annotations

from typing import Final

import polars as pl

PACKET_SCHEMA: Final = pl.Schema(
    {
        "frame": pl.Int64,  # 1-based, as Wireshark
        "time": pl.Int64,  # ns since the epoch
        "proto": pl.UInt8,  # 6 TCP, 17 UDP
        "src": pl.Int64,  # address id, see AddressBook
        "dst": pl.Int64,
        "sport": pl.UInt16,
        "dport": pl.UInt16,
        "ttl": pl.UInt8,  # IPv4 TTL or IPv6 hop limit
        "ipid": pl.Int32,  # IPv4 identification; -1 for IPv6
        "df": pl.Boolean,  # IPv4 don't-fragment; false for IPv6
        "ip_bytes": pl.Int32,  # length of the IP packet by its header (the wire length when offload left 0 there)
        "flags": pl.UInt8,  # TCP flags CWR..FIN; 0 for UDP
        "seq": pl.UInt32,  # raw, as on the wire; 0 for UDP
        "ack": pl.UInt32,
        "window": pl.UInt16,  # unscaled
        "payload_len": pl.Int32,  # transport payload on the wire, by the headers
        "payload_offset": pl.Int64,  # into Batch.data
        "payload_captured": pl.Int32,  # bytes of it that are really in Batch.data
        # -1: an ordinary packet. Else the ICMP or ICMPv6 type of an error whose quoted packet
        "icmp_type": pl.Int16,
        # fills src..dport, flags (0 where cut off) and seq; payload columns are 0, ttl is that of the ICMP packet
        "icmp_code": pl.Int16,
        "icmp_from": pl.Int64,  # address id of the ICMP sender; -1 for an ordinary packet
    }
)
"""Column names and types; no nulls anywhere. Units and meaning stand beside each line."""
