from __future__ import annotations

import contextlib
import gzip
import hashlib
import io
import itertools
import os
import re
import sys
import threading
from types import SimpleNamespace

import pytest

from forensics.capture import ahead, open_capture, source
from forensics.errors import CaptureError
from tests.capture.build import pcap
from tests.capture.read import read, read_bytes

PACKETS = [(i, i, bytes([i]) * i) for i in range(1, 60)]
PLAIN = pcap(PACKETS)
NOISE = pcap([(i, i, hashlib.sha256(bytes([i])).digest() * (i % 3 + 1)) for i in range(60)])


def test_sha256_of_a_file_that_is_hashed_aside(tmp_path):
    content = pcap([(1, 1, bytes(60_000))] * 60)
    _, notes = read_bytes(tmp_path, content, batch_bytes=1 << 20)
    assert notes.sha256 == hashlib.sha256(content).hexdigest()


def test_sha256_covers_what_comes_after_damage(tmp_path):
    content = PLAIN + b"\xff" * 3_000_000
    _, notes = read_bytes(tmp_path, content, batch_bytes=4096)
    assert notes.damage
    assert notes.sha256 == hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize("content", [PLAIN, gzip.compress(PLAIN)], ids=["plain", "gzip"])
def test_standard_input(monkeypatch, content):
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(content)))
    packets, notes = read("-")
    assert len(packets) == len(PACKETS)
    assert notes.sha256 == hashlib.sha256(content).hexdigest()
    assert not sys.stdin.buffer.closed


def test_progress_goes_from_nothing_to_the_stored_size(tmp_path):
    path = tmp_path / "c"
    path.write_bytes(PLAIN)
    with open_capture(path, batch_bytes=64) as reader:
        seen = [reader.stored_position for _ in reader]
        assert seen == sorted(seen)
        assert reader.stored_position == reader.stored_size == len(PLAIN)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xd4\xc3\xb2\xa1",
        b"\x0a\x0d\x0d\x0a" + bytes(40),
        b"hello, this is text, not packets",
        b"\x1f\x8b",
        gzip.compress(b""),
        gzip.compress(b"no capture"),
        b"\x28\xb5\x2f\xfd" + bytes(40),
        b"\x04\x22\x4d\x18" + bytes(40),
        b"\xfd7zXZ\0" + bytes(40),
        b"snoop\0\0\0" + bytes(40),
    ],
    # gzip notes the time, and names of tests must be the same in every process that collects them
    ids=[
        "empty",
        "magic",
        "section",
        "text",
        "gzip-magic",
        "gzip-empty",
        "gzip-text",
        "zstd",
        "lz4",
        "xz",
        "snoop",
    ],
)
def test_no_capture_is_one_line_that_names_the_file(tmp_path, content):
    path = tmp_path / "no\x1b[31mcapture\n"
    path.write_bytes(content)
    with pytest.raises(CaptureError) as caught:
        open_capture(path)
    assert str(caught.value).isprintable()
    assert "capture" in str(caught.value)


@pytest.mark.parametrize("name", ["absent", "", "nul\0byte", "odd\udc80"])
def test_what_cannot_be_opened(tmp_path, name):
    with pytest.raises(CaptureError) as caught:
        open_capture(f"{tmp_path}/{name}")
    assert str(caught.value).isprintable()


def pipe(*contents, hold=False, endless=()):
    """The reading end of a pipe that is fed in a thread; with ``hold`` it is never closed."""
    read_end, write_end = os.pipe()

    def feed():
        with contextlib.suppress(BrokenPipeError):
            for content in itertools.chain(contents, endless):
                os.write(write_end, content)
        if not hold:
            os.close(write_end)

    threading.Thread(target=feed, daemon=True).start()
    return read_end


def test_a_stream_is_read_on_behind_damage_for_its_hash():
    content = PLAIN + b"\xff" * 200_000
    packets, notes = read(f"/dev/fd/{pipe(content)}")
    assert len(packets) == len(PACKETS)
    assert notes.damage
    assert (notes.sha256, notes.warnings) == (hashlib.sha256(content).hexdigest(), [])


def test_a_stream_without_end_is_not_read_for_ever(monkeypatch):
    monkeypatch.setattr(source, "DRAIN_BYTES", 3 << 20)
    endless = itertools.repeat(b"\xff" * 65_536)
    packets, notes = read(f"/dev/fd/{pipe(PLAIN, endless=endless)}", batch_bytes=1 << 16)
    assert len(packets) == len(PACKETS)
    (warning,) = notes.warnings
    seen = int(re.search(r"covers only its first (\d+) bytes", warning)[1])
    assert 3 << 20 <= seen < 6 << 20
    assert notes.sha256 == hashlib.sha256(PLAIN + b"\xff" * (seen - len(PLAIN))).hexdigest()


def test_a_stream_that_falls_silent_behind_damage_is_not_waited_for(monkeypatch):
    monkeypatch.setattr(source, "DRAIN_S", 0.05)
    monkeypatch.setattr(ahead, "PATIENCE_S", 0.05)
    content = PLAIN + b"\xff" * 1000
    content += b"\xff" * (-len(content) % 256)
    packets, notes = read(f"/dev/fd/{pipe(content, hold=True)}", batch_bytes=256)
    assert len(packets) == len(PACKETS)
    assert "covers only" in notes.warnings[0]


@pytest.mark.parametrize("cut", [0, 1, 4, 23, 24, 30, 40, 45])
def test_a_pipe_that_ends_early_is_as_a_file_that_does(tmp_path, cut):
    path = tmp_path / "cut"
    path.write_bytes(PLAIN[:cut])
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    said = []
    for name in (path, fifo):
        if name is fifo:
            threading.Thread(target=fifo.write_bytes, args=(PLAIN[:cut],), daemon=True).start()
        try:
            packets, notes = read(name)
            said.append((packets, notes.damage, notes.sha256))
        except CaptureError as error:
            said.append(str(error).removeprefix(f"{name}: "))
    assert said[0] == said[1]
    assert bool(said[0][1]) == (cut != 24)


def test_a_file_that_grows_is_hashed_as_far_as_it_was_read(tmp_path):
    path = tmp_path / "growing"
    path.write_bytes(b"as it was")
    stored = source.StoredBytes(path)
    stored.start_hash()
    with path.open("ab") as writer:
        writer.write(b" while reading")
    target = bytearray(100)
    assert stored.read_into(memoryview(target)) == len(b"as it was while reading")
    with path.open("ab") as writer:
        writer.write(b" and later")
    assert stored.finish() == hashlib.sha256(b"as it was while reading").hexdigest()
    stored.close()
