from __future__ import annotations

import struct
import subprocess
from pathlib import Path

import pytest

from forensics.capture import open_capture
from forensics.errors import CaptureError
from tests.capture.build import pcap
from tests.capture.build_more import patched
from tests.capture.read import read, read_bytes

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


def test_lengths_are_swapped_in_dg_ux_s_version(tmp_path):
    header = pcap([], version=(543, 0))
    packets, _ = read_bytes(tmp_path, header + struct.pack("<IIII", 1, 0, 3, 4) + b"abcd")
    assert packets == [(1, NANO, 1, 3, b"abcd")]


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


RECORDS = [(1, 2, b"first"), (2, 999_999, b"second one", 1500), (3, 4, b"third"), (4, 5, b"fourth" * 9)]
SEEN = [
    (1, NANO + 2000, 1, 5, b"first"),
    (2, 2 * NANO + 999_999_000, 1, 1500, b"second one"),
    (3, 3 * NANO + 4000, 1, 5, b"third"),
    (4, 4 * NANO + 5000, 1, 54, b"fourth" * 9),
]
PATCH = struct.pack("<IHBB", 2, 0x0800, 4, 0x77)
VARIANTS = {
    "pcap-ss990417": {"magic": 0xA1B2C3D4, "extra": PATCH},
    "pcap-ss991029": {"extra": PATCH},
    "pcap-ss990915": {"extra": PATCH + b"\x01\x02\x03\x04"},
    "pcap-nokia": {"magic": 0xA1B2C3D4, "extra": struct.pack("<I", 0x9FBFD901)},
}


@pytest.mark.parametrize("name", VARIANTS)
@pytest.mark.parametrize("batch_bytes", [1, 1 << 20])
def test_variants_of_one_magic_are_told_apart_by_their_records(tmp_path, name, batch_bytes):
    content = patched(RECORDS, **VARIANTS[name])
    packets, notes = read_bytes(tmp_path, content, batch_bytes=batch_bytes)
    assert (packets, notes.file_type, notes.damage) == (SEEN, name, "")
    for cut in range(24 + 3 * (16 + 12) + 10 + 10, len(content)):  # the first three records are whole
        fewer, cut_notes = read_bytes(tmp_path, content[:cut], batch_bytes=batch_bytes)
        assert fewer == SEEN[: len(fewer)]
        assert cut_notes.file_type == name


@pytest.mark.parametrize("name", ["pcap-ss990417", "pcap-ss991029", "pcap-ss990915", "pcap-nokia"])
def test_variants_in_the_other_byte_order(tmp_path, name):
    extra = VARIANTS[name]["extra"]
    if name == "pcap-nokia":
        turned = extra[::-1]
    else:
        turned = struct.pack(">IHBB", *struct.unpack("<IHBB", extra[:8])) + extra[8:]
    packets, notes = read_bytes(tmp_path, patched(RECORDS, ">", **{**VARIANTS[name], "extra": turned}))
    assert (packets, notes.file_type) == (SEEN, name)


def test_an_ordinary_capture_that_breaks_early_stays_one(tmp_path):
    # zeros read as empty packets of a patched capture, and garbage as anything
    for junk in (bytes(200), b"\xff" * 200, bytes(range(200))):
        packets, notes = read_bytes(tmp_path, pcap(RECORDS[:1]) + b"\1\0\0\0" * 4 + junk)
        assert notes.file_type == "pcap"
        assert packets[:1] == SEEN[:1]


@pytest.mark.parametrize(("network", "linktype"), [(6, 1), (9, 6), (24, 0)])
def test_aix_counts_nanoseconds_and_has_link_types_of_its_own(tmp_path, network, linktype):
    content = (
        pcap([], version=(2, 2), linktype=network) + struct.pack("<IIII", 1, 123_456_789, 60, 4) + b"abcd"
    )
    packets, notes = read_bytes(tmp_path, content)
    assert packets == [(1, NANO + 123_456_789, linktype, 60, b"abcd")]
    assert notes.file_type == "pcap-aix"


def test_aix_on_fddi_is_refused(tmp_path):
    path = tmp_path / "aix.pcap"
    path.write_bytes(pcap([], version=(2, 2), linktype=15))
    with pytest.raises(CaptureError, match=r"aix\.pcap: .*FDDI.*editcap"):
        open_capture(path)


@pytest.mark.parametrize(
    "kind", ["modpcap", "nokiapcap", "rh6_1pcap", "suse6_3pcap", "nsecpcap", "snoop", "pcap"]
)
@pytest.mark.parametrize("case", ["demo-whatsapp-2017/capture.pcap", "fmt-pcap-bigendian-ns/capture.pcap"])
def test_what_wireshark_writes_is_read_as_wireshark_reads_it(tmp_path, tshark, repo_root, kind, case):
    path = tmp_path / f"made.{kind}"
    editcap = str(Path(tshark).with_name("editcap"))
    subprocess.run(
        [editcap, "-F", kind, str(repo_root / "pcaps" / case), str(path)], check=True, capture_output=True
    )
    packets, notes = read(path)
    original, _ = read(repo_root / "pcaps" / case)
    assert notes.damage == ""
    assert [(packet[2], packet[3], packet[4]) for packet in packets] == [(p[2], p[3], p[4]) for p in original]
    assert [packet[:2] + packet[3:4] for packet in packets] == by_tshark(tshark, path)


def by_tshark(tshark, path):
    command = [tshark, "-r", str(path), "-n", "-T", "fields"]
    for name in ("frame.number", "frame.time_epoch", "frame.len"):
        command += ["-e", name]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    rows = [line.split("\t") for line in lines]
    return [(int(number), int(time.replace(".", "")), int(length)) for number, time, length in rows]
