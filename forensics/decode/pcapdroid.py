"""Captures made by PCAPdroid on an Android phone: which app owned a packet, and whether its headers are genuine.

**Owner of a packet.** In a pcapng the owner is a packet comment (see forensics.capture). A pcap with "dump extensions"
has link type Ethernet, a made-up Ethernet header with both addresses zero before every IP packet, zeros behind it up
to a multiple of four, and then 32 bytes in network order: the magic number 0x01072021, the UID as a signed number, 20
bytes of app name, and a CRC-32 of the frame. Packets that would outgrow the snapshot length have none of this.
(PCAPdroid: ``pcap_dump.c``, ``pcapdroid.lua``.)

**Genuine headers.** Without root PCAPdroid is a VPN service to the phone: apps talk to a proxy inside it, which opens
sockets of its own, and IP, TCP and UDP headers of everything that comes back are made by that proxy (TTL 64, IP-ID 0,
DF, sequence numbers and resets of its own). With root it records what passes the real interface. The file does not
say which: neither section header nor trailer does. (Of late a pcapng made with root carries epb_flags, one without
root does not; older ones never do.) But the phone's address inside that VPN is a constant of PCAPdroid since its first
release, 10.215.173.1 (with IPv6 fd00:2:fd00:1:fd00:1:fd00:1), and the real interface has another. So a packet from or
to it was seen inside the VPN. That is as sure as it is unlikely that a real network numbers a host so: then
header-based reasons stay unused for that host, which loses findings but invents none. A capture whose addresses were
rewritten, and one of another app that captures the same way, are not told.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np

from forensics.capture.gather import gather_rows

if TYPE_CHECKING:
    import numpy.typing as npt

    from forensics.capture.batch import Batch
    from forensics.decode.addresses import AddressBook
    from forensics.decode.columns import PacketTable

VPN_ADDRESSES: Final = frozenset({"10.215.173.1", "fd00:2:fd00:1:fd00:1:fd00:1"})
"""Addresses of the phone inside PCAPdroid's VPN, as AddressBook.text writes them."""
PROXIED: Final = (
    "PCAPdroid, or an app built on it, captured this without root: its VPN service (phone address 10.215.173.1 or "
    "fd00:2:fd00:1:fd00:1:fd00:1) answers in the servers' place and writes the TCP/IP headers itself"
)
MAX_APPS: Final = 10_000

_TRAILER: Final = np.dtype([("magic", ">u4"), ("uid", ">i4"), ("name", "V20"), ("fcs", "V4")])
_MAGIC: Final = 0x01072021
_ETHERNET: Final = 1
_SMALLEST: Final = 14 + 20 + _TRAILER.itemsize  # Ethernet, IPv4, trailer


def trailer_uids(
    data: npt.NDArray[np.uint8],
    start: npt.NDArray[np.int64],
    end: npt.NDArray[np.int64],
    linktype: npt.NDArray[np.int32],
) -> tuple[npt.NDArray[np.int32] | None, dict[int, str]]:
    """UID of each packet ``data[start:end]`` by its trailer, and the names of the apps found there.

    -1 where there is no trailer or PCAPdroid did not know; None when no packet has one. Names are hostile text.
    """
    # Almost no capture has a trailer: the first look costs one gathering of what decoding needs anyway.
    if not len(start) or gather_rows(data, start, 4).view("<u4").all():
        return None, {}
    rows = np.flatnonzero((linktype == _ETHERNET) & (end - start >= _SMALLEST))
    # Only loopback has frames with two addresses of zeros, so nothing sent over a network can pretend to a trailer.
    rows = rows[~gather_rows(data, start[rows], 12).any(axis=1)]
    if not len(rows):
        return None, {}
    trailer = gather_rows(data, end[rows] - _TRAILER.itemsize, _TRAILER.itemsize).view(_TRAILER)[:, 0]
    sound = trailer["magic"] == _MAGIC
    if not sound.any():
        return None, {}
    rows, trailer = rows[sound], trailer[sound]
    found = np.full(len(start), -1, dtype=np.int32)
    found[rows] = np.maximum(trailer["uid"], -1)
    known = (trailer["uid"] >= 0) & (np.ascontiguousarray(trailer["name"]).view("u1")[::20] != 0)
    uids, firsts = np.unique(trailer["uid"][known], return_index=True)
    names = trailer["name"][known]
    order = np.argsort(firsts)[:MAX_APPS]
    return found, {
        uid: names[place].tobytes().split(b"\0", 1)[0].decode("utf-8", errors="replace")
        for uid, place in zip(uids[order].tolist(), firsts[order].tolist(), strict=True)
    }


@dataclass
class PhoneNotes:
    """What the packets of a capture say of the phone that made it; fed batch by batch."""

    apps: dict[int, str] = field(default_factory=dict)
    """UID → name of the app, by trailers; the first name of a UID, in order of frames. Hostile text."""
    inside_vpn: bool = False
    """A packet from or to the phone's address inside PCAPdroid's VPN was seen."""

    @property
    def proxied(self) -> str:
        """Words for CaptureNotes.proxied; empty for headers taken from the wire."""
        return PROXIED if self.inside_vpn else ""

    def uids(self, batch: Batch) -> npt.NDArray[np.int32] | None:
        """UID of each packet of the batch, by comment or trailer; -1 unknown, None when nothing says."""
        found, apps = trailer_uids(batch.data, batch.offset, batch.offset + batch.caplen, batch.linktype)
        for uid, name in apps.items():
            if len(self.apps) < MAX_APPS:
                self.apps.setdefault(uid, name)
        if found is None or batch.uid is None:
            return batch.uid if found is None else found
        return np.where(batch.uid >= 0, batch.uid, found)

    def see(self, packets: PacketTable, book: AddressBook) -> None:
        """Note whether the packets of a batch come from inside PCAPdroid's VPN."""
        if self.inside_vpn:
            return
        mine = [found for address in VPN_ADDRESSES if (found := book.find(address)) is not None]
        self.inside_vpn = any((packets[end] == one).any() for one in mine for end in ("src", "dst"))
