"""Tunnels from the file to the flow table."""

from __future__ import annotations

import io
import struct

from forensics.analysis import analyze_capture
from forensics.report.json_format import dump_json
from tests.capture.build import pcap
from tests.decode.build import ethernet, ipv4, tcp, udp


def text(analysis):
    out = io.StringIO()
    dump_json(analysis, out)
    return out.getvalue()


def test_flows_say_which_tunnel_they_came_in(tmp_path):
    """An echo request, then a packet in GTP-U on the same conversation: what is inside has a flow of its own."""
    inner = ipv4(tcp(b"", flags=2), 6, src="10.0.0.1", dst="10.0.0.2")
    frames = [
        ethernet(ipv4(udp(bytes.fromhex("32010004 00000000 00000000"), dport=2152), 17)),
        ethernet(ipv4(udp(struct.pack(">BBHI", 0x30, 0xFF, len(inner), 5) + inner, dport=2152), 17)),
        ethernet(inner),
    ]
    path = tmp_path / "tunnel.pcap"
    path.write_bytes(pcap([(1, number, frame) for number, frame in enumerate(frames)]))
    names = ["proto", "tunnel", "tunnel_from", "tunnel_to", "carrier", "app"]
    whole, single = (analyze_capture(str(path), **how) for how in ({}, {"batch_packets": 1}))
    assert sorted(whole.tables["flow"].columns(names).select(names).rows()) == [
        ("tcp", "gtp-u", "192.0.2.1", "198.51.100.7", False, None),
        ("udp", None, None, None, True, None),
    ]
    assert text(whole) == text(single)
