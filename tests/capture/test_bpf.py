"""Filters: the program is tcpdump's, and runs in an interpreter of the test's own."""

from __future__ import annotations

import shutil
import struct
import subprocess

import pytest

from forensics.capture import bpf
from forensics.errors import CaptureError


def tcpdump(words):
    path = shutil.which("tcpdump")
    if path is None:
        pytest.skip("tcpdump is not on the PATH")
    done = subprocess.run([path, "-ddd", "-y", "EN10MB", words], capture_output=True, text=True, check=True)
    return [tuple(int(number) for number in line.split()) for line in done.stdout.splitlines()[1:]]


@pytest.mark.parametrize("words", ["tcp port 443", "udp and not port 53", "host 192.0.2.1 or ip6"])
def test_the_program_is_that_of_tcpdump(words):
    assert bpf.compile_filter(words) == tcpdump(words)


def test_nonsense_is_refused_in_one_line():
    with pytest.raises(CaptureError, match=r"^capture filter 'tcp prt 443': .*see 'man pcap-filter'$"):
        bpf.compile_filter("tcp prt 443")
    with pytest.raises(CaptureError) as caught:
        bpf.compile_filter("\x1b[31mx\0y")
    assert str(caught.value).isprintable()


def run(program, packet, hatype):
    """Just what pcap filters for TCP need; classic BPF as in bpf(4)."""
    a = x = at = 0
    memory = {}
    while True:
        code, jt, jf, k = program[at]
        at += 1
        if code == 0x20 and k == 0xFFFFF000 + 28:
            a = hatype
        elif code in (0x28, 0x30, 0x20, 0x48, 0x50):
            size = {0x20: 4, 0x28: 2, 0x48: 2, 0x30: 1, 0x50: 1}[code]
            place = k + (x if code in (0x48, 0x50) else 0)
            raw = packet[place : place + size]
            if len(raw) < size:
                return 0
            a = int.from_bytes(raw, "big")
        elif code == 0xB1:
            x = 4 * (packet[k] & 15)
        elif code == 0x54:
            a &= k
        elif code == 0x05:
            at += k
        elif code in (0x15, 0x45, 0x25, 0x35):
            true = {0x15: a == k, 0x45: bool(a & k), 0x25: a > k, 0x35: a >= k}[code]
            at += jt if true else jf
        elif code == 0x06:
            return k
        else:
            raise AssertionError(hex(code), memory)


def tcp(port):
    header = struct.pack(
        "!BBHHHBBH4s4s", 0x45, 0, 40, 1, 0, 64, 6, 0, bytes([192, 0, 2, 1]), bytes([192, 0, 2, 2])
    )
    return header + struct.pack("!HHIIBBHHH", 1234, port, 0, 0, 0x50, 2, 0, 0, 0)


@pytest.mark.parametrize("port", [443, 80])
def test_one_program_for_interfaces_with_and_without_ethernet_headers(port):
    program = bpf.for_any_interface("tcp port 443")
    ethernet = bytes(12) + b"\x08\x00"
    wanted = port == 443
    assert bool(run(program, ethernet + tcp(port), 1)) == wanted
    assert bool(run(program, ethernet + tcp(port), 772)) == wanted
    assert bool(run(program, tcp(port), 65534)) == wanted, "a tunnel: the packet begins with its IP header"


def test_instructions_are_laid_out_as_the_kernel_wants_them():
    assert bpf.packed([(0x15, 2, 0, 1)]) == struct.pack("=HBBI", 0x15, 2, 0, 1)
