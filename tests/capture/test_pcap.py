from __future__ import annotations

import struct

import pytest

from forensics.capture import open_capture
from forensics.errors import CaptureError
from tests.capture.build import pcap
from tests.capture.read import read_bytes

NANO = 1_000_000_000


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("nano", [False, True])
def test_every_magic(tmp_path, order, nano):
    content = pcap([(1, 2, b"abc"), (4_294_967_295, 999_999, b"", 60)], order, nano=nano, linktype=101)
    packets, notes = read_bytes(tmp_path, content)
    unit = 1 if nano else 1000
    assert packets == [
        (1, NANO + 2 * unit, 101, 3, b"abc"),
        (2, 4_294_967_295 * NANO + 999_999 * unit, 101, 60, b""),
    ]
    assert notes.file_type == ("pcap-ns" if nano else "pcap")
    assert (notes.packets, notes.truncated_packets, notes.damage) == (2, 1, "")
    assert (notes.snaplen, notes.interfaces, notes.sections) == (65535, 1, 1)
    assert notes.bytes_read == len(content)


def test_only_a_header_is_a_capture_without_packets(tmp_path):
    packets, notes = read_bytes(tmp_path, pcap([]))
    assert (packets, notes.packets, notes.damage) == ([], 0, "")


def test_lengths_were_swapped_before_version_2_3(tmp_path):
    header = pcap([], version=(2, 2))
    packets, _ = read_bytes(tmp_path, header + struct.pack("<IIII", 1, 0, 60, 4) + b"abcd")
    assert packets == [(1, NANO, 1, 60, b"abcd")]


@pytest.mark.parametrize(("first", "second"), [(60, 4), (4, 60)])
def test_version_2_3_has_them_either_way(tmp_path, first, second):
    header = pcap([], version=(2, 3))
    packets, _ = read_bytes(tmp_path, header + struct.pack("<IIII", 1, 0, first, second) + b"abcd")
    assert packets == [(1, NANO, 1, 60, b"abcd")]


def test_a_later_minor_version_is_read_with_a_warning(tmp_path):
    packets, notes = read_bytes(tmp_path, pcap([(1, 0, b"abc")], version=(2, 5)))
    assert len(packets) == 1
    assert "2.5" in notes.warnings[0]


def test_a_version_nobody_wrote_is_refused(tmp_path):
    path = tmp_path / "old.pcap"
    path.write_bytes(pcap([], version=(1, 4)))
    with pytest.raises(CaptureError, match=r"old\.pcap.*1\.4"):
        open_capture(path)


@pytest.mark.parametrize("lie", [262_145, 0xFFFFFFFF])
def test_a_caplen_that_lies_ends_the_capture(tmp_path, lie):
    good = pcap([(1, 0, b"abcdef")])
    content = good + struct.pack("<IIII", 2, 0, lie, lie) + bytes(100)
    packets, notes = read_bytes(tmp_path, content)
    assert len(packets) == 1
    assert f"byte {len(good)}" in notes.damage
    assert str(lie) in notes.damage


def test_frame_check_sequence_bits_do_not_change_the_linktype(tmp_path):
    packets, _ = read_bytes(tmp_path, pcap([(1, 0, b"abc")], linktype=0x44000001))
    assert packets[0][2] == 1
