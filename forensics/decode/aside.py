"""Reading and decoding in a second process: both ends of the line between the two.

The bytes of the capture and the columns of its packet tables lie in memory that both processes see, and are copied
nowhere; only small messages are sent. The second process imports neither polars nor rules, and starts in a tenth of
a second.
"""

from __future__ import annotations

import contextlib
import json
import mmap
import os
import pickle
import socket
import struct
import subprocess
import sys
import weakref
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np

from forensics.capture import open_capture
from forensics.capture.batch import CaptureNotes
from forensics.capture.windows import Windows
from forensics.decode.columns import PACKET_COLUMNS, Decoded, PacketTable
from forensics.decode.packets import Decoder
from forensics.errors import CaptureError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

    import numpy.typing as npt

    from forensics.capture import Paths
    from forensics.capture.batch import Batch

AHEAD: Final = 2
"""Tables that the second process may be ahead; more would hold memory without saving time."""
_BYTES_PER_ROW: Final = sum(np.dtype(dtype).itemsize for dtype in PACKET_COLUMNS.values())
_STEP: Final = 4 << 20
_LENGTH: Final = struct.Struct("<I")
_START: Final = (
    "import sys, json; sys.path[:] = json.loads(sys.argv[1]); "
    "from forensics.decode.aside import serve; serve(int(sys.argv[2]), json.loads(sys.argv[3]))"
)


class _Line:
    """Messages with file descriptors over a pair of sockets. Both ends are this program: pickle is safe here."""

    def __init__(self, end: socket.socket) -> None:
        self._end = end

    def send(self, message: object, *descriptors: int) -> None:
        body = pickle.dumps(message, protocol=pickle.HIGHEST_PROTOCOL)
        head = _LENGTH.pack(len(body))
        if descriptors:
            socket.send_fds(self._end, [head], list(descriptors))
        else:
            self._end.sendall(head)
        self._end.sendall(body)

    def receive(self) -> tuple[Any, list[int]]:
        """The next message and its descriptors; EOFError when the other end is gone."""
        head, descriptors, _, _ = socket.recv_fds(self._end, _LENGTH.size, 4)
        head += self._exactly(_LENGTH.size - len(head)) if head else b""
        if not head:
            raise EOFError
        return pickle.loads(self._exactly(_LENGTH.unpack(head)[0])), descriptors  # noqa: S301 - see the class

    def _exactly(self, size: int) -> bytes:
        body = bytearray(size)
        view = memoryview(body)
        while view:
            count = self._end.recv_into(view)
            if not count:
                raise EOFError
            view = view[count:]
        return bytes(body)

    def close(self) -> None:
        self._end.close()


class PacketsAside:
    """The near end: starts the second process and draws its tables; see forensics.decode.stream.PacketStream."""

    def __init__(self, paths: Paths, batch_bytes: int, batch_packets: int) -> None:
        self.notes = CaptureNotes()
        self.decoder = Decoder()
        self.position = 0
        self.size: int | None = None
        self._whole = False
        self._shared: dict[int, npt.NDArray[np.uint8]] = {}
        mine, theirs = socket.socketpair()
        self._line = _Line(mine)
        listed = [paths] if isinstance(paths, str | os.PathLike) else list(paths)
        task = json.dumps(
            {
                "paths": [os.fspath(path) for path in listed],
                "batch_bytes": batch_bytes,
                "batch_packets": batch_packets,
            }
        )
        with theirs:
            number = theirs.fileno()
            command = [sys.executable, "-c", _START, json.dumps(sys.path), str(number), task]
            # In a process group of its own: Ctrl-C is for this process, whose end closes the line.
            self.process = subprocess.Popen(  # noqa: S603 - ourselves
                command, pass_fds=(number,), stdin=subprocess.DEVNULL, process_group=0
            )

    @property
    def mapped(self) -> int:
        """Pieces of shared memory that are known here."""
        return len(self._shared)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __iter__(self) -> Iterator[Decoded]:
        while True:
            message = self._receive()
            self.position, self.size = message["position"], message["size"]
            if "notes" in message:
                self.notes.__dict__.update(message["notes"].__dict__)
                self.decoder.take_over(message["decoder"])
                self._whole = True
                self._shared.clear()  # what comes now needs the memory for other things
                return
            self.notes.packets = message["packets"]
            self.decoder.extend(message["books"])
            columns = self._shared[message["columns"]]
            packets = PacketTable(_views(columns, message["rows"]))
            yield Decoded(packets, self._shared[message["data"]])
            with contextlib.suppress(ConnectionError):  # what is wrong shows when the next is drawn
                self._line.send("release")

    def _receive(self) -> dict[str, Any]:
        try:
            message, descriptors = self._line.receive()
        except (EOFError, ConnectionError):
            raise CaptureError(
                f"the process that reads the capture ended early (status {self.process.wait()}): "
                "most often memory ran out; close other programs and try again"
            ) from None
        for number, descriptor in zip(message.get("new", ()), descriptors, strict=True):
            with contextlib.closing(_File(descriptor)) as file:
                self._shared[number] = np.frombuffer(
                    mmap.mmap(file.number, 0, access=mmap.ACCESS_READ), np.uint8
                )
        for number in message.get("gone", ()):
            self._shared.pop(number, None)
        if "refusal" in message:
            raise CaptureError(message["refusal"])
        if "fault" in message:
            raise RuntimeError(f"in the process that reads the capture: {message['fault']}")
        return message  # type: ignore[no-any-return]

    def close(self) -> None:
        """See PacketStream."""
        try:
            if self._whole:
                self._whole = False
                final = self._receive()["final"]
                self.notes.sha256, self.notes.files, self.notes.warnings = final
        finally:
            self._line.close()
            self._shared.clear()
            if self.process.poll() is None and not self.notes.sha256:
                self.process.kill()
            self.process.wait()


class _File:
    """A file descriptor that is closed once."""

    def __init__(self, number: int) -> None:
        self.number = number

    def close(self) -> None:
        os.close(self.number)


def _views(memory: npt.NDArray[np.uint8], rows: int) -> dict[str, npt.NDArray[Any]]:
    """The columns of a packet table of ``rows`` rows, one after the other in ``memory``."""
    found = {}
    at = 0
    # The widest first, so that every column begins at a multiple of its width.
    for name, dtype in sorted(PACKET_COLUMNS.items(), key=lambda item: -np.dtype(item[1]).itemsize):
        size = rows * np.dtype(dtype).itemsize
        found[name] = memory[at : at + size].view(dtype)
        at += size
    return {name: found[name] for name in PACKET_COLUMNS}


class _SharedMemory:
    """Makes memory that another process can map; numbers and descriptors are for it to find it by."""

    def __init__(self) -> None:
        self._next = 0
        self._numbers: dict[int, int] = {}
        self.fresh: dict[int, int] = {}
        """Number → descriptor of what the other process has not been told of."""
        self.gone: list[int] = []
        """Numbers of what is no more."""

    def make(self, size: int) -> npt.NDArray[np.uint8]:
        """See Windows."""
        descriptor = os.memfd_create("forensics-window")
        os.ftruncate(descriptor, size)
        memory = np.frombuffer(mmap.mmap(descriptor, size), np.uint8)
        number = self._numbers[id(memory)] = self._next
        self._next += 1
        self.fresh[number] = descriptor
        weakref.finalize(memory, self._forget, id(memory), number)
        return memory

    def number(self, memory: npt.NDArray[np.uint8]) -> int | None:
        """The number of what ``make`` gave; None for other memory."""
        return self._numbers.get(id(memory))

    def _forget(self, key: int, number: int) -> None:
        self._numbers.pop(key, None)
        descriptor = self.fresh.pop(number, None)
        if descriptor is None:
            self.gone.append(number)
        else:
            os.close(descriptor)


class _Server:
    """The second process: reads, decodes, and waits when it is too far ahead."""

    def __init__(self, line: _Line) -> None:
        self._line = line
        self._shared = _SharedMemory()
        self._windows = Windows(self._shared.make)
        self._tables = Windows(self._shared.make)
        self._out: list[tuple[Batch, list[npt.NDArray[np.uint8]]]] = []
        """Batches that the other process works on, and the memory lent with them."""

    def run(self, paths: list[str], batch_bytes: int, batch_packets: int) -> None:
        decoder = Decoder()
        known = decoder.known()
        with open_capture(
            paths, batch_bytes=batch_bytes, batch_packets=batch_packets, windows=self._windows
        ) as reader:
            for batch in reader:
                decoded = decoder.decode(batch)
                books = decoder.since(known)
                known = decoder.known()
                self._send(reader, batch, decoded, {"books": books})
            end = {"position": reader.stored_position, "size": reader.stored_size}
            self._line.send(end | {"notes": reader.notes, "decoder": decoder.facts()})
        notes = reader.notes
        self._line.send({"final": (notes.sha256, notes.files, notes.warnings)})

    def _send(self, reader: Any, batch: Batch, decoded: Decoded, message: dict[str, Any]) -> None:  # noqa: ANN401 - one reader or several
        while len(self._out) >= AHEAD:
            self._line.receive()
            old, lent = self._out.pop(0)
            reader.release(old)
            for memory in lent:
                self._tables.give_back(memory)
        rows = len(decoded.packets)
        lent = [self._lend(rows * _BYTES_PER_ROW)]
        columns = lent[0]
        for name, view in _views(columns, rows).items():
            view[:] = decoded.packets[name]
        data = decoded.data
        if self._shared.number(data) is None:  # of a merged or reassembled batch
            lent.append(self._lend(len(data)))
            lent[-1][: len(data)] = data
            data = lent[-1]
        self._out.append((batch, lent))
        fresh, self._shared.fresh = self._shared.fresh, {}
        gone, self._shared.gone = self._shared.gone, []
        message |= {
            "position": reader.stored_position,
            "size": reader.stored_size,
            "packets": reader.notes.packets,
            "rows": rows,
            "columns": self._shared.number(columns),
            "data": self._shared.number(data),
            "gone": gone,
            "new": list(fresh),
        }
        self._line.send(message, *fresh.values())
        for descriptor in fresh.values():
            os.close(descriptor)

    def _lend(self, size: int) -> npt.NDArray[np.uint8]:
        """Memory for one message; in steps of 4 MiB, so that the same serves again."""
        memory = self._tables.take(max(-(-size // _STEP), 1) * _STEP)
        self._tables.lend(memory)
        self._tables.retire(memory)
        return memory


def serve(descriptor: int, task: dict[str, Any]) -> None:
    """What the second process runs: read and decode ``task`` and send it over the socket ``descriptor``."""
    line = _Line(socket.socket(fileno=descriptor))
    with contextlib.suppress(BrokenPipeError, ConnectionResetError, EOFError):
        try:
            _Server(line).run(**task)
        except CaptureError as error:
            line.send({"refusal": str(error)})
        except Exception as error:  # noqa: BLE001 - told to whoever started this process
            line.send({"fault": repr(error)})
        while True:  # until the other end has read all and hangs up
            line.receive()
