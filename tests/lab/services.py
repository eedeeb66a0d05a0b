"""Real servers for the laboratory: nginx for HTTP and TLS, dnsmasq for names, small programs for the rest."""

from __future__ import annotations

import datetime as dt
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.lab.network import Host, LabError

FILES: Final = {"small": 2_000, "page": 40_000, "photo": 300_000, "large": 2_000_000, "huge": 12_000_000}
"""What the web servers offer, by path and size in bytes."""

_NGINX = """
user root; daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/error.log warn;
events {{ worker_connections 256; }}
http {{
  access_log off; sendfile on; keepalive_timeout 20; default_type application/octet-stream;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi; client_max_body_size 64m;
  {servers}
}}
"""
_SERVER = """
  server {{ listen {listen}; {names} {tls} root {folder}/www; {extra}
    location = /upload {{ client_body_buffer_size 64k; return 200 "ok"; }} }}
"""


@dataclass
class Services:
    """Servers that run in one namespace until ``close``; everything they write lies in ``folder``."""

    host: Host
    folder: Path
    _running: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def web(
        self,
        names: Sequence[str] = (),
        *,
        versions: str = "TLSv1.2 TLSv1.3",
        extra: Mapping[str, str] | None = None,
        limit_rate: str = "",
        addresses: Sequence[str] = (),
    ) -> None:
        """Nginx on the ports 80 and 443 of these addresses (all, without any), with a certificate for all names.

        ``extra`` gives further nginx directives for single names, such as ``{"slow.example": "limit_rate 10k;"}``.
        """
        nginx = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
        if nginx is None:
            raise LabError("the command 'nginx' is missing: install nginx-light")
        root = self.folder / "www"
        root.mkdir(parents=True, exist_ok=True)
        for name, size in FILES.items():
            (root / name).write_bytes((name.encode() + b" ") * (size // (len(name) + 1) + 1))
        (root / "index.html").write_text(
            "<html><head><title>An ordinary page</title></head><body>Good day.</body></html>"
        )
        key, certificate = self.certificate(("laboratory.example", *names))
        tls = f"ssl_certificate {certificate}; ssl_certificate_key {key}; ssl_protocols {versions};"
        rate = f"limit_rate {limit_rate};" if limit_rate else ""
        hosts = [f"[{one}]:" if ":" in one else f"{one}:" for one in addresses] or ["", "[::]:"]
        servers = "".join(
            _SERVER.format(
                listen="; listen ".join(f"{host}{port} default_server" for host in hosts),
                names="server_name _;",
                tls=words,
                folder=self.folder,
                extra=rate,
            )
            for port, words in (("80", ""), ("443 ssl", tls))
        )
        for name, directives in (extra or {}).items():
            servers += _SERVER.format(
                listen="; listen ".join(f"{host}443 ssl" for host in hosts),
                names=f"server_name {name};",
                tls=tls,
                folder=self.folder,
                extra=directives,
            )
        file = self.folder / "nginx.conf"
        file.write_text(_NGINX.format(folder=self.folder, servers=servers))
        self.start([nginx, "-e", str(self.folder / "error.log"), "-c", str(file)])
        self.wait_tcp(443)

    def names(
        self, known: Mapping[str, str | Sequence[str]], *, address: str, extra: Sequence[str] = ()
    ) -> None:
        """Dnsmasq that answers for these names alone, on one address."""
        dnsmasq = shutil.which("dnsmasq", path="/usr/sbin:/usr/bin:/usr/local/sbin")
        if dnsmasq is None:
            raise LabError("the command 'dnsmasq' is missing: install dnsmasq-base")
        words = [
            dnsmasq,
            "--keep-in-foreground",
            "--conf-file=/dev/null",
            "--no-resolv",
            "--no-hosts",
            "--bind-interfaces",
        ]
        words += [
            f"--listen-address={address}",
            "--except-interface=lo",
            "--local-ttl=60",
            "--pid-file=",
            "--user=root",
        ]
        for name, addresses in known.items():
            given = [addresses] if isinstance(addresses, str) else addresses
            words += [f"--host-record={name},{one}" for one in given]
        self.start([*words, *extra])
        time.sleep(0.3)

    def program(self, module: str, *words: str) -> None:
        """One of the small servers of this laboratory: ``python -m tests.lab.MODULE``."""
        self.start([sys.executable, "-m", f"tests.lab.{module}", *words])

    def start(self, argv: Sequence[str]) -> subprocess.Popen[bytes]:
        """Any server; it is ended with the others."""
        with (self.folder / "servers.log").open("ab") as log:
            started = self.host.start(argv, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        self._running.append(started)
        return started

    def certificate(self, names: Sequence[str], file: str = "web") -> tuple[Path, Path]:
        """Key and self-signed certificate for these names, made by openssl."""
        key, certificate = self.folder / f"{file}-key.pem", self.folder / f"{file}-certificate.pem"
        listed = ",".join(f"DNS:{name}" for name in names)
        year = dt.datetime.now(tz=dt.UTC).year
        done = subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "90",
             "-subj", f"/O=Laboratory {year}/CN={names[0]}", "-addext", f"subjectAltName={listed}",
             "-keyout", str(key), "-out", str(certificate)],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            raise LabError(f"openssl makes no certificate: {done.stderr.strip()}")
        return key, certificate

    def wait_tcp(self, port: int, seconds: float = 10.0) -> None:
        """Until somebody listens on that port."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            listening = self.host.run(["ss", "-Hltn", f"sport = :{port}"])
            if listening.stdout.strip():
                return
            time.sleep(0.05)
        log = self.folder / "servers.log"
        raise LabError(
            f"nobody listens on port {port}: {log.read_text(errors='replace')[-500:] if log.exists() else ''}"
        )

    def close(self) -> None:
        """End them all."""
        for running in self._running:
            running.send_signal(signal.SIGTERM)
        for running in self._running:
            try:
                running.wait(5)
            except subprocess.TimeoutExpired:
                running.kill()
                running.wait()
        self._running.clear()
