from __future__ import annotations

import struct
import subprocess

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forensics.capture import InterfaceNotes, open_capture
from tests.capture import wireshark
from tests.capture.build import block, enhanced, interface, old_packet, option, rich_pcapng, section, simple
from tests.capture.build_pcapng import (
    comment,
    dropcount,
    flags,
    names,
    old_packet_with,
    packet,
    raw_option,
    secrets,
    statistics,
    uid_map,
)
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


def packets_with_everything(order="<"):
    """Interfaces, directions, UIDs and comments, with blocks between them."""
    end = option(0, b"", order)
    return (
        section(order)
        + interface(order)
        + enhanced(b"bare", 1, order)
        + packet(b"in", flags(1, order) + end, order, ticks=2)
        + interface(order, linktype=101)
        + block(0x0BAD, bytes(16), order)
        + packet(b"out", flags(2, order) + comment("u-10001", order) + end, order, number=1, ticks=3)
        + statistics({4: 1}, order)
        + packet(b"noted", comment("look", order) + end, order, ticks=4)
        + section(order)
        + interface(order)
        + packet(b"uid", comment("u-7", order), order, ticks=5)
        + simple(b"simple", order)
    )


@pytest.mark.parametrize("sizes", [{}, {"batch_packets": 1}, {"batch_packets": 3}, {"batch_bytes": 64}])
@pytest.mark.parametrize("order", ["<", ">"])
def test_interface_direction_and_uid_of_every_packet(tmp_path, order, sizes):
    path = tmp_path / "c"
    path.write_bytes(packets_with_everything(order))
    rows = []
    with open_capture(path, **sizes) as reader:
        for batch in reader:
            count = len(batch)
            direction = [0] * count if batch.direction is None else batch.direction.tolist()
            uid = [-1] * count if batch.uid is None else batch.uid.tolist()
            assert batch.interface.dtype == np.int32
            rows += zip(batch.interface.tolist(), direction, uid, strict=True)
    assert rows == [
        (0, 0, -1),
        (0, 1, -1),
        (-1, 0, -1),
        (1, 2, 10001),
        (0, 0, -1),
        (2, 0, 7),
        (2, 0, -1),
    ]
    assert reader.notes.comments == {5: "look"}
    assert [one.linktype for one in reader.notes.interface_list] == [1, 101, 1]
    assert reader.notes.interface_list[0].received == 1


def test_what_no_packet_says_is_none(tmp_path):
    path = tmp_path / "c"
    path.write_bytes(GOOD + packet(options=comment("plain")))
    with open_capture(path) as reader:
        (batch,) = reader
    assert (batch.direction, batch.uid) == (None, None)


BAD_OPTIONS = [option(2, b"ab"), raw_option(1, 99), flags(1) + raw_option(2988, 0)]


@pytest.mark.parametrize("sizes", [{}, {"batch_packets": 1}, {"batch_packets": 25}])
@pytest.mark.parametrize("bad", BAD_OPTIONS)
@pytest.mark.parametrize("before", [0, 1, 40])
def test_bad_options_are_damage_and_nothing_after_them_counts(tmp_path, before, bad, sizes):
    good = GOOD + packet(options=comment("good")) * before
    after = (
        interface()
        + packet(options=comment("late") + dropcount(9)) * 30
        + block(0x777, b"")
        + statistics({5: 8})
    )
    packets, notes = read_bytes(tmp_path, good + packet(b"bad", bad) + after, **sizes)
    assert len(packets) == 1 + before
    assert notes.damage.endswith(f"at byte {len(good)}")
    assert (notes.interfaces, notes.comments_total, notes.skipped_blocks) == (1, before, {})
    assert (notes.dropped_by_kernel, notes.lost_between_packets) == (None, None)


def test_bad_options_before_a_broken_block_are_told_first(tmp_path):
    _, notes = read_bytes(tmp_path, GOOD + packet(options=raw_option(1, 99)) + b"garbage garbage garbage")
    assert notes.damage.endswith(f"at byte {len(GOOD)}")


@st.composite
def files(draw):
    """Whole files of sound blocks, some of them cut, or spoilt in one byte."""
    order = draw(st.sampled_from("<>"))
    end = option(0, b"", order)
    options = st.lists(
        st.one_of(
            st.sampled_from([flags(1, order), flags(2, order), comment("u-10077", order), end]),
            st.builds(lambda text: comment(text, order), st.text(max_size=9)),
            st.builds(lambda n: dropcount(n, order), st.integers(0, 2**64 - 1)),
        ),
        max_size=4,
    ).map(b"".join)
    blocks = draw(
        st.lists(
            st.one_of(
                st.builds(lambda data, said: packet(data, said, order), st.binary(max_size=20), options),
                st.just(interface(order)),
                st.just(section(order) + interface(order)),
                st.just(statistics({4: 3, 5: 1}, order)),
                st.just(names((1, b"\1\2\3\4abc\0"), order=order)),
                st.just(uid_map(10077, b"com.app", b"App", order)),
                st.just(secrets(1, b"secret", order)),
                st.builds(
                    lambda data, said: old_packet_with(data, said, order), st.binary(max_size=9), options
                ),
                st.just(simple(b"simple", order)),
            ),
            max_size=12,
        )
    )
    content = bytearray(section(order) + interface(order) + b"".join(blocks))
    if draw(st.booleans()):
        place = draw(st.integers(28, len(content) - 1))
        content[place] ^= 1 << draw(st.integers(0, 7))
    return bytes(content[: draw(st.one_of(st.just(len(content)), st.integers(28, len(content))))])


def told(path, **sizes):
    """All that a reader says of a file."""
    rows = []
    with open_capture(path, **sizes) as reader:
        for batch in reader:
            columns = [batch.interface.tolist(), batch.time.tolist(), batch.wirelen.tolist()]
            columns += [[0] * len(batch) if batch.direction is None else batch.direction.tolist()]
            columns += [[-1] * len(batch) if batch.uid is None else batch.uid.tolist()]
            rows += zip(*columns, strict=True)
    return rows, reader.notes


@settings(max_examples=100)
@given(files(), st.integers(1, 5), st.integers(1, 300))
def test_batches_make_no_difference(tmp_path_factory, content, packets, size):
    path = tmp_path_factory.mktemp("pcapng") / "c"
    path.write_bytes(content)
    assert told(path, batch_packets=packets, batch_bytes=size) == told(path)


@settings(max_examples=150)
@given(files())
def test_wireshark_reads_as_far(tshark, tmp_path_factory, content):
    path = tmp_path_factory.mktemp("pcapng") / "c"
    path.write_bytes(content)
    rows, notes = told(path)
    expected = wireshark.counts(tshark, [path])[path]
    assert (sum(row[0] >= 0 for row in rows), bool(notes.damage)) == expected


def test_wireshark_tells_the_same_of_packets(tshark, tmp_path):
    path = tmp_path / "c"
    path.write_bytes(packets_with_everything() + packet(b"x", flags(1) + comment("grüße")))
    fields = ["frame.number", "frame.interface_id", "frame.packet_flags_direction", "frame.comment"]
    command = [tshark, "-r", str(path), "-T", "fields", *(part for name in fields for part in ("-e", name))]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    expected = []
    for line in done.stdout.splitlines():
        number, interface_id, direction, words = line.split("\t")
        expected.append((int(number), interface_id or "0", int(direction or "0", 0), words))
    rows, notes = told(path)
    mine = []
    for frame, row in enumerate(rows, 1):
        words = f"u-{row[4]}" if row[4] >= 0 else notes.comments.get(frame, "")
        mine.append((frame, expected[frame - 1][1], row[3], words))
    assert mine == expected
    ids = [int(row[1]) for row in expected]
    assert ids == [0 if row[0] in (-1, 2) else row[0] for row in rows]


def test_wireshark_tells_the_same_of_real_captures(tshark, shared_captures):
    files = [
        path
        for path in sorted(shared_captures.glob("*/*"))
        if path.suffix in {".pcap", ".pcapng"} and path.read_bytes()[:4] == b"\n\r\r\n"
    ]
    assert files
    fields = [
        "frame.interface_name",
        "frame.interface_description",
        "frame.packet_flags_direction",
        "frame.comment",
    ]
    for path in files:
        command = [
            tshark,
            "-n",
            "-r",
            str(path),
            "-T",
            "fields",
            *(part for name in fields for part in ("-e", name)),
        ]
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
        expected = []
        for line in done.stdout.splitlines():
            name, description, direction, words = line.split("\t")
            expected.append((name.replace("unknown", ""), description, int(direction or "0", 0), words))
        rows, notes = told(path)
        mine = []
        for frame, (interface_number, *_, direction, _uid) in enumerate(rows, 1):
            said = notes.interface_list[interface_number] if interface_number >= 0 else InterfaceNotes()
            name = said.name.replace("\r", "\\r").replace("\n", "\\n")
            mine.append((name, said.description, direction, notes.comments.get(frame, "")))
        assert mine == expected, path


@pytest.mark.parametrize("order", ["<", ">"])
def test_every_prefix_is_read_as_far_as_it_goes(tmp_path, tshark, order):
    content = packets_with_everything(order)
    paths = {}
    for size in range(28, len(content) + 1):
        path = tmp_path / str(size)
        path.write_bytes(content[:size])
        paths[path] = told(path)
    whole, notes = paths[tmp_path / str(len(content))]
    assert (len(whole), notes.damage) == (7, "")
    expected = wireshark.counts(tshark, list(paths))
    for path, (rows, notes) in paths.items():
        assert rows == whole[: len(rows)]
        assert (sum(row[0] >= 0 for row in rows), bool(notes.damage)) == expected[path], path.name


@pytest.mark.parametrize("junk", [b"\0" * 40, b"junk" * 9, b"\xff" * 64])
def test_junk_behind_the_last_block_is_damage(tmp_path, junk):
    content = packets_with_everything()
    path = tmp_path / "c"
    path.write_bytes(content + junk)
    rows, notes = told(path)
    assert len(rows) == 7
    assert notes.damage.endswith(f"at byte {len(content)}")
