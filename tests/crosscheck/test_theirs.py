from __future__ import annotations

import struct
import subprocess
import sys

import pyshark.config
import pytest

from forensics.crosscheck import theirs as module
from forensics.crosscheck.compare import compare
from forensics.crosscheck.seen import Subject
from forensics.crosscheck.theirs import addresses_in, tshark
from forensics.errors import ForensicsError
from tests.capture import build
from tests.crosscheck.looking import PCAPS, both, our_view


def fields(program, name, display_filter, *names):
    """The same question put to tshark without pyshark."""
    command = [program, "-n", "-r", str(PCAPS / name / "capture.pcap"), "-Y", display_filter, "-T", "fields"]
    for field in names:
        command += ["-e", field]
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return [tuple(line.split("\t")) for line in out.splitlines()]


def test_pyshark_brings_what_tshark_prints(request):
    program = request.getfixturevalue("tshark")
    seen = tshark(str(PCAPS / "demo-whatsapp-2017" / "capture.pcap"))
    name = "demo-whatsapp-2017"
    hellos = fields(
        program,
        name,
        "tls.handshake.extensions_server_name",
        "frame.number",
        "tcp.stream",
        "tls.handshake.extensions_server_name",
    )
    assert hellos
    assert seen.values["server_names"] == {
        Subject("tcp", int(stream), int(frame)): sni for frame, stream, sni in hellos
    }
    assert seen.values["resets"] == {
        Subject("tcp", int(stream), int(frame), f"{source} port {port}"): 1
        for frame, stream, source, port in fields(
            program, name, "tcp.flags.reset == 1", "frame.number", "tcp.stream", "ip.src", "tcp.srcport"
        )
    }
    assert seen.values["resets"]
    late = fields(program, name, "tcp.analysis.retransmission || tcp.analysis.out_of_order", "frame.number")
    assert sorted(subject.frame for subject in seen.values["late_segments"]) == [
        int(frame) for (frame,) in late
    ]
    assert late
    layers = fields(program, name, "frame", "frame.number", "frame.protocols")
    assert seen.layers == {int(frame): protocols for frame, protocols in layers}


def test_addresses_are_those_of_the_answer_section():
    """As tshark writes a response: the records of all sections in order, the values of each type in lists."""
    message = {
        "dns_dns_count_answers": "3",
        "dns_dns_resp_type": ["5", "1", "1", "2", "1"],
        "dns_dns_cname": "edge.example",
        "dns_dns_a": ["192.0.2.2", "192.0.2.1", "198.51.100.53"],
    }
    assert addresses_in(message) == "192.0.2.1 192.0.2.2"
    assert addresses_in({**message, "dns_dns_count_answers": "1"}) == "edge.example"
    assert addresses_in({**message, "dns_dns_count_answers": "0"}) == ""
    hints = {
        "dns_dns_count_answers": "1",
        "dns_dns_resp_type": ["65", "41"],
        "dns_dns_svcb_svcparam_ipv4hint_ip": ["192.0.2.7"],
    }
    assert addresses_in(hints) == "192.0.2.7"


@pytest.mark.usefixtures("tshark")
def test_a_damaged_file_is_no_error_and_is_mentioned():
    mine, theirs = both("fmt-truncated")
    assert [check for check in compare(mine, theirs) if check.differences] == []
    assert theirs.values["server_names"]
    assert "cut short" in theirs.message


@pytest.mark.usefixtures("tshark")
def test_packets_without_a_time_are_compared_too(tmp_path):
    whole = (PCAPS / "sni-reset-same-ttl" / "capture.pcap").read_bytes()
    out, at = build.section() + build.interface(snaplen=65535), 24
    while at < len(whole):
        [length] = struct.unpack_from("<I", whole, at + 8)
        out += build.simple(whole[at + 16 : at + 16 + length])
        at += 16 + length
    path = tmp_path / "untimed.pcapng"
    path.write_bytes(out)
    theirs = tshark(str(path))
    assert theirs.values["packets"][Subject()] > 5
    facts = ("packets", "tcp_streams", "udp_streams", "server_names", "dns_names", "dns_answers", "resets")
    mine = our_view(str(path))
    assert {name: mine.values[name] for name in facts} == {name: theirs.values[name] for name in facts}


@pytest.mark.usefixtures("tshark")
def test_the_event_loop_is_closed_and_nothing_is_left_behind():
    code = (
        "import gc, sys; from forensics.crosscheck.theirs import addresses_in, tshark\n"
        "for _ in range(2): assert tshark(sys.argv[1]).values['packets']\n"
        "gc.collect()"
    )
    command = [sys.executable, "-X", "dev", "-W", "error::ResourceWarning", "-c", code]
    for case in ("fmt-truncated", "fmt-sll"):
        done = subprocess.run(
            [*command, str(PCAPS / case / "capture.pcap")], capture_output=True, text=True, check=True
        )
        wrong = [
            word for word in ("Event loop", "never awaited", "unclosed", "Exception") if word in done.stderr
        ]
        assert wrong == []


@pytest.mark.usefixtures("tshark")
def test_an_error_while_reading_ends_tshark(monkeypatch):
    def fail(_seen, _hellos, _packet):
        raise ValueError("no number")

    monkeypatch.setattr(module, "_take", fail)
    with pytest.raises(ForensicsError, match="pyshark cannot read"):
        tshark(str(PCAPS / "demo-whatsapp-2017" / "capture.pcap"))


def test_what_is_missing_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ForensicsError, match="apt-get install tshark"):
        tshark("any.pcap")
    monkeypatch.setitem(sys.modules, "pyshark", None)
    with pytest.raises(ForensicsError, match="pip install 'pyshark"):
        tshark("any.pcap")


@pytest.mark.usefixtures("tshark")
def test_somebody_elses_config_file_is_one_error(monkeypatch, tmp_path):
    (tmp_path / "config.ini").write_text("[other]\n")
    monkeypatch.setattr(pyshark.config, "fp_config_path", tmp_path / "config.ini")
    with pytest.raises(ForensicsError, match=r"config\.ini"):
        tshark(str(PCAPS / "fmt-sll" / "capture.pcap"))


def test_something_else_named_tshark_is_refused(monkeypatch, tmp_path):
    fake = tmp_path / "tshark"
    fake.write_text("#!/bin/sh\necho something else\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    with pytest.raises(ForensicsError, match="no tshark that pyshark knows"):
        tshark(str(PCAPS / "fmt-sll" / "capture.pcap"))
