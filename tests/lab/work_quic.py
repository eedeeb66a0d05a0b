"""QUIC: a server that gives as many bytes as it is asked for, and a client that asks. The ends are aioquic's."""
# ruff: noqa: PLR0913 - each option of a client is an argument of its own

from __future__ import annotations

import asyncio
import importlib
import socket
import threading
import time
from collections.abc import Sequence
from types import ModuleType

from tests.lab.network import Host, LabError
from tests.lab.scenario import Conversation, Session


def serve_quic(
    session: Session,
    address: str,
    *,
    port: int = 443,
    names: Sequence[str] = (),
    versions: Sequence[int] = (1, 2),
) -> None:
    """A QUIC server on one address; it answers "GET N" on a stream with N bytes."""
    ends = _ends()
    key, certificate = session.services.certificate(
        names or ("quic.example",), file=f"quic-{address.replace(':', '.')}-{port}"
    )
    opened = _udp(address, session.network.server)
    opened.bind((address, port))
    loop = asyncio.new_event_loop()
    loop.run_until_complete(ends.serve(opened, certificate, key, versions))
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    def stop() -> None:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(5)
        opened.close()

    session.at_close(stop)


def quic(
    session: Session,
    label: str,
    name: str,
    server: str,
    *,
    port: int = 443,
    size: int = 40_000,
    timeout: float = 6.0,
    version: int = 1,
    source_port: int = 0,
    sni: bool = True,
) -> Conversation:
    """Ask for ``size`` bytes; given up after ``timeout``."""
    chosen = source_port or session.port()
    begun = time.time()
    opened = _udp(server, session.network.client)
    opened.bind((session.client_address(server), chosen))
    try:
        got, said = asyncio.run(
            _ends().fetch(opened, (server, port), name if sni else None, size, version, timeout)
        )
    except OSError as error:
        got, said = 0, f"{type(error).__name__}: {error}"
    finally:
        opened.close()
    detail = f"{got} bytes, {said}"
    return session.note(
        label, "udp", (server, port), chosen, name=name, ok=got == size, detail=detail, begun=begun
    )


def _udp(address: str, host: Host) -> socket.socket:
    def opened() -> socket.socket:
        return socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)

    return host.inside(opened)


def _ends() -> ModuleType:
    # imported when used, so that scenarios can be listed where the library is missing
    try:
        return importlib.import_module("tests.lab.quic_ends")
    except ModuleNotFoundError as error:
        if error.name != "aioquic":
            raise
        raise LabError("aioquic is missing: install the extra 'lab'") from error
