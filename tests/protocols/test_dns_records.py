from __future__ import annotations

import contextlib
import json
import struct
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forensics.protocols.dns import parse_message
from forensics.protocols.dns_records import Edns, Service, read_edns, read_service, record_text
from forensics.protocols.errors import ProtocolError

FOO = "03666f6f076578616d706c6503636f6d00"
FOO_ORG = "03666f6f076578616d706c65036f726700"


def service(hexed: str, kind: int = 65) -> Service:
    data = bytes.fromhex(hexed)
    return read_service(data, 0, len(data), kind)


@pytest.mark.parametrize(
    ("hexed", "text"),
    [
        # RFC 9460 appendix D
        ("0000" + FOO, "HTTPS 0 foo.example.com"),
        ("000100", "HTTPS 1 ."),
        ("0010" + FOO + "000300020035", "HTTPS 16 foo.example.com port=53"),
        ("0001" + FOO + "029b000568656c6c6f", "HTTPS 1 foo.example.com"),
        (
            "0001"
            + FOO
            + "00060020"
            + "20010db8000000000000000000000001"
            + "20010db8000000000000000000530001",
            "HTTPS 1 foo.example.com hint=2001:db8::1,2001:db8::53:1",
        ),
        (
            "0010" + FOO_ORG + "0000000400010004" + "000100090268320568332d3139" + "00040004c0000201",
            "HTTPS 16 foo.example.org alpn=h2,h3-19 hint=192.0.2.1",
        ),
        (
            "0010" + FOO_ORG + "0001000c08665c6f6f2c626172026832",
            r"HTTPS 16 foo.example.org alpn=f\x5coo\x2cbar,h2",
        ),
        # RFC 9460 14.3.2 keeps key 5 for it
        ("00010000050003abcdef", "HTTPS 1 . ech"),
    ],
)
def test_service_bindings(hexed: str, text: str):
    found = service(hexed)
    assert found.text == text
    assert found.whole


@pytest.mark.parametrize(
    "hexed",
    [
        "000100" + "00030002003500010003026832",  # keys out of order
        "000100" + "000300020035" * 2,  # one key twice
        "000100" + "00030001ff",  # a port of one byte
        "000100" + "00040005c000020101",  # an address and a byte
        "000100" + "00010003036832",  # an ALPN that is longer than its list
        "000100" + "0001000100",  # an empty ALPN
        "000100" + "0001000902",  # a parameter that is longer than the record
        "000100" + "0001",  # a key alone
    ],
)
def test_damaged_parameters_leave_what_stands_before_them(hexed: str):
    found = service(hexed)
    assert (found.priority, found.target, found.whole) == (1, ".", False)


@pytest.mark.parametrize("hexed", ["", "0001", "000103", "0001036162", "0001c002"])
def test_a_service_binding_without_its_target_is_an_error(hexed: str):
    with pytest.raises(ProtocolError):
        service(hexed)


def test_edns_of_rfc_6891_with_options_of_rfc_7871_and_rfc_8914():
    subnet = bytes.fromhex("0008000700011800c63364")
    blocked = struct.pack("!HHH", 15, 2, 15)
    prohibited = struct.pack("!HHH", 15, 9, 18) + b"because"
    data = subnet + blocked + prohibited
    assert read_edns(b"xx" + data, 2, len(data), 1232, 0x01008000) == Edns(
        1232, 1, 0, dnssec_ok=True, client_subnet=True, extended_errors=(15, 18)
    )
    assert read_edns(b"", 0, 0, 512, 0x00010000) == Edns(
        512, 0, 1, dnssec_ok=False, client_subnet=False, extended_errors=()
    )
    for size in range(1, len(data)):
        if size not in {len(subnet), len(subnet + blocked)}:
            with pytest.raises(ProtocolError):
                read_edns(data, 0, size, 1232, 0)


@pytest.mark.parametrize(
    ("kind", "data", "text"),
    [
        (2, b"\x02ns\x03org\x00", "NS ns.org"),
        (12, b"\x01a\x03org\x00", "PTR a.org"),
        (15, b"\x00\x0a\x02mx\x03org\x00", "MX 10 mx.org"),
        (16, b"\x07v=spf1 \x04-all", r"TXT v=spf1\x20-all"),
        (33, b"\x00\x01\x00\x02\x14\x66\x01a\x00", "SRV 1 2 5222 a"),
        (6, b"\x02ns\x00\x04root\x00" + bytes(20), "SOA ns root"),
        (99, b"\x01a", None),
    ],
)
def test_other_records(kind: int, data: bytes, text: str | None):
    assert record_text(data, 0, len(data), kind) == text
    if text is not None:
        for damaged in (data[:-1], data + b"\x00"):
            if kind != 16 or damaged == data[:-1]:  # a TXT record may hold one more string
                with pytest.raises(ProtocolError):
                    record_text(damaged, 0, len(damaged), kind)


@settings(max_examples=200)
@given(
    st.binary(max_size=40),
    st.integers(0, 12),
    st.integers(0, 40),
    st.sampled_from([2, 6, 12, 15, 16, 33, 41, 64, 65]),
)
def test_any_bytes_give_a_record_or_a_protocol_error(data: bytes, at: int, length: int, kind: int):
    length = max(0, min(length, len(data) - at))
    at = min(at, len(data))
    with contextlib.suppress(ProtocolError):
        if kind == 41:
            read_edns(data, at, length, 0, 0)
        elif kind >= 64:
            assert read_service(data, at, length, kind).text.isprintable()
        else:
            text = record_text(data, at, length, kind)
            assert text is not None
            assert text.isprintable()


SHOWN = {
    2: "NS {dns.ns}",
    5: "CNAME {dns.cname}",
    6: "SOA {dns.soa.mname} {dns.soa.rname}",
    12: "PTR {dns.ptr.domain_name}",
    15: "MX {dns.mx.preference} {dns.mx.mail_exchange}",
    33: "SRV {dns.srv.priority} {dns.srv.weight} {dns.srv.port} {dns.srv.target}",
}
"""Type → our text of a record, with tshark's fields in it."""


def answers_of(dissected: dict[str, Any]) -> tuple[set[str], list[int], int, int]:
    """Texts of the answers of a message as tshark tells it, their TTLs, and how many bind services and hold text."""
    texts, ttls, services, strings = set(), [], 0, 0
    for found in (dissected.get("Answers") or {}).values():
        for fields in found if isinstance(found, list) else [found]:
            if not isinstance(fields, dict):  # what lies inside the records
                continue
            kind = int(fields["dns.resp.type"])
            ttls.append(int(fields["dns.resp.ttl"]))
            services += kind in {64, 65}
            strings += kind == 16
            if kind in SHOWN:
                text = SHOWN[kind]
                for name, value in fields.items():
                    text = text.replace(f"{{{name}}}", value.lower() if isinstance(value, str) else "")
                texts.add(text)
    return texts, ttls, services, strings


@pytest.mark.parametrize(
    "path",
    ["apps/ndpi_telegram.pcap", "apps/ndpi_wa_voice.pcap", "dns/dnscap_dns.pcap", "dns/zeek_ech.pcap",
     "dns/zeek_dns-svcb.pcap", "dns/ndpi_dns.pcap", "interference/csanders_dns_isp_hijack.pcapng"],
)  # fmt: skip
def test_records_agree_with_tshark(shared_captures: Path, tshark: str, path: str):
    chosen = "(dns || mdns || llmnr) && udp && !icmp"
    command = [tshark, "-r", str(shared_captures / path), "-Y", chosen, "-T", "json", "--no-duplicate-keys"]
    out = subprocess.run(
        [*command, "-J", "udp dns mdns llmnr"], capture_output=True, text=True, check=True
    ).stdout
    assert json.loads(out)
    for packet in json.loads(out):
        layers = packet["_source"]["layers"]
        protocol = next(name for name in ("dns", "mdns", "llmnr") if name in layers)
        payload = bytes.fromhex(layers["udp"]["udp.payload"].replace(":", ""))
        message = parse_message(payload, multicast=protocol == "mdns")
        texts, ttls, services, strings = answers_of(layers[protocol])
        mine = {*(f"CNAME {name}" for name in message.cnames), *message.others}
        mine = {text for text in mine if not text.startswith("TXT")}
        assert len(mine) == len(texts)
        # names with dots and spaces inside labels, or other than ASCII, are written in another way
        odd = [text for text in mine if "\\x" in text]
        assert len(mine - texts) == len(odd)
        assert message.min_ttl == min(ttls, default=None)
        assert len(message.services) == services
        assert sum(text.startswith("TXT") for text in message.others) == strings
