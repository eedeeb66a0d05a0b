from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forensics.protocols.errors import ProtocolError
from forensics.protocols.tls_server import (
    ALERT_NAMES,
    ServerHello,
    ServerStart,
    parse_server_hello_message,
    parse_server_start,
    server_hello,
)
from tests.protocols.feeding import feed_three_ways
from tests.protocols.test_tls import CLIENT_MESSAGE, SERVER_MESSAGE, extension, records

RETRY_RANDOM = bytes.fromhex("cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c")


def test_server_hello_of_rfc_8448():
    stream = records(SERVER_MESSAGE)
    chosen = ServerHello(
        version="1.3",
        legacy_version=0x0303,
        cipher=0x1301,
        extensions=(51, 43),
        alpn=None,
        group=0x1D,
        hello_retry_request=False,
        whole=True,
    )
    whole = ServerStart(chosen, None, None, complete=True)
    assert parse_server_start(stream) == whole
    assert parse_server_start(stream + b"\x14\x03\x03\x00\x01\x01") == whole
    assert parse_server_start(records(SERVER_MESSAGE, 3, 7, 50)) == whole
    for length in range(len(stream)):
        cut = parse_server_start(stream[:length])
        if length < 5 + 6:
            assert cut is None
        else:
            assert cut is not None
            assert cut.hello is not None
            assert (cut.complete, cut.hello.whole, cut.hello.extensions) == (False, False, None)
            assert cut.hello.version in {None, "1.3"}


def test_a_message_without_records():
    found = feed_three_ways(parse_server_hello_message, SERVER_MESSAGE)
    start = parse_server_start(records(SERVER_MESSAGE))
    assert start is not None
    assert found == start.hello
    for wrong in (CLIENT_MESSAGE, b"\x02\xff\xff\xff\x03\x03"):
        with pytest.raises(ProtocolError):
            parse_server_hello_message(wrong)


def test_the_protocol_that_a_server_of_tls_1_2_chose():
    body = b"\x03\x03" + bytes(32) + b"\x00\xc0\x2f\x00\x00\x09" + extension(16, b"\x00\x03\x02h2")
    found = server_hello(body)
    assert (found.alpn, found.extensions, found.group) == ("h2", (16,), None)


@pytest.mark.parametrize("tail", [b"\x00", b"\x00\x05", b"\x00\x03abc", b"\x00\x05\x00\x10\x00\x02a"])
def test_broken_extensions_are_not_listed(tail):
    found = server_hello(b"\x03\x03" + bytes(32) + b"\x00\xc0\x2f\x00" + tail)
    assert (found.cipher, found.version, found.extensions) == (0xC02F, "1.2", None)


def test_hello_retry_request_is_a_server_hello():
    message = SERVER_MESSAGE[:6] + RETRY_RANDOM + SERVER_MESSAGE[38:]
    found = parse_server_start(records(message))
    assert found is not None
    assert found.hello is not None
    assert found.hello.hello_retry_request


@pytest.mark.parametrize(("version", "name"), [(0x0303, "1.2"), (0x0301, "1.0"), (0x0300, "ssl3")])
def test_old_server_hello_without_extensions(version: int, name: str):
    body = version.to_bytes(2, "big") + bytes(32) + b"\x00\xc0\x2f\x00"
    found = parse_server_start(records(b"\x02\x00\x00" + bytes([len(body)]) + body))
    assert found is not None
    assert found.hello is not None
    assert (found.hello.version, found.hello.cipher, found.complete) == (name, 0xC02F, True)
    assert (found.hello.extensions, found.hello.legacy_version) == ((), version)


def test_alerts():
    fatal = parse_server_start(b"\x15\x03\x01\x00\x02\x02\x28")
    assert fatal is not None
    assert (fatal.hello, fatal.alert_level, fatal.complete) == (None, 2, True)
    assert fatal.alert_description is not None
    assert ALERT_NAMES[fatal.alert_description] == "handshake_failure"
    warning = b"\x15\x03\x01\x00\x02\x01\x70"
    alone = parse_server_start(warning)
    assert alone is not None
    assert (alone.hello, alone.alert_level, alone.complete) == (None, 1, False)
    both = parse_server_start(warning + records(SERVER_MESSAGE))
    assert both is not None
    assert (both.hello is not None, both.alert_description, both.complete) == (True, 112, True)
    assert parse_server_start(b"\x15\x03\x01\x00\x02\x02") is None


@pytest.mark.parametrize(
    "stream",
    [
        b"HTTP/1.1 200",
        b"\x17\x03\x03\x00\x10",
        records(CLIENT_MESSAGE),
        records(b"\x0b\x00\x00\x00"),
        b"\x15\x03\x03\x00\x1a" + bytes(26),
        b"\x15\x03\x03\x00\x13" + bytes(19),
        b"\x16\x03\x03\x00\x04\x02\xff\xff\xff",
    ],
)
def test_what_is_no_server_start(stream: bytes):
    with pytest.raises(ProtocolError):
        parse_server_start(stream + bytes(8))


@settings(max_examples=200, deadline=None)
@given(
    base=st.sampled_from([records(SERVER_MESSAGE), records(SERVER_MESSAGE, 9)]),
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
        found = parse_server_start(bytes(damaged))
    except ProtocolError:
        return
    assert found is None or isinstance(found, ServerStart)
