"""Messengers and other long connections: WhatsApp's chat, WeChat's MMTLS, fully encrypted streams, SSH.

Hellos and framing are the protocols' own; what follows them is random, as an observer of encryption sees it.
"""
# ruff: noqa: PLR0913 - each option of a client is an argument of its own

from __future__ import annotations

import os
import socket
import struct
import time
from collections.abc import Callable
from typing import Final

from tests.lab.scenario import Conversation, Session

_WA: Final = b"WA\x06\x03"
_MMTLS: Final = 0xF104


def serve_whatsapp(session: Session, address: str, port: int = 5222) -> None:
    """A chat server: takes the header and a Noise hello, answers, and then each message with one of its own."""

    def serve(connection: socket.socket) -> None:
        head = _exactly(connection, 4)
        if head[:2] == b"ED":
            _exactly(connection, int.from_bytes(_exactly(connection, 3), "big"))
            _exactly(connection, 4)
        _message(connection)
        ephemeral, static, payload = os.urandom(32), os.urandom(48), os.urandom(250)
        inner = b"\x0a\x20" + ephemeral + b"\x12\x30" + static + b"\x1a\xfa\x01" + payload
        connection.sendall(_framed(b"\x1a" + _varint(len(inner)) + inner))
        _message(connection)
        while True:
            length = len(_message(connection))
            connection.sendall(_framed(os.urandom(40 + length % 97)))

    session.listen(address, port, serve)


def whatsapp(
    session: Session,
    label: str,
    server: str,
    port: int = 5222,
    *,
    seconds: float = 6.0,
    timeout: float = 6.0,
    prefix: bool = True,
    source_port: int = 0,
) -> Conversation:
    """A chat: hello, Noise handshake, then a message or two each half second; ``prefix`` sends the routing header."""

    def talk(connection: socket.socket) -> str:
        inner = b"\x0a\x20" + session.random.randbytes(32)
        hello = _WA + _framed(b"\x12" + _varint(len(inner)) + inner)
        route = session.random.randbytes(7)
        head = b"ED\x00\x01" + len(route).to_bytes(3, "big") + route if prefix else b""
        connection.sendall(head + hello)
        _message(connection)
        connection.sendall(_framed(b"\x22\xd2\x01" + session.random.randbytes(210)))
        return f"{_messages(session, connection, seconds, _framed, _message)} messages"

    return _conversation(session, label, server, port, talk, timeout, source_port)


def serve_mmtls(session: Session, address: str, port: int = 443) -> None:
    """WeChat's longlink: hello, hello, then records."""

    def serve(connection: socket.socket) -> None:
        _record(connection)
        answer = struct.pack("!IBHH", 71, 2, 0x04F1, 0xC02B) + os.urandom(66)
        connection.sendall(_sealed(answer, 0x16) + _sealed(os.urandom(115), 0x16) + _sealed(os.urandom(58)))
        while True:
            length = len(_record(connection))
            connection.sendall(_sealed(os.urandom(60 + length % 211)))

    session.listen(address, port, serve)


def mmtls(
    session: Session,
    label: str,
    server: str,
    port: int = 443,
    *,
    messages: int = 5,
    timeout: float = 6.0,
    source_port: int = 0,
) -> Conversation:
    """A WeChat connection: MMTLS hello, then ``messages`` records that are answered, half a second apart."""

    def talk(connection: socket.socket) -> str:
        hello = struct.pack("!IBHBHHI", 204, 1, 0x04F1, 2, 0xC02B, 0x00A8, int(time.time()))
        connection.sendall(_sealed(hello + session.random.randbytes(192), 0x16))
        for _ in range(3):
            _record(connection)
        return f"{_messages(session, connection, messages * 0.5, _sealed, _record)} messages"

    return _conversation(session, label, server, port, talk, timeout, source_port)


def serve_random(session: Session, address: str, port: int) -> None:
    """The other end of a fully encrypted stream: sends as many random bytes as the first 4 kB ask for."""

    def serve(connection: socket.socket) -> None:
        while True:
            asked = connection.recv(4096)
            if not asked:
                return
            connection.sendall(os.urandom(20 * len(asked)))

    session.listen(address, port, serve)


def random_stream(
    session: Session,
    label: str,
    server: str,
    port: int,
    *,
    first: int = 600,
    size: int = 20_000,
    timeout: float = 6.0,
    source_port: int = 0,
) -> Conversation:
    """Random bytes from the first one on, as of Shadowsocks; until the server has sent ``size`` of its own."""

    def talk(connection: socket.socket) -> str:
        got = 0
        length = first
        while got < size:
            connection.sendall(session.random.randbytes(length))
            waiting = 20 * length
            while waiting > 0:
                data = connection.recv(1 << 16)
                if not data:
                    raise ConnectionError("the server closed")
                waiting -= len(data)
                got += len(data)
            length = 60 + session.random.randrange(400)
            time.sleep(0.05)
        return f"{got} bytes"

    return _conversation(session, label, server, port, talk, timeout, source_port)


def serve_ssh(session: Session, address: str, port: int = 22) -> None:
    """Version, key exchange, and then encrypted packets."""

    def serve(connection: socket.socket) -> None:
        connection.sendall(b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n")
        _line(connection)
        connection.sendall(_ssh_packet(_kexinit()))
        while True:
            got = connection.recv(4096)
            if not got:
                return
            connection.sendall(os.urandom(64 + len(got) // 64 * 16))

    session.listen(address, port, serve)


def ssh(
    session: Session,
    label: str,
    server: str,
    port: int = 22,
    *,
    seconds: float = 3.0,
    timeout: float = 6.0,
    source_port: int = 0,
) -> Conversation:
    """Version, key exchange, and then packets as of somebody who types."""

    def talk(connection: socket.socket) -> str:
        _line(connection)
        connection.sendall(b"SSH-2.0-OpenSSH_9.6\r\n" + _ssh_packet(_kexinit()))
        count = 0
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if not connection.recv(4096):
                raise ConnectionError("the server closed")
            connection.sendall(session.random.randbytes(36 + 16 * session.random.randrange(3)))
            count += 1
            time.sleep(0.2)
        return f"{count} packets"

    return _conversation(session, label, server, port, talk, timeout, source_port)


def _conversation(
    session: Session,
    label: str,
    server: str,
    port: int,
    talk: Callable[[socket.socket], str],
    timeout: float,
    source_port: int,
) -> Conversation:
    chosen = source_port or session.port()
    begun = time.time()
    try:
        with session.connect(server, port, source_port=chosen, timeout=timeout) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            said, ok = talk(connection), True
    except OSError as error:
        said, ok = f"{type(error).__name__}: {error}", False
    return session.note(label, "tcp", (server, port), chosen, ok=ok, detail=said, begun=begun)


def _messages(
    session: Session,
    connection: socket.socket,
    seconds: float,
    wrap: Callable[[bytes], bytes],
    read: Callable[[socket.socket], bytes],
) -> int:
    count = 0
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        for _ in range(1 + session.random.randrange(3)):
            connection.sendall(wrap(session.random.randbytes(60 + session.random.randrange(400))))
            read(connection)
            count += 1
        time.sleep(0.5)
    return count


def _framed(message: bytes) -> bytes:
    return len(message).to_bytes(3, "big") + message


def _message(connection: socket.socket) -> bytes:
    return _exactly(connection, int.from_bytes(_exactly(connection, 3), "big"))


def _sealed(message: bytes, kind: int = 0x17) -> bytes:
    return struct.pack("!BHH", kind, _MMTLS, len(message)) + message


def _record(connection: socket.socket) -> bytes:
    return _exactly(connection, int.from_bytes(_exactly(connection, 5)[3:], "big"))


def _kexinit() -> bytes:
    lists = ["curve25519-sha256,diffie-hellman-group14-sha256", "ssh-ed25519,rsa-sha2-512"]
    lists += ["chacha20-poly1305@openssh.com,aes128-ctr"] * 2 + ["hmac-sha2-256-etm@openssh.com"] * 2
    lists += ["none,zlib@openssh.com"] * 2 + [""] * 2
    names = b"".join(struct.pack("!I", len(one)) + one.encode() for one in lists)
    return b"\x14" + os.urandom(16) + names + bytes(5)


def _ssh_packet(payload: bytes) -> bytes:
    padding = 4 + -(len(payload) + 5 + 4) % 8
    return struct.pack("!IB", len(payload) + 1 + padding, padding) + payload + os.urandom(padding)


def _line(connection: socket.socket) -> bytes:
    read = b""
    while not read.endswith(b"\n"):
        read += _exactly(connection, 1)
    return read


def _exactly(connection: socket.socket, count: int) -> bytes:
    read = bytearray()
    while len(read) < count:
        data = connection.recv(count - len(read))
        if not data:
            raise ConnectionError("the other end closed")
        read += data
    return bytes(read)


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])
