"""Data frames of IEEE 802.11 that are not encrypted, and the headers that capture programs put before them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from forensics.capture.gather import gather_rows
from forensics.decode.link_types import Header
from forensics.decode.link_walk import big16, cut, skip, taken

if TYPE_CHECKING:
    import numpy.typing as npt

    from forensics.decode.link_walk import Walk
    from forensics.decode.network import Candidates

_MAC: Final = 24
_VERSION, _TYPE, _DATA = 0x03, 0x0C, 0x08
_NULL_FUNCTION, _QOS = 0x40, 0x80
_UNUSED_SUBTYPE: Final = 0xD0
_DIRECTION, _MORE_FRAGMENTS, _PROTECTED, _ORDER = 0x03, 0x04, 0x40, 0x80
_AGGREGATE: Final = 0x80
_SUBFRAME: Final = 14
MAX_SUBFRAMES: Final = 64
_FCS: Final = 4
_RADIOTAP: Final = 8
_TSFT, _FLAGS, _MORE_PRESENT = 1, 2, 0x80
MAX_PRESENT_WORDS: Final = 64
_FLAG_FCS, _FLAG_PADDING = 0x10, 0x20
_PRISM: Final = 144
_PRISM_CODES: Final = (0x41, 0x44)
_AVS_MAGIC: Final = 0x80211000


def read_wifi(walk: Walk, found: Candidates) -> None:
    """A frame of 802.11 (IEEE 802.11-2020, 9.3.2)."""
    _frame(walk, found, padded=False)


def read_padded_wifi(walk: Walk, found: Candidates) -> None:
    """The same with padding behind its header, to a multiple of four bytes."""
    _frame(walk, found, padded=True)


def _frame(walk: Walk, found: Candidates, *, padded: bool) -> None:
    found, control = walk.read(found, 2)
    kind, flags = control[:, 0], control[:, 1]
    carries = (kind & (_VERSION | _TYPE) == _DATA) & (kind & _NULL_FUNCTION == 0)
    walk.not_ip(found.where(~carries))
    found, kind, flags = found.where(carries), kind[carries], flags[carries]
    secret = flags & _PROTECTED != 0
    walk.counts.encrypted_wifi += int(np.count_nonzero(secret))
    found, kind, flags = found.where(~secret), kind[~secret], flags[~secret]
    qos = kind & _QOS != 0
    size = _MAC + np.where(flags & _DIRECTION == _DIRECTION, 6, 0) + np.where(qos, 2, 0)
    qos_at = size - 2
    size += np.where(qos & (flags & _ORDER != 0), 4, 0)  # HT control
    if padded:
        size = (size + 3) & ~3
    whole = found.end - found.start >= size
    walk.bad(found.where(~whole))
    found, flags, qos, qos_at, size = (
        found.where(whole), flags[whole], qos[whole], qos_at[whole], size[whole]
    )  # fmt: skip
    fragment = gather_rows(walk.data, found.start + 22, 1)[:, 0] & 0x0F
    # Pieces of an MSDU are not put together.
    piece = (flags & _MORE_FRAGMENTS != 0) | (fragment != 0)
    aggregate = qos & (gather_rows(walk.data, found.start + qos_at, 1)[:, 0] & _AGGREGATE != 0)
    walk.not_ip(found.where(piece))
    found = skip(found, size)
    walk.then(Header.LLC, found.where(~piece & ~aggregate))
    _aggregated(walk, found.where(~piece & aggregate))


def _aggregated(walk: Walk, found: Candidates) -> None:
    """An A-MSDU (9.3.2.2): frames behind one another, each with addresses, length, and padding to four bytes."""
    for number in range(MAX_SUBFRAMES):
        if len(found.row) == 0:
            return
        whole = found.end - found.start >= _SUBFRAME
        if number == 0:
            walk.bad(found.where(~whole))
        # Behind the first one there may be padding or a checksum.
        found = found.where(whole)
        length = big16(gather_rows(walk.data, found.start + (_SUBFRAME - 2), 2), 0)
        full = length > 0
        if number == 0:
            walk.not_ip(found.where(~full))
        else:
            walk.counts.aggregated += int(np.count_nonzero(full))
        found, length = found.where(full), length[full]
        found = skip(found, _SUBFRAME)
        walk.then(Header.LLC, cut(found, length))
        found = skip(found, ((length + _SUBFRAME + 3) & ~3) - _SUBFRAME)
    rest = int(np.count_nonzero(found.end - found.start >= _SUBFRAME))
    walk.counts.aggregated += rest
    walk.counts.link_depth_limit += rest


def read_radiotap(walk: Walk, found: Candidates) -> None:
    """Radiotap (radiotap.org): its length, and flags that tell of padding and of a checksum at the end."""
    found, head = walk.read(found, _RADIOTAP)
    size = little(head[:, 2:4])
    good = (size >= _RADIOTAP) & (size <= found.end - found.start)
    walk.bad(found.where(~good))
    found, head, size = found.where(good), head[good], size[good]
    flags = _radiotap_flags(walk, found, head[:, 4:8], size)
    checksum = flags & _FLAG_FCS != 0
    found = skip(found, size)
    found = cut(found, np.where(checksum, found.wire_length - _FCS, found.wire_length))
    padded = flags & _FLAG_PADDING != 0
    walk.then(Header.WIFI, found.where(~padded))
    walk.then(Header.PADDED_WIFI, found.where(padded))


def _radiotap_flags(
    walk: Walk, found: Candidates, present: npt.NDArray[np.uint8], size: npt.NDArray[np.int64]
) -> npt.NDArray[np.uint8]:
    """The flags byte; 0 where there is none."""
    # Words of present bits go on while the highest bit is set; only the first one can promise flags.
    fields = np.full(len(found.row), _RADIOTAP, dtype=np.int64)
    more = np.flatnonzero(present[:, 3] & _MORE_PRESENT != 0)
    for _ in range(MAX_PRESENT_WORDS):
        if len(more) == 0:
            break
        more = more[fields[more] + 4 <= size[more]]
        word = gather_rows(walk.data, taken(found, more).start + fields[more], 4)
        fields[more] += 4
        more = more[word[:, 3] & _MORE_PRESENT != 0]
    # A time stamp of eight bytes, at a multiple of eight, may come first.
    stamped = present[:, 0] & _TSFT != 0
    at = np.where(stamped, ((fields + 7) & ~7) + 8, fields)
    told = (present[:, 0] & _FLAGS != 0) & (at < size)
    told[more] = False  # more words than are followed, so nobody knows where the flags are
    flags = gather_rows(walk.data, found.start + np.where(told, at, 0), 1)[:, 0]
    return np.where(told, flags, 0).astype(np.uint8)


def read_ppi(walk: Walk, found: Candidates) -> None:
    """Per-packet information: its length and the link type of what follows, both little-endian."""
    found, head = walk.read(found, 8)
    size = little(head[:, 2:4])
    good = (size >= 8) & (size <= found.end - found.start)  # noqa: PLR2004 - the part read here
    walk.bad(found.where(~good))
    walk.linktype(skip(found.where(good), size[good]), little(head[good, 4:8]))


def read_prism(walk: Walk, found: Candidates) -> None:
    """Prism's header, of 144 bytes; an AVS header or a plain frame in its place."""
    found, head = walk.read(found, 4)
    code = little(head)
    swapped = little(head[:, ::-1])
    prism = np.isin(code, _PRISM_CODES) | np.isin(swapped, _PRISM_CODES)
    avs = swapped & ~0x0F == _AVS_MAGIC
    walk.then(Header.AVS, found.where(avs))
    walk.then(Header.WIFI, found.where(~prism & ~avs))
    walk.then(Header.WIFI, skip(walk.whole(found.where(prism), _PRISM), _PRISM))


def read_avs(walk: Walk, found: Candidates) -> None:
    """AVS: a magic number, and the length of the header."""
    found, head = walk.read(found, 8)
    size = little(head[:, :3:-1])
    good = (size >= 8) & (size <= found.end - found.start)  # noqa: PLR2004 - the part read here
    walk.bad(found.where(~good))
    walk.then(Header.WIFI, skip(found.where(good), size[good]))


def little(rows: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
    """The little-endian number that each row is."""
    number = np.zeros(len(rows), dtype=np.int64)
    for place in range(rows.shape[1]):
        number |= rows[:, place].astype(np.int64) << (8 * place)
    return number
