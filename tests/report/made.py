"""Analyses made by hand: no packet is read, so that each test says exactly what was seen."""

from __future__ import annotations

from typing import Any

import polars as pl

from forensics.analysis import Analysis
from forensics.capture.batch import CaptureNotes
from forensics.observations.dictionary import DNS, FLOW, RESET, Table
from forensics.observations.table import fact_table
from forensics.signatures.model import Benign, Evidence, Finding, FrameRole, Subject
from forensics.verdicts import judge, limits

HOSTILE = "\x1b]0;owned\x07[red]x[/red]\u202egpj.\u200b\x9b31m:skull:"

_FLOW = {
    "proto": "tcp", "ip_version": 4, "client": "10.0.0.2", "client_port": 50000, "server": "203.0.113.5",
    "server_port": 443, "start_seen": True, "both_directions": True, "genuine_headers": True,
    "complete_capture": True, "first_time": 1, "duration_ms": 100.0, "syn_count": 1, "bytes_to_server": 517,
}  # fmt: skip


def rows(table: Table, given: list[dict[str, Any]]) -> pl.DataFrame:
    names = [column.name for column in table.columns]
    return pl.DataFrame([{name: row.get(name) for name in names} for row in given], schema=table.schema())


def tables(flows: list[dict[str, Any]], dns: list[dict[str, Any]] | None = None) -> dict[str, pl.DataFrame]:
    numbered = [{**_FLOW, "flow": i, "stream": i, **flow} for i, flow in enumerate(flows)]
    asked = [
        {"dns": i, "stream": i, "client": "10.0.0.2", "resolver": "8.8.8.8", "query_seen": True, **look}
        for i, look in enumerate(dns or [])
    ]
    return {"flow": rows(FLOW, numbered), "dns": rows(DNS, asked), "reset": rows(RESET, [])}


def reset(name: str = "mmg.whatsapp.net", **more: Any) -> dict[str, Any]:
    return {
        "app": "whatsapp", "feature": "media", "sni": name, "server_name": name, "tls_client_hello": True,
        "rst_to_client": 2, "rst_after_hello_ms": 12.5, "bytes_to_client": 0, **more,
    }  # fmt: skip


def works(name: str | None = "mmg.whatsapp.net", **more: Any) -> dict[str, Any]:
    return {
        "app": "whatsapp", "feature": "media", "sni": name, "server_name": name, "tls_client_hello": True,
        "tls_server_hello": True, "tls_established": True, "bytes_to_client": 90_000, **more,
    }  # fmt: skip


def finding(
    mechanism: str = "sni-reset", level: str = "strong", streams: tuple[int, ...] = (0,), **more: Any
) -> Finding:
    dns = mechanism.startswith("dns-")
    subjects = tuple(
        Subject("udp" if dns else "tcp", i, "10.0.0.2", 50000 + i, "203.0.113.5", 53 if dns else 443, i)
        for i in streams
    )
    given: dict[str, Any] = {
        "id": "F1", "signature": "tls.sni.reset", "mechanism": mechanism, "level": level, "score": 9,
        "title": "the connection is reset right after the TLS server name is sent", "app": "whatsapp",
        "feature": "media", "target": "mmg.whatsapp.net", "subjects": subjects,
        "evidence": (Evidence("late-real", 5, "2 genuine packets follow the reset", (17, 18)),),
        "benign": (
            Benign("tls-alert", "excluded", "no TLS alert came before the reset"),
            Benign("server-policy", "not-testable", "no other name was tried at this address"),
        ),
        "frames": (FrameRole(14, "client_hello"), FrameRole(15, "reset")),
    }  # fmt: skip
    return Finding(**{**given, **more})


def analysis(
    made: dict[str, pl.DataFrame], *found: Finding, name: str = "made.pcap", **notes: Any
) -> Analysis:
    return Analysis(
        name=name,
        notes=CaptureNotes(**{"file_type": "pcap", "packets": 1234, "sha256": "ab" * 32, **notes}),
        first_time=1_498_903_200_123_456_789,
        last_time=1_498_903_272_123_456_789,
        quality={"spread": float("nan")},
        tables={name: fact_table(name, frame) for name, frame in made.items()},
        findings=found,
        verdicts=judge(made, found),
        limits=limits(made, found),
        signature_count=7,
        signature_sha256="cd" * 32,
    )
