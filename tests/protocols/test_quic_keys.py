from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forensics.protocols.errors import ProtocolError
from forensics.protocols.quic import V1, V2, parse_packet
from forensics.protocols.quic_keys import InitialKeys, initial_salt, retry_is_genuine
from pcaps.generate.quic_samples import (
    CLIENT_FRAMES,
    CLIENT_V1,
    CLIENT_V2,
    DCID,
    RETRY_V1,
    RETRY_V2,
    SERVER_FRAMES,
    SERVER_V1,
    SERVER_V2,
)
from tests.protocols.quic_seal import SALTS, initial


def test_keys_of_rfc_9001():
    client, server = (InitialKeys(V1, DCID, client=side) for side in (True, False))
    assert client.secret.hex() == "c00cf151ca5be075ed0ebfb5c80323c42d6b7db67881289af4008f1f6c357aea"
    assert client.key.hex() == "1f369613dd76d5467730efcbe3b1a22d"
    assert client.iv.hex() == "fa044b2f42a3fd3b46fb255c"
    assert client.hp.hex() == "9f50449e04a0e810283a1e9933adedd2"
    assert server.secret.hex() == "3c199828fd139efd216c155ad844cc81fb82fa8d7446fa7d78be803acdda951b"
    assert server.key.hex() == "cf3a5331653c364c88f0f379b6067e37"
    assert server.iv.hex() == "0ac1493ca1905853b0bba03e"
    assert server.hp.hex() == "c206b8d9b9f0f37644430b490eeaa314"


def test_keys_of_rfc_9369():
    client, server = (InitialKeys(V2, DCID, client=side) for side in (True, False))
    assert client.secret.hex() == "14ec9d6eb9fd7af83bf5a668bc17a7e283766aade7ecd0891f70f9ff7f4bf47b"
    assert client.key.hex() == "8b1a0bc121284290a29e0971b5cd045d"
    assert client.iv.hex() == "91f73e2351d8fa91660e909f"
    assert client.hp.hex() == "45b95e15235d6f45a6b19cbcb0294ba9"
    assert server.secret.hex() == "0263db1782731bf4588e7e4d93b7463907cb8cd8200b5da55a8bd488eafc37c1"
    assert server.key.hex() == "82db637861d55e1d011f19ea71d5d2a7"
    assert server.iv.hex() == "dd13c276499c0249d3310652"
    assert server.hp.hex() == "edf6d05c83121201b436e16877593c3a"


@pytest.mark.parametrize(
    ("sample", "client", "number", "payload"),
    [
        (CLIENT_V1, True, 2, CLIENT_FRAMES + bytes(917)),
        (SERVER_V1, False, 1, SERVER_FRAMES),
        (CLIENT_V2, True, 2, CLIENT_FRAMES + bytes(917)),
        (SERVER_V2, False, 1, SERVER_FRAMES),
    ],
)
def test_packets_of_the_rfcs_open(sample, client, number, payload):
    packet = parse_packet(sample)
    assert InitialKeys(packet.version, DCID, client=client).open(sample, packet) == (number, payload)
    # the keys of the other side, of another connection and of the other version do not fit
    assert InitialKeys(packet.version, DCID, client=not client).open(sample, packet) is None
    assert InitialKeys(packet.version, DCID[1:], client=client).open(sample, packet) is None
    assert InitialKeys(V1 + V2 - packet.version, DCID, client=client).open(sample, packet) is None


@pytest.mark.parametrize("sample", [CLIENT_V1, CLIENT_V2])
def test_a_packet_that_is_not_whole_is_not_opened(sample):
    keys = InitialKeys(parse_packet(sample).version, DCID, client=True)
    with pytest.raises(ProtocolError, match="not whole"):
        keys.open(sample[:-1], parse_packet(sample))
    # bytes after it do not matter
    assert keys.open(sample + b"more", parse_packet(sample)) == keys.open(sample, parse_packet(sample))


def test_a_packet_without_room_for_a_sample_is_malformed():
    short = bytes.fromhex("c000000001088394c8f03e51570800000a") + bytes(10)
    with pytest.raises(ProtocolError, match="10 bytes"):
        InitialKeys(V1, DCID, client=True).open(short, parse_packet(short))


@pytest.mark.parametrize("version", sorted(SALTS))
def test_every_readable_version_has_its_salt(version):
    datagram = initial(b"\x01", key_dcid=DCID, version=version, number=7)
    opened = InitialKeys(version, DCID, client=True).open(datagram, parse_packet(datagram))
    assert opened is not None
    assert (opened[0], opened[1].rstrip(b"\0")) == (7, b"\x01")


def test_salts_of_the_drafts():
    # draft-ietf-quic-tls: 23 to 28, 29 to 32 and 33 to the RFC share theirs
    salts = {draft: initial_salt(0xFF000000 + draft) for draft in range(23, 35)}
    assert {salts[draft] for draft in range(23, 29)} == {bytes.fromhex(SALTS[0xFF000017])}
    assert {salts[draft] for draft in range(29, 33)} == {bytes.fromhex(SALTS[0xFF00001D])}
    assert {salts[33], salts[34]} == {bytes.fromhex(SALTS[1])}
    with pytest.raises(ProtocolError, match="0xbabababa"):
        initial_salt(0xBABABABA)


@pytest.mark.parametrize("sample", [RETRY_V1, RETRY_V2])
def test_retry_of_the_rfcs_is_genuine(sample):
    packet = parse_packet(sample)
    assert retry_is_genuine(sample, packet, DCID) is True
    assert retry_is_genuine(sample, packet, DCID[:-1]) is False
    damaged = sample[:-1] + bytes([sample[-1] ^ 1])
    assert retry_is_genuine(damaged, parse_packet(damaged), DCID) is False


def test_retry_of_draft_29():
    # draft-ietf-quic-tls-29 A.4
    sample = bytes.fromhex("ffff00001d0008f067a5502a4262b5746f6b656ed16926d81f6f9ca2953a8aa4575e1e49")
    assert retry_is_genuine(sample, parse_packet(sample), DCID) is True


def test_retry_of_earlier_drafts_is_not_judged():
    sample = b"\xff" + (0xFF00001B).to_bytes(4, "big") + RETRY_V1[5:]
    assert retry_is_genuine(sample, parse_packet(sample), DCID) is None


@settings(max_examples=100, deadline=None)
@given(st.sampled_from([CLIENT_V1, SERVER_V2]), st.integers(0, 1199), st.integers(1, 255))
def test_a_changed_byte_is_never_believed(sample, place, flip):
    damaged = bytearray(sample)
    damaged[place % len(sample)] ^= flip
    data = bytes(damaged)
    try:
        packet = parse_packet(data)
        if packet.kind != "initial":
            return
        opened = InitialKeys(packet.version, DCID, client=sample is CLIENT_V1).open(data, packet)
    except ProtocolError:
        return
    assert opened is None


def test_cryptography_is_loaded_when_it_is_needed():
    code = "import sys, forensics.protocols.quic_keys; print('cryptography' in sys.modules)"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout == "False\n"
