from __future__ import annotations

import struct

import pytest

from forensics.capture import open_capture
from forensics.errors import CaptureError
from tests.capture.build_more import snoop
from tests.capture.read import read_bytes

NANO = 1_000_000_000
GOOD = snoop([(1, 2, b"first"), (4_294_967_295, 999_999, b"second!", 1500), (3, 0, b"")], drops=5)


def test_records_padding_and_drops(tmp_path):
    packets, notes = read_bytes(tmp_path, GOOD)
    assert packets == [
        (1, NANO + 2000, 1, 5, b"first"),
        (2, 4_294_967_295 * NANO + 999_999_000, 1, 1500, b"second!"),
        (3, 3 * NANO, 1, 0, b""),
    ]
    assert (notes.file_type, notes.packets, notes.truncated_packets, notes.damage) == ("snoop", 3, 1, "")
    assert (notes.interfaces, notes.sections, notes.bytes_read) == (1, 1, len(GOOD))
    (interface,) = notes.interface_list
    assert (interface.linktype, interface.dropped, interface.name) == (1, 10, "")
    assert notes.dropped_by_kernel == 10


@pytest.mark.parametrize(("datalink", "linktype"), [(0, 1), (4, 1), (9, 0), (14, 0)])
def test_datalink_types_of_rfc_1761_and_wireshark(tmp_path, datalink, linktype):
    packets, _ = read_bytes(tmp_path, snoop([(1, 0, b"x")], datalink=datalink))
    assert packets[0][2] == linktype


@pytest.mark.parametrize("datalink", [0, 4, 10, 12, 19])
def test_a_long_padding_makes_it_surveyors(tmp_path, datalink):
    packets, notes = read_bytes(
        tmp_path, snoop([(1, 0, b"xyz"), (2, 0, b"")], datalink=datalink, pad=16, version=4)
    )
    assert [packet[2:] for packet in packets] == [(1, 3, b"xyz"), (1, 0, b"")]
    assert notes.file_type == "shomiti"


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (snoop([(1, 0, b"x")], datalink=8), "FDDI"),
        (snoop([(1, 0, b"x")], datalink=10), "type 10"),
        (snoop([(1, 0, b"x")], datalink=9, pad=17), "type 9"),
        (snoop([(1, 0, b"x")], datalink=0x80000005), "2147483653"),
        (snoop([], version=1), "version 1"),
        (snoop([], version=6), "version 6"),
        (GOOD[:15], "cut short"),
    ],
)
def test_what_is_not_read_is_refused(tmp_path, content, says):
    path = tmp_path / "odd.snoop"
    path.write_bytes(content)
    with pytest.raises(CaptureError, match=rf"odd\.snoop: .*{says}"):
        open_capture(path)


def record(wirelen=4, caplen=4, length=28):
    return struct.pack(">IIIIII", wirelen, caplen, length, 0, 1, 0) + bytes(4)


@pytest.mark.parametrize(
    "lie",
    [
        record(caplen=262_145, length=262_169),
        record(wirelen=262_145),
        record(length=27),
        record(length=0),
        record(length=24),
        record(length=0xFFFFFFFF),
        record(caplen=0xFFFFFFFF),
    ],
)
@pytest.mark.parametrize("batch_packets", [1, 3, 99])
def test_a_length_that_lies_ends_the_capture(tmp_path, lie, batch_packets):
    packets, notes = read_bytes(tmp_path, GOOD + lie + bytes(99), batch_packets=batch_packets)
    assert len(packets) == 3
    assert f"byte {len(GOOD)}" in notes.damage


def test_only_a_header_is_a_capture_without_packets(tmp_path):
    packets, notes = read_bytes(tmp_path, snoop([]))
    assert (packets, notes.damage, notes.dropped_by_kernel) == ([], "", None)
