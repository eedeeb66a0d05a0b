"""Link-layer headers: where the IP packet of each frame begins."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from forensics.decode import link_ethernet, link_fixed, link_ppp, link_wireless
from forensics.decode.link_types import LINKTYPES, Header
from forensics.decode.link_walk import Walk
from forensics.decode.network import Candidates

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from forensics.capture.batch import Batch
    from forensics.decode.counts import DecodeCounts

_READERS: Final[dict[Header, Callable[[Walk, Candidates], None]]] = {
    Header.ETHERNET: link_ethernet.read_ethernet,
    Header.TAG: link_ethernet.read_tag,
    Header.LONG_TAG: link_ethernet.read_long_tag,
    Header.BACKBONE: link_ethernet.read_backbone,
    Header.LLC: link_ethernet.read_llc,
    Header.MPLS: link_ethernet.read_mpls,
    Header.CHDLC: link_ppp.read_chdlc,
    Header.FRAME_RELAY: link_ppp.read_frame_relay,
    Header.PPP: link_ppp.read_ppp,
    Header.PPP_DIRECTION: link_ppp.read_ppp_direction,
    Header.PPPD: link_ppp.read_pppd,
    Header.PPPOE: link_ppp.read_pppoe,
    Header.SLL: link_fixed.read_sll,
    Header.SLL2: link_fixed.read_sll2,
    Header.NULL: link_fixed.read_null,
    Header.LOOP: link_fixed.read_loop,
    Header.ENC: link_fixed.read_enc,
    Header.PFLOG: link_fixed.read_pflog,
    Header.NFLOG: link_fixed.read_nflog,
    Header.WIFI: link_wireless.read_wifi,
    Header.PADDED_WIFI: link_wireless.read_padded_wifi,
    Header.RADIOTAP: link_wireless.read_radiotap,
    Header.PPI: link_wireless.read_ppi,
    Header.PRISM: link_wireless.read_prism,
    Header.AVS: link_wireless.read_avs,
}

__all__ = ["LINKTYPES", "Network", "by_ethertype", "by_linktype", "by_ppp", "find_network"]


@dataclass(frozen=True)
class Network:
    """The packets of a batch whose network header was found, in frame order; one element a packet."""

    row: npt.NDArray[np.int64]
    """Index into the batch."""
    start: npt.NDArray[np.int64]
    """First byte of the IP header in ``Batch.data``."""
    version: npt.NDArray[np.uint8]
    """4 or 6, as the link layer says; 0 where only the header itself can tell."""
    end: npt.NDArray[np.int64]
    """Where the bytes end that were captured of the packet; padding and checksums that can be told are left out."""
    wire_length: npt.NDArray[np.int64]
    """Bytes of it on the wire, by the headers before it."""


def find_network(batch: Batch, counts: DecodeCounts) -> Network:
    """Strip link headers; packets without IP are counted and left out."""
    found = Candidates(
        row=np.arange(len(batch)),
        start=batch.offset,
        end=batch.offset + batch.caplen,
        wire_length=batch.wirelen,
    )
    found, version = by_linktype(batch.data, found, batch.linktype, counts)
    return Network(found.row, found.start, version, found.end, found.wire_length)


def by_linktype(
    data: npt.NDArray[np.uint8],
    found: Candidates,
    linktype: npt.NDArray[np.int32],
    counts: DecodeCounts,
) -> tuple[Candidates, npt.NDArray[np.uint8]]:
    """Where IP begins in frames of the link types given, one a frame.

    ``found.start`` is the frame's first byte. Gives the frames that lead to IP, in the order of ``found.row``, and the
    version of IP: 4, 6, or 0 for "as the first nibble says". Each of the others is added once to ``counts``.
    """
    walk = Walk(data, counts)
    walk.linktype(found, linktype)
    return walk.run(_READERS)


def by_ethertype(
    data: npt.NDArray[np.uint8],
    found: Candidates,
    ethertype: npt.NDArray[np.int32],
    counts: DecodeCounts,
) -> tuple[Candidates, npt.NDArray[np.uint8]]:
    """The same for what an EtherType announces; ``found.start`` is the first byte after it."""
    walk = Walk(data, counts)
    walk.ethertype(found, ethertype)
    return walk.run(_READERS)


def by_ppp(
    data: npt.NDArray[np.uint8], found: Candidates, counts: DecodeCounts
) -> tuple[Candidates, npt.NDArray[np.uint8]]:
    """The same for PPP; ``found.start`` is its protocol field, or the address and control bytes before that."""
    walk = Walk(data, counts)
    walk.then(Header.PPP, found)
    return walk.run(_READERS)
