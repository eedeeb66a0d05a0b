"""Link layers with a header of one shape: Linux "cooked" captures, BSD loopback, raw IP."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from forensics.decode.link_walk import BY_NIBBLE, big16, skip

if TYPE_CHECKING:
    import numpy.typing as npt

    from forensics.decode.link_walk import Walk
    from forensics.decode.network import Candidates

_SLL, _SLL2 = 16, 20
# AF_INET; AF_INET6 of Linux, Windows, NetBSD and OpenBSD, FreeBSD, Darwin.
_FAMILIES: Final = {2: BY_NIBBLE, 10: 6, 23: 6, 24: 6, 28: 6, 30: 6}


def read_sll(walk: Walk, found: Candidates) -> None:
    """LINKTYPE_LINUX_SLL: the protocol comes last."""
    found, head = walk.read(found, _SLL)
    walk.ethertype(skip(found, _SLL), big16(head, 14))


def read_sll2(walk: Walk, found: Candidates) -> None:
    """LINKTYPE_LINUX_SLL2: the protocol comes first."""
    found, head = walk.read(found, _SLL2)
    walk.ethertype(skip(found, _SLL2), big16(head, 0))


def read_null(walk: Walk, found: Candidates) -> None:
    """LINKTYPE_NULL and LINKTYPE_LOOP: an address family, in the byte order of the machine that captured."""
    found, head = walk.read(found, 4)
    family: npt.NDArray[np.uint32] = head.view("<u4").reshape(-1)
    family = np.where(family >> 16 != 0, family.byteswap(), family)
    rest, _ = walk.choose(skip(found, 4), family, _FAMILIES)
    walk.not_ip(rest)
