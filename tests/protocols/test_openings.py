"""What the first bytes of both sides say, and what they leave open."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forensics.protocols.known import WORDS
from forensics.protocols.openings import ENOUGH, name_stream, wanted
from tests.protocols.test_mmtls import CLIENT as MMTLS_CLIENT
from tests.protocols.test_mmtls import SERVER as MMTLS_SERVER
from tests.protocols.test_mtproto import ABRIDGED, RES_PQ
from tests.protocols.test_openvpn import ECHO, MINE, PLAIN, THEIRS, auth
from tests.protocols.test_pptp import REPLY, REQUEST
from tests.protocols.test_ssh import BANNER, KEXINIT
from tests.protocols.test_viber import ANSWER as VIBER_ANSWER
from tests.protocols.test_viber import REQUEST as VIBER_REQUEST
from tests.protocols.test_whatsapp import HELLO, KEY, NOISE, OLD, ROUTE


def stream(packet: bytes) -> bytes:
    return len(packet).to_bytes(2, "big") + packet


NOISE_ANSWER = b"\x00\x00\x36\x1a\x34\x0a\x20" + KEY
HANDSHAKES = [
    (NOISE + HELLO, NOISE_ANSWER, "whatsapp", "noise 6.3"),
    (ROUTE + NOISE + HELLO, NOISE_ANSWER, "whatsapp", "noise 6.3 routed"),
    (OLD + b"\xf8\x05", b"\x00\x00\x05\xf8\x03\x01", "whatsapp", "funxmpp 1.5"),
    (ABRIDGED, bytes([len(RES_PQ) // 4]) + RES_PQ, "mtproto", "abridged req_pq"),
    (MMTLS_CLIENT, MMTLS_SERVER, "mmtls", "longlink f104"),
    (b"POST /mmtls/1234 HTTP/1.1\r\n", b"HTTP/1.1 200 OK\r\n", "mmtls", "shortlink"),
    (VIBER_REQUEST, VIBER_ANSWER, "viber", ""),
    (stream(PLAIN), stream(b"\x40" + THEIRS + ECHO), "openvpn", "P_CONTROL_HARD_RESET_CLIENT_V2 plain"),
    (stream(auth(20)), stream(b"\x40" + THEIRS + ECHO), "openvpn", "P_CONTROL_HARD_RESET_CLIENT_V2 tls-auth"),
    (REQUEST, REPLY, "pptp", ""),
    (
        BANNER + KEXINIT,
        b"SSH-2.0-dropbear\r\n",
        "ssh",
        "client 2.0 OpenSSH_9.6p1 KEXINIT, server 2.0 dropbear",
    ),
]


@pytest.mark.parametrize(("client", "server", "word", "detail"), HANDSHAKES)
def test_handshakes(client: bytes, server: bytes, word: str, detail: str) -> None:
    spoken = name_stream(client, server)
    assert spoken is not None
    assert (spoken.word, spoken.handshake, spoken.answered, spoken.detail) == (word, True, True, detail)
    alone = name_stream(client, b"")
    assert alone is not None
    assert alone.word == word
    assert not alone.answered
    other = name_stream(client, b"\x00\xff\x00\xff" * 30)
    assert other is not None
    assert not other.answered


def test_an_answer_for_another_session_is_none() -> None:
    spoken = name_stream(stream(PLAIN), stream(b"\x40" + THEIRS + ECHO.replace(MINE, b"somebody")))
    assert spoken is not None
    assert spoken.answered is False


@pytest.mark.parametrize(
    ("client", "server", "word"),
    [
        (b"CONNECT example.org:443 HTTP/1.1\r\n", b"", "http-proxy"),
        (b"\x05\x02\x00\x01", b"\x05\x00", "socks"),
        (b"\x04\x01\x00\x50\x01\x02\x03\x04user\x00", b"\x00\x5a", "socks"),
        (b"", b"\x15\x03\x01\x00\x02\x02\x28", "tls"),
        (b"EHLO me\r\n", b"220 mail.example ESMTP\r\n", "smtp"),
        (b"", b"220 mail.example ESMTP\r\n", "smtp"),
        (b"USER anonymous\r\n", b"220 ready\r\n", "ftp"),
        (b"", b"* OK IMAP4rev1 ready\r\n", "imap"),
        (b"", b"+OK POP3 ready\r\n", "pop3"),
        (b"<?xml version='1.0'?><stream:stream", b"", "xmpp"),
        (b"\x10\x10\x00\x04MQTT\x04\x02", b"\x20\x02", "mqtt"),
        (b"\x00\x00\x00\x45\xffSMBr", b"", "smb"),
        (b"\x03\x00\x00\x13\x0e\xe0\x00\x00", b"", "rdp"),
        (b"\xff\xfd\x03\xff\xfb\x18", b"", "telnet"),
        (b"\x00\x03\x00\x08\x21\x12\xa4\x42" + bytes(20), b"", "stun"),
        (b"\x00\x1d\xab\xcd\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x07example\x03org\x00", b"", "dns"),
        (b"", b"SSH-2.0-OpenSSH_9.6\r\n", "ssh"),
    ],
)
def test_words(client: bytes, server: bytes, word: str) -> None:
    spoken = name_stream(client, server)
    assert spoken is not None
    assert spoken.word == word


@pytest.mark.parametrize(
    ("client", "server"),
    [
        (b"", b""),
        (b"\x05\x02", b""),
        (b"\x05\x02\x00\x01", b"HTTP/1.1 400 Bad Request"),
        (b"", b"220 hello\r\n"),
        (b"WARNING", b""),
        (bytes(range(100, 200)), bytes(range(90))),
        (b"\xf4\x9c\xfb\x0b\x87\x96\xba\x87\x14\x26" * 8, b""),
    ],
)
def test_what_nothing_names(client: bytes, server: bytes) -> None:
    assert name_stream(client, server) is None


def test_bytes_that_are_wanted() -> None:
    assert wanted(b"SSH-2.0") > 255
    assert wanted(b"") == wanted(b"anything") == ENOUGH
    assert wanted(b"\x01\x62\x50") == 2 + 0x162
    assert wanted(b"\xff\xff\x50") <= 1200


@settings(max_examples=200)
@given(
    st.sampled_from([client for client, *_ in HANDSHAKES]),
    st.integers(0, 60),
    st.binary(max_size=60),
    st.binary(max_size=60),
)
def test_nothing_raises(client: bytes, cut: int, junk: bytes, server: bytes) -> None:
    for one, other in ((client[:cut] + junk, server), (server, client[:cut] + junk)):
        spoken = name_stream(one, other)
        assert spoken is None or spoken.word in WORDS
