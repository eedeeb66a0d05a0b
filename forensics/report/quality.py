"""What a capture can and cannot show: a plain sentence for each item of the quality block that is not perfect."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def quality_lines(quality: Mapping[str, Any]) -> list[str]:
    """The sentences, most weighty first; they may hold text from the capture, which the caller escapes."""
    lines = []
    for say in _ITEMS:
        line = say(quality)
        if line:
            lines.append(line)
    return lines


def _count(quality: Mapping[str, Any], name: str) -> int:
    """The number of that name; 0 where it is missing or no number."""
    value = quality.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0


def _many(count: int, thing: str) -> str:
    return f"{count:,} {thing}{'' if count == 1 else 's'}"


def _was(count: int) -> str:
    return "was" if count == 1 else "were"


def _dropped(quality: Mapping[str, Any]) -> str:
    dropped = _count(quality, "dropped_by_kernel") + _count(quality, "dropped_by_system")
    if not dropped:
        return ""
    return (
        f"{_many(dropped, 'packet')} {_was(dropped)} dropped by the kernel while capturing: "
        "silence in this capture may be loss in the capture."
    )


def _lost_between(quality: Mapping[str, Any]) -> str:
    lost = _count(quality, "lost_between_packets")
    if not lost:
        return ""
    return (
        f"The file says that {_many(lost, 'packet')} {_was(lost)} lost between those it holds: "
        "silence in this capture may be loss in the capture."
    )


def _unseen(quality: Mapping[str, Any]) -> str:
    segments = _count(quality, "acked_unseen_segments")
    if not segments:
        return ""
    return (
        f"{_many(segments, 'acknowledgement')} of data that the capture does not hold "
        f"({_many(_count(quality, 'acked_unseen_bytes'), 'byte')}): the capture missed packets that arrived."
    )


def _truncated(quality: Mapping[str, Any]) -> str:
    cut = _count(quality, "truncated_packets")
    if not cut:
        return ""
    return (
        f"{_many(cut, 'packet')} cut short by the capture's snapshot length: names and messages behind the cut "
        "are not seen."
    )


def _without_start(quality: Mapping[str, Any]) -> str:
    flows = _count(quality, "flows_without_start")
    if not flows:
        return ""
    return (
        f"{_many(flows, 'TCP connection')} began before the capture: "
        "round-trip times and first messages are missing there."
    )


def _one_sided(quality: Mapping[str, Any]) -> str:
    flows = _count(quality, "one_sided_tcp_flows")
    if not flows:
        return ""
    return (
        f"{_many(flows, 'TCP connection')} with packets of one side only: unanswered, or captured on one way."
    )


def _ended_early(quality: Mapping[str, Any]) -> str:
    flows = _count(quality, "flows_ended_early")
    if not flows:
        return ""
    return (
        f"{_many(flows, 'connection')} {_was(flows)} taken for ended while others went on, for want of room: what came "
        "later of them stands in rows of its own."
    )


def _copies(quality: Mapping[str, Any]) -> str:
    copies = _count(quality, "duplicated_packets")
    if not copies:
        return ""
    return (
        f"{_many(copies, 'packet')} {_was(copies)} captured twice, as by a mirror port: the copies count neither as "
        "retransmissions nor as second resets."
    )


def _offload(quality: Mapping[str, Any]) -> str:
    long, jumbo = _count(quality, "packets_over_1500_bytes"), _count(quality, "packets_over_9216_bytes")
    if not long:
        return ""
    longest = _count(quality, "longest_packet_over_1500_bytes")
    words = f"{_many(long, 'IP packet')} longer than 1,500 bytes (up to {longest:,})"
    if jumbo:
        return (
            f"{words}: the capturing host puts segments together (GRO, TSO), so their sizes, numbers and times are "
            "those of the host, not of the wire."
        )
    return f"{words}: jumbo frames, or segments that the capturing host put together (GRO, TSO)."


def _checksums(quality: Mapping[str, Any]) -> str:
    found = quality.get("checksums")
    if not isinstance(found, dict):
        return ""
    bad = {kind: _count(found, f"{kind}_bad") for kind in ("ip", "tcp", "udp")}
    left = _count(found, "tcp_offloaded") + _count(found, "udp_offloaded")
    total = sum(bad.values())
    if not total:
        return ""
    of = sum(_count(found, f"{kind}_checked") for kind in bad)
    words = f"{total:,} of {_many(of, 'checksum')} looked at (a sample) do not hold"
    if left == total:
        return (
            f"{words}: all of packets whose sender leaves that to its network card, as a capturing host does."
        )
    return f"{words}, {left:,} of them left to the sender's network card; no packet is left out for it."


def _tick(quality: Mapping[str, Any]) -> str:
    tick = _count(quality, "clock_tick_ms")
    if not tick:
        return ""
    return (
        f"All times are multiples of {tick:,} ms: shorter delays are not measured, "
        "and the order within one is that of the file."
    )


def _backward(quality: Mapping[str, Any]) -> str:
    back = _count(quality, "backward_timestamps")
    return f"{_many(back, 'packet')} with a time before that of the packet ahead of it." if back else ""


def _untimed(quality: Mapping[str, Any]) -> str:
    untimed = _count(quality, "untimed_packets")
    return f"{_many(untimed, 'packet')} without a time." if untimed else ""


def _blocks(quality: Mapping[str, Any]) -> str:
    skipped = quality.get("skipped_blocks")
    if not isinstance(skipped, dict) or not skipped:
        return ""
    return f"{_many(sum(skipped.values()), 'block')} of unknown type skipped ({', '.join(sorted(skipped))})."


_NOT_READ: Final = {
    "fragments_unfinished": ("fragmented datagram", "of which something is missing"),
    "fragments_refused": ("fragmented datagram", "whose fragments overlap (IPv6)"),
    "fragments_impossible": ("IP fragment", "that cannot be"),
    "bad_link_header": ("packet", "with a link header that is cut off or cannot be"),
    "bad_ip_header": ("packet", "with an IP header that is cut off or cannot be"),
    "bad_transport_header": ("packet", "with a TCP or UDP header that is cut off or cannot be"),
    "link_depth_limit": ("packet", "with more link headers than are followed"),
    "tunnel_depth_limit": ("packet", "in more tunnels than are followed"),
    "encrypted_wifi": ("encrypted 802.11 frame", ""),
}


def _not_read(quality: Mapping[str, Any]) -> str:
    decoded = quality.get("decoded")
    if not isinstance(decoded, dict):
        return ""
    parts = [
        f"{_many(decoded[name], thing)} {what}".rstrip()
        for name, (thing, what) in _NOT_READ.items()
        if decoded.get(name)
    ]
    unknown = decoded.get("unknown_linktypes")
    # -1 stands for blocks of a pcapng that have a frame number but are no packets
    unknown = {kind: n for kind, n in unknown.items() if kind != "-1"} if isinstance(unknown, dict) else {}
    if unknown:
        kinds = ", ".join(sorted(unknown, key=lambda kind: (len(kind), kind))[:8])
        parts.append(f"{_many(sum(unknown.values()), 'packet')} of link types that are not read ({kinds})")
    return f"Not looked into: {'; '.join(parts)}." if parts else ""


_ITEMS: Final[tuple[Callable[[Mapping[str, Any]], str], ...]] = (
    _dropped,
    _lost_between,
    _unseen,
    _copies,
    _truncated,
    _without_start,
    _one_sided,
    _ended_early,
    _offload,
    _checksums,
    _tick,
    _backward,
    _untimed,
    _not_read,
    _blocks,
)
