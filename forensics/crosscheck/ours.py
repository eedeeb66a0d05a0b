"""What our tables say of a capture, and of single frames what the flow engine says."""

from __future__ import annotations

import re
from collections import Counter
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import polars as pl

from forensics.crosscheck.seen import NO_NAME, OUT_OF_ORDER, RETRANSMISSION, Seen, Subject
from forensics.decode.flags import RST
from forensics.decode.stream import open_packets
from forensics.flows.engine import FlowEngine
from forensics.observations.collector import Asked

if TYPE_CHECKING:
    from collections.abc import Iterator

    from forensics.analysis import Analysis
    from forensics.crosscheck.seen import Value
    from forensics.decode.addresses import AddressBook
    from forensics.flows.engine import FlowBatch

ASKED: Final = Asked(frozenset({"tls", "quic", "http"}))
"""What ``ours`` wants to be in the analysis."""


def ours(analysis: Analysis, path: str) -> Seen:
    """What our tables say of the capture at ``path``; the file is read a second time, for single frames."""
    seen = Seen()
    if analysis.notes.packets:
        seen.values["packets"][Subject()] = analysis.notes.packets
    _flows(seen, analysis)
    _hellos(seen, analysis)
    _dns(seen, analysis)
    _http(seen, analysis)
    _frames(seen, path)
    _counted(seen, analysis)
    return seen


def sender_of(address: str, port: int | str) -> str:
    """Spelled alike for both programs, which may shorten an IPv6 address differently."""
    return f"{ip_address(address)} port {port}"


def _flows(seen: Seen, analysis: Analysis) -> None:
    columns = (
        "proto",
        "stream",
        "first_frame",
        "packets_to_server",
        "packets_to_client",
        "duplicated_packets",
    )
    for proto, stream, frame, *packets in analysis.tables["flow"].columns(list(columns)).iter_rows():
        table, subject = seen.values[f"{proto}_streams"], Subject(proto, stream)
        table[subject] = int(table.get(subject, 0)) + sum(packets)
        seen.note(f"{proto}_streams", subject, frame)


def _hellos(seen: Seen, analysis: Analysis) -> None:
    """The first ClientHello of each TLS or DTLS conversation, and of each QUIC connection."""
    columns = ("proto", "stream", "tls_client_hello_frame", "sni")
    for proto, stream, frame, name in _rows(analysis, "flow", columns):
        if proto == "tcp" and frame is not None:
            seen.values["server_names"].setdefault(Subject(proto, stream, frame), spelled(name or NO_NAME))
    for proto, stream, frame, name, ja3 in _rows(
        analysis, "tls", ("proto", "stream", "client_hello_frame", "sni", "ja3")
    ):
        if frame is None:
            continue
        subject = Subject(proto, stream, frame)
        if proto == "udp":
            seen.values["server_names"][subject] = spelled(name or NO_NAME)
        if ja3:
            seen.values["ja3"][subject] = ja3
    columns = ("proto", "stream", "client_hello_frame", "sni")
    for proto, stream, frame, name in _rows(analysis, "quic", columns):
        if frame is not None:
            seen.values["quic_names"][Subject(proto, stream, frame)] = spelled(name or NO_NAME)


def _dns(seen: Seen, analysis: Analysis) -> None:
    for service, proto, stream, qname, queries, responses, asked, answered, answers in _rows(
        analysis,
        "dns",
        (
            "service",
            "transport",
            "stream",
            "qname",
            "queries",
            "responses",
            "query_frames",
            "response_frames",
            "response_answers",
        ),
    ):
        if service != "dns":
            continue
        name = _escaped(spelled(qname or ""))
        subject = Subject(proto, stream, name=name)
        table = seen.values["dns_names"]
        table[subject] = int(table.get(subject, 0)) + queries + responses
        seen.note("dns_names", subject, *(asked or ()), *(answered or ()))
        if responses > len(answered or ()):
            seen.partial.add(subject)
        for frame, said in zip(answered or (), answers or (), strict=True):
            seen.join("dns_answers", Subject(proto, stream, frame, name=name), spelled(said or ""))


def _http(seen: Seen, analysis: Analysis) -> None:
    for proto, stream, request, method, host, response, status, whole in _rows(
        analysis,
        "http",
        (
            "proto",
            "stream",
            "request_frame",
            "method",
            "host",
            "response_frame",
            "status",
            "response_complete",
        ),
    ):
        if request is not None:
            seen.join("http_hosts", Subject(proto, stream, request), spelled(f"{method} {host or NO_NAME}"))
        if response is not None and status is not None:
            subject = Subject(proto, stream, response)
            seen.join("http_status", subject, str(status))
            if not whole:
                seen.unfinished.add(subject)


def _rows(analysis: Analysis, table: str, columns: tuple[str, ...]) -> Iterator[tuple[Any, ...]]:
    yield from analysis.tables[table].columns(list(columns)).iter_rows()


def _frames(seen: Seen, path: str) -> None:
    """Resets and late segments frame by frame, as the flow engine tells them while it counts for the flow table."""
    engine = FlowEngine()
    with open_packets(path, aside=False) as packets:
        for decoded in packets:
            if not len(decoded.packets):
                continue
            batch = engine.add(decoded.packets)
            seen.copies |= set(decoded.packets["frame"][batch.copies].tolist())
            seen.first |= set(batch.column["frame"][batch.tcp & (batch.highest < 0)].tolist())
            reset = batch.tcp & ((batch.column["flags"] & RST) > 0)
            for question, rows, value in (
                ("resets", reset, 1),
                ("late_segments", batch.retransmission, RETRANSMISSION),
                ("late_segments", batch.out_of_order, OUT_OF_ORDER),
            ):
                for row in np.flatnonzero(rows):
                    subject = _sent(batch, int(row), engine, packets.decoder.book)
                    seen.values[question][subject] = value


def _sent(batch: FlowBatch, row: int, engine: FlowEngine, book: AddressBook) -> Subject:
    flows, flow = engine.conversations.flows, int(batch.flow[row])
    low = batch.side[row] == 0
    address, port = flows["lo" if low else "hi"][flow], flows["lo_port" if low else "hi_port"][flow]
    sender = sender_of(book.text(int(address)), int(port))
    return Subject("tcp", int(flows["stream"][flow]), int(batch.column["frame"][row]), sender)


_COUNTED: Final[dict[str, tuple[str, Value, str]]] = {
    "resets": ("resets", 1, "rst_{way}"),
    "retransmissions": ("late_segments", RETRANSMISSION, "retransmissions_{way}"),
    "out of order": ("late_segments", OUT_OF_ORDER, "out_of_order_{way}"),
}
"""What the flow table counts: the question and the answer to it that stand for one, and the column."""


def _counted(seen: Seen, analysis: Analysis) -> None:
    """The flow table must count what the frames show: where it does not, one more answer says so."""
    ways = (("to_server", "client"), ("to_client", "server"))
    ends = ["stream", "client", "client_port", "server", "server_port"]
    counts = {
        (kind, way): column.format(way=way) for kind, (*_, column) in _COUNTED.items() for way, _ in ways
    }
    flow = (
        analysis.tables["flow"].columns(["proto", *ends, *counts.values()]).filter(pl.col("proto") == "tcp")
    )
    listed: Counter[tuple[str, Subject]] = Counter()
    for row in flow.iter_rows(named=True):
        for kind in _COUNTED:
            for way, side in ways:
                sender = sender_of(row[side], row[f"{side}_port"])
                listed[kind, Subject("tcp", row["stream"], sender=sender)] += row[counts[kind, way]]
    for kind, (question, answer, _) in _COUNTED.items():
        for subject, value in seen.values[question].items():
            if value == answer:
                listed[kind, subject._replace(frame=-1)] -= 1
    for (kind, subject), left in listed.items():
        if left:
            wrong = f"the flow table counts {left:+} {kind} more than the frames show"
            seen.join(_COUNTED[kind][0], subject, wrong)


def spelled(name: str) -> str:
    r"""Our spelling of a name (bytes outside printable ASCII as ``\xNN``) as tshark's JSON has it."""
    return re.sub(r"\\x([0-9a-f]{2})", lambda found: _byte(int(found[1], 16)), name)


def _escaped(name: str) -> str:
    """Control characters of a DNS name as tshark writes them: as C does, or octal."""
    return re.sub("[\\x00-\\x1f\\x7f]", lambda found: _ESCAPES.get(found[0], f"\\{ord(found[0]):03o}"), name)


_ESCAPES: Final = dict(zip("\a\b\f\n\r\t\v", (f"\\{letter}" for letter in "abfnrtv"), strict=True))


def _byte(value: int) -> str:
    return chr(value) if value < 0x80 else "\ufffd"  # noqa: PLR2004 - the end of ASCII
