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


def test_several_gzip_members_and_padding(tmp_path):
    content = gzip.compress(PLAIN[:100]) + gzip.compress(b"") + gzip.compress(PLAIN[100:]) + bytes(20)
    packets, notes = read_bytes(tmp_path, content)
    assert [p[4] for p in packets] == [p[2] for p in PACKETS]
    assert (notes.file_type, notes.damage) == ("pcap+gzip", "")
    assert notes.sha256 == hashlib.sha256(content).hexdigest()
    assert notes.bytes_read == len(PLAIN)


def test_garbage_after_gzip_is_damage_but_costs_no_packet(tmp_path):
    packets, notes = read_bytes(tmp_path, gzip.compress(PLAIN) + b"garbage")
    assert len(packets) == len(PACKETS)
    assert "garbage" in notes.damage


@pytest.mark.parametrize("cut", range(1, 40, 3))
def test_gzip_that_ends_early(tmp_path, cut):
    content = gzip.compress(PLAIN)[:-cut]
    packets, notes = read_bytes(tmp_path, content)
    assert [p[4] for p in packets] == [p[2] for p in PACKETS[: len(packets)]]
    assert f"gzip data ends early, at stored byte {len(content)}" in notes.damage
    assert notes.sha256 == hashlib.sha256(content).hexdigest()


def test_corrupt_gzip(tmp_path):
    content = bytearray(gzip.compress(PLAIN, compresslevel=0))
    content[-6] ^= 0xFF  # in the checksum
    packets, notes = read_bytes(tmp_path, bytes(content))
    assert "gzip data is corrupt" in notes.damage
    assert len(packets) >= len(PACKETS) - 1  # zlib keeps the very last byte to itself


@pytest.mark.parametrize("batch_bytes", [1, 50, 1 << 20])
def test_corrupt_gzip_gives_the_same_packets_at_any_batch_size(tmp_path, batch_bytes):
    good = gzip.compress(NOISE)[:-400]
    packets, notes = read_bytes(tmp_path, good + b"\xff" * 400, batch_bytes=batch_bytes)
    assert "gzip data is corrupt" in notes.damage
    cut, _ = read_bytes(tmp_path, good)
    assert packets[: len(cut)] == cut
    assert len(packets) >= len(cut) > 10
    assert packets == read_bytes(tmp_path, good + b"\xff" * 400)[0]


def test_a_gzip_bomb_is_read_in_bounded_steps(tmp_path):
    content = gzip.compress(PLAIN + bytes(50 << 20))
    path = tmp_path / "bomb"
    path.write_bytes(content)
    frames = 0
    with open_capture(path, batch_bytes=1 << 20, batch_packets=1 << 14) as reader:
        for batch in reader:
            assert len(batch.data) <= (1 << 20) + (1 << 18)  # a window, and room for a cut record before it
            assert len(batch) <= 1 << 14
            frames += len(batch)
    assert frames == len(PACKETS) + (50 << 20) // 16


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
        b"\xfd7zXZ\0" + bytes(40),
        b"snoop\0\0\0" + bytes(40),
    ],
    # gzip notes the time, and names of tests must be the same in every process that collects them
    ids=["empty", "magic", "section", "text", "gzip-magic", "gzip-empty", "gzip-text", "zstd", "xz", "snoop"],
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
