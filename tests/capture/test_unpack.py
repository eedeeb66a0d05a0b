from __future__ import annotations

import gzip
import hashlib
import struct
import zlib
from collections import deque

import pytest

from forensics.capture import open_capture, unpack
from forensics.capture.source import Peeking
from forensics.capture.unpack import BoundedBytes
from forensics.errors import CaptureError
from tests.capture.build import pcap
from tests.capture.read import read_bytes
from tests.capture.test_formats import Bytes

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


def test_much_from_little_is_read_in_bounded_steps(tmp_path):
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


def bounded(content, stored, sizes, monkeypatch, **limits):
    """All bytes of ``content`` read in pieces of ``sizes``, as unpacked from ``stored`` bytes."""
    for name, value in {"_STEP": 16, "BOMB_BYTES": 64, "BOMB_RATIO": 10, **limits}.items():
        monkeypatch.setattr(unpack, name, value)
    source = Bytes(bytes(stored))
    source.read_into(memoryview(bytearray(stored)))
    source.name = "made.zst"
    reader = BoundedBytes(Bytes(content), source)
    seen = b""
    for size in sizes:
        target = bytearray(size)
        count = reader.read_into(memoryview(target))
        seen += bytes(target[:count])
        if count < size:
            break
    return seen


@pytest.mark.parametrize("size", [1, 7, 16, 1000])
def test_a_bomb_ends_in_an_error_that_says_what_to_do(monkeypatch, size):
    with pytest.raises(CaptureError, match=r"made\.zst: unpacks to more than .* 12 times .*bomb") as caught:
        bounded(bytes(1000), 5, [size] * 1000, monkeypatch)
    assert "if it is a capture, unpack it" in str(caught.value)


@pytest.mark.parametrize("size", [1, 7, 16, 1000])
@pytest.mark.parametrize(("length", "stored"), [(63, 1), (1000, 100), (47, 1)])
def test_what_is_small_or_not_so_dense_is_no_bomb(monkeypatch, size, length, stored):
    content = bytes(range(256)) * 4
    assert bounded(content[:length], stored, [size] * 1001, monkeypatch) == content[:length]


def test_a_bomb_is_an_error_of_the_reader_and_names_the_file(tmp_path, monkeypatch):
    monkeypatch.setattr(unpack, "BOMB_BYTES", 16 << 20)
    path = tmp_path / "bomb"
    path.write_bytes(gzip.compress(PLAIN + bytes(20 << 20)))
    with open_capture(path, batch_bytes=1 << 20) as reader:
        batches = map(reader.release, reader)
        with pytest.raises(CaptureError, match=r"/bomb: unpacks to more"):
            deque(batches, maxlen=0)


def test_the_densest_gzip_is_above_the_limit_and_the_densest_capture_below():
    def ratio(content):
        return len(content) / len(zlib.compress(content, 9))

    assert ratio(bytes(8 << 20)) > unpack.BOMB_RATIO
    # TCP segments of 64 kB of zeros, as one machine hands them to itself
    segments = []
    for i in range(200):
        ip = struct.pack(">BBHHHBBHII", 0x45, 0, 65_212, i, 0x4000, 64, 6, 0, 0x0A000001, 0x0A000002)
        tcp = struct.pack(">HHIIBBHHH", 1234, 5201, 65_172 * i, 77, 0x50, 0x10, 501, 0, 0)
        segments.append((1, 50 * i + i * i % 7, bytes(12) + b"\x08\0" + ip + tcp + bytes(65_172)))
    assert ratio(pcap(segments)) < unpack.BOMB_RATIO


def test_peeking_takes_nothing_away():
    for most in (1, 3, 100):
        source = Peeking(Bytes(b"0123456789", most))
        assert source.peek(3) == b"012"
        assert source.peek(2) == b"01"
        target = bytearray(2)
        assert source.read_into(memoryview(target)) == 2
        assert (bytes(target), source.peek(20)) == (b"01", b"23456789")
        assert source.read_into(memoryview(bytearray(20))) == 8
        assert (source.peek(1), source.read_into(memoryview(bytearray(1)))) == (b"", 0)
