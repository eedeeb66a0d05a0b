"""The protocols that a flow may be said to speak: the one list, from which the documentation is made."""

# ruff: noqa: E501 - one line a protocol
from __future__ import annotations

from typing import Final, NamedTuple


class Known(NamedTuple):
    """One protocol."""

    word: str
    """As it stands in the column ``protocol``."""
    title: str
    transport: str
    told_by: str
    gives: str
    """Tables and columns of the flow table."""
    source: str
    """Name and link of the standard, or of the best description there is."""
    tcp_ports: tuple[int, ...] = ()
    udp_ports: tuple[int, ...] = ()
    """Servers' ports that are believed where nothing of the flow's beginning was seen."""
    tunnel: bool = False
    """Its conversations carry packets that have flows of their own."""


def _rfc(*numbers: int) -> str:
    return ", ".join(f"[RFC {number}](https://www.rfc-editor.org/rfc/rfc{number})" for number in numbers)


_HANDSHAKE: Final = "`handshake_…`"
_WORD: Final = ""

# One line a protocol: a formatter would make ten of each.
# fmt: off
PROTOCOLS: Final[tuple[Known, ...]] = (
    Known("tls", "TLS", "TCP", "ClientHello, ServerHello, or records of a connection whose beginning is missing", "table `tls`, `sni`, `alpn`, `ja3`, `ja4`, `tls_…`", _rfc(8446, 5246), (443, 465, 563, 636, 853, 989, 990, 992, 993, 994, 995, 5223, 5228, 8443)),
    Known("dtls", "DTLS", "UDP", "hello, or record header", "table `tls`", _rfc(9147, 6347)),
    Known("quic", "QUIC", "UDP", "Initial packet that can be decrypted, or a long header of a known version; by port: short headers", "table `quic`, `sni`, `alpn`, `ja4`, `quic_…`", _rfc(9000, 9369), (), (443,)),
    Known("dns", "DNS", "UDP, TCP", "port 53 and a header that makes sense; over TCP a query behind its length", "table `dns`", _rfc(1035, 7766), (53,)),
    Known("mdns", "Multicast DNS", "UDP", "port 5353 and such a header", "table `dns`", _rfc(6762)),
    Known("llmnr", "LLMNR", "UDP", "port 5355 and such a header", "table `dns`", _rfc(4795)),
    Known("http", "HTTP/1", "TCP", "request or status line", "table `http`", _rfc(9112), (80, 8080)),
    Known("http-proxy", "HTTP tunnel", "TCP", "the request CONNECT", "table `http`", _rfc(9110), (3128,)),
    Known("stun", "STUN and TURN", "UDP, TCP", "magic cookie and length; without cookie at ports 3478, 3479 and 19302; WhatsApp's own types too", "table `call`", _rfc(8489, 8656)),
    Known("rtp", "RTP and RTCP, encrypted or not", "UDP", "behaviour: version, source and sequence numbers that go on", "table `call`", _rfc(3550, 3711)),
    Known("whatsapp", "WhatsApp chat", "TCP", "`WA` with a version, or the routing prefix `ED` before it, then a Noise hello (until 2017: FunXMPP)", _HANDSHAKE, "[Noise](https://noiseprotocol.org/noise.html)", (5222,)),
    Known("mtproto", "Telegram MTProto", "TCP", "tag of the transport (abridged, intermediate, padded, full) and a first packet that fits it; obfuscated: `protocol_possible` only", _HANDSHAKE, "[transports](https://core.telegram.org/mtproto/mtproto-transports)"),
    Known("telegram-call", "Telegram call", "UDP", "a tag of 16 bytes and twelve bytes 0xff, at ports 500 to 600", _WORD, "captures of nDPI"),
    Known("mmtls", "WeChat MMTLS", "TCP", "records of version 0xf103 or 0xf104; inside HTTP: `POST /mmtls/`", _HANDSHAKE, "[Citizen Lab 2024](https://citizenlab.ca/2024/10/should-we-chat-too-security-analysis-of-wechats-mmtls-encryption-protocol/)"),
    Known("viber", "Viber", "TCP, UDP", "length and marks at fixed places; over UDP also port 5243, 7985, 7987 or 9785", _HANDSHAKE, "captures of nDPI", (4244, 5242)),
    Known("wireguard", "WireGuard", "UDP", "type and the length that goes with it", _HANDSHAKE, "[protocol](https://www.wireguard.com/protocol/)"),
    Known("openvpn", "OpenVPN", "UDP, TCP", "hard reset of the client whose every field fits (plain, tls-auth, tls-crypt, tls-crypt-v2)", _HANDSHAKE, "[draft](https://www.ietf.org/archive/id/draft-openvpn-openvpn-wire-protocol-00.html)", (1194,)),
    Known("ike", "IKE, and ESP in UDP", "UDP", "ports 500 and 4500 and a header that fits; ESP alone by its port and counter", _HANDSHAKE, _rfc(7296, 2409, 3948)),
    Known("l2tp", "L2TP", "UDP", "control messages at port 1701", _HANDSHAKE, _rfc(2661, 3931)),
    Known("pptp", "PPTP", "TCP", "magic cookie of a Start-Control-Connection-Request", _HANDSHAKE, _rfc(2637), (1723,)),
    Known("ssh", "SSH", "TCP", "identification string of either side", _HANDSHAKE, _rfc(4253), (22,)),
    Known("tor", "Tor", "TCP", "never said for certain: `protocol_possible` where a TLS name is made up and no ALPN is offered", "`protocol_possible`", "[spec](https://spec.torproject.org/tor-spec/negotiating-channels.html)"),
    Known("socks", "SOCKS 4 and 5", "TCP", "greeting and the version in its answer", _WORD, _rfc(1928), (1080,)),
    Known("smtp", "SMTP", "TCP", "220 with EHLO, HELO or the word SMTP", _WORD, _rfc(5321), (25, 587)),
    Known("imap", "IMAP", "TCP", "`* OK` of the server", _WORD, _rfc(9051), (143,)),
    Known("pop3", "POP3", "TCP", "`+OK` of the server", _WORD, _rfc(1939), (110,)),
    Known("ftp", "FTP control", "TCP", "220 with USER or the word FTP", _WORD, _rfc(959), (21,)),
    Known("telnet", "Telnet", "TCP", "options of either side", _WORD, _rfc(854), (23,)),
    Known("xmpp", "XMPP", "TCP", "`<?xml` or `<stream:stream`", _WORD, _rfc(6120)),
    Known("mqtt", "MQTT", "TCP", "CONNECT with the name of the protocol", _WORD, "[MQTT 5](https://docs.oasis-open.org/mqtt/mqtt/v5.0/mqtt-v5.0.html)", (1883,)),
    Known("rtsp", "RTSP", "TCP", "request or status line", _WORD, _rfc(7826), (554,)),
    Known("sip", "SIP", "UDP, TCP", "request or status line", _WORD, _rfc(3261), (5060,)),
    Known("smb", "SMB", "TCP", "`SMB` behind a length", _WORD, "[MS-SMB2](https://learn.microsoft.com/openspecs/windows_protocols/ms-smb2/)", (445,)),
    Known("rdp", "Remote Desktop", "TCP", "connection request of X.224", _WORD, "[MS-RDPBCGR](https://learn.microsoft.com/openspecs/windows_protocols/ms-rdpbcgr/)", (3389,)),
    Known("vnc", "VNC", "TCP", "`RFB` of the server", _WORD, _rfc(6143), (5900,)),
    Known("bittorrent", "BitTorrent", "TCP, UDP", "name of the protocol; over UDP its hash table", _WORD, "[BEP 3](https://www.bittorrent.org/beps/bep_0003.html)"),
    Known("dhcp", "DHCP", "UDP", "ports 67 and 68 and a header that fits", _WORD, _rfc(2131)),
    Known("dhcpv6", "DHCPv6", "UDP", "ports 546 and 547 and a known message", _WORD, _rfc(8415)),
    Known("ntp", "NTP", "UDP", "port 123, version and mode", _WORD, _rfc(5905)),
    Known("ssdp", "SSDP", "UDP", "port 1900 and its three first lines", _WORD, "[UPnP](https://openconnectivity.org/upnp-specs/UPnP-arch-DeviceArchitecture-v2.0-20200417.pdf)"),
    Known("netbios", "NetBIOS", "UDP, TCP", "names and datagrams: ports 137 and 138 and a header that fits; sessions by port", _WORD, _rfc(1002), (139,)),
    Known("radius", "RADIUS", "UDP", "its ports, code and length", _WORD, _rfc(2865)),
    Known("snmp", "SNMP", "UDP", "ports 161 and 162 and a version", _WORD, _rfc(3416)),
    Known("rip", "RIP", "UDP", "port 520 and a header that fits", _WORD, _rfc(2453)),
    Known("tftp", "TFTP", "UDP", "a request to port 69", _WORD, _rfc(1350)),
    Known("syslog", "Syslog", "UDP", "port 514 and a priority", _WORD, _rfc(5424)),
    Known("gtp-u", "GTP-U", "UDP", "port 2152 and a packet inside", "`carrier`", "[TS 29.281](https://www.3gpp.org/dynareport/29281.htm)", (), (2152,), tunnel=True),
    Known("vxlan", "VXLAN", "UDP", "port 4789 and a packet inside", "`carrier`", _rfc(7348), (), (4789,), tunnel=True),
    Known("geneve", "Geneve", "UDP", "port 6081 and a packet inside", "`carrier`", _rfc(8926), (), (6081,), tunnel=True),
    Known("teredo", "Teredo", "UDP", "a packet inside, whose address agrees", "`carrier`", _rfc(4380), (), (3544,), tunnel=True),
    Known("tunnel", "Any other tunnel over UDP", "UDP", "a packet inside", "`carrier`", "see the table of tunnels", tunnel=True),
    Known("spotify-connect", "Spotify Connect", "UDP", "`SpotUdp0`", _WORD, "captures of nDPI"),
    Known("dropbox-lan", "Dropbox LAN sync", "UDP", "port 17500 and JSON", _WORD, "captures of nDPI"),
)
# fmt: on

WORDS: Final = frozenset(known.word for known in PROTOCOLS)

SOURCES: Final[dict[str, str]] = {
    "client_hello": "a whole ClientHello (TLS or DTLS)",
    "server_hello": "a ServerHello, where the ClientHello is missing",
    "records": "TLS records, in a connection whose beginning is missing",
    "quic_initial": "a QUIC Initial packet that was decrypted",
    "handshake": "the first message of a messenger's or VPN's handshake, every field of it",
    "messages": "messages that were read whole: STUN",
    "first_bytes": "the first bytes of either side",
    "behaviour": "how the packets go on: RTP",
    "tunnel": "packets that were found inside",
    "port": "the server's port, where nothing of the flow's beginning was seen: the weakest",
}
"""What the column ``protocol_source`` may say."""
