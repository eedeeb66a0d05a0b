"""Capture filters: the words of pcap-filter(7), compiled by libpcap into a program that the kernel runs."""

from __future__ import annotations

import ctypes
import ctypes.util
import struct
from typing import Final

from forensics.capture.source import printable
from forensics.errors import CaptureError

ETHERNET: Final = 1
RAW: Final = 12
"""DLT_ values, which differ from LINKTYPE_ for raw IP (pcap/dlt.h)."""
LONGEST: Final = 262_144
"""Bytes of a packet that are kept: what tcpdump and Wireshark keep."""
_NETMASK_UNKNOWN: Final = 0xFFFFFFFF
_MOST: Final = 4096
"""Longest program the kernel takes (BPF_MAXINSNS)."""

# linux/filter.h: ancillary data, and the few operations that choose between two programs
_LOAD, _JUMP, _IF_EQUAL, _RETURN = 0x20, 0x05, 0x15, 0x06
_HATYPE: Final = 0x100000000 - 0x1000 + 28
_ARPHRD_ETHER: Final = 1
_ARPHRD_LOOPBACK: Final = 772

Program = list[tuple[int, int, int, int]]
"""Instructions as (code, jt, jf, k)."""


class _Instruction(ctypes.Structure):
    _fields_ = [
        ("code", ctypes.c_ushort),
        ("jt", ctypes.c_ubyte),
        ("jf", ctypes.c_ubyte),
        ("k", ctypes.c_uint),
    ]


class _Compiled(ctypes.Structure):
    _fields_ = [("length", ctypes.c_uint), ("instructions", ctypes.POINTER(_Instruction))]


NOTHING: Final[Program] = [(_RETURN, 0, 0, 0)]
"""Takes no packet: for the moment between opening a socket and having it where it belongs."""


def compile_filter(words: str, linktype: int = ETHERNET) -> Program:
    """The program for packets of that link type (ETHERNET or RAW).

    Raises CaptureError when the filter is none, or libpcap is not there.
    """
    pcap = _libpcap()
    handle = pcap.pcap_open_dead(linktype, LONGEST)
    if not handle:
        raise CaptureError("capture filter: libpcap does not start")
    compiled = _Compiled()
    try:
        text = words.encode("utf-8", errors="replace").replace(b"\0", b" ")
        if pcap.pcap_compile(handle, ctypes.byref(compiled), text, 1, _NETMASK_UNKNOWN) != 0:
            reason = (pcap.pcap_geterr(handle) or b"").decode(errors="replace")
            message = f"capture filter {printable(words)!r}: {printable(reason)}: see 'man pcap-filter'"
            raise CaptureError(message)
        program = [
            (one.code, one.jt, one.jf, one.k)
            for one in (compiled.instructions[place] for place in range(compiled.length))
        ]
        pcap.pcap_freecode(ctypes.byref(compiled))
    finally:
        pcap.pcap_close(handle)
    return program


def for_any_interface(words: str) -> Program:
    """The filter for packets that begin with an Ethernet header, and for those that begin with their IP header."""
    ethernet, raw = compile_filter(words, ETHERNET), compile_filter(words, RAW)
    program = [
        (_LOAD, 0, 0, _HATYPE),
        (_IF_EQUAL, 2, 0, _ARPHRD_ETHER),
        (_IF_EQUAL, 1, 0, _ARPHRD_LOOPBACK),
        (_JUMP, 0, 0, len(ethernet)),
        *ethernet,
        *raw,
    ]
    if len(program) > _MOST:
        raise CaptureError(f"capture filter {printable(words)!r}: too long for the kernel: make it simpler")
    return program


def packed(program: Program) -> bytes:
    """The instructions as ``struct sock_filter`` lays them out."""
    return b"".join(struct.pack("HBBI", *one) for one in program)


def _libpcap() -> ctypes.CDLL:
    for name in (ctypes.util.find_library("pcap"), "libpcap.so.1", "libpcap.so.0.8", "libpcap.so"):
        if name is None:
            continue
        try:
            pcap = ctypes.CDLL(name)
        except OSError:
            continue
        pcap.pcap_open_dead.restype = ctypes.c_void_p
        pcap.pcap_open_dead.argtypes = [ctypes.c_int, ctypes.c_int]
        pcap.pcap_compile.argtypes = [
            ctypes.c_void_p,
            ctypes.POINTER(_Compiled),
            ctypes.c_char_p,
            ctypes.c_int,
            ctypes.c_uint,
        ]
        pcap.pcap_geterr.restype = ctypes.c_char_p
        pcap.pcap_geterr.argtypes = [ctypes.c_void_p]
        pcap.pcap_freecode.argtypes = [ctypes.POINTER(_Compiled)]
        pcap.pcap_close.argtypes = [ctypes.c_void_p]
        return pcap
    raise CaptureError("capture filter: libpcap is missing: install libpcap0.8, or capture without --filter")
