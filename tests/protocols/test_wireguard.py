"""WireGuard's four messages, by the lengths and places of the white paper, section 5.4."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forensics.protocols.errors import ProtocolError
from forensics.protocols.wireguard import looks_like_wireguard, parse_wireguard

INITIATION = b"\x01\x00\x00\x00" + (7).to_bytes(4, "little") + b"\xaa" * 140
RESPONSE = b"\x02\x00\x00\x00" + (9).to_bytes(4, "little") + (7).to_bytes(4, "little") + b"\xaa" * 80
COOKIE = b"\x03\x00\x00\x00" + (7).to_bytes(4, "little") + b"\xaa" * 56
DATA = b"\x04\x00\x00\x00" + (9).to_bytes(4, "little") + (3).to_bytes(8, "little") + b"\xaa" * 16


def test_messages() -> None:
    assert parse_wireguard(INITIATION) == (1, 7, None, None)
    assert parse_wireguard(RESPONSE) == (2, 9, 7, None)
    assert parse_wireguard(COOKIE) == (3, None, 7, None)
    assert parse_wireguard(DATA) == (4, None, 9, 3)


@pytest.mark.parametrize("message", [INITIATION, RESPONSE, COOKIE, DATA])
def test_lengths_are_exact(message: bytes) -> None:
    for data in (message[:-1], message + b"\x00", b"\x05" + message[1:], message[:1] + b"\x01" + message[2:]):
        with pytest.raises(ProtocolError):
            parse_wireguard(data)


def test_looks() -> None:
    messages = [INITIATION, RESPONSE, COOKIE, DATA, INITIATION[:-1], DATA[:12] + b"\x01" + DATA[13:]]
    head = np.frombuffer(b"".join(data[:32] for data in messages), dtype=np.uint8).reshape(-1, 32)
    length = np.array([len(data) for data in messages])
    assert looks_like_wireguard(head, length).tolist() == [1, 2, 3, 4, 0, 0]


@given(st.binary(max_size=160))
def test_any_other_bytes_are_an_error(data: bytes) -> None:
    with contextlib.suppress(ProtocolError):
        parse_wireguard(b"\x04\x00\x00\x00" + data)
