"""Two hosts with a middlebox between them, each in a network namespace of its own.

Nothing outside these namespaces is touched, and nothing in them reaches the world. Needs root and iproute2.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import shutil
import socket
import struct
import subprocess
import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Final, Self, TypeVar

_T = TypeVar("_T")

CLIENT_ADDRESSES: Final = ("192.168.43.17", "fd00:43::17")
GATEWAY: Final = ("192.168.43.1", "fe80::1")
MTU: Final = 1500

_MACS: Final = {
    "client": "02:00:00:00:00:11",
    "left": "02:00:00:00:00:12",
    "right": "02:00:00:00:00:21",
    "server": "02:00:00:00:00:22",
}
# linux/ethtool.h: checksums, segmentation and receive offloads; off, so that captures show packets as on a wire
_SIOCETHTOOL: Final = 0x8946
_OFFLOADS: Final = (0x15, 0x17, 0x1F, 0x24, 0x2C)
_COMMANDS: Final = {
    "ip": "iproute2", "dumpcap": "tshark", "tshark": "tshark", "curl": "curl", "openssl": "openssl",
    "dig": "bind9-dnsutils", "nginx": "nginx-light", "dnsmasq": "dnsmasq-base",
}  # fmt: skip
"""What the laboratory runs, and the Debian package of each."""
_CLONE_NEWNET: Final = 0x40000000


class LabError(Exception):
    """The laboratory cannot be set up here; the sentence says what is missing."""


def missing() -> str:
    """Why no laboratory can run on this machine; empty when it can."""
    if os.geteuid() != 0:
        return "network namespaces need root: run 'sudo make lab'"
    missing_commands = [
        f"{command} ({package})"
        for command, package in _COMMANDS.items()
        if shutil.which(command, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin") is None
    ]
    if missing_commands:
        return f"missing: {', '.join(missing_commands)}; 'sudo make lab' installs them"
    probe = f"forensics-probe-{os.getpid()}"
    made = subprocess.run(["ip", "netns", "add", probe], capture_output=True, text=True, check=False)
    if made.returncode:
        return f"this system makes no network namespaces: {made.stderr.strip()}"
    subprocess.run(["ip", "netns", "del", probe], check=False)
    return ""


@dataclass(frozen=True)
class Host:
    """One namespace with one interface, ``eth0`` (the middlebox has two: ``left`` and ``right``)."""

    namespace: str

    def command(self, argv: Sequence[str]) -> list[str]:
        """The command line that runs ``argv`` there."""
        return ["ip", "netns", "exec", self.namespace, *argv]

    def run(self, argv: Sequence[str], **options: Any) -> subprocess.CompletedProcess[str]:
        """Run a program to its end; output as text."""
        return subprocess.run(self.command(argv), text=True, capture_output=True, check=False, **options)

    def start(self, argv: Sequence[str], **options: Any) -> subprocess.Popen[bytes]:
        """Start a program."""
        return subprocess.Popen(self.command(argv), **options)

    def inside(self, work: Callable[[], _T]) -> _T:
        """What ``work`` gives when it runs in this namespace: sockets that it opens stay there."""
        # only a thread that ends right after enters another namespace, so that nobody forgets to come back
        result: list[_T] = []
        failure: list[BaseException] = []

        def enter() -> None:
            try:
                with open(f"/var/run/netns/{self.namespace}") as handle:  # noqa: PTH123 - a descriptor is needed
                    libc = ctypes.CDLL(None, use_errno=True)
                    if libc.setns(handle.fileno(), _CLONE_NEWNET):
                        raise OSError(ctypes.get_errno(), "setns")  # noqa: TRY301 - caught below for the caller
                result.append(work())
            except BaseException as error:  # noqa: BLE001 - it is raised in the caller's thread
                failure.append(error)

        thread = threading.Thread(target=enter)
        thread.start()
        thread.join()
        if failure:
            raise failure[0]
        return result[0]


class Network:
    """``with Network(["157.240.1.1", …]) as network``: client, middlebox and server, wired but not yet forwarding.

    All addresses given belong to the one server. What the client sends reaches nobody until a middlebox runs.
    """

    def __init__(self, server_addresses: Sequence[str], *, mtu: int = MTU) -> None:
        self._addresses = tuple(server_addresses)
        self._mtu = mtu
        self._undo = ExitStack()
        tag = f"forensics-{os.getpid()}-{threading.get_ident() & 0xFFFF:x}-{os.urandom(2).hex()}"
        self.client = Host(f"{tag}-c")
        self.middle = Host(f"{tag}-m")
        self.server = Host(f"{tag}-s")

    def __enter__(self) -> Self:
        try:
            self._build()
        except BaseException:
            self._undo.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._undo.close()

    def _build(self) -> None:
        for host in (self.client, self.middle, self.server):
            _ip("netns", "add", host.namespace)
            self._undo.callback(_ip, "netns", "del", host.namespace)
            # only what is sent here on purpose: no neighbour discovery, no router solicitation
            host.inside(lambda: _sysctl("net/ipv6/conf/all/accept_dad", "0"))
            host.inside(lambda: _sysctl("net/ipv6/conf/default/accept_dad", "0"))
            host.inside(lambda: _sysctl("net/ipv6/conf/default/router_solicitations", "0"))
        self.middle.inside(lambda: _sysctl("net/ipv6/conf/default/disable_ipv6", "1"))
        for host, mine, other in ((self.client, "client", "left"), (self.server, "server", "right")):
            _ip(
                "link", "add", "eth0", "netns", host.namespace, "address", _MACS[mine], "mtu", str(self._mtu),
                "type", "veth",
                "peer", "name", other, "netns", self.middle.namespace, "address", _MACS[other],
            )  # fmt: skip
            for where, name in ((host, "eth0"), (self.middle, other)):
                where.inside(lambda name=name: _offloads_off(name))
                _ip("-n", where.namespace, "link", "set", name, "up")
            _ip("-n", host.namespace, "link", "set", "lo", "up")
            gateway, gateway6 = GATEWAY
            own = CLIENT_ADDRESSES if host is self.client else self._addresses
            for address in own:
                length = "128" if ":" in address else "32"
                extra = ["nodad"] if ":" in address else []
                _ip("-n", host.namespace, "address", "add", f"{address}/{length}", "dev", "eth0", *extra)
            for family, via in (("-4", gateway), ("-6", gateway6)):
                _ip(
                    "-n",
                    host.namespace,
                    family,
                    "neigh",
                    "add",
                    via,
                    "lladdr",
                    _MACS[other],
                    "dev",
                    "eth0",
                    "nud",
                    "permanent",
                )
                _ip(
                    "-n",
                    host.namespace,
                    family,
                    "route",
                    "add",
                    "default",
                    "via",
                    via,
                    "dev",
                    "eth0",
                    "onlink",
                )

    def middle_sockets(self) -> tuple[socket.socket, socket.socket]:
        """Raw sockets on the middlebox's side of the client's and of the server's cable."""

        def opened() -> tuple[socket.socket, socket.socket]:
            return _packet_socket("left"), _packet_socket("right")

        return self.middle.inside(opened)


def macs(side: str) -> tuple[bytes, bytes]:
    """Destination and source address of a frame that the middlebox sends to ``client`` or ``server``."""
    mine = "left" if side == "client" else "right"
    return tuple(bytes.fromhex(_MACS[name].replace(":", "")) for name in (side, mine))  # type: ignore[return-value]


def _packet_socket(interface: str) -> socket.socket:
    everything = 0x0003  # ETH_P_ALL
    opened = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(everything))
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
    opened.bind((interface, 0))
    opened.setblocking(False)  # noqa: FBT003 - it takes no keyword
    return opened


def _ip(*words: str) -> None:
    done = subprocess.run(["ip", *words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise LabError(f"ip {' '.join(words)}: {done.stderr.strip()}")


def _sysctl(name: str, value: str) -> None:
    # /proc/sys/net shows the namespace of the reading thread
    try:
        with open(f"/proc/sys/{name}", "w") as setting:  # noqa: PTH123 - no path of ours
            setting.write(value)
    except OSError:
        return  # a kernel without IPv6 has nothing to turn off


def _offloads_off(interface: str) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        for command in _OFFLOADS:
            value = bytearray(struct.pack("II", command, 0))
            buffer = (ctypes.c_char * len(value)).from_buffer(value)
            request = struct.pack("16sP", interface.encode(), ctypes.addressof(buffer))
            try:
                fcntl.ioctl(control, _SIOCETHTOOL, request)
            except OSError:
                continue  # what the driver does not know is off
