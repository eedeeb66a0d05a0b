from __future__ import annotations

from forensics.capture import open_capture
from forensics.capture.together import joined
from tests.capture.build import SECTION, block, enhanced, interface, option, pcap, section
from tests.capture.build_more import snoop
from tests.capture.test_several import SIZES, read, write


def test_the_first_few_are_named_and_the_rest_counted():
    assert joined([]) == ""
    assert joined(["a"]) == "a"
    assert joined(["a", "b", "c"], "; ") == "a; b; c"
    assert joined(list("abcdef")) == "a, b, c and 3 more"


def commented(data, second, comment):
    body = enhanced(data, second * 1_000_000)[8:-4]
    return block(6, body + option(1, comment) + option(0, b""))


def test_comments_go_with_their_packets(tmp_path):
    first = section() + interface() + b"".join(commented(b"x", i, b"odd %d" % i) for i in (1, 3, 5))
    second = section() + interface() + b"".join(commented(b"y", i, b"even %d" % i) for i in (2, 4, 6))
    plain = pcap([(i, 500_000, b"z") for i in range(2, 9)])
    paths = write(tmp_path, first, second, plain)
    said = {1: "odd 1", 2: "even 2", 4: "odd 3", 6: "even 4", 8: "odd 5", 10: "even 6"}
    for sizes in SIZES:
        _, notes = read(paths, **sizes)
        assert notes.comments == said
        assert list(notes.comments) == sorted(said)
        assert notes.comments_total == 6


def test_only_the_first_thousand_comments_are_kept(tmp_path):
    contents = [
        section()
        + interface()
        + b"".join(commented(b"x", 2 * i + odd + 1, b"%d" % (2 * i + odd)) for i in range(700))
        for odd in (0, 1)
    ]
    paths = write(tmp_path, *contents)
    for sizes in ({}, {"batch_packets": 9}):
        _, notes = read(paths, **sizes)
        assert notes.comments == {frame: str(frame - 1) for frame in range(1, 1001)}
        assert notes.comments_total == 1400


def test_counts_are_summed_and_texts_are_those_of_the_file_that_begins_first(tmp_path):
    def told(application):
        body = b"\x4d\x3c\x2b\x1a\x01\0\0\0" + b"\xff" * 8 + option(4, application) + option(0, b"")
        return block(SECTION, body)

    late = told(b"late") + interface(snaplen=70) + block(0x999, b"") + enhanced(b"x", 9_000_000, wire=50)
    early = told(b"early") + interface(snaplen=90) + block(0x999, b"") + enhanced(b"x", 5_000_000, wire=50)
    lossy = snoop([(1, 0, b"a"), (7, 0, b"b"), (8, 0, b"c")], drops=2)
    paths = write(tmp_path, late, early, lossy)
    for sizes in SIZES:
        _, notes = read(paths, **sizes)
        assert notes.application == "early"
        assert notes.skipped_blocks == {"0x00000999": 2}
        assert (notes.snaplen, notes.truncated_packets, notes.dropped_by_kernel) == (70, 2, 4)
        assert (notes.sections, notes.interfaces) == (3, 3)
        assert notes.file_type == "snoop, pcapng"


def test_warnings_and_damage_name_their_file_and_few_of_many(tmp_path):
    odd = [pcap([(i, 0, b"x")], version=(2, 9)) + b"cut" for i in range(5)]
    _, notes = read(write(tmp_path, *odd))
    assert len(notes.warnings) == 5
    assert notes.warnings[0] == "0.cap: pcap version 2.9 is unusual; read as 2.4"
    assert notes.damage.startswith("0.cap: the file ends inside")
    assert notes.damage.count("; ") == 2
    assert notes.damage.endswith(" and 2 more")


def test_notes_are_complete_but_for_hashes_when_the_last_batch_is_drawn(tmp_path):
    paths = write(tmp_path, pcap([(1, 0, b"x")]), pcap([(2, 0, b"y")])[:-1])
    with open_capture(paths) as reader:
        assert sum(map(len, reader)) == 1
        assert reader.notes.damage.startswith("1.cap: ")
        assert [file.name for file in reader.notes.files] == ["0.cap", "1.cap"]
        assert len(reader.notes.interface_list) == 2
    assert all(file.sha256 for file in reader.notes.files)
