"""Which header comes next: by link type, by EtherType, by PPP's protocol number."""

from __future__ import annotations

from enum import Enum, auto
from typing import Final

BY_NIBBLE: Final = 0
"""IP comes next, of the version that its own header says."""


class Header(Enum):
    """Kinds of header that a reader exists for."""

    ETHERNET = auto()
    TAG = auto()
    LONG_TAG = auto()
    BACKBONE = auto()
    LLC = auto()
    MPLS = auto()
    CHDLC = auto()
    FRAME_RELAY = auto()
    PPP = auto()
    PPP_DIRECTION = auto()
    PPPD = auto()
    PPPOE = auto()
    SLL = auto()
    SLL2 = auto()
    NULL = auto()
    LOOP = auto()
    ENC = auto()
    PFLOG = auto()
    NFLOG = auto()
    WIFI = auto()
    PADDED_WIFI = auto()
    RADIOTAP = auto()
    PPI = auto()
    PRISM = auto()
    AVS = auto()


_LINKTYPES: Final[dict[int, tuple[str, str, Header | int]]] = {
    0: ("BSD loopback", "NULL", Header.NULL),
    1: ("Ethernet", "ETHERNET", Header.ETHERNET),
    9: ("PPP", "PPP", Header.PPP),
    12: ("raw IP", "RAW", BY_NIBBLE),
    14: ("raw IP", "RAW", BY_NIBBLE),
    50: ("PPP", "PPP_HDLC", Header.PPP),
    51: ("PPPoE", "PPP_ETHER", Header.PPPOE),
    100: ("LLC in ATM", "ATM_RFC1483", Header.LLC),
    101: ("raw IP", "RAW", BY_NIBBLE),
    104: ("Cisco HDLC", "C_HDLC", Header.CHDLC),
    105: ("802.11", "IEEE802_11", Header.WIFI),
    107: ("frame relay", "FRELAY", Header.FRAME_RELAY),
    108: ("OpenBSD loopback", "LOOP", Header.LOOP),
    109: ("BSD's IPsec interface", "ENC", Header.ENC),
    113: ("Linux cooked capture", "LINUX_SLL", Header.SLL),
    117: ("log of BSD's packet filter", "PFLOG", Header.PFLOG),
    119: ("802.11 behind a Prism header", "IEEE802_11_PRISM", Header.PRISM),
    127: ("802.11 behind a radiotap header", "IEEE802_11_RADIOTAP", Header.RADIOTAP),
    163: ("802.11 behind an AVS header", "IEEE802_11_AVS", Header.AVS),
    166: ("PPP of pppd", "PPP_PPPD", Header.PPPD),
    192: ("any other behind a PPI header", "PPI", Header.PPI),
    204: ("PPP behind a byte for the direction", "PPP_WITH_DIR", Header.PPP_DIRECTION),
    219: ("MPLS", "MPLS", Header.MPLS),
    228: ("raw IPv4", "IPV4", 4),
    229: ("raw IPv6", "IPV6", 6),
    239: ("log of Linux's netfilter", "NFLOG", Header.NFLOG),
    276: ("Linux cooked capture v2", "LINUX_SLL2", Header.SLL2),
}
LINKTYPES: Final[dict[int, str]] = {number: name for number, (name, _, _) in _LINKTYPES.items()}
"""LINKTYPE_ value (https://www.tcpdump.org/linktypes.html) of every link layer that is read → its name."""
LINKTYPE_NAMES: Final = {number: name for number, (_, name, _) in _LINKTYPES.items()}
"""The same → what follows ``LINKTYPE_`` in its constant."""
BY_LINKTYPE: Final = {number: header for number, (_, _, header) in _LINKTYPES.items()}
"""The header that a frame of that link type begins with, or the version of IP."""
BY_ETHERTYPE: Final = {
    0x8100: Header.TAG,  # IEEE 802.1Q
    0x88A8: Header.TAG,  # IEEE 802.1ad
    0x9100: Header.TAG,  # what switches wrote on the outer tag before 802.1ad
    0x9200: Header.TAG,
    0x893F: Header.LONG_TAG,  # IEEE 802.1BR
    0x8909: Header.LONG_TAG,  # Cisco's meta data
    0x88E7: Header.BACKBONE,  # IEEE 802.1ah
    0x8847: Header.MPLS,  # RFC 3032
    0x8848: Header.MPLS,
    0x8864: Header.PPPOE,  # RFC 2516
    0x880B: Header.PPP,  # in GRE: RFC 2637
    0x6558: Header.ETHERNET,  # transparent Ethernet bridging, in GRE and Geneve: RFC 1701
}
"""What follows besides IP; what is known here is known behind MPLS too."""
BETWEEN: Final = (
    ("tags", "VLAN (IEEE 802.1Q, 802.1ad, QinQ), port (802.1BR), backbone (802.1ah), Cisco's meta data",
     "EtherType `8100`, `88a8`, `9100`, `9200`; `893f`; `88e7`; `8909`"),
    ("LLC, SNAP", "IEEE 802.2, RFC 1042", "a length in place of the EtherType; 802.11"),
    ("MPLS", "labels (RFC 3032), then IP, or Ethernet as a pseudowire (RFC 4448)", "EtherType `8847`, `8848`; PPP"),
    ("PPPoE", "sessions (RFC 2516)", "EtherType `8864`"),
    ("A-MSDU", "several packets in one 802.11 frame that is not encrypted", "the QoS field"),
)  # fmt: skip
"""What is taken off between a link layer and IP: (name, what of it, what tells it)."""
