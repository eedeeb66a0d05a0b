from __future__ import annotations

import gzip
import hashlib
import io
import sys
from types import SimpleNamespace

import pytest

from forensics.capture import open_capture
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
