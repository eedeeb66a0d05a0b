"""Frames of every link layer, packed from their standards, and what is in them; tshark reads them the same way."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from tests.decode.build import ipv4, ipv6, tcp

FOUR = ipv4(tcp(b"hello"), 6)
SIX = ipv6(tcp(b"hello"), 6)
MACS = bytes.fromhex("001b21aabbcc001b21ddeeff")
NOT_IP, BAD, DEEP, SECRET = "not_ip", "bad_link_header", "link_depth_limit", "encrypted_wifi"


@dataclass(frozen=True)
class Case:
    name: str
    linktype: int
    frame: bytes
    found: str
    """The versions of the IP packets inside, such as ``4`` or ``46``; or the class that the frame is counted in."""
    unlike_tshark: str = ""
    """Why tshark sees something else."""

    @property
    def inside(self) -> list[int]:
        return [int(digit) for digit in self.found] if self.found.isdigit() else []


def frame(head: str, inner: bytes = FOUR) -> bytes:
    return bytes.fromhex(head) + inner


def eth(ethertype: int, payload: bytes) -> bytes:
    return MACS + struct.pack(">H", ethertype) + payload


def llc(payload: bytes = FOUR, number: int = 0x0800, oui: str = "000000", control: str = "03") -> bytes:
    return bytes.fromhex("aaaa" + control + oui) + struct.pack(">H", number) + payload


def length(payload: bytes, size: int | None = None) -> bytes:
    """IEEE 802.3: the length in place of the type."""
    return eth(len(payload) if size is None else size, payload)


def label(number: int, *, last: bool = True) -> bytes:
    return struct.pack(">I", number << 12 | last << 8 | 64)


def pppoe(payload: bytes, size: int | None = None) -> bytes:
    return struct.pack(">BBHH", 0x11, 0, 5, len(payload) if size is None else size) + payload


IP_IN_PPP = b"\x00\x21" + FOUR
ETHERNET = [
    Case("plain", 1, eth(0x0800, FOUR), "4"),
    Case("plain-6", 1, eth(0x86DD, SIX), "6"),
    Case("arp", 1, eth(0x0806, bytes(28)), NOT_IP),
    Case("802.1q", 1, eth(0x8100, frame("00050800")), "4"),
    Case("802.1ad", 1, eth(0x88A8, frame("0005810000060800")), "4"),
    Case("9100", 1, eth(0x9100, frame("0005810000068100000786dd", SIX)), "6"),
    Case("9200", 1, eth(0x9200, frame("00050800")), "4", "not in its preferences unless set"),
    Case("802.1br", 1, eth(0x893F, frame("0000000100000800")), "4"),
    Case("cisco-meta-data", 1, eth(0x8909, frame("0101000100050800")), "4"),
    Case("802.1ah", 1, eth(0x88E7, frame("00000005", eth(0x0800, FOUR))), "4"),
    Case("bridged-as-ethertype", 1, eth(0x6558, eth(0x0800, FOUR)), "4"),
    Case("snap", 1, length(llc()), "4"),
    Case("snap-6", 1, length(llc(SIX, 0x86DD)), "6"),
    Case("snap-cisco", 1, length(llc(oui="0000f8")), "4"),
    Case("snap-other-oui", 1, length(llc(oui="00000c")), NOT_IP),
    Case("snap-in-an-i-frame", 1, length(llc(control="0000")), "4"),
    Case("snap-in-an-s-frame", 1, length(llc(control="0100")), NOT_IP),
    Case("snap-final-bit", 1, length(llc(control="13")), NOT_IP),
    Case("snap-odd-saps", 1, length(b"\xab\xab" + llc()[2:]), NOT_IP),
    Case("snap-vlan", 1, length(llc(frame("00050800"), 0x8100)), "4"),
    Case("snap-bridged", 1, length(llc(bytes(2) + eth(0x0800, FOUR), 7, "0080c2")), "4"),
    Case("snap-bridged-with-fcs", 1, length(llc(bytes(2) + eth(0x0800, FOUR) + bytes(4), 1, "0080c2")), "4"),
    Case("snap-bridged-spanning-tree", 1, length(llc(bytes(35), 14, "0080c2")), NOT_IP),
    Case("llc-ip", 1, length(frame("060603")), "4"),
    Case("llc-ip-6", 1, length(frame("060603", SIX)), "6"),
    Case("llc-spanning-tree", 1, length(frame("424203", bytes(35))), NOT_IP),
    Case("novell", 1, length(frame("ffff", bytes(28))), NOT_IP),
    Case("length-too-long", 1, length(llc(), 1400), "4"),
    Case("length-of-nothing", 1, length(llc(), 0), NOT_IP),
    Case("length-within-llc", 1, length(llc(), 5), BAD),
    Case("neither-length-nor-type", 1, eth(1501, llc()), NOT_IP),
    Case("length-behind-a-tag", 1, eth(0x8100, struct.pack(">HH", 5, len(llc())) + llc()), "4"),
    Case("mpls", 1, eth(0x8847, label(100) + FOUR), "4"),
    Case("mpls-6", 1, eth(0x8848, label(100) + SIX), "6"),
    Case("mpls-stack", 1, eth(0x8847, label(100, last=False) * 3 + label(16) + FOUR), "4"),
    Case("mpls-explicit-null", 1, eth(0x8847, label(0) + FOUR), "4"),
    Case("mpls-explicit-null-6", 1, eth(0x8847, label(2) + SIX), "6"),
    Case("mpls-associated-channel", 1, eth(0x8847, label(13) + FOUR), NOT_IP),
    Case("mpls-oam", 1, eth(0x8847, label(14) + FOUR), NOT_IP),
    Case("mpls-unknown-payload", 1, eth(0x8847, label(100) + b"\x50" + FOUR), NOT_IP),
    Case("mpls-without-end", 1, eth(0x8847, label(100, last=False)), BAD),
    Case("pseudowire", 1, eth(0x8847, label(100) + frame("00000000", eth(0x0800, FOUR))), "4"),
    Case("pseudowire-numbered", 1, eth(0x8847, label(100) + frame("00000007", eth(0x86DD, SIX))), "6"),
    Case("pseudowire-without-control-word", 1, eth(0x8847, label(100) + eth(0x0800, FOUR)), "4"),
    Case("pseudowire-of-nothing-known", 1, eth(0x8847, label(100) + eth(0x88CC, bytes(40))), NOT_IP),
    Case("pppoe", 1, eth(0x8864, pppoe(IP_IN_PPP)), "4"),
    Case("pppoe-6", 1, eth(0x8864, pppoe(b"\x00\x57" + SIX)), "6"),
    Case("pppoe-vlan-padded", 1, eth(0x8100, b"\0\5\x88\x64" + pppoe(IP_IN_PPP) + bytes(9)), "4"),
    Case("pppoe-lcp", 1, eth(0x8864, pppoe(b"\xc0\x21" + bytes(8))), NOT_IP),
    Case("pppoe-empty", 1, eth(0x8864, pppoe(IP_IN_PPP, 0)), BAD),
    Case("pppoe-discovery", 1, eth(0x8863, pppoe(bytes(20))), NOT_IP),
]


def ppp_cases(linktype: int, before: str) -> list[Case]:
    """The same frames wherever PPP is framed as in HDLC; ``before`` is what the link layer has besides."""
    kinds = [
        ("plain", frame("0021"), "4"),
        ("plain-6", frame("0057", SIX), "6"),
        ("framed", frame("ff030021"), "4"),
        ("framed-6", frame("ff030057", SIX), "6"),
        ("short", frame("21"), "4"),
        ("framed-short", frame("ff0357", SIX), "6"),
        ("address-alone", frame("ff0021"), "4"),
        ("4-says-6", frame("0021", SIX), "6"),
        ("mpls", frame("ff030281", label(100) + FOUR), "4"),
        ("mpls-multicast", frame("0283", label(100) + FOUR), "4"),
        ("bridged", frame("00310001", eth(0x0800, FOUR)), "4"),
        ("bridged-token-ring", frame("00310002", bytes(40)), NOT_IP),
        ("multilink", frame("003dc0000001", IP_IN_PPP), "4"),
        ("multilink-middle", frame("003d00000001", bytes(60)), NOT_IP),
        ("lcp", frame("ff03c021", bytes(8)), NOT_IP),
        ("hdlc-flag", frame("7eff030021"), NOT_IP),
        ("cisco", frame("0f000800"), "4"),
        ("cisco-broadcast", frame("8f000800"), "4"),
    ]
    return [Case(f"{name}-{linktype}", linktype, frame(before, raw), found) for name, raw, found in kinds]


PPP = [
    *ppp_cases(9, ""),
    *ppp_cases(50, ""),
    *ppp_cases(204, "00"),
    Case("pppd-in", 166, frame("00030021"), "4", "it has no such link type"),
    Case("pppd-out", 166, frame("01030057", SIX), "6", "it has no such link type"),
    Case("pppd-lcp", 166, frame("0103c021", bytes(8)), NOT_IP),
    Case("pppoe-alone", 51, pppoe(IP_IN_PPP), "4"),
    Case("chdlc", 104, frame("0f000800"), "4"),
    Case("chdlc-6", 104, frame("0f0086dd", SIX), "6"),
    Case("chdlc-broadcast", 104, frame("8f000800"), "4"),
    Case("chdlc-mpls", 104, frame("0f008847", label(100) + FOUR), "4"),
    Case("chdlc-bridged", 104, frame("0f006558", eth(0x0800, FOUR)), "4"),
    Case("chdlc-slarp", 104, frame("8f008035", bytes(18)), NOT_IP),
    Case("relay-cisco", 107, frame("18410800"), "4"),
    Case("relay-cisco-6", 107, frame("184186dd", SIX), "6"),
    Case("relay-nlpid", 107, frame("184103cc"), "4"),
    Case("relay-nlpid-6", 107, frame("1841038e", SIX), "6"),
    Case("relay-padded", 107, frame("18410300cc"), "4"),
    Case("relay-snap", 107, frame("18410300800000000800"), "4"),
    Case("relay-snap-6", 107, frame("184103800000 0086dd", SIX), "6"),
    Case("relay-ppp", 107, frame("184103cf0021"), "4"),
    Case("relay-three-bytes", 107, frame("18400103cc"), "4"),
    Case("relay-four-bytes", 107, frame("1840000103cc"), "4"),
    Case("relay-lmi", 107, frame("000103087500", bytes(12)), NOT_IP),
    Case("mpls-alone", 219, label(100) + FOUR, "4", "it has no such link type"),
    Case("atm", 100, llc(), "4"),
]


def sll(payload: bytes, protocol: int, hardware: int = 1) -> bytes:
    return struct.pack(">HHH8sH", 0, hardware, 6, bytes(8), protocol) + payload


def sll2(payload: bytes, protocol: int, hardware: int = 1) -> bytes:
    return struct.pack(">HHIHBB8s", protocol, 0, 2, hardware, 0, 6, bytes(8)) + payload


def radiotap(payload: bytes, *words: int, fields: bytes = b"", size: int | None = None) -> bytes:
    """Words of present bits, the fields behind them (their alignment written out), and a frame."""
    body = b"".join(struct.pack("<I", word) for word in words or (0,)) + fields
    return struct.pack("<BBH", 0, 0, 4 + len(body) if size is None else size) + body + payload


def wifi(payload: bytes, control: str, *, behind: str = "", fragment: int = 0) -> bytes:
    """``behind`` are the fields after the sequence control: fourth address, QoS, HT."""
    ends = b"".join(bytes([0, 0x1B, 0x21, 0, 0, n]) for n in (1, 2, 3))
    sequence = struct.pack("<H", 0x10 | fragment)
    return bytes.fromhex(control) + bytes(2) + ends + sequence + bytes.fromhex(behind) + payload


DATA = wifi(llc(), "0801")


def cooked_cases(linktype: int, cook) -> list[Case]:
    kinds = [
        ("ip", cook(FOUR, 0x0800), "4"),
        ("ip-6", cook(SIX, 0x86DD), "6"),
        ("vlan", cook(frame("00050800"), 0x8100), "4"),
        ("mpls", cook(label(100) + FOUR, 0x8847), "4"),
        ("pppoe", cook(pppoe(IP_IN_PPP), 0x8864), "4"),
        ("ethernet", cook(eth(0x0800, FOUR), 3), "4"),
        ("llc", cook(llc(), 4), "4"),
        ("ppp", cook(frame("ff030021"), 7), "4"),
        ("gre", cook(FOUR, 0x0800, 778), "4"),
        ("radiotap", cook(radiotap(DATA), 4, 803), "4"),
        ("arp", cook(bytes(28), 0x0806), NOT_IP),
        ("novell", cook(bytes(60), 1), NOT_IP),
    ]
    return [Case(f"{name}-{linktype}", linktype, raw, found) for name, raw, found in kinds]


NFLOG_PACKET = struct.pack("<HH", 4 + len(FOUR), 9) + FOUR
NFLOG_PREFIX = "0b000a00" + "70726566697800" + "00"
FIXED = [
    *cooked_cases(113, sll),
    *cooked_cases(276, sll2),
    Case("null-little", 0, frame("02000000"), "4"),
    Case("null-big", 0, frame("00000002"), "4"),
    *(
        Case(f"null-6-{head}", 0, frame(head, SIX), "6")
        for head in ("18000000", "1c000000", "1e000000", "00000018", "0000001c", "0000001e", "000086dd")
    ),
    *(
        Case(f"null-odd-{head}", 0, frame(head), "4")
        for head in ("00020000", "00000200", "00000800", "00080000")
    ),
    Case("null-ppp", 0, frame("ff030021"), "4"),
    Case("null-osi", 0, frame("07000000"), NOT_IP),
    Case("null-swapped-family", 0, frame("02010000"), NOT_IP),
    Case("null-neither", 0, frame("45000000"), NOT_IP),
    Case("loop", 108, frame("00000002"), "4"),
    *(Case(f"loop-6-{head}", 108, frame(head, SIX), "6") for head in ("00000018", "0000001c", "0000001e")),
    Case("loop-little", 108, frame("02000000"), NOT_IP),
    *(Case(f"raw-{number}", number, FOUR, "4") for number in (12, 14, 101, 228)),
    *(Case(f"raw-6-{number}", number, SIX, "6") for number in (12, 14, 101, 229)),
    Case("enc-little", 109, frame("02000000 00000001 00000000"), "4"),
    Case("enc-big", 109, frame("00000002 00000001 00000000"), "4"),
    Case("pflog", 117, frame("3d020000" + "00" * 60), "4"),
    Case("pflog-6", 117, frame("3d180000" + "00" * 60, SIX), "6"),
    Case("nflog", 239, frame("02000005", NFLOG_PACKET), "4"),
    Case("nflog-6", 239, frame("0a000005", struct.pack("<HH", 4 + len(SIX), 9) + SIX), "6"),
    Case("nflog-more-before", 239, frame("02000005 08000100 0800 0300" + NFLOG_PREFIX, NFLOG_PACKET), "4"),
    Case("nflog-more-behind", 239, frame("02000005", NFLOG_PACKET + bytes(3) + bytes.fromhex(NFLOG_PREFIX)), "4"),
    Case("nflog-bridge", 239, frame("07000005 08000100 0800 0300", NFLOG_PACKET), "4"),
    Case("nflog-bridge-arp", 239, frame("07000005 08000100 0806 0300", NFLOG_PACKET), NOT_IP),
    Case("nflog-bridge-untold", 239, frame("07000005", NFLOG_PACKET), NOT_IP),
    Case("nflog-without-packet", 239, frame("02000005" + NFLOG_PREFIX, b""), BAD),
    Case("nflog-too-long", 239, frame("02000005 ff030900"), BAD),
    Case("nflog-shorter-than-its-header", 239, frame("02000005 03000900"), BAD),
    Case("nflog-big-endian", 239, frame("02000005 002c0009"), BAD),
]  # fmt: skip


def subframe(payload: bytes, *, padded: bool = True) -> bytes:
    whole = MACS + struct.pack(">H", len(payload)) + payload
    return whole + bytes(-len(whole) % 4 if padded else 0)


def aggregate(*payloads: bytes, behind: bytes = b"", control: str = "8801") -> bytes:
    frames = [subframe(one) for one in payloads[:-1]] + [subframe(payloads[-1], padded=False)]
    return wifi(b"".join(frames) + behind, control, behind="8000")


def ppi(payload: bytes, linktype: int, fields: str = "", size: int | None = None) -> bytes:
    more = bytes.fromhex(fields)
    return struct.pack("<BBHI", 0, 0, 8 + len(more) if size is None else size, linktype) + more + payload


QOS_PADDED = wifi(bytes(2) + llc(), "8801", behind="0000")
FOURTH = "001b21000004"
WIRELESS = [
    Case("data", 105, wifi(llc(), "0800"), "4"),
    Case("data-6", 105, wifi(llc(SIX, 0x86DD), "0802"), "6"),
    Case("four-addresses", 105, wifi(llc(), "0803", behind=FOURTH), "4"),
    Case("qos", 105, wifi(llc(), "8801", behind="0000"), "4"),
    Case("qos-four-addresses", 105, wifi(llc(), "8803", behind=FOURTH + "0000"), "4"),
    Case("qos-ht-control", 105, wifi(llc(), "8881", behind="0000 00000000"), "4"),
    Case("order-without-qos", 105, wifi(llc(), "0881"), "4"),
    Case("cf-ack", 105, wifi(llc(), "1800"), "4"),
    Case("cf-poll", 105, wifi(llc(), "2800"), "4"),
    Case("qos-cf-ack-cf-poll", 105, wifi(llc(), "b800", behind="0000"), "4"),
    Case("retry-power-more-data", 105, wifi(llc(), "0839"), "4"),
    Case("null-function", 105, wifi(b"", "4801"), NOT_IP),
    Case("qos-null", 105, wifi(b"", "c801", behind="0000"), NOT_IP),
    Case("qos-reserved", 105, wifi(llc(), "d801", behind="0000"), NOT_IP),
    Case("beacon", 105, wifi(bytes(40), "8000"), NOT_IP),
    Case("ack", 105, bytes.fromhex("d4000000001b21000001"), NOT_IP),
    Case("other-version", 105, wifi(llc(), "0901"), NOT_IP),
    Case("protected", 105, wifi(llc(), "0841"), SECRET),
    Case("protected-qos", 105, wifi(llc(), "8841", behind="0000"), SECRET),
    Case("first-piece", 105, wifi(llc(), "0805"), NOT_IP),
    Case("last-piece", 105, wifi(bytes(60), "0801", fragment=1), NOT_IP, "it puts the pieces together"),
    Case("aggregate-of-one", 105, aggregate(llc()), "4"),
    Case("aggregate", 105, aggregate(llc(), llc(SIX, 0x86DD), llc()), "464"),
    Case("aggregate-fcs", 105, aggregate(llc(), llc(), behind=bytes(4)), "44"),
    Case("aggregate-four-addresses", 105, wifi(subframe(llc()) * 2, "8803", behind=FOURTH + "8000"), "44"),
    Case("aggregate-protected", 105, aggregate(llc(), llc(), control="8841"), SECRET),
    Case("aggregate-of-nothing", 105, aggregate(b"", llc()), NOT_IP),
    Case("radiotap", 127, radiotap(DATA), "4"),
    Case("radiotap-flags", 127, radiotap(DATA, 2, fields=b"\0"), "4"),
    Case("radiotap-fcs", 127, radiotap(DATA + bytes(4), 2, fields=b"\x10"), "4"),
    Case("radiotap-bad-fcs", 127, radiotap(DATA + bytes(4), 2, fields=b"\x50"), "4"),
    Case("radiotap-padding", 127, radiotap(QOS_PADDED, 2, fields=b"\x20"), "4"),
    Case("radiotap-padding-none-needed", 127, radiotap(DATA, 2, fields=b"\x20"), "4"),
    Case("radiotap-time", 127, radiotap(QOS_PADDED, 3, fields=bytes(8) + b"\x20"), "4"),
    Case("radiotap-two-words", 127, radiotap(QOS_PADDED, 1 << 31 | 2, 0, fields=b"\x20"), "4"),
    Case("radiotap-two-words-time", 127, radiotap(QOS_PADDED, 1 << 31 | 3, 0, fields=bytes(12) + b"\x20"), "4"),
    Case("radiotap-three-words", 127, radiotap(QOS_PADDED, 1 << 31 | 3, 1 << 31, 0, fields=bytes(8) + b"\x20"), "4"),
    Case("radiotap-protected", 127, radiotap(wifi(llc(), "0841")), SECRET),
    Case("radiotap-too-long", 127, radiotap(DATA, size=900), BAD),
    Case("radiotap-too-short", 127, radiotap(DATA, size=7), BAD),
    Case("ppi", 192, ppi(DATA, 105), "4"),
    Case("ppi-fields", 192, ppi(DATA, 105, "02001400" + "00" * 20), "4"),
    Case("ppi-ethernet", 192, ppi(eth(0x0800, FOUR), 1), "4"),
    Case("ppi-raw", 192, ppi(FOUR, 101), "4"),
    Case("ppi-radiotap", 192, ppi(radiotap(DATA), 127), "4"),
    Case("ppi-ppi", 192, ppi(ppi(DATA, 105), 192), "4"),
    Case("ppi-too-long", 192, ppi(DATA, 105, size=1000), BAD),
    Case("ppi-impossible-link-type", 192, ppi(DATA, 0x10069), BAD),
    Case("prism", 119, frame("44000000 90000000" + "00" * 136, DATA), "4"),
    Case("prism-big", 119, frame("00000044 00000090" + "00" * 136, DATA), "4"),
    Case("prism-41", 119, frame("41000000 90000000" + "00" * 136, DATA), "4"),
    Case("prism-avs", 119, frame("80211001 00000040" + "00" * 56, DATA), "4"),
    Case("prism-plain", 119, DATA, "4"),
    Case("avs", 163, frame("80211001 00000040" + "00" * 56, DATA), "4"),
    Case("avs-2", 163, frame("80211002 00000050" + "00" * 72, DATA), "4"),
    Case("avs-too-long", 163, frame("80211001 00000900" + "00" * 56, DATA), BAD),
]  # fmt: skip
