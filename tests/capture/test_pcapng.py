from __future__ import annotations

import struct

import pytest

from tests.capture.build import block, enhanced, interface, old_packet, option, rich_pcapng, section, simple
from tests.capture.read import read_bytes

NANO = 1_000_000_000


def test_sections_interfaces_and_every_packet_block(tmp_path):
    packets, notes = read_bytes(tmp_path, rich_pcapng())
    assert packets == [
        (1, 1_000_001_000, 1, 5, b"first"),
        (2, 5_000_000_007, 101, 99, b"second"),
        (3, 0, 1, 7, b"third!!"),
        (4, 7_500_000_000, 113, 6, b"fourth"),
        (5, 8 * NANO, 113, 5, b"fifth"),
    ]
    assert (notes.file_type, notes.sections, notes.interfaces) == ("pcapng", 2, 3)
    assert notes.skipped_blocks == {"0x00000999": 1}
    assert (notes.untimed_packets, notes.truncated_packets, notes.snaplen) == (1, 1, 96)
    assert notes.damage == ""


@pytest.mark.parametrize("order", ["<", ">"])
def test_a_simple_packet_is_cut_at_the_snaplen_of_the_first_interface(tmp_path, order):
    content = section(order) + interface(order, snaplen=4) + simple(b"abcd", order, wire=60)
    assert read_bytes(tmp_path, content)[0] == [(1, 0, 1, 60, b"abcd")]


@pytest.mark.parametrize("order", ["<", ">"])
def test_the_old_packet_block_has_a_short_interface_number(tmp_path, order):
    content = section(order) + interface(order) + interface(order, linktype=101)
    content += old_packet(b"x", 5, order, number=1, drops=0xFFFF)
    assert read_bytes(tmp_path, content)[0] == [(1, 5000, 101, 1, b"x")]


@pytest.mark.parametrize("kind", [9, 0x0BAD, 0x40000BAD, 0x204])
def test_blocks_that_wireshark_numbers_keep_their_frame_number(tmp_path, kind):
    content = section() + interface() + block(kind, bytes(32)) + enhanced(b"abc", 1)
    packets, notes = read_bytes(tmp_path, content)
    assert packets == [(1, 0, -1, 0, b""), (2, 1000, 1, 3, b"abc")]
    assert notes.skipped_blocks == {f"0x{kind:08x}": 1}


GOOD = section() + interface() + enhanced(b"good", 1)


@pytest.mark.parametrize(
    "broken",
    [
        pytest.param(struct.pack("<II", 6, 0) + bytes(60), id="zero-length"),
        pytest.param(struct.pack("<II", 6, 8) + bytes(60), id="below-the-minimum"),
        pytest.param(struct.pack("<II", 6, 33) + bytes(60), id="not-a-multiple-of-four"),
        pytest.param(struct.pack("<II", 6, 0xFFFFFFFC) + bytes(60), id="four-gigabytes"),
        pytest.param(enhanced(b"bad!", 1)[:-4] + struct.pack("<I", 40), id="lengths-differ"),
        pytest.param(enhanced(b"bad!", 1, number=1), id="unknown-interface"),
        pytest.param(enhanced(b"bad!", 1, caplen=5), id="caplen-beyond-block"),
        pytest.param(enhanced(b"bad!", 1, caplen=0xFFFFFFFF), id="caplen-4g"),
        pytest.param(simple(b"bad!", wire=5), id="simple-beyond-block"),
        pytest.param(block(6, bytes(16)), id="too-short-for-its-header"),
        pytest.param(block(0x0A0D0D0A, bytes(16)), id="no-byte-order"),
        pytest.param(block(1, bytes(4)), id="short-interface"),
        pytest.param(block(1, bytes(8) + option(2, b"eth0")[:-4] + b"", "<"), id="option-runs-out"),
        pytest.param(section() + enhanced(b"bad!", 1), id="new-section-forgets-interfaces"),
        pytest.param(section() + simple(b"bad!"), id="simple-without-interface"),
        pytest.param(b"garbage garbage garbage", id="garbage"),
    ],
)
def test_damage_ends_the_capture_after_the_good_packets(tmp_path, broken):
    packets, notes = read_bytes(tmp_path, GOOD + broken + enhanced(b"late", 2))
    assert packets == [(1, 1000, 1, 4, b"good")]
    assert "at byte" in notes.damage
    assert int(notes.damage.rsplit(" ", 1)[1]) >= len(GOOD)


def test_a_flood_of_block_types_does_not_fill_memory(tmp_path):
    content = GOOD + b"".join(block(0x1000 + i, b"") for i in range(1000))
    _, notes = read_bytes(tmp_path, content)
    assert len(notes.skipped_blocks) == 257
    assert sum(notes.skipped_blocks.values()) == 1000
