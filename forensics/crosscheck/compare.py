"""Our analysis next to what tshark, driven by pyshark, dissects from the same file.

Both are brought into one shape, ``Seen``: for each question a table from subject to value. Comparing them is then
the same for all questions.
"""

# ruff: noqa: PLC0415, SLF001 - pyshark is an optional extra, imported only when it is asked; see _fields for the other
from __future__ import annotations

import asyncio
import configparser
import re
import shutil
import subprocess
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import polars as pl

from forensics.errors import ForensicsError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from forensics.analysis import Analysis


class Subject(NamedTuple):
    """What a value speaks of; empty parts do not apply."""

    proto: str = ""
    stream: int = -1
    sender: str = ""
    """Address and port of the side that sent, as ``192.0.2.1 port 443``."""
    name: str = ""
    """DNS name in lower case; hostile text."""


QUESTIONS: Final = {
    "packets": "packets in the capture",
    "tcp_streams": "packets of each TCP stream",
    "udp_streams": "packets of each UDP stream",
    "server_names": "TLS server name of each TCP stream",
    "dns_names": "DNS messages for each name and UDP stream",
    "resets": "resets of each TCP stream and direction",
    "late_segments": "retransmitted or reordered segments of each TCP stream and direction",
    "retransmissions": "retransmissions among them",
}
"""Question → what it compares, in the order of the report."""

FRAMES: Final = 8
"""At most so many frames are named for a difference."""

Value = int | str


@dataclass
class Seen:
    """What one program saw. A subject that is missing from a table was not seen: zero, or no name."""

    values: dict[str, dict[Subject, Value]] = field(default_factory=lambda: {name: {} for name in QUESTIONS})
    """Question → subject → value: a count, or a name."""
    frames: dict[str, dict[Subject, list[int]]] = field(
        default_factory=lambda: {name: {} for name in QUESTIONS}
    )
    """Question → subject → the first frames, where known."""
    version: str = ""
    """Of tshark; empty for us."""
    message: str = ""
    """Last line that tshark wrote to stderr, such as where the file is damaged; hostile text."""

    def count(self, question: str, subject: Subject, frame: int) -> None:
        """One more packet."""
        table = self.values[question]
        table[subject] = int(table.get(subject, 0)) + 1
        self.note(question, subject, frame)

    def note(self, question: str, subject: Subject, *frames: int) -> None:
        """Remember the first frames of a subject."""
        known = self.frames[question].setdefault(subject, [])
        known.extend(frames[: FRAMES - len(known)])


@dataclass(frozen=True)
class Difference:
    """One subject of which the two programs say different things."""

    subject: Subject
    ours: Value | None
    tshark: Value | None
    frames: tuple[int, ...]
    """Frames that either program names, the first 8 of each."""


@dataclass(frozen=True)
class Check:
    """One question, answered twice."""

    question: str
    same: int
    """Subjects with equal values."""
    differences: tuple[Difference, ...]
    """In order of the subjects."""


def compare(mine: Seen, theirs: Seen) -> tuple[Check, ...]:
    """Every question in order, with all subjects of which the answers differ."""
    checks = []
    for question in QUESTIONS:
        left, right = mine.values[question], theirs.values[question]
        differences = [
            Difference(
                subject,
                left.get(subject),
                right.get(subject),
                tuple(
                    sorted(
                        {
                            *mine.frames[question].get(subject, ()),
                            *theirs.frames[question].get(subject, ()),
                        }
                    )
                ),
            )
            for subject in sorted(left.keys() | right.keys())
            if left.get(subject) != right.get(subject)
        ]
        same = len(left.keys() | right.keys()) - len(differences)
        checks.append(Check(question, same, tuple(differences)))
    return tuple(checks)


def ours(analysis: Analysis) -> Seen:
    """What our tables say."""
    seen = Seen()
    if analysis.notes.packets:
        seen.values["packets"][Subject()] = analysis.notes.packets
    for row in analysis.tables["flow"].columns(_FLOW_COLUMNS).iter_rows(named=True):
        proto, stream = row["proto"], row["stream"]
        packets = row["packets_to_server"] + row["packets_to_client"] + row["duplicated_packets"]
        _add(seen, f"{proto}_streams", Subject(proto, stream), packets, [row["first_frame"]])
        if proto != "tcp":
            continue
        for way, side in (("to_server", "client"), ("to_client", "server")):
            sender = Subject(proto, stream, _sender(row[side], row[f"{side}_port"]))
            _add(seen, "resets", sender, row[f"rst_{way}"], row[f"rst_{way}_frames"])
            again, reordered = row[f"retransmissions_{way}"], row[f"out_of_order_{way}"]
            _add(seen, "late_segments", sender, again + reordered)
            _add(seen, "retransmissions", sender, again)
        if row["sni"]:
            subject = Subject(proto, stream)
            seen.values["server_names"].setdefault(subject, _spelled(row["sni"]))
            seen.note("server_names", subject, row["tls_client_hello_frame"])
    dns = analysis.tables["dns"].frame().with_columns(messages=pl.col("queries") + pl.col("responses"))
    for stream, qname, messages, asked, answered in dns.select(_DNS_COLUMNS).iter_rows():
        subject = Subject("udp", stream, name=_spelled(qname or ""))
        _add(seen, "dns_names", subject, messages, [*(asked or ()), *(answered or ())])
    return seen


_FLOW_COLUMNS: Final = [
    "proto", "stream", "first_frame", "client", "client_port", "server", "server_port", "packets_to_server",
    "packets_to_client", "duplicated_packets", "rst_to_server", "rst_to_client", "rst_to_server_frames",
    "rst_to_client_frames",
    "retransmissions_to_server", "retransmissions_to_client", "out_of_order_to_server", "out_of_order_to_client",
    "sni", "tls_client_hello_frame",
]  # fmt: skip
_DNS_COLUMNS: Final = ["stream", "qname", "messages", "query_frames", "response_frames"]


def _add(
    seen: Seen, question: str, subject: Subject, number: int | None, frames: list[int] | None = None
) -> None:
    if number:
        table = seen.values[question]
        table[subject] = int(table.get(subject, 0)) + number
        seen.note(question, subject, *(frames or ()))


def _sender(address: str, port: int | str) -> str:
    # The two programs may shorten an IPv6 address differently.
    return f"{ip_address(address)} port {port}"


def _spelled(name: str) -> str:
    r"""Our spelling of a name (bytes outside printable ASCII as ``\xNN``) as tshark's JSON has it."""
    return re.sub(r"\\x([0-9a-f]{2})", lambda found: _byte(int(found[1], 16)), name)


def _byte(value: int) -> str:
    return chr(value) if value < 0x80 else "\ufffd"  # noqa: PLR2004 - the end of ASCII


# What is needed and no more: the payload alone, in hex, would double the size of the capture. A field is shown only
# when all that it stands in are listed too.
_FIELDS: Final = (
    "frame frame.number frame.len frame.time_epoch frame.protocols ip ip.src ipv6 ipv6.src "
    "tcp tcp.stream tcp.srcport tcp.flags tcp.flags.reset tcp.analysis tcp.analysis.flags _ws.expert "
    "tcp.analysis.retransmission tcp.analysis.fast_retransmission tcp.analysis.spurious_retransmission "
    "tcp.analysis.out_of_order "
    "udp udp.stream udp.srcport udp.dstport dns text dns.qry.name "
    "tls tls.record tls.handshake tls.handshake.extensions_server_name"
)
_PREFERENCES: Final = {
    # Not what the user's own Wireshark is set to.
    "tcp.analyze_sequence_numbers": "TRUE",
    "tcp.desegment_tcp_streams": "TRUE",
    "tcp.reassemble_out_of_order": "TRUE",
    "tls.desegment_ssl_records": "TRUE",
}
_INSTALL_PYSHARK: Final = "pyshark is missing: pip install 'pyshark>=0.6,<0.7'"
_INSTALL_TSHARK: Final = "tshark is missing: install it (Debian: apt-get install tshark)"


def _reader_class() -> Any:  # noqa: ANN401 - pyshark has no types
    """The file reader of pyshark, with what is said below done otherwise."""
    try:
        import pyshark
        from pyshark.tshark.output_parser.tshark_ek import TsharkEkJsonParser
        from pyshark.tshark.tshark import TSharkVersionException, get_tshark_version
    except ImportError:
        raise ForensicsError(_INSTALL_PYSHARK) from None

    class Parser(TsharkEkJsonParser):  # type: ignore[misc]  # pyshark has no types
        def _parse_single_packet(self, packet: bytes) -> Any:  # noqa: ANN401 - the same
            # pyshark fails on packets without a time (pcapng simple packet blocks). The layer frame comes first,
            # before anything that the capture itself could have put there.
            if b'"frame_frame_time_epoch"' not in packet:
                packet = packet.replace(b'"frame":{', b'"frame":{"frame_frame_time_epoch":"0",', 1)
            return super()._parse_single_packet(packet)

    class Reader(pyshark.FileCapture):  # type: ignore[misc]  # pyshark has no types
        def _setup_tshark_output_parser(self) -> Parser:
            # Without the field types that pyshark would fetch from tshark and keep in a file of its own, which
            # two processes can write at the same time.
            return Parser()

        @staticmethod
        def version(program: str) -> str:
            try:
                return str(get_tshark_version(program))
            except (TSharkVersionException, subprocess.SubprocessError, UnicodeDecodeError) as error:
                raise ForensicsError(f"{program}: this is no tshark that pyshark knows: {error}") from None

        async def _cleanup_subprocess(self, process: asyncio.subprocess.Process) -> None:
            # pyshark raises in the middle of closing when tshark met a damaged file, and kills a tshark that
            # is about to end by itself.
            if process.returncode is None and not self._eof_reached:
                process.kill()
            await process.wait()

    return Reader


def tshark(path: str) -> Seen:
    """What tshark dissects, read packet by packet through pyshark; some 10,000 packets a second.

    Raises ForensicsError when pyshark or tshark is missing, or when pyshark cannot start or read tshark. A file that
    tshark finds damaged is no error: ``message`` says so.
    """
    reader_class = _reader_class()
    program = shutil.which("tshark")
    if program is None:
        raise ForensicsError(_INSTALL_TSHARK)
    seen = Seen()
    try:
        seen.version = reader_class.version(program)
        # An event loop of its own: pyshark would take the program's and set a child watcher that Python 3.14 has
        # no more. The runner ends what is still running, and closes the loop.
        with asyncio.Runner() as runner:
            reader = reader_class(
                path,
                keep_packets=False,
                use_ek=True,
                tshark_path=program,
                eventloop=runner.get_loop(),
                custom_parameters=["-n", "-j", _FIELDS],
                override_prefs=_PREFERENCES,
            )
            with reader:
                for packet in reader:
                    _take(seen, packet)
            message = reader._last_error_line or ""
    except configparser.Error:
        raise ForensicsError(
            "config.ini: pyshark reads this file and fails; run in another directory"
        ) from None
    except (KeyError, ValueError) as error:
        # JSON that is none, or without a part that pyshark needs.
        raise ForensicsError(f"{path}: pyshark cannot read what tshark says of a packet: {error!r}") from None
    if not message.startswith("Running as user"):
        seen.message = message
    return seen


def _take(seen: Seen, packet: Any) -> None:  # noqa: ANN401 - pyshark has no types
    frame = int(packet.number)
    packets = seen.values["packets"]
    packets[Subject()] = int(packets.get(Subject(), 0)) + 1
    layers: dict[str, list[dict[str, Any]]] = {}
    for layer in packet.layers:
        # A layer that occurs more than once is a list, to which no public method of pyshark leads.
        fields = layer._fields_dict
        layers.setdefault(layer.layer_name, []).extend(fields if isinstance(fields, list) else [fields])
    sources = list(_texts(layers, "ip", "src")) or list(_texts(layers, "ipv6", "src"))
    for tcp in layers.get("tcp", ()):
        _take_tcp(seen, frame, tcp, layers, sources)
    for udp in layers.get("udp", ()):
        stream = next(_texts({"udp": [udp]}, "udp", "stream"), "")
        if stream.isdecimal():
            subject = Subject("udp", int(stream))
            seen.count("udp_streams", subject, frame)
            ports = {*_texts(layers, "udp", "srcport"), *_texts(layers, "udp", "dstport")}
            if "53" in ports:
                for name in {name.lower() for name in _texts(layers, "dns", "qry_name")}:
                    subject = subject._replace(name="" if name == "<root>" else name)
                    seen.count("dns_names", subject, frame)


def _take_tcp(
    seen: Seen, frame: int, tcp: dict[str, Any], layers: dict[str, list[dict[str, Any]]], sources: list[str]
) -> None:
    stream = next(_texts({"tcp": [tcp]}, "tcp", "stream"), "")
    if not stream.isdecimal():
        return
    subject = Subject("tcp", int(stream))
    seen.count("tcp_streams", subject, frame)
    name = next(_texts(layers, "tls", "handshake_extensions_server_name"), None)
    if name and subject not in seen.values["server_names"]:
        seen.values["server_names"][subject] = name.lower()
        seen.note("server_names", subject, frame)
    port = next(_texts({"tcp": [tcp]}, "tcp", "srcport"), "")
    # In a tunnel, the innermost address is the sender's.
    sender = subject._replace(sender=_sender(sources[-1], port)) if sources else subject
    if tcp.get("tcp_tcp_flags_reset") in (True, "1"):
        seen.count("resets", sender, frame)
    remarks = _expert(tcp)
    if not _RETRANSMISSIONS.isdisjoint(remarks):
        seen.count("retransmissions", sender, frame)
        seen.count("late_segments", sender, frame)
    elif _OUT_OF_ORDER in remarks:
        seen.count("late_segments", sender, frame)


_OUT_OF_ORDER: Final = "tcp_tcp_analysis_out_of_order"
_RETRANSMISSIONS: Final = {
    f"tcp_tcp_analysis_{kind}"
    for kind in ("retransmission", "fast_retransmission", "spurious_retransmission")
}


def _expert(fields: dict[str, Any]) -> set[str]:
    """Names of tshark's remarks on a layer: one dictionary a remark."""
    remarks = fields.get("_ws_expert")
    items = remarks if isinstance(remarks, list) else [remarks]
    return {name for item in items if isinstance(item, dict) for name in item}


def _texts(layers: dict[str, list[dict[str, Any]]], layer: str, name: str) -> Iterator[str]:
    """All values of a field, in order; a field that was filtered out is a dictionary."""
    for fields in layers.get(layer, ()):
        value = fields.get(f"{layer}_{layer}_{name}")
        for item in value if isinstance(value, list) else [value]:
            if isinstance(item, str):
                yield item
