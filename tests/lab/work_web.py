"""Clients of the web and of the DNS: curl, openssl and dig, each on a port of its own."""
# ruff: noqa: PLR0913 - each option of a client is an argument of its own

from __future__ import annotations

import subprocess
import time

from tests.lab.scenario import Conversation, Session

_TLS = {"1.2": ["--tlsv1.2", "--tls-max", "1.2"], "1.3": ["--tlsv1.3"]}
_PATIENCE = 15.0


def https(
    session: Session,
    label: str,
    name: str,
    server: str,
    path: str = "page",
    *,
    tls: str = "1.3",
    port: int = 443,
    timeout: float = 10.0,
    sni: bool = True,
    http2: bool = False,
    upload: int = 0,
    rate: str = "",
    source_port: int = 0,
    secure: bool = False,
) -> Conversation:
    """Fetch ``https://name/path`` from one address with curl (``path``: a key of services.FILES, or ``/upload``).

    ``sni`` off sends no name; ``upload`` posts so many bytes; ``rate`` is curl's ``--limit-rate``; ``secure`` checks
    the certificate, which is self-signed and so fails always. ``timeout`` ends curl, as an impatient user does.
    """
    words = [*_TLS[tls], "--http2" if http2 else "--http1.1"]
    if not secure:
        words.append("-k")
    if sni:
        words += ["--resolve", f"{name}:{port}:{_literal(server)}"]
        host = name
    else:
        words += ["-H", f"Host: {name}"]
        host = _literal(server)
    if upload:
        file = session.folder / f"upload-{upload}"
        if not file.exists():
            file.write_bytes(session.random.randbytes(upload))
        words += ["--data-binary", f"@{file}", "-H", "Expect:"]
        path = "upload"
    if rate:
        words += ["--limit-rate", rate]
    return _curl(
        session, label, name, (server, port), [*words, f"https://{host}:{port}/{path}"], timeout, source_port
    )


def http(
    session: Session,
    label: str,
    name: str,
    server: str,
    path: str = "page",
    *,
    port: int = 80,
    timeout: float = 10.0,
    source_port: int = 0,
) -> Conversation:
    """Fetch ``http://name/path`` from one address with curl. ``detail`` holds status, bytes and the page's title."""
    words = ["--http1.1", "--resolve", f"{name}:{port}:{_literal(server)}", f"http://{name}:{port}/{path}"]
    return _curl(session, label, name, (server, port), words, timeout, source_port)


def openssl(
    session: Session,
    label: str,
    name: str,
    server: str,
    *,
    port: int = 443,
    tls: str = "1.3",
    words: tuple[str, ...] = (),
    timeout: float = 8.0,
    source_port: int = 0,
    starttls: str = "",
) -> Conversation:
    """A TLS handshake and one request by ``openssl s_client``; ``words`` are further options, such as ``-groups``."""
    chosen = source_port or session.port()
    own = session.client_address(server)
    argv = ["openssl", "s_client", "-connect", f"{_literal(server)}:{port}", "-servername", name, "-quiet"]
    argv += ["-bind", f"{_literal(own)}:{chosen}", f"-tls{tls.replace('.', '_')}", *words]
    if starttls:
        argv += ["-starttls", starttls]
    begun = time.time()
    request = f"GET /small HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n".encode()
    started = session.network.client.start(
        argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    try:
        said, _ = started.communicate(request, timeout=timeout)
    except subprocess.TimeoutExpired:
        started.kill()
        said, _ = started.communicate()
    text = said.decode("ascii", "replace")
    ok = "HTTP/1.1 200" in text
    return session.note(
        label, "tcp", (server, port), chosen, name=name, ok=ok, detail=text[:200], begun=begun
    )


def look_up(
    session: Session,
    label: str,
    name: str,
    resolver: str,
    kind: str = "A",
    *,
    timeout: int = 2,
    tries: int = 1,
    tcp: bool = False,
    source_port: int = 0,
) -> Conversation:
    """Ask one resolver with dig; ``ok`` when an answer with an address comes, ``detail`` holds what was answered."""
    chosen = source_port or session.port()
    begun = time.time()
    argv = ["dig", "-b", f"{session.client_address(resolver)}#{chosen}", f"@{resolver}", name, kind]
    argv += [f"+time={timeout}", f"+tries={tries}", "+tcp" if tcp else "+notcp", "+short", "+nocookie"]
    done = session.network.client.run(argv)
    answers = [line for line in done.stdout.split() if not line.startswith(";")]
    return session.note(
        label,
        "tcp" if tcp else "udp",
        (resolver, 53),
        chosen,
        name=name,
        ok=done.returncode == 0 and bool(answers),
        detail=done.stdout,
        begun=begun,
    )


def _curl(
    session: Session,
    label: str,
    name: str,
    server: tuple[str, int],
    words: list[str],
    timeout: float,
    source_port: int,
) -> Conversation:
    chosen = source_port or session.port()
    begun = time.time()
    body = session.folder / f"body-{chosen}"
    argv = ["curl", "-q", "-sS", "-g", "-m", str(timeout), "--local-port", str(chosen), "-o", str(body)]
    argv += ["-w", "%{http_code} %{size_download} bytes in %{time_total} s", *words]
    done = session.network.client.run(argv, timeout=timeout + _PATIENCE)
    title = ""
    if body.exists():
        start = body.read_bytes()[:4096].decode("utf-8", "replace")
        title = start.partition("<title>")[2].partition("</title>")[0]
        body.unlink()
    ok = done.returncode == 0 and done.stdout.startswith("200")
    detail = f"{done.stdout} {title} {done.stderr}"
    return session.note(label, "tcp", server, chosen, name=name, ok=ok, detail=detail, begun=begun)


def _literal(address: str) -> str:
    return f"[{address}]" if ":" in address else address
