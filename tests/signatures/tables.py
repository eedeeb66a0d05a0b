"""Hand-made fact tables and rules: a row names what matters, the rest is what an ordinary row holds."""

from __future__ import annotations

from typing import Any

import polars as pl

from forensics.observations.dictionary import DNS, FLOW, Table
from forensics.signatures import SignatureSet
from forensics.signatures.load import read_rule

SECOND = 1_000_000_000

TLS_FLOW: dict[str, Any] = {
    "proto": "tcp", "stream": 0, "ip_version": 4, "client": "192.0.2.1", "client_port": 50000,
    "server": "203.0.113.5", "server_port": 443, "role_basis": "syn", "first_frame": 1, "last_frame": 20,
    "first_time": 10 * SECOND, "last_time": 12 * SECOND, "duration_ms": 2000.0, "capture_after_ms": 60_000.0,
    "start_seen": True, "both_directions": True, "genuine_headers": True, "complete_capture": True,
    "client_local": True, "server_local": False, "stage": "client-data", "syn_frame": 1, "last_syn_frame": 1,
    "syn_count": 1, "syn_span_ms": 0.0, "syn_ack_frame": 2, "syn_rtt_ms": 100.0, "handshake_rtt_ms": 100.0,
    "server_rtt_ms": 100.0,
    "packets_to_server": 4, "packets_to_client": 2, "bytes_to_client": 0, "rst_to_client": 0, "rst_to_server": 0,
    "zero_windows_to_client": 0, "zero_windows_to_server": 0, "tls_client_hello": True,
    "tls_client_hello_partial": False, "tls_client_hello_frame": 4, "tls_client_hello_frames": [4],
    "tls_hello_bytes": 517, "tls_hello_segments": 1, "sni": "blocked.example", "server_name": "blocked.example",
    "tls_server_hello": False, "hello_acked_bytes": 0, "hello_retransmissions": 0,
    "to_client_packets_after_hello": 0, "to_client_bytes_after_hello": 0, "waited_ms": 100.0, "silent_ms": 100.0,
    "name_attempts": 1, "name_ok": 0, "name_reset": 0, "name_silent": 0, "endpoint_other_names_ok": 0,
    "others_answered": 0, "others_failed": 0, "endpoint_answered": 0, "duplicated_packets": 0,
}  # fmt: skip

DNS_ROW: dict[str, Any] = {
    "transport": "udp", "service": "dns", "genuine_headers": True, "stream": 0, "client": "192.0.2.1",
    "client_port": 40000, "resolver": "8.8.8.8", "resolver_port": 53, "txid": 1,
    "qname": "www.example.com", "qtype": "A", "query_seen": True, "query_frames": [1], "query_time": SECOND,
    "queries": 1, "responses": 1, "response_frames": [2], "response_delays_ms": [30.0], "response_ttls": [57],
    "response_ipids": [1], "response_df": [False], "response_flags": [0x8180], "response_rcodes": [0],
    "response_answers": ["93.184.216.34"], "answers": ["93.184.216.34"], "cnames": [], "malformed_responses": 0,
    "distinct_answers": 1, "identical_copies": False, "answers_differ": False, "wire_facts_differ": False,
    "first_delay_ms": 30.0, "resolver_rtt_ms": 30.0, "early_ratio": 1.0, "public_name": True, "bogon_answers": [],
    "resolver_private": False, "resolver_bogon_names": 0, "resolver_true_names": 3, "answer_names": 1,
    "pool_answers": [], "pool_frames": [], "answers_tls_ok": 0,
}  # fmt: skip


def table(kind: Table, usual: dict[str, Any], rows: list[dict[str, Any]]) -> pl.DataFrame:
    schema = kind.schema()
    full = [{kind.name: number, **usual, **row} for number, row in enumerate(rows)]
    for row in full:
        assert not row.keys() - schema.keys()
    return pl.DataFrame([{name: row.get(name) for name in schema} for row in full], schema=schema)


def flows(*rows: dict[str, Any]) -> pl.DataFrame:
    return table(
        FLOW, TLS_FLOW, [{"client_port": 50000 + n, "stream": n, **row} for n, row in enumerate(rows)]
    )


def lookups(*rows: dict[str, Any]) -> pl.DataFrame:
    return table(DNS, DNS_ROW, [{"client_port": 40000 + n, "stream": n, **row} for n, row in enumerate(rows)])


def rules(*texts: str) -> SignatureSet:
    made = [read_rule("r.yaml", text.encode()) for text in texts]
    return SignatureSet(tuple(sorted(made, key=lambda rule: rule.id)))


RST = {"rst_to_client": 1, "rst_to_client_frames": [7]}
