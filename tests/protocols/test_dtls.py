"""Records, fragments and hellos of DTLS: by hand from the RFCs, and as tshark reads them."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forensics.protocols import dtls
from forensics.protocols.dtls import Fragment, HelloVerify, Record
from forensics.protocols.errors import ProtocolError
from tests.flows.made import Pkt, ask_tshark, write_pcap
from tests.protocols.test_tls import CLIENT_MESSAGE, SERVER_MESSAGE, extension, server_name

COOKIE = bytes(range(20))
SUITES = b"\xc0\x2b\xc0\x2f\x00\xff"


def record(content: bytes, kind: int = 22, epoch: int = 0, sequence: int = 0, version: int = 0xFEFD) -> bytes:
    # RFC 6347 4.1
    head = bytes([kind]) + version.to_bytes(2, "big") + epoch.to_bytes(2, "big")
    return head + sequence.to_bytes(6, "big") + len(content).to_bytes(2, "big") + content


def fragment(kind: int, body: bytes, sequence: int = 0, begin: int = 0, end: int | None = None) -> bytes:
    # RFC 6347 4.2.2
    piece = body[begin:end]
    head = bytes([kind]) + len(body).to_bytes(3, "big") + sequence.to_bytes(2, "big")
    return head + begin.to_bytes(3, "big") + len(piece).to_bytes(3, "big") + piece


def client_body(
    *extensions: bytes, cookie: bytes = b"", version: int = 0xFEFD, suites: bytes = SUITES
) -> bytes:
    # RFC 6347 4.2.1: as in TLS, with a cookie behind the session id
    block = b"".join(extensions)
    random_bytes = random.Random(4).randbytes(32)  # noqa: S311 - bytes of a test
    body = version.to_bytes(2, "big") + random_bytes + b"\x00" + bytes([len(cookie)]) + cookie
    return (
        body + len(suites).to_bytes(2, "big") + suites + b"\x01\x00" + len(block).to_bytes(2, "big") + block
    )


def server_body(cipher: int = 0xC02F, version: int = 0xFEFD) -> bytes:
    block = extension(0xFF01, b"\x00") + extension(14, b"\x00\x02\x00\x01\x00")
    chosen = version.to_bytes(2, "big") + bytes(32) + b"\x00" + cipher.to_bytes(2, "big") + b"\x00"
    return chosen + len(block).to_bytes(2, "big") + block


def verify_body(cookie: bytes = COOKIE) -> bytes:
    return b"\xfe\xff" + bytes([len(cookie)]) + cookie


CLIENT = client_body(server_name(b"example.org"), extension(16, b"\x00\x09\x08webrtc-c"))
HELLO = record(fragment(1, CLIENT))
FLIGHT = record(fragment(2, server_body(), 1), sequence=1) + record(fragment(14, b"", 2), sequence=2)
VERIFY = record(fragment(3, verify_body()), version=0xFEFF)
FINISHED = record(b"\x01", 20, sequence=3) + record(bytes(40), 22, epoch=1)
ALERT = record(b"\x02\x28", 21)


def heads(*grams: bytes) -> tuple[np.ndarray, np.ndarray]:
    head = np.zeros((len(grams), 32), dtype=np.uint8)
    for row, gram in enumerate(grams):
        head[row, : len(gram[:32])] = np.frombuffer(gram[:32], dtype=np.uint8)
    return head, np.array([len(gram) for gram in grams], dtype=np.int64)


def test_records_of_a_flight():
    first, second = dtls.parse_records(FLIGHT)
    assert (first.kind, first.version, first.epoch, first.sequence) == (22, 0xFEFD, 0, 1)
    assert first.size == len(first.content) == 12 + len(server_body())
    assert (second.sequence, second.content, second.encrypted) == (
        2,
        b"\x0e\x00\x00\x00\x00\x02" + bytes(6),
        False,
    )
    changed, finished = dtls.parse_records(FINISHED)
    assert (changed.kind, changed.encrypted) == (20, False)
    assert (finished.kind, finished.epoch, finished.encrypted) == (22, 1, True)


def test_records_that_are_encrypted_in_the_way_of_1_3():
    plain, secret = dtls.parse_records(HELLO + b"\x2e" + bytes(50))
    assert not plain.encrypted
    assert secret == Record(dtls.UNIFIED, 0, 2, 0, 50, bytes(50))
    assert secret.encrypted
    (with_id,) = dtls.parse_records(record(bytes(30), 25, epoch=1))
    assert (with_id.kind, with_id.encrypted, with_id.epoch) == (25, True, 1)


@pytest.mark.parametrize("size", [14, 20, 60, len(FLIGHT) - 1])
def test_a_datagram_that_the_capture_cut(size):
    found = dtls.parse_records(FLIGHT[:size])
    assert found[0].size == 12 + len(server_body())
    assert b"".join(one.content for one in found[:1]) == FLIGHT[13:size][: found[0].size]


def test_what_follows_the_last_record_is_dropped():
    assert dtls.parse_records(HELLO + b"\x80junk") == dtls.parse_records(HELLO)
    assert dtls.parse_records(HELLO + b"\x16\xfe") == dtls.parse_records(HELLO)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x80" + bytes(40),
        b"\x16\x03\x01" + bytes(40),
        HELLO[:12],
        record(b""),
        record(b"")[:11] + b"\xff\xff",
        bytes([26]) + HELLO[1:],
    ],
)
def test_no_records(data):
    with pytest.raises(ProtocolError):
        dtls.parse_records(data)


def test_fragments():
    (whole,) = dtls.parse_fragments(dtls.parse_records(HELLO)[0])
    assert whole == Fragment(1, len(CLIENT), 0, 0, len(CLIENT), CLIENT)
    two = record(fragment(2, server_body(), 1) + fragment(11, bytes(500), 2, 100, 150))
    hello, certificate = dtls.parse_fragments(dtls.parse_records(two)[0])
    assert (hello.kind, hello.sequence, hello.data) == (2, 1, server_body())
    assert certificate == Fragment(11, 500, 2, 100, 50, bytes(50))
    (cut,) = dtls.parse_fragments(dtls.parse_records(HELLO[:60])[0])
    assert (cut.size, cut.data) == (len(CLIENT), CLIENT[: 60 - 25])


@pytest.mark.parametrize(
    "content",
    [
        fragment(1, CLIENT)[:11],
        b"\x01\x00\x00\x05\x00\x00\x00\x00\x03\x00\x00\x03abc",  # past the end of the message
        b"\x01\x00\x00\x50\x00\x00\x00\x00\x00\x00\x00\x50abc",  # past the end of the record
        b"\x01\x00\x00\x50\x00\x00\x00\x00\x00\x00\x00\x00",
    ],
)
def test_broken_fragments(content):
    with pytest.raises(ProtocolError):
        dtls.parse_fragments(dtls.parse_records(record(content))[0])
    good = fragment(14, b"", 3)
    assert len(dtls.parse_fragments(dtls.parse_records(record(good + content))[0])) == 1


def test_only_plaintext_handshake_records_have_fragments():
    for other in (ALERT, record(fragment(1, CLIENT), epoch=1)):
        with pytest.raises(ProtocolError):
            dtls.parse_fragments(dtls.parse_records(other)[0])


def test_client_hello():
    found = dtls.parse_client_hello_body(CLIENT)
    assert (found.sni, found.alpn, found.versions) == ("example.org", ("webrtc-c",), ("dtls1.2",))
    assert (found.cipher_suites, found.legacy_version) == ((0xC02B, 0xC02F, 0xFF), 0xFEFD)
    assert (found.length, found.records) == (len(HELLO), 1)
    again = client_body(server_name(b"example.org"), extension(16, b"\x00\x09\x08webrtc-c"), cookie=COOKIE)
    with_cookie = dtls.parse_client_hello_body(again)
    assert with_cookie._replace(length=found.length) == found
    with pytest.raises(ProtocolError):
        dtls.parse_client_hello_body(CLIENT_MESSAGE[4:])  # one of TLS, which has no cookie
    newer = client_body(extension(43, b"\x04\xfe\xfc\xfe\xfd"))
    assert dtls.parse_client_hello_body(newer).versions == ("dtls1.3", "dtls1.2")


def test_server_hello():
    found = dtls.parse_server_hello_body(server_body())
    assert (found.version, found.cipher, found.extensions) == ("dtls1.2", 0xC02F, (0xFF01, 14))
    assert not dtls.parse_server_hello_body(server_body()[:30], whole=False).whole
    # the one of RFC 8448, with the version numbers of DTLS (RFC 9147 5.3)
    newer = SERVER_MESSAGE[4:-6] + b"\x00\x2b\x00\x02\xfe\xfc"
    assert dtls.parse_server_hello_body(b"\xfe\xfd" + newer[2:]).version == "dtls1.3"


def test_hello_verify():
    assert dtls.parse_hello_verify(verify_body()) == HelloVerify(0xFEFF, COOKIE)
    for broken in (b"\xfe\xff", verify_body()[:-1], verify_body() + b"x"):
        with pytest.raises(ProtocolError):
            dtls.parse_hello_verify(broken)


def test_alerts():
    assert dtls.parse_alert(dtls.parse_records(ALERT)[0]) == (2, 40)
    for silent in (
        record(b"\x02\x28", 21, epoch=1),
        record(bytes(26), 21),
        ALERT[:14],
        record(b"\x07\x28", 21),
    ):
        assert dtls.parse_alert(dtls.parse_records(silent)[0]) is None
    with pytest.raises(ProtocolError):
        dtls.parse_alert(dtls.parse_records(HELLO)[0])


def test_what_datagrams_look_like():
    piece = record(fragment(1, CLIENT, 0, 40, 60))
    other = record(fragment(11, bytes(90)))
    tls, rtp = b"\x16\x03\x01\x00\xc4\x01" + bytes(200), b"\x80\x60" + bytes(100)
    grams = (
        HELLO,
        FLIGHT,
        VERIFY,
        piece,
        ALERT,
        FINISHED,
        other,
        tls,
        rtp,
        HELLO[:13],
        record(CLIENT, 22, 1),
    )
    looks = dtls.looks_like_dtls(*heads(*grams)).tolist()
    assert looks == [True] * 7 + [False, False, False, True]
    begins = dtls.begins_handshake(*heads(*grams)).tolist()
    assert begins == [True] * 4 + [False] * 7


@settings(max_examples=200, deadline=None)
@given(st.sampled_from([HELLO, FLIGHT, VERIFY, FINISHED, ALERT]), st.integers(0, 200), st.binary(max_size=60))
def test_hostile_datagrams(seed, size, tail):
    data = seed[:size] + tail
    try:
        records = dtls.parse_records(data)
    except ProtocolError:
        return
    assert sum(len(one.content) for one in records) <= len(data)
    for one in records:
        try:
            pieces = dtls.parse_fragments(one)
        except ProtocolError:
            continue
        assert all(piece.offset + len(piece.data) <= piece.length for piece in pieces)


@pytest.mark.usefixtures("tshark")
def test_tshark_reads_the_same(tmp_path):
    """That what is made here is DTLS."""
    grams = (HELLO, VERIFY, FLIGHT, ALERT)
    path = write_pcap(tmp_path / "dtls.pcap", [Pkt(data=gram, proto=17) for gram in grams])
    fields = ("dtls.handshake.type", "dtls.handshake.extensions_server_name")
    found = ask_tshark(path, *fields)
    assert found[0][:2] == ["1", "example.org"]
    assert [line[0] for line in found] == ["1", "3", "14", ""]
