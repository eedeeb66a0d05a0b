"""Both ends of a QUIC connection, on sockets that are already open. Needs aioquic."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import ssl
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from aioquic.asyncio.protocol import QuicConnectionProtocol
from aioquic.asyncio.server import QuicServer
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import QuicConnection
from aioquic.quic.events import ConnectionTerminated, HandshakeCompleted, QuicEvent, StreamDataReceived

VERSIONS: Final = {1: 0x00000001, 2: 0x6B3343CF}
"""RFC 9000, RFC 9369."""


async def serve(opened: socket.socket, certificate: Path, key: Path, versions: Sequence[int]) -> None:
    """Answer on this socket as long as the loop runs."""
    chosen = QuicConfiguration(is_client=False, alpn_protocols=["h3"])
    chosen.load_cert_chain(certificate, key)
    chosen.supported_versions = [VERSIONS[version] for version in versions]
    await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: QuicServer(configuration=chosen, create_protocol=_Answers), sock=opened
    )


class _Answers(QuicConnectionProtocol):
    def quic_event_received(self, event: QuicEvent) -> None:
        if isinstance(event, StreamDataReceived) and event.data.startswith(b"GET "):
            self._quic.send_stream_data(event.stream_id, os.urandom(int(event.data[4:])), end_stream=True)
            self.transmit()


async def fetch(  # noqa: PLR0913 - one question
    opened: socket.socket, there: tuple[str, int], name: str | None, size: int, version: int, patience: float
) -> tuple[int, str]:
    """Ask for ``size`` bytes: how many came until the end or for ``patience`` seconds, and how it ended."""
    wanted = QuicConfiguration(is_client=True, alpn_protocols=["h3"], server_name=name)
    wanted.verify_mode = ssl.CERT_NONE
    wanted.original_version = VERSIONS[version]
    wanted.supported_versions = [VERSIONS[version]]
    loop = asyncio.get_running_loop()
    protocol = _Asks(QuicConnection(configuration=wanted), f"GET {size}".encode())
    await loop.create_datagram_endpoint(lambda: protocol, sock=opened)
    # an address of IPv6 comes back with flow label and scope, and counts as another one without them
    protocol.connect((*there, 0, 0) if opened.family == socket.AF_INET6 else there)
    try:
        async with asyncio.timeout(patience):
            said = await protocol.ended
    except TimeoutError:
        said = "nothing more came" if protocol.got else "no answer"
    protocol.close()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(0.5):
            await protocol.wait_closed()
    return protocol.got, said


class _Asks(QuicConnectionProtocol):
    def __init__(self, connection: QuicConnection, request: bytes) -> None:
        super().__init__(connection)
        self._request = request
        self.got = 0
        self.ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    def quic_event_received(self, event: QuicEvent) -> None:
        if isinstance(event, HandshakeCompleted):
            stream = self._quic.get_next_available_stream_id()
            self._quic.send_stream_data(stream, self._request, end_stream=True)
            self.transmit()
        elif isinstance(event, StreamDataReceived):
            self.got += len(event.data)
            if event.end_stream:
                self._end("whole")
        elif isinstance(event, ConnectionTerminated):
            self._end(f"closed: {event.reason_phrase or event.error_code}")

    def _end(self, how: str) -> None:
        if not self.ended.done():
            self.ended.set_result(how)
