"""Ends that behave badly by themselves: what a real kernel sends when a server refuses, hangs or dies, or a client
leaves. Nothing here is interference.
"""
# ruff: noqa: PLR0913 - each option of a client is an argument of its own

from __future__ import annotations

import os
import socket
import ssl
import struct
import time
from collections.abc import Callable
from typing import Final

from tests.lab.scenario import Conversation, Session

_ALERT_UNRECOGNIZED_NAME: Final = b"\x15\x03\x03\x00\x02\x02\x70"
_PAGE: Final = b"<html><head><title>An ordinary page</title></head><body>Good day.</body></html>"


def serve_oddly(session: Session, address: str, port: int, behaviour: str) -> None:
    """A TCP server on one address that behaves so at each connection:

    ``reset-on-hello``: reset after the client's first data, ``reset-late``: the same a second later; ``alert``: a
    fatal TLS alert, then FIN; ``alert-reset``: then a reset; ``fin``: FIN after the first data; ``silent``: reads
    and never answers; ``deaf``: does not even read; ``stall-N``: N bytes of an HTTP response, then nothing;
    ``close-unread``: answers HTTP and closes while data of the client wait unread; ``http-slow``: answers HTTP after
    eight seconds; ``reset-after-N``: N bytes of an HTTP response, then a reset; ``zero-window-N``: reads N bytes,
    then nothing more.
    """
    word, _, number = behaviour.rpartition("-")
    if number.isdigit():
        size = int(number)
    else:
        word, size = behaviour, 0
    act = _BEHAVIOURS[word]
    session.listen(address, port, lambda connection: act(connection, size))


def _reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def _reset_on_hello(connection: socket.socket, _size: int) -> None:
    connection.recv(1 << 16)
    _reset(connection)


def _reset_late(connection: socket.socket, _size: int) -> None:
    connection.recv(1 << 16)
    time.sleep(1)
    _reset(connection)


def _alert(connection: socket.socket, _size: int) -> None:
    connection.recv(1 << 16)
    connection.sendall(_ALERT_UNRECOGNIZED_NAME)


def _alert_reset(connection: socket.socket, _size: int) -> None:
    _alert(connection, 0)
    time.sleep(0.02)
    _reset(connection)


def _fin(connection: socket.socket, _size: int) -> None:
    connection.recv(1 << 16)


def _silent(connection: socket.socket, _size: int) -> None:
    while connection.recv(1 << 16):
        pass


def _deaf(connection: socket.socket, _size: int) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    time.sleep(30)


def _zero_window(connection: socket.socket, size: int) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    while size > 0:
        data = connection.recv(min(size, 4096))
        if not data:
            return
        size -= len(data)
    time.sleep(30)


def _http(length: int) -> bytes:
    return f"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {length}\r\n\r\n".encode()


def _stall(connection: socket.socket, size: int) -> None:
    connection.recv(1 << 16)
    connection.sendall(_http(size * 10) + os.urandom(size))
    while connection.recv(1 << 16):
        pass


def _reset_after(connection: socket.socket, size: int) -> None:
    connection.recv(1 << 16)
    connection.sendall(_http(size * 10) + os.urandom(size))
    time.sleep(0.5)
    _reset(connection)


def _close_unread(connection: socket.socket, _size: int) -> None:
    connection.recv(16)
    time.sleep(0.1)
    connection.sendall(_http(len(_PAGE)) + _PAGE)


def _http_slow(connection: socket.socket, _size: int) -> None:
    connection.recv(1 << 16)
    time.sleep(8)
    connection.sendall(_http(len(_PAGE)) + _PAGE)


_BEHAVIOURS: Final[dict[str, Callable[[socket.socket, int], None]]] = {
    "reset-on-hello": _reset_on_hello,
    "reset-late": _reset_late,
    "alert": _alert,
    "alert-reset": _alert_reset,
    "fin": _fin,
    "silent": _silent,
    "deaf": _deaf,
    "zero-window": _zero_window,
    "stall": _stall,
    "reset-after": _reset_after,
    "close-unread": _close_unread,
    "http-slow": _http_slow,
}


def tls_leave(
    session: Session,
    label: str,
    name: str,
    server: str,
    port: int = 443,
    *,
    when: str = "hello",
    how: str = "reset",
    after: float = 0.0,
    source_port: int = 0,
) -> Conversation:
    """A client that leaves by ``reset`` or ``fin``: right after its ``hello``, once ``established``, or in the midst of
    ``data``; ``after`` so many seconds more. ``ok`` is true: the client did what it wanted.
    """
    chosen = source_port or session.port()
    begun = time.time()
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    read, write = ssl.MemoryBIO(), ssl.MemoryBIO()
    inside = context.wrap_bio(read, write, server_hostname=name)
    said, ok = f"left after {when}", True
    try:
        with session.connect(server, port, source_port=chosen) as connection:
            if when == "hello":
                _shake(inside, read, write, connection, once=True)
            else:
                _shake(inside, read, write, connection, once=False)
            if when == "data":
                inside.write(f"GET /large HTTP/1.1\r\nHost: {name}\r\n\r\n".encode())
                connection.sendall(write.read())
                got = 0
                while got < 60_000:
                    got += len(connection.recv(4096)) or 1 << 20
            time.sleep(after)
            if how == "reset":
                _reset(connection)
    except (OSError, ssl.SSLError) as error:
        said, ok = f"{type(error).__name__}: {error}", False
    return session.note(label, "tcp", (server, port), chosen, name=name, ok=ok, detail=said, begun=begun)


def _shake(
    inside: ssl.SSLObject, read: ssl.MemoryBIO, write: ssl.MemoryBIO, connection: socket.socket, *, once: bool
) -> None:
    while True:
        try:
            inside.do_handshake()
        except ssl.SSLWantReadError:
            connection.sendall(write.read())
            if once:
                return
            data = connection.recv(1 << 16)
            if not data:
                raise ConnectionError("the server closed") from None
            read.write(data)
        else:
            connection.sendall(write.read())
            return


def refused(session: Session, label: str, server: str, port: int, *, source_port: int = 0) -> Conversation:
    """A connection to a port where nobody listens: the server's kernel answers RST+ACK."""
    chosen = source_port or session.port()
    begun = time.time()
    try:
        session.connect(server, port, source_port=chosen).close()
        said = "connected"
    except OSError as error:
        said = f"{type(error).__name__}: {error}"
    return session.note(
        label, "tcp", (server, port), chosen, ok=said == "connected", detail=said, begun=begun
    )


def plain(
    session: Session,
    label: str,
    server: str,
    port: int,
    send: bytes,
    *,
    name: str = "",
    timeout: float = 8.0,
    source_port: int = 0,
) -> Conversation:
    """Send these bytes and read until the server closes or nothing comes for ``timeout``; ``ok`` when anything came."""
    chosen = source_port or session.port()
    begun = time.time()
    got = b""
    said = "closed by the server"
    try:
        with session.connect(server, port, source_port=chosen, timeout=timeout) as connection:
            connection.sendall(send)
            while data := connection.recv(1 << 16):
                got += data
    except OSError as error:
        said = f"{type(error).__name__}: {error}"
    detail = f"{len(got)} bytes, {said}"
    return session.note(
        label, "tcp", (server, port), chosen, name=name, ok=bool(got), detail=detail, begun=begun
    )
