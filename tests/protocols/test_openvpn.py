"""OpenVPN's hard resets in every protection, by the layout of the wire protocol draft."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forensics.protocols.errors import ProtocolError
from forensics.protocols.openvpn import looks_like_openvpn, parse_openvpn_reset, parse_openvpn_stream
from tests.protocols.feeding import feed_three_ways

MINE, THEIRS = b"client!!", b"server!!"
REPLAY = (1).to_bytes(4, "big") + (1_700_000_000).to_bytes(4, "big")
END = bytes(5)
ECHO = b"\x01" + bytes(4) + MINE + bytes(4)
PLAIN = b"\x38" + MINE + END
CRYPT = b"\x38" + MINE + REPLAY + b"\xab" * 32 + b"\xcd" * 5
CRYPT_V2 = b"\x50" + MINE + REPLAY + b"\xab" * 32 + b"\xcd" * 5 + b"\xee" * 300


def auth(hmac: int) -> bytes:
    return b"\x38" + MINE + b"\xab" * hmac + REPLAY + END


@pytest.mark.parametrize(
    ("data", "length", "protection"),
    [
        (PLAIN, 14, "plain"),
        (auth(16), 38, "tls-auth"),
        (auth(20), 42, "tls-auth"),
        (auth(32), 54, "tls-auth"),
        (auth(64), 86, "tls-auth"),
        (CRYPT, 54, "tls-crypt"),
        (CRYPT_V2, 354, "tls-crypt"),
    ],
)
def test_resets_of_a_client(data: bytes, length: int, protection: str) -> None:
    reset = parse_openvpn_reset(data)
    assert len(data) == length
    assert (reset.client, reset.session, reset.peer, reset.protection) == (True, MINE, None, protection)
    assert reset.version == (3 if data[0] == 0x50 else 2)
    stream = len(data).to_bytes(2, "big") + data
    assert feed_three_ways(parse_openvpn_stream, stream) == reset._replace(length=length + 2)


def test_resets_of_a_server_name_the_session_they_answer() -> None:
    assert parse_openvpn_reset(b"\x40" + THEIRS + ECHO).peer == MINE
    assert parse_openvpn_reset(b"\x40" + THEIRS + b"\xab" * 20 + REPLAY + ECHO).peer == MINE
    hidden = parse_openvpn_reset(b"\x40" + THEIRS + REPLAY + b"\xab" * 32 + b"\xcd" * 17)
    assert (hidden.client, hidden.peer, hidden.protection) == (False, None, "tls-crypt")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        PLAIN[:-1],
        PLAIN + b"\x00",
        b"\x39" + PLAIN[1:],
        b"\x20" + PLAIN[1:],
        b"\x38" + bytes(8) + END,
        b"\x38" + MINE + ECHO,
        b"8 is a digit, this is only a line of text that is as long",
        CRYPT[:9] + bytes(8) + CRYPT[17:],
    ],
)
def test_what_it_is_not(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        parse_openvpn_reset(data)


def test_looks_never_miss_what_parses() -> None:
    messages = [
        PLAIN,
        auth(16),
        auth(20),
        auth(64),
        CRYPT,
        CRYPT_V2,
        b"\x40" + THEIRS + ECHO,
        b"\x39" + PLAIN[1:],
    ]
    head = np.frombuffer(b"".join(data[:32].ljust(32, b"\0") for data in messages), dtype=np.uint8).reshape(
        -1, 32
    )
    length = np.array([len(data) for data in messages])
    assert looks_like_openvpn(head, length).tolist() == [True] * 7 + [False]


@settings(max_examples=100)
@given(st.sampled_from([PLAIN, auth(20), CRYPT]), st.integers(0, 90), st.binary(max_size=90))
def test_any_other_bytes_are_an_error(data: bytes, cut: int, junk: bytes) -> None:
    with contextlib.suppress(ProtocolError):
        parse_openvpn_reset(data[:cut] + junk)
    with contextlib.suppress(ProtocolError):
        parse_openvpn_stream(data[:cut] + junk)
