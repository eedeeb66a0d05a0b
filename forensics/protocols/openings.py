"""Names the protocol of a TCP connection by the first bytes of both sides, where those leave no doubt."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from forensics.protocols.errors import ProtocolError
from forensics.protocols.mmtls import SHORTLINK, looks_like_mmtls, parse_mmtls_hello
from forensics.protocols.mtproto import looks_like_mtproto, parse_mtproto_answer, parse_mtproto_start
from forensics.protocols.openvpn import OPCODES, parse_openvpn_stream
from forensics.protocols.pptp import REPLY, REQUEST, parse_pptp_control
from forensics.protocols.ssh import begins_key_exchange, parse_ssh_banner
from forensics.protocols.viber import parse_viber_message
from forensics.protocols.whatsapp import looks_like_whatsapp, parse_whatsapp_answer, parse_whatsapp_hello

if TYPE_CHECKING:
    from collections.abc import Callable

ENOUGH: Final = 96
"""First bytes of a side that are looked at, see wanted()."""
_SSH_BYTES: Final = 320
"""An identification string, and the beginning of the packet after it."""
_OPENVPN_V3: Final = 0x50
"""P_CONTROL_HARD_RESET_CLIENT_V3 with key 0: a key of the client, wrapped by the server's, stands behind it."""
_OPENVPN_MOST: Final = 1200


class Spoken(NamedTuple):
    """What a connection speaks."""

    word: str
    """See known.py."""
    handshake: bool = False
    """A messenger or VPN whose first message asks for an answer."""
    answered: bool | None = None
    """Whether the other side's first bytes are such an answer; None: not enough of them is there."""
    detail: str = ""
    """Versions and names, as the protocol calls them."""
    certain: bool = True
    """False: other protocols can look the same."""


def wanted(data: bytes) -> int:
    """How many of the first bytes of a side are needed, told by what is there of them."""
    if data[:4] == b"SSH-":
        return _SSH_BYTES
    if len(data) > 2 and data[2] == _OPENVPN_V3:  # noqa: PLR2004 - the opcode, behind two bytes of length
        return max(ENOUGH, min(2 + int.from_bytes(data[:2], "big"), _OPENVPN_MOST))
    return ENOUGH


def name_stream(client: bytes, server: bytes) -> Spoken | None:
    """What is spoken on a connection whose sides begin so (either may be empty); None: nothing tells."""
    for ask in _BY_CLIENT:
        try:
            found = ask(client, server)
        except ProtocolError:
            continue
        if found is not None:
            return found
    return _by_words(client, server)


def _whatsapp(client: bytes, server: bytes) -> Spoken | None:
    hello = parse_whatsapp_hello(client) if looks_like_whatsapp(client) else None
    if hello is None:
        return None
    detail = f"{hello.kind} {hello.major}.{hello.minor}{' routed' if hello.routed else ''}"
    answered = _answers(lambda: parse_whatsapp_answer(server, hello.kind))
    return Spoken("whatsapp", handshake=True, answered=answered, detail=detail)


def _mtproto(client: bytes, server: bytes) -> Spoken | None:
    start = parse_mtproto_start(client) if looks_like_mtproto(client) else None
    if start is None:
        return None
    detail = f"{start.transport} {start.request}" if start.request else start.transport
    answered = parse_mtproto_answer(server, start) if server else None
    return Spoken("mtproto", handshake=True, answered=answered, detail=detail, certain=start.certain)


def _mmtls(client: bytes, server: bytes) -> Spoken | None:
    if client.startswith(SHORTLINK):
        return Spoken(
            "mmtls", handshake=True, answered=server[:5] == b"HTTP/" if server else None, detail="shortlink"
        )
    hello = parse_mmtls_hello(client) if looks_like_mmtls(client) else None
    if hello is None or hello.server:
        return None
    answered = looks_like_mmtls(server) if len(server) > 4 else None  # noqa: PLR2004 - a record header
    return Spoken("mmtls", handshake=True, answered=answered, detail=f"longlink {hello.version}")


def _viber(client: bytes, server: bytes) -> Spoken | None:
    message = parse_viber_message(client)
    if message is None or message.answer:
        return None
    return Spoken("viber", handshake=True, answered=_answers(lambda: parse_viber_message(server)))


def _openvpn(client: bytes, server: bytes) -> Spoken | None:
    reset = parse_openvpn_stream(client)
    if reset is None or not reset.client:
        return None

    def answer() -> bool | None:
        back = parse_openvpn_stream(server)
        return None if back is None else not back.client and back.peer in (None, reset.session)

    detail = f"{OPCODES[reset.opcode]} {reset.protection}"
    return Spoken("openvpn", handshake=True, answered=_answers(answer), detail=detail)


def _pptp(client: bytes, server: bytes) -> Spoken | None:
    request = parse_pptp_control(client)
    if request is None or request.message != REQUEST:
        return None

    def answer() -> bool | None:
        reply = parse_pptp_control(server)
        return None if reply is None else reply.message == REPLY

    return Spoken("pptp", handshake=True, answered=_answers(answer))


def _ssh(client: bytes, server: bytes) -> Spoken | None:
    if client[:4] != b"SSH-" and server[:4] != b"SSH-":
        return None
    parts = []
    banners = []
    for word, data in (("client", client), ("server", server)):
        try:
            banner = parse_ssh_banner(data)
        except ProtocolError:
            banner = None
        banners.append(banner)
        if banner is not None:
            exchange = " KEXINIT" if begins_key_exchange(data[banner.length :]) else ""
            parts.append(f"{word} {banner.version} {banner.software}{exchange}")
    if banners == [None, None]:
        return None
    return Spoken("ssh", handshake=True, answered=all(banners) or None, detail=", ".join(parts))


_BY_CLIENT: Final[tuple[Callable[[bytes, bytes], Spoken | None], ...]] = (
    _whatsapp,
    _ssh,
    _mmtls,
    _pptp,
    _openvpn,
    _viber,
    _mtproto,
)


def _answers(parse: Callable[[], object]) -> bool | None:
    """True: it parses; False: it is something else; None: too little of it is there."""
    try:
        found = parse()
    except ProtocolError:
        return False
    return None if found is None else bool(found)


# Protocols that are named by the words they begin with, and by no more than that.
CLIENT_WORDS: Final[tuple[tuple[bytes, str], ...]] = (
    (b"CONNECT ", "http-proxy"),
    (b"\x13BitTorrent protocol", "bittorrent"),
    (b"<?xml ", "xmpp"),
    (b"<stream:stream", "xmpp"),
    (b"EHLO ", "smtp"),
    (b"HELO ", "smtp"),
    (b"REGISTER sip:", "sip"),
    (b"INVITE sip:", "sip"),
    (b"OPTIONS sip:", "sip"),
    (b"SIP/2.0 ", "sip"),
    (b"DESCRIBE rtsp:", "rtsp"),
    (b"OPTIONS rtsp:", "rtsp"),
    (b"RTSP/1.0 ", "rtsp"),
)
SERVER_WORDS: Final[tuple[tuple[bytes, str], ...]] = (
    (b"* OK", "imap"),
    (b"* PREAUTH", "imap"),
    (b"+OK", "pop3"),
    (b"RFB 00", "vnc"),
)
_FTP_VERBS: Final = (b"USER ", b"AUTH ", b"FEAT", b"SYST", b"OPTS ")
_SMTP_VERBS: Final = (b"EHLO ", b"HELO ", b"STARTTLS")
_LEVELS: Final = (b"\x01", b"\x02")
"""Warning and fatal."""
_SMB: Final = (b"\xffSMB", b"\xfeSMB")
_METHODS: Final = 9
"""https://www.iana.org/assignments/socks-methods: more than anybody offers, and the highest number in use."""
_OPTIONS: Final = (b"\xfb", b"\xfc", b"\xfd", b"\xfe")
_SHORTEST_QUERY, _LONGEST_QUERY = 17, 512
_MQTT: Final = (b"\x00\x04MQTT", b"\x00\x06MQIsdp")
_STUN_COOKIE: Final = b"\x21\x12\xa4\x42"


def _by_words(client: bytes, server: bytes) -> Spoken | None:
    word = (
        next((word for begin, word in CLIENT_WORDS if client.startswith(begin)), None)
        or next((word for begin, word in SERVER_WORDS if server.startswith(begin)), None)
        or _greeting(client, server)
        or _binary(client, server)
    )
    return Spoken(word) if word else None


def _greeting(client: bytes, server: bytes) -> str | None:
    """SMTP and FTP greet with the same number."""
    if server[:3] not in (b"220", b"421", b"554"):
        return None
    if client.startswith(_SMTP_VERBS) or b"SMTP" in server.upper():
        return "smtp"
    if client.upper().startswith(_FTP_VERBS) or b"FTP" in server.upper():
        return "ftp"
    return None


def _socks(client: bytes, server: bytes) -> bool:
    """Version 5: https://www.rfc-editor.org/rfc/rfc1928#section-3; version 4: a command, a port, an address, a name."""
    version, count = client[:1], client[1] if len(client) > 1 else 0
    if version == b"\x05":
        methods = client[2 : 2 + count]
        return (
            0 < count == len(methods) <= _METHODS
            and max(methods) <= _METHODS
            and server[:1] in (b"\x05", b"")
        )
    return version == b"\x04" and count in (1, 2) and b"\x00" in client[8:] and server[:1] in (b"\x00", b"")


def _tls_alert(data: bytes) -> bool:
    """An alert in the clear instead of a hello: https://www.rfc-editor.org/rfc/rfc8446#section-6."""
    return (
        data[:2] == b"\x15\x03" and data[2:3] <= b"\x04" and data[3:5] == b"\x00\x02" and data[5:6] in _LEVELS
    )


def _rdp(client: bytes) -> bool:
    """TPKT with a connection request of X.224: https://www.rfc-editor.org/rfc/rfc1006#section-6."""
    size = int.from_bytes(client[2:4], "big")
    return client[:2] == b"\x03\x00" and client[5:6] == b"\xe0" and client[4] == size - 5


def _telnet(data: bytes) -> bool:
    """Two options or one alone: https://www.rfc-editor.org/rfc/rfc854."""
    return data[:1] == b"\xff" and data[1:2] in _OPTIONS and data[3:4] in (b"\xff", b"")


def _binary(client: bytes, server: bytes) -> str | None:
    found = {
        "tls": _tls_alert(server) or _tls_alert(client),
        "smb": client[4:8] in _SMB,
        "socks": _socks(client, server),
        "mqtt": client[:1] == b"\x10" and any(name in client[2:12] for name in _MQTT),
        "rdp": _rdp(client),
        "stun": client[4:8] == _STUN_COOKIE and client[:1] < b"\x40",
        "telnet": _telnet(client) or _telnet(server),
        "dns": _counted_dns(client),
    }
    return next((word for word, yes in found.items() if yes), None)


def _counted_dns(client: bytes) -> bool:
    """A query behind its length: https://www.rfc-editor.org/rfc/rfc1035#section-4.2.2."""
    size = int.from_bytes(client[:2], "big")
    plain = client[4:5] != b"" and client[4] & 0xF8 == 0 and client[6:8] == b"\x00\x01"
    return plain and client[8:12] == bytes(4) and _SHORTEST_QUERY <= size <= _LONGEST_QUERY
