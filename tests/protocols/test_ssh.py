"""SSH identification strings: RFC 4253 4.2."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forensics.protocols.errors import ProtocolError
from forensics.protocols.ssh import begins_key_exchange, parse_ssh_banner
from tests.protocols.feeding import feed_three_ways

BANNER = b"SSH-2.0-OpenSSH_9.6p1 Ubuntu-3ubuntu13\r\n"
KEXINIT = (1084).to_bytes(4, "big") + b"\x06\x14"


def test_banner() -> None:
    banner = feed_three_ways(parse_ssh_banner, BANNER)
    assert banner == ("2.0", "OpenSSH_9.6p1", "Ubuntu-3ubuntu13", len(BANNER))
    assert parse_ssh_banner(b"SSH-1.99-x\n") == ("1.99", "x", "", 11)


def test_hostile_banner_is_made_printable() -> None:
    banner = parse_ssh_banner(b"SSH-2.0-\x1b[31mred\r\n")
    assert banner is not None
    assert banner.software == "\\x1b[31mred"


@pytest.mark.parametrize(
    "data",
    [b"HTTP/1.1 200 OK\r\n", b"SSH-2.0-" + b"x" * 250, b"SSH-2.0\r\n", b"SSH--x\r\n", b"SSH-2.0- c\r\n"],
)
def test_what_it_is_not(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        parse_ssh_banner(data)


def test_key_exchange() -> None:
    assert feed_three_ways(begins_key_exchange, KEXINIT) is True
    assert begins_key_exchange(b"\x00\x00\x04\x3c\x06\x15") is False
    assert begins_key_exchange(b"\xff\x00\x04\x3c\x06\x14") is False


@given(st.integers(0, 40), st.binary(max_size=300))
def test_any_other_bytes_are_an_error_or_need_more(cut: int, junk: bytes) -> None:
    with contextlib.suppress(ProtocolError):
        parse_ssh_banner(BANNER[:cut] + junk)
