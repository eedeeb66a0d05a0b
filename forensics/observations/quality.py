"""What the capture can and cannot prove: counts a reader must know before believing a verdict."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

import polars as pl

if TYPE_CHECKING:
    from forensics.capture.batch import CaptureNotes
    from forensics.decode import DecodeCounts
    from forensics.observations.collect import Collectors


FLOW_COLUMNS: Final = ("proto", "packets_to_server", "packets_to_client", "start_seen", "complete_capture")
"""All that is looked at in the flow table: of all flows at once, so they are few."""


def capture_quality(
    notes: CaptureNotes, counts: DecodeCounts, collectors: Collectors, flows: pl.DataFrame
) -> dict[str, Any]:
    """A JSON-ready object; every count says how many packets or flows of the capture it speaks of.

    ``flows`` holds FLOW_COLUMNS of all flows.
    """
    tcp = flows.filter(pl.col("proto") == "tcp")
    one_sided = tcp.filter((pl.col("packets_to_server") == 0) | (pl.col("packets_to_client") == 0))
    return {
        "file_type": notes.file_type,
        "complete": not notes.damage,
        "damage": notes.damage,
        "warnings": list(notes.warnings),
        "snaplen": notes.snaplen,
        "truncated_packets": notes.truncated_packets,
        "untimed_packets": notes.untimed_packets,
        "backward_timestamps": collectors.backward_times,
        "interfaces": notes.interfaces,
        "sections": notes.sections,
        "skipped_blocks": dict(sorted(notes.skipped_blocks.items())),
        "phone_apps": {str(uid): name for uid, name in sorted(notes.phone_apps.items())},
        "proxied": notes.proxied,
        "decoded": _decoded(counts),
        "tcp_flows": tcp.height,
        "udp_flows": flows.height - tcp.height,
        "flows_without_start": tcp.filter(~pl.col("start_seen")).height,
        "one_sided_tcp_flows": one_sided.height,
        "flows_with_capture_loss": tcp.filter(~pl.col("complete_capture")).height,
        "duplicated_packets": collectors.engine.copies.total,
        "not_dns_on_port_53": collectors.dns.not_dns,
        "dns_cut_by_snaplen": collectors.dns.cut,
    }


def _decoded(counts: DecodeCounts) -> dict[str, Any]:
    """Where every packet went; only what occurred."""
    found = {name: value for name, value in asdict(counts).items() if value and name != "unknown_linktypes"}
    if counts.unknown_linktypes:
        found["unknown_linktypes"] = {str(kind): n for kind, n in sorted(counts.unknown_linktypes.items())}
    return found
