"""Link-layer headers: where the IP packet of each frame begins."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from forensics.capture.gather import gather_rows

if TYPE_CHECKING:
    import numpy.typing as npt

    from forensics.capture.batch import Batch
    from forensics.decode.counts import DecodeCounts

MAX_VLAN_TAGS: Final = 8
_ETHERTYPE_IP: Final = {0x0800: 4, 0x86DD: 6}
_ETHERTYPE_VLAN: Final = (0x8100, 0x88A8, 0x9100)
# Header length and position of the EtherType: Ethernet, Linux SLL, Linux SLL2.
_TYPED: Final = {1: (14, 12), 113: (16, 14), 276: (20, 0)}
_RAW: Final = {12: 0, 14: 0, 101: 0, 228: 4, 229: 6}  # 0: the version nibble tells
_NULL: Final = (0, 108)
_AF_INET: Final = 2
# AF_INET6 of Linux, Windows, NetBSD and OpenBSD, FreeBSD, Darwin.
_AF_INET6: Final = (10, 23, 24, 28, 30)


@dataclass(frozen=True)
class Network:
    """The packets of a batch whose network header was found, in frame order; one element a packet."""

    row: npt.NDArray[np.int64]
    """Index into the batch."""
    start: npt.NDArray[np.int64]
    """First byte of the IP header in ``Batch.data``."""
    version: npt.NDArray[np.uint8]
    """4 or 6, as the link layer says; 0 where only the header itself can tell."""


def find_network(batch: Batch, counts: DecodeCounts) -> Network:
    """Strip link headers; packets without IP are counted and left out."""
    size = len(batch)
    start = batch.offset.astype(np.int64, copy=True)
    version = np.full(size, 255, dtype=np.uint8)  # 255: has no IP header that we can reach
    present = np.unique(batch.linktype).tolist()
    for linktype in present:
        rows = np.arange(size) if len(present) == 1 else np.flatnonzero(batch.linktype == linktype)
        if linktype in _TYPED:
            _typed(batch, rows, *_TYPED[linktype], start, version, counts)
        elif linktype in _RAW:
            version[rows] = _RAW[linktype]
        elif linktype in _NULL:
            _null(batch, rows, start, version, counts)
        else:
            counts.unknown_linktypes[linktype] = counts.unknown_linktypes.get(linktype, 0) + len(rows)
    row = np.flatnonzero(version != 255)  # noqa: PLR2004 - the marker set above
    if len(row) == size:
        return Network(row, start, version)
    return Network(row, start[row], version[row])


def _typed(  # noqa: PLR0913 - the header's shape, and the two columns being filled
    batch: Batch,
    rows: npt.NDArray[np.int64],
    length: int,
    type_at: int,
    start: npt.NDArray[np.int64],
    version: npt.NDArray[np.uint8],
    counts: DecodeCounts,
) -> None:
    """Headers that name the next protocol by EtherType, with any VLAN tags after them."""
    fits = batch.caplen[rows] >= length
    if not fits.all():
        counts.bad_link_header += int(np.count_nonzero(~fits))
        rows = rows[fits]
    base = batch.offset[rows]
    ethertype = gather_rows(batch.data, base + type_at, 2).view(">u2").reshape(-1).astype(np.int32)
    at = base + length
    tagged = np.flatnonzero(np.isin(ethertype, _ETHERTYPE_VLAN))
    for _ in range(MAX_VLAN_TAGS):
        if len(tagged) == 0:
            break
        end = batch.offset[rows[tagged]] + batch.caplen[rows[tagged]]
        whole = at[tagged] + 4 <= end
        counts.bad_link_header += int(np.count_nonzero(~whole))
        ethertype[tagged[~whole]] = -1
        tagged = tagged[whole]
        ethertype[tagged] = gather_rows(batch.data, at[tagged] + 2, 2).view(">u2").reshape(-1)
        at[tagged] += 4
        tagged = tagged[np.isin(ethertype[tagged], _ETHERTYPE_VLAN)]
    counts.vlan_depth_limit += len(tagged)
    ethertype[tagged] = -1
    known = np.zeros(len(rows), dtype=bool)
    for value, ip in _ETHERTYPE_IP.items():
        mine = ethertype == value
        version[rows[mine]] = ip
        known |= mine
    start[rows] = at
    counts.not_ip += int(np.count_nonzero(~known & (ethertype >= 0)))


def _null(
    batch: Batch,
    rows: npt.NDArray[np.int64],
    start: npt.NDArray[np.int64],
    version: npt.NDArray[np.uint8],
    counts: DecodeCounts,
) -> None:
    """BSD loopback: four bytes of address family, in the byte order of the machine that captured."""
    fits = batch.caplen[rows] >= 4  # noqa: PLR2004 - length of the header
    counts.bad_link_header += int(np.count_nonzero(~fits))
    rows = rows[fits]
    family = gather_rows(batch.data, batch.offset[rows], 4).view("<u4").reshape(-1)
    family = np.where(family >> 16 != 0, family.byteswap(), family)
    four, six = family == _AF_INET, np.isin(family, _AF_INET6)
    version[rows[four]] = 4
    version[rows[six]] = 6
    start[rows] = batch.offset[rows] + 4
    counts.not_ip += int(np.count_nonzero(~four & ~six))
