from __future__ import annotations

import gzip
import hashlib
import io
import os
import random
import subprocess
import sys
import threading
from dataclasses import fields
from pathlib import Path
from types import SimpleNamespace

import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from forensics.capture import CaptureNotes, SeveralReader, capture_name, open_capture, several
from forensics.errors import CaptureError
from tests.capture.build import enhanced, interface, pcap, section, simple
from tests.capture.read import read

MODEST = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
SIZES = [{}, {"batch_bytes": 1}, {"batch_packets": 1}, {"batch_bytes": 150, "batch_packets": 3}]


def plain(times, tag, **more):
    """A pcap of one packet a second of ``times``; the bytes tell the file and the place in it."""
    return pcap([(time, 0, bytes([tag, i, 9])) for i, time in enumerate(times)], **more)


def rich(times, tag):
    """The same as pcapng with two interfaces; a time of None makes a packet without one."""
    content = section() + interface() + interface(linktype=101)
    for i, time in enumerate(times):
        data = bytes([tag, i, 9])
        content += simple(data) if time is None else enhanced(data, time * 1_000_000, number=i % 2)
    return content


def write(folder, *contents):
    paths = []
    for number, content in enumerate(contents):
        path = folder / f"{number}.cap"
        path.write_bytes(content)
        paths.append(str(path))
    return paths


def order(packets):
    return [(packet[4][0], packet[4][1]) for packet in packets]


def merged(files):
    """The definition: time and again the earliest of the packets that come next, of equals that of the last file.

    A packet without a time (None) comes at once, that of the first file first.
    """
    left = [[(time, (tag, i)) for i, time in enumerate(times)] for tag, times in enumerate(files)]
    out = []
    while any(left):
        heads = [(queue[0][0], tag) for tag, queue in enumerate(left) if queue]
        untimed = [tag for time, tag in heads if time is None]
        tag = untimed[0] if untimed else min(heads, key=lambda head: (head[0], -head[1]))[1]
        out.append(left[tag].pop(0)[1])
    return out


@MODEST
@given(
    files=st.lists(
        st.tuples(st.booleans(), st.lists(st.none() | st.integers(1, 12), max_size=9)), min_size=2, max_size=5
    ),
    sizes=st.sampled_from(SIZES),
)
def test_packets_come_in_the_order_of_time_wherever_batches_are_cut(tmp_path, files, sizes):
    times = [[time for time in found if untimed or time] for untimed, found in files]
    contents = [
        rich(found, tag) if None in found or untimed else plain(found, tag)
        for tag, ((untimed, _), found) in enumerate(zip(files, times, strict=True))
    ]
    paths = write(tmp_path, *contents)
    packets, notes = read(paths, **sizes)
    assert order(packets) == merged(times)
    assert [packet[0] for packet in packets] == list(range(1, len(packets) + 1))
    assert (packets, notes) == read(paths)
    assert {file.name: file.packets for file in notes.files} == {
        f"{tag}.cap": len(found) for tag, found in enumerate(times)
    }


@pytest.mark.parametrize("seed", range(6))
def test_mergecap_agrees(tmp_path, tshark, seed):
    pick = random.Random(seed)  # noqa: S311 - no secret
    contents = []
    for tag in range(pick.randint(2, 5)):
        time, times = pick.randint(1, 9), []
        for _ in range(pick.randint(0, 25)):
            time = max(1, time + pick.choice((0, 0, 1, 1, 2, 4, -3)))
            times.append(time if tag % 2 else pick.choice((time, time, time, None)))
        contents.append(plain(times, tag) if tag % 2 else rich(times, tag))
    paths = write(tmp_path, *contents)
    target = tmp_path / "merged.pcapng"
    mergecap = str(Path(tshark).with_name("mergecap"))
    subprocess.run([mergecap, "-w", str(target), *paths], check=True, capture_output=True)
    theirs, _ = read(target)
    for sizes in SIZES:
        ours, _ = read(paths, **sizes)
        assert ours == theirs


ROTATED = [plain(range(10 * i, 10 * i + 10), i) for i in range(1, 6)]


def test_a_rotated_set_in_any_order_and_its_notes(tmp_path):
    contents = [ROTATED[0], zstandard.compress(ROTATED[1]), gzip.compress(ROTATED[2])]
    paths = write(tmp_path, *contents)
    packets, notes = read(paths)
    assert order(packets) == [(i, j) for i in (1, 2, 3) for j in range(10)]
    assert [(file.name, file.first_frame, file.packets) for file in notes.files] == [
        ("0.cap", 1, 10),
        ("1.cap", 11, 10),
        ("2.cap", 21, 10),
    ]
    hashes = [hashlib.sha256(content).hexdigest() for content in contents]
    assert [file.sha256 for file in notes.files] == hashes
    lines = "".join(f"{sha256}  {i}.cap\n" for i, sha256 in enumerate(hashes))
    assert notes.sha256 == hashlib.sha256(lines.encode()).hexdigest()
    assert notes.file_type == "pcap, pcap+zstd, pcap+gzip"
    assert (notes.packets, notes.interfaces, notes.sections, notes.damage) == (30, 3, 3, "")
    assert notes.bytes_read == sum(map(len, ROTATED[:3]))
    assert (packets, notes) == read(paths[::-1]) == read([paths[1], paths[2], paths[0]])


def test_batches_of_files_that_do_not_overlap_are_passed_on_as_they_are(tmp_path):
    paths = write(tmp_path, *ROTATED)
    with open_capture(paths) as reader:
        assert isinstance(reader, SeveralReader)
        assert [len(batch) for batch in reader] == [10] * 5
        assert reader.stored_position == reader.stored_size == sum(map(len, ROTATED))


def test_few_files_are_open_at_once(tmp_path):
    count = 300
    paths = write(tmp_path, *(plain([i, i + 1], i % 256) for i in range(1, count)))
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - of this process
    most = 0
    with open_capture(paths) as reader:
        for batch in reader:
            most = max(most, len(os.listdir("/proc/self/fd")) - before)  # noqa: PTH208
            reader.release(batch)
        assert reader.notes.packets == 2 * (count - 1)
    assert most < 12
    assert len([thread for thread in threading.enumerate() if thread.name == "read-ahead"]) == 0


def test_too_many_that_overlap_are_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr(several, "MOST_OPEN", 3)
    paths = write(tmp_path, *(plain([i, 99], i) for i in range(1, 5)))
    assert len(read(paths[:3])[0]) == 6
    with pytest.raises(
        CaptureError, match="more than 3 of the files overlap in time: merge them with mergecap"
    ):
        read(paths)


@pytest.mark.parametrize("sizes", SIZES)
def test_damage_in_one_file_names_it_and_the_others_go_on(tmp_path, sizes):
    whole, cut, broken = plain([1, 4, 7], 0), plain([2, 5, 8], 1)[:-2], plain([3, 6, 9], 2)
    broken = broken[:-19] + b"\xff" * 19
    paths = write(tmp_path, whole, cut, broken)
    packets, notes = read(paths, **sizes)
    assert order(packets) == [(0, 0), (1, 0), (2, 0), (0, 1), (1, 1), (2, 1), (0, 2)]
    assert notes.damage.startswith("1.cap: the file ends inside the record")
    assert "; 2.cap: packet record at byte" in notes.damage
    assert [bool(file.damage) for file in notes.files] == [False, True, True]
    assert notes.sha256


@pytest.mark.parametrize("bad", ["absent", "text", "folder"])
def test_a_file_that_cannot_be_opened_is_an_error_before_anything_is_read(tmp_path, bad):
    (good,) = write(tmp_path, plain([1], 0))
    path = tmp_path / bad
    if bad == "text":
        path.write_text("no capture")
    elif bad == "folder":
        path.mkdir()
    with pytest.raises(CaptureError, match=bad):
        open_capture([good, str(path)])


def test_a_file_that_vanishes_meanwhile_is_damage(tmp_path):
    paths = write(tmp_path, plain([1], 0), plain([2], 1), plain([3], 2))
    with open_capture(paths, batch_packets=1) as reader:
        Path(paths[2]).unlink()
        assert sum(map(len, reader)) == 2
    assert reader.notes.damage == (
        "2.cap: cannot be opened (No such file or directory): name a capture file, or -"
    )
    assert [file.packets for file in reader.notes.files] == [1, 1, 0]


def test_the_same_file_twice_is_an_error(tmp_path):
    paths = write(tmp_path, plain([1], 0), plain([2], 1))
    with pytest.raises(CaptureError, match=r"0\.cap: is given twice"):
        open_capture([*paths, paths[0]])
    link = tmp_path / "link"
    link.symlink_to(paths[0])
    with pytest.raises(CaptureError, match=r"link: is the same file as .*0\.cap"):
        open_capture([*paths, str(link)])


def test_files_with_the_same_bytes_are_warned_of(tmp_path):
    paths = write(tmp_path, plain([1], 0), plain([1], 0), plain([], 0), plain([], 0))
    _, notes = read(paths)
    assert notes.warnings == ["0.cap holds the same bytes as 1.cap: every packet of theirs counts twice"]


def test_files_without_packets_come_last(tmp_path):
    paths = write(tmp_path, plain([], 0), plain([5], 1), section() + interface(), plain([4], 3))
    packets, notes = read(paths)
    assert order(packets) == [(3, 0), (1, 0)]
    assert [file.name for file in notes.files] == ["3.cap", "1.cap", "0.cap", "2.cap"]
    assert [file.first_frame for file in notes.files] == [1, 2, 0, 0]
    assert len(notes.interface_list) == 4


def test_pipes_and_standard_input_among_them(tmp_path, monkeypatch):
    contents = [plain([1, 4], 0), plain([2, 5], 1), zstandard.compress(plain([3, 6], 2))]
    (path,) = write(tmp_path, contents[0])
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(contents[1])))
    writer = threading.Thread(target=fifo.write_bytes, args=(contents[2],))
    writer.start()
    packets, notes = read([path, "-", str(fifo)])
    writer.join()
    assert order(packets) == [(0, 0), (1, 0), (2, 0), (0, 1), (1, 1), (2, 1)]
    assert [file.name for file in notes.files] == ["0.cap", "-", "fifo"]
    assert [file.sha256 for file in notes.files] == [
        hashlib.sha256(content).hexdigest() for content in contents
    ]
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(contents[1])))
    with open_capture([path, "-"]) as reader:
        assert reader.stored_size is None


def test_standard_input_twice_is_an_error(monkeypatch):
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(plain([1], 0))))
    with pytest.raises(CaptureError, match="-: is given twice"):
        open_capture(["-", "-"])


@pytest.mark.parametrize("sizes", SIZES)
def test_released_memory_is_never_read_again(tmp_path, sizes):
    bodies = [hashlib.sha256(b"%d" % i).digest() * 7 for i in range(200)]
    files = [
        [(i, 0, bodies[i]) for i in range(200) if i % 7 in group] for group in ((0, 1, 2), (3, 4), (5, 6))
    ]
    files.append([(300 + i, 0, body) for i, body in enumerate(bodies)])
    paths = write(tmp_path, *map(pcap, files))
    seen = []
    with open_capture(paths, **{"batch_bytes": 3000, **sizes}) as reader:
        for batch in reader:
            for at, size in zip(batch.offset.tolist(), batch.caplen.tolist(), strict=True):
                seen.append(batch.data[at : at + size].tobytes())
            reader.release(batch)
    assert seen == bodies * 2


def test_left_early_it_closes_everything_and_has_no_hash(tmp_path):
    paths = write(tmp_path, *ROTATED)
    with open_capture(paths, batch_packets=1) as reader:
        next(reader)
    assert list(reader) == []
    assert reader.notes.sha256 == ""


def test_interfaces_are_numbered_by_their_first_packet(tmp_path):
    first = section() + interface(linktype=101) + interface(linktype=113) + interface(linktype=228)
    first += enhanced(b"a", 1_000_000, number=1) + enhanced(b"b", 4_000_000, number=0)
    second = section() + interface(linktype=1) + interface(linktype=0) + enhanced(b"c", 2_000_000, number=1)
    paths = write(tmp_path, first, second)
    for sizes in SIZES:
        seen = []
        with open_capture(paths, **sizes) as reader:
            for batch in reader:
                seen += batch.interface.tolist()
        assert seen == [0, 1, 2]
        assert [one.linktype for one in reader.notes.interface_list] == [113, 0, 101, 228, 1]


def test_no_file_is_no_capture():
    with pytest.raises(ValueError, match="at least one"):
        open_capture([])


def test_the_name_of_several_names_the_first_three(tmp_path):
    assert capture_name(str(tmp_path / "a.pcap")) == "a.pcap"
    assert capture_name("-") == "-"
    assert capture_name(["x/a", Path("y/b"), "c\x1b"]) == "a, b, c\\x1b"
    assert capture_name(["a", "b", "c", "d", "e"]) == "a, b, c and 2 more"


def test_every_kind_of_note_is_known():
    """A note that is new must be added to Together, and here."""
    assert {field.name for field in fields(CaptureNotes)} == {
        "file_type", "packets", "bytes_read", "sha256", "snaplen", "interfaces", "sections", "truncated_packets",
        "untimed_packets", "skipped_blocks", "damage", "warnings", "interface_list", "comments", "comments_total",
        "hardware", "os", "application", "names", "names_total", "secrets", "secrets_bytes", "phone_apps",
        "proxied", "files", "lost_between_packets",
    }  # fmt: skip


@pytest.mark.parametrize("seed", range(5))
def test_mergecap_agrees_on_real_captures(tmp_path, tshark, shared_captures, seed):
    folders = [path for path in sorted(shared_captures.iterdir()) if path.name not in {"malformed", "truth"}]
    files = [
        path
        for folder in folders
        for path in sorted(folder.rglob("*"))
        if path.suffix in {".pcap", ".pcapng"} and path.stat().st_size < 2_000_000
    ]
    some = [str(path) for path in random.Random(seed).sample(files, 4)]  # noqa: S311 - no secret
    target = tmp_path / "merged.pcapng"
    mergecap = str(Path(tshark).with_name("mergecap"))
    subprocess.run([mergecap, "-w", str(target), *some], check=True, capture_output=True)
    assert read(some)[0] == read(target)[0]
