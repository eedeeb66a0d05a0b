"""Tunnels as an observer sees them: WireGuard, OpenVPN and IKEv2; their sizes and order, with random insides."""
# ruff: noqa: PLR0913 - each option of a client is an argument of its own

from __future__ import annotations

import os
import socket
import struct
import time
from collections.abc import Callable
from typing import Final

from tests.lab.scenario import Conversation, Session

_WG_SIZES: Final = (32, 80, 112, 272, 1312, 1424)
"""Bytes of WireGuard's data messages: a header of 16, the inner packet padded to 16, a tag of 16."""
_ESP_BACK: Final = b"\xc0\xff\xee\x02"
"""The SPI of what the gateway sends."""


def serve_wireguard(session: Session, address: str, port: int = 51_820) -> None:
    """Answers an initiation (148 bytes) with a response (92), and data with data."""

    def answer(data: bytes, _sender: tuple[str, int]) -> list[bytes]:
        if data[:4] == b"\x01\0\0\0" and len(data) == 148:
            return [b"\x02\0\0\0" + os.urandom(4) + data[4:8] + os.urandom(80)]
        if data[:4] == b"\x04\0\0\0":
            return [_wg_data(2 + len(data)) for _ in range(1 + len(data) % 3)]
        return []

    session.receive(address, port, answer)


def wireguard(
    session: Session,
    label: str,
    server: str,
    port: int = 51_820,
    *,
    seconds: float = 6.0,
    timeout: float = 6.0,
    source_port: int = 0,
) -> Conversation:
    """A tunnel: a handshake (tried again every five seconds while ``timeout`` lasts), then data for ``seconds``."""
    chosen = source_port or session.port()
    begun = time.time()
    with session.datagrams(server, port, source_port=chosen, timeout=1.0) as opened:
        until = time.monotonic() + timeout
        answered = False
        while not answered and time.monotonic() < until:
            opened.send(b"\x01\0\0\0" + session.random.randbytes(144))
            answered = bool(_wait(opened, min(5.0, max(until - time.monotonic(), 0.1))))
        got = _chatter(session, opened, seconds, _wg_data) if answered else 0
    ok = got > seconds * 2
    detail = f"handshake {'answered' if answered else 'unanswered'}, {got} data messages came"
    return session.note(label, "udp", (server, port), chosen, ok=ok, detail=detail, begun=begun)


def _wg_data(number: int) -> bytes:
    size = _WG_SIZES[number % len(_WG_SIZES)]
    return b"\x04\0\0\0" + os.urandom(4) + struct.pack("<Q", number) + os.urandom(size - 16)


def serve_openvpn(session: Session, address: str, port: int = 1194, *, tcp: bool = False) -> None:
    """Answers HARD_RESET, CONTROL with ACK and CONTROL, and DATA with DATA."""
    if tcp:

        def serve(connection: socket.socket) -> None:
            mine = os.urandom(8)
            while True:
                length = int.from_bytes(_exactly(connection, 2), "big")
                for reply in _ovpn_answer(_exactly(connection, length), mine):
                    connection.sendall(len(reply).to_bytes(2, "big") + reply)

        session.listen(address, port, serve)
        return
    mine = os.urandom(8)
    session.receive(address, port, lambda data, _sender: _ovpn_answer(data, mine))


def openvpn(
    session: Session,
    label: str,
    server: str,
    port: int = 1194,
    *,
    tcp: bool = False,
    seconds: float = 6.0,
    timeout: float = 6.0,
    source_port: int = 0,
) -> Conversation:
    """A tunnel: HARD_RESET both ways, ACK, CONTROL with a TLS hello, then data for ``seconds``."""
    chosen = source_port or session.port()
    begun = time.time()
    proto = "tcp" if tcp else "udp"
    mine = session.random.randbytes(8)
    got, said = 0, ""
    try:
        opened = (
            session.connect(server, port, source_port=chosen, timeout=timeout)
            if tcp
            else session.datagrams(server, port, source_port=chosen, timeout=timeout)
        )
        with opened:
            link = _Link(opened, tcp=tcp)
            theirs = _ovpn_begin(link, mine, timeout)
            link.send(_ovpn(5, mine) + b"\x01" + bytes(4) + theirs)
            for number in (1, 2, 3):
                inside = b"\x16\x03\x01\x01\x20\x01" + session.random.randbytes(287)
                link.send(_ovpn(4, mine) + b"\0" + number.to_bytes(4, "big") + inside)
                while link.receive(timeout)[0] >> 3 != 4:
                    pass
                link.send(_ovpn(5, mine) + b"\x01" + number.to_bytes(4, "big") + theirs)
            until = time.monotonic() + seconds
            while time.monotonic() < until:
                size = 60 + session.random.randrange(1200)
                link.send(bytes([9 << 3, 0, 0, 0]) + session.random.randbytes(size))
                link.receive(timeout)
                got += 1
                time.sleep(0.1)
        said = f"{got} data packets came"
    except OSError as error:
        said = f"{type(error).__name__}: {error} after {got} data packets"
    ok = said.endswith("came") and got > 0
    return session.note(label, proto, (server, port), chosen, ok=ok, detail=said, begun=begun)


def _ovpn_begin(link: _Link, mine: bytes, timeout: float) -> bytes:
    until = time.monotonic() + timeout
    pause = 2.0
    while True:
        link.send(_ovpn(7, mine) + b"\0" + bytes(4))
        try:
            return link.receive(pause if not link.tcp else timeout)[1:9]
        except TimeoutError:
            if time.monotonic() > until or link.tcp:
                raise
        pause *= 2


def _ovpn(opcode: int, session_id: bytes) -> bytes:
    return bytes([opcode << 3]) + session_id


def _ovpn_answer(data: bytes, mine: bytes) -> list[bytes]:
    if len(data) < 9:
        return []
    opcode, theirs = data[0] >> 3, data[1:9]
    acked = b"\x01" + data[10:14] + theirs
    if opcode == 7:
        return [_ovpn(8, mine) + b"\x01" + bytes(4) + theirs + bytes(4)]
    if opcode == 4:
        inside = b"\x16\x03\x03\x04\x00" + os.urandom(900)
        return [_ovpn(5, mine) + acked, _ovpn(4, mine) + b"\0" + data[10:14] + inside]
    if opcode == 9:
        return [bytes([9 << 3, 0, 0, 0]) + os.urandom(80 + len(data) % 900)]
    return []


class _Link:
    """The same messages over UDP, or over TCP with their length before them."""

    def __init__(self, opened: socket.socket, *, tcp: bool) -> None:
        self._opened = opened
        self.tcp = tcp

    def send(self, message: bytes) -> None:
        self._opened.sendall(len(message).to_bytes(2, "big") + message if self.tcp else message)

    def receive(self, timeout: float) -> bytes:
        self._opened.settimeout(timeout)
        if self.tcp:
            return _exactly(self._opened, int.from_bytes(_exactly(self._opened, 2), "big"))
        return self._opened.recv(1 << 16)


def serve_ike(session: Session, address: str) -> None:
    """IKE_SA_INIT on port 500, IKE_AUTH and ESP in UDP on port 4500."""

    def first(data: bytes, _sender: tuple[str, int]) -> list[bytes]:
        return [_ike_init(data[:8], os.urandom(8), 0x20)] if len(data) > 28 else []

    def later(data: bytes, _sender: tuple[str, int]) -> list[bytes]:
        if data[:4] == bytes(4) and len(data) > 32:
            return [bytes(4) + _ike_auth(data[4:12], data[12:20], 0x20, 220)]
        return [_ESP_BACK + data[4:8] + os.urandom(100 + len(data) % 1000)] if len(data) > 8 else []

    session.receive(address, 500, first)
    session.receive(address, 4500, later)


def ike(
    session: Session,
    label: str,
    server: str,
    *,
    seconds: float = 4.0,
    timeout: float = 7.0,
    source_port: int = 0,
) -> Conversation:
    """IKEv2 and ESP in UDP; the ledger has two rows with the label, for port 500 and for 4500."""
    chosen = source_port or session.port()
    begun = time.time()
    spi = session.random.randbytes(8)
    init = _ike_init(spi, bytes(8), 0x08)
    with session.datagrams(server, 500, source_port=chosen) as opened:
        answer = _retried(opened, init, timeout)
    done = session.note(
        label, "udp", (server, 500), chosen, ok=bool(answer), detail=f"{len(answer)} bytes", begun=begun
    )
    if not answer:
        return done
    chosen = session.port()
    begun = time.time()
    auth = bytes(4) + _ike_auth(spi, answer[8:16], 0x08, 260)
    with session.datagrams(server, 4500, source_port=chosen) as opened:
        got = 0
        if _retried(opened, auth, timeout):
            got = _chatter(
                session,
                opened,
                seconds,
                lambda number: struct.pack("!II", 0xC0FFEE01, number) + os.urandom(200),
            )
    return session.note(
        label, "udp", (server, 4500), chosen, ok=got > 0, detail=f"{got} ESP packets came", begun=begun
    )


def _ike_init(mine: bytes, theirs: bytes, flags: int) -> bytes:
    """IKE_SA_INIT with one proposal, a key of group 14 and a nonce (RFC 7296 sections 3.1 to 3.9)."""
    kinds = ((1, 12, b"\x80\x0e\x01\x00"), (2, 5, b""), (3, 12, b""), (4, 14, b""))
    transforms = b"".join(
        struct.pack("!BBHBBH", 0 if kind == 4 else 3, 0, 8 + len(more), kind, 0, number) + more
        for kind, number, more in kinds
    )
    proposal = struct.pack("!BBHBBBB", 0, 0, 8 + len(transforms), 1, 1, 0, len(kinds)) + transforms
    inside = (
        _payload(34, proposal) + _payload(40, b"\0\x0e\0\0" + os.urandom(256)) + _payload(0, os.urandom(32))
    )
    return _ike(mine, theirs, 33, (34, flags, 0), inside)


def _ike_auth(mine: bytes, theirs: bytes, flags: int, size: int) -> bytes:
    """IKE_AUTH: one encrypted payload."""
    return _ike(mine, theirs, 46, (35, flags, 1), _payload(35 if flags == 0x08 else 36, os.urandom(size)))


def _ike(mine: bytes, theirs: bytes, first: int, kind: tuple[int, int, int], inside: bytes) -> bytes:
    exchange, flags, number = kind
    return (
        mine
        + theirs
        + struct.pack("!BBBBII", first, 0x20, exchange, flags, number, 28 + len(inside))
        + inside
    )


def _payload(following: int, inside: bytes) -> bytes:
    return struct.pack("!BBH", following, 0, 4 + len(inside)) + inside


def _retried(opened: socket.socket, message: bytes, timeout: float) -> bytes:
    until = time.monotonic() + timeout
    pause = 1.0
    while time.monotonic() < until:
        opened.send(message)
        answer = _wait(opened, min(pause, max(until - time.monotonic(), 0.05)))
        if answer:
            return answer
        pause *= 2
    return b""


def _wait(opened: socket.socket, seconds: float) -> bytes:
    opened.settimeout(seconds)
    try:
        return opened.recv(1 << 16)
    except OSError:
        # not before its time, or what asks again would ask in a loop
        time.sleep(0.05)
        return b""


def _chatter(session: Session, opened: socket.socket, seconds: float, make: Callable[[int], bytes]) -> int:
    """Data both ways, ten times a second; how many came."""
    got = 0
    until = time.monotonic() + seconds
    opened.settimeout(0.005)
    number = 0
    while time.monotonic() < until:
        for _ in range(1 + session.random.randrange(2)):
            number += 1
            try:
                opened.send(make(number))
            except OSError:
                continue
        pause = time.monotonic() + 0.1
        while time.monotonic() < pause:
            try:
                got += bool(opened.recv(1 << 16))
            except OSError:
                continue
    return got


def _exactly(connection: socket.socket, count: int) -> bytes:
    read = bytearray()
    while len(read) < count:
        data = connection.recv(count - len(read))
        if not data:
            raise ConnectionError("the other end closed")
        read += data
    return bytes(read)
