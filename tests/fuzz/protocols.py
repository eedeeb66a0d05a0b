"""Targets for the parsers of datagrams and beginnings of streams other than DNS datagrams and hellos of TLS."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

from forensics.observations.dtls_connection import Connection
from forensics.protocols import (
    dns,
    dtls,
    http,
    ike,
    l2tp,
    mmtls,
    mtproto,
    openvpn,
    pptp,
    quic,
    quic_frames,
    quic_google,
    rtp,
    ssh,
    stun,
    viber,
    whatsapp,
    wireguard,
)
from forensics.protocols.certificate import read_certificate
from forensics.protocols.errors import ProtocolError
from forensics.protocols.openings import name_stream
from forensics.protocols.tls_flight import Flight
from pcaps.generate.certificate_samples import CLIENT, LEAF, ROOT
from pcaps.generate.quic_samples import CLIENT_V1, CLIENT_V2, RETRY_V1, SERVER_FRAMES, SERVER_V1
from tests.fuzz.messages import answer, check_text
from tests.protocols import (
    test_dns,
    test_dtls,
    test_http,
    test_http_stream,
    test_ike,
    test_l2tp,
    test_mmtls,
    test_mtproto,
    test_openings,
    test_openvpn,
    test_pptp,
    test_quic_google,
    test_rtp,
    test_ssh,
    test_stun,
    test_tls_flight,
    test_viber,
    test_whatsapp,
    test_wireguard,
)
from tests.protocols.quic_seal import negotiation

Parser = Callable[[bytes], Any]


def datagram(parse: Parser) -> Callable[[bytes], None]:
    """A datagram means the same each time it is read."""

    def run(raw: bytes) -> None:
        found = answer(parse, raw)
        check_text(found)
        assert found == answer(parse, raw)

    return run


def beginning(parse: Parser) -> Callable[[bytes], None]:
    """What stands at the beginning of a stream is the same, or refused, however much of the stream follows."""

    def run(raw: bytes) -> None:
        found = answer(parse, raw)
        check_text(found)
        for size in range(0, len(raw), 1 + len(raw) // 16):
            early = answer(parse, raw[:size])
            assert early is None or early == found

    return run


def check_http_head(raw: bytes) -> None:
    """As any beginning; but a zero byte in the first line is refused only until that line is whole."""
    check = datagram if b"\x00" in raw.partition(b"\n")[0] else beginning
    check(http.parse_head)(raw)


def check_certificate(raw: bytes) -> None:
    """Never refused: what can be read is told."""
    check_text(read_certificate(raw))


def check_flight(raw: bytes) -> None:
    """However a stream is cut, the same certificates come out of it."""
    told = []
    for size in (len(raw) or 1, 1, 7):
        flight = Flight()
        try:
            for at in range(0, len(raw), size):
                flight.feed(raw[at : at + size], (at, at))
        except ProtocolError as error:
            check_text(str(error))
        told.append(([shown.der for shown in flight.certificates], flight.whole, flight.server))
    assert told[0] == told[1] == told[2]


def check_http_stream(raw: bytes) -> None:
    """However a stream is cut, messages of the same kind and length come out of it, up to one that is broken.

    Behind that the next message is looked for where a segment begins. Of the body of a request only what comes in
    one piece is kept.
    """
    told = []
    for size in (0, 7):
        messages = test_http_stream.Side().feed(raw, size).told()
        told.append([(kind, length) for kind, _, length, _ in itertools.takewhile(_whole, messages)])
    assert told[0] == told[1]


def _whole(message: tuple[Any, ...]) -> bool:
    return bool(message[-1])


def check_opening(raw: bytes) -> None:
    """What client and server said first: the first byte says where the client ends."""
    client = raw[1 : 1 + raw[0]] if raw else b""
    check_text(name_stream(client, raw[1 + len(client) :]))


def check_dtls(raw: bytes) -> None:
    """Datagrams of both sides in turn, each behind a byte and two of length; what is held stays small."""
    connection = Connection()
    frame = 0
    while len(raw) > 2:
        size = (raw[0] << 8 | raw[1]) & 0x7FF
        frame += 1
        connection.take(frame & 1, raw[2 : 2 + size], frame)
        assert connection.held() <= 2 * dtls.MAX_MESSAGE
        raw = raw[2 + size :]
    check_text(connection.hello)
    check_text(connection.server)
    assert connection.hello_frames == sorted(set(connection.hello_frames))


def both(one: bytes, other: bytes) -> bytes:
    """A seed for ``check_opening``."""
    return bytes([len(one[:255])]) + one[:255] + other


def in_turn(*grams: bytes) -> bytes:
    """A seed for ``check_dtls``."""
    return b"".join(len(gram).to_bytes(2, "big") + gram for gram in grams)


GRAMS = (
    test_dtls.HELLO,
    test_dtls.VERIFY,
    test_dtls.HELLO,
    test_dtls.FLIGHT,
    test_dtls.FINISHED,
    test_dtls.ALERT,
)
QUERY = test_dns.query()
FRAMED = len(QUERY).to_bytes(2, "big") + QUERY

PARSERS: dict[str, tuple[Callable[[bytes], None], list[bytes]]] = {
    "quic": (
        datagram(quic.parse_datagram),
        [CLIENT_V1, CLIENT_V2, SERVER_V1, RETRY_V1, negotiation(b"a", b"b", 1)],
    ),
    "quic-frames": (
        datagram(quic_frames.parse_frames),
        [SERVER_FRAMES, b"\x06\x00\x04abcd\x1c\x01\x00\x02no"],
    ),
    "quic-google": (
        datagram(quic_google.parse_google_packet),
        [test_quic_google.public(b"Q043", test_quic_google.stream_frame(test_quic_google.CHLO))],
    ),
    "quic-google-frames": (
        datagram(lambda raw: quic_google.parse_google_frames(raw, 0, 0x51303433)),
        [test_quic_google.stream_frame(test_quic_google.CHLO)],
    ),
    "quic-google-hello": (datagram(quic_google.parse_google_message), [test_quic_google.CHLO]),
    "stun": (
        datagram(stun.parse_message),
        [test_stun.REQUEST_21, test_stun.RESPONSE_22, test_stun.REQUEST_24, test_stun.WHATSAPP],
    ),
    "stun-stream": (datagram(stun.parse_stream), [test_stun.REQUEST_21, b"\x40\x00\x00\x04abcd"]),
    "rtp": (datagram(rtp.parse_rtp), [test_rtp.PLAIN, test_rtp.EXTENDED]),
    "rtcp": (
        datagram(rtp.parse_rtcp),
        [test_rtp.REPORT + test_rtp.DESCRIBED, test_rtp.RECEIVED + test_rtp.LEFT],
    ),
    "http-head": (check_http_head, [test_http.REQUEST, test_http.RESPONSE]),
    "http-stream": (check_http_stream, [test_http_stream.TWO, test_http.RESPONSE]),
    "dns-stream": (beginning(dns.framed), [FRAMED, FRAMED + FRAMED]),
    "openvpn": (
        datagram(openvpn.parse_openvpn_reset),
        [test_openvpn.PLAIN, test_openvpn.CRYPT, test_openvpn.auth(20)],
    ),
    "openvpn-stream": (datagram(openvpn.parse_openvpn_stream), [test_openings.stream(test_openvpn.PLAIN)]),
    "ike": (datagram(ike.parse_ike), [test_ike.INIT, test_ike.ANSWER, test_ike.MAIN]),
    "l2tp": (datagram(l2tp.parse_l2tp_control), [test_l2tp.control(1), test_l2tp.control(2, tunnel=9)]),
    "pptp": (datagram(pptp.parse_pptp_control), [test_pptp.REQUEST, test_pptp.REPLY]),
    "wireguard": (datagram(wireguard.parse_wireguard), [test_wireguard.INITIATION, test_wireguard.DATA]),
    "whatsapp": (
        datagram(whatsapp.parse_whatsapp_hello),
        [test_whatsapp.ROUTE + test_whatsapp.NOISE + test_whatsapp.HELLO, test_whatsapp.OLD],
    ),
    "mtproto": (
        datagram(mtproto.parse_mtproto_start),
        [test_mtproto.ABRIDGED, test_mtproto.INTERMEDIATE, test_mtproto.PADDED, test_mtproto.FULL],
    ),
    "mmtls": (datagram(mmtls.parse_mmtls_hello), [test_mmtls.CLIENT, test_mmtls.SERVER]),
    "viber": (datagram(viber.parse_viber_message), [test_viber.REQUEST, test_viber.ANSWER]),
    "ssh": (datagram(ssh.parse_ssh_banner), [test_ssh.BANNER + test_ssh.KEXINIT]),
    "opening": (check_opening, [both(client, server) for client, server, *_ in test_openings.HANDSHAKES]),
    "dtls": (check_dtls, [in_turn(*GRAMS), *(in_turn(gram) for gram in GRAMS)]),
    "certificate": (check_certificate, [LEAF, ROOT, CLIENT]),
    "certificate-flight": (
        check_flight,
        [test_tls_flight.FLIGHT, test_tls_flight.records(test_tls_flight.CHAIN, 40)],
    ),
}
"""Name → how to run bytes, valid inputs."""
