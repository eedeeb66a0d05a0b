"""Where every packet went: into the packet table, or the reason why not."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class DecodeCounts:
    """Counts summed over the batches of a capture.

    ``packets`` equals ``explained``: each packet is in exactly one of the classes summed there. ``ipv4``
    and ``ipv6`` count the network headers that could be read, and overlap with the others.
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
    """IP packets of another protocol (tunnels too), or with more extension headers than are followed."""
    not_ip: int = 0
    fragments: int = 0
    """IP fragments, first ones too; they are not put together."""
    bad_link_header: int = 0
    """Captured bytes end within a header below IP, or its lengths cannot be."""
    bad_ip_header: int = 0
    bad_transport_header: int = 0
    link_depth_limit: int = 0
    """Packets with more headers below IP (tags, labels and the like) than are followed."""
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
            + self.bad_link_header
            + self.bad_ip_header
            + self.bad_transport_header
            + self.link_depth_limit
            + sum(self.unknown_linktypes.values())
        )
