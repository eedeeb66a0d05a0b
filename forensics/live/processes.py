"""Which sockets a command and its children have, as Linux tells in /proc (proc(5)).

Sockets live for milliseconds at times: what is not seen here is told by time and address.
"""

from __future__ import annotations

import contextlib
import ipaddress
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple, Self

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_EVERY_S: Final = 0.02
_TABLES: Final = (("tcp", "tcp"), ("tcp6", "tcp"), ("udp", "udp"), ("udp6", "udp"))
MOST: Final = 200_000
"""Sockets that are remembered."""
_ADDRESS_AT, _INODE_AT = 1, 9
_WORD: Final = 4


class End(NamedTuple):
    """The local end of a socket."""

    proto: str
    address: str
    """``*`` where the socket takes any."""
    port: int


class SocketWatch:
    """Looks at the sockets of a process and its descendants time and again; a context manager with a thread.

    ``mine`` are the ends that they had, ``others`` those that somebody else had and they never.
    """

    def __init__(self, pid: int, proc: Path = Path("/proc")) -> None:
        self._pid = pid
        self._proc = proc
        self.family = {pid}
        """The process and all that descend from it, as far as they were seen."""
        self.blind = False
        """Whether the sockets of some of them could not be seen: nobody's socket is known to be another's then."""
        self._inodes: set[int] = set()
        self._seen: dict[End, int] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sockets", daemon=True)

    def __enter__(self) -> Self:
        self.look()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Look no more."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    @property
    def mine(self) -> set[End]:
        """Ends of sockets of the command."""
        return {end for end, inode in self._seen.items() if inode in self._inodes}

    @property
    def others(self) -> set[End]:
        """Ends of sockets of anybody else."""
        if self.blind:
            return set()
        return {end for end, inode in self._seen.items() if inode not in self._inodes}

    def look(self) -> None:
        """Once more."""
        self.family |= self._descendants()
        before = self._own_inodes()
        found = list(self._sockets())
        # A socket that is opened in between would be taken for somebody else's.
        self._inodes |= before | self._own_inodes()
        for end, inode in found:
            if end in self._seen or len(self._seen) < MOST:
                known = self._seen.get(end)
                # A port that was somebody else's and is ours later counts as ours.
                if known is None or known not in self._inodes:
                    self._seen[end] = inode

    def _run(self) -> None:
        while not self._stop.wait(_EVERY_S):
            self.look()

    def _descendants(self) -> set[int]:
        """Children of the family, whoever they are by now; one that its parent left stays in it."""
        found: set[int] = set()
        fresh = set(self.family)
        while fresh:
            children: set[int] = set()
            for pid in fresh:
                for path in _entries(self._proc / str(pid) / "task"):
                    with contextlib.suppress(OSError, ValueError):
                        text = (path / "children").read_text(encoding="ascii")
                        children |= {int(word) for word in text.split()}
            fresh = children - found - self.family
            found |= fresh
        return found

    def _own_inodes(self) -> set[int]:
        found = set()
        for pid in self.family:
            folder = self._proc / str(pid) / "fd"
            try:
                entries = list(folder.iterdir())
            except PermissionError:
                self.blind = True
                continue
            except OSError:  # it has ended
                continue
            for entry in entries:
                with contextlib.suppress(OSError, ValueError):
                    target = str(entry.readlink())
                    if target.startswith("socket:["):
                        found.add(int(target[8:-1]))
        return found

    def _sockets(self) -> Iterator[tuple[End, int]]:
        for name, proto in _TABLES:
            with contextlib.suppress(OSError):
                lines = (self._proc / str(self._pid) / "net" / name).read_text(encoding="ascii").splitlines()
                yield from parse_sockets(lines[1:], proto)


def parse_sockets(lines: Iterable[str], proto: str) -> Iterator[tuple[End, int]]:
    """Local end and inode of every socket of /proc/net/tcp and its like that belongs to a process."""
    for line in lines:
        words = line.split()
        with contextlib.suppress(ValueError, IndexError):
            address, port = words[_ADDRESS_AT].split(":")
            inode = int(words[_INODE_AT])
            if inode:
                yield End(proto, _address(address), int(port, 16)), inode


def _address(text: str) -> str:
    """As the report writes it; the kernel prints words of four bytes, each in the machine's own order."""
    raw = bytes.fromhex(text)
    raw = b"".join(raw[at : at + _WORD][::-1] for at in range(0, len(raw), _WORD))
    address = ipaddress.ip_address(raw)
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    return "*" if address.is_unspecified else str(address)


def _entries(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:  # it has ended
        return []


def local_addresses(proc: Path = Path("/proc")) -> set[str]:
    """Addresses of this host: /proc/net/fib_trie and /proc/net/if_inet6."""
    found = set()
    with contextlib.suppress(OSError):
        last = ""
        for line in (proc / "net" / "fib_trie").read_text(encoding="ascii").splitlines():
            words = line.split()
            if len(words) > 1 and words[0] == "|--":
                last = words[1]
            elif words[:2] == ["/32", "host"] and "LOCAL" in words:
                found.add(last)
    with contextlib.suppress(OSError, ValueError):
        for line in (proc / "net" / "if_inet6").read_text(encoding="ascii").splitlines():
            found.add(str(ipaddress.IPv6Address(bytes.fromhex(line.split()[0]))))
    return found
