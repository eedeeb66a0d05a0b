from __future__ import annotations

import subprocess
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forensics.protocols.errors import ProtocolError
from forensics.protocols.stream import HeadAssembler
from forensics.protocols.tls import (
    ClientHello,
    looks_like_tls_client,
    parse_client_hello,
    parse_client_hello_message,
)
from forensics.protocols.tls_wire import MAX_HELLO, is_grease, version_name
from tests.protocols.feeding import feed_three_ways

# RFC 8448 section 3, "Simple 1-RTT Handshake"
CLIENT_MESSAGE = bytes.fromhex(
    "010000c00303cb34ecb1e78163ba1c38c6dacb196a6dffa21a8d9912ec18a2ef6283024dece7000006130113031302"
    "010000910000000b0009000006736572766572ff01000100000a00140012001d001700180019010001010102010301"
    "0400230000003300260024001d002099381de560e4bd43d23d8e435a7dbafeb3c06e51c13cae4d5413691e529aaf2c"
    "002b0003020304000d0020001e040305030603020308040805080604010501060102010402050206020202002d0002"
    "0101001c00024001"
)
SERVER_MESSAGE = bytes.fromhex(
    "020000560303a6af06a4121860dc5e6e60249cd34c95930c8ac5cb1434dac155772ed3e2692800130100002e003300"
    "24001d0020c9828876112095fe66762bdbf7c672e156d6cc253b833df1dd69b1b04e751f0f002b00020304"
)


def records(message: bytes, *cuts: int, kind: int = 22) -> bytes:
    edges = [0, *cuts, len(message)]
    out = b""
    for start, stop in pairwise(edges):
        out += bytes([kind, 3, 1]) + (stop - start).to_bytes(2, "big") + message[start:stop]
    return out


def extension(kind: int, content: bytes) -> bytes:
    return kind.to_bytes(2, "big") + len(content).to_bytes(2, "big") + content


def server_name(name: bytes) -> bytes:
    entry = b"\x00" + len(name).to_bytes(2, "big") + name
    return extension(0, len(entry).to_bytes(2, "big") + entry)


def hello(*extensions: bytes, version: int = 0x0303, suites: bytes = b"\x13\x01") -> bytes:
    block = b"".join(extensions)
    body = (
        version.to_bytes(2, "big")
        + bytes(32)
        + b"\x00"
        + len(suites).to_bytes(2, "big")
        + suites
        + b"\x01\x00"
    )
    body += len(block).to_bytes(2, "big") + block if extensions else b""
    return b"\x01" + len(body).to_bytes(3, "big") + body


def read(message: bytes) -> ClientHello:
    found = parse_client_hello(records(message))
    assert found is not None
    return found


def test_client_hello_of_rfc_8448():
    stream = records(CLIENT_MESSAGE)
    found = feed_three_ways(parse_client_hello, stream)
    assert found.sni == "server"
    assert found.versions == ("1.3",)
    assert found.legacy_version == 0x0303
    assert found.cipher_suites == (0x1301, 0x1303, 0x1302)
    assert found.extensions == (0, 0xFF01, 10, 35, 51, 43, 13, 45, 28)
    assert found.groups == (0x1D, 0x17, 0x18, 0x19, 0x100, 0x101, 0x102, 0x103, 0x104)
    assert found.signature_algorithms[:2] == (0x0403, 0x0503)
    assert found.alpn == ()
    assert found.malformed_extensions == ()
    assert (found.length, found.records) == (len(stream), 1)


def test_a_message_without_records():
    found = feed_three_ways(parse_client_hello_message, CLIENT_MESSAGE)
    in_records = parse_client_hello(records(CLIENT_MESSAGE))
    assert in_records
    assert found == in_records._replace(length=len(CLIENT_MESSAGE), records=0)
    assert found.block == CLIENT_MESSAGE[-145:]
    for wrong in (SERVER_MESSAGE, b"\x01\xff\xff\xff", b"\x02"):
        with pytest.raises(ProtocolError):
            parse_client_hello_message(wrong)


@pytest.mark.parametrize("cuts", [(1,), (3,), (4,), (5, 6, 7), (100,), (195,), tuple(range(1, 196))])
def test_a_hello_cut_into_records_is_the_same(cuts: tuple[int, ...]):
    stream = records(CLIENT_MESSAGE, *cuts)
    found = feed_three_ways(parse_client_hello, stream)
    assert found.sni == "server"
    assert found.records == len(cuts) + 1
    assert found.length == len(stream)


def test_length_leaves_out_what_follows_in_the_same_record():
    stream = records(CLIENT_MESSAGE + b"\x0b\x00\x00\x00")
    found = parse_client_hello(stream)
    assert found is not None
    assert found.length == len(stream) - 4


def test_length_is_the_same_before_the_record_of_a_whole_hello_has_ended():
    message = hello(server_name(b"a.example"))
    stream = records(message + b"\x14\0\0\0")
    for missing in range(5):
        found = parse_client_hello(stream[: len(stream) - missing])
        assert found
        assert found.length == 5 + len(message)


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        (b"WWW.Example.COM", "www.example.com"),
        (b"a\x1b[31mb", r"a\x1b[31mb"),
        (b"a\\x41", r"a\x5cx41"),
        (b"a b\x00\xff", r"a\x20b\x00\xff"),
        (b"x" * 300, "x" * 255),
        (b"\x00" * 300, r"\x00" * 63),
    ],
)
def test_hostile_server_names_are_printable(raw: bytes, shown: str):
    assert read(hello(server_name(raw))).sni == shown


def test_no_server_name_and_no_extensions():
    assert read(hello()).sni is None
    assert read(hello(extension(0, b""))).sni is None
    assert read(hello()).versions == ("1.2",)
    assert read(hello(version=0x0301)).versions == ("1.0",)


def test_grease_is_no_version_and_alpn_keeps_its_order():
    versions = extension(43, b"\x06\x1a\x1a\x03\x04\x03\x03")
    alpn = extension(16, b"\x00\x0c\x02h2\x08http/1.1")
    found = read(hello(versions, alpn))
    assert found.versions == ("1.3", "1.2")
    assert found.alpn == ("h2", "http/1.1")
    assert [v for v in range(65536) if is_grease(v)] == [0x0A0A + 0x1010 * n for n in range(16)]
    assert version_name(0x7F1C) == "0x7f1c"


def test_a_broken_extension_spoils_only_itself():
    found = read(
        hello(extension(16, b"\x00\xff\x02h2"), server_name(b"a.example"), server_name(b"b.example"))
    )
    assert found.sni == "a.example"
    assert found.alpn == ()
    assert found.malformed_extensions == (16, 0)


@pytest.mark.parametrize(
    ("stream", "reason"),
    [
        (b"GET / HTTP/1.1\r\n", "first byte is 71"),
        (bytes.fromhex("807c01030100630000001000"), "SSLv2"),
        (b"\x16\x02\x00", "record version 2.x"),
        (b"\x16\x03\x09", "record version 3.9"),
        (b"\x16\x03\x01\x00\x00", "empty"),
        (b"\x16\x03\x01\xff\xff", "longer than 16384"),
        (records(SERVER_MESSAGE), "type 2"),
        (b"\x16\x03\x01\x00\x04\x01\xff\xff\xff", f"longer than {MAX_HELLO}"),
        (records(CLIENT_MESSAGE[:50]) + b"\x17\x03\x03\x00\x01x", "interrupts"),
        (records(b"\x01\x00\x00\x02\x03\x03"), "session id"),
        (records(hello(extension(0, b"\x00\x05\x00\x00\x10ab")) + b"")[:-2] + b"", None),
        (records(hello(suites=b"\x13\x01\x13")), "odd"),
    ],
)
def test_what_is_no_client_hello(stream: bytes, reason: str | None):
    if reason is None:
        assert parse_client_hello(stream) is None
        return
    with pytest.raises(ProtocolError, match=reason):
        parse_client_hello(stream)


def test_tiny_records_of_a_large_hello_are_read_in_one_pass():
    message = hello(server_name(b"a.example"), extension(21, bytes(60000)))
    stream = records(message, *range(1, len(message)))
    found = parse_client_hello(stream)
    assert found is not None
    assert found.sni == "a.example"
    assert found.records == len(message)


def test_looks_like_tls_client():
    stream = records(CLIENT_MESSAGE)
    assert looks_like_tls_client(stream)
    assert looks_like_tls_client(stream[:3])
    assert not looks_like_tls_client(stream[:2])
    assert not looks_like_tls_client(b"")
    assert not looks_like_tls_client(records(SERVER_MESSAGE))
    assert not looks_like_tls_client(b"\x16\x02\x00\x00\x00\x01")
    assert not looks_like_tls_client(b"\x17\x03\x03\x00\x20\x01")


@settings(max_examples=200, deadline=None)
@given(
    base=st.sampled_from([records(CLIENT_MESSAGE), records(CLIENT_MESSAGE, 2, 90)]),
    cut=st.integers(0, 220),
    flips=st.lists(st.tuples(st.integers(0, 210), st.integers(0, 255)), max_size=4),
    junk=st.binary(max_size=8),
)
def test_damage_gives_one_of_three_outcomes(base: bytes, cut: int, flips: list[tuple[int, int]], junk: bytes):
    damaged = bytearray(base[:cut] + junk)
    for at, value in flips:
        if at < len(damaged):
            damaged[at] = value
    try:
        found = parse_client_hello(bytes(damaged))
    except ProtocolError:
        return
    assert found is None or isinstance(found, ClientHello)
    if found:
        assert found.length <= len(damaged)
        assert found.sni is None or found.sni.isprintable()


def test_server_names_agree_with_tshark(shared_captures: Path, tshark: str):
    """Segments as tshark prints them, put together by HeadAssembler; names as tshark reads them."""
    compared = 0
    for name in ("ja4_tls-handshake.pcapng", "ndpi_tls_with_huge_ch.pcapng", "zeek_tls-fragmented-handshake.pcap.gz",
                 "zeek_chrome-1250-tls-x25519-kyber.pcap", "ja4_tls-alpn-h2.pcap"):  # fmt: skip
        fields = ("frame.number", "tcp.stream", "tcp.srcport", "tcp.seq", "tcp.flags.syn", "tcp.payload",
                  "tls.handshake.type", "tls.handshake.extensions_server_name",
                  "tls.handshake.extensions_alpn_str")  # fmt: skip
        command = [
            tshark,
            "-r",
            str(shared_captures / "tls" / name),
            "-Y",
            "tcp",
            "-T",
            "fields",
            "-E",
            "occurrence=a",
        ]
        for field in fields:
            command += ["-e", field]
        out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        heads: dict[tuple[str, str], HeadAssembler] = {}
        starts: dict[tuple[str, str], int] = {}
        wanted: dict[tuple[str, str], tuple[str, str]] = {}
        for line in out.splitlines():
            frame, stream, port, seq, syn, payload, types, sni, alpn = line.split("\t")
            side = (stream, port)
            starts.setdefault(side, int(seq) + (syn in {"1", "True"}))
            head = heads.setdefault(side, HeadAssembler())
            head.add(int(seq) - starts[side], bytes.fromhex(payload.replace(",", "")), int(frame))
            if "1" in types.split(","):
                wanted.setdefault(side, (sni, alpn))
        for side, (sni, alpn) in wanted.items():
            found = parse_client_hello(heads[side].contiguous())
            assert found is not None, (name, side)
            assert (found.sni or "") == sni.lower(), (name, side)
            assert ",".join(found.alpn) == alpn, (name, side)
            compared += 1
    assert compared > 60
