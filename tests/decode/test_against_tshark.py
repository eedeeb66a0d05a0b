"""Every packet of the real captures, field by field as tshark's dissectors see it."""

from __future__ import annotations

import lzma
import subprocess
from itertools import filterfalse
from pathlib import Path

import pytest
import yaml

from forensics.capture import open_capture
from forensics.decode import Decoder
from forensics.errors import CaptureError

MANIFEST = Path(__file__).resolve().parents[3] / "shared" / "captures" / "MANIFEST.yaml"
FILES = (
    {entry["path"]: entry["packets"] for entry in yaml.safe_load(MANIFEST.read_text())["files"]}
    if MANIFEST.is_file()
    else {"": 0}
)
FIELDS = [
    "frame.number",
    "frame.time_epoch",
    "frame.protocols",
    "ip.src",
    "ip.dst",
    "ipv6.src",
    "ipv6.dst",
    "ip.ttl",
    "ipv6.hlim",
    "ip.id",
    "ip.flags.mf",
    "ip.frag_offset",
    "ipv6.fraghdr.nxt",
    "tcp.srcport",
    "tcp.dstport",
    "udp.srcport",
    "udp.dstport",
    "tcp.seq_raw",
    "tcp.ack_raw",
    "tcp.flags",
    "tcp.window_size_value",
    "tcp.len",
    "udp.length",
]
OPTIONS = ["tcp.desegment_tcp_streams:FALSE", "ip.defragment:FALSE", "ipv6.defragment:FALSE"]

REFUSED = {"malformed/libpcap_pcap-invalid-version-1.pcap"}
IN_IP_TUNNELS = {"encap/ja4_gre-erspan-vxlan.pcap", "encap/zeek_gre-sample.pcap"}
"""Their outermost IP header is no flow's: compared is the innermost one."""
LYING_LENGTHS = {"malformed/ndpi_fuzz-2006-06-26-2594.pcap", "malformed/ndpi_fuzz-2020-02-16-11740.pcap"}
"""Lengths contradict one another: tshark prints each as it stands, we take TCP's from the IP header, the smaller
one for UDP, and no packet whose TCP header is shorter than TCP's."""


def dissect(tshark, path, occurrence):
    command = [tshark, "-n", "-r", path, "-T", "fields", "-E", f"occurrence={occurrence}"]
    command += [word for option in OPTIONS for word in ("-o", option)]
    command += [word for field in FIELDS for word in ("-e", field)]
    out = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    return [dict(zip(FIELDS, line.split("\t"), strict=True)) for line in out.splitlines()]


def expected(frame, *, innermost):
    """The packet-table fields that tshark's outermost (or innermost) TCP or UDP packet stands for."""
    layers = frame["frame.protocols"].split(":")
    kind = next(layer for layer in (reversed(layers) if innermost else layers) if layer in {"tcp", "udp"})
    six = not frame["ip.src"]
    seconds, _, fraction = frame["frame.time_epoch"].partition(".")
    row = {
        "time": int(seconds or 0) * 10**9 + int(fraction.ljust(9, "0")),
        "src": frame["ipv6.src" if six else "ip.src"],
        "dst": frame["ipv6.dst" if six else "ip.dst"],
        "ttl": int(frame["ipv6.hlim" if six else "ip.ttl"]),
        "ipid": -1 if six else int(frame["ip.id"], 16),
        "sport": int(frame[f"{kind}.srcport"]),
        "dport": int(frame[f"{kind}.dstport"]),
    }
    if kind == "tcp":
        row |= {
            "seq": int(frame["tcp.seq_raw"]),
            "ack": int(frame["tcp.ack_raw"]),
            "flags": int(frame["tcp.flags"], 16) & 0xFF,
            "window": int(frame["tcp.window_size_value"]),
            "payload_len": int(frame["tcp.len"]),
        }
    else:
        row["payload_len"] = int(frame["udp.length"]) - 8
    return row


def is_fragment(frame):
    """Part of a datagram, of either version of IP."""
    offset = frame["ip.frag_offset"] not in {"", "0"}
    return offset or frame["ip.flags.mf"] in {"1", "True"} or bool(frame["ipv6.fraghdr.nxt"])


@pytest.mark.parametrize("name", FILES)
def test_real_packets(name, shared_captures, tshark, tmp_path):
    path = shared_captures / name
    if path.suffix == ".xz":
        path = tmp_path / "unpacked.pcap"
        path.write_bytes(lzma.decompress((shared_captures / name).read_bytes()))
    if name in REFUSED:
        with pytest.raises(CaptureError):
            open_capture(path)
        return
    decoder, ours = Decoder(), {}
    book, counts = decoder.book, decoder.counts
    with open_capture(path) as reader:
        for batch in reader:
            for row in decoder.decode(batch).packets.to_dicts():
                row["src"], row["dst"] = book.text(row["src"]), book.text(row["dst"])
                if name in IN_IP_TUNNELS:
                    ours[row["frame"]] = row
                else:
                    ours.setdefault(row["frame"], row)
    assert counts.packets == FILES[name]
    frames = dissect(tshark, path, "l" if name in IN_IP_TUNNELS else "f")
    assert len(frames) == counts.packets
    for frame in filterfalse(is_fragment, frames):  # put together: tests/shared compares that
        number = int(frame["frame.number"])
        layers = frame["frame.protocols"].split(":")
        transport = bool(frame["tcp.srcport"] or frame["udp.srcport"])
        row = ours.get(number)
        if row is None:
            assert not transport or name in LYING_LENGTHS, (number, layers)
        elif row["icmp_type"] >= 0:
            assert {"icmp", "icmpv6"} & set(layers), number
        else:
            assert transport, (number, layers)
            want = expected(frame, innermost=name in IN_IP_TUNNELS)
            if name in LYING_LENGTHS:
                del want["payload_len"]
            assert {key: row[key] for key in want} == want, number
