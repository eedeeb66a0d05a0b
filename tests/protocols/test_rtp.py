"""RTP and RTCP headers, against packets laid out after RFC 3550, and dpkt as a second reader."""

from __future__ import annotations

import contextlib
import struct

import dpkt
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forensics.protocols.errors import ProtocolError
from forensics.protocols.rtp import (
    BYE,
    RECEIVER_REPORT,
    SENDER_REPORT,
    ReportBlock,
    RtcpPacket,
    RtpPacket,
    looks_like_dtls,
    looks_like_rtcp,
    looks_like_rtp,
    parse_rtcp,
    parse_rtp,
)

MARKED = PADDED = True
PLAIN = struct.pack("!BBHII", 0x80, 0x80 | 8, 65535, 160, 0xCAFEBABE) + bytes(160)
EXTENDED = struct.pack("!BBHIIIIHH", 0xB2, 111, 7, 9, 1, 2, 3, 0xBEDE, 1) + b"\x10\xff\0\0" + b"opus"
BLOCK = struct.pack("!IIIIII", 5, 64 << 24 | 0xFFFFFD, 1 << 16 | 9, 33, 0, 0)
REPORT = struct.pack("!BBHI", 0x81, 200, 12, 4) + struct.pack("!IIIII", 1, 2, 3, 77, 8800) + BLOCK
RECEIVED = struct.pack("!BBHI", 0x81, 201, 7, 4) + BLOCK
DESCRIBED = struct.pack("!BBHI", 0x81, 202, 2, 4) + b"\x01\x02ab"
LEFT = struct.pack("!BBHI", 0x81, 203, 1, 4)


def heads(*payloads: bytes):
    head = np.zeros((len(payloads), 32), dtype=np.uint8)
    for row, payload in zip(head, payloads, strict=True):
        row[: len(payload[:32])] = np.frombuffer(payload[:32], np.uint8)
    return head, np.array([len(payload) for payload in payloads], dtype=np.int64)


def test_plain_header():
    assert parse_rtp(PLAIN) == RtpPacket(8, MARKED, 65535, 160, 0xCAFEBABE, (), None, 12, not PADDED)


def test_sources_extension_and_padding():
    assert parse_rtp(EXTENDED) == RtpPacket(111, not MARKED, 7, 9, 1, (2, 3), 0xBEDE, 28, PADDED)


@pytest.mark.parametrize("valid", [PLAIN[:12], EXTENDED[:28]])
def test_growing(valid):
    for length in range(len(valid)):
        with pytest.raises(ProtocolError):
            parse_rtp(valid[:length])
    assert parse_rtp(valid) == parse_rtp(valid + b"trailing")


@settings(max_examples=200)
@given(st.binary(min_size=12, max_size=80))
def test_against_dpkt(raw):
    try:
        said = parse_rtp(raw)
    except ProtocolError:
        return
    other = dpkt.rtp.RTP(raw)
    assert (other.version, other.pt, other.m, other.seq, other.ts, other.ssrc) == (
        2,
        said.payload_type,
        said.marker,
        said.sequence,
        said.timestamp,
        said.ssrc,
    )
    assert struct.pack(f"!{len(said.csrcs)}I", *said.csrcs) == other.csrc
    assert other.x == (said.extension is not None)
    assert bool(looks_like_rtp(*heads(raw))[0]) == (said.payload_type not in range(64, 96))


def test_compound():
    block = ReportBlock(5, 0.25, -3, 65545, 33)
    assert parse_rtcp(REPORT + DESCRIBED + LEFT) == (
        RtcpPacket(SENDER_REPORT, 4, 77, (block,)),
        RtcpPacket(202, 4),
        RtcpPacket(BYE, 4, leaving=(4,)),
    )
    assert parse_rtcp(RECEIVED) == (RtcpPacket(RECEIVER_REPORT, 4, None, (block,)),)
    assert parse_rtcp(b"\x80\xcb\0\0") == (RtcpPacket(BYE, None),)


@pytest.mark.parametrize("whole", [REPORT, RECEIVED, DESCRIBED, LEFT])
def test_compound_growing(whole):
    for length in range(len(whole)):
        with pytest.raises(ProtocolError):
            parse_rtcp(whole[:length])


@pytest.mark.parametrize(
    "none",
    [
        REPORT + bytes(14),  # SRTCP: index and authentication tag behind it
        b"\x82" + LEFT[1:],  # two sources announced, one there
        b"\x9f" + REPORT[1:],
        b"\x80\xc9\0\0",
        b"\x40" + LEFT[1:],
        b"\x80\x60" + LEFT[2:],
    ],
)
def test_what_is_no_rtcp(none):
    with pytest.raises(ProtocolError):
        parse_rtcp(none)


@settings(max_examples=200)
@given(st.sampled_from([PLAIN[:40], EXTENDED, REPORT + LEFT, RECEIVED]), st.data())
def test_cut_and_append(valid, data):
    junk = valid[: data.draw(st.integers(0, len(valid)))] + data.draw(st.binary(max_size=20))
    for parse in (parse_rtp, parse_rtcp):
        with contextlib.suppress(ProtocolError):
            assert parse(junk)


def test_demultiplexing():
    # RFC 7983: STUN 0-3, DTLS 20-63, TURN channels 64-79, RTP and RTCP 128-191
    stun = bytes.fromhex("000100002112a442") + bytes(12)
    dtls = bytes.fromhex("16feff0000000000000000000400112233")
    channel = b"\x40\0\0\4abcd" + bytes(8)
    srtcp = LEFT + bytes(14)
    payloads = (stun, dtls, channel, PLAIN, EXTENDED, REPORT, srtcp, PLAIN[:11], EXTENDED[:15])
    said = [check(*heads(*payloads)).tolist() for check in (looks_like_rtp, looks_like_rtcp, looks_like_dtls)]
    assert said == [
        [False, False, False, True, True, False, False, False, False],
        [False, False, False, False, False, True, True, False, False],
        [False, True, False, False, False, False, False, False, False],
    ]
