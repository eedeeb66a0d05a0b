"""Blocks as the kernel lays them out (linux/if_packet.h), made byte by byte."""

from __future__ import annotations

import struct

import numpy as np

from forensics.capture.ring import _packets, _walk


def packet(raw, *, time=(1, 2), vlan=None, last=False, kind=0, hatype=1, index=3, tpid=None):  # noqa: PLR0913 - the fields
    mac = 82
    status = 1 | (0 if vlan is None else 1 << 4) | (0 if tpid is None else 1 << 6)
    size = -(-(mac + len(raw)) // 16) * 16
    header = struct.pack(
        "IIIIIIHHIIHH8x",
        0 if last else size,
        *time,
        len(raw),
        len(raw),
        status,
        mac,
        mac + 14,
        0,
        vlan or 0,
        tpid or 0,
        0,
    )
    address = struct.pack("=H2siHBB8x", 17, b"\x08\x00", index, hatype, kind, 6)
    out = header + address
    return (out + bytes(mac - len(out)) + raw).ljust(size, b"\0")


def gathered(*made):
    data = np.frombuffer(b"".join(made), dtype=np.uint8).copy()
    return _packets(data, np.array(_walk(data.view(np.uint32), 0, len(made), 0), dtype=np.int64))


def taken(found, row):
    return found.data[found.start[row] : found.start[row] + found.captured[row]].tobytes()


def test_fields_of_every_packet():
    raws = [bytes([n]) * (60 + n) for n in range(5)]
    found = gathered(*(packet(raw, time=(n, 10 * n), kind=n % 5, last=n == 4) for n, raw in enumerate(raws)))
    assert [taken(found, row) for row in range(5)] == raws
    assert found.time.tolist() == [n * 1_000_000_010 for n in range(5)]
    assert found.kind.tolist() == [0, 1, 2, 3, 4]
    assert set(found.protocol.tolist()) == {0x0800}
    assert set(found.hardware.tolist()) == {1}
    assert set(found.interface.tolist()) == {3}
    assert found.wire.tolist() == [len(raw) for raw in raws]


def test_a_tag_that_the_interface_took_off_is_put_back():
    raw = bytes(range(12)) + b"\x08\x00" + b"payload"
    found = gathered(packet(raw), packet(raw, vlan=0x2064), packet(raw, vlan=5, tpid=0x88A8, last=True))
    assert taken(found, 0) == raw
    assert taken(found, 1) == raw[:12] + bytes.fromhex("81002064") + raw[12:]
    assert taken(found, 2) == raw[:12] + bytes.fromhex("88a80005") + raw[12:]
    assert found.wire.tolist() == [len(raw), len(raw) + 4, len(raw) + 4]
