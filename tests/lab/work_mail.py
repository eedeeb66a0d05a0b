"""E-mail: SMTP and IMAP that go over to TLS on the same connection."""
# ruff: noqa: PLR0913 - each option of a client is an argument of its own

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Callable, Sequence

from tests.lab.scenario import Conversation, Session


def serve_mail(
    session: Session, address: str, names: Sequence[str] = (), *, smtp_port: int = 587, imap_port: int = 143
) -> None:
    """A submission server and a mailbox on one address."""
    key, certificate = session.services.certificate(names or ("mail.example",), file="mail")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)

    def serve_smtp(connection: socket.socket) -> None:
        connection.sendall(b"220 mail.example ESMTP ready\r\n")
        _line(connection)
        connection.sendall(b"250-mail.example\r\n250-SIZE 36700160\r\n250 STARTTLS\r\n")
        _line(connection)
        connection.sendall(b"220 2.0.0 go ahead\r\n")
        _answering(context, connection, b"250 2.0.0 fine\r\n")

    def serve_imap(connection: socket.socket) -> None:
        connection.sendall(b"* OK [CAPABILITY IMAP4rev1 STARTTLS] ready\r\n")
        _line(connection)
        connection.sendall(b"a1 OK begin TLS\r\n")
        _answering(context, connection, b"* 17 FETCH (BODY {3000}\r\n" + b"x" * 3000 + b")\r\na2 OK done\r\n")

    session.listen(address, smtp_port, serve_smtp)
    session.listen(address, imap_port, serve_imap)


def smtp(
    session: Session,
    label: str,
    name: str,
    server: str,
    port: int = 587,
    *,
    size: int = 8000,
    timeout: float = 8.0,
    source_port: int = 0,
) -> Conversation:
    """Send one message of ``size`` bytes over STARTTLS."""

    def begin(connection: socket.socket) -> None:
        _line(connection)
        connection.sendall(b"EHLO [192.168.43.17]\r\n")
        while not _line(connection).startswith(b"250 "):
            pass
        connection.sendall(b"STARTTLS\r\n")
        _line(connection)

    said = [b"EHLO me\r\n", b"MAIL FROM:<a@example>\r\n", b"RCPT TO:<b@example>\r\n", b"x" * size + b"\r\n"]
    return _mail(session, label, name, (server, port), begin, said, timeout, source_port)


def imap(
    session: Session,
    label: str,
    name: str,
    server: str,
    port: int = 143,
    *,
    timeout: float = 8.0,
    source_port: int = 0,
) -> Conversation:
    """Fetch a few messages over STARTTLS."""

    def begin(connection: socket.socket) -> None:
        _line(connection)
        connection.sendall(b"a1 STARTTLS\r\n")
        _line(connection)

    return _mail(
        session, label, name, (server, port), begin, [b"a2 FETCH 1 BODY[]\r\n"] * 4, timeout, source_port
    )


def _mail(
    session: Session,
    label: str,
    name: str,
    server: tuple[str, int],
    begin: Callable[[socket.socket], None],
    said: Sequence[bytes],
    timeout: float,
    source_port: int,
) -> Conversation:
    chosen = source_port or session.port()
    begun = time.time()
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        with session.connect(*server, source_port=chosen, timeout=timeout) as connection:
            begin(connection)
            with context.wrap_socket(connection, server_hostname=name) as sealed:
                for one in said:
                    sealed.sendall(one)
                    if not sealed.recv(1 << 16):
                        raise ConnectionError("the server closed")
                    time.sleep(0.1)
        detail, ok = f"{len(said)} answers", True
    except OSError as error:
        detail, ok = f"{type(error).__name__}: {error}", False
    return session.note(label, "tcp", server, chosen, name=name, ok=ok, detail=detail, begun=begun)


def _answering(context: ssl.SSLContext, connection: socket.socket, answer: bytes) -> None:
    with context.wrap_socket(connection, server_side=True) as sealed:
        while sealed.recv(1 << 16):
            sealed.sendall(answer)


def _line(connection: socket.socket) -> bytes:
    read = b""
    while not read.endswith(b"\n"):
        one = connection.recv(1)
        if not one:
            raise ConnectionError("the other end closed")
        read += one
    return read
