"""What the capture can and cannot prove: counts a reader must know before believing a verdict."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from forensics.decode.checksums import ALL_UP_TO, EVERY

if TYPE_CHECKING:
    from collections.abc import Iterable

    from forensics.capture.batch import CaptureNotes
    from forensics.decode import DecodeCounts
    from forensics.decode.checksums import ChecksumCounts
    from forensics.observations.collect import Collectors


FLOW_COLUMNS: Final = (
    "proto",
    "packets_to_server",
    "packets_to_client",
    "start_seen",
    "continued",
    "complete_capture",
)
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
        "flows_without_start": tcp.filter(~pl.col("start_seen") & ~pl.col("continued")).height,
        "flows_ended_early": collectors.flows_ended_early,
        "one_sided_tcp_flows": one_sided.height,
        "flows_with_capture_loss": tcp.filter(~pl.col("complete_capture")).height,
        "dropped_by_kernel": notes.dropped_by_kernel,
        "dropped_by_system": _said(interface.os_dropped for interface in notes.interface_list),
        "received_by_interfaces": _said(interface.received for interface in notes.interface_list),
        "lost_between_packets": notes.lost_between_packets,
        "acked_unseen_segments": collectors.engine.unseen_segments,
        "acked_unseen_bytes": collectors.engine.unseen_bytes,
        "duplicated_packets": collectors.engine.copies.total,
        "packets_over_1500_bytes": collectors.facts.over_mtu,
        "packets_over_9216_bytes": collectors.facts.over_jumbo,
        "longest_packet_over_1500_bytes": collectors.facts.longest_ip or None,
        "clock_tick_ms": None if collectors.facts.tick_ns is None else collectors.facts.tick_ns // 1_000_000,
        "longest_gap_ms": collectors.facts.longest_gap / 1e6,
        "checksums": _checksums(counts.checksums),
        "files": len(notes.files),
        "damaged_files": sum(1 for file in notes.files if file.damage),
        "not_dns_on_port_53": collectors.dns.not_dns,
        "dns_cut_by_snaplen": collectors.dns.cut,
    }


def _checksums(found: ChecksumCounts) -> dict[str, Any]:
    """What the sample of frames showed, and which frames it holds."""
    counts = {name: value for name, value in asdict(found).items() if name != "senders"}
    return {**counts, "bad_senders": len(found.senders), "all_up_to_frame": ALL_UP_TO, "then_every": EVERY}


def _said(counts: Iterable[int | None]) -> int | None:
    """Sum of what is told; None when nothing is."""
    known = [count for count in counts if count is not None]
    return sum(known) if known else None


def _decoded(counts: DecodeCounts) -> dict[str, Any]:
    """Where every packet went; only what occurred."""
    found = {
        name: value
        for name, value in asdict(counts).items()
        if value and name not in {"unknown_linktypes", "checksums"}
    }
    if counts.unknown_linktypes:
        found["unknown_linktypes"] = {str(kind): n for kind, n in sorted(counts.unknown_linktypes.items())}
    return found
