"""IPv4 (RFC 791) and IPv6 (RFC 8200) headers as columns, extension headers walked."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Final

import numpy as np

from forensics.capture.gather import gather_rows

if TYPE_CHECKING:
    import numpy.typing as npt

    from forensics.decode.addresses import AddressBook
    from forensics.decode.counts import DecodeCounts

MAX_EXTENSIONS: Final = 16
_OTHER: Final = 255  # reserved by IANA: stands for "more extension headers than are followed"
FRAGMENT: Final = 44
"""IPv6's fragment header (RFC 8200, 4.5)."""
_AUTH: Final = 51
# Hop-by-hop, routing, fragment, authentication, destination options, mobility, HIP, Shim6.
_EXTENSIONS: Final = (0, 43, FRAGMENT, _AUTH, 60, 135, 139, 140)

_IPV4: Final = np.dtype([
    ("version_ihl", "u1"), ("tos", "u1"), ("length", ">u2"), ("ident", ">u2"), ("fragment", ">u2"),
    ("ttl", "u1"), ("proto", "u1"), ("checksum", ">u2"), ("src", ">u4"), ("dst", ">u4"),
])  # fmt: skip
_IPV6: Final = np.dtype([
    ("version_class", "u1"), ("flow", "u1", 3), ("length", ">u2"), ("next", "u1"), ("hops", "u1"),
    ("src", "u1", 16), ("dst", "u1", 16),
])  # fmt: skip


@dataclass(frozen=True)
class IpPackets:
    """IP packets whose header could be read; one element a packet."""

    row: npt.NDArray[np.int64]
    """Index given by the caller; rises."""
    version: npt.NDArray[np.uint8]
    src: npt.NDArray[np.int64]
    dst: npt.NDArray[np.int64]
    ttl: npt.NDArray[np.uint8]
    ipid: npt.NDArray[np.int32]
    df: npt.NDArray[np.bool_]
    length: npt.NDArray[np.int64]
    """Bytes of the IP packet by its header."""
    proto: npt.NDArray[np.uint8]
    """After all extension headers."""
    payload: npt.NDArray[np.int64]
    """First byte after the IP headers in the data."""
    limit: npt.NDArray[np.int64]
    """Where the IP packet ends by its header."""
    captured: npt.NDArray[np.int64]
    """Where the bytes that are really there end; never beyond ``limit``."""
    fragment: npt.NDArray[np.bool_]
    """Part of a fragmented datagram (an IPv6 atomic fragment, RFC 6946, is none)."""
    later_fragment: npt.NDArray[np.bool_]
    """A fragment that does not begin with the transport header."""

    def __len__(self) -> int:
        return len(self.row)

    def where(self, mask: npt.NDArray[np.bool_]) -> IpPackets:
        """Only the packets that ``mask`` selects."""
        if mask.all():
            return self
        return IpPackets(*(getattr(self, f.name)[mask] for f in fields(self)))


@dataclass(frozen=True)
class Candidates:
    """Where an IP packet should begin; one element a packet."""

    row: npt.NDArray[np.int64]
    start: npt.NDArray[np.int64]
    end: npt.NDArray[np.int64]
    """Captured bytes end here."""
    wire_length: npt.NDArray[np.int64]
    """Bytes from ``start`` to the end of the frame on the wire: the length where the header says 0."""

    def where(self, mask: npt.NDArray[np.bool_]) -> Candidates:
        """Only the packets that ``mask`` selects."""
        if mask.all():
            return self
        return Candidates(self.row[mask], self.start[mask], self.end[mask], self.wire_length[mask])


def read_ip(
    data: npt.NDArray[np.uint8],
    found: Candidates,
    version: npt.NDArray[np.uint8],
    book: AddressBook,
    counts: DecodeCounts | None,
) -> IpPackets:
    """Headers of ``found`` in the order of its rows; bad ones are counted, if counts are given, and left out.

    ``version`` is 4, 6, or 0 for "as the first nibble says".
    """
    open_question = version == 0
    if open_question.any():
        nibble = gather_rows(data, found.start, 1)[:, 0] >> 4
        version = np.where(open_question, nibble, version)
    four, six = version == 4, version == 6  # noqa: PLR2004 - IP versions
    parts = []
    if four.any():
        parts.append(_read_ipv4(data, found.where(four)))
    if six.any():
        parts.append(_read_ipv6(data, found.where(six), book))
    if not parts:
        parts.append(_read_ipv4(data, found.where(four)))
    if counts is not None:
        counts.ipv4 += int(np.count_nonzero(parts[0].version == 4))  # noqa: PLR2004
        counts.ipv6 += int(np.count_nonzero(parts[-1].version == 6))  # noqa: PLR2004
        counts.bad_ip_header += len(found.row) - sum(map(len, parts))
    return in_order(parts)


def in_order(parts: list[IpPackets]) -> IpPackets:
    """All of them, in the order of their rows; at least one part."""
    parts = [part for part in parts if len(part)] or parts[:1]
    if len(parts) == 1:
        return parts[0]
    order = np.argsort(np.concatenate([part.row for part in parts]), kind="stable")
    return IpPackets(
        *(np.concatenate([getattr(part, f.name) for part in parts])[order] for f in fields(IpPackets))
    )


def _read_ipv4(data: npt.NDArray[np.uint8], found: Candidates) -> IpPackets:
    room = found.end - found.start
    header = gather_rows(data, found.start, _IPV4.itemsize).view(_IPV4).reshape(-1)
    header_length = (header["version_ihl"] & 0x0F).astype(np.int64) * 4
    length = header["length"].astype(np.int64)
    length = np.where(length == 0, found.wire_length, length)  # segmentation offload writes 0
    good = (
        (header["version_ihl"] >> 4 == 4)  # noqa: PLR2004 - IP version
        & (header_length >= _IPV4.itemsize)
        & (header_length <= room)
        & (length >= header_length)
    )
    if not good.all():
        found, header, header_length, length = (
            found.where(good),
            header[good],
            header_length[good],
            length[good],
        )
    fragment = header["fragment"]
    limit = found.start + length
    return IpPackets(
        row=found.row,
        version=np.full(len(header), 4, dtype=np.uint8),
        src=header["src"].astype(np.int64),
        dst=header["dst"].astype(np.int64),
        ttl=header["ttl"],
        ipid=header["ident"].astype(np.int32),
        df=(fragment & 0x4000) != 0,
        length=length,
        proto=header["proto"],
        payload=found.start + header_length,
        limit=limit,
        captured=np.minimum(limit, found.end),
        fragment=(fragment & 0x3FFF) != 0,
        later_fragment=(fragment & 0x1FFF) != 0,
    )


def _read_ipv6(data: npt.NDArray[np.uint8], found: Candidates, book: AddressBook) -> IpPackets:
    header = gather_rows(data, found.start, _IPV6.itemsize).view(_IPV6).reshape(-1)
    good = (header["version_class"] >> 4 == 6) & (found.end - found.start >= _IPV6.itemsize)  # noqa: PLR2004
    if not good.all():
        found, header = found.where(good), header[good]
    length = header["length"].astype(np.int64) + _IPV6.itemsize
    # 0 is written by segmentation offload and for jumbograms (RFC 2675).
    length = np.where(header["length"] == 0, np.maximum(found.wire_length, _IPV6.itemsize), length)
    limit = found.start + length
    captured = np.minimum(limit, found.end)
    proto, payload, broken, offset, more = walk_extensions(
        data, header["next"].copy(), found.start + _IPV6.itemsize, captured
    )
    packets = IpPackets(
        row=found.row,
        version=np.full(len(header), 6, dtype=np.uint8),
        src=book.intern_v6(header["src"]),
        dst=book.intern_v6(header["dst"]),
        ttl=header["hops"],
        ipid=np.full(len(header), -1, dtype=np.int32),
        df=np.zeros(len(header), dtype=bool),
        length=length,
        proto=proto,
        payload=payload,
        limit=limit,
        captured=captured,
        fragment=(offset > 0) | more,
        later_fragment=offset > 0,
    )
    # A first fragment may end anywhere, even within its extension headers.
    return packets.where(~broken | packets.fragment)


def walk_extensions(
    data: npt.NDArray[np.uint8],
    proto: npt.NDArray[np.uint8],
    at: npt.NDArray[np.int64],
    captured: npt.NDArray[np.int64],
) -> tuple[
    npt.NDArray[np.uint8],
    npt.NDArray[np.int64],
    npt.NDArray[np.bool_],
    npt.NDArray[np.int64],
    npt.NDArray[np.bool_],
]:
    """Protocol and start of what follows the extension headers; which chains break off; fragment fields."""
    broken = np.zeros(len(proto), dtype=bool)
    offset = np.zeros(len(proto), dtype=np.int64)
    more = np.zeros(len(proto), dtype=bool)
    open_rows = np.flatnonzero(np.isin(proto, _EXTENSIONS))
    for _ in range(MAX_EXTENSIONS):
        if len(open_rows) == 0:
            break
        whole = at[open_rows] + 8 <= captured[open_rows]
        broken[open_rows[~whole]] = True
        open_rows = open_rows[whole]
        head = gather_rows(data, at[open_rows], 8)
        kind = proto[open_rows]
        size = extension_sizes(kind, head)
        is_fragment = kind == FRAGMENT
        field = head[:, 2].astype(np.int64) << 8 | head[:, 3]
        offset[open_rows[is_fragment]] = field[is_fragment] >> 3
        more[open_rows[is_fragment]] |= (field[is_fragment] & 1) == 1
        proto[open_rows] = head[:, 0]
        at[open_rows] += size
        beyond = at[open_rows] > captured[open_rows]
        # Behind a later fragment's header there is no chain to follow, only bytes from the middle.
        later = offset[open_rows] > 0
        broken[open_rows[beyond & ~later]] = True
        open_rows = open_rows[~beyond & ~later & np.isin(proto[open_rows], _EXTENSIONS)]
    proto[open_rows] = _OTHER
    return proto, at, broken, offset, more


def extension_sizes(kind: npt.NDArray[np.uint8], head: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
    """Bytes of extension headers, by their kinds and first bytes (shape (headers, 8))."""
    size = (head[:, 1].astype(np.int64) + 1) * 8
    size = np.where(kind == FRAGMENT, 8, size)
    return np.where(kind == _AUTH, (head[:, 1].astype(np.int64) + 2) * 4, size)  # RFC 4302, 2.2
