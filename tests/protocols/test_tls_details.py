from __future__ import annotations

import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forensics.protocols.errors import ProtocolError
from forensics.protocols.tls import ClientHello, parse_client_hello
from forensics.protocols.tls_details import ech_kind, hello_details
from tests.protocols.test_tls import CLIENT_MESSAGE, extension, hello, records, server_name

NAME = server_name(b"public.example")
VERSIONS = extension(43, b"\x04\x03\x04\x03\x03")


def outer(kdf: int = 1, aead: int = 1, key: int = 32, payload: int = 144, number: int = 7) -> bytes:
    """RFC 9849 section 5."""
    suite = kdf.to_bytes(2, "big") + aead.to_bytes(2, "big")
    content = b"\x00" + suite + bytes([number]) + key.to_bytes(2, "big") + bytes(key)
    return extension(0xFE0D, content + payload.to_bytes(2, "big") + bytes(payload))


def read(*extensions: bytes) -> ClientHello:
    found = parse_client_hello(records(hello(*extensions)))
    assert found
    return found


def test_details_of_the_hello_of_rfc_8448():
    found = parse_client_hello(records(CLIENT_MESSAGE))
    assert found
    details = hello_details(found)
    assert details.key_shares == (0x1D,)
    assert details.padding is None
    assert not details.pre_shared_key
    assert not details.early_data
    assert not details.esni
    assert details.ech is None
    assert ech_kind(found) is None


def test_what_a_hello_may_hold():
    shares = b"\x1a\x1a\x00\x01\x00" + b"\x11\xec\x00\x04abcd" + b"\x00\x1d\x00\x02ab"
    found = hello_details(
        read(
            NAME,
            extension(51, len(shares).to_bytes(2, "big") + shares),
            extension(21, bytes(190)),
            extension(0xFFCE, bytes(20)),
            extension(42, b""),
            extension(41, bytes(8)),
            extension(21, bytes(1)),
        )
    )
    assert found.key_shares == (0x1A1A, 0x11EC, 0x1D)
    assert found.padding == 190
    assert (found.esni, found.early_data, found.pre_shared_key) == (True, True, True)


@pytest.mark.parametrize(
    "content", [b"", b"\x00", b"\x00\x09\x00\x1d\x00\x01a", b"\x00\x05\x00\x1d\x00\x01a\x00"]
)
def test_broken_key_shares_end_where_they_break(content: bytes):
    assert hello_details(read(extension(51, content))).key_shares in {(), (0x1D,)}


def test_an_outer_hello_names_what_it_is_sealed_with():
    found = hello_details(read(NAME, VERSIONS, outer(number=42, payload=208))).ech
    assert found == ("outer", 42, 1, 1, 32, 208)


@pytest.mark.parametrize("key", [0, 32, 56, 65, 97, 133, 1120])
@pytest.mark.parametrize(("kdf", "aead"), [(1, 1), (2, 2), (3, 3)])
def test_what_may_be_real(key: int, kdf: int, aead: int):
    assert ech_kind(read(NAME, VERSIONS, outer(kdf, aead, key))) == "outer"


@pytest.mark.parametrize(
    "extensions",
    [
        (VERSIONS, outer()),  # no name: a real one stands beside the public name
        (extension(0, b""), VERSIONS, outer()),
        (NAME, outer()),  # only TLS 1.2
        (NAME, extension(43, b"\x02\x03\x03"), outer()),
        (NAME, VERSIONS, outer(kdf=0)),
        (NAME, VERSIONS, outer(kdf=4)),
        (NAME, VERSIONS, outer(aead=0x0A0A)),
        (NAME, VERSIONS, outer(key=31)),
        (NAME, VERSIONS, outer(payload=16)),
    ],
)
def test_what_cannot_be_real(extensions: tuple[bytes, ...]):
    assert ech_kind(read(*extensions)) == "grease"


def test_inner():
    assert ech_kind(read(NAME, VERSIONS, extension(0xFE0D, b"\x01"))) == "inner"


@pytest.mark.parametrize(
    "content",
    [b"", b"\x00", b"\x01\x00", b"\x02" + bytes(20), b"\x00\x00\x01\x00\x01\x07\x00\x20", outer()[4:] + b"\x00",
     outer()[4:-1]],
)  # fmt: skip
def test_neither(content: bytes):
    assert ech_kind(read(NAME, VERSIONS, extension(0xFE0D, content))) == "malformed"


@settings(max_examples=200, deadline=None)
@given(
    kinds=st.lists(st.sampled_from([0, 21, 41, 42, 43, 51, 0xFE0D, 0xFFCE]), max_size=6),
    contents=st.lists(st.binary(max_size=40), min_size=6, max_size=6),
)
def test_nothing_that_was_read_once_fails(kinds: list[int], contents: list[bytes]):
    parts = [extension(kind, content) for kind, content in zip(kinds, contents, strict=False)]
    try:
        found = read(*parts)
    except ProtocolError:
        return
    details = hello_details(found)
    assert (details.ech.kind if details.ech else None) == ech_kind(found)


def test_key_shares_agree_with_tshark(shared_captures, tshark):
    path = shared_captures / "tls" / "zeek_chrome-1250-tls-x25519-kyber.pcap"
    fields = ("tcp.reassembled.data", "tcp.payload", "tls.handshake.extensions_key_share_group")
    command = [tshark, "-r", str(path), "-Y", "tls.handshake.type==1", "-T", "fields"]
    for field in fields:
        command += ["-e", field]
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    compared = 0
    for line in out.splitlines():
        whole, payload, groups = line.split("\t")
        found = parse_client_hello(bytes.fromhex(whole or payload))
        assert found
        assert hello_details(found).key_shares == tuple(int(group, 0) for group in groups.split(","))
        compared += 1
    assert compared
