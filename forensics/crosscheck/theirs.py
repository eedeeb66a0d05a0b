"""What tshark dissects, driven by pyshark; some 10,000 packets a second."""

# ruff: noqa: PLC0415, SLF001 - pyshark is an optional extra, imported only when it is asked; see _take for the other
from __future__ import annotations

import asyncio
import configparser
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Any, Final

from forensics.crosscheck.ours import sender_of
from forensics.crosscheck.seen import NO_NAME, OUT_OF_ORDER, RETRANSMISSION, SHORT_HEADER, Seen, Subject
from forensics.errors import ForensicsError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

Layer = dict[str, Any]
Layers = dict[str, list[Any]]
"""Name → the layers of that name, each a dictionary of fields, and for the frames of a reassembly their numbers."""

_REMARKS: Final = (
    "retransmission", "fast_retransmission", "spurious_retransmission", "out_of_order", "duplicate_ack", "keep_alive",
    "zero_window_probe", "reused_ports", "lost_segment", "ack_lost_segment",
)  # fmt: skip
# What is needed and no more: the payload alone, in hex, would double the size of the capture. A field is shown only
# when all that it stands in are listed too.
_FIELDS: Final = " ".join(
    (
        "frame frame.number frame.len frame.time_epoch frame.protocols _ws.expert _ws.malformed text",
        "ip ip.src ipv6 ipv6.src",
        "tcp tcp.stream tcp.srcport tcp.dstport tcp.hdr_len tcp.flags tcp.flags.reset",
        "tcp.short_segment tcp.analysis tcp.analysis.flags",
        *(f"tcp.analysis.{remark}" for remark in _REMARKS),
        "udp udp.stream udp.srcport udp.dstport",
        "dns dns.flags dns.flags.response dns.flags.opcode dns.flags.z dns.flags.rcode dns.count.answers",
        "dns.qry.name dns.qry.class dns.resp.name dns.resp.type dns.resp.class dns.a dns.aaaa dns.cname",
        "dns.svcb.svcparam dns.svcb.svcparam.ipv4hint.ip dns.svcb.svcparam.ipv6hint.ip",
        "tcp.segments tcp.segment http http.host http.request.method http.response.code",
        "quic quic.version quic.connection.number quic.frame quic.crypto gquic gquic.frame gquic.tags gquic.tag.sni",
        *(
            f"{layer} {layer}.record {layer}.handshake {layer}.handshake.ja3 "
            f"{layer}.handshake.extensions_server_name"
            for layer in ("tls", "dtls")
        ),
    )
)
_PREFERENCES: Final = {
    # Not what the user's own Wireshark is set to.
    "tcp.analyze_sequence_numbers": "TRUE",
    "tcp.desegment_tcp_streams": "TRUE",
    "tcp.reassemble_out_of_order": "TRUE",
    "tls.desegment_ssl_records": "TRUE",
    "tls.desegment_ssl_application_data": "TRUE",
    "dns.desegment_dns_messages": "TRUE",
    "http.desegment_headers": "TRUE",
    "http.desegment_body": "TRUE",
    "quic.reassemble_crypto_out_of_order": "TRUE",
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
                hellos: set[tuple[str, ...]] = set()
                for packet in reader:
                    _take(seen, hellos, packet)
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


def _take(seen: Seen, hellos: set[tuple[str, ...]], packet: Any) -> None:  # noqa: ANN401 - pyshark has no types
    """``hellos``: connections of which the first hello was seen."""
    frame = int(packet.number)
    packets = seen.values["packets"]
    packets[Subject()] = int(packets.get(Subject(), 0)) + 1
    layers: Layers = {}
    for layer in packet.layers:
        # A layer that occurs more than once is a list, to which no public method of pyshark leads.
        fields = layer._fields_dict
        layers.setdefault(layer.layer_name, []).extend(fields if isinstance(fields, list) else [fields])
    seen.layers[frame] = sys.intern(
        next(_texts([packet.frame_info._fields_dict], "frame_frame_protocols"), "")
    )
    sources = list(_texts(layers.get("ip", ()), "ip_ip_src")) or list(
        _texts(layers.get("ipv6", ()), "ipv6_ipv6_src")
    )
    innermost = {}
    for tcp in layers.get("tcp", ()):
        subject = _stream(tcp, "tcp", frame)
        if subject is not None:
            innermost["tcp"] = subject
            _take_tcp(seen, subject, tcp, sources)
    for udp in layers.get("udp", ()):
        subject = _stream(udp, "udp", frame)
        if subject is not None:
            innermost["udp"] = subject
            seen.count("udp_streams", subject._replace(frame=-1), frame)
    if "_ws_malformed" in layers:
        seen.damaged.add(frame)
    for proto in reversed(seen.layers[frame].split(":")):
        if proto in innermost:
            _take_messages(seen, hellos, innermost[proto], layers)
            break


def _take_messages(seen: Seen, hellos: set[tuple[str, ...]], subject: Subject, layers: Layers) -> None:
    _take_hellos(seen, hellos, subject, layers)
    ports = (f"{subject.proto}_{subject.proto}_{end}port" for end in ("src", "dst"))
    # tshark goes on to take another port for that of DNS where it was once seen to carry some.
    if any(_DNS_PORT in _texts(layers[subject.proto], port) for port in ports):
        for message in layers.get("dns", ()):
            _take_dns(seen, subject, message)
    _take_http(seen, subject, layers)
    versions = {*_texts(layers.get("quic", ()), "quic_quic_version")}
    if versions:
        seen.quic_versions.setdefault(subject.stream, set()).update(versions)


SHORTEST_HEADER: Final = 20
_DNS_PORT: Final = "53"


def _stream(header: Layer, proto: str, frame: int) -> Subject | None:
    stream = next(_texts([header], f"{proto}_{proto}_stream"), "")
    return Subject(proto, int(stream), frame) if stream.isdecimal() else None


def _take_tcp(seen: Seen, subject: Subject, tcp: Layer, sources: list[str]) -> None:
    frame = subject.frame
    seen.count("tcp_streams", subject._replace(frame=-1), frame)
    port = next(_texts([tcp], "tcp_tcp_srcport"), "")
    # In a tunnel, the innermost address is the sender's.
    sender = subject._replace(sender=sender_of(sources[-1], port)) if sources else subject
    if tcp.get("tcp_tcp_flags_reset") in (True, "1"):
        seen.values["resets"][sender] = 1
    remarks = frozenset(
        name.removeprefix("tcp_tcp_analysis_")
        for name in _expert(tcp)
        if name.startswith("tcp_tcp_analysis_")
    )
    if _number(
        [tcp], "tcp_tcp_hdr_len", SHORTEST_HEADER
    ) < SHORTEST_HEADER or "tcp_tcp_short_segment" in _expert(tcp):
        remarks |= {SHORT_HEADER}
    if "lost_segment" in remarks:
        seen.gaps.setdefault(subject.stream, []).append(frame)
    if remarks:
        seen.remarks[frame] = remarks | seen.remarks.get(frame, frozenset())
    if any(remark.endswith("retransmission") for remark in remarks):
        seen.values["late_segments"][sender] = RETRANSMISSION
    elif "out_of_order" in remarks:
        seen.values["late_segments"][sender] = OUT_OF_ORDER


def _expert(fields: Layer) -> set[str]:
    """Names of tshark's remarks on a layer: one dictionary a remark."""
    remarks = fields.get("_ws_expert")
    items = remarks if isinstance(remarks, list) else [remarks]
    return {name for item in items if isinstance(item, dict) for name in item}


def _take_hellos(seen: Seen, hellos: set[tuple[str, ...]], subject: Subject, layers: Layers) -> None:
    """The first ClientHello of each connection."""
    for question, layer, outer in (
        ("server_names", "tls", layers.get("tls", [])),
        ("server_names", "dtls", layers.get("dtls", [])),
        ("quic_names", "tls", [*layers.get("quic", []), *layers.get("gquic", [])]),
    ):
        for fields in outer:
            connection = next(_texts([fields], "quic_quic_connection_number"), str(subject.stream))
            inner = [fields] if question == "server_names" else list(_inside(fields, layer))
            name = next(_texts(inner, f"{layer}_{layer}_handshake_extensions_server_name"), None)
            if question == "quic_names" and name is None:
                name = next(_texts([fields], "gquic_gquic_tag_sni"), None)
            ja3 = next(_texts(inner, f"{layer}_{layer}_handshake_ja3"), None)
            key = (question, subject.proto, connection)
            if (name is None and ja3 is None) or key in hellos:
                continue
            hellos.add(key)
            seen.values[question][subject] = name.lower() if name else NO_NAME
            if ja3 and question == "server_names":
                seen.values["ja3"][subject] = ja3


def _inside(fields: Layer, layer: str) -> Iterator[Layer]:
    """Layers of that name within another."""
    found = fields.get(layer)
    for item in found if isinstance(found, list) else [found]:
        if isinstance(item, dict):
            yield item


_A, _CNAME, _AAAA, _SVCB, _HTTPS = "1", "5", "28", "64", "65"
_KINDS: Final = {_A: "a", _AAAA: "aaaa", _CNAME: "cname"}


def _take_dns(seen: Seen, subject: Subject, message: Layer) -> None:
    if _is_odd(message):
        seen.damaged.add(subject.frame)
    is_response = message.get("dns_dns_flags_response") in (True, "1")
    for name in {name.lower() for name in _texts([message], "dns_dns_qry_name")}:
        about = subject._replace(name="" if name == "<root>" else name)
        seen.count("dns_names", about._replace(frame=-1), subject.frame)
        if is_response:
            seen.join("dns_answers", about, addresses_in(message))


def _is_odd(message: Layer) -> bool:
    """Whether no resolver says such a thing: a name that tshark cannot read, an unknown class or operation."""
    names = [*_texts([message], "dns_dns_qry_name"), *_texts([message], "dns_dns_resp_name")]
    types = ["0", *_texts([message], "dns_dns_resp_type")]
    asked, answered = (list(_texts([message], f"dns_dns_{field}_class")) for field in ("qry", "resp"))
    asks = message.get("dns_dns_flags_response") in (False, "0")
    return (
        any(name.startswith("<") and name.lower() != "<root>" for name in names)
        # The class of an OPT record is a size; that of multicast DNS has a flag on top.
        or any(
            int(number, 0) & 0x7FFF not in _DNS_CLASSES
            for number, kind in zip([*asked[:1], *answered], types, strict=False)
            if kind != _OPT
        )
        or _number([message], "dns_dns_flags_opcode") not in _DNS_OPERATIONS
        or (
            asks
            and (
                _number([message], "dns_dns_flags_rcode") > 0 or message.get("dns_dns_flags_z") in (True, "1")
            )
        )
    )


_OPT: Final = "41"
# https://www.iana.org/assignments/dns-parameters
_DNS_CLASSES: Final = {1, 3, 4, 254, 255}
_DNS_OPERATIONS: Final = {0, 1, 2, 4, 5}


def addresses_in(message: Layer) -> str:
    """Addresses in the answer section; without any, address hints; without these, the last CNAME."""
    count = next(_texts([message], "dns_dns_count_answers"), "0")
    # The types of all records in order, and for each type the values of its records.
    types = list(_texts([message], "dns_dns_resp_type"))[: int(count)]
    found = {
        kind: list(_texts([message], f"dns_dns_{field}"))[: types.count(kind)]
        for kind, field in _KINDS.items()
    }
    addresses = found[_A] + found[_AAAA]
    if not addresses and {_SVCB, _HTTPS} & set(types):
        for version in ("4", "6"):
            addresses += _texts([message], f"dns_dns_svcb_svcparam_ipv{version}hint_ip")
    if not addresses:
        return " ".join(found[_CNAME][-1:]).lower()
    return " ".join(sorted(set(addresses)))


def _take_http(seen: Seen, subject: Subject, layers: Layers) -> None:
    """A message stands in the frame that completed its body; here it belongs to the frame with which it began."""
    begun = [int(frame) for frame in layers.get("tcp_tcp_segment", ()) if isinstance(frame, str)]
    whole, subject = subject.frame, subject._replace(frame=min(begun, default=subject.frame))
    for message in layers.get("http", ()):
        hosts = _texts([message], "http_http_host")
        for method in _texts([message], "http_http_request_method"):
            seen.join("http_hosts", subject, f"{method} {next(hosts, NO_NAME)}")
            seen.note("http_hosts", subject, whole)
        for code in _texts([message], "http_http_response_code"):
            seen.join("http_status", subject, code)
            seen.note("http_status", subject, whole)


def _number(layers: Iterable[Layer], field: str, default: int = 0) -> int:
    text = next(_texts(layers, field), "")
    return int(text, 0) if text else default


def _texts(layers: Iterable[Layer], field: str) -> Iterator[str]:
    """All values of a field, in order; a field that was filtered out is a dictionary."""
    for fields in layers:
        value = fields.get(field)
        for item in value if isinstance(value, list) else [value]:
            if isinstance(item, str):
                yield item
