"""Where every packet went: into the packet table, or the reason why not."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from forensics.decode.checksums import ChecksumCounts

MAX_OVERLAP_FRAMES: Final = 100


@dataclass
class DecodeCounts:
    """Counts summed over the batches of a capture.

    ``packets`` equals ``explained``: each packet is in exactly one of the classes summed there. ``ipv4``
    and ``ipv6`` count the network headers that could be read; they and all others that are not summed
    overlap with the others.
    """

    packets: int = 0
    ipv4: int = 0
    ipv6: int = 0
    tcp: int = 0
    """Rows of proto 6 in the packet table that are no ICMP errors."""
    udp: int = 0
    icmp_errors: int = 0
    """Rows made from what an ICMP or ICMPv6 error quotes."""
    icmp_other: int = 0
    """ICMP that is no error, or quotes nothing that can be used."""
    other_ip: int = 0
    """IP packets of another protocol, tunnels that cannot be opened, and more extension headers than are followed."""
    not_ip: int = 0
    """No IP inside; pieces of 802.11 frames and of multilink PPP, which are not put together, too."""
    carriers: int = 0
    """Rows of UDP headers that carry a tunnel; their packets are counted as what is inside."""
    tunnels: dict[str, int] = field(default_factory=dict)
    """Kind of tunnel → headers that were opened; a packet in two tunnels counts twice."""
    tunnel_depth_limit: int = 0
    """Packets in more tunnels than are followed; counted as what the last header says too."""
    fragments: int = 0
    """IP fragments, first ones and those in tunnels too."""
    fragments_read: int = 0
    """First fragments that were not captured whole, and were read as they are."""
    fragments_reassembled: int = 0
    """Datagrams put together; each counts as what it holds, in the packet that completes it."""
    fragments_unfinished: int = 0
    """Datagrams of which something is missing."""
    fragments_refused: int = 0
    """IPv6 datagrams whose fragments overlap, which no receiver takes (RFC 5722)."""
    fragments_impossible: int = 0
    """Fragments that are empty or reach beyond the largest datagram."""
    fragment_overlaps: int = 0
    """Fragments with bytes that others had brought, or with another end."""
    fragment_conflicts: int = 0
    """Those among them that differ from what was there."""
    fragment_overlap_frames: list[int] = field(default_factory=list)
    """The first MAX_OVERLAP_FRAMES frames with such fragments."""
    bad_link_header: int = 0
    """Captured bytes end within a header below IP, or its lengths cannot be."""
    checksums: ChecksumCounts = field(default_factory=ChecksumCounts)
    bad_ip_header: int = 0
    bad_transport_header: int = 0
    link_depth_limit: int = 0
    """Packets with more headers below IP (tags, labels and the like) than are followed."""
    encrypted_wifi: int = 0
    """802.11 data frames whose protected bit is set."""
    aggregated: int = 0
    """Packets beyond the first that one 802.11 frame carried (A-MSDU); each is in a class of its own besides."""
    unknown_linktypes: dict[int, int] = field(default_factory=dict)
    """LINKTYPE_ value → packets; -1 stands for pcapng blocks that have a frame number but are no packets."""

    @property
    def explained(self) -> int:
        """Sum of the classes that exclude one another."""
        return (
            self.tcp
            + self.udp
            + self.icmp_errors
            + self.icmp_other
            + self.other_ip
            + self.not_ip
            + self.fragments
            - self.fragments_read
            - self.fragments_reassembled
            + self.bad_link_header
            + self.bad_ip_header
            + self.bad_transport_header
            + self.link_depth_limit
            + self.encrypted_wifi
            - self.aggregated
            + sum(self.unknown_linktypes.values())
        )
