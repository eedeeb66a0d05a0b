"""Packets from a network interface of this machine, as they come: batches like those of a file."""

from __future__ import annotations

import ctypes
import errno
import os
import select
import socket
import struct
import sys
from typing import TYPE_CHECKING, Final, Self

import numpy as np

from forensics.capture import bpf
from forensics.capture.batch import Batch, CaptureNotes, InterfaceNotes
from forensics.capture.ring import SOL_PACKET, Ring, RingPackets
from forensics.capture.source import printable
from forensics.errors import CaptureError

if TYPE_CHECKING:
    from types import TracebackType

ANY: Final = "any"
"""Name that stands for all interfaces."""
RING_BYTES: Final = 64 << 20
BATCH_BYTES: Final = 16 << 20
"""Most bytes that are taken from the ring at a time, give or take a block."""

LINKTYPE_ETHERNET, LINKTYPE_RAW = 1, 101
_ETH_P_ALL: Final = 3
_ETH_P_IP: Final = (0x0800, 0x86DD)
_ADD_MEMBERSHIP, _IGNORE_OUTGOING = 1, 23
_MR_PROMISC: Final = 1
_OUTGOING: Final = 4
_INBOUND, _OUTBOUND = 1, 2
_ARPHRD_ETHER, _ARPHRD_LOOPBACK = 1, 772
_SO_ATTACH_FILTER: Final = 26
_NAMED: Final = 8
"""Interfaces that are named to somebody who asked for one that is not there."""


class LiveSource:
    """Captures from one interface, or from all of them (``any``); a context manager.

    ``read`` gives what has come. On the loopback, where each packet passes twice, it is taken once. Interfaces without
    Ethernet headers (tunnels) give raw IP, and only that. Raises CaptureError when the interface, the filter or the
    right to capture is not there.
    """

    def __init__(
        self, interface: str, *, words: str = "", promiscuous: bool = False, ring_bytes: int = RING_BYTES
    ) -> None:
        program = None
        number = _interface_number(interface)
        if words.strip():
            program = bpf.for_any_interface(words)
        self.name = interface
        self._number = number
        self.notes = CaptureNotes(file_type="live", snaplen=0, sections=1)
        self.ended = ""
        """Why nothing more will come, in words; empty while something may."""
        self._filter = words
        self._numbers: dict[int, int] = {}
        self._frame = 1
        self._dropped = self._seen = 0
        self._sock = _packet_socket()
        try:
            # Nothing is taken before filter, ring and interface are as they should be.
            _attach(self._sock, bpf.NOTHING)
            self._ring = Ring(self._sock, ring_bytes)
            _bind(self._sock, number)
            if promiscuous and number:
                request = struct.pack("iHH8s", number, _MR_PROMISC, 0, b"")
                self._sock.setsockopt(SOL_PACKET, _ADD_MEMBERSHIP, request)
            if interface == "lo":
                self._ignore_outgoing()
            _attach(self._sock, program or [(0x06, 0, 0, bpf.LONGEST)])
            self._ring.lost()  # what came before is nobody's
        except OSError as error:
            self._sock.close()
            why = error.strerror or str(error)
            raise CaptureError(f"{printable(interface)}: cannot be captured from ({why})") from None
        except BaseException:
            self._sock.close()
            raise
        self._poll = select.poll()
        self._poll.register(self._sock, select.POLLIN | select.POLLERR)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def fileno(self) -> int:
        """Of the socket, to wait for."""
        return self._sock.fileno()

    def read(self, timeout: float) -> Batch | None:
        """What is there, or what comes within ``timeout`` seconds; None when nothing does.

        The batch has its own memory, and stays valid.
        """
        batch = self._ready()
        if batch is None and not self.ended:
            for _, event in self._poll.poll(max(0, round(timeout * 1000))):
                if event & ~select.POLLIN:
                    self._fault()
            batch = self._ready()
        return batch

    def _ready(self) -> Batch | None:
        """What is in the ring; what is left out of it does not count as something."""
        while (taken := self._ring.take(BATCH_BYTES)) is not None:
            batch = self._batch(taken)
            if batch is not None:
                return batch
        return None

    def stop(self) -> None:
        """Take in nothing more; what is in the ring can still be read."""
        _attach(self._sock, bpf.NOTHING)

    def count_lost(self) -> int:
        """Packets dropped for want of room so far; the notes know them from then on."""
        seen, dropped = self._ring.lost()
        self._seen += seen
        self._dropped += dropped
        # The kernel counts for the socket, which may be that of all interfaces: it stands with the first of them.
        if self._seen and not self.notes.interface_list and self._number:
            self._note(self._number)
        for first in self.notes.interface_list[:1]:
            first.received, first.dropped = self._seen, self._dropped
        return self._dropped

    def close(self) -> None:
        """Stop capturing, if that has not been done."""
        if self._sock.fileno() >= 0:
            self.count_lost()
            self._ring.close()
            self._sock.close()

    def _batch(self, taken: RingPackets) -> Batch | None:
        loop = taken.hardware == _ARPHRD_LOOPBACK
        ethernet = (taken.hardware == _ARPHRD_ETHER) | loop
        outgoing = taken.kind == _OUTGOING
        kept = np.flatnonzero((ethernet | np.isin(taken.protocol, _ETH_P_IP)) & ~(loop & outgoing))
        if not len(kept):
            return None
        ethernet, outgoing = ethernet[kept], outgoing[kept]
        ahead = np.where(ethernet, 0, taken.network[kept] - taken.start[kept])
        for index in np.unique(taken.interface[kept]).tolist():
            if index not in self._numbers:
                first = int(np.flatnonzero(taken.interface == index)[0])
                self._note(index, ethernet=taken.hardware[first] in (_ARPHRD_ETHER, _ARPHRD_LOOPBACK))
        known = np.array(sorted(self._numbers), dtype=np.int64)
        listed = np.array([self._numbers[index] for index in known.tolist()], dtype=np.int32)
        caplen, wirelen = taken.captured[kept] - ahead, taken.wire[kept] - ahead
        batch = Batch(
            data=taken.data,
            first_frame=self._frame,
            offset=taken.start[kept] + ahead,
            caplen=np.maximum(caplen, 0),
            wirelen=np.maximum(wirelen, 0),
            time=taken.time[kept],
            linktype=np.where(ethernet, LINKTYPE_ETHERNET, LINKTYPE_RAW).astype(np.int32),
            interface=listed[np.searchsorted(known, taken.interface[kept])],
            direction=np.where(outgoing, _OUTBOUND, _INBOUND).astype(np.int8),
        )
        self._frame += len(kept)
        self.notes.packets += len(kept)
        self.notes.bytes_read += int(batch.caplen.sum())
        self.notes.truncated_packets += int(np.count_nonzero(batch.caplen < batch.wirelen))
        return batch

    def _note(self, index: int, *, ethernet: bool = True) -> None:
        """List an interface."""
        name = self.name
        if index and self.name == ANY:
            try:
                name = socket.if_indextoname(index)
            except OSError:  # it has gone already
                name = f"interface {index}"
        self._numbers[index] = len(self.notes.interface_list)
        self.notes.interface_list.append(
            InterfaceNotes(
                name=name,
                linktype=LINKTYPE_ETHERNET if ethernet else LINKTYPE_RAW,
                resolution=9,
                filter=self._filter,
            )
        )
        self.notes.interfaces = len(self.notes.interface_list)

    def _ignore_outgoing(self) -> None:
        try:
            self._sock.setsockopt(SOL_PACKET, _IGNORE_OUTGOING, 1)
        except OSError:  # before Linux 4.20; they are left out later
            return

    def _fault(self) -> None:
        code = self._sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            self.ended = f"{printable(self.name)}: the capture ended early ({os.strerror(code)})"
            self.notes.warnings.append(self.ended)


def _packet_socket() -> socket.socket:
    if not hasattr(socket, "AF_PACKET"):
        raise CaptureError("live capture needs Linux: capture with tcpdump, and analyse the file")
    try:
        return socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    except PermissionError:
        python = os.path.realpath(sys.executable)
        raise CaptureError(
            f"live capture needs the right to open packet sockets: run 'sudo setcap cap_net_raw=ep {python}' once"
        ) from None
    except OSError as error:
        if error.errno in (errno.EAFNOSUPPORT, errno.EPROTONOSUPPORT):
            raise CaptureError(
                "this system has no packet sockets: capture elsewhere, and analyse the file"
            ) from None
        raise


def _interface_number(name: str) -> int:
    """Its ifindex; 0 for all interfaces."""
    if name == ANY:
        return 0
    try:
        return socket.if_nametoindex(name)
    except (OSError, ValueError):
        there = [known for _, known in socket.if_nameindex()]
        shown = ", ".join([*there[:_NAMED], ANY]) + (", …" if len(there) > _NAMED else "")
        raise CaptureError(f"{printable(name)}: there is no such interface: use one of {shown}") from None


def _bind(sock: socket.socket, number: int) -> None:
    """To the interface with this number, 0 for all: Python's own ``bind`` takes names only, and none for all."""
    address = struct.pack("=HHiHBB8s", socket.AF_PACKET, socket.htons(_ETH_P_ALL), number, 0, 0, 0, b"")
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.bind(sock.fileno(), address, len(address)) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def _attach(sock: socket.socket, program: bpf.Program) -> None:
    raw = bpf.packed(program)
    buffer = ctypes.create_string_buffer(raw)
    sock.setsockopt(
        socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("HL", len(program), ctypes.addressof(buffer))
    )
