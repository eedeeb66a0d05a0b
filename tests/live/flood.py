"""Traffic without end, made by array code: connections that are refused, look-ups that are answered."""

from __future__ import annotations

import struct

import numpy as np

from forensics.capture.batch import Batch

SECOND = 1_000_000_000
_ETHERNET = bytes(12) + b"\x08\x00"


def _ip(proto, body, src, dst):
    return struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(body), 1, 0, 64, proto, 0, src, dst) + body


def _tcp(sport, dport, flags):
    return struct.pack("!HHIIBBHHH", sport, dport, 7, 7, 0x50, flags, 8192, 0, 0)


CLIENT, SERVER = bytes([10, 0, 0, 1]), bytes([192, 0, 2, 1])
_SYN = _ETHERNET + _ip(6, _tcp(0, 443, 2), CLIENT, SERVER)
_RST = _ETHERNET + _ip(6, _tcp(443, 0, 0x14), SERVER, CLIENT)
_QUESTION = b"\x07example\x03com\0\0\1\0\1"
_ASK = _ETHERNET + _ip(
    17, struct.pack("!HHHHHHHHH", 0, 53, 37, 0, 0, 256, 1, 0, 0) + b"\0\0" + _QUESTION, CLIENT, SERVER
)
_REPLY = b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4\xc0\0\2\7"
_SAY = _ETHERNET + _ip(
    17,
    struct.pack("!HHHHHHHHH", 53, 0, 53, 0, 0, 0x8180, 1, 1, 0) + b"\0\0" + _QUESTION + _REPLY,
    SERVER,
    CLIENT,
)


def flood(first_frame, pairs, *, step=SECOND // 100, names=False, begin=1_700_000_000 * SECOND):
    """A batch of exchanges of two packets, each from a client address and port of its own; ``step`` ns a packet."""
    ask, say = (_ASK, _SAY) if names else (_SYN, _RST)
    size = len(ask) + len(say)
    data = np.tile(np.frombuffer(ask + say, dtype=np.uint8), (pairs, 1)).copy()
    number = (first_frame - 1) // 2 + np.arange(pairs)
    for place, shift in ((1, 16), (2, 8), (3, 0)):
        octet = (number >> shift & 255).astype(np.uint8)
        data[:, 26 + place] = octet
        data[:, len(ask) + 30 + place] = octet
    port = 1024 + number % 50_000
    for at in (34, len(ask) + 36):
        data[:, at], data[:, at + 1] = port >> 8, port & 255
    if names:
        for at in (42, len(ask) + 42):
            data[:, at], data[:, at + 1] = number >> 8 & 255, number & 255
    offset = (np.arange(pairs)[:, None] * size + np.array([0, len(ask)])).reshape(-1)
    length = np.tile(np.array([len(ask), len(say)], dtype=np.int64), pairs)
    count = 2 * pairs
    return Batch(
        data=data.reshape(-1),
        first_frame=first_frame,
        offset=offset,
        caplen=length,
        wirelen=length,
        time=begin + (first_frame + np.arange(count, dtype=np.int64)) * step,
        linktype=np.ones(count, dtype=np.int32),
        interface=np.zeros(count, dtype=np.int32),
        direction=np.ones(count, dtype=np.int8),
    )
